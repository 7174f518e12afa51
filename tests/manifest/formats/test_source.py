"""Manifest files: formats by file name, gzip, standard input, and files that cannot be read."""

import gzip
import io
from pathlib import Path

import pytest

from batchgen.errors import ManifestError
from batchgen.manifest.formats.source import Format, Source, copy_to_file, format_of, open_binary
from tests.manifest.formats.reading import fields_of, rows_of, settings_of

_MANY_ROWS = b"prompt\n" + b"".join(b"fox number %d\n" % n for n in range(50_000))


def _read(path: Path) -> bytes:
    with open_binary(Source(path, path.name, Format.CSV)) as stream:
        return stream.read()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("job.yaml", Format.YAML),
        ("a/b.YML", Format.YAML),
        ("m.csv", Format.CSV),
        ("m.csv.gz", Format.CSV),
        ("m.tab", Format.TSV),
        ("m.tsv", Format.TSV),
        ("m.ndjson", Format.JSONL),
        ("m.jsonl.GZ", Format.JSONL),
        ("m.txt", Format.TXT),
        ("m.parquet", None),
        ("m", None),
        ("-", None),
        (".gz", None),
    ],
)
def test_the_extension_shows_the_format(name: str, expected: Format | None) -> None:
    assert format_of(name) == expected


def test_gzip_is_recognised_by_its_first_bytes_not_by_its_name() -> None:
    assert fields_of(gzip.compress(b"prompt\nfox\n"), "m.csv") == [{"prompt": "fox"}]
    assert fields_of(b"prompt\nfox\n", "m.csv.gz") == [{"prompt": "fox"}]


def test_a_job_compressed_with_gzip_is_read() -> None:
    assert settings_of(gzip.compress(b"name: fox\nprompts: [a]\n")).values == {"name": "fox"}


def test_truncated_gzip_is_an_error() -> None:
    with pytest.raises(ManifestError, match=r"m\.csv: the gzip data ends too early"):
        rows_of(gzip.compress(_MANY_ROWS)[:-20])


def test_damaged_gzip_is_an_error() -> None:
    packed = bytearray(gzip.compress(_MANY_ROWS))
    packed[len(packed) // 2 : len(packed) // 2 + 64] = b"\xff" * 64
    with pytest.raises(ManifestError, match="the gzip data is damaged"):
        rows_of(bytes(packed))


def test_a_truncated_gzip_job_is_an_error() -> None:
    packed = gzip.compress(b"prompts:\n" + b"".join(b"- fox %d\n" % n for n in range(9999)))
    with pytest.raises(ManifestError, match="the gzip data ends too early"):
        settings_of(packed[:-20])


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"none\.csv: there is no such file"):
        _read(tmp_path / "none.csv")


def test_a_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="this is a directory"):
        _read(tmp_path)


def test_a_file_without_read_permission_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "open", refuse)  # root can read a file of any mode
    with pytest.raises(ManifestError, match="no permission"):
        _read(tmp_path / "m.csv")


def test_standard_input_is_copied_byte_for_byte(tmp_path: Path) -> None:
    copy_to_file(io.BytesIO(_MANY_ROWS), tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == _MANY_ROWS


def test_standard_input_that_cannot_be_copied_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot copy standard input to this file"):
        copy_to_file(io.BytesIO(b"x"), tmp_path / "none" / "copy")
