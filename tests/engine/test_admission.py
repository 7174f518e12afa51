"""What is logged about the reply to a request."""

from batchgen.engine.admission import Admission
from batchgen.engine.stop import Stop
from batchgen.engine.throttle import Bounds, Budget, Throttle
from batchgen.progress import NoProgress
from batchgen.storage.counts import RunCounts
from batchgen.types import Decision, HttpResponse, Verb
from tests.given import NOW, FakeClock, a_task

REFUSED = HttpResponse(429, {}, b"")
AGAIN = Decision(Verb.RETRY, "rate_limited", http_status=429, hold=True)


class LoggedMessages(NoProgress):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def log(self, message: str) -> None:
        self.messages.append(message)


async def test_refused_requests_are_logged_once_with_the_new_rate() -> None:
    task = a_task()
    clock, logged = FakeClock(), LoggedMessages()
    stop = Stop(clock)
    throttle = Throttle(
        bounds=lambda _: Bounds(16, None),
        monotonic=clock.monotonic,
        sleep=stop.sleep,
        stopping=stop.is_set,
    )
    admission = Admission(
        throttle, Budget(max_cost_usd=None, max_requests=None), stop, logged, RunCounts(NOW, NOW)
    )
    for _ in range(2):
        await admission.admit(task)
        admission.tell(task, 1, AGAIN, REFUSED)
        await clock.advance(5)

    [message] = logged.messages
    assert message.startswith(f"{task.model}: the provider refuses requests (429); slowed to ")
    assert message.endswith(" requests/min, the rate the provider accepts")
