"""The contact sheet: one PNG with a small version of each image of a job."""

from collections.abc import Iterable, Iterator
from math import ceil, sqrt
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from batchgen.errors import StorageError
from batchgen.media.pictures import MAX_BYTES, Room
from batchgen.report.thumbnails import FOLDER, TOO_LARGE, preview, thumbnail
from batchgen.storage.files import Folder, open_target, stays_inside
from batchgen.text import one_line
from batchgen.types import Artifact, Record

MAX_IMAGES = 1000
_SIDE = 200  # pixels
_PIXEL_BYTES = 4  # of the sheet, which takes its part of the memory for pictures
_MIN_ROOM_BYTES = 32 * 1024**2
_CAPTION = 20  # pixels
_GAP = 12  # pixels
_BACKGROUND = (255, 255, 255)
_TEXT_COLOUR = (60, 60, 60)
_CAPTION_CHARACTERS = 32


def write_contact_sheet(
    records: Iterable[Record], directory: Path, target: Path
) -> tuple[int, int]:
    """Draw the first MAX_IMAGES images into a PNG; return their number and that of all images.

    Raise StorageError if the file cannot be written.
    """
    chosen: list[tuple[str, Artifact]] = []
    total = 0
    for record in records:
        for artifact in record.outcome.artifacts:
            if artifact.media_type.startswith("image/"):
                total += 1
                if len(chosen) < MAX_IMAGES:
                    chosen.append((record.task.id, artifact))
    sheet = _draw(chosen, directory)
    try:
        with open_target(target, directory) as file:
            sheet.save(file, "PNG")
    except (OSError, ValueError) as error:
        raise StorageError(f"cannot write {target} ({error}): name a .png file") from error
    return len(chosen), total


def _draw(chosen: list[tuple[str, Artifact]], directory: Path) -> Image.Image:
    columns = max(1, ceil(sqrt(len(chosen))))
    rows = max(1, ceil(len(chosen) / columns))
    step, line = _SIDE + _GAP, _SIDE + _CAPTION + _GAP
    sheet = Image.new("RGB", (columns * step + _GAP, rows * line + _GAP), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=12)
    room = Room(max(MAX_BYTES - sheet.width * sheet.height * _PIXEL_BYTES, _MIN_ROOM_BYTES))
    for number, (name, image) in enumerate(_thumbnails(chosen, directory, room)):
        x, y = _GAP + number % columns * step, _GAP + number // columns * line
        if image is not None:
            at = (x + (_SIDE - image.width) // 2, y + (_SIDE - image.height) // 2)
            sheet.paste(image, at, image if image.mode == "RGBA" else None)
        caption = one_line(name, _CAPTION_CHARACTERS)
        draw.text((x + _SIDE // 2, y + _SIDE + 3), caption, _TEXT_COLOUR, font=font, anchor="ma")
    return sheet


def _thumbnails(
    chosen: list[tuple[str, Artifact]], directory: Path, room: Room
) -> Iterator[tuple[str, Image.Image | None]]:
    for name, artifact in chosen:
        small = preview(artifact, directory)
        below = f"{FOLDER}/{small}" if small else artifact.path
        is_safe = stays_inside(artifact.path) and Folder(directory).is_file(below)
        is_read = is_safe and small != TOO_LARGE
        yield name, thumbnail(directory / below, _SIDE, room) if is_read else None
