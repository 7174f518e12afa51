"""How fast, how long and for how much: the limits of a job."""

from collections.abc import Mapping
from typing import Any

import msgspec

from batchgen.job import keys
from batchgen.job.keys import Reading
from batchgen.types import Json, Polling, Timeouts


class Bounds(msgspec.Struct, frozen=True):
    """What the job allows of one model; None is no bound."""

    concurrency: int
    rpm: float | None = None
    images_per_minute: float | None = None


class ModelLimits(msgspec.Struct, frozen=True):
    """What a job says of one model; None leaves it to the limits of all."""

    concurrency: int | None = None
    rpm: float | None = None
    images_per_minute: float | None = None


class Asking(msgspec.Struct, frozen=True):
    """When the provider is asked for what it works on, in seconds; None leaves it to the family.

    first: after it was submitted. interval: between two questions. deadline: in all.
    """

    first_s: float | None = None
    interval_s: float | None = None
    deadline_s: float | None = None

    def over(self, usual: Polling) -> Polling:
        """The family's own, where the job says nothing else."""
        return Polling(
            usual.first_s if self.first_s is None else self.first_s,
            usual.interval_s if self.interval_s is None else self.interval_s,
            usual.deadline_s if self.deadline_s is None else self.deadline_s,
        )


class Limits(msgspec.Struct, frozen=True):
    """How fast (requests), how long (seconds) and for how much (USD); None is no bound.

    drain_timeout_s: how long a run that a signal stops waits for what is in flight.
    pending: tasks that the provider works on at a time, of families that it answers later.
    halt_refusals: the share of refusals among the last 100 tasks that halts the run.
    """

    concurrency: int = 16
    rpm: float | None = None
    timeout_s: float = 600.0
    max_cost_usd: float | None = None
    max_requests: int | None = None
    deadline_s: float | None = None
    drain_timeout_s: float | None = None
    halt_after: int = 25
    max_tasks: int = 1_000_000
    images_per_minute: float | None = None
    halt_refusals: float | None = None
    timeouts: Timeouts = msgspec.field(default_factory=Timeouts)
    pending: int = 2000
    polling: Asking = Asking()
    models: Mapping[str, ModelLimits] = msgspec.field(default_factory=dict)

    def of_model(self, model: str) -> Bounds:
        """What holds for this model; its own concurrency lies within that of the run."""
        own = self.models.get(model, ModelLimits())
        return Bounds(
            min(self.concurrency, own.concurrency or self.concurrency),
            own.rpm or self.rpm,
            own.images_per_minute or self.images_per_minute,
        )


def read_limits(value: Json, flags: object, reading: Reading) -> Limits:
    """The limits that a job file gives; a flag of the same name as a field beats it.

    What is wrong is noted in `reading`.
    """
    found: dict[str, Any] = reading.section(value, keys.LIMITS, ("limits",))
    given: dict[str, Any] = {
        "concurrency": found.get("concurrency"),
        "rpm": found.get("rpm"),
        "timeout_s": found.get("timeout"),
        "max_cost_usd": found.get("max_cost"),
        "max_requests": found.get("max_requests"),
        "deadline_s": found.get("deadline"),
        "drain_timeout_s": found.get("drain_timeout"),
        "halt_after": found.get("halt_after"),
        "max_tasks": found.get("max_tasks"),
        "images_per_minute": found.get("images_per_minute"),
        "halt_refusals": found.get("halt_refusals"),
        "pending": found.get("pending"),
    }
    for name in given:
        flagged = getattr(flags, name, None)
        if flagged is not None:
            given[name] = flagged
    return Limits(
        timeouts=_timeouts(found.get("timeouts"), reading),
        polling=_asking(found.get("polling"), reading),
        models=_models(found.get("models") or {}, reading),
        **_given(given),
    )


def _timeouts(value: Json, reading: Reading) -> Timeouts:
    found = reading.section(value, keys.TIMEOUTS, ("limits", "timeouts"))
    return Timeouts(**_given({f"{name}_s": seconds for name, seconds in found.items()}))


def _asking(value: Json, reading: Reading) -> Asking:
    found = reading.section(value, keys.POLLING, ("limits", "polling"))
    return Asking(**_given({f"{name}_s": seconds for name, seconds in found.items()}))


def _models(value: Mapping[str, Json], reading: Reading) -> dict[str, ModelLimits]:
    sections = {
        model: reading.section(limits, keys.MODEL_LIMITS, ("limits", "models", model))
        for model, limits in value.items()
    }
    return {model: ModelLimits(**_given(found)) for model, found in sections.items()}


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
