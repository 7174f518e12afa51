"""Bound the files of a reply by what was asked for: a reply may name any number of URLs."""

from typing import TypeVar

from msgspec.structs import replace

from batchgen.provider.pricing import image_count
from batchgen.types import Finished, Task

_Result = TypeVar("_Result")

MAX_FILES = 256  # of a family whose requests do not say how many
# Some models make four images whatever is asked for, and all are paid.
_LEAST = 16
_FACTOR = 4


def most_files(task: Task) -> int:
    """Return how many files of one reply are fetched and stored, by URL and base64 alike."""
    if task.endpoint not in ("images", "edits"):
        return MAX_FILES
    return max(_LEAST, _FACTOR * image_count(task))


def limit_files(task: Task, result: _Result) -> _Result | Finished:
    """Return the result without the files above the bound."""
    most = most_files(task)
    if not isinstance(result, Finished) or len(result.payloads) <= most:
        return result
    return replace(result, payloads=result.payloads[:most], has_surplus=True)
