"""The API families: how each builds its requests and reads its replies.

A family is a module with the functions of `Endpoint`: pure functions of values, without I/O. A
family whose results arrive later has those of `RemoteEndpoint` too.
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
        """Return the request of a task; equal tasks have equal requests.

        prompt_name: the model's name for the prompt.
        """

    def parse_response(self, response: HttpResponse) -> Finished | Pending | Unusable:
        """Read a 2xx reply; never raise an error."""


class RemoteEndpoint(Endpoint, Protocol):
    """The adapter for a family whose replies name a remote job, which is polled for its result."""

    POLLING: Polling

    def build_poll(self, path: str, remote_id: str) -> HttpRequest:
        """Return the request for the state of a job that was submitted at `path`."""

    def parse_poll(self, response: HttpResponse) -> Finished | Pending | Unusable:
        """Read a 2xx reply to a poll; never raise an error."""


class TaskReader(Endpoint, Protocol):
    """The adapter for a family whose replies are compared with their tasks."""

    def parse_for_task(self, task: Task, response: HttpResponse) -> Finished | Unusable:
        """Read a 2xx reply to a task's request; never raise an error."""


class Uploader(Endpoint, Protocol):
    """The adapter for a family that may have to upload files before a task's request."""

    def build_uploads(self, task: Task) -> tuple[HttpRequest, ...]:
        """Return the uploads; `build_request` leaves places for the ids that they return."""

    def parse_upload(self, request: HttpRequest, response: HttpResponse) -> Finished | Unusable:
        """Read a 2xx reply to an upload; never raise an error."""


_REMOTE: tuple[RemoteEndpoint, ...] = (video, music, stt)
_ALL: tuple[Endpoint, ...] = (
    images, edits, *_REMOTE, tts, three_d, ocr, embeddings, chat, moderation,
)  # fmt: skip

DEFAULT_ENDPOINT = "images"  # for models that are not in the catalogue
ENDPOINTS: Mapping[str, Endpoint] = MappingProxyType({family.name: family for family in _ALL})
REMOTE: Mapping[str, RemoteEndpoint] = MappingProxyType({f.name: f for f in _REMOTE})
UPLOADERS: Mapping[str, Uploader] = MappingProxyType({music.name: music})
_TASK_READERS: tuple[TaskReader, ...] = (images, edits, embeddings)
TASK_READERS: Mapping[str, TaskReader] = MappingProxyType({f.name: f for f in _TASK_READERS})

_BY_PATH = MappingProxyType({f.PATH: f.name for f in (images, edits, embeddings, chat)})


def family_of_path(path: str) -> str | None:
    """Return the family of a path such as the `url` of an OpenAI Batch line; None if unknown.

    The path may lack the version, as the vendor's server allows: `/images/generations`.
    """
    bare = "/" + path.strip().strip("/")
    return _BY_PATH.get(bare) or _BY_PATH.get("/v1" + bare)
