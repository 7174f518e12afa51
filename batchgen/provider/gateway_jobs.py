"""Jobs of a service that has no endpoint of its own here: `providers.NAME.jobs` describes them.

Some gateways reply to `POST /v1/images/generations` with the id or the address of a job (Azure's
`operation-location`, Replicate's `urls.get`, `task_id` of many). Pure.
"""

from collections.abc import Callable
from urllib.parse import quote, urljoin, urlsplit

import msgspec
from msgspec.structs import replace

from batchgen.job.remote_jobs import HEADER_PREFIX, ID_FIELD, RemoteJobs
from batchgen.provider.endpoints.remote import DONE_WORDS, FAILED_WORDS, state_word
from batchgen.provider.endpoints.replies import excerpt, read_object, remote_failure
from batchgen.types import Finished, HttpRequest, HttpResponse, Json, Pending, Polling, Unusable

POLLING = Polling(first_s=2, interval_s=5, deadline_s=1800)
_MAX_ID_LENGTH = 1000

_Parse = Callable[[HttpResponse], Finished | Pending | Unusable]


def find_job(jobs: RemoteJobs, response: HttpResponse, base_url: str) -> Pending | None:
    """Return the job that a 2xx reply to a submission names; None if it names none.

    base_url: the provider's. A job at another host is none: its polls would carry the key.
    """
    body = read_object(response, "job")
    if isinstance(body, Unusable) and not jobs.url.startswith(HEADER_PREFIX):
        return None
    fields: Json = {} if isinstance(body, Unusable) else dict(body)
    if ID_FIELD in jobs.url:
        job_id = _word(find_field(fields, jobs.id))
        return Pending(job_id) if job_id else None
    if jobs.url.startswith(HEADER_PREFIX):
        address = response.headers.get(jobs.url.removeprefix(HEADER_PREFIX).lower(), "")
    else:
        address = _word(find_field(fields, jobs.url))
    url = _absolute(address, base_url)
    return Pending(url) if url and _origin(url) == _origin(base_url) else None


def build_poll(jobs: RemoteJobs, remote_id: str) -> HttpRequest:
    """Return the request for the state of a job; `remote_id` is its id, or its URL."""
    if ID_FIELD not in jobs.url:
        return HttpRequest("GET", remote_id, {})
    return HttpRequest("GET", jobs.url.replace(ID_FIELD, quote(remote_id, safe="")), {})


def parse_poll(
    jobs: RemoteJobs, response: HttpResponse, parse: _Parse
) -> Finished | Pending | Unusable:
    """Read a 2xx reply to a poll. parse: reads a reply that has the files, as of a submission."""
    body = read_object(response, "job")
    if isinstance(body, Unusable):
        return parse(response)  # the file itself, or a page
    fields: Json = dict(body)
    state = _word(find_field(fields, jobs.status)).casefold()
    plain = state_word(state)
    if state in jobs.failed if jobs.failed else plain in FAILED_WORDS:
        return remote_failure(response, body)
    found = find_field(fields, jobs.result) if jobs.result else fields
    result = Unusable("bad_response", "") if not found else parse(_with_body(response, found))
    if isinstance(result, Finished):
        return result
    if not (state in jobs.done if jobs.done else plain in DONE_WORDS):
        return Pending("") if state else _unfinished(result, response)
    return _unfinished(result, response)


def find_field(value: Json, path: str) -> Json:
    """Return the value at a path such as `data.0.task_id`; None if there is none."""
    for name in path.split("."):
        match value:
            case dict():
                value = value.get(name)
            case list() if name.isdecimal() and int(name) < len(value):
                value = value[int(name)]
            case _:
                return None
    return value


def _with_body(response: HttpResponse, found: Json) -> HttpResponse:
    """Return the reply as if its body were the part that has the files."""
    match found:
        case dict():
            body = found
        case list():
            body = {"data": found}
        case _:
            body = {"data": [{"url": found}]}
    return replace(response, body=msgspec.json.encode(body))


def _unfinished(result: Finished | Pending | Unusable, response: HttpResponse) -> Unusable:
    if isinstance(result, Unusable) and result.message:
        return result
    return Unusable("bad_response", f"no result in the reply to a poll: {excerpt(response)}")


def _word(value: Json) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    is_usable = isinstance(value, str) and len(value) <= _MAX_ID_LENGTH and value.isprintable()
    return value.strip() if is_usable and isinstance(value, str) else ""


def _absolute(address: str, base_url: str) -> str:
    """Return an address of a reply as a URL; empty if it is none."""
    if not address or any(character.isspace() for character in address):
        return ""
    try:
        return urljoin(base_url, address)
    except ValueError:  # invalid brackets
        return ""


def _origin(url: str) -> tuple[str, str | None, int | None]:
    """Return what must be equal for a request to go to the same server."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ("", None, None)
    if "@" in parts.netloc or parts.scheme not in ("http", "https"):
        return ("", None, None)
    return (parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80))
