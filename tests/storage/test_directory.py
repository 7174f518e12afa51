"""Who holds an output directory."""

import errno
import fcntl
from pathlib import Path

import filelock
import pytest

from batchgen.errors import LockedError, StorageError
from batchgen.storage.directory import is_locked, locked


def without_locks(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A file system that answers every flock with this error."""

    def refuse(_handle: int, _operation: int) -> None:
        raise OSError(number, "refused")

    monkeypatch.setattr(fcntl, "flock", refuse)


def test_one_at_a_time_and_the_next_one_after_it(tmp_path: Path) -> None:
    told: list[str] = []
    with locked(tmp_path, told.append):
        assert is_locked(tmp_path)
        with pytest.raises(LockedError, match="another run holds"), locked(tmp_path, told.append):
            pass
    assert not is_locked(tmp_path)
    with locked(tmp_path, told.append):
        pass
    assert told == []


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP])
def test_where_there_are_no_locks_a_warning_is_told_and_the_run_goes_on(
    number: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without_locks(monkeypatch, number)
    told: list[str] = []

    with locked(tmp_path, told.append):
        assert not is_locked(tmp_path)
    with locked(tmp_path, told.append):
        pass

    assert len(told) == 2
    assert "without locks" in told[0]


def test_a_lock_that_is_refused_for_another_reason_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without_locks(monkeypatch, errno.EIO)
    with pytest.raises(StorageError, match="cannot lock"), locked(tmp_path):
        pass


def test_a_run_beyond_a_mount_that_may_only_be_read_is_seen_by_its_lock(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(_: filelock.FileLock) -> None:
        raise OSError(errno.EROFS, "read-only")

    with locked(tmp_path):
        monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
        assert is_locked(tmp_path)
    assert not is_locked(tmp_path)
