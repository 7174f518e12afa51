"""Performing one task, with fake collaborators and real decisions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from batchgen.engine.kept_replies import KeptReply
from batchgen.engine.outcomes import earlier_attempts, idempotency_key, versioned
from batchgen.engine.perform import Performer
from batchgen.engine.risk import Risk
from batchgen.engine.throttle import Budget, BudgetSpentError
from batchgen.engine.worklist.selection import OnUnknown
from batchgen.job import PROVIDERS, Job
from batchgen.provider.adapter import Adapter
from batchgen.types import (
    STOPPING,
    Artifact,
    Decision,
    FaultKind,
    Finished,
    GeneratedPayload,
    HttpRequest,
    HttpResponse,
    Input,
    LocalFile,
    NetworkFault,
    Outcome,
    Prior,
    RemotePayload,
    Reply,
    RetrySettings,
    Spooled,
    Status,
    Task,
    Verb,
    WorkItem,
)
from tests.given import NOW, FakeClock, a_png, a_task

JOB = Job("j", PROVIDERS["aimlapi"], Path("out"))
IMAGE = Spooled("1.part", 99, "a" * 64, a_png())
SPARE = Spooled("2.part", 98, "b" * 64, a_png())
TEXT = Spooled("3.part", 5, "c" * 64, b"<html>not found</html>")
VIDEO_PATH = "/v2/video/generations"
HEADERS = {"x-request-id": "req-7"}
B64 = b'{"data": [{"b64_json": "batchgen-payload:0", "revised_prompt": "A red fox"}]}'
ONE_URL = b'{"data": [{"url": "https://cdn/a.png?sig=%2B1"}]}'
TWO_URLS = b'{"data": [{"url": "https://cdn/a.png"}, {"url": "https://cdn/b.png"}]}'
TIMEOUT = NetworkFault(FaultKind.TIMEOUT, "no reply for 60 s", sent=True)
REFUSED = NetworkFault(FaultKind.CONNECTION, "connection refused", sent=False)


def reply(status: int, body: bytes = b"{}", *payloads: Spooled, **headers: str) -> HttpResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, {**HEADERS, **named}, body, payloads)


def file_of(payload: Spooled) -> HttpResponse:
    return HttpResponse(200, {}, b"", (payload,))


@dataclass
class World:
    """All collaborators of a Performer; `log` lists their calls in order."""

    replies: list[Reply] = field(default_factory=list)
    files: list[Reply] = field(default_factory=list)
    stop_after: int | None = None  # the run stops after this number of requests and downloads
    log: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    bodies: list[Mapping[str, Input]] = field(default_factory=list)
    committed: list[str] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    discarded: list[Spooled] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    spent: list[float] = field(default_factory=list)  # recorded before each attempt
    waited: list[float] = field(default_factory=list)
    clock: FakeClock = field(default_factory=FakeClock)
    kept: dict[str, HttpResponse] = field(default_factory=dict)
    abandon_after: int | None = None  # the run abandons remote jobs after this number of waits

    async def send(self, request: HttpRequest, idempotency_key: str) -> Reply:
        self.log.append(f"send {request.path}" if request.method == "POST" else "poll")
        if request.method == "POST":
            assert self.committed[-1] == idempotency_key, "a key is committed before it is sent"
            self.keys.append(idempotency_key)
            self.bodies.append(request.body)
        else:
            assert (idempotency_key, request.path) == ("", f"{VIDEO_PATH}?generation_id=id%3A7")
        return self.replies.pop(0)

    async def fetch(self, url: str) -> Reply:
        self.log.append("fetch")
        self.urls.append(url)
        return self.files.pop(0)

    async def publish(self, payload: Spooled | GeneratedPayload, filename: str, n: int) -> Artifact:
        self.log.append(f"publish {n}")
        self.paths.append(filename)
        if isinstance(payload, GeneratedPayload):
            return Artifact(f"{n}.wav", len(payload.data), "", "audio/wav", None, None)
        return Artifact(f"{n}.png", payload.size_bytes, payload.sha256, "image/png", 64, 32)

    def confirm(self, paths: Iterable[str]) -> None:
        raise NotImplementedError(paths)

    def discard(self, spooled: Spooled) -> None:
        self.discarded.append(spooled)

    async def record_sent(
        self,
        task: Task,
        generation: int,
        *,
        attempts: int,
        now: datetime,
        idempotency_key: str,
        spent_usd: float,
    ) -> None:
        self.spent.append(round(spent_usd, 6))
        assert now == NOW
        self.committed.append(idempotency_key)
        self.log.append(f"sent {task.id} {generation} {attempts}")

    async def record_received(self, task: Task, finished: Finished, outcome: Outcome) -> None:
        assert outcome.request_id == "req-7"
        self.log.append(f"received {task.id} {len(finished.payloads)}")

    async def record_submitted(self, task: Task, remote_id: str, decision: Decision) -> None:
        assert decision.verb is Verb.ACCEPT
        self.log.append(f"submitted {task.id} {remote_id}")

    async def record_part(self, task: Task, generation: int, parts: Sequence[Outcome]) -> None:
        self.log.append(f"part {task.id} {generation} {len(parts)}")

    async def acquire(self, task: Task) -> Decision | None:
        self.log.append(f"acquire {task.model}")
        return Decision(Verb.HALT, STOPPING) if self.is_stopping() else None

    def leave(self, task: Task) -> None:
        assert task.id == "fox-0"

    def refuse(self, error: BudgetSpentError) -> Decision:
        self.log.append(f"refuse {error.limit}")
        return Decision(Verb.HALT, STOPPING)

    def is_stopping(self) -> bool:
        done = len(self.keys) + len(self.urls)
        return self.stop_after is not None and done >= self.stop_after

    def abandons_remote(self) -> bool:
        return self.abandon_after is not None and len(self.waited) >= self.abandon_after

    def record_poll(self, task: Task, decision: Decision) -> None:
        assert task.id == "fox-0"
        self.log.append(f"polled {decision.verb}")

    def record_download(self, task: Task, decision: Decision) -> None:
        assert task.endpoint
        assert decision.verb is not Verb.ACCEPT

    def record_attempt(self, task: Task, attempt: int, decision: Decision, reply: Reply) -> None:
        assert task.id == "fox-0"
        assert reply is not None
        self.decisions.append(decision)
        self.log.append(f"record {attempt} {decision.verb}")

    async def keep(self, task: Task, generation: int, part: int, reply: HttpResponse) -> str:
        self.log.append(f"keep {generation} {part}")
        self.kept[KeptReply(task.key, generation, part).path] = reply
        return KeptReply(task.key, generation, part).path

    async def read(self, path: str) -> HttpResponse | None:
        self.log.append("read")
        return self.kept.get(path)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.clock.seconds += seconds

    def release_worker(self) -> None:
        self.log.append("release")

    async def perform(
        self,
        work: WorkItem | None = None,
        *,
        attempts: int = 3,
        on_unknown: OnUnknown = OnUnknown.RESEND,
        risk: Risk | None = None,
    ) -> Outcome:
        performer = Performer(
            adapter=Adapter(JOB), transport=self, store=self, ledger=self, replies=self,
            admission=self,
            retry=RetrySettings(attempts=attempts, jitter=False), clock=self.clock,
            identity="this-ledger", sleep=self.sleep, wait_for_remote=self.wait, random=lambda: 0.5,
            on_unknown=on_unknown,
        )  # fmt: skip
        return await performer.perform(work or WorkItem(a_task(), 1), self.release_worker, risk)


def resumed(status: Status, *, attempts: int = 1, received: Finished | None = None) -> WorkItem:
    return WorkItem(a_task(), 1, Prior(status, "d" * 32, 1, attempts, received=received))


async def test_a_reply_with_its_bytes_is_stored_without_a_download() -> None:
    world = World([reply(200, B64, IMAGE)])

    outcome = await world.perform()

    assert world.log == [
        "acquire dall-e-2", "sent fox-0 1 1", "send /v1/images/generations", "record 1 accept",
        "publish 1",
    ]  # fmt: skip
    assert outcome.status is Status.SUCCEEDED
    assert [artifact.sha256 for artifact in outcome.artifacts] == [IMAGE.sha256]
    assert (outcome.attempts, outcome.http_status, outcome.request_id) == (1, 200, "req-7")
    assert (outcome.revised_prompt, outcome.error) == ("A red fox", None)
    assert (outcome.started_at, outcome.finished_at, outcome.duration_s) == (NOW, NOW, 0)
    assert world.paths == ["fox-0-{n}.{ext}"]
    assert world.discarded == []


async def test_urls_are_committed_before_the_first_download() -> None:
    world = World([reply(200, TWO_URLS)], [file_of(IMAGE), file_of(SPARE)])

    outcome = await world.perform()

    assert world.log[3:] == [
        "record 1 accept", "received fox-0 2", "fetch", "publish 1", "fetch", "publish 2",
    ]  # fmt: skip
    assert world.urls == ["https://cdn/a.png", "https://cdn/b.png"]
    assert [artifact.sha256 for artifact in outcome.artifacts] == [IMAGE.sha256, SPARE.sha256]


async def test_a_url_is_fetched_with_its_query_unchanged() -> None:
    world = World([reply(200, ONE_URL)], [file_of(IMAGE)])
    await world.perform()
    assert world.urls == ["https://cdn/a.png?sig=%2B1"]


@pytest.mark.parametrize("fault", [TIMEOUT, REFUSED, reply(503), file_of(TEXT)])
async def test_a_file_that_does_not_come_is_asked_for_over_minutes_and_left_to_the_next_run(
    fault: Reply,
) -> None:
    world = World([reply(200, ONE_URL)], [fault] * 40)

    outcome = await world.perform()

    assert outcome.status is Status.RECEIVED
    assert outcome.error is not None
    assert len(world.keys) == 1, "a result with a URL is never generated again"
    assert world.waited[:4] == [pytest.approx(wait, rel=0.11) for wait in (1, 2, 4, 8)]
    assert sum(world.waited) == pytest.approx(300)
    assert len(world.urls) < 20


@pytest.mark.parametrize(
    "odd",
    [
        reply(404),
        reply(403, b"<html><title>Just a moment...</title></html>"),
        reply(401),
        reply(400),
        reply(451),
        reply(503, b"<Error><Code>SlowDown</Code></Error>"),
        reply(403, b"<Error>Signature not valid in the specified time frame</Error>"),
        reply(302),
        NetworkFault(FaultKind.BAD_RESPONSE, "cut", sent=True),
        NetworkFault(FaultKind.UNREADABLE, "head", sent=True),
        file_of(TEXT),
    ],
)
async def test_any_odd_answer_of_a_file_host_is_waited_for(odd: Reply) -> None:
    world = World([reply(200, ONE_URL)], [odd] * 5 + [file_of(IMAGE)])

    outcome = await world.perform(attempts=1)

    assert outcome.status is Status.SUCCEEDED
    assert len(world.keys) == 1


async def test_a_file_that_ends_early_is_left_to_the_next_run_after_four_tries() -> None:
    cut = NetworkFault(FaultKind.TRUNCATED, "the file is truncated: no IEND", sent=True)
    world = World([reply(200, ONE_URL)], [reply(404), *[cut] * 4])

    outcome = await world.perform()

    assert (outcome.status, outcome.error and outcome.error.kind) == (
        Status.RECEIVED,
        "bad_response",
    )
    assert (len(world.urls), len(world.keys)) == (5, 1)


async def test_a_wait_that_a_file_host_asks_for_is_obeyed() -> None:
    world = World([reply(200, ONE_URL)], [reply(503, retry_after="7"), file_of(IMAGE)])

    await world.perform()

    assert world.waited == [7]
    assert "release" in world.log, "the worker does not wait with it"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (410, b""),
        (403, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"),
        (400, b"<Error><Code>ExpiredToken</Code><Message>The token has expired.</Message></Error>"),
    ],
)
async def test_a_file_that_is_gone_for_good_fails_as_expired(status: int, body: bytes) -> None:
    world = World([reply(200, ONE_URL)], [reply(status, body)])

    outcome = await world.perform()

    assert outcome.status is Status.FAILED
    assert outcome.error is not None
    assert (outcome.error.kind, outcome.http_status) == ("expired", status)
    assert len(world.keys) == 1


@pytest.mark.parametrize("files", [[file_of(IMAGE), reply(410)], [reply(410), file_of(IMAGE)]])
async def test_an_image_that_is_gone_costs_only_itself(files: list[Reply]) -> None:
    world = World([reply(200, TWO_URLS)], files)

    outcome = await world.perform(WorkItem(a_task(params={"n": 2}), 1))

    assert outcome.status is Status.SUCCEEDED
    assert [artifact.path for artifact in outcome.artifacts] == ["1.png"]
    assert outcome.error is not None
    assert outcome.error.kind == "fewer"
    assert "expired" in outcome.error.message


async def test_urls_that_an_earlier_run_received_are_fetched_and_nothing_is_sent() -> None:
    finished = Finished((RemotePayload("https://cdn/a.png"),), "A red fox", 7, 0.02)
    world = World([], [file_of(IMAGE)])

    outcome = await world.perform(resumed(Status.RECEIVED, attempts=2, received=finished))

    assert world.keys == []
    assert (outcome.status, outcome.attempts) == (Status.SUCCEEDED, 2)
    assert (outcome.revised_prompt, outcome.seed, outcome.cost_usd) == ("A red fox", 7, 0.02)
    assert world.paths == ["fox-0-{n}.{ext}"]


async def test_urls_of_an_earlier_run_that_have_expired_are_not_fetched() -> None:
    past = round((NOW - timedelta(seconds=1)).timestamp())
    finished = Finished((RemotePayload(f"https://cdn/a.png?Expires={past}"),), cost_usd=0.02)
    world = World()

    outcome = await world.perform(resumed(Status.RECEIVED, received=finished))

    assert (world.keys, world.urls) == ([], [])
    assert (outcome.status, outcome.cost_usd) == (Status.FAILED, 0.02)
    assert outcome.error is not None
    assert outcome.error.kind == "expired"
    assert "expired at 2026-11-20 11:59:59 UTC" in outcome.error.message


async def test_urls_of_this_run_are_fetched_even_if_they_seem_to_have_expired() -> None:
    past = round((NOW - timedelta(days=1)).timestamp())
    body = f'{{"data": [{{"url": "https://cdn/a.png?Expires={past}"}}]}}'
    world = World([reply(200, body.encode())], [file_of(IMAGE)])

    assert (await world.perform()).status is Status.SUCCEEDED


async def test_an_edited_row_does_not_use_urls_of_its_earlier_generation() -> None:
    finished = Finished((RemotePayload("https://cdn/a.png"),))
    before = Prior(Status.RECEIVED, "e" * 32, 1, 4, received=finished)
    world = World([reply(200, B64, IMAGE)])

    outcome = await world.perform(WorkItem(a_task(), 2, before))

    assert (outcome.status, outcome.attempts) == (Status.SUCCEEDED, 1)
    assert world.paths == ["fox-0-{n}.v2.{ext}"]


async def test_attempts_are_repeated_until_one_is_accepted() -> None:
    world = World([reply(500), reply(503), reply(200, B64, IMAGE)])

    outcome = await world.perform()

    assert (outcome.status, outcome.attempts) == (Status.SUCCEEDED, 3)
    sent = [line for line in world.log if line.startswith("sent")]
    assert sent == ["sent fox-0 1 1", "sent fox-0 1 2", "sent fox-0 1 3"]
    assert len(set(world.keys)) == 1
    assert world.slept == [1.0, 2.0]


async def test_a_task_without_attempts_left_fails_with_the_last_error() -> None:
    world = World([reply(500), reply(500), reply(503, b'{"error": {"message": "busy"}}')])

    outcome = await world.perform()

    assert outcome.status is Status.FAILED
    assert outcome.error is not None
    assert (outcome.error.kind, outcome.error.message) == ("server", "busy")
    assert (outcome.attempts, outcome.http_status) == (3, 503)


async def test_a_429_is_recorded_with_its_wait_to_hold_the_model() -> None:
    world = World([reply(429, retry_after="7"), reply(200, B64, IMAGE)])

    await world.perform()

    assert (world.decisions[0].hold, world.decisions[0].after_s) == (True, 7)
    assert world.slept == [7]


async def test_a_refusal_is_not_a_failure_and_not_repeated() -> None:
    body = b'{"error": {"code": "content_policy_violation", "message": "rejected"}}'
    world = World([reply(400, body)])

    outcome = await world.perform()

    assert outcome.status is Status.REFUSED
    assert outcome.error is not None
    assert (outcome.error.kind, outcome.error.code) == (
        "content_policy",
        "content_policy_violation",
    )
    assert len(world.keys) == 1


async def test_a_rejected_key_leaves_the_task_pending() -> None:
    world = World([reply(401, b'{"error": {"message": "Invalid API key"}}')])

    outcome = await world.perform()

    assert (outcome.status, outcome.http_status) == (Status.PENDING, 401)
    assert world.decisions[0].verb is Verb.HALT
    assert outcome.error is not None
    assert outcome.error.kind == "auth"


async def test_timeouts_until_attempts_are_used_up_leave_the_task_unknown() -> None:
    world = World([TIMEOUT, TIMEOUT, TIMEOUT])
    outcome = await world.perform()
    assert (outcome.status, outcome.attempts) == (Status.UNKNOWN, 3)


async def test_one_timeout_among_other_failures_leaves_the_task_unknown() -> None:
    world = World([TIMEOUT, reply(500), REFUSED])
    assert (await world.perform()).status is Status.UNKNOWN


@pytest.mark.parametrize(
    ("on_unknown", "status", "kind"),
    [(OnUnknown.HOLD, Status.UNKNOWN, "timeout"), (OnUnknown.FAIL, Status.FAILED, "unknown")],
)
@pytest.mark.parametrize("sent", [TIMEOUT, reply(504), reply(200, B64[:30])])
async def test_an_attempt_that_may_have_been_made_is_not_repeated_if_it_must_not_be(
    sent: Reply, on_unknown: OnUnknown, status: Status, kind: str
) -> None:
    world = World([REFUSED, sent, reply(200, B64, IMAGE)])

    outcome = await world.perform(on_unknown=on_unknown)

    assert (outcome.status, len(world.keys)) == (status, 2)
    assert outcome.error is not None
    assert sent is not TIMEOUT or outcome.error.kind == kind


async def test_an_attempt_that_brought_no_result_counts_at_its_price() -> None:
    world = World([TIMEOUT, reply(503), REFUSED, reply(504), reply(200, B64, IMAGE)])
    risk = Risk(0.02)

    outcome = await world.perform(attempts=5, risk=risk)

    assert (outcome.status, outcome.cost_usd) == (Status.SUCCEEDED, 0.02)
    assert outcome.at_risk_usd == pytest.approx(0.04)
    assert world.spent == [0.02, 0.04, 0.04, 0.04, 0.06]
    assert risk.resent == 2, "the 504 and the success; an error that was answered costs nothing"


async def test_an_attempt_that_the_budget_does_not_allow_is_not_sent() -> None:
    world = World([TIMEOUT, reply(200, B64, IMAGE)])
    budget = Budget(max_cost_usd=0.03, max_requests=None)
    risk = Risk(0.02, purse=budget)
    await risk.begin()

    outcome = await world.perform(risk=risk)

    assert (outcome.status, outcome.at_risk_usd) == (Status.UNKNOWN, 0.02)
    assert len(world.keys) == 1
    assert world.log[-1] == "refuse max_cost"


async def test_a_result_whose_file_is_gone_has_cost_its_price() -> None:
    world = World([reply(200, ONE_URL)], [reply(410)])

    outcome = await world.perform(risk=Risk(0.02))

    assert (outcome.status, outcome.cost_usd, outcome.at_risk_usd) == (Status.FAILED, 0.02, 0.0)


async def test_connections_that_are_refused_fail_the_task() -> None:
    world = World([REFUSED, REFUSED, REFUSED])
    assert (await world.perform()).status is Status.FAILED


async def test_an_unknown_task_stays_unknown_until_a_reply_decides() -> None:
    unsure = await World([REFUSED] * 3).perform(resumed(Status.UNKNOWN))
    decided = await World([reply(400)]).perform(resumed(Status.UNKNOWN))
    assert (unsure.status, unsure.attempts) == (Status.UNKNOWN, 4)
    assert (decided.status, decided.attempts) == (Status.FAILED, 2)


async def test_a_stop_before_the_first_attempt_sends_nothing() -> None:
    world = World(stop_after=0)
    outcome = await world.perform()
    assert (outcome.status, outcome.attempts, outcome.error) == (Status.PENDING, 0, None)
    assert world.log == ["acquire dall-e-2"]


@pytest.mark.parametrize(
    ("first", "status"), [(reply(500), Status.PENDING), (TIMEOUT, Status.UNKNOWN)]
)
async def test_a_stop_between_attempts_leaves_the_rest_to_the_next_run(
    first: Reply, status: Status
) -> None:
    world = World([first], stop_after=1)
    outcome = await world.perform()
    assert (outcome.status, outcome.attempts, outcome.error) == (status, 1, None)


async def test_after_a_stop_a_download_is_tried_once() -> None:
    good = await World([reply(200, ONE_URL)], [file_of(IMAGE)], abandon_after=0).perform()
    bad = await World([reply(200, ONE_URL)], [TIMEOUT], abandon_after=0).perform()
    assert good.status is Status.SUCCEEDED
    assert (bad.status, bad.error) == (Status.RECEIVED, None)


async def test_payloads_that_are_not_used_are_discarded() -> None:
    world = World(
        [
            reply(500, b"{}", SPARE),
            reply(200, B64, IMAGE, SPARE),
        ]
    )
    outcome = await world.perform()
    assert outcome.status is Status.SUCCEEDED
    assert world.discarded == [SPARE, SPARE]


async def test_a_paid_reply_without_a_result_is_kept_and_not_bought_again() -> None:
    world = World([reply(200, b'{"data": [{"b64_json": "batchgen-payload:0"}]}', TEXT)])

    outcome = await world.perform()

    assert (outcome.status, outcome.error and outcome.error.kind) == (
        Status.FAILED,
        "bad_response",
    )
    assert outcome.reply == KeptReply(a_task().key, 1, 0).path
    assert world.kept[outcome.reply].payloads == (TEXT,)
    assert world.discarded == [TEXT]
    assert len(world.keys) == 1


async def test_a_kept_reply_that_has_a_result_now_is_stored_without_a_request() -> None:
    world = World()
    path = KeptReply(a_task().key, 1, 0).path
    world.kept[path] = reply(200, B64, IMAGE)
    prior = Prior(Status.RECEIVED, "d" * 32, 1, 1, reply=path)

    outcome = await world.perform(WorkItem(a_task(), 1, prior))

    assert (outcome.status, outcome.reply) == (Status.SUCCEEDED, None)
    assert world.keys == []


async def test_a_download_of_an_unknown_file_type_is_discarded() -> None:
    world = World([reply(200, ONE_URL)], [file_of(TEXT), file_of(IMAGE)])
    outcome = await world.perform()
    assert outcome.status is Status.SUCCEEDED
    assert world.discarded == [TEXT]


async def test_the_idempotency_key_is_the_same_over_attempts_and_restarts() -> None:
    first = World([reply(500), TIMEOUT, REFUSED])
    second = World([reply(200, B64, IMAGE)])

    await first.perform()
    await second.perform(resumed(Status.UNKNOWN, attempts=3))

    assert set(first.keys) == set(second.keys)
    assert len(first.keys) == 3


@given(ordinal=st.integers(0, 10**6), file=st.text(max_size=9))
def test_the_idempotency_key_does_not_depend_on_the_position_of_a_row(
    ordinal: int, file: str
) -> None:
    moved = a_task(ordinal=ordinal, line=ordinal + 2, file=file)
    assert idempotency_key("one", moved, 1) == idempotency_key("one", a_task(), 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda: idempotency_key("one", a_task(), 2),
        lambda: idempotency_key("two", a_task(), 1),
        lambda: idempotency_key("one", a_task(1), 1),
        lambda: idempotency_key("one", a_task(digest="e" * 32), 1),
    ],
    ids=["another generation", "another ledger", "another task", "an edited row"],
)
def test_the_idempotency_key_changes_with(change: Callable[[], str]) -> None:
    assert change() != idempotency_key("one", a_task(), 1)


@pytest.mark.parametrize(
    ("filename", "name"),
    [("a/b-{n}.{ext}", "a/b-{n}.v3.{ext}"), ("b.{ext}", "b.v3.{ext}"), ("plain", "plain.v3")],
)
def test_a_later_generation_has_its_own_file_name(filename: str, name: str) -> None:
    assert versioned(filename, 1) == filename
    assert versioned(filename, 3) == name


def test_attempts_of_an_earlier_generation_do_not_count() -> None:
    same = resumed(Status.FAILED, attempts=4)
    assert earlier_attempts(same) == 4
    assert earlier_attempts(replace(same, generation=2)) == 0
    assert earlier_attempts(WorkItem(a_task(), 1)) == 0


# Tasks that take several requests.

FIVE = a_task(model="flux/dev", params={"num_images": 5, "seed": 7})
FIRST = Outcome(Status.SUCCEEDED, (Artifact("1.png", 9, "a" * 64, "image/png", 64, 32),),
                cost_usd=0.02, revised_prompt="A red fox")  # fmt: skip


def priced(cost: str, *payloads: Spooled) -> HttpResponse:
    return reply(200, B64, *payloads, x_aimlapi_usd_spent=cost)


async def test_images_of_several_requests_are_numbered_consecutively() -> None:
    world = World([priced("0.02", IMAGE), priced("0.03", SPARE)])

    outcome = await world.perform(WorkItem(FIVE, 1))

    assert world.log == [
        "acquire flux/dev", "sent fox-0 1 1", "send /v1/images/generations", "record 1 accept",
        "publish 1", "part fox-0 1 1",
        "acquire flux/dev", "sent fox-0 1 2", "send /v1/images/generations", "record 2 accept",
        "publish 2",
    ]  # fmt: skip
    assert [artifact.path for artifact in outcome.artifacts] == ["1.png", "2.png"]
    assert (outcome.status, outcome.attempts) == (Status.SUCCEEDED, 2)
    assert outcome.cost_usd == pytest.approx(0.05)


async def test_each_request_of_a_task_has_its_own_idempotency_key() -> None:
    world = World([reply(200, B64, IMAGE), reply(503), reply(200, B64, SPARE)])

    await world.perform(WorkItem(FIVE, 1))

    first, second, retried = world.keys
    assert first == idempotency_key("this-ledger", FIVE, 1)
    assert second == retried == idempotency_key("this-ledger", FIVE, 1, 1)
    assert first != second


async def test_after_a_crash_between_two_requests_only_the_missing_ones_are_sent() -> None:
    world = World([priced("0.03", SPARE)])
    before = Prior(Status.PENDING, FIVE.digest, 1, 1, parts=(FIRST,))

    outcome = await world.perform(WorkItem(FIVE, 1, before))

    assert world.keys == [idempotency_key("this-ledger", FIVE, 1, 1)]
    assert [artifact.path for artifact in outcome.artifacts] == ["1.png", "2.png"]
    assert outcome.attempts == 2
    assert outcome.cost_usd == pytest.approx(0.05)
    assert outcome.revised_prompt == "A red fox"


async def test_parts_of_a_failed_task_are_kept_and_not_paid_for_again() -> None:
    world = World([reply(400), priced("0.03", SPARE)])
    before = Prior(Status.PENDING, FIVE.digest, 1, 1, parts=(FIRST,))
    failed = await world.perform(WorkItem(FIVE, 1, before))

    assert (failed.status, failed.cost_usd) == (Status.FAILED, 0.02)
    assert [artifact.path for artifact in failed.artifacts] == ["1.png"]

    retried = replace(before, status=Status.FAILED)
    outcome = await world.perform(WorkItem(FIVE, 2, retried))

    assert world.keys[1:] == [idempotency_key("this-ledger", FIVE, 2, 1)]
    assert outcome.status is Status.SUCCEEDED
    assert outcome.cost_usd == pytest.approx(0.03), "the first part was paid by generation 1"


async def test_an_edited_row_uses_no_parts_of_its_earlier_generation() -> None:
    world = World([reply(200, B64, IMAGE), reply(200, B64, SPARE)])
    before = Prior(Status.PENDING, "e" * 32, 1, 1, parts=(FIRST,))

    await world.perform(WorkItem(FIVE, 2, before))

    assert len(world.keys) == 2


VOICE = LocalFile(Path("voice.mp3"), "voice.mp3", 9, "", "audio/mpeg")
SONG = a_task(
    endpoint="music", model="music-01", prompt="La la", params={"refer_voice": "voice.mp3"},
    inputs={"refer_voice": VOICE},
)  # fmt: skip
UPLOADED = b'{"voice_id": "vocal-7", "base_resp": {"status_code": 0, "status_msg": "ok"}}'
SUNG = b'{"data": {"audio": "52494646", "status": 2}, "base_resp": {"status_code": 0}}'
WITH_VOICE = Outcome(Status.SUCCEEDED, cost_usd=0.0, uploads=(("voice_id", "vocal-7"),))


async def test_an_upload_is_committed_before_the_request_that_needs_its_id() -> None:
    world = World([reply(200, UPLOADED), reply(503), reply(200, SUNG)])

    outcome = await world.perform(WorkItem(SONG, 1))

    steps = [line for line in world.log if line.split()[0] in ("sent", "send", "part", "publish")]
    assert steps == [
        "sent fox-0 1 1", "send /v2/generate/audio/minimax/upload", "part fox-0 1 1",
        "sent fox-0 1 2", "send /v2/generate/audio/minimax/generate",
        "sent fox-0 1 3", "send /v2/generate/audio/minimax/generate", "publish 1",
    ]  # fmt: skip
    assert (outcome.status, outcome.attempts) == (Status.SUCCEEDED, 3)
    assert world.bodies[1] == world.bodies[2]
    assert world.bodies[1]["refer_voice"] == "vocal-7"


async def test_after_a_crash_the_id_of_an_upload_is_used_again() -> None:
    world = World([reply(200, SUNG)])
    before = Prior(Status.PENDING, SONG.digest, 1, 1, parts=(WITH_VOICE,))

    outcome = await world.perform(WorkItem(SONG, 1, before))

    assert [body.get("refer_voice") for body in world.bodies] == ["vocal-7"]
    assert outcome.status is Status.SUCCEEDED


async def test_a_new_generation_uploads_again_since_the_old_id_may_be_why_it_failed() -> None:
    world = World([reply(200, UPLOADED), reply(200, SUNG)])
    before = Prior(Status.FAILED, SONG.digest, 1, 2, parts=(WITH_VOICE,))

    await world.perform(WorkItem(SONG, 2, before))

    assert world.bodies[0]["purpose"] == "voice"


async def test_an_upload_without_an_id_is_retried_and_nothing_is_generated() -> None:
    world = World([reply(200, b'{"base_resp": {"status_code": 0}}')] * 3)

    outcome = await world.perform(WorkItem(SONG, 1))

    assert outcome.error is not None
    assert outcome.error.kind == "bad_response"
    assert all(line != "send /v2/generate/audio/minimax/generate" for line in world.log)


async def test_a_stop_between_two_requests_leaves_the_rest_pending() -> None:
    world = World([reply(200, B64, IMAGE)], stop_after=1)

    outcome = await world.perform(WorkItem(FIVE, 1))

    assert (outcome.status, outcome.error) == (Status.PENDING, None)
    assert [artifact.path for artifact in outcome.artifacts] == ["1.png"]


async def test_a_result_resolves_an_earlier_timeout_of_the_same_request() -> None:
    world = World([TIMEOUT, reply(200, B64, IMAGE), reply(400)])

    outcome = await world.perform(WorkItem(FIVE, 1))

    assert outcome.status is Status.FAILED


# Remote jobs.

VIDEO = a_task(endpoint="video", model="veo2", params={})
VIDEO_FILE = Spooled("1.part", 99, "a" * 64, b"\0\0\0\x18ftypmp42\0\0\0\0")
SUBMITTED = b'{"id": "id:7", "status": "queued"}'
GENERATING = b'{"id": "id:7", "status": "generating"}'
COMPLETED = b'{"id": "id:7", "status": "completed", "video": {"url": "https://cdn/v.mp4"}}'


def submitted_before(status: Status, *, digest: str = VIDEO.digest) -> WorkItem:
    return WorkItem(VIDEO, 1, Prior(status, digest, 1, 1, remote_id="id:7"))


async def test_a_remote_id_is_committed_before_the_first_poll() -> None:
    world = World(
        [reply(201, SUBMITTED), reply(200, GENERATING), reply(200, COMPLETED)],
        [file_of(VIDEO_FILE)],
    )

    outcome = await world.perform(WorkItem(VIDEO, 1))

    assert world.log[:4] == [
        "acquire veo2", "sent fox-0 1 1", f"send {VIDEO_PATH}", "record 1 accept",
    ]  # fmt: skip
    assert world.log[4:] == [
        "submitted fox-0 id:7", "release", "poll", "polled accept",
        "release", "poll", "polled accept", "received fox-0 1", "fetch", "publish 1",
    ]  # fmt: skip
    assert (outcome.status, outcome.attempts) == (Status.SUCCEEDED, 1)
    assert world.waited == [10, 15], "the first delay and the interval of the family"


@pytest.mark.parametrize("status", [Status.SUBMITTED, Status.UNKNOWN])
async def test_a_job_that_an_earlier_run_submitted_is_polled_first_and_not_sent_again(
    status: Status,
) -> None:
    world = World([reply(200, COMPLETED)], [file_of(VIDEO_FILE)])

    outcome = await world.perform(submitted_before(status))

    assert world.keys == []
    assert world.log[:3] == ["submitted fox-0 id:7", "poll", "polled accept"]
    assert "received fox-0 1" in world.log
    assert (outcome.status, outcome.attempts) == (Status.SUCCEEDED, 1)


async def test_a_run_that_ends_leaves_remote_jobs_submitted() -> None:
    world = World([reply(201, SUBMITTED), reply(200, GENERATING)], abandon_after=2)
    outcome = await world.perform(WorkItem(VIDEO, 1))
    assert (outcome.status, outcome.error) == (Status.SUBMITTED, None)


async def test_a_remote_job_that_never_ends_is_unknown_at_its_deadline() -> None:
    world = World([reply(201, SUBMITTED), *[reply(200, GENERATING)] * 200])
    outcome = await world.perform(WorkItem(VIDEO, 1))
    assert outcome.status is Status.UNKNOWN
    assert outcome.error is not None
    assert outcome.error.kind == "timeout"
    assert world.clock.seconds == 1800


@pytest.mark.parametrize(
    ("answer", "status", "kind"),
    [
        (reply(200, b'{"status": "error", "error": {"message": "out of memory"}}'),
         Status.FAILED, "remote_failed"),
        (reply(200, b'{"status": "failed", "error": {"message": "blocked by content policy"}}'),
         Status.REFUSED, "content_policy"),
        (reply(401, b'{"error": {"message": "Invalid API key"}}'), Status.SUBMITTED, "auth"),
    ],
)  # fmt: skip
async def test_a_remote_job_that_fails_has_the_status_of_its_error(
    answer: Reply, status: Status, kind: str
) -> None:
    world = World([reply(201, SUBMITTED), *[answer] * 5])
    outcome = await world.perform(WorkItem(VIDEO, 1))
    assert outcome.status is status
    assert outcome.error is not None
    assert outcome.error.kind == kind


@pytest.mark.parametrize(
    "odd",
    [
        reply(403, b"<html><title>Just a moment...</title></html>"),
        reply(400, b'{"message": "Bad Request"}'),
        reply(422),
        reply(301, location="/x"),
        reply(410),
        reply(501),
        reply(403, b'{"error": {"message": "blocked by content policy"}}'),
        reply(200, b'{"error": {"message": "Provider returned error", "code": 502}}'),
        reply(200, b'{"error": {"message": "insufficient balance", "code": 402}}'),
        reply(200, b'{"id": "id:7", "status": "throttled"}'),
        reply(200, b"<html>"),
        reply(200, b"[]"),
        reply(503, x_should_retry="false"),
        NetworkFault(FaultKind.UNREADABLE, "head", sent=True),
    ],
)
async def test_an_odd_answer_about_a_job_never_ends_it(odd: Reply) -> None:
    world = World([reply(201, SUBMITTED), odd, reply(200, COMPLETED)], [file_of(VIDEO_FILE)])

    outcome = await world.perform(WorkItem(VIDEO, 1), attempts=1)

    assert (outcome.status, len(world.keys)) == (Status.SUCCEEDED, 1)


async def test_a_job_that_the_provider_does_not_know_ends_in_the_second_run() -> None:
    first = await World([reply(201, SUBMITTED), *[reply(404)] * 10]).perform(WorkItem(VIDEO, 1))
    assert (first.status, first.error and first.error.kind) == (Status.UNKNOWN, "expired")

    prior = Prior(Status.UNKNOWN, VIDEO.digest, 1, 1, error_kind="expired", remote_id="id:7")
    again = World([reply(404)] * 10)
    second = await again.perform(WorkItem(VIDEO, 1, prior))
    assert (second.status, second.error and second.error.kind) == (Status.FAILED, "expired")
    assert again.keys == []


async def test_failed_polls_use_no_attempts_of_the_task() -> None:
    wrong: list[Reply] = [reply(404), reply(500), TIMEOUT, reply(200, b"<html>")] * 2
    world = World([reply(201, SUBMITTED), *wrong, reply(200, COMPLETED)], [file_of(VIDEO_FILE)])
    outcome = await world.perform(WorkItem(VIDEO, 1), attempts=2)
    assert (outcome.status, outcome.attempts) == (Status.SUCCEEDED, 1)
    assert len(world.keys) == 1
