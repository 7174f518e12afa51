"""YAML jobs: settings with lines, prompts one by one, scalars, and the messages for errors."""

import json
import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from batchgen.errors import ManifestError
from batchgen.types import Json, Problem
from tests.manifest.formats.reading import prompts_of, settings_of

JOB = """\
name: spring
limits: {concurrency: 16, rpm: 120}
retry:
  rules:
    - {status: 4xx, then: retry}
    - status: 503
prompts:
  - "A fox, {style}"
  - {id: hero, prompt: "A {beast-2}", vars: {sku: A-17}}
  -
    from: products.csv
    prompt: Photo of {name}
matrix:
  style: [ink, oil]
"""


def _messages(content: str | bytes) -> list[str]:
    return [str(problem) for problem in settings_of(content).problems]


def _value(text: str) -> Json:
    settings = settings_of(f"a: {text}\n")
    assert settings.problems == []
    return settings.values["a"]


def test_settings_are_the_job_without_its_prompts() -> None:
    settings = settings_of(JOB)
    assert settings.problems == []
    assert settings.values == {
        "name": "spring",
        "limits": {"concurrency": 16, "rpm": 120},
        "retry": {"rules": [{"status": "4xx", "then": "retry"}, {"status": 503}]},
        "matrix": {"style": ["ink", "oil"]},
    }
    assert settings.referenced == {"style", "beast-2", "name"}


def test_settings_have_the_line_of_each_key_and_item() -> None:
    lines = settings_of(JOB).lines
    assert lines["limits", "rpm"] == 2
    assert lines["retry", "rules", 0] == 5
    assert lines["retry", "rules", 1, "status"] == 6
    assert lines["prompts",] == 7
    assert lines["matrix", "style", 1] == 14


def test_prompts_are_yielded_with_their_lines() -> None:
    assert prompts_of(JOB) == [
        (8, "A fox, {style}"),
        (9, {"id": "hero", "prompt": "A {beast-2}", "vars": {"sku": "A-17"}}),
        (11, {"from": "products.csv", "prompt": "Photo of {name}"}),
    ]


def test_a_bare_list_is_a_job_with_only_prompts() -> None:
    content = "# animals\n- a {fox}\n- prompt: owl\n"
    settings = settings_of(content)
    assert (settings.values, settings.problems) == ({}, [])
    assert settings.lines == {("prompts",): 2}
    assert settings.referenced == {"fox"}
    assert prompts_of(content) == [(2, "a {fox}"), (3, {"prompt": "owl"})]


def test_a_job_without_prompts_yields_none() -> None:
    assert ("prompts",) not in settings_of("name: x\n").lines
    assert prompts_of("name: x\n") == []


@pytest.mark.parametrize("content", ["\ufeff" + JOB, JOB.replace("\n", "\r\n")])
def test_byte_order_marks_and_windows_line_ends_change_nothing(content: str) -> None:
    assert settings_of(content) == settings_of(JOB)
    assert prompts_of(content) == prompts_of(JOB)


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "yes",
        "on",
        "off",
        "y",
        "N",
        "16:9",
        "2026-11-23",
        "1_000",
        "007",
        "0b1",
        "1.2.3",
        ".",
        "4xx",
        "1s",
        "+x",
        "0x",
        "1e",
        "0o8",
        "NuLL",
        "tRue",
    ],
)
def test_scalars_that_the_core_schema_does_not_define_are_text(text: str) -> None:
    assert _value(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("~", None),
        ("Null", None),
        ("true", True),
        ("FALSE", False),
        ("0", 0),
        ("-12", -12),
        ("+3", 3),
        ("0x1F", 31),
        ("0o17", 15),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("-0.25E-2", -0.0025),
        ('"1"', "1"),
        ("'true'", "true"),
        ('""', ""),
        ("!!str 5", "5"),
        ('!!int "5"', 5),
        ("!!float 5", 5.0),
        ('!!bool "true"', True),
        ('!!null ""', None),
        ("!!seq [1]", [1]),
        ("!!map {b: 1}", {"b": 1}),
        ("! 5", "5"),
        ("123456789012345678901234567890", 123456789012345678901234567890),
    ],
)
def test_scalars_follow_the_core_schema(text: str, expected: Json) -> None:
    value = _value(text)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (".inf", ".inf is not a number that can be sent"),
        ("-.INF", "not a number that can be sent"),
        (".nan", ".nan is not a number that can be sent"),
        ("1e999", "1e999 is too large"),
        ("9" * 5000, "5000 digits is too long"),
        ("!!int fox", '"fox" is not of the type !!int'),
        ("!!python/object:os.system x", "the tag !!python/object:os.system is not supported"),
        ("!mine {}", "the tag !mine is not supported"),
        ("!!set {b}", "the tag !!set is not supported"),
    ],
)
def test_a_value_that_cannot_be_sent_is_reported(text: str, expected: str) -> None:
    (message,) = _messages(f"x: 1\na: {text}\n")
    assert message.startswith("job.yaml:2: ")
    assert expected in message


