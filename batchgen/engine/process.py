"""File descriptors: a request in flight holds its connection and may hold a temporary file."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_OWN = 64  # of the ledger, the log, the lock, threads, the interpreter
_EACH = 2


def affordable(concurrency: int, tell: Callable[[str], None]) -> int:
    """How many requests may be in flight; the process's limit is raised where that helps."""
    try:
        import resource  # noqa: PLC0415  # POSIX alone has it
    except ImportError:
        return concurrency
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OWN + _EACH * concurrency
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return concurrency
    ceiling = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (ceiling, hard))
    except (ValueError, OSError):  # macOS refuses what is above its own maximum
        ceiling = soft
    if ceiling >= wanted:
        return concurrency
    affordable = max(1, (ceiling - _OWN) // _EACH)
    tell(
        f"concurrency {concurrency} needs {wanted} file descriptors and this process may have"
        f" {ceiling}: {affordable} requests will be in flight at most (see `ulimit -Hn`)"
    )
    return affordable


_THRESHOLDS = (20_000, 50, 100)  # objects; the youngest twenty thousand take some 2 MB


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Collect seldom, and leave out what exists already, until the block ends."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
