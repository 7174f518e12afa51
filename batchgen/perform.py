"""The straight path of one task: requests, attempts, payloads, artifacts, outcome.

Collaborators are small protocols, so that this path is tested without network and waiting.
Failures of a task are values here; StorageError is the only exception that leaves on purpose.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from hashlib import sha256
from itertools import count
from typing import Protocol, assert_never

from batchgen.clock import Clock
from batchgen.expiry import expires_at
from batchgen.labels import unlabelled
from batchgen.media import sniff
from batchgen.retry import Attempt, classify, persist, policy
from batchgen.types import (
    Artifact,
    Decision,
    Finished,
    HttpRequest,
    HttpResponse,
    Outcome,
    Pending,
    Phase,
    Prior,
    Remote,
    Reply,
    RetrySettings,
    Spooled,
    Status,
    Task,
    TaskError,
    Unusable,
    Verb,
    Work,
)

_GONE = frozenset({"expired", "unsafe_url"})  # why a URL is not asked again by the next run
STOPPING = "stopping"  # the kind of a Decision that was made because the run is ending


class Dialect(Protocol):
    """Puts a task into the provider's words and reads its replies."""

    def requests(self, task: Task) -> Sequence[HttpRequest]: ...

    def parse(self, task: Task, response: HttpResponse) -> Finished | Pending | Unusable: ...


class Transport(Protocol):
    """Sends requests to the provider and fetches what its replies point to."""

    async def send(self, request: HttpRequest, idempotency_key: str) -> Reply: ...

    async def fetch(self, url: str) -> Reply: ...


class Store(Protocol):
    """Keeps payloads as artifacts."""

    async def publish(self, spooled: Spooled, filename: str, n: int) -> Artifact: ...

    def settle(self, artifacts: Iterable[Artifact]) -> None: ...

    def discard(self, spooled: Spooled) -> None: ...


class Ledger(Protocol):
    """Commits the steps of a task; every method returns after COMMIT."""

    async def sent(
        self, task: Task, generation: int, *, attempts: int, now: datetime, idempotency_key: str
    ) -> None: ...

    async def received(self, task: Task, finished: Finished, outcome: Outcome) -> None: ...

    async def part_done(self, task: Task, generation: int, parts: Sequence[Outcome]) -> None: ...


class Permits(Protocol):
    """Says when, and whether, the next request may go out."""

    async def admit(self, task: Task) -> Decision | None: ...

    def stopping(self) -> bool: ...

    def tell(self, task: Task, attempt: int, decision: Decision, reply: Reply) -> None: ...


@dataclass(slots=True)
class _Progress:
    """What the attempts of one task have come to so far."""

    attempts: int
    started_at: datetime
    started: float
    remembered: Decision | None  # a reply that an earlier run received and did not get to store
    ambiguous: bool = False  # an attempt without a usable reply may have been carried out


@dataclass(frozen=True, slots=True)
class _Part:
    """One request of a task, counted from 0; its artifacts are numbered from `first`."""

    number: int
    request: HttpRequest
    first: int


@dataclass(frozen=True, slots=True)
class _Stored:
    """The artifacts of a reply, up to the download that failed if one did."""

    artifacts: list[Artifact]
    failed: Decision | None = None