def test_keys_are_text() -> None:
    assert settings_of('a: {1: x, true: y, no: z, "<<": w}\n').values == {
        "a": {"1": "x", "true": "y", "no": "z", "<<": "w"}
    }


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "job.yaml: the file is empty"),
        ("# nothing\n", "job.yaml: the file is empty"),
        ("just text\n", "job.yaml:1: a job must be a mapping"),
        ("a: 1\n---\nb: 2\n", "job.yaml:2: a second document begins here"),
        ("a: 1\nb: 2\na: 3\n", 'job.yaml:3: the key "a" is given twice'),
        ("prompts: [a]\nprompts: [b]\n", 'job.yaml:2: the key "prompts" is given twice'),
        ("a: {b: 1, b: 2}\n", 'job.yaml:1: the key "b" is given twice'),
        ("a: &x 1\nb: *x\n", "job.yaml:2: *x is an alias"),
        ("a: &x {c: 1}\nb:\n  <<: *x\n", "job.yaml:3: merge keys are not supported"),
        ("a:\n  ? [b]\n  : 1\n", "job.yaml:2: a key must be text"),
        ("a:\n  ?\n  : 1\n", "job.yaml:2: a key is missing"),
        ("prompts: fox\n", "job.yaml:1: `prompts` must be a list"),
        ("prompts:\n", "job.yaml:1: `prompts` must be a list"),
        ("a:\n\t- b\n", "job.yaml:2: a value cannot start like this; indent with spaces"),
        ("a: b\n\tc: d\n", "job.yaml:2: the line is indented with a tab"),
        ("a: @fox\n", "job.yaml:1: a value cannot start like this"),
        ("a: b: c\n", "job.yaml:1: `: ` is not allowed here; quote the text"),
        ("a: 1\n  b: 2\n", "job.yaml:2: `: ` is not allowed here"),
        ("a:\n  b: 1\n c: 2\n", "job.yaml:3: not a key of the mapping above"),
        ("- a\nb: c\n", "job.yaml:2: not an item of the list above"),
        ("x: 1\na: [1,\nb: 2\n", "job.yaml:2: the list opened here by `[` is not closed"),
        ("x: 1\na: {b: 1\nc: 2\n", "job.yaml:2: the mapping opened here by `{` is not closed"),
        ("x: 1\na: 'fox\nb: 2\n", "job.yaml:2: the quote opened here is never closed"),
        ('a: "\\q"\n', "job.yaml:1: unknown escape"),
        ("a: *\n", "job.yaml:1: `*` starts an alias"),
        ("%FOO\n---\na: 1\n", "job.yaml:1: not valid YAML: found unknown directive name"),
        (b"a: 1\nb: caf\xff\n", "job.yaml:2: byte 0xff is not UTF-8; save the file as UTF-8"),
        (b"a: 1\nb: caf\xe9\nc: 2\n", "job.yaml:2: a UTF-8 character is incomplete; save the file"),
        (b"a: 1\nb: caf\xe9", "job.yaml:2: a UTF-8 character is incomplete; save the file"),
        ("a: 1\nb: fo\0x\n", "job.yaml:2: control character 0x00 in the text; remove it"),
    ],
)
def test_errors_of_a_job_are_reported_in_plain_words(content: str | bytes, expected: str) -> None:
    (message,) = _messages(content)
    assert message.startswith(expected)


def test_an_anchor_without_an_alias_is_accepted() -> None:
    assert settings_of("a: &x 1\nprompts: [&y fox]\n").values == {"a": 1}
    assert prompts_of("prompts: [&y fox]\n") == [(1, "fox")]


def test_a_bad_item_is_reported_and_the_next_is_read() -> None:
    content = "prompts:\n- {a: 1, a: 2, b: .nan}\n- *x\n- fox\n- {<<: {a: 1}, c: 2}\n- owl\n"
    prompts = prompts_of(content)
    problems = [prompt for prompt in prompts if isinstance(prompt, Problem)]
    assert [prompt.line for prompt in problems] == [2, 2, 3, 5]
    assert [prompt for prompt in prompts if not isinstance(prompt, Problem)] == [
        (4, "fox"),
        (6, "owl"),
    ]
    assert _messages(content) == []


