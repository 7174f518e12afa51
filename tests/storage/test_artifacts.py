"""The files on disk after each step of publishing, and after each step that failed."""

import asyncio
import errno
import hashlib
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.errors import StorageError
from batchgen.storage.artifacts import LocalStore
from batchgen.storage.spool import MEMORY_BYTES, Spool
from batchgen.types import GeneratedPayload, Spooled
from tests.given import a_png, spooled

PNG = a_png()
LARGE = PNG + bytes(MEMORY_BYTES)  # is in a file while it arrives
HIDDEN = ".batchgen"


@pytest.fixture
def ledger_paths() -> set[str]:
    return set()


@pytest.fixture
def store(tmp_path: Path, ledger_paths: set[str]) -> Iterator[LocalStore]:
    store = LocalStore(tmp_path, is_taken=ledger_paths.__contains__)
    store.prepare()
    yield store
    store.close()


def sink_of(store: LocalStore, data: bytes = PNG) -> Spooled:
    sink = store.open_sink()
    sink.write(data)
    return sink.close()


def visible(root: Path) -> set[str]:
    paths = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)) for path in paths if HIDDEN not in path.parts}


def temporary(root: Path) -> list[Path]:
    return list((root / HIDDEN / "tmp").iterdir())


@pytest.mark.parametrize("data", [PNG, LARGE], ids=["small", "large"])
async def test_an_artifact_describes_its_file_on_disk(
    store: LocalStore, tmp_path: Path, data: bytes
) -> None:
    artifact = await store.publish(sink_of(store, data), "cats/{n}.{ext}", 2)

    assert (tmp_path / "cats" / "2.png").read_bytes() == data
    assert artifact.path == "cats/2.png"
    assert artifact.size_bytes == len(data)
    assert artifact.sha256 == hashlib.sha256(data).hexdigest()
    assert (artifact.media_type, artifact.width, artifact.height) == ("image/png", 64, 32)
    store.confirm([artifact.path])
    store.close()
    assert temporary(tmp_path) == []


