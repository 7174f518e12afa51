"""Types of option values: functions that parse a text or raise `argparse.ArgumentTypeError`."""

import argparse

from batchgen.text import did_you_mean, seconds

_MAX_CONCURRENCY = 10_000  # as for limits.concurrency in a job file


def whole_number(text: str) -> int:
    """Return a whole number above 0."""
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")


def concurrency(text: str) -> int:
    """Return a number of requests in flight: 1 to 10,000."""
    number = whole_number(text)
    if number > _MAX_CONCURRENCY:
        raise argparse.ArgumentTypeError(f"{text!r} is above the maximum of {_MAX_CONCURRENCY:,}")
    return number


def statuses(text: str) -> frozenset[str]:
    """Return the statuses of a comma-separated list."""
    known = ("succeeded", "failed", "refused", "unknown", "skipped", "pending")
    words = text.split(",")
    for word in words:
        if word not in known:
            hint = did_you_mean(word, known)
            raise argparse.ArgumentTypeError(
                f"{word!r} is not one of {', '.join(known)}"
                + (f"; did you mean {hint}?" if hint else "")
            )
    return frozenset(words)


def port(text: str) -> int:
    """Return a TCP port; 0 means any free port."""
    if text.isascii() and text.isdigit() and int(text) < 2**16:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")


def positive_number(text: str) -> float:
    """Return a number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def duration(text: str) -> float:
    """Return seconds above 0, from `90`, `1.5s`, `30m` or `2h`."""
    try:
        duration_s = seconds(float(text) if text.replace(".", "", 1).isdigit() else text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not duration_s:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration above 0")
    return duration_s


def assignment(text: str) -> tuple[str, str]:
    """Return the key and the value of `KEY=VALUE`."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key.strip(), value
