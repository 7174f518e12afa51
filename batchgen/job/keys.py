"""The keys of a job file as data: one table for reading, for messages and for the README."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec

from batchgen.text import did_you_mean, one_line, seconds
from batchgen.types import Json, Problem

Place: TypeAlias = tuple[str | int, ...]
_HEADER = re.compile(r"[A-Za-z0-9_-]+")
_MOST = 1e12  # beyond any rate or sum of money
_AMOUNT = r"[0-9]+(?:\.[0-9]+)?"
# As text.parse_duration has it.
_DURATION = rf"^(?=[0-9])(?:{_AMOUNT}h)?(?:{_AMOUNT}m)?(?:{_AMOUNT}s)?(?:{_AMOUNT}ms)?$"
_STATUS: list[Json] = [
    {"type": "integer", "minimum": 100, "maximum": 599},
    {"type": "string", "pattern": "^(?:[1-5][0-9]{2}|[1-5][xX]{2})$"},
]


class Reader(msgspec.Struct, frozen=True):
    """How a value is read, and what JSON Schema says of it.

    read: raises ValueError that says what would be right.
    """

    read: Callable[[Json], Json]
    schema: Mapping[str, Json]

    def __call__(self, value: Json) -> Json:
        return self.read(value)


def _reads(**schema: Json) -> Callable[[Callable[[Json], Json]], Reader]:
    return lambda read: Reader(read, schema)


@_reads(type="string", minLength=1)
def text(value: Json) -> Json:
    """A text."""
    if isinstance(value, str) and value:
        return value
    raise ValueError(f"{_shown(value)} is not a text; put it in quotes")


@_reads(type="boolean")
def flag(value: Json) -> Json:
    """True or false."""
    if isinstance(value, bool):
        return value
    raise ValueError(f"{_shown(value)} is neither true nor false")


@_reads(anyOf=[{"const": False}, {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"}])
@_reads(anyOf=[{"type": "string", "pattern": f"^{_HEADER.pattern}$"}, {"const": False}])
def header(value: Json) -> Json:
    """The name of a header; nothing where `off`, `none` or false says that none is sent."""
    if value is False or (isinstance(value, str) and value.lower() in ("none", "off")):
        return ""
    if isinstance(value, str) and _HEADER.fullmatch(value):
        return value
    raise ValueError(f"{_shown(value)} is no header's name; Idempotency-Key is, and off is none")


@_reads(anyOf=[{"type": "number", "minimum": 0}, {"type": "string", "pattern": _DURATION}])
def duration(value: Json) -> Json:
    """A duration in seconds, from `1.5s`, `30m`, `2h` or a plain number of seconds."""
    return seconds(value)


@_reads(
    anyOf=[
        {"type": "number", "exclusiveMinimum": 0},
        {"type": "string", "pattern": _DURATION.replace("^", "^(?=.*[1-9])", 1)},
    ]
)
def span(value: Json) -> Json:
    """A duration in seconds that is not nothing."""
    if found := seconds(value):
        return found
    raise ValueError(f"{_shown(value)} is not a duration above 0")


def whole(least: int, most: int = 2**31) -> Reader:
    """A whole number within bounds."""

    @_reads(type="integer", minimum=least, maximum=most)
    def read(value: Json) -> Json:
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        upper = "" if most == 2**31 else f" to {most}"
        raise ValueError(f"{_shown(value)} is not a whole number from {least}{upper or ' up'}")

    return read


@_reads(type="number", exclusiveMinimum=0, maximum=_MOST)
def number(value: Json) -> Json:
    """A number above zero."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= _MOST:
        return float(value)
    raise ValueError(f"{_shown(value)} is not a number above 0, at most {_MOST:,.0f}")


