"""The results manifest: its lines, the open file, and its order at the end."""

import asyncio
import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.errors import StorageError
from batchgen.report.export_csv import write_csv
from batchgen.storage.ledger import Ledger
from batchgen.storage.results import (
    COLUMNS,
    ResultsFile,
    encode_rows,
    line_of,
    write_jsonl,
)
from batchgen.types import Json, Outcome, Record, Status, TaskError
from tests.given import NOW, FakeClock, a_ledger, a_task, an_artifact, succeeded

KEYS = (
    "schema", "id", "key", "line", "status", "model", "prompt", "params", "vars", "artifacts",
    "attempts", "http_status", "error", "revised_prompt", "request_id", "cost_usd", "started_at",
    "finished_at", "duration_s", "reply",
)  # fmt: skip
FAILED = Outcome(Status.FAILED, error=TaskError("server", "busy", "try later"), attempts=6)
texts = st.text(max_size=20)
jsons = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / ".batchgen").mkdir()
    return tmp_path


@pytest.fixture
def results(directory: Path) -> Iterator[ResultsFile]:
    results = ResultsFile(directory)
    yield results
    results.close()


def lines(directory: Path) -> list[dict[str, object]]:
    text = (directory / "results.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def encoded(records: Iterable[Record]) -> Iterator[bytes]:
    return (msgspec.json.encode(line_of(record)) + b"\n" for record in records)


def records(*statuses: Status) -> list[Record]:
    return [Record(a_task(n), Outcome(status)) for n, status in enumerate(statuses)]


@pytest.mark.parametrize("outcome", [Outcome(Status.PENDING), FAILED, succeeded(an_artifact())])
def test_a_line_has_every_key_in_order_even_if_its_value_is_unknown(outcome: Outcome) -> None:
    assert tuple(line_of(Record(a_task(), outcome))) == KEYS


def test_a_line_has_the_documented_keys_of_artifacts_and_errors() -> None:
    good = line_of(Record(a_task(), succeeded(an_artifact())))
    bad = line_of(Record(a_task(), FAILED))

    assert good["artifacts"] == [
        {
            "path": "fox-0-1.png", "bytes": 1234, "sha256": "0" * 64, "media_type": "image/png",
            "width": 256, "height": 256,
        }
    ]  # fmt: skip
    assert (good["error"], good["started_at"]) == (None, "2026-11-20T12:00:00.000+00:00")
    assert bad["error"] == {"kind": "server", "code": "busy", "message": "try later"}
    assert (bad["schema"], bad["cost_usd"]) == (1, None)


@pytest.mark.parametrize(
    ("status", "public"),
    [(Status.SENT, "unknown"), (Status.SUBMITTED, "pending"), (Status.RECEIVED, "pending")],
)
def test_tasks_in_flight_are_pending_or_unknown_in_results(status: Status, public: str) -> None:
    assert line_of(Record(a_task(), Outcome(status)))["status"] == public


@given(
    prompt=texts,
    params=st.dictionaries(texts, jsons, max_size=3),
    seconds=st.integers(0, 2**31),
    cost=st.none() | st.floats(0, 1e6),
)
def test_a_written_line_is_read_back_unchanged(
    prompt: str, params: dict[str, object], seconds: int, cost: float | None
) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    task = a_task(prompt=prompt, params=params)
    record = Record(task, succeeded(an_artifact(), cost_usd=cost, finished_at=moment))
    file = io.BytesIO()

    write_jsonl([record, record], file)

    first, second = (json.loads(line) for line in file.getvalue().split(b"\n")[:-1])
    assert first == second == line_of(record)
    assert datetime.fromisoformat(first["finished_at"]) == moment


def test_a_line_is_written_as_soon_as_its_task_has_ended(directory: Path) -> None:
    clock = FakeClock()
    results = ResultsFile(directory, clock.monotonic)
    results.append(a_task(1), succeeded())
    assert [line["id"] for line in lines(directory)] == ["fox-1"]
    clock.seconds += 1
    results.append(a_task(0), FAILED)
    assert [line["id"] for line in lines(directory)] == ["fox-1", "fox-0"]
    results.close()


def test_lines_of_tasks_that_end_together_are_written_together(directory: Path) -> None:
    clock = FakeClock()
    results = ResultsFile(directory, clock.monotonic)
    for number in range(4):
        results.append(a_task(number), succeeded())
    assert [line["id"] for line in lines(directory)] == ["fox-0"]

    clock.seconds += 0.1
    results.append(a_task(4), succeeded())
    assert len(lines(directory)) == 5
    results.append(a_task(5), succeeded())
    results.flush()
    assert len(lines(directory)) == 6
    results.append(a_task(6), succeeded())
    results.close()
    assert len(lines(directory)) == 7


@pytest.mark.parametrize("torn", ["", '{"schema":1,"id":"fo', "x" * 200_000])
def test_an_incomplete_last_line_is_cut_off(directory: Path, torn: str) -> None:
    whole = '{"id":"a"}\n{"id":"b"}\n'
    (directory / "results.jsonl").write_text(whole + torn)

    results = ResultsFile(directory)
    results.append(a_task(7), succeeded())
    results.close()

    assert [line["id"] for line in lines(directory)] == ["a", "b", "fox-7"]


def test_a_file_with_only_an_incomplete_line_is_emptied(directory: Path) -> None:
    (directory / "results.jsonl").write_text('{"id"')
    ResultsFile(directory).close()
    assert (directory / "results.jsonl").read_text() == ""


def test_a_rewrite_replaces_the_whole_file(results: ResultsFile, directory: Path) -> None:
    results.append(a_task(5), succeeded())
    results.rewrite(encoded(records(Status.SUCCEEDED, Status.PENDING)))
    assert [line["id"] for line in lines(directory)] == ["fox-0", "fox-1"]
    assert list((directory / ".batchgen" / "tmp").iterdir()) == []


def test_a_rewrite_that_fails_leaves_the_live_file(results: ResultsFile, directory: Path) -> None:
    def breaking() -> Iterator[Record]:
        yield from records(Status.SUCCEEDED)
        raise OSError(28, "No space left on device")

    results.append(a_task(5), succeeded())
    with pytest.raises(StorageError, match=r"No space left.*free space, then run the same"):
        results.rewrite(encoded(breaking()))
    assert [line["id"] for line in lines(directory)] == ["fox-5"]
    assert list((directory / ".batchgen" / "tmp").iterdir()) == []


def test_a_folder_in_the_place_of_the_results_is_an_error(directory: Path) -> None:
    (directory / "results.jsonl").mkdir()
    with pytest.raises(StorageError, match=r"results\.jsonl \(Is a directory\)"):
        ResultsFile(directory)


_FULL = """
import resource, signal, sys
from pathlib import Path
from batchgen.errors import StorageError
from batchgen.storage.ledger import Ledger
from batchgen.storage.results import ResultsFile
from tests.given import a_task, succeeded
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
results = ResultsFile(Path(sys.argv[1]), iter(range(100)).__next__)
for number in range(5):
    try:
        results.append(a_task(number), succeeded())
    except StorageError as error:
        print(error)
results.close()
"""


def test_a_full_disk_leaves_no_incomplete_line_in_the_middle_of_the_file(directory: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FULL, directory], capture_output=True, text=True, check=True
    )
    assert "File too large" in done.stdout
    assert [line["id"] for line in lines(directory)] == ["fox-0", "fox-1"]


