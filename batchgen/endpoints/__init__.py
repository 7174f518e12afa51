"""The API families: what each sends, and what its replies mean.

A family is a module with the two functions of `Endpoint`; both are functions of values, without
I/O. The first asynchronous family adds `build_poll(remote_id) -> HttpRequest`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from batchgen.endpoints import edits, images
from batchgen.types import Finished, HttpRequest, HttpResponse, Pending, Task, Unusable


class Endpoint(Protocol):
    """The adapter for one API family."""

    name: str

    def build_request(self, task: Task) -> HttpRequest:
        """Make the request of a task; the same task always gives the same request."""

    def parse_response(self, response: HttpResponse) -> Finished | Pending | Unusable:
        """Read a 2xx reply; never raises, whatever the bytes."""


ENDPOINTS: Mapping[str, Endpoint] = MappingProxyType({images.name: images, edits.name: edits})

_BY_PATH = MappingProxyType({images.PATH: images.name, edits.PATH: edits.name})


def for_path(path: str) -> str | None:
    """The family that answers at a path such as the `url` of an OpenAI Batch line, else None.

    The vendor's server also answers without the version: `/images/generations`.
    """
    bare = "/" + path.strip().strip("/")
    return _BY_PATH.get(bare) or _BY_PATH.get("/v1" + bare)
