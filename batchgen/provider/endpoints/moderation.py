"""The moderation family: a text in, a verdict back.

Llama Guard models use the chat's path and answer `safe`, or `unsafe` and a line of category codes
(https://docs.aimlapi.com, "Content moderation models").
"""

import json

from batchgen.provider.endpoints import chat
from batchgen.provider.endpoints.errors import sanitize
from batchgen.provider.endpoints.replies import cost_usd, read_object, read_tokens
from batchgen.types import Finished, GeneratedPayload, HttpRequest, HttpResponse, Task, Unusable

name: str = "moderation"
PATH: str = chat.PATH


def build_request(task: Task, prompt_name: str = "messages") -> HttpRequest:
    """Return the request of a task; parameters that are None count as absent."""
    return chat.build_request(task, prompt_name)


def parse_response(response: HttpResponse) -> Finished | Unusable:
    """Read a 2xx reply: a JSON file with the verdict; never raise an error."""
    body = read_object(response, "verdict")
    if isinstance(body, Unusable):
        return body
    texts = chat.answer_texts(body)
    if not texts:
        return chat.missing_answer(response, body)
    verdict, *codes = texts[0].replace(",", " ").split()
    if verdict.casefold() not in ("safe", "unsafe"):
        return Unusable(
            "bad_response", f"the verdict is neither safe nor unsafe: {sanitize(texts[0], 80)}"
        )
    result = {"verdict": verdict.casefold(), "categories": codes}
    file = GeneratedPayload(json.dumps(result).encode() + b"\n", "application/json")
    cost, tokens = cost_usd(body, response.headers), read_tokens(body)
    return Finished((file,), cost_usd=cost, tokens=tokens)
