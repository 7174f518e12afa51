"""What the report's page is made from: records in, compact JSON and figures out. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from batchgen.report.figures import Facets, Figures
from batchgen.storage.results import public_status
from batchgen.storage.summary import FailureGroup, FailureGroups
from batchgen.types import Artifact, Json, Outcome, Record, Status

MOST_SHOWN = 50_000  # tasks in the gallery: about 20 MB of page
# The columns of a row; data.js makes an object of them. Those of TABLES are numbers of words that
# stand once in the page.
FIELDS = (
    "id", "status", "model", "prompt", "params", "vars", "files", "cause", "message", "revised",
    "seed", "cost", "attempts", "duration", "finished", "source", "request",
)  # fmt: skip
TABLES = ("status", "model", "cause", "source")


class Heading(msgspec.Struct, frozen=True):
    """What the page says of the job as a whole.

    total: tasks of the manifest, begun or not. root, thumbs: beginnings of relative URLs.
    """

    name: str
    made_at: datetime
    total: int
    spent_usd: float
    root: str
    thumbs: str


class _Words:
    """Words that stand once and are named by number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, word: str | None) -> int | None:
        return None if word is None else self._numbers.setdefault(word, len(self._numbers))

    def to_json(self) -> list[Json]:
        return list(self._numbers)


class Collector:
    """Takes records in manifest order; every one counts, the first `most` are shown.

    running: what is sent is under way, not yet unknown.
    """

    def __init__(self, *, running: bool = False, most: int = MOST_SHOWN) -> None:
        self.count = 0
        self.shown = 0
        self.artifacts = 0
        self.size_bytes = 0
        self.figures = Figures()
        self._running = running
        self._most = most
        self._rows: list[bytes] = []
        self._tables = {name: _Words() for name in TABLES}
        self._facets = Facets()
        self._failures = FailureGroups()
        self._counts: Counter[str] = Counter()

    def add(
        self,
        record: Record,
        previews: Sequence[str | None],
        texts: Sequence[str | None] = (),
    ) -> None:
        """Count a record, and show it with the previews of its artifacts and their texts."""
        self.count += 1
        status = self._status(record.outcome.status)
        self._counts[status] += 1
        self.artifacts += len(record.outcome.artifacts)
        self.size_bytes += sum(one.size_bytes for one in record.outcome.artifacts)
        self.figures.add(record.task.model, record.outcome)
        self._failures.add(record.task, record.outcome)
        if self.shown < self._most:
            self.shown += 1
            files = _files(record.outcome.artifacts, previews, texts)
            row = self._row(record, status, files)
            self._rows.append(msgspec.json.encode([row.get(name) for name in FIELDS]))

    def failures(self) -> tuple[FailureGroup, ...]:
        """Failures by cause, the largest group first."""
        return self._failures.groups()

    def counts(self, total: int) -> dict[str, int]:
        """Tasks by status, those that were never begun among the pending."""
        words = (
            Status.SUCCEEDED, Status.FAILED, Status.REFUSED, Status.UNKNOWN, Status.SKIPPED
        )  # fmt: skip
        counts = {str(word): self._counts[word] for word in words}
        return {**counts, "pending": max(total, self.count) - sum(counts.values())}

    def to_json(self, heading: Heading) -> bytes:
        """The page's data as one JSON object, safe inside a script element."""
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
            "status": tables["status"].number(status),
            "model": tables["model"].number(task.model),
            "prompt": task.prompt,
            "params": params,
            "vars": variables,
            "files": files,
            "cause": tables["cause"].number(cause(outcome)),
            "message": error.message if error else None,
            "revised": outcome.revised_prompt,
            "seed": None if outcome.seed is None else str(outcome.seed),
            "cost": outcome.cost_usd,
            "attempts": outcome.attempts,
            "duration": None if outcome.duration_s is None else round(outcome.duration_s, 3),
            "finished": _stamp(outcome.finished_at),
            "source": tables["source"].number(f"{task.file}:{task.line}" if task.line else None),
            "request": outcome.request_id,
        }


def _stamp(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def cause(outcome: Outcome) -> str | None:
    """The cause of a failure in the words of its group."""
    error = outcome.error
    if error is None:
        return None
    status = f"HTTP {outcome.http_status}" if outcome.http_status else ""
    return ", ".join(filter(None, (error.kind, status, error.code)))


def escaped(json: bytes) -> bytes:
    """JSON in which no text can end the script element or begin a comment in it."""
    for character in b"<>&":
        json = json.replace(bytes([character]), b"\\u%04x" % character)
    return json


def _texts(values: Mapping[str, Json]) -> dict[str, Json]:
    """Values as JSON texts: JavaScript would round numbers beyond 53 bits."""
    return {name: msgspec.json.encode(value).decode() for name, value in values.items()}


def _files(
    artifacts: Sequence[Artifact], previews: Sequence[str | None], texts: Sequence[str | None]
) -> list[Json]:
    told = texts or [None] * len(artifacts)
    return [_file(*one) for one in zip(artifacts, previews, told, strict=True)]


def _file(artifact: Artifact, preview: str | None, text: str | None) -> list[Json]:
    size = (artifact.width, artifact.height, artifact.size_bytes)
    columns: list[Json] = [artifact.path, preview, artifact.media_type, *size]
    return columns if text is None else [*columns, text]
