"""How often Python looks for objects that hold each other: seldom, since requests leave none.

What a request makes goes as its last user lets go of it. Left alone, the collector looks at the
requests in flight after every 700 objects more, which took a twentieth of a run's CPU.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_THRESHOLDS = (20_000, 50, 100)  # objects; the youngest twenty thousand take some 2 MB
_inside: list[tuple[int, int, int]] = []  # what held when each run that is under way began


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Look seldom, and not at what is there already, while runs are under way in this process.

    When the last of them ends, all is as it was before the first.
    """
    _inside.append(gc.get_threshold())
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        before = _inside.pop()
        if not _inside:
            gc.set_threshold(*before)
            gc.unfreeze()
