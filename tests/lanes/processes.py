"""The processes of a run: which there are, and that they go."""

import os
import select
from collections.abc import Iterable
from pathlib import Path

import pytest


def children_of(number: int) -> list[int]:
    """The processes that a process has started and not seen off."""
    children = Path(f"/proc/{number}/task/{number}/children")
    if not children.exists():
        pytest.skip("which processes belong to a run is told by Linux only")
    return [int(one) for one in children.read_text().split()]


def watched(numbers: Iterable[int]) -> list[int]:
    """Descriptors that tell when processes end, for `assert_gone`."""
    return [os.pidfd_open(number) for number in numbers]


def assert_gone(descriptors: Iterable[int], *, within_ms: int = 30_000) -> None:
    """The processes that are watched end by themselves within that time."""
    for one in descriptors:
        poll = select.poll()
        poll.register(one, select.POLLIN)
        assert poll.poll(within_ms), "the process is still there"
        os.close(one)
