"""The JSON Schema of the job file accepts what the reader accepts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from batchgen.cli.schema import DIALECT, job_schema
from batchgen.job import Flags, read_job
from batchgen.job.keys import SECTIONS
from tests.e2e.command import batchgen

JOBS = sorted((Path(__file__).resolve().parents[2] / "jobs").rglob("*.yaml"))
SCHEMA: dict[str, Any] = job_schema()
_VALIDATOR = Draft202012Validator(SCHEMA)
_JUNK: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.text() | st.just([]) | st.just({})
)
_SOUND = st.characters(codec="utf-8", exclude_characters="\0")  # a job file has no other characters
# Keys that are checked beyond their type: a known name, a template, a URL.
_BEYOND_TYPES = {
    ("", "provider"): st.sampled_from(["aimlapi", "openai", "simulator"]),
    ("", "defaults"): st.just({"model": "flux/schnell"}),
    ("", "prompts"): st.just(["A fox"]),
    ("", "output"): st.just({"filename": "{sku}/{id}-{n}.{ext}", "sidecar": True}),
    ("output", "filename"): st.just("{sku}/{id}-{n}.{ext}"),
}
# A section with required keys is drawn as a whole.
_SETTINGS = [
    (section, key)
    for section, keys in SECTIONS.items()
    if "." not in section and not (section and SCHEMA["properties"][section].get("required"))
    for key in keys
]


def _shape(section: str, key: str) -> dict[str, Any]:
    node = SCHEMA["properties"][section] if section else SCHEMA
    schema: dict[str, Any] = node["properties"][key]
    return schema


def _values(shape: Mapping[str, Any]) -> st.SearchStrategy[Any]:  # noqa: PLR0911  # one return per kind
    """Values that a schema of the kinds used here accepts."""
    if "anyOf" in shape:
        return st.one_of(*map(_values, shape["anyOf"]))
    if "enum" in shape or "const" in shape:
        return st.sampled_from(shape.get("enum") or [shape["const"]])
    match shape.get("type"):
        case "string" if "pattern" in shape:
            return st.from_regex(shape["pattern"].replace("$", r"\Z"), alphabet=_SOUND)
        case "string":
            return st.text(_SOUND, min_size=shape.get("minLength", 0))
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(shape["minimum"], shape["maximum"])
        case "number":
            least = shape.get("minimum", shape.get("exclusiveMinimum"))
            return st.floats(
                least, min(shape.get("maximum", 1e9), 1e9), exclude_min="minimum" not in shape
            )
        case "array":
            return st.lists(_values(shape.get("items", {"const": 1})), min_size=1, max_size=3)
        case "object" if "properties" in shape:
            return st.fixed_dictionaries(
                {key: _values(shape["properties"][key]) for key in shape.get("required", ())},
                optional={
                    key: _values(inner)
                    for key, inner in shape["properties"].items()
                    if key not in shape.get("required", ()) and isinstance(inner, dict)
                },
            )
        case _:
            return st.just({})


def _problems(section: str, key: str, value: Any) -> list[str]:
    values = {section: {key: value}} if section else {key: value}
    _, problems = read_job(values, {}, "job.yaml", Flags())
    return [str(problem) for problem in problems]


def _job(section: str, key: str, value: Any) -> dict[str, Any]:
    return {"prompts": ["A fox"], **({section: {key: value}} if section else {key: value})}


def test_the_schema_is_valid() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == DIALECT


@given(st.data(), st.sampled_from(_SETTINGS))
def test_what_the_schema_accepts_is_read_without_problems(
    data: st.DataObject, setting: tuple[str, str]
) -> None:
    if setting in (("", "providers"), ("", "output")):
        return  # names, URLs and headers; a template, whose section is drawn by its keys
    beyond = _BEYOND_TYPES.get(setting)
    value = data.draw(_values(_shape(*setting)) if beyond is None else beyond)
    assert _VALIDATOR.is_valid(_job(*setting, value))
    problems = _problems(*setting, value)
    beyond_patterns = (
        "100 years",
        "`output.filename`",
    )  # a duration that is too long, an incomplete template
    assume(not any(words in problem for problem in problems for words in beyond_patterns))
    assert problems == []


@given(_JUNK, st.sampled_from(_SETTINGS))
def test_what_is_read_without_problems_the_schema_accepts(
    value: Any, setting: tuple[str, str]
) -> None:
    section, key = setting
    if value is None or setting == ("", "prompts") or _problems(section, key, value):
        return  # a key without a value counts as not given; an editor may still mark it
    assert _VALIDATOR.is_valid(_job(section, key, value))


def test_both_know_the_same_keys() -> None:
    for section, keys in SECTIONS.items():
        node: Any = SCHEMA
        for part in filter(None, section.replace("[]", "").split(".")):
            node = node["additionalProperties"] if part == "NAME" else node["properties"][part]
        node = node.get("items", node)
        assert set(node["properties"]) == set(keys), section
        assert node["additionalProperties"] is False


def test_an_unknown_key_is_refused_by_both() -> None:
    assert not _VALIDATOR.is_valid(_job("limits", "concurency", 4))
    assert _problems("limits", "concurency", 4)


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.stem)
def test_the_example_jobs_fit(path: Path) -> None:
    _VALIDATOR.validate(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    "row", [7, ["A fox"], {"prompt": 7}, {"id": [], "prompt": "A fox"}, {"model": {}}]
)
def test_a_row_of_a_wrong_shape_does_not_fit(row: Any) -> None:
    assert not _VALIDATOR.is_valid({"prompts": [row]})


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ("https://x.test/a.png", True),
        ({"from": "hero"}, True),
        ({"from": "hero", "n": 2}, True),
        ([{"from": "hero"}, "b.png"], True),
        ({"type": "image_url", "image_url": "https://x.test/a.png"}, True),
        ({"from": "hero", "n": 0}, False),
        ({"from": "hero", "nr": 2}, False),
        ([{"from": ["hero"]}], False),
    ],
)
def test_a_file_of_another_row_has_its_own_schema(value: Any, *, fits: bool) -> None:
    assert _VALIDATOR.is_valid({"prompts": [{"prompt": "A fox", "image_url": value}]}) is fits


def test_the_schema_has_the_parameters_of_every_model(tmp_path: Path) -> None:
    ended = batchgen("schema", cwd=tmp_path)
    assert yaml.safe_load(ended.out) == SCHEMA
    row = SCHEMA["properties"]["prompts"]["items"]["anyOf"][1]["properties"]
    assert {"image_size", "size", "seed", "num_images"} <= set(row)
    assert "flux/schnell" in row["model"]["anyOf"][0]["enum"]