@dataclass(frozen=True, slots=True)
class Performer:
    """Carries tasks along the straight path.

    identity: what makes idempotency keys unique to this ledger.
    sleep: waits between attempts, or returns early when the run is stopping.
    label: puts a picture's story into it before it is published, where the job asks for that.
    """

    dialect: Dialect
    transport: Transport
    store: Store
    ledger: Ledger
    permits: Permits
    retry: RetrySettings
    clock: Clock
    identity: str
    sleep: Callable[[float], Awaitable[None]]
    random: Callable[[], float]
    label: Callable[[Spooled, Task, Finished], Awaitable[Spooled]] = unlabelled

    async def perform(self, work: Work) -> Outcome:
        """Carry a task through its requests, one after the other; return its outcome.

        What a request brought is committed before the next one is sent, so that a crash between
        two of them leaves only the missing ones to do.
        """
        progress = self._begin(work)
        parts = list(_parts_done(work))
        requests = self.dialect.requests(work.task)
        for number in range(len(parts), len(requests)):
            first = 1 + sum(len(part.artifacts) for part in parts)
            part = _Part(number, requests[number], first)
            parts.append(await self._carry_out(work, part, progress))
            if parts[-1].status is not Status.SUCCEEDED:
                break
            if number + 1 < len(requests):
                await self.ledger.part_done(work.task, work.generation, parts)
        return self._ended(united(parts), progress)

    async def _carry_out(self, work: Work, part: _Part, progress: _Progress) -> Outcome:
        """One request of a task: attempts, payloads and artifacts."""
        remembered, progress.remembered = progress.remembered, None
        decision = remembered or await self._submit(work, part, progress)
        match decision.result:
            case Finished() as finished if decision.verb is Verb.ACCEPT:
                outcome = _accepted(finished, decision)
            case Pending():
                raise NotImplementedError("no family of this version answers with a remote id")
            case _:
                return _unaccepted(decision, progress)
        progress.ambiguous = False
        remote = all(isinstance(payload, Remote) for payload in finished.payloads)
        if remote and remembered is None:
            await self.ledger.received(work.task, finished, outcome)
        gone = remembered and _expired(finished, self.clock.now())
        stored = _Stored([], gone) if gone else await self._store(work, finished, part.first)
        if stored.failed is not None:
            return _not_fetched(outcome, stored, again=remote)
        return replace(outcome, artifacts=tuple(stored.artifacts))

    def _begin(self, work: Work) -> _Progress:
        prior = _same_generation(work)
        unsure = prior is not None and prior.status is Status.UNKNOWN
        return _Progress(
            sent_before(work),
            self.clock.now(),
            self.clock.monotonic(),
            _remembered(prior),
            unsure,
        )

    async def _submit(self, work: Work, part: _Part, progress: _Progress) -> Decision:
        """Send the request as often as the rules allow; return the last decision."""
        task = work.task
        key = idempotency_key(self.identity, task, work.generation, part.number)

        async def attempt() -> Decision:
            refusal = await self.permits.admit(task)
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
            decision = self._classify(reply, partial(self.dialect.parse, task), task, Phase.SUBMIT)
            progress.ambiguous = progress.ambiguous or decision.sent
            self.permits.tell(task, progress.attempts, decision, reply)
            return decision

        return await self._persist(attempt)

    async def _store(self, work: Work, finished: Finished, first: int) -> _Stored:
        """Fetch what is remote and publish every payload, up to a download that fails."""
        stored = _Stored([])
        filename = versioned(work.task.filename, work.generation)
        for n, payload in enumerate(finished.payloads, first):
            match payload:
                case Spooled():
                    spooled = payload
                case Remote(url):
                    fetched = await self._download(work.task, url)
                    if not isinstance(fetched, Spooled):
                        return replace(stored, failed=fetched)
                    spooled = fetched
                case _:
                    assert_never(payload)
            labelled = await self.label(spooled, work.task, finished)
            artifact = await self.store.publish(labelled, filename, n)
            stored.artifacts.append(artifact)
        return stored

    async def _download(self, task: Task, url: str) -> Spooled | Decision:
        tries = count()

        async def attempt() -> Decision:
            if next(tries) and self.permits.stopping():
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
        if sniff(payload.head) is None:
            return Unusable("bad_response", f"the file is not an image: {payload.head[:24]!r}")
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


def sent_before(work: Work) -> int:
    """How many requests earlier runs have sent for the generation to be made."""
    prior = _same_generation(work)
    return 0 if prior is None else prior.attempts


def _same_generation(work: Work) -> Prior | None:
    prior = work.prior
    return prior if prior is not None and prior.generation == work.generation else None


def _remembered(prior: Prior | None) -> Decision | None:
    if prior is None or prior.status is not Status.RECEIVED or prior.received is None:
        return None
    return Decision(Verb.ACCEPT, result=prior.received)


