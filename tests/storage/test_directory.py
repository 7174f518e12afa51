"""The lock of an output directory."""

import errno
import fcntl
from pathlib import Path

import filelock
import pytest

from batchgen.errors import LockedError, StorageError
from batchgen.storage.directory import is_locked, locked


def without_locks(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Make every flock fail with this error."""

    def refuse(_handle: int, _operation: int) -> None:
        raise OSError(number, "refused")

    monkeypatch.setattr(fcntl, "flock", refuse)


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


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP])
def test_a_file_system_without_locks_is_only_a_warning(
    number: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without_locks(monkeypatch, number)
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
    without_locks(monkeypatch, errno.EIO)
    with pytest.raises(StorageError, match="cannot lock"), locked(tmp_path):
        pass


def test_the_lock_of_a_run_is_seen_through_a_read_only_mount(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(_: filelock.FileLock) -> None:
        raise OSError(errno.EROFS, "read-only")

    with locked(tmp_path):
        monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
        assert is_locked(tmp_path)
    assert not is_locked(tmp_path)
