"""The keys of a job file as one table, used for reading, messages, JSON Schema and docs."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec

from batchgen.job.value_readers import (
    Reader,
    describe,
    duration,
    field,
    flag,
    fraction,
    header,
    integer,
    mapping,
    money,
    number,
    one_of,
    positive_duration,
    sequence,
    statuses,
    text,
    words,
)
from batchgen.text import did_you_mean
from batchgen.types import Json, Problem

KeyPath: TypeAlias = tuple[str | int, ...]


class Setting(msgspec.Struct, frozen=True):
    """A key of the job file: how it is read, its default as in the file, what it does."""

    read: Reader
    default: str
    help: str


JOB: Mapping[str, Setting] = {
    "name": Setting(text, "the file's stem", "name of the job"),
    "provider": Setting(
        text, "aimlapi", "`aimlapi`, `openai`, `simulator`, or a name from `providers`"
    ),
    "providers": Setting(mapping, "none", "OpenAI-compatible services of your own"),
    "output": Setting(mapping, "", "where artifacts are stored, and how"),
    "defaults": Setting(mapping, "none", "parameters for every row that does not set them itself"),
    "limits": Setting(mapping, "", "limits on rate, time and cost"),
    "retry": Setting(mapping, "", "when and how often a request is retried"),
    "matrix": Setting(
        mapping, "none", "lists of values; each row is expanded once per combination"
    ),
    "prices": Setting(
        mapping,
        "none",
        "prices by model, before the catalogue's: US dollars per result, or per million tokens"
        " as {input: 2.50, output: 10.00}",
    ),
    "budget": Setting(mapping, "none", "a budget that several jobs share"),
    "prompts": Setting(sequence, "required", "the rows, or the files with them as `from: FILE`"),
}
OUTPUT: Mapping[str, Setting] = {
    "dir": Setting(text, "out/NAME", "the output directory; `{date}` is today's date"),
    "filename": Setting(
        text, "{id}-{n}.{ext}", "template of an artifact's path in the output directory"
    ),
    "embed_metadata": Setting(flag, "false", "embed prompt, model and parameters in each image"),
    "sidecar": Setting(
        flag, "false", "write prompt, model and parameters to NAME.json beside each artifact"
    ),
    "convert": Setting(mapping, "none", "write a smaller copy of each image to DIR/converted"),
}
CONVERT: Mapping[str, Setting] = {
    "format": Setting(
        one_of("webp", "jpeg", "png", "avif"), "required", "file format of the copies"
    ),
    "quality": Setting(integer(1, 100), "85", "quality of the copies, if the format supports it"),
    "max_side": Setting(
        integer(1, 65_535), "unchanged", "maximum length of the longer side in pixels"
    ),
}
LIMITS: Mapping[str, Setting] = {
    "concurrency": Setting(integer(1, 10_000), "16", "maximum number of requests in flight"),
    "rpm": Setting(number, "none", "requests per minute for each model, evenly spaced"),
    "images_per_minute": Setting(number, "none", "images per minute for each model"),
    "models": Setting(mapping, "none", "limits for individual models"),
    "timeout": Setting(
        positive_duration, "10m", "total time of a request, until the last byte of its reply"
    ),
    "timeouts": Setting(mapping, "", "timeouts for parts of a request"),
    "pending": Setting(
        integer(1, 100_000),
        "2000",
        "maximum number of jobs in progress at the provider (videos and other slow results)",
    ),
    "polling": Setting(mapping, "", "when those jobs are polled"),
    "max_cost": Setting(
        money, "none", "US dollars that the job may spend in all its runs together"
    ),
    "max_requests": Setting(integer(1), "none", "maximum number of requests per run"),
    "deadline": Setting(positive_duration, "none", "time after which a run starts no new requests"),
    "drain_timeout": Setting(
        duration, "none", "how long an interrupted run waits for requests in flight"
    ),
    "halt_after": Setting(integer(1), "25", "consecutive failures of one kind that halt the run"),
    "halt_refusals": Setting(
        fraction, "none", "fraction of refusals among the last 100 tasks that halts the run"
    ),
    "max_tasks": Setting(integer(1), "1000000", "maximum number of tasks of a manifest"),
}
MODEL_LIMITS: Mapping[str, Setting] = {
    "rpm": Setting(number, "as the job", "requests per minute for this model"),
    "concurrency": Setting(
        integer(1, 10_000), "as the job", "maximum number of requests in flight for this model"
    ),
    "images_per_minute": Setting(number, "as the job", "images per minute for this model"),
}
TIMEOUTS: Mapping[str, Setting] = {
    "connect": Setting(positive_duration, "30s", "until the connection is ready"),
    "first_byte": Setting(
        positive_duration, "as timeout", "from the request to the first byte of its reply"
    ),
    "stall": Setting(positive_duration, "60s", "between two chunks of a reply"),
}
POLLING: Mapping[str, Setting] = {
    "first": Setting(positive_duration, "by family", "from submission to the first poll"),
    "interval": Setting(positive_duration, "by family", "between two polls"),
    "deadline": Setting(
        positive_duration, "by family", "time after which polling stops; the next run continues"
    ),
}
BUDGET: Mapping[str, Setting] = {
    "usd": Setting(money, "required", "US dollars that all jobs together may spend in a period"),
    "per": Setting(
        one_of("day", "month", "total"), "total", "the period; days and months are in UTC"
    ),
    "ledger": Setting(text, "required", "the shared file in which the jobs record their spending"),
}
RETRY: Mapping[str, Setting] = {
    "attempts": Setting(integer(1, 1000), "6", "attempts per task in a run"),
    "backoff": Setting(mapping, "", "the wait between attempts if the provider names none"),
    "max_wait": Setting(duration, "1h", "the longest `Retry-After` that is obeyed"),
    "rules": Setting(sequence, "none", "decision rules that come before the built-in ones"),
}
BACKOFF: Mapping[str, Setting] = {
    "initial": Setting(duration, "1s", "the first wait; each further one is twice as long"),
    "max": Setting(duration, "60s", "the longest wait"),
    "jitter": Setting(one_of("full", "none"), "full", "`full` waits a random part of the time"),
}
RULE: Mapping[str, Setting] = {
    "status": Setting(statuses, "any", "a status, a class such as 5xx, or a list"),
    "code": Setting(text, "any", "the provider's error code; * and ? as in file names"),
    "text": Setting(text, "any", "a text in the provider's code or message"),
    "model": Setting(text, "any", "the model's id; * and ? as in file names"),
    "phase": Setting(one_of("submit", "poll", "download"), "any", "kind of request"),
    "then": Setting(one_of("retry", "fail", "refuse", "halt"), "required", "the decision"),
    "after": Setting(duration, "backoff", "the wait before a retry if the provider names none"),
    "attempts": Setting(
        integer(1, 1000), "as the job", "maximum number of attempts, below the job's"
    ),
}
PROVIDER: Mapping[str, Setting] = {
    "base_url": Setting(text, "required", "base URL of the API, with or without /v1"),
    "api_key_env": Setting(text, "NAME_API_KEY", "the environment variable that holds the key"),
    "idempotency_header": Setting(
        header, "Idempotency-Key", "name of the header with the idempotency key, or `off`"
    ),
    "client_id_header": Setting(
        header, "off", "a second header with the same key, for the provider's logs"
    ),
    "headers": Setting(
        mapping, "none", "headers of every request; `${VAR}` is an environment variable"
    ),
    "catalog": Setting(
        one_of("aimlapi", "openai"), "aimlapi", "catalogue of models to check against"
    ),
    "paths": Setting(mapping, "none", "other paths of endpoints, such as {images: /v1/img}"),
    "ca_file": Setting(
        text, "none", "file or folder of certificates (PEM) to trust besides the system's"
    ),
    "jobs": Setting(
        mapping, "none", "how to poll a service that replies with the id of a job, not with files"
    ),
    "insecure": Setting(flag, "false", "allow plain http to hosts that are not local or private"),
}
REMOTE_JOBS: Mapping[str, Setting] = {
    "url": Setting(
        text,
        "required",
        "where to poll: a path such as /v1/tasks/{id}, a field of the reply that has the URL, or"
        " header:NAME",
    ),
    "id": Setting(field, "none", "the field of the reply that has the job's id: data.0.task_id"),
    "status": Setting(field, "status", "the field of a poll's reply that has the job's state"),
    "done": Setting(words, "the usual words", "states of a finished job"),
    "failed": Setting(words, "the usual words", "states of a job that ended without a result"),
    "result": Setting(field, "the whole reply", "the field of a poll's reply that has the files"),
}
SECTIONS: Mapping[str, Mapping[str, Setting]] = {
    "": JOB,
    "output": OUTPUT,
    "output.convert": CONVERT,
    "limits": LIMITS,
    "limits.models.NAME": MODEL_LIMITS,
    "limits.timeouts": TIMEOUTS,
    "limits.polling": POLLING,
    "budget": BUDGET,
    "retry": RETRY,
    "retry.backoff": BACKOFF,
    "retry.rules[]": RULE,
    "providers.NAME": PROVIDER,
    "providers.NAME.jobs": REMOTE_JOBS,
}


class SectionReader:
    """Reads sections of a job file and collects the problems in them, with their lines."""

    def __init__(self, label: str, lines: Mapping[KeyPath, int]) -> None:
        self.problems: list[Problem] = []
        self._label = label
        self._lines = lines

    def section(
        self, values: Json, settings: Mapping[str, Setting], path: KeyPath = ()
    ) -> dict[str, Json]:
        """Return the values of the given keys; report invalid ones and leave them out."""
        if values is None:
            return {}
        if not isinstance(values, dict):
            self.add_problem(
                path, f"`{_dotted(path)}` is {describe(values)}, not a mapping of keys"
            )
            return {}
        checked: dict[str, Json] = {}
        for key, value in values.items():
            key_path = (*path, key)
            if key not in settings:
                self.add_problem(key_path, _unknown(key_path, settings))
            elif value is not None:
                try:
                    checked[key] = settings[key].read(value)
                except ValueError as error:
                    self.add_problem(key_path, f"`{_dotted(key_path)}`: {error}")
        return checked

    def path(self, name: str) -> Path:
        """Return the path of a file whose name is relative to the job file's folder."""
        return Path(self._label).parent / name

    def place(self, path: KeyPath) -> str:
        """Return the file and line of a key."""
        return f"{self._label}:{self._lines.get(path, 1)}"

    def add_flag_problem(self, flag: str, message: str) -> None:
        """Add a problem of an option of the command."""
        self.problems.append(Problem(flag, 0, message))

    def add_problem(self, path: KeyPath, message: str) -> None:
        """Add a problem at the line of the innermost key that has one."""
        while path and path not in self._lines:
            path = path[:-1]
        self.problems.append(Problem(self._label, self._lines.get(path, 1), message))


def _unknown(path: KeyPath, settings: Mapping[str, Setting]) -> str:
    key = str(path[-1])
    hint = did_you_mean(key, settings)
    section = f" in `{_dotted(path[:-1])}`" if len(path) > 1 else ""
    advice = f"did you mean `{hint}`?" if hint else f"the keys are {', '.join(settings)}"
    return f"unknown key `{key}`{section}; {advice}"


def _dotted(path: KeyPath) -> str:
    return ".".join(str(part) for part in path)
