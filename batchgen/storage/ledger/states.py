"""The states of tasks that the ledger knows, to compare other records of the job with it."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from batchgen.storage.ledger import rows
from batchgen.storage.ledger.connection import LedgerFile, tuples

RESULTS = "results"  # in `meta`: the fingerprint of the results manifest that is up to date
BEHIND = "results_behind"  # in `meta`: results.jsonl has states that were corrected in the ledger

_STATES = """
SELECT key, status, generation, attempts, started_at, finished_at,
    EXISTS (SELECT 1 FROM artifacts WHERE artifacts.task = tasks.task
        AND artifacts.generation = tasks.generation) AS has_artifacts
FROM tasks WHERE key IN (SELECT value FROM json_each(?))
"""

_ENDS = "SELECT key, finished_at FROM tasks WHERE key IN (SELECT value FROM json_each(?))"

_EARLIER = """
SELECT key, versions.finished_at FROM versions JOIN tasks USING (task)
WHERE key IN (SELECT value FROM json_each(?)) AND versions.finished_at IS NOT NULL
"""


class State(msgspec.Struct, frozen=True):
    """The newest generation of a task.

    started_at, finished_at: in ISO 8601 and UTC. earlier: when its earlier generations ended.
    """

    status: str
    generation: int
    attempts: int
    started_at: str | None
    finished_at: str | None
    has_artifacts: bool
    earlier: frozenset[str] = frozenset()


class StatesFile(LedgerFile):
    """A ledger file, opened to compare the states of its tasks; a context manager."""

    def ends(self, keys: Sequence[str]) -> Iterator[tuple[str, str | None]]:
        """Return the keys of those of these tasks that the ledger has, and when they ended."""
        return tuples(self._db, self.path, _ENDS, rows.text(keys))

    def states(self, keys: Sequence[str]) -> Mapping[str, State]:
        """Return the states of those of these tasks that the ledger has, by key."""
        wanted = rows.text(keys)
        earlier: dict[str, set[str]] = {}
        for row in self._read(_EARLIER, wanted):
            earlier.setdefault(row["key"], set()).add(row["finished_at"])
        return {
            row["key"]: State(
                row["status"], row["generation"], row["attempts"], row["started_at"],
                row["finished_at"], bool(row["has_artifacts"]),
                frozenset(earlier.get(row["key"], ())),
            )
            for row in self._read(_STATES, wanted)
        }  # fmt: skip

    def meta_values(self) -> dict[str, str]:
        """Return all facts about the job."""
        return {row["name"]: row["value"] for row in self._read("SELECT name, value FROM meta")}
