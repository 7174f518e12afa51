"""The 3D family: pictures in, named files of meshes back, at the images' path.

TripoSR names its file `model_mesh`, Hunyuan names four (`segmented_mesh`, `mask_1_mesh`, ...), the
general schema lists them in `data` (https://docs.aimlapi.com, "3D-generating models").
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

name: str = "3d"
PATH: str = "/v1/images/generations"


def build_request(task: Task, prompt_name: str = "prompt") -> HttpRequest:
    """Make the request of a task; parameters that are None count as not given."""
    return post(task, PATH, prompt_name)


def parse_response(response: HttpResponse) -> Finished | Unusable:
    """Read a 2xx reply; every file that it names counts. Never raises, whatever the bytes."""
    body = read_object(response, "mesh")
    if isinstance(body, Unusable):
        return body
    meshes = () if body.get("error") else files_at(body, response=response, names=tuple(body))
    if meshes:
        return Finished(meshes, cost_usd=cost_usd(body, response.headers))
    if find_job_error(response, body):
        return failure(response, body)
    return Unusable("bad_response", f"no mesh in the reply: {shown(response)}")
