"""Results with fewer images than the task asked for: stored, reported, and paid as they came."""

from collections.abc import Sequence

from msgspec.structs import replace

from batchgen.engine.risk import count_of
from batchgen.provider.pricing import image_count
from batchgen.text import one_line
from batchgen.types import Finished, HttpRequest, Outcome, Status, Task, TaskError

KIND = "fewer"
_FAMILIES = frozenset({"images", "edits"})
_MAX_REASONS = 3
_REASON_WIDTH = 160


def with_missing_images(outcome: Outcome, task: Task, reasons: Sequence[str]) -> Outcome:
    """Return the outcome with a `fewer` error if images are missing; it stays a success.

    reasons: why items of the replies were left out, as far as known.
    """
    came, asked = len(outcome.artifacts), image_count(task)
    is_whole = outcome.status is not Status.SUCCEEDED or not 0 < came < asked
    if is_whole or not may_be_fewer(task):
        return outcome
    different = [one_line(reason, _REASON_WIDTH) for reason in dict.fromkeys(reasons)]
    why = f": {'; '.join(different[:_MAX_REASONS])}" if different else ""
    message = f"the provider sent {came} of {asked} images{why}"
    return replace(outcome, error=TaskError(KIND, None, message))


def may_be_fewer(task: Task) -> bool:
    """Return whether a part of the files that a task asked for is a success."""
    return task.endpoint in _FAMILIES


def price_of_images(
    price_usd: float, finished: Finished, request: HttpRequest, task: Task
) -> float:
    """Return the price of the images that came. price_usd: of all that the request asked for."""
    came, asked = len(finished.payloads), count_of(request)
    if not may_be_fewer(task) or not 0 < came < asked:
        return price_usd
    return price_usd * came / asked
