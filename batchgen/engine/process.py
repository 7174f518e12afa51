"""Settings of the process: the limit on open files, and the garbage collector."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_OWN_FILES = 64  # of the ledger, the log, the lock, threads, the interpreter
_FILES_PER_REQUEST = 2  # its connection, and perhaps a temporary file


def affordable_concurrency(concurrency: int, report: Callable[[str], None]) -> int:
    """Return how many requests may be in flight, after raising the limit on open files.

    report: called with a message if that is less than `concurrency`.
    """
    try:
        import resource  # noqa: PLC0415  # only on POSIX
    except ImportError:
        return concurrency
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _OWN_FILES + _FILES_PER_REQUEST * concurrency
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return concurrency
    ceiling = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (ceiling, hard))
    except (ValueError, OSError):  # macOS has a lower maximum of its own
        ceiling = soft
    if ceiling >= needed:
        return concurrency
    affordable = max(1, (ceiling - _OWN_FILES) // _FILES_PER_REQUEST)
    report(
        f"concurrency {concurrency} needs {needed} file descriptors, and the limit is {ceiling}:"
        f" at most {affordable} requests will be in flight (see `ulimit -Hn`)"
    )
    return affordable


_THRESHOLDS = (20_000, 50, 100)  # objects; 20,000 young ones take about 2 MB


@contextmanager
def infrequent_collection() -> Iterator[None]:
    """Make garbage collection rare, and skip objects that exist already, until the block ends."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