@_reads(type="number", exclusiveMinimum=0, maximum=1)
def share(value: Json) -> Json:
    """A share of a whole."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1:
        return float(value)
    raise ValueError(f"{_shown(value)} is not a share such as 0.3 (above 0, at most 1)")


@_reads(type="number", exclusiveMinimum=0, maximum=_MOST)
def money(value: Json) -> Json:
    """US dollars, as a number."""
    try:
        return number(value)
    except ValueError:
        raise ValueError(f"{_shown(value)} is not an amount of US dollars such as 20.00") from None


def one_of(*words: str) -> Reader:
    """One of a few words."""

    @_reads(enum=list(words))
    def read(value: Json) -> Json:
        if value in words:
            return value
        hint = did_you_mean(str(value), words)
        raise ValueError(
            f"{_shown(value)} is not one of {', '.join(words)}"
            + (f"; did you mean {hint}?" if hint else "")
        )

    return read


@_reads(type="object")
def mapping(value: Json) -> Json:
    """A mapping, checked by what reads it."""
    if isinstance(value, dict):
        return value
    raise ValueError(f"{_shown(value)} is not a mapping of keys to values")


@_reads(type="array")
def sequence(value: Json) -> Json:
    """A list, checked by what reads it."""
    if isinstance(value, list):
        return value
    raise ValueError(f"{_shown(value)} is not a list")


@_reads(anyOf=[*_STATUS, {"type": "array", "minItems": 1, "items": {"anyOf": _STATUS}}])
def statuses(value: Json) -> Json:
    """A status, a class such as `5xx`, or a list of them; checked by what reads rules."""
    return value


class Setting(msgspec.Struct, frozen=True):
    """A key of the job file: how it is read, its default as it would be written, what it does."""

    read: Reader
    default: str
    help: str


JOB: Mapping[str, Setting] = {
    "name": Setting(text, "the file's stem", "what the job is called"),
    "provider": Setting(text, "aimlapi", "aimlapi, openai, simulator, or a name of `providers`"),
    "providers": Setting(mapping, "none", "OpenAI-compatible services of your own"),
    "output": Setting(mapping, "", "where the artifacts go"),
    "defaults": Setting(mapping, "none", "parameters of every row that does not set its own"),
    "limits": Setting(mapping, "", "how fast, how long and for how much"),
    "retry": Setting(mapping, "", "how often and when a request is tried again"),
    "matrix": Setting(mapping, "none", "axes: each row is made once for every combination"),
    "prices": Setting(
        mapping,
        "none",
        "US dollars for an image or the like, by model, before the catalogue's; or for a"
        " million tokens: {input: 2.50, output: 10.00}",
    ),
    "budget": Setting(mapping, "none", "money that several jobs share"),
    "prompts": Setting(sequence, "required", "the rows, or `from:` the files that hold them"),
}
OUTPUT: Mapping[str, Setting] = {
    "dir": Setting(text, "out/NAME", "the output directory; `{date}` is today's"),
    "filename": Setting(text, "{id}-{n}.{ext}", "template of an artifact's path below it"),
    "embed_metadata": Setting(flag, "false", "prompt, model and parameters go into each picture"),
    "sidecar": Setting(flag, "false", "the same as NAME.json beside each artifact"),
    "convert": Setting(mapping, "none", "a smaller copy of each picture in DIR/converted"),
}
CONVERT: Mapping[str, Setting] = {
    "format": Setting(one_of("webp", "jpeg", "png", "avif"), "required", "of the copies"),
    "quality": Setting(whole(1, 100), "85", "where the format has one"),
    "max_side": Setting(whole(1, 65_535), "as it is", "pixels of the longer side at most"),
}
LIMITS: Mapping[str, Setting] = {
    "concurrency": Setting(whole(1, 10_000), "16", "requests in flight at most"),
    "rpm": Setting(number, "none", "requests a minute for each model, evenly spaced"),
    "images_per_minute": Setting(number, "none", "images a minute for each model"),
    "models": Setting(mapping, "none", "limits of single models"),
    "timeout": Setting(span, "10m", "for a request, from its first byte to its last"),
    "timeouts": Setting(mapping, "", "for parts of a request"),
    "pending": Setting(whole(1, 100_000), "2000", "videos and the like under way at the provider"),
    "polling": Setting(mapping, "", "when the provider is asked for them"),
    "max_cost": Setting(money, "none", "US dollars that the job may spend, over all its runs"),
    "max_requests": Setting(whole(1), "none", "requests that a run may send"),
    "deadline": Setting(span, "none", "after which a run starts nothing new"),
    "drain_timeout": Setting(duration, "none", "how long an interrupted run finishes what is sent"),
    "halt_after": Setting(whole(1), "25", "failures in a row of one kind that halt the run"),
    "halt_refusals": Setting(share, "none", "share of refusals in 100 tasks that halts the run"),
    "max_tasks": Setting(whole(1), "1000000", "tasks that a manifest may come to"),
}
MODEL_LIMITS: Mapping[str, Setting] = {
    "rpm": Setting(number, "as the job", "requests a minute for this model"),
    "concurrency": Setting(whole(1, 10_000), "as the job", "its requests in flight at most"),
    "images_per_minute": Setting(number, "as the job", "images a minute for this model"),
}
TIMEOUTS: Mapping[str, Setting] = {
    "connect": Setting(span, "30s", "until the connection stands"),
    "first_byte": Setting(span, "as timeout", "from the request to the first of its reply"),
    "stall": Setting(span, "60s", "between two pieces of a reply"),
}
POLLING: Mapping[str, Setting] = {
    "first": Setting(span, "by family", "from its submission to the first question"),
    "interval": Setting(span, "by family", "between two questions"),
    "deadline": Setting(span, "by family", "after which the next run asks for it again"),
}
BUDGET: Mapping[str, Setting] = {
    "usd": Setting(money, "required", "what the jobs may spend together in a period"),
    "per": Setting(one_of("day", "month", "total"), "total", "the period; days are those of UTC"),
    "ledger": Setting(text, "required", "a file that the jobs share, where their spending is kept"),
}
RETRY: Mapping[str, Setting] = {
    "attempts": Setting(whole(1, 1000), "6", "attempts for a task in a run"),
    "backoff": Setting(mapping, "", "the wait between attempts where the provider names none"),
    "max_wait": Setting(duration, "1h", "the longest `Retry-After` that is believed"),
    "rules": Setting(sequence, "none", "decisions tried before the built-in table"),
}
BACKOFF: Mapping[str, Setting] = {
    "initial": Setting(duration, "1s", "the first wait; each further one is twice as long"),
    "max": Setting(duration, "60s", "the longest wait"),
    "jitter": Setting(one_of("full", "none"), "full", "`full` waits a random part of it"),
}
RULE: Mapping[str, Setting] = {
    "status": Setting(statuses, "any", "a status, a class such as 5xx, or a list"),
    "code": Setting(text, "any", "the provider's error code; * and ? as in file names"),
    "text": Setting(text, "any", "words in the provider's code or message"),
    "model": Setting(text, "any", "the model's id; * and ? as in file names"),
    "phase": Setting(one_of("submit", "poll", "download"), "any", "which kind of exchange"),
    "then": Setting(one_of("retry", "fail", "refuse", "halt"), "required", "the decision"),
    "after": Setting(duration, "back-off", "the wait, where the provider names none"),
    "attempts": Setting(whole(1, 1000), "as the job", "a lower bound of attempts"),
}
PROVIDER: Mapping[str, Setting] = {
    "base_url": Setting(text, "required", "where it answers, with or without /v1"),
    "api_key_env": Setting(text, "NAME_API_KEY", "the environment variable that holds the key"),
    "idempotency_header": Setting(header, "Idempotency-Key", "its header's name, or off"),
    "client_id_header": Setting(header, "off", "a second header for the same key, for its logs"),
    "headers": Setting(mapping, "none", "of every request; `${VAR}` is read from the environment"),
    "catalog": Setting(one_of("aimlapi", "openai"), "aimlapi", "whose models it has, for checks"),
    "paths": Setting(mapping, "none", "where endpoints answer instead: {images: /v1/img}"),
    "ca_file": Setting(text, "none", "trusted certificates (PEM) besides the system's"),
    "insecure": Setting(flag, "false", "plain http to a host that is neither local nor private"),
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
}


class Reading:
    """Reads sections of a job file and collects what is wrong in them, with its line."""

    def __init__(self, label: str, lines: Mapping[Place, int]) -> None:
        self.problems: list[Problem] = []
        self._label = label
        self._lines = lines

    def section(
        self, values: Json, settings: Mapping[str, Setting], place: Place = ()
    ) -> dict[str, Json]:
        """The given keys, each read as its setting says; what is wrong is left out and told."""
        if values is None:
            return {}
        if not isinstance(values, dict):
            self.complain(place, f"`{_dotted(place)}` is {_shown(values)}, not a mapping of keys")
            return {}
        found: dict[str, Json] = {}
        for key, value in values.items():
            here = (*place, key)
            if key not in settings:
                self.complain(here, _unknown(here, settings))
            elif value is not None:
                try:
                    found[key] = settings[key].read(value)
                except ValueError as error:
                    self.complain(here, f"`{_dotted(here)}`: {error}")
        return found

    def path(self, name: str) -> Path:
        """A file that the job names relative to its own folder."""
        return Path(self._label).parent / name

    def refuse_flag(self, flag: str, message: str) -> None:
        """Note a problem with what the command line says."""
        self.problems.append(Problem(flag, 0, message))

    def complain(self, place: Place, message: str) -> None:
        """Note a problem at the line of the innermost key that has one."""
        while place and place not in self._lines:
            place = place[:-1]
        self.problems.append(Problem(self._label, self._lines.get(place, 1), message))


def _unknown(place: Place, settings: Mapping[str, Setting]) -> str:
    key = str(place[-1])
    hint = did_you_mean(key, settings)
    where = f" in `{_dotted(place[:-1])}`" if len(place) > 1 else ""
    right = f"did you mean `{hint}`?" if hint else f"the keys are {', '.join(settings)}"
    return f"unknown key `{key}`{where}; {right}"


def _dotted(place: Place) -> str:
    return ".".join(str(part) for part in place)


def _shown(value: Json) -> str:
    return one_line(repr(value), 60)
