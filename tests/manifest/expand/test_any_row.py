"""Any row becomes tasks that can be stored, or problems; never an exception."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.types import Json, Problem, Task
from tests.manifest.expand.expanding import DALLE2, Fields, expand, job_of, problems

texts = st.text(st.characters(exclude_categories=()), max_size=12)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**400, max_value=10**401)
    | st.floats()
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
_NAMES = """
    prompt id model filename vars repeat n size image_size seed style sku
    custom_id method url body
"""
_UNREADABLE = {"\0", *map(chr, range(0xD800, 0xE000))}
names = st.sampled_from(_NAMES.split())
models = st.sampled_from(["dall-e-2", "flux/schnell", "topaz-labs/sharpen", "own"])
json_rows = st.fixed_dictionaries(
    {}, optional={"prompt": texts, "id": texts, "model": models, "filename": texts}
).flatmap(lambda own: st.dictionaries(names | texts, values, max_size=4).map(lambda m: own | m))
cells = texts | st.sampled_from(['"\\u0000"', "1e999", "[" * 5000, "9" * 5000, "true", "{a}"])
# Readers of cells refuse NUL and cannot yield surrogates.
text_rows = st.dictionaries(names | texts, cells, max_size=6).filter(
    lambda row: not any(set(f"{name}{cell}") & _UNREADABLE for name, cell in row.items())
)


@settings(deadline=None)
@given(
    rows=st.lists(json_rows, max_size=4),
    entry=st.sampled_from([None, {}, {"prompt": "P {prompt} {sku}", "n": 2}]),
    check=st.booleans(),
)
def test_any_json_row_gives_tasks_or_problems(
    *, rows: list[dict[str, Json]], entry: Fields | None, check: bool
) -> None:
    values: Fields = {"defaults": {"model": "dall-e-2"}, "matrix": {"style": ["{x}", None]}}
    assert_storable(expand(job_of(values, check=check), rows, entry=entry))


@settings(deadline=None)
@given(rows=st.lists(text_rows, max_size=4), known=st.booleans())
def test_any_row_of_texts_gives_tasks_or_problems(
    *, rows: list[dict[str, Json]], known: bool
) -> None:
    job = job_of(model="flux/schnell" if known else "own")
    assert_storable(expand(job, rows, entry={}, textual=True))


def assert_storable(items: list[Task | Problem]) -> None:
    made = [task for task in items if isinstance(task, Task)]
    assert len({task.key for task in made}) == len(made)
    assert len({task.filename for task in made}) == len(made)
    for task in made:
        parts = [
            task.id,
            task.model,
            task.prompt,
            task.filename,
            dict(task.params),
            dict(task.vars),
        ]
        stored = json.dumps(parts, allow_nan=False, ensure_ascii=False)
        assert "\\u0000" not in stored.replace("\\\\", "")
        stored.encode()
        assert all(len(part.encode()) <= 255 for part in task.filename.split("/"))


def test_nul_characters_and_lone_surrogates_are_reported_with_their_place() -> None:
    rows: list[Fields] = [
        {"prompt": "a\0b"},
        {"prompt": "a\ud83d"},
        {"prompt": "x", "vars": {"deep": [{"key": "\0"}]}},
        {"prompt": "x", "id": "a\0"},
        {"prompt": "x", "filename": "\udcff"},
        {"prompt": "x", "user\0": "y"},
    ]
    items = problems(DALLE2, *rows)
    assert [line.split(": ", 1)[1] for line in items] == [
        "`prompt` has a NUL character at position 2; remove it",
        "`prompt` has \\ud83d, half of a surrogate pair and no character; remove it",
        "`vars.deep.0.key` has a NUL character at position 1; remove it",
        "`id` has a NUL character at position 2; remove it",
        "`filename` has \\udcff, half of a surrogate pair and no character; remove it",
        "`user\\x00`: the name has a NUL character at position 5; remove it",
    ]
