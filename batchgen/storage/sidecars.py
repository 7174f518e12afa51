"""Sidecar files and converted copies of artifacts: `output.sidecar` and `output.convert`.

They are derived from the ledger and the artifacts. Each is written atomically, after the task's
outcome was committed. A crash before that leaves artifacts without them. At the end of a run those
that are missing or older than their artifact are written.
"""

import asyncio
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

import msgspec

from batchgen.errors import write_error
from batchgen.job import Conversion, Extras
from batchgen.storage.files import Folder
from batchgen.storage.metadata import metadata_of
from batchgen.types import Artifact, Outcome, Record, Task

CONVERTED_FOLDER = "converted"
SIDECAR_SUFFIX = ".json"
_EXTENSIONS = {"webp": "webp", "jpeg": "jpg", "png": "png", "avif": "avif"}
_MEDIA_TYPES = {
    ".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif",
    ".avif": "image/avif", ".heic": "image/heic", ".tiff": "image/tiff", ".bmp": "image/bmp",
    ".svg": "image/svg+xml",
}  # fmt: skip


class Sidecars(msgspec.Struct):
    """Writes the sidecars and converted copies of artifacts below `root`.

    warn: is called with a message for the first image that cannot be converted, and with one about
        all of them at the end.
    unreadable: the number of such images.
    """

    root: Path
    extras: Extras
    warn: Callable[[str], None]
    unreadable: int = 0

    async def __call__(self, task: Task, outcome: Outcome) -> None:
        """Write the files of a task that has just ended. Raises StorageError."""
        if outcome.artifacts:
            await asyncio.to_thread(self._write_files, Record(task, outcome), missing_only=False)

    def write_missing(self, records: Iterable[Record]) -> None:
        """Write files that are missing or older than their artifacts. Raises StorageError."""
        earlier = self.unreadable
        for record in records:
            self._write_files(record, missing_only=True)
        if (count := self.unreadable - earlier) > 1:
            self.warn(f"{count:,} images have no converted copy: they are too large or damaged")

    def _write_files(self, record: Record, *, missing_only: bool) -> None:
        for artifact in record.outcome.artifacts:
            for target, make_content in self._files_of(record, artifact):
                if missing_only and not self._is_outdated(target, artifact.path):
                    continue
                data = make_content()
                if data is not None:
                    self._replace(target, data)

    def _files_of(
        self, record: Record, artifact: Artifact
    ) -> Iterator[tuple[str, Callable[[], bytes | None]]]:
        if self.extras.sidecar:
            yield sidecar_path(artifact.path), lambda: sidecar_content(record, artifact)
        convert = self.extras.convert
        if convert is not None and artifact.media_type.startswith("image/"):
            yield converted_path(artifact, convert), lambda: self._converted(artifact, convert)

    def _is_outdated(self, target: str, path: str) -> bool:
        """Return whether the artifact exists, and `target` is missing or older."""
        if not Folder(self.root).is_file(path):
            return False
        artifact_ns, target_ns = self._changed_ns(path), self._changed_ns(target)
        return artifact_ns is not None and (target_ns is None or target_ns < artifact_ns)

    def _changed_ns(self, path: str) -> int | None:
        """Return when a file was last changed; None if there is none."""
        try:
            status = Folder(self.root).status(path)
        except OSError:
            return None
        return status.st_mtime_ns if stat.S_ISREG(status.st_mode) else None

    def _converted(self, artifact: Artifact, convert: Conversion) -> bytes | None:
        from batchgen.media.pictures import Encoding, HeavyPictureError, converted  # noqa: PLC0415  # imports Pillow: slow

        if not Folder(self.root).is_file(artifact.path):
            self._count_unreadable(artifact, "")
            return None
        encoding = Encoding(convert.format, convert.quality)
        try:
            return converted(self.root / artifact.path, encoding, convert.max_side)
        except HeavyPictureError as error:
            self._count_unreadable(artifact, f" ({error})")
        except (OSError, ValueError, SyntaxError):  # Pillow raises all three for damaged files
            self._count_unreadable(artifact, "")
        return None

    def _count_unreadable(self, artifact: Artifact, reason: str) -> None:
        self.unreadable += 1
        if self.unreadable == 1:
            self.warn(f"{artifact.path} is not converted{reason}: the original is kept")

    def _replace(self, target: str, data: bytes) -> None:
        try:
            Folder(self.root).replace(target, data)
        except OSError as error:
            raise write_error(target, error) from error


def sidecar_path(path: str) -> str:
    """Return the path of the sidecar of the artifact at `path`."""
    return path + SIDECAR_SUFFIX


def converted_path(artifact: Artifact, convert: Conversion) -> str:
    """Return the path of an artifact's converted copy."""
    path = PurePosixPath(artifact.path)
    is_usual_suffix = artifact.media_type == _MEDIA_TYPES.get(path.suffix)
    name = path.stem if is_usual_suffix else path.name
    return str(CONVERTED_FOLDER / path.with_name(f"{name}.{_EXTENSIONS[convert.format]}"))


def sidecar_content(record: Record, artifact: Artifact) -> bytes:
    """Return the content of an artifact's sidecar: its metadata and result as JSON."""
    content = {
        **metadata_of(record.task, record.outcome),
        "vars": dict(record.task.vars),
        "file": PurePosixPath(artifact.path).name,
        "sha256": artifact.sha256,
        "media_type": artifact.media_type,
        "width": artifact.width,
        "height": artifact.height,
        "cost_usd": record.outcome.cost_usd,
        "finished_at": record.outcome.finished_at,
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"