def test_an_unreadable_rest_is_the_same_problem_for_both_readers() -> None:
    content = "name: x\nprompts:\n- fox\n- a: b: c\n- owl\n"
    first, problem = prompts_of(content)
    assert first == (3, "fox")
    settings = settings_of(content)
    assert settings.problems == [problem]
    assert settings.values == {"name": "x"}


def test_problems_of_the_settings_are_not_reported_among_the_prompts() -> None:
    assert prompts_of("a: 1\na: 2\nb: {<<: {}}\nprompts: [fox]\n") == [(4, "fox")]


def test_an_alias_bomb_is_refused_without_being_expanded() -> None:
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    messages = _messages("\n".join(["a0: &a0 lol", *levels, "prompts: [*a29]"]))
    assert len(messages) == 29 * 9
    (item,) = prompts_of("\n".join(["a0: &a0 lol", *levels, "prompts: [*a29]"]))
    assert "*a29 is an alias" in str(item)


@pytest.mark.parametrize("before", ["a: ", "prompts: ", "prompts:\n- ", "? "])
def test_endless_nesting_is_refused_at_the_limit(before: str) -> None:
    assert "nested more than 64 levels deep" in _messages(before + "[" * 200_000)[-1]


def test_sixty_levels_are_accepted() -> None:
    assert _messages("a: " + "[" * 60 + "]" * 60) == []


def test_a_line_of_fifty_megabytes_is_refused() -> None:
    content = b"prompts:\n- fox\n- " + b"x" * 50_000_000
    (message,) = _messages(content)
    assert message == "job.yaml:3: the line is longer than 8 MiB, the limit for a row"


def test_the_number_of_names_in_prompts_is_limited() -> None:
    items = "\n".join(f"- '{{a{n}}}'" for n in range(10_050))
    assert len(settings_of(items).referenced) == 10_000


text = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Zl", "Zp")), max_size=10)
words = st.sampled_from(
    [
        "no",
        "yes",
        "null",
        "~",
        "16:9",
        "2026-11-23",
        "0x1",
        "1_0",
        ".5",
        "1e3",
        "007",
        "<<",
        "*a",
        "&a",
        "-",
        "#",
        ":",
        "a:",
    ]
)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
leaves = st.none() | st.booleans() | numbers | text | words
values: st.SearchStrategy[Json] = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text | words, inner, max_size=4),
    max_leaves=8,
)


@given(st.lists(values, min_size=1, max_size=4))
def test_json_values_round_trip_as_flow_yaml(items: list[Json]) -> None:
    content = (
        "prompts: [" + ", ".join(json.dumps(item, ensure_ascii=False) for item in items) + "]\n"
    )
    prompts = [prompt[1] for prompt in prompts_of(content) if not isinstance(prompt, Problem)]
    assert prompts == items


@given(st.lists(values, min_size=1, max_size=4))
def test_values_round_trip_through_a_dumper_that_quotes_and_tags(items: list[Json]) -> None:
    content = yaml.safe_dump({"prompts": items}, default_style='"', allow_unicode=True)
    if "&id" in content:  # the dumper wrote an alias for a list that occurs twice
        return
    prompts = [prompt[1] for prompt in prompts_of(content) if not isinstance(prompt, Problem)]
    assert prompts == items


@given(st.integers() | st.floats(allow_infinity=False, allow_nan=False))
def test_plain_numbers_round_trip(number: float) -> None:
    value = _value(repr(number))
    assert isinstance(value, int | float)
    assert math.copysign(1, value) == math.copysign(1, number) or number == 0
    assert value == number


_MARKS = (
    "a|: |- |\n|\n  |[|]|{|}|,|'|\"|*a|&a |!!int |! |#|---\n|...\n|? |<<|\t|>|%|\0|\u00e9|@|prompts"
)


@given(
    st.sampled_from([b"", b"prompts:\n- ", b"a: 1\n"]),
    st.lists(st.sampled_from(_MARKS.split("|")), max_size=25).map("".join).map(str.encode)
    | st.binary(max_size=60),
)
def test_arbitrary_bytes_give_values_and_problems_and_nothing_else(
    start: bytes, rest: bytes
) -> None:
    try:
        settings = settings_of(start + rest)
        prompts = prompts_of(start + rest)
    except ManifestError:
        assert (start + rest).startswith(b"\x1f\x8b")
        return
    assert all(isinstance(prompt, Problem | tuple) for prompt in prompts)
    assert all(isinstance(prompt, Problem) for prompt in settings.problems)
