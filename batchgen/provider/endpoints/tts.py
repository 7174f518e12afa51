"""The speech family: a text in; the audio itself or its URL back.

Which of the two depends on the model and on `stream`, so it is read from the reply
(https://docs.aimlapi.com, "Text-to-speech").
"""

from batchgen.provider.endpoints.replies import (
    build_post,
    cost_usd,
    excerpt,
    find_job_error,
    find_results,
    is_raw_file,
    read_object,
    read_raw_file,
    remote_failure,
)
from batchgen.types import Finished, HttpRequest, HttpResponse, Task, Unusable

name: str = "tts"
PATH: str = "/v1/tts"


def build_request(task: Task, prompt_name: str = "text") -> HttpRequest:
    """Return the request of a task; parameters that are None count as absent."""
    return build_post(task, PATH, prompt_name)


def parse_response(response: HttpResponse) -> Finished | Unusable:
    """Read a 2xx reply; never raise an error."""
    if is_raw_file(response):
        return read_raw_file(response, "audio")
    body = read_object(response, "audio")
    if isinstance(body, Unusable):
        return body
    names = ("audio", "audio_file", "audio_url", "url")
    files = find_results(body, response=response, names=names, family="audio")
    if files:
        return Finished(files, cost_usd=cost_usd(body, response.headers))
    if find_job_error(response, body):
        return remote_failure(response, body)
    return Unusable("bad_response", f"no audio in the reply: {excerpt(response)}")
