"""How often Python looks for objects that hold each other: seldom, since a request makes few.

What a request makes goes as its last user lets go of it. Left alone, the collector looks at the
requests in flight after every 700 objects more, which took a twentieth of a run's CPU.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_THRESHOLDS = (20_000, 50, 100)  # objects; the youngest twenty thousand take some 2 MB


@contextmanager
def seldom_collected() -> Iterator[None]:
    """While many requests are made; what is loaded by now stays to the end and is not looked at."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