@given(parts=st.lists(st.binary(max_size=3000), max_size=6))
def test_a_spool_measures_hashes_and_keeps_its_bytes(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("spool") / "1.part"
    spool = Spool(str(path), memory_bytes=5000)
    for part in parts:
        spool.write(part)
    payload = spool.close()

    content = b"".join(parts)
    assert payload.size_bytes == len(content)
    assert payload.head == content[:4096]
    if len(content) <= 5000:
        assert payload.data == content
        assert not path.exists()
    else:
        assert path.read_bytes() == content
        assert payload.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc/self/fd: run on Linux")
async def test_the_file_is_durable_before_its_name_and_the_name_before_it_counts(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    def fsync(handle: int, real: Callable[[int], None] = os.fsync) -> None:
        target = Path(f"/proc/self/fd/{handle}").readlink()
        steps.append(f"{target.relative_to(tmp_path)} {sorted(visible(tmp_path))}")
        real(handle)

    payload = sink_of(store)
    monkeypatch.setattr(os, "fsync", fsync)

    await store.publish(payload, "a/b/{n}.{ext}", 1)

    assert steps == [
        f"{Path(payload.path).relative_to(tmp_path)} []",
        ". []",  # the new folder `a`
        "a []",
        "a []",  # the new folder `a/b`
        "a/b []",
        "a/b ['a/b/1.png']",
    ]


class _PoweroffError(BaseException):
    """The machine stops here."""


@pytest.mark.parametrize("step", range(6))
async def test_a_stop_between_any_two_steps_leaves_a_temporary_file_or_an_orphan(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    calls = 0

    def stopping(real: Callable[..., object]) -> Callable[..., object]:
        def call(*values: object, **options: object) -> object:
            nonlocal calls
            calls += 1
            if calls > step:
                raise _PoweroffError
            return real(*values, **options)

        return call

    payload = sink_of(store)
    with monkeypatch.context() as patched:
        for owner, name in ((os, "fsync"), (os, "link"), (Path, "mkdir")):
            patched.setattr(owner, name, stopping(getattr(owner, name)))
        try:
            await store.publish(payload, "a/{n}.{ext}", 1)
        except _PoweroffError:
            pass
        else:
            assert step == 5  # it has five steps

    assert temporary(tmp_path) == [Path(payload.path)]
    assert visible(tmp_path) in (set(), {"a/1.png"})

    later = LocalStore(tmp_path, is_taken=lambda _: False)
    swept = later.prepare()
    artifact = await later.publish(sink_of(later, a_png(pixel=b"!")), "a/{n}.{ext}", 1)
    later.sweep()

    assert swept == (1 if step < 4 else 0)
    assert artifact.path == "a/1.png"
    assert visible(tmp_path) == {"a/1.png"}
    assert temporary(tmp_path) == []


async def test_a_foreign_file_is_left_alone(store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "fox-1.png").write_bytes(b"mine")
    (tmp_path / "fox-1~2.png").mkdir()

    artifact = await store.publish(sink_of(store), "fox-{n}.{ext}", 1)

    assert artifact.path == "fox-1~3.png"
    assert (tmp_path / "fox-1.png").read_bytes() == b"mine"


async def test_an_orphan_is_replaced_even_after_several_crashes(
    store: LocalStore, tmp_path: Path
) -> None:
    await store.publish(sink_of(store, a_png(pixel=b"?")), "fox-{n}.{ext}", 1)
    for _ in range(2):
        later = LocalStore(tmp_path, is_taken=lambda _: False)
        later.prepare()

    artifact = await later.publish(sink_of(later), "fox-{n}.{ext}", 1)

    assert artifact.path == "fox-1.png"
    assert (tmp_path / "fox-1.png").read_bytes() == PNG


async def test_two_images_of_one_task_never_get_the_same_path(
    store: LocalStore, tmp_path: Path
) -> None:
    first = await store.publish(sink_of(store), "fox.{ext}", 1)
    second = await store.publish(sink_of(store, a_png(pixel=b"?")), "fox.{ext}", 2)

    assert (first.path, second.path) == ("fox.png", "fox~2.png")
    assert (tmp_path / "fox.png").read_bytes() == PNG


async def test_an_artifact_in_the_ledger_is_never_replaced(
    store: LocalStore, tmp_path: Path, ledger_paths: set[str]
) -> None:
    await store.publish(sink_of(store), "fox-{n}.{ext}", 1)
    ledger_paths.add("fox-1.png")
    store.prepare()

    artifact = await store.publish(sink_of(store, a_png(pixel=b"?")), "fox-{n}.{ext}", 1)

    assert artifact.path == "fox-1~2.png"
    assert (tmp_path / "fox-1.png").read_bytes() == PNG


async def test_without_hard_links_a_file_is_renamed_to_a_free_name(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object, **_options: object) -> None:
        raise PermissionError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", link)
    (tmp_path / "fox-1.png").write_bytes(b"mine")

    artifact = await store.publish(sink_of(store), "fox-{n}.{ext}", 1)

    assert artifact.path == "fox-1~2.png"
    assert (tmp_path / "fox-1.png").read_bytes() == b"mine"
    assert temporary(tmp_path) == []


async def test_many_artifacts_with_the_same_name_all_get_their_own_path(
    store: LocalStore, tmp_path: Path
) -> None:
    payloads = [sink_of(store, a_png(pixel=bytes([number]))) for number in range(40)]

    artifacts = await asyncio.gather(
        *(store.publish(payload, "fox.{ext}", 1) for payload in payloads)
    )

    assert len({artifact.path for artifact in artifacts}) == 40
    for artifact in artifacts:
        data = (tmp_path / artifact.path).read_bytes()
        assert hashlib.sha256(data).hexdigest() == artifact.sha256


async def test_the_longest_names_still_have_room_for_a_number(
    store: LocalStore, tmp_path: Path
) -> None:
    from batchgen.manifest.expand.filenames import finish_filename  # noqa: PLC0415  # only here

    filename = finish_filename("ü" * 400 + "-{n}.{ext}", several=False)
    paths = [(await store.publish(sink_of(store), filename, 10)).path for _ in range(3)]

    assert len(set(paths)) == 3
    assert visible(tmp_path) == set(paths)


async def test_if_a_file_blocks_a_folder_the_artifact_is_written_beside_it(
    store: LocalStore, tmp_path: Path
) -> None:
    (tmp_path / "cats").write_text("a file")

    artifact = await store.publish(sink_of(store), "cats/{n}.{ext}", 1)

    assert artifact.path == "cats-1.png"
    assert visible(tmp_path) == {"cats", "cats-1.png"}


@pytest.mark.parametrize("data", [PNG, LARGE], ids=["small", "large"])
async def test_a_deleted_output_directory_is_a_storage_error(
    store: LocalStore, tmp_path: Path, data: bytes
) -> None:
    shutil.rmtree(tmp_path)
    with pytest.raises(StorageError, match="No such file"):
        await store.publish(sink_of(store, data), "fox.{ext}", 1)


async def test_payloads_that_are_published_together_share_the_fsync_of_their_folder(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[str] = []

    def fsync(handle: int, real: Callable[[int], None] = os.fsync) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            folders.append("fsync")
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    payloads = [sink_of(store) for _ in range(200)]

    await asyncio.gather(
        *(store.publish(payload, f"{n}.{{ext}}", 1) for n, payload in enumerate(payloads))
    )

    assert len(visible(tmp_path)) == 200
    assert 0 < len(folders) < 100


async def test_a_payload_that_fails_does_not_affect_others_of_its_group(
    store: LocalStore, tmp_path: Path
) -> None:
    payloads = [sink_of(store, LARGE) for _ in range(20)]
    Path(payloads[7].path).unlink()

    artifacts = await asyncio.gather(
        *(store.publish(payload, f"{n}.{{ext}}", 1) for n, payload in enumerate(payloads)),
        return_exceptions=True,
    )

    assert [n for n, result in enumerate(artifacts) if isinstance(result, StorageError)] == [7]
    assert len(visible(tmp_path)) == 19


@pytest.mark.parametrize(
    ("payload", "path", "media_type"),
    [
        (GeneratedPayload(b"BM is a city. GIF89a", "text/plain"), "1.txt", "text/plain"),
        (GeneratedPayload(b"OggS\0 of silence"), "1.ogg", "audio/ogg"),
        (GeneratedPayload(b"\1\2\3"), "1.bin", "application/octet-stream"),
        (GeneratedPayload(b"x" * (MEMORY_BYTES + 1), "text/markdown"), "1.md", "text/markdown"),
    ],
)
async def test_a_payload_made_from_a_reply_has_the_declared_type(
    store: LocalStore, tmp_path: Path, payload: GeneratedPayload, path: str, media_type: str
) -> None:
    artifact = await store.publish(payload, "{n}.{ext}", 1)
    assert (artifact.path, artifact.media_type) == (path, media_type)
    assert artifact.sha256 == hashlib.sha256(payload.data).hexdigest()
    assert (tmp_path / path).read_bytes() == payload.data


async def test_bytes_of_no_known_type_are_a_bug_of_the_caller(store: LocalStore) -> None:
    with pytest.raises(ValueError, match="no known type"):
        await store.publish(sink_of(store, b"hello"), "fox.{ext}", 1)


def test_leftover_temporary_files_are_removed_when_a_run_begins(
    store: LocalStore, tmp_path: Path
) -> None:
    sink_of(store, LARGE)
    sink_of(store, LARGE)
    (tmp_path / "1.part").write_bytes(b"not in the temporary folder")

    assert store.prepare() == 2
    assert temporary(tmp_path) == []
    assert visible(tmp_path) == {"1.part"}


@pytest.mark.parametrize("data", [PNG, LARGE], ids=["small", "large"])
def test_a_discarded_payload_is_removed(store: LocalStore, tmp_path: Path, data: bytes) -> None:
    payload = sink_of(store, data)
    sink = store.open_sink()
    sink.write(data)
    store.discard(payload)
    store.discard(payload)
    sink.discard()
    sink.discard()
    assert temporary(tmp_path) == []


_FULL = """
import resource, signal, sys
from pathlib import Path
from batchgen.errors import StorageError
from batchgen.storage.artifacts import LocalStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
store = LocalStore(Path(sys.argv[1]), is_taken=lambda path: False)
store.prepare()
sink = store.open_sink()
try:
    sink.write(b"x" * 150_000)
except StorageError as error:
    sink.discard()
    print(error)
"""


def test_a_disk_that_fills_while_a_payload_arrives_is_a_storage_error(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FULL, tmp_path], capture_output=True, text=True, check=True
    )
    assert "File too large" in done.stdout
    assert "free space, then run the same command again" in done.stdout
    assert temporary(tmp_path) == []


async def test_a_payload_that_vanished_is_a_storage_error(
    store: LocalStore, tmp_path: Path
) -> None:
    payload = spooled(tmp_path / "x.part", PNG)
    Path(payload.path).unlink()
    with pytest.raises(StorageError, match=r"x\.part"):
        await store.publish(payload, "fox.{ext}", 1)
