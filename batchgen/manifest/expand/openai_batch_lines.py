"""Lines of an OpenAI Batch file, `{custom_id, method, url, body}`: they are sent as they are.

The form: https://platform.openai.com/docs/guides/batch, "1. Prepare your batch file".
"""

from collections.abc import Mapping

import msgspec

from batchgen.job.canonical import canonical, describe_value
from batchgen.manifest.expand.fields import RowError
from batchgen.provider.endpoints import family_of_path
from batchgen.types import Json, Row

_SAID_IN = {"chat": "messages", "embeddings": "input"}
_KEYS = frozenset({"custom_id", "method", "url", "body"})


class BatchLine(msgspec.Struct, frozen=True):
    """A line, read; `params` is the body without `model` and `prompt`."""

    custom_id: str
    endpoint: str
    model: str | None
    prompt: str
    params: dict[str, Json]


def is_batch_line(row: Row) -> bool:
    """Whether a row has this form, well or badly; a column of that name does not count."""
    return "body" in row.fields and not row.textual


def read_batch_line(row: Row) -> BatchLine:
    """Read a line; raises RowError, or UnstorableError for what nothing could hold."""
    canonical(dict(row.fields))
    if unknown := sorted(row.fields.keys() - _KEYS):
        raise RowError(
            f"an OpenAI Batch line has no {describe_value(unknown[0])}: put it into its `body`"
        )
    task_id, method = row.fields.get("custom_id"), row.fields.get("method")
    if not isinstance(task_id, str) or not task_id:
        raise RowError("an OpenAI Batch line needs a `custom_id`, a text")
    if method not in (None, "POST"):
        raise RowError(f"`method` is {describe_value(method)}; only POST requests can be run")
    endpoint = _endpoint(row.fields.get("url"))
    return _with_body(task_id, endpoint, row.fields["body"])


def missing(line: BatchLine) -> str | None:
    """What the body has to say and does not; None where it says something."""
    needed = _SAID_IN.get(line.endpoint, "prompt")
    return None if line.prompt or needed in line.params else f"`body` needs `{needed}`"


def _endpoint(url: Json) -> str:
    endpoint = family_of_path(url) if isinstance(url, str) else None
    if endpoint is None:
        raise RowError(
            f"`url` {describe_value(url)} is no endpoint that batchgen knows;"
            " /v1/images/generations, /v1/images/edits, /v1/chat/completions and /v1/embeddings are"
        )
    return endpoint


def _with_body(task_id: str, endpoint: str, body: Json) -> BatchLine:
    if not isinstance(body, dict):
        raise RowError(f"`body` is {describe_value(body)}, not an object")
    texts: dict[str, str | None] = {}
    prompt = _prompt_name(endpoint, body)
    for name in ("model", prompt):
        value = body.get(name)
        if value is not None and not isinstance(value, str):
            raise RowError(f"`body.{name}` is {describe_value(value)}, not a text")
        texts[name] = value
    params = _without(body, texts)
    return BatchLine(task_id, endpoint, texts["model"], texts[prompt] or "", params)


def _prompt_name(endpoint: str, body: Mapping[str, Json]) -> str:
    """What the body calls the task's prompt: of embeddings a single text."""
    own = _SAID_IN.get(endpoint, "prompt")
    return own if isinstance(body.get(own), str) else "prompt"


def _without(body: Mapping[str, Json], names: Mapping[str, str | None]) -> dict[str, Json]:
    return {name: value for name, value in body.items() if name not in names}
