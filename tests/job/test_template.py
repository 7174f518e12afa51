"""Templates: only names in braces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.job.template import TemplateError, names, render

VARIABLES = {"a": "1", "colour": "{a}", "b-c": "2"}


def rendered(text: str) -> str:
    return render(text, lambda: VARIABLES)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("{a}{a} {b-c}", "11 2"),
        ("{{a}}", "{a}"),
        ("{{{a}}}", "{1}"),
        ("{{}} 100%", "{} 100%"),
        ("{colour}", "{a}"),
    ],
)
def test_variables_are_replaced_once_and_double_braces_are_braces(text: str, result: str) -> None:
    assert rendered(text) == result


@pytest.mark.parametrize(
    "text", ["{a.b}", "{a[0]}", "{a!r}", "{a:>9}", "{}", "{0}", "{ a }", "a } b", "{", "{a", "{é}"]
)
def test_attributes_indexes_formats_and_stray_braces_are_errors(text: str) -> None:
    with pytest.raises(TemplateError, match="is not a template variable"):
        rendered(text)
    with pytest.raises(TemplateError):
        names(text)


def test_an_undefined_variable_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(TemplateError, match=r"`\{color\}` is not defined; did you mean `\{colour"):
        rendered("{color}")
    with pytest.raises(TemplateError, match="the variables here are: a, b-c, colour"):
        rendered("{zzz}")


def test_the_names_of_a_template_are_its_variables() -> None:
    assert names("{a} {{b}} {b-c} {a}") == {"a", "b-c"}
    assert names("plain") == frozenset()


@given(st.text())
def test_any_text_stands_for_itself_once_its_braces_are_doubled(text: str) -> None:
    assert rendered(text.replace("{", "{{").replace("}", "}}")) == text


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z_][\w-]{0,8}", fullmatch=True).filter(str.isascii), st.text()
    )
)
def test_values_come_through_unchanged(variables: dict[str, str]) -> None:
    template = "|".join(f"{{{name}}}" for name in variables)
    assert render(template, lambda: variables) == "|".join(variables.values())


def test_the_scope_is_called_only_if_there_is_a_brace() -> None:
    def never() -> dict[str, str]:
        raise AssertionError("asked")

    assert render("plain", never) == "plain"
