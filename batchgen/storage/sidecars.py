"""Files that go along with artifacts: `output.sidecar` and `output.convert`.

They are derived from the ledger and the artifacts, as the results manifest is: made when a task's
outcome has been committed, each replaced atomically. A crash before that leaves artifacts without
them; when a run ends, what is missing or older than its artifact is made up for.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from pathlib import Path, PurePosixPath

import msgspec

from batchgen.errors import write_error
from batchgen.job import Conversion, Extras
from batchgen.media.formats import pixel_count
from batchgen.storage.artifacts import make_folder, write_atomically
from batchgen.storage.label import metadata_of
from batchgen.types import Artifact, Outcome, Record, Task

FOLDER = "converted"
ENDING = ".json"
_MOST_PIXELS = 100_000_000  # more would take gigabytes to convert
_EXTENSIONS = {"webp": "webp", "jpeg": "jpg", "png": "png", "avif": "avif"}
_MIMES = {
    ".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif",
    ".avif": "image/avif", ".heic": "image/heic", ".tiff": "image/tiff", ".bmp": "image/bmp",
    ".svg": "image/svg+xml",
}  # fmt: skip


class Sidecars(msgspec.Struct):
    """Makes what goes along with artifacts below `root`.

    say: hears of the first picture that cannot be converted. unreadable: how many there were.
    """

    root: Path
    extras: Extras
    say: Callable[[str], None]
    unreadable: int = 0

    async def __call__(self, task: Task, outcome: Outcome) -> None:
        """Make those of a task that has just ended. Raises StorageError."""
        if outcome.artifacts:
            await asyncio.to_thread(self._make, Record(task, outcome), missing_only=False)

    def make_up(self, records: Iterable[Record]) -> None:
        """Make those that are missing or older than their artifacts. Raises StorageError."""
        for record in records:
            self._make(record, missing_only=True)

    def _make(self, record: Record, *, missing_only: bool) -> None:
        for artifact in record.outcome.artifacts:
            for target, content in self._wanted(record, artifact):
                if missing_only and not self._is_due(target, artifact):
                    continue
                data = content()
                if data is not None:
                    self._replace(target, data)

    def _wanted(
        self, record: Record, artifact: Artifact
    ) -> Iterator[tuple[Path, Callable[[], bytes | None]]]:
        if self.extras.sidecar:
            yield self.root / sidecar_of(artifact.path), lambda: sidecar(record, artifact)
        convert = self.extras.convert
        if convert is not None and artifact.media_type.startswith("image/"):
            target = self.root / converted_of(artifact, convert)
            yield target, lambda: self._converted(artifact, convert)

    def _is_due(self, target: Path, artifact: Artifact) -> bool:
        """Whether the artifact is there and its companion is not, or is older."""
        try:
            made_at = (self.root / artifact.path).stat().st_mtime_ns
        except OSError:
            return False
        try:
            return target.stat().st_mtime_ns < made_at
        except OSError:
            return True

    def _converted(self, artifact: Artifact, convert: Conversion) -> bytes | None:
        data = converted(self.root / artifact.path, convert)
        if data is None:
            self.unreadable += 1
            if self.unreadable == 1:
                self.say(f"{artifact.path} cannot be converted to {convert.format}; it is kept")
        return data

    def _replace(self, target: Path, data: bytes) -> None:
        temporary = self.root / ".batchgen" / "tmp" / f"{secrets.token_hex(8)}.companion"
        try:
            make_folder(target.parent)
        except OSError as error:
            raise write_error(target, error) from error
        write_atomically(target, data, temporary)


def sidecar_of(path: str) -> str:
    """Where the sidecar of an artifact stands."""
    return path + ENDING


def converted_of(artifact: Artifact, convert: Conversion) -> str:
    """Where an artifact's converted copy stands."""
    path = PurePosixPath(artifact.path)
    usual = artifact.media_type == _MIMES.get(path.suffix)
    name = path.stem if usual else path.name
    return str(FOLDER / path.with_name(f"{name}.{_EXTENSIONS[convert.format]}"))


def sidecar(record: Record, artifact: Artifact) -> bytes:
    """The story of an artifact as a JSON file."""
    told = {
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
    return msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n"


def converted(path: Path, convert: Conversion) -> bytes | None:
    """A picture in another format, no larger than asked for; None for what cannot be read."""
    from PIL import Image, ImageOps  # noqa: PLC0415  # draws: heavy

    try:
        if not 0 < pixel_count(path) <= _MOST_PIXELS:
            return None
        with Image.open(path) as picture:
            if convert.max_side is not None:
                picture.draft("RGB", (convert.max_side, convert.max_side))
            upright = ImageOps.exif_transpose(picture)
            made = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
            if convert.max_side is not None:
                made.thumbnail((convert.max_side, convert.max_side))
            if convert.format == "jpeg" and made.mode == "RGBA":
                white = Image.new("RGBA", made.size, "white")
                made = Image.alpha_composite(white, made).convert("RGB")
            out = BytesIO()
            made.save(out, convert.format.upper(), quality=convert.quality)
            return out.getvalue()
    except (OSError, ValueError, SyntaxError):  # Pillow: damaged files, unknown types
        return None
