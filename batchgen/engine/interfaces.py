"""Protocols of the parts that carry out a task."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from batchgen.engine.throttle import BudgetSpentError
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
    """Stores payloads as artifacts."""

    async def publish(
        self, payload: Spooled | GeneratedPayload, filename: str, n: int
    ) -> Artifact: ...

    def confirm(self, paths: Iterable[str]) -> None: ...

    def discard(self, spooled: Spooled) -> None: ...


class Adapter(Protocol):
    """Builds a task's requests for the provider and parses the replies."""

    def requests(self, task: Task) -> Sequence[HttpRequest]: ...

    def parse(self, task: Task, response: HttpResponse) -> Finished | Pending | Unusable: ...

    def parse_upload(
        self, task: Task, request: HttpRequest, response: HttpResponse
    ) -> Finished | Unusable: ...

    def poll(self, task: Task, remote_id: str) -> HttpRequest: ...

    def parse_poll(self, task: Task, response: HttpResponse) -> Finished | Pending | Unusable: ...

    def polling(self, task: Task) -> Polling | None: ...


class Ledger(Protocol):
    """Commits the steps of a task; every method returns after the COMMIT."""

    async def record_sent(  # noqa: PLR0913  # all but two are keyword-only
        self,
        task: Task,
        generation: int,
        *,
        attempts: int,
        now: datetime,
        idempotency_key: str,
        spent_usd: float,
    ) -> None: ...

    async def record_submitted(self, task: Task, remote_id: str, decision: Decision) -> None: ...

    async def record_received(self, task: Task, finished: Finished, outcome: Outcome) -> None: ...

    async def record_part(self, task: Task, generation: int, parts: Sequence[Outcome]) -> None: ...


class Replies(Protocol):
    """Keeps paid replies that could not be used."""

    async def keep(self, task: Task, generation: int, part: int, reply: HttpResponse) -> str: ...

    async def read(self, path: str) -> HttpResponse | None: ...


class Admission(Protocol):
    """Decides when, and whether, the next request may be sent."""

    async def acquire(self, task: Task) -> Decision | None: ...

    def leave(self, task: Task) -> None: ...

    def refuse(self, error: BudgetSpentError) -> Decision: ...

    def is_stopping(self) -> bool: ...

    def abandons_remote(self) -> bool: ...

    def record_poll(self, task: Task, decision: Decision) -> None: ...

    def record_download(self, task: Task, decision: Decision) -> None: ...

    def record_attempt(
        self, task: Task, attempt: int, decision: Decision, reply: Reply
    ) -> None: ...
