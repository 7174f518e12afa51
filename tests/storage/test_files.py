"""Files below an output directory: links, pipes and paths that leave it."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from batchgen.errors import StorageError
from batchgen.storage.files import Folder, UnsafePathError, open_target, resolves_inside
from batchgen.storage.ledger import Ledger

USES: dict[str, Callable[[Folder, str], object]] = {
    "create": lambda folder, path: os.close(folder.create(path, make=True)),
    "append": lambda folder, path: folder.open_to_append(path).close(),
    "read": lambda folder, path: folder.open_to_read(path).close(),
    "replace": lambda folder, path: folder.replace(path, b"new"),
    "remove": lambda folder, path: folder.remove(path),
    "rename from": lambda folder, path: folder.rename(path, "renamed"),
    "rename to": lambda folder, path: folder.rename("mine", path),
    "link": lambda folder, path: folder.link(folder.root / "mine", path),
}


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the output directory, with one file."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "file").write_text("precious")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    root = tmp_path / "out"
    root.mkdir()
    (root / "mine").write_text("mine")
    return Folder(root)


def untouched(outside: Path) -> bool:
    return os.listdir(outside) == ["file"] and (outside / "file").read_text() == "precious"


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("path", ["sub/file", "sub/new", "a/sub/file", "../outside/file", "/etc/x"])
def test_nothing_is_used_through_a_link_or_above_the_directory(
    use: str, path: str, folder: Folder, outside: Path
) -> None:
    (folder.root / "sub").symlink_to(outside)
    (folder.root / "a").mkdir()
    (folder.root / "a" / "sub").symlink_to(outside)
    with pytest.raises(UnsafePathError):
        USES[use](folder, path)
    assert untouched(outside)


@pytest.mark.parametrize("use", ["append", "read"])
@pytest.mark.parametrize("kind", ["link", "dangling link", "FIFO", "socket", "device"])
def test_only_a_regular_file_is_opened(use: str, kind: str, folder: Folder, outside: Path) -> None:
    path = folder.root / "odd"
    match kind:
        case "link":
            path.symlink_to(outside / "file")
        case "dangling link":
            path.symlink_to(outside / "new")
        case "FIFO":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as server:
                here = os.open(folder.root, os.O_RDONLY)
                server.bind(f"/proc/self/fd/{here}/odd")
                os.close(here)
        case _:
            if os.getuid():
                pytest.skip("only root makes devices")
            os.mknod(path, 0o20600, os.makedev(1, 3))
    with pytest.raises(UnsafePathError, match="move it away"):
        USES[use](folder, "odd")
    assert untouched(outside)


@pytest.mark.parametrize("use", ["replace", "rename to", "remove"])
def test_a_link_itself_is_replaced_or_removed(use: str, folder: Folder, outside: Path) -> None:
    (folder.root / "odd").symlink_to(outside / "file")
    USES[use](folder, "odd")
    assert not (folder.root / "odd").is_symlink()
    assert untouched(outside)


def test_a_file_with_another_name_is_copied_before_it_is_added_to(
    folder: Folder, outside: Path
) -> None:
    os.link(outside / "file", folder.root / "results")
    with folder.open_to_append("results") as file:
        file.write(b" and more")
    assert (folder.root / "results").read_text() == "precious and more"
    assert untouched(outside)


def test_the_directory_itself_may_be_reached_by_a_link(tmp_path: Path, folder: Folder) -> None:
    (tmp_path / "link").symlink_to(folder.root)
    Folder(tmp_path / "link").replace("a/file", b"new")
    assert (folder.root / "a" / "file").read_bytes() == b"new"


def test_an_error_names_the_whole_path(folder: Folder) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        folder.open_to_read("a/b")
    assert raised.value.filename == str(folder.root / "a" / "b")


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
@pytest.mark.parametrize("kind", ["link", "hard link", "FIFO"])
def test_a_ledger_that_is_not_an_ordinary_file_is_refused(
    kind: str, suffix: str, folder: Folder, outside: Path
) -> None:
    private = folder.root / ".batchgen"
    private.mkdir()
    path = private / f"ledger.sqlite3{suffix}"
    match kind:
        case "link":
            path.symlink_to(outside / "file")
        case "hard link":
            os.link(outside / "file", path)
        case _:
            os.mkfifo(path)
    with pytest.raises(StorageError):
        Ledger(private / "ledger.sqlite3")
    assert untouched(outside)


def test_a_private_folder_that_is_a_link_is_refused(folder: Folder, outside: Path) -> None:
    (folder.root / ".batchgen").symlink_to(outside)
    with pytest.raises(UnsafePathError, match="symbolic link"):
        Ledger(folder.root / ".batchgen" / "ledger.sqlite3")
    assert untouched(outside)


def test_a_path_that_a_link_leads_out_does_not_resolve_inside(
    folder: Folder, outside: Path
) -> None:
    (folder.root / "sub").symlink_to(outside)
    (folder.root / "odd").symlink_to(outside / "file")
    (folder.root / "same").symlink_to("mine")
    inside = [
        path
        for path in ("mine", "same", "sub/file", "odd", "../outside/file", ".batchgen/x")
        if resolves_inside(folder.root, path)
    ]
    assert inside == ["mine", "same"]


@pytest.mark.parametrize("name", ["out", "link"])
def test_a_named_target_below_the_directory_replaces_a_link(
    tmp_path: Path, folder: Folder, outside: Path, name: str
) -> None:
    (folder.root / "page").symlink_to(outside / "file")
    (tmp_path / "link").symlink_to(folder.root)
    with open_target(tmp_path / name / "page", folder.root) as file:
        file.write(b"new")
    assert (folder.root / "page").read_bytes() == b"new"
    assert untouched(outside)


def test_a_named_target_elsewhere_may_be_a_link(
    tmp_path: Path, folder: Folder, outside: Path
) -> None:
    (tmp_path / "page").symlink_to(outside / "file")
    with open_target(tmp_path / "page", folder.root) as file:
        file.write(b"new")
    assert (outside / "file").read_bytes() == b"new"


def test_a_named_target_that_fails_leaves_the_old_file(folder: Folder) -> None:
    with pytest.raises(UnicodeError), open_target(folder.root / "mine", folder.root) as file:
        file.write("\ud800".encode())
    assert (folder.root / "mine").read_text() == "mine"
    assert os.listdir(folder.root / ".batchgen" / "tmp") == []
