"""The API families: what each sends, and what its replies mean.

A family is a module with the functions of `Endpoint`; they are functions of values, without I/O.
Where the provider answers later, it has those of `RemoteEndpoint` too.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from batchgen.provider.endpoints import (
    chat,
    edits,
    embeddings,
    images,
    moderation,
    music,
    ocr,
    stt,
    three_d,
    tts,
    video,
)
from batchgen.types import Finished, HttpRequest, HttpResponse, Pending, Polling, Task, Unusable


class Endpoint(Protocol):
    """The adapter for one API family."""

    name: str
    PATH: str

    def build_request(self, task: Task, prompt_name: str = ...) -> HttpRequest:
        """Make the request of a task; the same task always gives the same request.

        prompt_name: what the model calls the prompt.
        """

    def parse_response(self, response: HttpResponse) -> Finished | Pending | Unusable:
        """Read a 2xx reply; never raises, whatever the bytes."""


class RemoteEndpoint(Endpoint, Protocol):
    """The adapter for a family whose replies name a job, which is asked for its result later."""

    POLLING: Polling

    def build_poll(self, path: str, remote_id: str) -> HttpRequest:
        """Ask for a job that was submitted at `path`."""

    def parse_poll(self, response: HttpResponse) -> Finished | Pending | Unusable:
        """Read a 2xx reply to that; never raises, whatever the bytes."""


class TaskReader(Endpoint, Protocol):
    """The adapter for a family whose replies are held against what was asked for."""

    def parse_for_task(self, task: Task, response: HttpResponse) -> Finished | Unusable:
        """Read a 2xx reply to a task's request; never raises, whatever the bytes."""


class Uploader(Endpoint, Protocol):
    """The adapter for a family that may have to upload files before a task's request."""

    def build_uploads(self, task: Task) -> tuple[HttpRequest, ...]:
        """The uploads; what they bring stands open in the request of `build_request`."""

    def parse_upload(self, request: HttpRequest, response: HttpResponse) -> Finished | Unusable:
        """Read a 2xx reply to one of them; never raises, whatever the bytes."""


_REMOTE: tuple[RemoteEndpoint, ...] = (video, music, stt)
_ALL: tuple[Endpoint, ...] = (
    images, edits, *_REMOTE, tts, three_d, ocr, embeddings, chat, moderation,
)  # fmt: skip

DEFAULT_ENDPOINT = "images"  # of models that the catalogue does not know
ENDPOINTS: Mapping[str, Endpoint] = MappingProxyType({one.name: one for one in _ALL})
REMOTE: Mapping[str, RemoteEndpoint] = MappingProxyType({one.name: one for one in _REMOTE})
UPLOADERS: Mapping[str, Uploader] = MappingProxyType({music.name: music})
TASK_READERS: Mapping[str, TaskReader] = MappingProxyType({embeddings.name: embeddings})

_BY_PATH = MappingProxyType({one.PATH: one.name for one in (images, edits, embeddings, chat)})


def family_of_path(path: str) -> str | None:
    """The family that answers at a path such as the `url` of an OpenAI Batch line, else None.

    The vendor's server also answers without the version: `/images/generations`.
    """
    bare = "/" + path.strip().strip("/")
    return _BY_PATH.get(bare) or _BY_PATH.get("/v1" + bare)
