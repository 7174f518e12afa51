"""The chat family: a prompt in, an answer of text or JSON back.

`POST /v1/chat/completions` in OpenAI's format. A row's prompt becomes the user's message, `system`
the system message, and `image_url` or `image_urls` become images in the user's message. If a row
has `messages`, the system message goes before them and the prompt after them
(https://platform.openai.com/docs/api-reference/chat/create). Claude models have no system message:
their `system` is a separate field (https://docs.aimlapi.com, "Claude 3.7 Sonnet").
"""

import re
from collections.abc import Sequence
from typing import cast

from batchgen.provider.endpoints.errors import read_json
from batchgen.provider.endpoints.replies import (
    JsonObject,
    body_fields,
    cost_usd,
    excerpt,
    find_job_error,
    read_object,
    read_tokens,
    remote_failure,
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

_IMAGE_KEYS = ("image_url", "image_urls")
_MESSAGE_KEYS = frozenset({"system", "messages", *_IMAGE_KEYS, "stream", "stream_options"})
_CLAUDE = "claude-"  # models whose messages have the roles `user` and `assistant` only
_MARKDOWN = re.compile(r"^(?:#{1,6} |[-*] |\d+\. |> |```|\|.+\|)", re.MULTILINE)


def build_request(task: Task, prompt_name: str = "messages") -> HttpRequest:
    """Return the request of a task; the answer is never streamed."""
    body = body_fields(task, prompt_name="prompt", without=_MESSAGE_KEYS)
    body.pop("prompt", None)
    system = task.params.get("system")
    if system and task.model.startswith(_CLAUDE):
        body["system"], system = system, None
    if messages := _messages(task, system):
        body[prompt_name] = messages
    return HttpRequest("POST", PATH, body)


def parse_response(response: HttpResponse) -> Finished | Unusable:
    """Read a 2xx reply: one file per answer; never raise an error."""
    body = read_object(response, "answer")
    if isinstance(body, Unusable):
        return body
    answers = answer_texts(body)
    if answers:
        files = tuple(_answer_file(answer) for answer in answers)
        cost, tokens = cost_usd(body, response.headers), read_tokens(body)
        return Finished(files, cost_usd=cost, tokens=tokens)
    return missing_answer(response, body)


def answer_texts(body: JsonObject) -> list[str]:
    """Return the texts of the answers, without empty ones."""
    texts = [_text(message.get("content")) for message in _reply_messages(body)]
    return [text for text in texts if text.strip()]


def missing_answer(response: HttpResponse, body: JsonObject) -> Unusable:
    """Return why a reply has no text."""
    refusals = [message.get("refusal") for message in _reply_messages(body)]
    refusal = next((text for text in refusals if isinstance(text, str) and text), None)
    if refusal or "content_filter" in _finish_reasons(body):
        return Unusable("content_policy", refusal or "the content filter stopped the answer")
    if find_job_error(response, body):
        return remote_failure(response, body)
    return Unusable("bad_response", f"no answer in the reply: {excerpt(response)}")


def _messages(task: Task, system: Json) -> Input:
    """Return the messages, in a tuple if they may contain files."""
    from_row = _parameter(task, "messages")
    messages: list[Input] = [{"role": "system", "content": system}] if system else []
    messages += from_row if isinstance(from_row, list | tuple) else ()
    images = [_image_part(url) for name in _IMAGE_KEYS for url in _urls(_parameter(task, name))]
    if images:
        text: list[Input] = [{"type": "text", "text": task.prompt}] if task.prompt else []
        messages.append({"role": "user", "content": (*text, *images)})
    elif task.prompt:
        messages.append({"role": "user", "content": task.prompt})
    may_have_files = bool(images) or "messages" in task.inputs
    return tuple(messages) if may_have_files else cast("list[Json]", messages)


def _image_part(url: Input) -> Input:
    return {"type": "image_url", "image_url": {"url": url}}


def _parameter(task: Task, name: str) -> Input:
    return task.inputs.get(name, task.params.get(name))


def _urls(value: Input) -> Sequence[Input]:
    return () if value is None else value if isinstance(value, list | tuple) else (value,)


def _choices(body: JsonObject) -> Sequence[JsonObject]:
    choices = body.get("choices")
    return [c for c in choices if isinstance(c, dict)] if isinstance(choices, list) else []


def _reply_messages(body: JsonObject) -> list[JsonObject]:
    messages = (choice.get("message") for choice in _choices(body))
    return [message for message in messages if isinstance(message, dict)]


def _finish_reasons(body: JsonObject) -> list[Json]:
    return [choice.get("finish_reason") for choice in _choices(body)]


def _text(content: Json) -> str:
    """Return the text of a message, which may have several parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))


def _answer_file(text: str) -> GeneratedPayload:
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
