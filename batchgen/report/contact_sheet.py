"""A contact sheet: the job's pictures, small, in one PNG."""

from collections.abc import Iterable, Iterator
from math import ceil, sqrt
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from batchgen.errors import StorageError
from batchgen.report.thumbnails import FOLDER, preview, thumbnail
from batchgen.text import one_line
from batchgen.types import Artifact, Record

MOST = 1000
_SIDE = 200  # pixels
_CAPTION = 20
_GAP = 12
_PAPER = (255, 255, 255)
_INK = (60, 60, 60)
_CAPTION_CHARACTERS = 32


def write_contact_sheet(
    records: Iterable[Record], directory: Path, target: Path
) -> tuple[int, int]:
    """Draw the first MOST pictures into a PNG; return how many it shows, and how many there are.

    Raises StorageError where the file cannot be written.
    """
    shown: list[tuple[str, Artifact]] = []
    pictures = 0
    for record in records:
        for artifact in record.outcome.artifacts:
            if artifact.media_type.startswith("image/"):
                pictures += 1
                if len(shown) < MOST:
                    shown.append((record.task.id, artifact))
    sheet = _draw(shown, directory)
    try:
        sheet.save(target, "PNG")
    except (OSError, ValueError) as error:
        raise StorageError(f"cannot write {target} ({error}): name a .png file") from error
    return len(shown), pictures


def _draw(shown: list[tuple[str, Artifact]], directory: Path) -> Image.Image:
    columns = max(1, ceil(sqrt(len(shown))))
    rows = max(1, ceil(len(shown) / columns))
    step, line = _SIDE + _GAP, _SIDE + _CAPTION + _GAP
    sheet = Image.new("RGB", (columns * step + _GAP, rows * line + _GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=12)
    for number, (name, picture) in enumerate(_pictures(shown, directory)):
        x, y = _GAP + number % columns * step, _GAP + number // columns * line
        if picture is not None:
            at = (x + (_SIDE - picture.width) // 2, y + (_SIDE - picture.height) // 2)
            sheet.paste(picture, at, picture if picture.mode == "RGBA" else None)
        caption = one_line(name, _CAPTION_CHARACTERS)
        pen.text((x + _SIDE // 2, y + _SIDE + 3), caption, _INK, font=font, anchor="ma")
    return sheet


def _pictures(
    shown: list[tuple[str, Artifact]], directory: Path
) -> Iterator[tuple[str, Image.Image | None]]:
    for name, artifact in shown:
        small = preview(artifact, directory)
        path = directory / FOLDER / small if small else directory / artifact.path
        yield name, thumbnail(path, _SIDE)
