"""The data of the page: compact JSON and figures, collected from records."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from batchgen.report.figures import Facets, Figures
from batchgen.report.thumbnails import TOO_LARGE
from batchgen.storage.results import public_status
from batchgen.storage.summary import FailureGroup, FailureGroups
from batchgen.types import Artifact, Json, Outcome, Record, Status

MAX_LISTED = 50_000  # tasks in the gallery: a page of about 20 MB
# The columns of a row, from which data.js makes an object. A column of TABLES holds an index into a
# list of words, so that the page contains each word once.
FIELDS = (
    "id", "status", "model", "prompt", "params", "vars", "files", "cause", "message", "revised",
    "seed", "cost", "attempts", "duration", "finished", "source", "request",
)  # fmt: skip
TABLES = ("status", "model", "cause", "source")


class Heading(msgspec.Struct, frozen=True):
    """What the page shows about the job as a whole.

    total: all tasks of the manifest. root, thumbs: prefixes of relative URLs, to the output
    directory and to its thumbnails.
    """

    name: str
    made_at: datetime
    total: int
    spent_usd: float
    root: str
    thumbs: str


class _WordTable:
    """Words by index: each is stored once."""

    def __init__(self) -> None:
        self._indexes: dict[str, int] = {}

    def index(self, word: str | None) -> int | None:
        return None if word is None else self._indexes.setdefault(word, len(self._indexes))

    def to_json(self) -> list[Json]:
        return list(self._indexes)


class Collector:
    """Collects records in manifest order; counts all of them, lists the first `limit`.

    running: tasks in flight count as pending, not as unknown.
    """

    def __init__(self, *, running: bool = False, limit: int = MAX_LISTED) -> None:
        self.count = 0
        self.listed = 0
        self.artifacts = 0
        self.size_bytes = 0
        self.without_preview = 0  # images that take too much memory
        self.figures = Figures()
        self._running = running
        self._limit = limit
        self._rows: list[bytes] = []
        self._tables = {name: _WordTable() for name in TABLES}
        self._facets = Facets()
        self._failures = FailureGroups()
        self._counts: Counter[str] = Counter()

    def add(
        self,
        record: Record,
        previews: Sequence[str | None],
        texts: Sequence[str | None] = (),
    ) -> None:
        """Count a record, and list it with the previews and texts of its artifacts."""
        self.count += 1
        status = self._status(record.outcome.status)
        self._counts[status] += 1
        self.artifacts += len(record.outcome.artifacts)
        self.size_bytes += sum(artifact.size_bytes for artifact in record.outcome.artifacts)
        self.figures.add(record.task.model, record.outcome)
        self._failures.add(record.task, record.outcome)
        if self.listed < self._limit:
            self.listed += 1
            files = _files(record.outcome.artifacts, previews, texts)
            self.without_preview += sum(preview == TOO_LARGE for preview in previews)
            row = self._row(record, status, files)
            self._rows.append(msgspec.json.encode([row.get(name) for name in FIELDS]))

    def failures(self) -> tuple[FailureGroup, ...]:
        """Return the failures by cause, the largest group first."""
        return self._failures.groups()

    def counts(self, total: int) -> dict[str, int]:
        """Return the number of tasks by status; tasks that were not started are pending."""
        words = (
            Status.SUCCEEDED, Status.FAILED, Status.REFUSED, Status.UNKNOWN, Status.SKIPPED
        )  # fmt: skip
        counts = {str(word): self._counts[word] for word in words}
        return {**counts, "pending": max(total, self.count) - sum(counts.values())}

    def to_json(self, heading: Heading) -> bytes:
        """Return the page's data as a JSON object that is safe inside a script element."""
        rest: dict[str, Json] = {
            "name": heading.name,
            "root": heading.root,
            "thumbs": heading.thumbs,
            "counts": dict(self.counts(heading.total)),
            "fields": list(FIELDS),
            "tables": {name: words.to_json() for name, words in self._tables.items()},
            "facets": self._facets.to_json(),
        }
        encoded = msgspec.json.encode(rest)
        return escaped(encoded[:-1] + b',"rows":[' + b",\n".join(self._rows) + b"]}")

    def _status(self, status: Status) -> str:
        if self._running and status is Status.SENT:
            return str(Status.PENDING)
        return str(public_status(status))

    def _row(self, record: Record, status: str, files: list[Json]) -> Mapping[str, Json]:
        task, outcome = record.task, record.outcome
        params, variables = _texts(task.params), _texts(task.vars)
        self._facets.add("params", params)
        self._facets.add("vars", variables)
        error = outcome.error
        tables = self._tables
        return {
            "id": task.id,
            "status": tables["status"].index(status),
            "model": tables["model"].index(task.model),
            "prompt": task.prompt,
            "params": params,
            "vars": variables,
            "files": files,
            "cause": tables["cause"].index(cause(outcome)),
            "message": error.message if error else None,
            "revised": outcome.revised_prompt,
            "seed": None if outcome.seed is None else str(outcome.seed),
            "cost": outcome.cost_usd,
            "attempts": outcome.attempts,
            "duration": None if outcome.duration_s is None else round(outcome.duration_s, 3),
            "finished": _stamp(outcome.finished_at),
            "source": tables["source"].index(f"{task.file}:{task.line}" if task.line else None),
            "request": outcome.request_id,
        }


def _stamp(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def cause(outcome: Outcome) -> str | None:
    """Return the cause of a failure, None without one; equal to the cause of its group."""
    error = outcome.error
    if error is None:
        return None
    status = f"HTTP {outcome.http_status}" if outcome.http_status else ""
    return ", ".join(filter(None, (error.kind, status, error.code)))


def escaped(json: bytes) -> bytes:
    """Escape JSON so that no text can end the script element or begin a comment in it."""
    for character in b"<>&":
        json = json.replace(bytes([character]), b"\\u%04x" % character)
    return json


def _texts(values: Mapping[str, Json]) -> dict[str, Json]:
    """Encode each value as JSON text, because JavaScript rounds numbers beyond 53 bits."""
    return {name: msgspec.json.encode(value).decode() for name, value in values.items()}


def _files(
    artifacts: Sequence[Artifact], previews: Sequence[str | None], texts: Sequence[str | None]
) -> list[Json]:
    texts = texts or [None] * len(artifacts)
    return [_file(*columns) for columns in zip(artifacts, previews, texts, strict=True)]


def _file(artifact: Artifact, preview: str | None, text: str | None) -> list[Json]:
    size = (artifact.width, artifact.height, artifact.size_bytes)
    if preview == TOO_LARGE:
        preview = None
        text = f"{artifact.width} x {artifact.height} pixels: too large for a preview"
    columns: list[Json] = [artifact.path, preview, artifact.media_type, *size]
    return columns if text is None else [*columns, text]