def test_csv_has_one_row_per_task_with_its_first_artifact_in_columns() -> None:
    file = io.StringIO(newline="")
    artifacts = (an_artifact("a.png"), an_artifact("b.png"))
    write_csv([Record(a_task(), succeeded(*artifacts)), Record(a_task(1), FAILED)], file)

    header, first, second = csv.reader(io.StringIO(file.getvalue(), newline=""))
    good, bad = (dict(zip(header, row, strict=True)) for row in (first, second))
    assert tuple(header) == COLUMNS
    assert (good["path"], good["paths"], good["bytes"]) == ("a.png", "a.png b.png", "1234")
    assert (bad["status"], bad["error_kind"], bad["path"]) == ("failed", "server", "")


@pytest.mark.parametrize("prompt", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_csv_cells_are_not_formulas(prompt: str) -> None:
    file = io.StringIO(newline="")
    write_csv([Record(a_task(prompt=prompt), FAILED)], file)
    _, row = csv.reader(io.StringIO(file.getvalue(), newline=""))
    assert row[COLUMNS.index("prompt")] == "'" + prompt


@given(
    outcomes=st.lists(
        st.builds(
            Outcome,
            status=st.sampled_from([Status.SUCCEEDED, Status.FAILED, Status.UNKNOWN]),
            artifacts=st.lists(st.just(an_artifact()), max_size=2).map(
                lambda artifacts: tuple(
                    an_artifact(f"{n}.png", width=n or None) for n in range(len(artifacts))
                )
            ),
            error=st.none() | st.builds(TaskError, texts, st.none() | texts, texts),
            attempts=st.integers(1, 9),
            http_status=st.none() | st.integers(100, 599),
            request_id=st.none() | texts,
            revised_prompt=st.none() | texts,
            cost_usd=st.none() | st.floats(0, 1000),
            started_at=st.none() | st.datetimes(timezones=st.just(UTC)),
            finished_at=st.none() | st.datetimes(timezones=st.just(UTC)),
            duration_s=st.none() | st.floats(0, 1000),
        ),
        min_size=1,
        max_size=3,
    ),
    variables=st.dictionaries(texts, jsons, max_size=2),
)
def test_lines_made_from_ledger_rows_equal_those_made_from_records(
    tmp_path_factory: pytest.TempPathFactory,
    outcomes: list[Outcome],
    variables: dict[str, Json],
) -> None:
    with a_ledger(tmp_path_factory.mktemp("ledger")) as ledger:
        asyncio.run(_record(ledger, outcomes, variables))
        file = io.BytesIO()
        write_jsonl(ledger.records(), file)
        assert b"".join(map(encode_rows, ledger.result_rows())) == file.getvalue()


async def _record(ledger: Ledger, outcomes: list[Outcome], variables: dict[str, Json]) -> None:
    for number, outcome in enumerate(outcomes):
        task = a_task(number, vars=variables)
        await ledger.record_sent(task, 1, attempts=1, now=NOW)
        await ledger.record_outcome(task, 1, outcome)
