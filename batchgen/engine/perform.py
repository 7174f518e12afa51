"""The straight path of one task: requests, attempts, payloads, artifacts, outcome.

Collaborators are small protocols, so that this path is tested without network and waiting.
Failures of a task are values here; StorageError is the only exception that leaves on purpose.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from itertools import count
from typing import assert_never

import msgspec
from msgspec.structs import replace

from batchgen.engine.clock import Clock
from batchgen.engine.decisions import classify
from batchgen.engine.interfaces import Adapter, Admission, Ledger, Store
from batchgen.engine.outcomes import (
    accepted,
    expired,
    filled,
    idempotency_key,
    not_fetched,
    parts_done,
    remembered,
    same_generation,
    sent_before,
    unaccepted,
    united,
    versioned,
)
from batchgen.engine.polling import result_of, unless_leaving
from batchgen.engine.retry import Attempt, persist, policy
from batchgen.http.service import Transport
from batchgen.media.formats import received_type
from batchgen.storage.label import unlabelled
from batchgen.types import (
    STOPPING,
    Artifact,
    Decision,
    Finished,
    GeneratedPayload,
    HttpRequest,
    HttpResponse,
    Outcome,
    Pending,
    Phase,
    RemotePayload,
    Reply,
    RetrySettings,
    Spooled,
    Status,
    Task,
    Unusable,
    Verb,
    WorkItem,
)


class _Progress(msgspec.Struct):
    """What the attempts of one task have come to so far."""

    attempts: int
    started_at: datetime
    started: float
    remembered: Decision | None  # a reply that an earlier run received and did not get to store
    idle: Callable[[], None]  # called when all there is to do for a while is to wait
    ambiguous: bool = False  # an attempt without a usable reply may have been carried out
    submitted: bool = False  # the provider works on it, and its remote id is in the ledger


class _Part(msgspec.Struct, frozen=True):
    """One request of a task, counted from 0; its artifacts are numbered from `first`."""

    number: int
    request: HttpRequest
    first: int


class _Stored(msgspec.Struct, frozen=True):
    """The artifacts of a reply, up to the download that failed if one did."""

    artifacts: list[Artifact]
    failed: Decision | None = None


class Performer(msgspec.Struct, frozen=True):
    """Carries tasks along the straight path.

    identity: what makes idempotency keys unique to this ledger.
    sleep: waits between attempts, or returns early when the run is stopping.
    wait: waits for what the provider works on, or returns early when that is left.
    label: puts a picture's story into it before it is published, where the job asks for that.
    """

    adapter: Adapter
    transport: Transport
    store: Store
    ledger: Ledger
    admission: Admission
    retry: RetrySettings
    clock: Clock
    identity: str
    sleep: Callable[[float], Awaitable[None]]
    wait: Callable[[float], Awaitable[None]]
    random: Callable[[], float]
    label: Callable[[Spooled, Task, Finished], Awaitable[Spooled]] = unlabelled

    def waits(self, task: Task) -> bool:
        """Whether the provider answers with a remote id first, and with the result later."""
        return self.adapter.polling(task) is not None

    async def perform(self, work: WorkItem, idle: Callable[[], None] = lambda: None) -> Outcome:
        """Carry a task through its requests, one after the other; return its outcome.

        What a request brought is committed before the next one is sent, so that a crash between
        two of them leaves only the missing ones to do.

        idle: called when the provider works on the task and its worker may take another one.
        """
        progress = self._begin(work, idle)
        parts = list(parts_done(work))
        requests = self.adapter.requests(work.task)
        for number in range(len(parts), len(requests)):
            first = 1 + sum(len(part.artifacts) for part in parts)
            part = _Part(number, filled(requests[number], parts), first)
            parts.append(await self._carry_out(work, part, progress))
            if parts[-1].status is not Status.SUCCEEDED:
                break
            if number + 1 < len(requests):
                await self.ledger.part_done(work.task, work.generation, parts)
        return self._ended(united(parts), progress)

    async def _carry_out(self, work: WorkItem, part: _Part, progress: _Progress) -> Outcome:
        """One request of a task: attempts, payloads and artifacts."""
        earlier, progress.remembered = progress.remembered, None
        decision = earlier or await self._submit(work, part, progress)
        if isinstance(decision.result, Pending) and decision.verb is Verb.ACCEPT:
            decision = await self._result_of(work.task, decision.result, decision, progress)
        finished = decision.result
        if decision.verb is not Verb.ACCEPT or not isinstance(finished, Finished):
            return unaccepted(decision, ambiguous=progress.ambiguous, submitted=progress.submitted)
        outcome = accepted(finished, decision)
        progress.ambiguous = progress.submitted = False
        urls = [payload for payload in finished.payloads if isinstance(payload, RemotePayload)]
        remote = len(urls) == len(finished.payloads) > 0
        if remote and decision is not earlier:
            await self.ledger.received(work.task, finished, outcome)
        gone = expired(finished, self.clock.now()) if decision is earlier else None
        stored = _Stored([], gone) if gone else await self._store(work, finished, part.first)
        if stored.failed is not None:
            return not_fetched(outcome, stored.artifacts, stored.failed, again=remote)
        return replace(outcome, artifacts=tuple(stored.artifacts))

    def _begin(self, work: WorkItem, idle: Callable[[], None]) -> _Progress:
        prior = same_generation(work)
        unsure = prior is not None and prior.status is Status.UNKNOWN
        return _Progress(
            sent_before(work),
            self.clock.now(),
            self.clock.monotonic(),
            remembered(prior),
            idle,
            unsure,
        )

    async def _submit(self, work: WorkItem, part: _Part, progress: _Progress) -> Decision:
        """Send the request as often as the rules allow; return the last decision."""
        task = work.task
        key = idempotency_key(self.identity, task, work.generation, part.number)

        async def attempt() -> Decision:
            refusal = await self.admission.admit(task)
            if refusal is not None:
                return refusal
            progress.attempts += 1
            await self.ledger.sent(
                task,
                work.generation,
                attempts=progress.attempts,
                now=progress.started_at,
                idempotency_key=key,
            )
            reply = await self.transport.send(part.request, key)
            decision = self._classify(reply, self._parse_of(task, part), task, Phase.SUBMIT)
            progress.ambiguous = progress.ambiguous or decision.sent
            self.admission.tell(task, progress.attempts, decision, reply)
            return decision

        return await self._persist(attempt)

    def _parse_of(
        self, task: Task, part: _Part
    ) -> Callable[[HttpResponse], Finished | Pending | Unusable]:
        if part.request.required_ids:
            return partial(self.adapter.parse_upload, task, part.request)
        return partial(self.adapter.parse, task)

    async def _result_of(
        self, task: Task, pending: Pending, submitted: Decision, progress: _Progress
    ) -> Decision:
        """Commit the remote id, then ask for the result until there is one."""
        polling = self.adapter.polling(task)
        if polling is None:
            raise RuntimeError(f"{task.endpoint} answers with a remote id and cannot be asked")
        await self.ledger.submitted(task, pending.remote_id, submitted)
        progress.submitted = progress.ambiguous = True
        request = self.adapter.poll(task, pending.remote_id)

        async def ask() -> Decision:
            sending = self.transport.send(request, "")
            reply = await (
                unless_leaving(sending, self.wait) if request.long_poll_path else sending
            )
            if reply is None:
                return Decision(Verb.HALT, STOPPING)
            parse = partial(self.adapter.parse_poll, task)
            decision = self._classify(reply, parse, task, Phase.POLL)
            self.admission.record_poll(task, decision)
            return decision

        async def wait(seconds: float) -> None:
            if seconds > 0:
                progress.idle()
                await self.wait(seconds)

        first_s = polling.first_s if submitted.after_s is None else submitted.after_s
        return await result_of(
            ask, polling, after_s=first_s, clock=self.clock, wait=wait,
            leaving=self.admission.leaving,
        )  # fmt: skip

    async def _store(self, work: WorkItem, finished: Finished, first: int) -> _Stored:
        """Fetch what is remote and publish every payload, up to a download that fails."""
        stored = _Stored([])
        held: Spooled | GeneratedPayload
        filename = versioned(work.task.filename, work.generation)
        for n, payload in enumerate(finished.payloads, first):
            match payload:
                case Spooled() | GeneratedPayload():
                    held = payload
                case RemotePayload(url):
                    fetched = await self._download(work.task, url)
                    if not isinstance(fetched, Spooled):
                        return _Stored(stored.artifacts, fetched)
                    held = fetched
                case _:
                    assert_never(payload)
            if isinstance(held, Spooled):
                held = await self.label(held, work.task, finished)
            artifact = await self.store.publish(held, filename, n)
            stored.artifacts.append(artifact)
        return stored

    async def _download(self, task: Task, url: str) -> Spooled | Decision:
        tries = count()

        async def attempt() -> Decision:
            if next(tries) and self.admission.stopping():
                return Decision(Verb.HALT, STOPPING)
            reply = await self.transport.fetch(url)
            return self._classify(reply, self._parse_download, task, Phase.DOWNLOAD)

        decision = await self._persist(attempt)
        if decision.verb is Verb.ACCEPT and isinstance(decision.result, Finished):
            payload = decision.result.payloads[0]
            if isinstance(payload, Spooled):
                return payload
        return decision

    @staticmethod
    def _parse_download(response: HttpResponse) -> Finished | Unusable:
        payload = response.payloads[0]
        if received_type(payload.head, payload.media_type) is None:
            head = payload.head[:24]
            return Unusable("bad_response", f"a file of no known type: {head!r}")
        return Finished((payload,))

    def _classify(
        self,
        reply: Reply,
        parse: Callable[[HttpResponse], Finished | Pending | Unusable],
        task: Task,
        phase: Phase,
    ) -> Decision:
        decision = classify(
            reply,
            parse=parse,
            settings=self.retry,
            phase=phase,
            model=task.model,
            now=self.clock.now(),
        )
        if isinstance(reply, HttpResponse):
            kept = decision.result.payloads if isinstance(decision.result, Finished) else ()
            for payload in reply.payloads:
                if payload not in kept:
                    self.store.discard(payload)
        return decision

    async def _persist(self, attempt: Attempt) -> Decision:
        return await persist(
            attempt, lambda: policy(self.retry, sleep=self.sleep, random=self.random)
        )

    def _ended(self, outcome: Outcome, progress: _Progress) -> Outcome:
        return replace(
            outcome,
            attempts=progress.attempts,
            started_at=progress.started_at,
            finished_at=self.clock.now(),
            duration_s=round(self.clock.monotonic() - progress.started, 3),
        )
