"""Results with fewer images than the task asked for: stored, reported, and paid as they came."""

from collections.abc import Sequence

from msgspec.structs import replace

from batchgen.provider.pricing import image_count
from batchgen.text import one_line
from batchgen.types import Outcome, Status, Task, TaskError

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
    if is_whole or task.endpoint not in _FAMILIES:
        return outcome
    different = [one_line(reason, _REASON_WIDTH) for reason in dict.fromkeys(reasons)]
    why = f": {'; '.join(different[:_MAX_REASONS])}" if different else ""
    message = f"the provider sent {came} of {asked} images{why}"
    return replace(outcome, error=TaskError(KIND, None, message))


def price_of_result(outcome: Outcome, task: Task, price_usd: float | None) -> float | None:
    """Return the price of what came. price_usd: of all that the task asked for."""
    if price_usd is None or outcome.error is None or outcome.error.kind != KIND:
        return price_usd
    return price_usd * len(outcome.artifacts) / image_count(task)
