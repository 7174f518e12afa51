"""The roles of the parts that send requests and that store artifacts."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from batchgen.types import (
    Artifact,
    Decision,
    Finished,
    GeneratedPayload,
    HttpRequest,
    HttpResponse,
    Outcome,
    Pending,
    Polling,
    Reply,
    Spooled,
    Task,
    Unusable,
)


class Store(Protocol):
    """Keeps payloads as artifacts."""

    async def publish(
        self, payload: Spooled | GeneratedPayload, filename: str, n: int
    ) -> Artifact: ...

    def settle(self, paths: Iterable[str]) -> None: ...

    def discard(self, spooled: Spooled) -> None: ...


class Adapter(Protocol):
    """Puts a task into the provider's words and reads its replies."""

    def requests(self, task: Task) -> Sequence[HttpRequest]: ...

    def parse(self, task: Task, response: HttpResponse) -> Finished | Pending | Unusable: ...

    def parse_upload(
        self, task: Task, request: HttpRequest, response: HttpResponse
    ) -> Finished | Unusable: ...

    def poll(self, task: Task, remote_id: str) -> HttpRequest: ...

    def parse_poll(self, task: Task, response: HttpResponse) -> Finished | Pending | Unusable: ...

    def polling(self, task: Task) -> Polling | None: ...


class Ledger(Protocol):
    """Commits the steps of a task; every method returns after COMMIT."""

    async def sent(
        self, task: Task, generation: int, *, attempts: int, now: datetime, idempotency_key: str
    ) -> None: ...

    async def submitted(self, task: Task, remote_id: str, decision: Decision) -> None: ...

    async def received(self, task: Task, finished: Finished, outcome: Outcome) -> None: ...

    async def part_done(self, task: Task, generation: int, parts: Sequence[Outcome]) -> None: ...


class Admission(Protocol):
    """Says when, and whether, the next request may go out."""

    async def admit(self, task: Task) -> Decision | None: ...

    def stopping(self) -> bool: ...

    def leaving(self) -> bool: ...

    def record_poll(self, task: Task, decision: Decision) -> None: ...

    def tell(self, task: Task, attempt: int, decision: Decision, reply: Reply) -> None: ...
