"""The video family: a remote job is submitted and polled; its result has the URLs of files.

`POST /v2/video/generations` is the vendor's unified endpoint; models of 2025-05 have their own
paths (`/v2/generate/video/kling/generation`), which are in the catalogue. `video` is an object with
a `url`, a list of such objects or, for Runway's models of 2025-05, a list of URLs
(https://docs.aimlapi.com, "Video models").
"""

from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from batchgen.provider.endpoints import remote
from batchgen.provider.endpoints.replies import (
    JsonObject,
    build_post,
    find_results,
    is_raw_file,
    read_raw_file,
)
from batchgen.types import (
    Finished,
    HttpRequest,
    HttpResponse,
    Payload,
    Pending,
    Polling,
    Task,
    Unusable,
)

name: str = "video"
PATH: str = "/v2/video/generations"
# The vendor's sample programs poll every 15 s; documented jobs take 35 s to 9 minutes.
POLLING: Polling = Polling(first_s=10, interval_s=15, deadline_s=1800)

_LUMA = "/luma-ai/"
_NAMES = ("video", "videos", "assets")


def build_request(task: Task, prompt_name: str = "prompt") -> HttpRequest:
    """Return the request of a task; parameters that are None count as absent."""
    return build_post(task, PATH, prompt_name)


def build_poll(path: str, remote_id: str) -> HttpRequest:
    """Return the request for the state of a job; Luma's endpoint of 2025-05 supports long polls."""
    request = remote.poll_by_query(path, remote_id)
    if _LUMA not in path:
        return request
    return replace(request, long_poll_path=f"{request.path}&state=completed")


def parse_response(response: HttpResponse) -> Finished | Pending | Unusable:
    """Read a 2xx reply: the id of a job, or the video itself; never raise an error."""
    return remote.parse_submission_or_result(response, "video", _find(response))


def parse_poll(response: HttpResponse) -> Finished | Pending | Unusable:
    """Read a 2xx reply; never raise an error."""
    if is_raw_file(response):
        return read_raw_file(response, "video")
    return remote.parse_result(response, "video", _find(response))


def _find(response: HttpResponse) -> Callable[[JsonObject], tuple[Payload, ...]]:
    return partial(find_results, response=response, names=_NAMES, family="video")
