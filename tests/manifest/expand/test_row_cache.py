"""Rows from the cache become the same tasks as rows that are expanded in full."""

from collections.abc import Iterable
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from batchgen.job import Job
from batchgen.manifest.expand.fields import merge
from batchgen.manifest.expand.row_cache import RowCache
from batchgen.types import Json, Problem, Task
from tests.manifest.expand.expanding import Fields, expand, job_of, tasks

_TEXTS = st.sampled_from(["a fox", "an owl", " ", "", "{sku}", "}", "x" * 1100, "x" * 10_000])
_IDS = st.sampled_from(["a", "b", "a/b", "..", "{sku}", "a.{ext}", ""]) | st.integers(0, 3)
_VALUES = st.sampled_from(
    ["1", "2", "true", "512x512", "{sku}", "./no.png", "", 1, 1.0, True, None, [1], {"from": "a"}]
)
_NAMES = st.sampled_from(["n", "size", "sku", "style", "image_url", "vars", "repeat", "batch_size"])
_ROWS = st.fixed_dictionaries(
    {"prompt": _TEXTS},
    optional={
        "id": _IDS,
        "filename": st.sampled_from(["{id}.png", "{sku}-{n}", "{ordinal}", "a", "b", "", 7]),
        "model": st.sampled_from(["dall-e-2", "flux/schnell", "own", "text-embedding-3-small", 5]),
    },
).flatmap(lambda own: st.dictionaries(_NAMES, _VALUES, max_size=2).map(lambda more: own | more))


def in_full(job: Job, rows: Iterable[Fields], *, textual: bool) -> list[Task | Problem]:
    with mock.patch.object(RowCache, "lookup", return_value=None):
        return expand(job, rows, entry={}, textual=textual)


@settings(deadline=None, max_examples=200)
@given(
    rows=st.lists(_ROWS, min_size=2, max_size=6).flatmap(
        lambda rows: st.permutations([*rows, *rows])
    ),
    defaults=st.sampled_from([{}, {"n": 2}, {"style": "{sku}"}, {"id": "{sku}"}, {"vars": {}}]),
    check=st.booleans(),
)
def test_rows_from_the_cache_equal_rows_expanded_in_full(
    *, rows: list[dict[str, Json]], defaults: dict[str, Json], check: bool
) -> None:
    job = job_of({"defaults": {"model": "dall-e-2", **defaults}}, check=check)
    cells = [{name: str(value) for name, value in row.items() if value} for row in rows]
    entry: Fields = {}
    for variant, textual in ((rows, False), (cells, True)):
        cached = expand(job, variant, entry=entry, textual=textual)
        # 1 and true are equal in Python, and not the same request.
        assert repr(cached) == repr(in_full(job, variant, textual=textual))
        unidentified = expand(job, variant, entry=entry, textual=textual, identify=False)
        assert repr(list(map(anonymous, unidentified))) == repr(list(map(anonymous, cached)))


def anonymous(item: Task | Problem) -> Task | Problem:
    return replace(item, key="", digest="") if isinstance(item, Task) else item


def test_without_identify_rows_with_ids_have_no_keys_and_digests() -> None:
    rows: list[Fields] = [{"id": f"{n}", "prompt": "A fox"} for n in range(3)]
    rows += [{"prompt": "A fox"}, {"prompt": "A fox"}]
    job = job_of(model="dall-e-2")
    made = tasks(job, *rows, entry={}, textual=True)
    unidentified = tasks(job, *rows, entry={}, textual=True, identify=False)
    assert [task.key for task in unidentified] == ["", "", "", made[3].key, made[4].key]
    assert [task.digest for task in unidentified[1:]] == ["", "", made[3].digest, made[4].digest]
    assert [task.filename for task in unidentified] == [task.filename for task in made]


def test_only_the_first_row_with_equal_parameters_is_expanded_in_full() -> None:
    rows: list[Fields] = [
        {"id": f"{n}", "prompt": f"Fox {n}", "sku": f"S{n}", "n": f"{n % 2 + 1}"} for n in range(6)
    ]
    with mock.patch("batchgen.manifest.expand.expander.merge", side_effect=merge) as merged:
        made = tasks(job_of(model="dall-e-2"), *rows, entry={}, textual=True)
    assert merged.call_count == 2
    assert [task.prompt for task in made] == [f"Fox {n}" for n in range(6)]
    assert [task.vars for task in made] == [{"sku": f"S{n}"} for n in range(6)]
    assert [task.params for task in made] == [{"n": n % 2 + 1} for n in range(6)]
