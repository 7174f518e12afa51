"""Pictures are unpacked within a bound of memory, which their headers decide."""

import struct
import threading
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from batchgen.media.jpeg import read_jpeg_header
from batchgen.media.pictures import (
    MAX_BYTES,
    Encoding,
    HeavyPictureError,
    Room,
    converted,
    thumbnail,
)

WEBP = Encoding("webp", 80)
ORIENTATION = 0x0112


def packed(name: str, image: Image.Image, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


def picture(side: int = 64, mode: str = "RGB") -> Image.Image:
    return Image.radial_gradient("L").resize((side, side)).convert(mode)


def patched(data: bytes, at: int, layout: str, *values: int) -> bytes:
    return data[:at] + struct.pack(layout, *values) + data[at + struct.calcsize(layout) :]


def png_of(width: int, height: int) -> bytes:
    data = patched(packed("PNG", picture()), 16, ">II", width, height)
    return patched(data, 29, ">I", zlib.crc32(data[12:29]))


def jpeg_of(width: int, height: int, **options: object) -> bytes:
    data = packed("JPEG", picture(), **options)
    frame = data.index(b"\xff\xc2" if options else b"\xff\xc0")
    return patched(data, frame + 5, ">HH", height, width)


BOMBS: dict[str, Callable[[], bytes]] = {
    "PNG": lambda: png_of(60_000, 60_000),
    "progressive JPEG": lambda: jpeg_of(60_000, 60_000, progressive=True),
    "GIF": lambda: patched(packed("GIF", picture(mode="P")), 6, "<HH", 60_000, 60_000),
    "WebP": lambda: patched(packed("WEBP", picture()), 26, "<HH", 16_000, 16_000),
    "BMP": lambda: patched(packed("BMP", picture()), 18, "<ii", 60_000, 60_000),
    "AVIF": lambda: (
        data := packed("AVIF", picture()),
        patched(data, data.index(b"ispe") + 8, ">II", 60_000, 60_000),
    )[1],
    "TIFF": lambda: (
        data := packed("TIFF", picture()),
        at := data.index(struct.pack("<HHI", 256, 4, 1)),
        patched(patched(data, at + 8, "<I", 60_000), at + 20, "<I", 60_000),
    )[2],
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_picture_that_unpacks_to_gigabytes_is_refused_by_its_header(
    bomb: Callable[[], bytes], tmp_path: Path
) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(bomb())
    with pytest.raises(HeavyPictureError, match="take too much memory"):
        converted(path, WEBP, None)


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "AVIF", "TIFF"])
def test_a_picture_is_converted_and_scaled(name: str, tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(packed(name, picture(256)))
    for max_side, side in ((None, 256), (100, 100), (1000, 256)):
        with Image.open(BytesIO(converted(path, WEBP, max_side))) as copy:
            assert (copy.format, copy.mode, copy.size) == ("WEBP", "RGB", (side, side))
            centre, corner = copy.getpixel((side // 2, side // 2)), copy.getpixel((0, 0))
    assert isinstance(centre, tuple)
    assert isinstance(corner, tuple)
    assert centre[0] < 20
    assert corner[0] > 200


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_copy_is_upright(turn: int, tmp_path: Path) -> None:
    path = tmp_path / "picture"
    exif = Image.Exif()
    exif[ORIENTATION] = turn
    path.write_bytes(packed("JPEG", Image.new("RGB", (60, 30)), exif=exif))
    size = (60, 30) if turn < 5 else (30, 60)
    assert thumbnail(path, 100).size == size
    with Image.open(BytesIO(converted(path, WEBP, None))) as copy:
        assert copy.size == size


def test_a_picture_with_transparency_is_white_in_a_jpeg_and_stays_clear_in_others(
    tmp_path: Path,
) -> None:
    path = tmp_path / "picture"
    path.write_bytes(packed("PNG", Image.new("RGBA", (40, 40), (255, 0, 0, 0))))
    with Image.open(BytesIO(converted(path, Encoding("jpeg", 90), None))) as copy:
        assert copy.getpixel((5, 5)) == (255, 255, 255)
    with Image.open(BytesIO(converted(path, WEBP, None))) as copy:
        assert copy.mode == "RGBA"


def test_a_large_picture_is_reduced_strip_by_strip(tmp_path: Path) -> None:
    path = tmp_path / "picture"
    image = picture(3000, "RGBA")
    path.write_bytes(packed("PNG", image, compress_level=1))
    small = thumbnail(path, 300)
    image.thumbnail((300, 300))
    assert small.size == image.size
    pairs = zip(small.tobytes(), image.tobytes(), strict=True)
    assert max(abs(ours - pillows) for ours, pillows in pairs) <= 2


def test_a_picture_that_fits_only_without_its_mode_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(packed("PNG", picture(2000, "L"), compress_level=1))
    with pytest.raises(HeavyPictureError):
        thumbnail(path, 100, Room(8 * 1024**2 + 2000 * 2000 * 4))
    assert thumbnail(path, 100, Room(8 * 1024**2 + 2000 * 2000 * 9)).size == (100, 100)


def test_pictures_wait_for_their_part_of_the_memory() -> None:
    room = Room(10)
    taken, order = threading.Event(), []

    def wait() -> None:
        taken.set()
        with room.reserve(6):
            order.append("second")

    with room.reserve(6):
        thread = threading.Thread(target=wait)
        thread.start()
        assert taken.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_a_file_that_lies_about_its_size_is_unpacked_elsewhere(tmp_path: Path) -> None:
    data = packed("AVIF", Image.new("RGB", (2000, 2000)), speed=10)
    path = tmp_path / "picture"
    path.write_bytes(patched(data, data.index(b"ispe") + 8, ">II", 20, 20))
    assert thumbnail(path, 100).size == (20, 20)


def test_a_file_that_is_no_picture_is_an_ordinary_error(tmp_path: Path) -> None:
    path = tmp_path / "picture"
    for data in (b"", b"<svg width='9' height='9'/>", b"%PDF-1", packed("PNG", picture())[:80]):
        path.write_bytes(data)
        with pytest.raises((OSError, ValueError, SyntaxError)):
            thumbnail(path, 100)


def test_only_a_jpeg_of_several_scans_keeps_its_coefficients() -> None:
    plain, progressive = jpeg_of(4000, 2000), jpeg_of(4000, 2000, progressive=True)
    assert read_jpeg_header(BytesIO(plain)).coefficient_bytes == 0
    assert read_jpeg_header(BytesIO(progressive)).coefficient_bytes >= 4000 * 2000 * 3
    assert read_jpeg_header(BytesIO(progressive)).coefficient_bytes < MAX_BYTES


def test_a_jpeg_with_directories_that_no_camera_writes_is_odd() -> None:
    data = packed("JPEG", picture())
    entries = 600
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", entries) + bytes(12 * entries)
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    assert not read_jpeg_header(BytesIO(data)).has_odd_metadata
    assert read_jpeg_header(BytesIO(data[:2] + segment + data[2:])).has_odd_metadata
