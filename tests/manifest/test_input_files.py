"""Files that rows name: which may be sent, and what is told of the others."""

import os
from hashlib import sha256
from pathlib import Path

import pytest

from batchgen.manifest.input_files import MAX_FILE_BYTES, InputFileError, InputFiles
from batchgen.types import LocalFile
from tests.given import a_png


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A manifest's folder with a picture, and a neighbour that it has no business with."""
    (tmp_path / "shop" / "pics").mkdir(parents=True)
    (tmp_path / "shop" / "pics" / "cat.png").write_bytes(a_png())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "dog.png").write_bytes(a_png(8, 8))
    return tmp_path / "shop"


def told(files: InputFiles, name: str, folder: Path) -> str:
    with pytest.raises(InputFileError) as caught:
        files.find(name, folder)
    return str(caught.value)


def test_a_file_is_known_by_its_bytes(shop: Path) -> None:
    found = InputFiles(shop).find("pics/cat.png", shop)

    digest = sha256(a_png()).hexdigest()
    path = (shop / "pics/cat.png").resolve()
    assert found == LocalFile(path, "pics/cat.png", len(a_png()), digest, "image/png")


@pytest.mark.parametrize("name", ["file:pics/a%20cat.png", "pics/a cat.png"])
def test_a_file_url_and_a_path_name_the_same_file(shop: Path, name: str) -> None:
    (shop / "pics" / "a cat.png").write_bytes(a_png())
    assert InputFiles(shop).find(name, shop).path.name == "a cat.png"
    url = (shop / "pics" / "a cat.png").as_uri()
    assert InputFiles(shop).find(url, shop).path.name == "a cat.png"


@pytest.mark.parametrize("name", ["../other/dog.png", "pics/../../other/dog.png", "pics/link.png"])
def test_nothing_outside_the_folder_is_sent_unless_it_is_allowed(shop: Path, name: str) -> None:
    (shop / "pics" / "link.png").symlink_to(shop.parent / "other" / "dog.png")

    assert told(InputFiles(shop), name, shop) == (
        f"the file {name} is outside the manifest's folder; where it is meant to be sent,"
        " allow its folder: --allow-files DIR"
    )
    assert InputFiles(shop, [shop.parent / "other"]).find(name, shop).media_type == "image/png"


def test_what_is_no_picture_is_told(shop: Path) -> None:
    (shop / "notes.png").write_text("not a picture")
    (shop / "empty.png").write_bytes(b"")
    (shop / "song.png").write_bytes(b"ID3\x04" + bytes(100))
    (shop / "large.png").write_bytes(a_png())
    os.truncate(shop / "large.png", MAX_FILE_BYTES + 1)
    os.mkfifo(shop / "pipe.png")
    (shop / "loop.png").symlink_to(shop / "loop.png")
    files = InputFiles(shop)

    bad = "the file {} is no picture: its bytes are {}"
    assert told(files, "notes.png", shop) == bad.format("notes.png", "nothing that is known")
    assert told(files, "empty.png", shop) == bad.format("empty.png", "nothing that is known")
    assert told(files, "song.png", shop) == bad.format("song.png", "audio/mpeg")
    assert told(files, "large.png", shop).endswith("MB are the most")
    assert told(files, "pipe.png", shop) == "pipe.png is no file"
    assert told(files, "pics", shop) == "pics is no file"
    assert told(files, "gone.png", shop) == f"there is no file gone.png in {shop}"
    assert told(files, "loop.png", shop).startswith("the file loop.png cannot be read: ")
    assert files.find("song.png", shop, ("audio",)).media_type == "audio/mpeg"


def test_a_file_is_read_anew_once_it_has_changed(shop: Path) -> None:
    files = InputFiles(shop)
    before = files.find("pics/cat.png", shop)
    (shop / "pics" / "cat.png").write_bytes(a_png(99, 99))

    assert files.find("pics/cat.png", shop).sha256 != before.sha256
