"""What a run reports about the replies to its requests."""

from batchgen.engine.admission import Admission
from batchgen.engine.stop import Stop
from batchgen.engine.throttle import Bounds, Budget, Throttle
from batchgen.progress import NoProgress
from batchgen.storage.counts import RunCounts
from batchgen.types import Decision, HttpResponse, Verb
from tests.given import NOW, FakeClock, a_task

REFUSED = HttpResponse(429, {}, b"")
RETRY = Decision(Verb.RETRY, "rate_limited", http_status=429, hold=True)


class Messages(NoProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, message: str) -> None:
        self.lines.append(message)


async def test_refused_requests_are_reported_once_with_the_new_rate() -> None:
    task = a_task()
    clock, messages = FakeClock(), Messages()
    stop = Stop(clock)
    throttle = Throttle(
        bounds=lambda _: Bounds(16, None),
        monotonic=clock.monotonic,
        sleep=stop.sleep_until_stop,
        stopping=stop.is_set,
    )
    admission = Admission(
        throttle, Budget(max_cost_usd=None, max_requests=None), stop, messages, RunCounts(NOW, NOW)
    )
    for _ in range(2):
        await admission.acquire(task)
        admission.record_attempt(task, 1, RETRY, REFUSED)
        await clock.advance(5)

    [message] = messages.lines
    assert message.startswith(f"{task.model}: the provider refuses requests (429); slowed to ")
    assert message.endswith(" requests/min, the rate the provider accepts")
