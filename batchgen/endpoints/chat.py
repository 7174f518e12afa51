"""The chat family: a prompt in, an answer of text or JSON back.

`POST /v1/chat/completions` as OpenAI has it. A row's prompt becomes the user's message; where the
provider's models take them, `system` becomes the system's, and `image_url` or `image_urls`
pictures beside the prompt (https://platform.openai.com/docs/api-reference/chat/create).
"""

import re
from collections.abc import Sequence

from batchgen.endpoints.errors import read_json
from batchgen.endpoints.replies import (
    Object,
    cost_usd,
    failure,
    job_error,
    read_object,
    shown,
    tokens_of,
)
from batchgen.endpoints.requests import fields
from batchgen.types import Finished, HttpRequest, HttpResponse, Json, Made, Task, Unusable

name: str = "chat"
PATH: str = "/v1/chat/completions"

_OWN = frozenset({"system", "image_url", "image_urls", "stream", "stream_options"})
_MARKDOWN = re.compile(r"^(?:#{1,6} |[-*] |\d+\. |> |```|\|.+\|)", re.MULTILINE)


def build_request(task: Task, prompt_name: str = "messages") -> HttpRequest:
    """Make the request of a task; the answer is always asked for whole, never as a stream."""
    body = fields(task, prompt_name="prompt", without=_OWN)
    prompt = body.pop("prompt", None)
    if prompt is not None:
        body[prompt_name] = _messages(task)
    return HttpRequest("POST", PATH, body)


def parse_response(response: HttpResponse) -> Finished | Unusable:
    """Read a 2xx reply: a file an answer; never raises, whatever the bytes."""
    body = read_object(response, "answer")
    if isinstance(body, Unusable):
        return body
    answers = texts_of(body)
    if answers:
        made = tuple(_made(answer) for answer in answers)
        cost, tokens = cost_usd(body, response.headers), tokens_of(body)
        return Finished(made, cost_usd=cost, tokens=tokens)
    return without_answer(response, body)


def texts_of(body: Object) -> list[str]:
    """The texts of the answers, without those that a filter cut off."""
    texts = [_text(message.get("content")) for message in _messages_of(body)]
    return [text for text in texts if text.strip()]


def without_answer(response: HttpResponse, body: Object) -> Unusable:
    """Why a reply has no text."""
    refusals = [message.get("refusal") for message in _messages_of(body)]
    refusal = next((text for text in refusals if isinstance(text, str) and text), None)
    if refusal or "content_filter" in _reasons(body):
        return Unusable("content_policy", refusal or "the content filter cut the answer off")
    if job_error(response, body):
        return failure(response, body)
    return Unusable("bad_response", f"no answer in the reply: {shown(response)}")


def _messages(task: Task) -> list[Json]:
    system = task.params.get("system")
    first: list[Json] = [{"role": "system", "content": system}] if system else []
    urls = _urls(task.params.get("image_url")) + _urls(task.params.get("image_urls"))
    content: Json = task.prompt
    if urls:
        pictures: list[Json] = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
        content = [{"type": "text", "text": task.prompt}, *pictures]
    return [*first, {"role": "user", "content": content}]


def _urls(value: Json) -> list[Json]:
    return [] if value is None else list(value) if isinstance(value, list) else [value]


def _choices(body: Object) -> Sequence[Object]:
    choices = body.get("choices")
    return [one for one in choices if isinstance(one, dict)] if isinstance(choices, list) else []


def _messages_of(body: Object) -> list[Object]:
    found = (choice.get("message") for choice in _choices(body))
    return [message for message in found if isinstance(message, dict)]


def _reasons(body: Object) -> list[Json]:
    return [choice.get("finish_reason") for choice in _choices(body)]


def _text(content: Json) -> str:
    """A message's text, which may come in parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))


def _made(text: str) -> Made:
    data = text.encode("utf-8", "replace")
    if text.lstrip()[:1] in ("{", "[") and _is_json(data):
        return Made(data, "application/json")
    return Made(data, "text/markdown" if _MARKDOWN.search(text) else "text/plain")


def _is_json(data: bytes) -> bool:
    try:
        read_json(data)
    except ValueError:
        return False
    return True
