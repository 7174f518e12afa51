"""The image edits family: `POST /v1/images/edits`, a form with the pictures as uploaded files.

The vendor's spec of it says JSON, but its samples and OpenAI's reference upload files
(https://platform.openai.com/docs/api-reference/images/createEdit). Replies are those of the
images family.
"""

from batchgen.provider.endpoints import images
from batchgen.types import Finished, HttpRequest, HttpResponse, Task, Unusable

name: str = "edits"
PATH: str = "/v1/images/edits"


def build_request(task: Task, prompt_name: str = "prompt") -> HttpRequest:
    """Make the request of a task; parameters that are None count as not given."""
    return HttpRequest("POST", PATH, images.build_request(task, prompt_name).body, multipart=True)


def parse_response(response: HttpResponse) -> Finished | Unusable:
    """Read a 2xx reply; never raises, whatever the bytes."""
    return images.parse_response(response)
