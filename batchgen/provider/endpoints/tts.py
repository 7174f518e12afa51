"""The speech family: a text in; the sound itself comes back, or a URL of it.

Which of the two depends on the model and on `stream`, so the reply decides
(https://docs.aimlapi.com, "Text-to-speech").
"""

from batchgen.provider.endpoints.replies import (
    cost_usd,
    failure,
    files_at,
    find_job_error,
    post,
    read_object,
    shown,
)
from batchgen.types import Finished, HttpRequest, HttpResponse, Task, Unusable

name: str = "tts"
PATH: str = "/v1/tts"


def build_request(task: Task, prompt_name: str = "text") -> HttpRequest:
    """Make the request of a task; parameters that are None count as not given."""
    return post(task, PATH, prompt_name)


def parse_response(response: HttpResponse) -> Finished | Unusable:
    """Read a 2xx reply; never raises, whatever the bytes."""
    if response.payloads and not response.body:
        return Finished(response.payloads[:1], cost_usd=cost_usd({}, response.headers))
    body = read_object(response, "sound")
    if isinstance(body, Unusable):
        return body
    sounds = files_at(body, response=response, names=("audio", "audio_file", "audio_url", "url"))
    if sounds:
        return Finished(sounds, cost_usd=cost_usd(body, response.headers))
    if find_job_error(response, body):
        return failure(response, body)
    return Unusable("bad_response", f"no sound in the reply: {shown(response)}")
