"""When it is worth a line that a pace has changed. Pure."""

import math

_QUIET_S = 30.0  # between two lines: a pace that is being found changes with every refusal
_MUCH = 2.0  # times what was told


class News:
    """Remembers what was told last."""

    def __init__(self) -> None:
        self._told = math.nan
        self._quiet_until = -math.inf

    def tell(self, level: float, now: float) -> bool:
        """Whether to tell this level; it counts as told then.

        The first one is told at once, and so is infinity: what was told of a limit is void.
        """
        same = level == self._told or self._told / _MUCH < level < self._told * _MUCH
        if same or (now < self._quiet_until and math.isfinite(level)):
            return False
        self._told, self._quiet_until = level, now + _QUIET_S
        return True
