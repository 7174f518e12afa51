"""The moderation family: a text in, a verdict back.

Llama Guard models answer at the chat's path with `safe`, or with `unsafe` and a line of category
codes (https://docs.aimlapi.com, "Content moderation models").
"""

import json

from batchgen.provider.endpoints import chat
from batchgen.provider.endpoints.errors import tidy
from batchgen.provider.endpoints.replies import cost_usd, read_object, tokens_of
from batchgen.types import Finished, GeneratedPayload, HttpRequest, HttpResponse, Task, Unusable

name: str = "moderation"
PATH: str = chat.PATH


def build_request(task: Task, prompt_name: str = "messages") -> HttpRequest:
    """Make the request of a task; parameters that are None count as not given."""
    return chat.build_request(task, prompt_name)


def parse_response(response: HttpResponse) -> Finished | Unusable:
    """Read a 2xx reply: a JSON file with the verdict; never raises, whatever the bytes."""
    body = read_object(response, "verdict")
    if isinstance(body, Unusable):
        return body
    texts = chat.texts_of(body)
    if not texts:
        return chat.without_answer(response, body)
    verdict, *codes = texts[0].replace(",", " ").split()
    if verdict.casefold() not in ("safe", "unsafe"):
        return Unusable("bad_response", f"neither safe nor unsafe: {tidy(texts[0], 80)}")
    told = {"verdict": verdict.casefold(), "categories": codes}
    made = GeneratedPayload(json.dumps(told).encode() + b"\n", "application/json")
    cost, tokens = cost_usd(body, response.headers), tokens_of(body)
    return Finished((made,), cost_usd=cost, tokens=tokens)
