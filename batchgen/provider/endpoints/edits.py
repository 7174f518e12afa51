"""The image edits family: `POST /v1/images/edits`, a form with the input images as files.

The vendor's spec says JSON, but its samples and OpenAI's reference upload files
(https://platform.openai.com/docs/api-reference/images/createEdit). Replies have the format of the
images family.
"""

from batchgen.provider.endpoints import images
from batchgen.types import Finished, HttpRequest, HttpResponse, Task, Unusable

name: str = "edits"
PATH: str = "/v1/images/edits"


def build_request(task: Task, prompt_name: str = "prompt") -> HttpRequest:
    """Return the request of a task; parameters that are None count as absent."""
    return HttpRequest("POST", PATH, images.build_request(task, prompt_name).body, multipart=True)


def parse_response(response: HttpResponse) -> Finished | Unusable:
    """Read a 2xx reply; never raise an error."""
    return images.parse_response(response)


def parse_for_task(task: Task, response: HttpResponse) -> Finished | Unusable:
    """Read a 2xx reply to a task's request; never raise an error."""
    return images.parse_for_task(task, response)
