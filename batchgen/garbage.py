"""How often Python looks for reference cycles: seldom, since requests leave none.

What a request makes goes as its last user lets go of it. Left alone, the collector looks at the
requests in flight after every 700 objects more, which took a twentieth of a run's CPU.

For the command alone: a program that calls `batchgen.run` sets its collector itself.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

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
