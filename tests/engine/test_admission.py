"""What is told of a request's reply."""

from batchgen.engine.admission import Admission
from batchgen.engine.stop import Stop
from batchgen.engine.throttle import Bounds, Budget, Throttle
from batchgen.progress import Silent
from batchgen.storage.counts import RunCounts
from batchgen.types import Decision, HttpResponse, Verb
from tests.given import NOW, FakeClock, a_task

REFUSED = HttpResponse(429, {}, b"")
AGAIN = Decision(Verb.RETRY, "rate_limited", http_status=429, hold=True)


class Heard(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


async def test_that_a_provider_refuses_requests_is_said_once_with_the_pace() -> None:
    task = a_task()
    clock, heard = FakeClock(), Heard()
    stop = Stop(clock)
    throttle = Throttle(
        bounds=lambda _: Bounds(16, None),
        monotonic=clock.monotonic,
        sleep=stop.sleep,
        stopping=stop.is_set,
    )
    admission = Admission(
        throttle, Budget(max_cost_usd=None, max_requests=None), stop, heard, RunCounts(NOW, NOW)
    )
    for _ in range(2):
        await admission.admit(task)
        admission.tell(task, 1, AGAIN, REFUSED)
        await clock.advance(5)

    [said] = heard.said
    assert said.startswith(f"{task.model}: the provider refuses requests (429); sending ")
    assert said.endswith(" a minute, as it bears it")
