"""The video family: a job is submitted, asked for, and leads to URLs of files.

`POST /v2/video/generations` is the vendor's unified endpoint; models of 2025-05 have paths of
their own (`/v2/generate/video/kling/generation`), which the catalogue knows. `video` is an object
with a `url`, a list of those, or with Runway's models of 2025-05 a list of URLs
(https://docs.aimlapi.com, "Video models").
"""

from functools import partial

from msgspec.structs import replace

from batchgen.provider.endpoints import remote
from batchgen.provider.endpoints.replies import files_at, post
from batchgen.types import Finished, HttpRequest, HttpResponse, Pending, Polling, Task, Unusable

name: str = "video"
PATH: str = "/v2/video/generations"
# The vendor's sample programs ask every 15 s; documented jobs take 35 s to 9 minutes.
POLLING: Polling = Polling(first_s=10, interval_s=15, deadline_s=1800)

_LUMA = "/luma-ai/"

parse_response = remote.submitted


def build_request(task: Task, prompt_name: str = "prompt") -> HttpRequest:
    """Make the request of a task; parameters that are None count as not given."""
    return post(task, PATH, prompt_name)


def build_poll(path: str, remote_id: str) -> HttpRequest:
    """Ask for a job; Luma's own endpoint of 2025-05 can wait until it has ended."""
    request = remote.by_query(path, remote_id)
    return (
        replace(request, long_poll_path=f"{request.path}&state=completed")
        if _LUMA in path
        else request
    )


def parse_poll(response: HttpResponse) -> Finished | Pending | Unusable:
    """Read a 2xx reply; never raises, whatever the bytes."""
    videos = partial(files_at, response=response, names=("video", "videos", "assets"))
    return remote.result(response, "video", videos)
