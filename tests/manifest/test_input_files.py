"""Input files: which may be sent, and the errors of the others."""

import os
from hashlib import sha256
from pathlib import Path

import pytest

from batchgen.manifest.input_files import MAX_FILE_BYTES, InputFileError, InputFiles
from batchgen.types import LocalFile
from tests.given import a_png


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A manifest's folder with an image, beside a folder that is not allowed."""
    (tmp_path / "shop" / "pics").mkdir(parents=True)
    (tmp_path / "shop" / "pics" / "cat.png").write_bytes(a_png())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "dog.png").write_bytes(a_png(8, 8))
    return tmp_path / "shop"


def error_of(files: InputFiles, name: str, folder: Path) -> str:
    with pytest.raises(InputFileError) as caught:
        files.find(name, folder)
    return str(caught.value)


def test_a_file_is_identified_by_its_bytes(shop: Path) -> None:
    file = InputFiles(shop).find("pics/cat.png", shop)

    digest = sha256(a_png()).hexdigest()
    path = (shop / "pics/cat.png").resolve()
    assert file == LocalFile(path, "pics/cat.png", len(a_png()), digest, "image/png")


@pytest.mark.parametrize("name", ["file:pics/a%20cat.png", "pics/a cat.png"])
def test_a_file_url_and_a_path_may_name_the_same_file(shop: Path, name: str) -> None:
    (shop / "pics" / "a cat.png").write_bytes(a_png())
    assert InputFiles(shop).find(name, shop).path.name == "a cat.png"
    url = (shop / "pics" / "a cat.png").as_uri()
    assert InputFiles(shop).find(url, shop).path.name == "a cat.png"


@pytest.mark.parametrize("name", ["../other/dog.png", "pics/../../other/dog.png", "pics/link.png"])
def test_nothing_outside_the_folder_is_sent_unless_it_is_allowed(shop: Path, name: str) -> None:
    (shop / "pics" / "link.png").symlink_to(shop.parent / "other" / "dog.png")

    assert error_of(InputFiles(shop), name, shop) == (
        f"the file {name} is outside the manifest's folder; to send it, allow its folder"
        " with --allow-files DIR"
    )
    assert InputFiles(shop, [shop.parent / "other"]).find(name, shop).media_type == "image/png"


def test_files_that_are_not_images_are_errors(shop: Path) -> None:
    (shop / "notes.png").write_text("not an image")
    (shop / "empty.png").write_bytes(b"")
    (shop / "song.png").write_bytes(b"ID3\x04" + bytes(100))
    (shop / "large.png").write_bytes(a_png())
    os.truncate(shop / "large.png", MAX_FILE_BYTES + 1)
    os.mkfifo(shop / "pipe.png")
    (shop / "loop.png").symlink_to(shop / "loop.png")
    files = InputFiles(shop)

    bad = "the file {} is not an image: its content is {}"
    assert error_of(files, "notes.png", shop) == bad.format("notes.png", "of an unknown type")
    assert error_of(files, "empty.png", shop) == bad.format("empty.png", "of an unknown type")
    assert error_of(files, "song.png", shop) == bad.format("song.png", "audio/mpeg")
    assert error_of(files, "large.png", shop).endswith("MB; the limit is 52.4 MB")
    assert error_of(files, "pipe.png", shop) == "pipe.png is not a regular file"
    assert error_of(files, "pics", shop) == "pics is not a regular file"
    assert error_of(files, "gone.png", shop) == f"there is no file gone.png in {shop}"
    assert error_of(files, "loop.png", shop).startswith("the file loop.png cannot be read: ")
    assert files.find("song.png", shop, ("audio",)).media_type == "audio/mpeg"


def test_a_changed_file_is_read_again(shop: Path) -> None:
    files = InputFiles(shop)
    before = files.find("pics/cat.png", shop)
    (shop / "pics" / "cat.png").write_bytes(a_png(99, 99))

    assert files.find("pics/cat.png", shop).sha256 != before.sha256
