"""The limits of a job: rate, time and cost."""

from collections.abc import Mapping
from typing import Any

import msgspec

from batchgen.job import keys
from batchgen.job.keys import SectionReader
from batchgen.types import Json, Polling, Timeouts


class Bounds(msgspec.Struct, frozen=True):
    """The limits in force for one model; None is no limit."""

    concurrency: int
    rpm: float | None = None
    images_per_minute: float | None = None


class ModelLimits(msgspec.Struct, frozen=True):
    """A job's own limits for one model; None if the job's general limit applies."""

    concurrency: int | None = None
    rpm: float | None = None
    images_per_minute: float | None = None


class PollingOverrides(msgspec.Struct, frozen=True):
    """When remote jobs are polled, in seconds; None if the family's default applies.

    first_s: after submission. interval_s: between two polls. deadline_s: in total.
    """

    first_s: float | None = None
    interval_s: float | None = None
    deadline_s: float | None = None

    def applied_to(self, defaults: Polling) -> Polling:
        """Return the job's values, and the family's defaults for those that are None."""
        return Polling(
            defaults.first_s if self.first_s is None else self.first_s,
            defaults.interval_s if self.interval_s is None else self.interval_s,
            defaults.deadline_s if self.deadline_s is None else self.deadline_s,
        )


class Limits(msgspec.Struct, frozen=True):
    """Limits on requests, time (seconds) and cost (USD); None is no limit.

    drain_timeout_s: how long a run that is stopped by a signal waits for requests in flight.
    pending: the maximum number of remote jobs in progress at the provider.
    fetch_deadline_s: how long a file that is not there yet is asked for.
    halt_refusals: the fraction of refusals among the last 100 tasks that halts the run.
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
    fetch_deadline_s: float = 300.0
    polling: PollingOverrides = PollingOverrides()
    models: Mapping[str, ModelLimits] = msgspec.field(default_factory=dict)

    def of_model(self, model: str) -> Bounds:
        """Return the limits of a model; its concurrency is at most that of the run."""
        own = self.models.get(model, ModelLimits())
        return Bounds(
            min(self.concurrency, own.concurrency or self.concurrency),
            own.rpm or self.rpm,
            own.images_per_minute or self.images_per_minute,
        )


def read_limits(value: Json, flags: object, reader: SectionReader) -> Limits:
    """Return the limits of a job file; a flag with the name of a field replaces it.

    Problems are added to `reader`.
    """
    section: dict[str, Any] = reader.section(value, keys.LIMITS, ("limits",))
    values: dict[str, Any] = {
        "concurrency": section.get("concurrency"),
        "rpm": section.get("rpm"),
        "timeout_s": section.get("timeout"),
        "max_cost_usd": section.get("max_cost"),
        "max_requests": section.get("max_requests"),
        "deadline_s": section.get("deadline"),
        "drain_timeout_s": section.get("drain_timeout"),
        "halt_after": section.get("halt_after"),
        "max_tasks": section.get("max_tasks"),
        "images_per_minute": section.get("images_per_minute"),
        "halt_refusals": section.get("halt_refusals"),
        "pending": section.get("pending"),
        "fetch_deadline_s": section.get("fetch_deadline"),
    }
    for name in values:
        from_flag = getattr(flags, name, None)
        if from_flag is not None:
            values[name] = from_flag
    return Limits(
        timeouts=_timeouts(section.get("timeouts"), reader),
        polling=_polling(section.get("polling"), reader),
        models=_models(section.get("models") or {}, reader),
        **_without_none(values),
    )


def _timeouts(value: Json, reader: SectionReader) -> Timeouts:
    section = reader.section(value, keys.TIMEOUTS, ("limits", "timeouts"))
    return Timeouts(**_without_none({f"{name}_s": seconds for name, seconds in section.items()}))


def _polling(value: Json, reader: SectionReader) -> PollingOverrides:
    section = reader.section(value, keys.POLLING, ("limits", "polling"))
    return PollingOverrides(
        **_without_none({f"{name}_s": seconds for name, seconds in section.items()})
    )


def _models(value: Mapping[str, Json], reader: SectionReader) -> dict[str, ModelLimits]:
    sections = {
        model: reader.section(limits, keys.MODEL_LIMITS, ("limits", "models", model))
        for model, limits in value.items()
    }
    return {model: ModelLimits(**_without_none(section)) for model, section in sections.items()}


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
