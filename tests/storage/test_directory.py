"""The lock of an output directory."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from batchgen.errors import LockedError, StorageError
from batchgen.storage.directory import is_locked, locked


def refuse(monkeypatch: pytest.MonkeyPatch, number: int, *, folders_only: bool = False) -> None:
    """Make every flock fail with this error, or only those of folders."""
    real = fcntl.flock

    def flock(handle: int, operation: int) -> None:
        if not folders_only or Path(f"/proc/self/fd/{handle}").is_dir():
            raise OSError(number, "refused")
        real(handle, operation)

    monkeypatch.setattr(fcntl, "flock", flock)


def test_a_locked_directory_is_refused_until_it_is_released(tmp_path: Path) -> None:
    warnings: list[str] = []
    with locked(tmp_path, warnings.append):
        assert is_locked(tmp_path)
        with pytest.raises(LockedError, match="another run is using"), locked(tmp_path):
            pass
    assert not is_locked(tmp_path)
    with locked(tmp_path, warnings.append):
        pass
    assert warnings == []


@pytest.mark.parametrize("loss", ["removed", "replaced", "folder renamed"])
def test_a_lock_file_that_is_gone_lets_no_other_run_in(tmp_path: Path, loss: str) -> None:
    with locked(tmp_path):
        private = tmp_path / ".batchgen"
        match loss:
            case "removed":
                (private / "lock").unlink()
            case "replaced":
                (private / "new").touch()
                (private / "new").replace(private / "lock")
            case _:
                private.rename(tmp_path / "away")
        assert is_locked(tmp_path)
        with pytest.raises(LockedError), locked(tmp_path):
            pass


def test_a_directory_reached_by_a_link_has_one_lock(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with locked(tmp_path / "link"), pytest.raises(LockedError), locked(tmp_path / "real"):
        pass


def test_a_run_of_version_0_1_is_seen_by_its_lock_file(tmp_path: Path) -> None:
    (tmp_path / ".batchgen").mkdir()
    with (tmp_path / ".batchgen" / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(LockedError), locked(tmp_path):
            pass


@pytest.mark.parametrize("number", [errno.EBADF, errno.ENOTSUP])
def test_where_a_folder_cannot_be_locked_the_lock_file_is(
    number: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refuse(monkeypatch, number, folders_only=True)
    warnings: list[str] = []
    with locked(tmp_path, warnings.append):
        assert is_locked(tmp_path)
        with pytest.raises(LockedError), locked(tmp_path):
            pass
    assert not is_locked(tmp_path)
    assert warnings == []


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP])
def test_a_file_system_without_locks_is_only_a_warning(
    number: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refuse(monkeypatch, number)
    warnings: list[str] = []

    with locked(tmp_path, warnings.append):
        assert not is_locked(tmp_path)
    with locked(tmp_path, warnings.append):
        pass

    assert len(warnings) == 2
    assert "without locks" in warnings[0]


def test_any_other_error_of_the_lock_is_a_storage_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refuse(monkeypatch, errno.EIO)
    with pytest.raises(StorageError, match="cannot lock"), locked(tmp_path):
        pass


def test_every_new_folder_and_the_folder_above_it_are_synced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    synced: set[str] = set()

    def fsync(handle: int) -> None:
        synced.add(str(Path(f"/proc/self/fd/{handle}").readlink()))

    monkeypatch.setattr(os, "fsync", fsync)
    with locked(tmp_path / "a" / "b"):
        pass
    folders = ("", "/a", "/a/b", "/a/b/.batchgen")
    assert synced >= {f"{tmp_path}{folder}" for folder in folders}
