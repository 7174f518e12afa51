"""Thumbnails and the contact sheet."""

from io import BytesIO
from pathlib import Path

import pytest
from msgspec.structs import replace
from PIL import Image

from batchgen.errors import StorageError
from batchgen.report.contact_sheet import write_contact_sheet
from batchgen.report.thumbnails import FOLDER, SIDE, preview, thumbnail, with_previews
from tests.given import an_artifact
from tests.report.outputs import a_record, an_image, stored


def test_a_large_image_gets_a_thumbnail_once(tmp_path: Path) -> None:
    artifact = stored(tmp_path, "fox.png", an_image(1))
    name = preview(artifact, tmp_path)
    assert name
    path = tmp_path / FOLDER / name
    with Image.open(path) as image:
        assert (image.format, image.size) == ("WEBP", (SIDE, SIDE))
    before = path.stat()

    (tmp_path / "fox.png").unlink()

    assert preview(artifact, tmp_path) == name
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert [file.suffix for file in path.parent.iterdir()] == [".webp"]


def test_a_small_image_is_its_own_thumbnail(tmp_path: Path) -> None:
    artifact = stored(tmp_path, "fox.png", an_image(1, side=40))
    assert preview(artifact, tmp_path) == ""
    assert not (tmp_path / FOLDER).exists()


def test_a_missing_or_damaged_file_or_a_video_has_no_thumbnail(tmp_path: Path) -> None:
    gone = an_artifact("gone.png", size_bytes=10**6)
    cut = stored(tmp_path, "cut.png", an_image(1))
    (tmp_path / "cut.png").write_bytes(an_image(1)[:5000])
    video = an_artifact("film.mp4", media_type="video/mp4")
    assert [preview(artifact, tmp_path) for artifact in (gone, cut, video)] == [None, None, None]


def test_an_image_with_too_many_pixels_is_not_opened(tmp_path: Path) -> None:
    bomb = bytearray(an_image(1))
    bomb[16:24] = (60_000).to_bytes(4) * 2
    (tmp_path / "bomb.png").write_bytes(bomb)
    assert thumbnail(tmp_path / "bomb.png") is None


def test_transparency_is_kept_and_a_rotated_photo_is_upright(tmp_path: Path) -> None:
    Image.new("RGBA", (600, 300), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    clear = thumbnail(tmp_path / "clear.png")
    assert clear is not None
    assert clear.mode == "RGBA"
    assert clear.getchannel("A").getextrema() == (0, 0)

    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turned by 90 degrees
    Image.new("RGB", (600, 300)).save(tmp_path / "turned.jpg", exif=exif)
    turned = thumbnail(tmp_path / "turned.jpg")
    assert turned is not None
    assert turned.size == (160, 320)


def test_records_stay_in_order_and_those_above_the_limit_have_no_previews(tmp_path: Path) -> None:
    artifact = stored(tmp_path, "fox.png", an_image(1, side=40))
    records = [a_record(number, artifact) for number in range(600)]
    previewed = list(with_previews(records, tmp_path, limit=300))
    assert [record for record, _ in previewed] == records
    assert [previews for _, previews in previewed] == [("",)] * 300 + [()] * 300


def test_a_thumbnail_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    artifact = stored(tmp_path, "fox.png", an_image(1))
    (tmp_path / ".batchgen").write_text("in the way")
    with pytest.raises(StorageError, match="cannot write"):
        preview(artifact, tmp_path)


def test_a_contact_sheet_has_every_image(tmp_path: Path) -> None:
    records = [
        a_record(number, stored(tmp_path, f"{number}.png", an_image(number))) for number in range(5)
    ]
    lost = replace(records[0].outcome.artifacts[0], path="lost.png", sha256="f" * 64)

    counts = write_contact_sheet(
        [*records, a_record(5, lost), a_record(6)], tmp_path, tmp_path / "s.png"
    )

    assert counts == (6, 6)
    with Image.open(tmp_path / "s.png") as sheet:
        assert sheet.size == (3 * 212 + 12, 2 * 232 + 12)
        colours = {sheet.getpixel((112 + 212 * (n % 3), 60 + 232 * (n // 3))) for n in range(6)}
    assert len(colours) == 6


def test_an_empty_contact_sheet_is_blank_and_an_invalid_path_is_an_error(
    tmp_path: Path,
) -> None:
    assert write_contact_sheet([], tmp_path, tmp_path / "s.png") == (0, 0)
    with pytest.raises(StorageError, match="cannot write"):
        write_contact_sheet([], tmp_path, tmp_path / "no" / "s.png")


def test_images_of_other_modes_have_thumbnails(tmp_path: Path) -> None:
    for mode in ("P", "L", "CMYK", "I;16", "1"):
        file = BytesIO()
        Image.new(mode, (500, 500)).save(file, "TIFF")
        (tmp_path / "one.tiff").write_bytes(file.getvalue())
        assert thumbnail(tmp_path / "one.tiff") is not None, mode
