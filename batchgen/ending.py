"""What a run's end means: its name, its exit code, and what a person does before going on."""

from batchgen.errors import Exit
from batchgen.job import Provider
from batchgen.stopping import Stop, StopReason
from batchgen.storage.summary import Ending


def ending_of(stop: Stop, *, good: bool) -> tuple[Ending, Exit]:
    """How a run ended; `good`: every task that it was about has succeeded."""
    match stop.reason:
        case None:
            return (Ending.COMPLETE, Exit.OK) if good else (Ending.INCOMPLETE, Exit.SOME_FAILED)
        case StopReason.SIGNAL:
            return Ending.INTERRUPTED, Exit.INTERRUPTED
        case StopReason.STORAGE:
            return Ending.HALTED, Exit.STORAGE
        case _:
            return Ending.HALTED, Exit.HALTED


def advice_of(stop: Stop, provider: Provider) -> str | None:
    """What has to be done first; None where the same command simply goes on."""
    variables = " or ".join(provider.key_variables)
    match stop.kind:
        case "auth" if variables:
            return f"put a key into {variables} that {provider.name} accepts for this model"
        case "quota" if variables:
            return f"add credit to the account of the key in {variables}, or put another key there"
        case "max_cost":
            return "raise max_cost: --max-cost USD, or limits.max_cost in the job"
        case _ if stop.reason is StopReason.MANIFEST:
            return "mend the manifest"
        case _:
            return None
