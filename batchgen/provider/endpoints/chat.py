"""The chat family: a prompt in, an answer of text or JSON back.

`POST /v1/chat/completions` as OpenAI has it. A row's prompt becomes the user's message, `system`
the system's, and `image_url` or `image_urls` pictures beside the prompt. A row may give `messages`
itself; system and prompt then stand before and after them
(https://platform.openai.com/docs/api-reference/chat/create). Claude models have no system message:
their `system` is a field beside the messages (https://docs.aimlapi.com, "Claude 3.7 Sonnet").
"""

import re
from collections.abc import Sequence
from typing import cast

from batchgen.provider.endpoints.errors import read_json
from batchgen.provider.endpoints.replies import (
    Object,
    cost_usd,
    failure,
    fields,
    job_error,
    read_object,
    shown,
    tokens_of,
)
from batchgen.types import (
    Finished,
    GeneratedPayload,
    HttpRequest,
    HttpResponse,
    Input,
    Json,
    Task,
    Unusable,
)

name: str = "chat"
PATH: str = "/v1/chat/completions"

_PICTURES = ("image_url", "image_urls")
_OWN = frozenset({"system", "messages", *_PICTURES, "stream", "stream_options"})
_CLAUDE = "claude-"  # models whose messages have the roles `user` and `assistant` only
_MARKDOWN = re.compile(r"^(?:#{1,6} |[-*] |\d+\. |> |```|\|.+\|)", re.MULTILINE)


def build_request(task: Task, prompt_name: str = "messages") -> HttpRequest:
    """Make the request of a task; the answer is always asked for whole, never as a stream."""
    body = fields(task, prompt_name="prompt", without=_OWN)
    body.pop("prompt", None)
    system = task.params.get("system")
    if system and task.model.startswith(_CLAUDE):
        body["system"], system = system, None
    if messages := _messages(task, system):
        body[prompt_name] = messages
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


def _messages(task: Task, system: Json) -> Input:
    """The messages: a tuple where files may stand in them."""
    given = _given(task, "messages")
    told: list[Input] = [{"role": "system", "content": system}] if system else []
    told += given if isinstance(given, list | tuple) else ()
    pictures = [_part(url) for name in _PICTURES for url in _urls(_given(task, name))]
    if pictures:
        words: list[Input] = [{"type": "text", "text": task.prompt}] if task.prompt else []
        told.append({"role": "user", "content": (*words, *pictures)})
    elif task.prompt:
        told.append({"role": "user", "content": task.prompt})
    may_hold_files = bool(pictures) or "messages" in task.inputs
    return tuple(told) if may_hold_files else cast("list[Json]", told)


def _part(url: Input) -> Input:
    return {"type": "image_url", "image_url": {"url": url}}


def _given(task: Task, name: str) -> Input:
    return task.inputs.get(name, task.params.get(name))


def _urls(value: Input) -> Sequence[Input]:
    return () if value is None else value if isinstance(value, list | tuple) else (value,)


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


def _made(text: str) -> GeneratedPayload:
    data = text.encode("utf-8", "replace")
    if text.lstrip()[:1] in ("{", "[") and _is_json(data):
        return GeneratedPayload(data, "application/json")
    return GeneratedPayload(data, "text/markdown" if _MARKDOWN.search(text) else "text/plain")


def _is_json(data: bytes) -> bool:
    try:
        read_json(data)
    except ValueError:
        return False
    return True
