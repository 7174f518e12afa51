"""Ids and file names stay inside the output directory, with at most 255 bytes per part."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.manifest.expand.filenames import (
    NamingError,
    check_id,
    finish_filename,
    safe_id,
    safe_value,
)


@pytest.mark.parametrize("task_id", ["a", "cats/001", "..a", "a..", "山/水", "a b", ".hidden"])
def test_ids_may_have_folders_and_any_script(task_id: str) -> None:
    check_id(task_id)


@pytest.mark.parametrize(
    ("task_id", "expected"),
    [
        ("../a", "leaves the output directory"),
        ("a/../b", "leaves the output directory"),
        ("a\\..\\b", "leaves the output directory"),
        ("/a", "leaves the output directory"),
        ("\\a", "leaves the output directory"),
        ("C:a", "leaves the output directory"),
        ("~/a", "leaves the output directory"),
        ("a//b", "empty part"),
        ("a/", "empty part"),
        (" ", "empty part"),
        ("./a", "empty part"),
        ("a\nb", "control character"),
        ("x" * 1021, "longer than 1020 bytes"),
    ],
)
def test_ids_that_cannot_be_file_names_are_errors(task_id: str, expected: str) -> None:
    with pytest.raises(NamingError, match=expected):
        check_id(task_id)


@pytest.mark.parametrize(
    ("path", "count", "result"),
    [
        ("a-{n}.{ext}", 1, "a-{n}.{ext}"),
        ("a.png", 1, "a.{ext}"),
        ("a.JPEG", 1, "a.{ext}"),
        ("a", 1, "a.{ext}"),
        ("v1.5", 1, "v1.5.{ext}"),
        ("a.{ext}", 2, "a-{n}.{ext}"),
        ("a.png", 2, "a-{n}.{ext}"),
        ("{n}/a.png", 2, "{n}/a.{ext}"),
        ("  a.png ", 1, "a.{ext}"),
    ],
)
def test_the_extension_is_left_open_and_several_images_are_numbered(
    path: str,
    count: int,
    result: str,
) -> None:
    assert finish_filename(path, several=count > 1) == result


@pytest.mark.parametrize("path", [".batchgen/x", ".BATCHGEN/x", "../x", "/x", "a/./b", ""])
def test_file_names_outside_the_directory_or_in_the_reserved_folder_are_errors(path: str) -> None:
    with pytest.raises(NamingError):
        finish_filename(path, several=False)


@given(st.text(st.characters(codec="utf-8")))
def test_a_value_has_no_folders_and_no_characters_that_file_systems_refuse(text: str) -> None:
    assert not set(safe_value(text)) & set('/\\:*?"<>|{}\0\n')


def test_an_id_keeps_its_folders() -> None:
    assert safe_id("a:b/c\\d") == "a-b/c/d"


letters = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], exclude_characters="/\\:{}")
)


@given(st.lists(letters.filter(lambda part: part.strip(" .")), min_size=1, max_size=3))
def test_a_finished_name_stays_in_the_directory_and_fits_every_file_system(
    parts: list[str],
) -> None:
    try:
        name = finish_filename("/".join([*parts, "x" * 300 + "-{n}.{ext}"]), several=True)
    except NamingError:
        return
    path = PurePosixPath(name.format(n=123, ext="v12.jpeg"))
    assert not path.is_absolute()
    assert ".." not in path.parts
    assert all(len(part.encode()) <= 255 for part in path.parts)


@given(st.lists(st.text("é山a", min_size=240, max_size=300), min_size=2, max_size=5, unique=True))
def test_shortened_names_stay_distinct(texts: list[str]) -> None:
    assert len({finish_filename(f"{text}-{{n}}.{{ext}}", several=False) for text in texts}) == len(
        texts
    )
