"""`providers.NAME.jobs`: how a service that replies with the id of a job is polled."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from batchgen.job import keys
from batchgen.job.keys import KeyPath, SectionReader
from batchgen.text import one_line
from batchgen.types import Json

HEADER_PREFIX = "header:"
ID_FIELD = "{id}"

_FIELD = re.compile(r"[^\s.{}/]+(\.[^\s.{}/]+)*")
_HEADER = re.compile(r"header:[A-Za-z0-9_-]+")
_TEMPLATE = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*\{id\}[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*")


class RemoteJobs(msgspec.Struct, frozen=True):
    """Where a service's replies have a job's id, address, state and result.

    A field is a path such as `data.0.task_id`: names of objects and indexes of lists.

    url: the path below the host with `{id}` in it, a field of the reply with a URL, or
        `header:NAME`. id: a field of the reply to a submission; empty if `url` has no `{id}`.
    status: a field of the reply to a poll. done, failed: the words in it that end a job; empty for
        the usual ones. result: the field that has the files; empty for the whole reply.
    """

    url: str
    id: str = ""
    status: str = "status"
    done: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    result: str = ""


def read_remote_jobs(value: Json, path: KeyPath, reader: SectionReader) -> RemoteJobs | None:
    """Return the checked section; None if there is none or it has problems.

    path: of the section. Problems are added to `reader`.
    """
    if value is None:
        return None
    before = len(reader.problems)
    section: dict[str, Any] = reader.section(value, keys.REMOTE_JOBS, path)
    for key, message in _problems(section):
        reader.add_problem((*path, *key), message)
    if len(reader.problems) > before or "url" not in section:
        return None
    return RemoteJobs(
        section["url"],
        id=section.get("id", ""),
        status=section.get("status", "status"),
        done=_words(section.get("done")),
        failed=_words(section.get("failed")),
        result=section.get("result", ""),
    )


def _problems(section: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    url = section.get("url")
    if url is None:
        yield (), "`jobs` needs a `url`, such as /v1/tasks/{id}"
    elif url.startswith("/"):
        if not _TEMPLATE.fullmatch(url):
            yield ("url",), f"`jobs.url`: {_quoted(url)} is not a path with {ID_FIELD} in it"
        elif "id" not in section:
            yield ("url",), "`jobs.url` has {id}: add `id`, the field of the reply that has it"
    elif not (_HEADER.fullmatch(url) or _FIELD.fullmatch(url)):
        yield (
            ("url",),
            (
                f"`jobs.url`: {_quoted(url)} is neither a path such as /v1/tasks/{{id}}, nor a"
                " field such as urls.get, nor header:NAME"
            ),
        )


def _words(value: list[str] | None) -> tuple[str, ...]:
    return tuple(word.strip().casefold() for word in value or ())


def _quoted(text: str) -> str:
    return f"`{one_line(text, 60)}`"
