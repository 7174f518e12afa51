"""Performs one task: sends its requests, awaits the results and stores the payloads.

A task takes one request or several. Each is sent until a reply is accepted. If the reply names a
remote job, the job is polled until it ends. The payloads are then fetched and stored, and the
caller commits the outcome.

The collaborators are small protocols, so that tests need no network and no waiting. Failures of a
task are values; StorageError is the only exception that is raised on purpose.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias, assert_never

import msgspec
from msgspec.structs import replace

from batchgen.engine.clock import Clock
from batchgen.engine.decisions import classify
from batchgen.engine.fewer import may_be_fewer, price_of_images, with_missing_images
from batchgen.engine.held_reply import HeldReply, discard_unused
from batchgen.engine.interfaces import Adapter, Admission, Ledger, Replies, Store
from batchgen.engine.kept_replies import KeptReply
from batchgen.engine.outcomes import (
    accepted_outcome,
    earlier_attempts,
    earlier_decision,
    expiry_failure,
    fill_uploads,
    idempotency_key,
    merge_parts,
    parts_done,
    prior_of_generation,
    unaccepted_outcome,
    unfetched_outcome,
    versioned,
)
from batchgen.engine.patience import fetch_patiently
from batchgen.engine.polling import poll_until_done, send_unless_abandoned
from batchgen.engine.retry import Attempt, retry_policy, run_attempts
from batchgen.engine.risk import Risk, cost_of, request_prices, sent_once, settled
from batchgen.engine.task_state import Part, Stored, TaskState
from batchgen.engine.throttle import BudgetSpentError
from batchgen.engine.worklist.selection import OnUnknown
from batchgen.http.service import Transport
from batchgen.media.formats import received_type
from batchgen.storage.metadata import leave_unchanged
from batchgen.types import (
    STOPPING,
    Artifact,
    Decision,
    Finished,
    GeneratedPayload,
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

_Parse: TypeAlias = Callable[[HttpResponse], Finished | Pending | Unusable]


class Performer(msgspec.Struct, frozen=True):
    """Carries out tasks.

    identity: makes idempotency keys unique to this ledger.
    sleep: waits between attempts; returns early when the run is stopping.
    wait_for_remote: waits between polls; returns early when the run abandons remote jobs.
    embed_metadata: writes a task's metadata into a payload before it is published.
    fetch_deadline_s: how long a file that is not there yet is asked for.
    on_unknown: whether an attempt that may have been carried out is followed by another.
    """

    adapter: Adapter
    transport: Transport
    store: Store
    ledger: Ledger
    replies: Replies
    admission: Admission
    retry: RetrySettings
    clock: Clock
    identity: str
    sleep: Callable[[float], Awaitable[None]]
    wait_for_remote: Callable[[float], Awaitable[None]]
    random: Callable[[], float]
    embed_metadata: Callable[[Spooled, Task, Finished], Awaitable[Spooled]] = leave_unchanged
    fetch_deadline_s: float = 300.0
    on_unknown: OnUnknown = OnUnknown.RESEND

    def is_remote(self, task: Task) -> bool:
        """Return whether the provider replies with the id of a remote job, which is polled."""
        return self.adapter.polling(task) is not None

    async def perform(
        self,
        work: WorkItem,
        release_worker: Callable[[], None] = lambda: None,
        risk: Risk | None = None,
    ) -> Outcome:
        """Carry out the requests of a task one after the other; return its outcome.

        Each result is committed before the next request is sent, so that a crash between two
        requests leaves only the missing ones to do.

        release_worker: called when the task only waits for a remote job or for a file.
        risk: the money of the task; by default it has neither a price nor a limit.
        """
        risk = risk or Risk(None, prior_of_generation(work))
        state = self._start(work, release_worker, risk)
        parts = list(parts_done(work))
        requests = self.adapter.requests(work.task)
        prices = request_prices(risk.price_usd, requests)
        for number in range(len(parts), len(requests)):
            first = 1 + sum(len(part.artifacts) for part in parts)
            request = fill_uploads(requests[number], parts)
            part = Part(number, request, first, prices[number:])
            parts.append(await self._carry_out(work, part, state))
            if parts[-1].status is not Status.SUCCEEDED:
                break
            if number + 1 < len(requests):
                await self.ledger.record_part(work.task, work.generation, parts)
        outcome = with_missing_images(merge_parts(parts), work.task, state.missing)
        outcome = settled(outcome, self.on_unknown, submitted=state.submitted)
        return risk.charge(self._finish(outcome, state))

    def _start(self, work: WorkItem, release_worker: Callable[[], None], risk: Risk) -> TaskState:
        prior = prior_of_generation(work)
        return TaskState(
            earlier_attempts(work),
            self.clock.now(),
            self.clock.monotonic(),
            HeldReply(self.replies, self.store),
            earlier_decision(prior),
            release_worker,
            risk,
            ambiguous=prior is not None and prior.status is Status.UNKNOWN,
        )

    async def _carry_out(self, work: WorkItem, part: Part, state: TaskState) -> Outcome:
        """Send one request, await its result and store its payloads."""
        earlier, state.earlier = state.earlier, None
        earlier = earlier or await self._read_again(work, part)
        if earlier is not None:
            state.risk.reopen(cost_of(earlier.result, part.prices[0]))
        decision = earlier or await self._submit(work, part, state)
        if isinstance(decision.result, Pending) and decision.verb is Verb.ACCEPT:
            decision = await self._await_result(work.task, decision.result, decision, state)
            decision = _ended_if_unknown_twice(decision, work)
        finished = decision.result
        if decision.verb is not Verb.ACCEPT or not isinstance(finished, Finished):
            outcome = unaccepted_outcome(
                decision, ambiguous=state.ambiguous, submitted=state.submitted
            )
            return await state.held.keep(work, part.number, outcome)
        state.ambiguous = state.submitted = False
        state.missing += finished.missing
        price_usd = price_of_images(part.prices[0], finished, part.request, work.task)
        outcome = state.risk.accept(accepted_outcome(finished, decision), price_usd)
        saved = await self._save_result(
            work, part, finished, outcome, state=state, is_earlier=decision is earlier
        )
        if saved.status is Status.RECEIVED and decision is earlier and work.prior is not None:
            return replace(saved, reply=work.prior.reply)
        return saved

    async def _submit(self, work: WorkItem, part: Part, state: TaskState) -> Decision:
        """Send the request as often as the rules allow; return the last decision."""
        task = work.task
        key = idempotency_key(self.identity, task, work.generation, part.number)

        async def attempt() -> Decision:
            refusal = await self._admit(task, part, state)
            if refusal is not None:
                return refusal
            state.attempts += 1
            state.risk.open_attempt(part.prices[0])
            await self.ledger.record_sent(
                task,
                work.generation,
                attempts=state.attempts,
                now=state.started_at,
                idempotency_key=key,
                spent_usd=state.risk.spent_usd,
            )
            reply = await self.transport.send(part.request, key)
            decision = self._classify(reply, self._parser(task, part), task, Phase.SUBMIT)
            state.held.add(reply, decision, part.request)
            state.ambiguous = state.ambiguous or decision.sent
            await state.risk.close(decision, reply)
            self.admission.record_attempt(task, state.attempts, decision, reply)
            return sent_once(decision, self.on_unknown)

        try:
            return await self._run_attempts(attempt)
        finally:
            self.admission.leave(task)

    async def _admit(self, task: Task, part: Part, state: TaskState) -> Decision | None:
        """Reserve the price of an attempt and wait until it may be sent; return a refusal."""
        try:
            await state.risk.set_aside(part.prices)
        except BudgetSpentError as error:
            return self.admission.refuse(error)
        return await self.admission.acquire(task)

    async def _read_again(self, work: WorkItem, part: Part) -> Decision | None:
        """Return the decision about a kept reply that has a result; None if there is none."""
        prior = prior_of_generation(work)
        if prior is None or prior.status is not Status.RECEIVED or prior.received is not None:
            return None
        path = KeptReply(work.task.key, work.generation, part.number).path
        if prior.reply != path:
            return None
        reply = await self.replies.read(path)
        if reply is None:
            return Decision(Verb.FAIL, "bad_response", message=f"{path} is gone or was cut")
        decision = self._classify(reply, self._parser(work.task, part), work.task, Phase.SUBMIT)
        discard_unused(self.store, reply, decision)
        return decision

    async def _await_result(
        self, task: Task, pending: Pending, submitted: Decision, state: TaskState
    ) -> Decision:
        """Commit the id of the remote job, then poll it; return the last decision."""
        polling = self.adapter.polling(task)
        if polling is None:
            raise RuntimeError(f"{task.endpoint} replied with a remote id and cannot be polled")
        await self.ledger.record_submitted(task, pending.remote_id, submitted)
        state.submitted = state.ambiguous = True
        request = self.adapter.poll(task, pending.remote_id)
        parse = partial(self.adapter.parse_poll, task)

        async def poll() -> Decision:
            sending = self.transport.send(request, "")
            if request.long_poll_path:
                reply = await send_unless_abandoned(sending, self.wait_for_remote)
            else:
                reply = await sending
            if reply is None:
                return Decision(Verb.HALT, STOPPING)
            decision = self._classify(reply, parse, task, Phase.POLL)
            discard_unused(self.store, reply, decision)
            self.admission.record_poll(task, decision)
            return decision

        async def wait(seconds: float) -> None:
            if seconds > 0:
                state.release_worker()
                await self.wait_for_remote(seconds)

        first_s = polling.first_s if submitted.after_s is None else submitted.after_s
        last = await poll_until_done(
            poll, polling, after_s=first_s, clock=self.clock, wait=wait,
            is_abandoned=self.admission.abandons_remote,
        )  # fmt: skip
        if last.verb is Verb.HALT and last.kind != STOPPING:
            self.admission.record_poll(task, last)
        return last

    async def _save_result(  # noqa: PLR0913  # of one caller
        self,
        work: WorkItem,
        part: Part,
        finished: Finished,
        outcome: Outcome,
        *,
        state: TaskState,
        is_earlier: bool,
    ) -> Outcome:
        """Commit the URLs of a result, then store its payloads; return the final outcome.

        is_earlier: an earlier run has received it, so that its URLs may have expired.
        """
        urls = [payload for payload in finished.payloads if isinstance(payload, RemotePayload)]
        only_urls = len(urls) == len(finished.payloads) > 0
        if only_urls and not is_earlier:
            await self.ledger.record_received(work.task, finished, outcome)
        expired = expiry_failure(finished, self.clock.now()) if is_earlier else None
        stored = (
            Stored([], expired)
            if expired
            else await self._store_payloads(work, finished, part.first, state)
        )
        if stored.failed is not None:
            return unfetched_outcome(outcome, stored.artifacts, stored.failed, retryable=only_urls)
        return replace(outcome, artifacts=tuple(stored.artifacts))

    async def _store_payloads(
        self, work: WorkItem, finished: Finished, first: int, state: TaskState
    ) -> Stored:
        """Download remote payloads and publish all, up to a download that is left to the next run.

        An image that is gone for good is missing from a result with others.
        """
        stored: list[Artifact] = []
        gone: list[Decision] = []
        data: Spooled | GeneratedPayload
        filename = versioned(work.task.filename, work.generation)
        for payload in finished.payloads:
            match payload:
                case Spooled() | GeneratedPayload():
                    data = payload
                case RemotePayload(url):
                    fetched = await self._download(work.task, url, state)
                    if isinstance(fetched, Decision) and fetched.verb is Verb.FAIL:
                        gone.append(fetched)
                        continue
                    if isinstance(fetched, Decision):
                        return Stored(stored, fetched)
                    data = fetched
                case _:
                    assert_never(payload)
            if isinstance(data, Spooled):
                data = await self.embed_metadata(data, work.task, finished)
            stored.append(await self.store.publish(data, filename, first + len(stored)))
        if gone and not (stored and may_be_fewer(work.task)):
            return Stored(stored, gone[0])
        state.missing += tuple(f"{decision.kind}: {decision.message}" for decision in gone)
        return Stored(stored)

    async def _download(self, task: Task, url: str, state: TaskState) -> Spooled | Decision:
        """Fetch a URL with patience; return its bytes or the last decision."""

        async def attempt() -> Decision:
            reply = await self.transport.fetch(url)
            decision = self._classify(reply, _parse_download, task, Phase.DOWNLOAD)
            discard_unused(self.store, reply, decision)
            if decision.verb is not Verb.ACCEPT:
                self.admission.record_download(task, decision)
            return decision

        async def wait(seconds: float) -> None:
            state.release_worker()
            await self.wait_for_remote(seconds)

        decision = await fetch_patiently(
            attempt, deadline_s=self.fetch_deadline_s, clock=self.clock, wait=wait,
            is_abandoned=self.admission.abandons_remote, random=self.random,
        )  # fmt: skip
        if decision.verb is Verb.ACCEPT and isinstance(decision.result, Finished):
            payload = decision.result.payloads[0]
            if isinstance(payload, Spooled):
                return payload
        return decision

    def _finish(self, outcome: Outcome, state: TaskState) -> Outcome:
        return replace(
            outcome,
            attempts=state.attempts,
            started_at=state.started_at,
            finished_at=self.clock.now(),
            duration_s=round(self.clock.monotonic() - state.started_s, 3),
        )

    # Steps of every attempt.

    async def _run_attempts(self, attempt: Attempt) -> Decision:
        return await run_attempts(
            attempt, lambda: retry_policy(self.retry, sleep=self.sleep, random=self.random)
        )

    def _parser(self, task: Task, part: Part) -> _Parse:
        if part.request.required_ids:
            return partial(self.adapter.parse_upload, task, part.request)
        return partial(self.adapter.parse, task)

    def _classify(self, reply: Reply, parse: _Parse, task: Task, phase: Phase) -> Decision:
        return classify(
            reply,
            parse=parse,
            settings=self.retry,
            phase=phase,
            model=task.model,
            now=self.clock.now(),
        )


def _ended_if_unknown_twice(decision: Decision, work: WorkItem) -> Decision:
    """Give a job up that the provider does not know in a second run either."""
    prior = prior_of_generation(work)
    unknown_before = prior is not None and prior.error_kind == decision.kind == "expired"
    return replace(decision, verb=Verb.FAIL) if unknown_before else decision


def _parse_download(response: HttpResponse) -> Finished | Unusable:
    payload = response.payloads[0]
    if received_type(payload.head, payload.media_type) is None:
        return Unusable("bad_response", f"unknown file type; it begins with {payload.head[:24]!r}")
    return Finished((payload,))
