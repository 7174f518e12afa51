"""The 3D family: images in, files of meshes back, at the path of the images family.

TripoSR names its file `model_mesh`, Hunyuan names four (`segmented_mesh`, `mask_1_mesh`, ...), the
general schema lists them in `data` (https://docs.aimlapi.com, "3D-generating models").
"""

from batchgen.provider.endpoints.replies import (
    JsonObject,
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
from batchgen.types import Finished, HttpRequest, HttpResponse, Payload, Task, Unusable

name: str = "3d"
PATH: str = "/v1/images/generations"


def build_request(task: Task, prompt_name: str = "prompt") -> HttpRequest:
    """Return the request of a task; parameters that are None count as absent."""
    return build_post(task, PATH, prompt_name)


def parse_response(response: HttpResponse) -> Finished | Unusable:
    """Read a 2xx reply with any number of files; never raise an error."""
    if is_raw_file(response):
        return read_raw_file(response, "model")
    body = read_object(response, "mesh")
    if isinstance(body, Unusable):
        return body
    meshes = () if body.get("error") else _find(body, response)
    if meshes:
        return Finished(meshes, cost_usd=cost_usd(body, response.headers))
    if find_job_error(response, body):
        return remote_failure(response, body)
    return Unusable("bad_response", f"no mesh in the reply: {excerpt(response)}")


def _find(body: JsonObject, response: HttpResponse) -> tuple[Payload, ...]:
    return find_results(body, response=response, names=tuple(body), family="model")