def _expired(finished: Finished, now: datetime) -> Decision | None:
    """Why there is no use in asking for what an earlier run received; None where there may be.

    A URL of this run is asked for whatever it says: the clock of this machine may be wrong.
    """
    ends = [expires_at(payload.url) for payload in finished.payloads if isinstance(payload, Remote)]
    passed = [end for end in ends if end is not None and end <= now]
    if not passed or len(passed) < len(ends):
        return None
    told = f"the URL worked until {min(passed):%Y-%m-%d %H:%M:%S} UTC and was not fetched in time"
    return Decision(Verb.FAIL, "expired", message=told)


def _parts_done(work: Work) -> Sequence[Outcome]:
    """What earlier runs got of the same request; an earlier generation's is paid for there."""
    prior = work.prior
    if prior is None or prior.digest != work.task.digest:
        return ()
    if prior.generation == work.generation:
        return prior.parts
    return [replace(part, cost_usd=0.0) for part in prior.parts]


def united(parts: Sequence[Outcome]) -> Outcome:
    """The outcome of a task from those of its requests: the last one's, with what all brought."""
    last = parts[-1]
    if len(parts) == 1:
        return last
    costs = [part.cost_usd for part in parts if part.status is Status.SUCCEEDED]
    known = [cost for cost in costs if cost is not None]
    revised = (part.revised_prompt for part in parts if part.revised_prompt is not None)
    return replace(
        last,
        artifacts=tuple(artifact for part in parts for artifact in part.artifacts),
        revised_prompt=next(revised, None),
        cost_usd=sum(known) if known and len(known) == len(costs) else None,
    )


def idempotency_key(identity: str, task: Task, generation: int, part: int = 0) -> str:
    """The key of one intended generation: the same over attempts, restarts and reordering.

    `identity` is the ledger's own, so that equal rows of two jobs never share a result. `part`
    counts the requests of a task that takes several.
    """
    parts = (identity, task.key, task.digest, str(generation), *([str(part)] if part else []))
    return "bg-" + sha256("\0".join(parts).encode()).hexdigest()[:40]


def versioned(filename: str, generation: int) -> str:
    """The file name of a generation: a later one never takes the name of an earlier one."""
    if generation == 1:
        return filename
    stem, dot, extension = filename.rpartition(".{ext}")
    return f"{stem}.v{generation}{dot}{extension}" if dot else f"{filename}.v{generation}"


def _accepted(finished: Finished, decision: Decision) -> Outcome:
    return Outcome(
        Status.SUCCEEDED,
        http_status=decision.http_status,
        request_id=decision.request_id,
        revised_prompt=finished.revised_prompt,
        seed=finished.seed,
        cost_usd=finished.cost_usd,
    )


def _unaccepted(decision: Decision, progress: _Progress) -> Outcome:
    """What a task is after its last attempt was not accepted."""
    match decision.verb:
        case Verb.FAIL:
            status = Status.FAILED
        case Verb.REFUSE:
            status = Status.REFUSED
        case Verb.RETRY:
            status = Status.UNKNOWN if progress.ambiguous else Status.FAILED
        case Verb.HALT | Verb.ACCEPT:
            status = Status.UNKNOWN if progress.ambiguous else Status.PENDING
        case _:
            assert_never(decision.verb)
    error = TaskError(decision.kind, decision.code, decision.message)
    return Outcome(
        status,
        error=None if decision.kind == STOPPING else error,
        http_status=decision.http_status,
        request_id=decision.request_id,
    )


def _not_fetched(accepted: Outcome, stored: _Stored, *, again: bool) -> Outcome:
    """A result of which a URL gave no bytes: gone for good, or left for the next run to fetch.

    again: the next run can fetch all of it; then it takes over what was stored before.
    """
    decision = stored.failed or Decision(Verb.HALT, STOPPING)
    gone = decision.kind in _GONE or not again
    error = TaskError(decision.kind, decision.code, decision.message)
    return replace(
        accepted,
        status=Status.FAILED if gone else Status.RECEIVED,
        artifacts=tuple(stored.artifacts) if gone else (),
        error=None if decision.kind == STOPPING else error,
        http_status=decision.http_status,
    )
