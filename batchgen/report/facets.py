"""Names of variables and parameters with few values: to filter by, and as axes of a grid. Pure."""

from collections.abc import Mapping

from batchgen.types import Json

MOST_VALUES = 60
_MOST_NAMES = 200
_LONGEST = 80  # characters of a value that can stand in a menu or at a row's head


class Facets:
    """Collects values, as JSON texts, under their names.

    A name with too many values is let go; long values are passed over.
    """

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], dict[str, None] | None] = {}

    def add(self, source: str, texts: Mapping[str, Json]) -> None:
        """Take the values of a task; `source`: `vars` or `params`."""
        for name, text in texts.items():
            key = (source, name)
            if key not in self._values and len(self._values) >= _MOST_NAMES:
                continue
            values = self._values.setdefault(key, {})
            if values is None:
                continue
            if len(str(text)) <= _LONGEST:
                values[str(text)] = None
            if len(values) > MOST_VALUES:
                self._values[key] = None

    def to_json(self) -> list[Json]:
        """Names with at least two values, variables first; values in the order they came in."""
        return [
            {"source": source, "name": name, "values": list(values)}
            for (source, name), values in sorted(
                self._values.items(), key=lambda item: item[0][0] != "vars"
            )
            if values is not None and len(values) > 1
        ]
