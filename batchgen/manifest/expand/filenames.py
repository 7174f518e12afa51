"""Ids and file names that stay inside the output directory and within 255 bytes a part."""

import re
from hashlib import sha256

from batchgen.job.template import MAX_NAME_BYTES
from batchgen.text import one_line

MEDIA_EXTENSIONS = frozenset(
    f".{extension}"
    for extension in (
        *("png", "jpg", "jpeg", "webp", "gif", "avif", "svg", "tif", "tiff", "bmp"),
        *("mp4", "webm", "mp3", "wav", "glb"),
    )
)
_ID_BYTES = 4 * MAX_NAME_BYTES
_SPARE_BYTES = 24  # for "-12", ".v2", "~2" and the extension
_OPEN = re.compile(r"(\{n\}|\{ext\})")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f<>:\"|?*\\{}/]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

# Whether an id is a piece of a file name as it stands, as most of a million are.
is_plain = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,150}").fullmatch


class NamingError(ValueError):
    """An id or file name that cannot be used; the message says what would be right."""


def check_id(task_id: str) -> None:
    """Refuse ids that could not be a file's name; folders (`cats/001`) are allowed."""
    if is_plain(task_id):
        return
    what = f"id '{one_line(task_id, 80)}'"
    if len(task_id.encode("utf-8", "surrogatepass")) > _ID_BYTES:
        raise NamingError(f"{what} is longer than {_ID_BYTES} bytes: give a shorter one")
    if _CONTROL.search(task_id):
        raise NamingError(f"{what} has a control character or line break: remove it")
    _check_parts(task_id.replace("\\", "/"), what)


def safe_value(text: str) -> str:
    """A variable's value as a piece of a file name: no folders, no characters that file systems
    refuse.
    """
    return _UNSAFE.sub("-", text).strip()


def safe_id(task_id: str) -> str:
    """An id as a piece of a file name; its folders stay."""
    return "/".join(safe_value(part) for part in task_id.replace("\\", "/").split("/"))


def finish_filename(path: str, *, several: bool) -> str:
    """A rendered file name (with `{n}` and `{ext}` open) as it will be used below the output.

    Without `{ext}` an extension that is written out gives way to the one of the bytes. Without
    `{n}` a number is added where a request may give several artifacts. Raises NamingError.
    """
    path = path.strip()
    what = f"file name '{one_line(path, 80)}'"
    if not path.removesuffix(".{ext}"):
        raise NamingError(f"{what} is empty: name a variable that has a value")
    if "{ext}" not in path:
        stem, dot, extension = path.rpartition(".")
        path = (stem if dot + extension.lower() in MEDIA_EXTENSIONS else path) + ".{ext}"
    if several and "{n}" not in path:
        path = path.replace(".{ext}", "-{n}.{ext}")
    _check_parts(path, what)
    parts = path.split("/")
    if parts[0].casefold() == ".batchgen":  # as file systems without regard to case take it
        raise NamingError(f"{what} is in .batchgen, which is batchgen's own folder")
    return "/".join([*(_cut(part) for part in parts[:-1]), _cut(parts[-1])])


def _check_parts(path: str, what: str) -> None:
    if path.startswith(("/", "~/")) or re.match(r"[A-Za-z]:", path):
        raise NamingError(f"{what} leaves the output directory: give a relative path")
    parts = path.split("/")
    if ".." in parts:
        raise NamingError(f"{what} leaves the output directory: `..` is not allowed")
    if any(part.strip() in ("", ".") for part in parts):
        raise NamingError(f"{what} has an empty part: give a name to every folder and file")


def _cut(part: str) -> str:
    """Shorten a part to 255 bytes; what was cut leaves a hash, so that names stay apart."""
    room = MAX_NAME_BYTES - _SPARE_BYTES
    if len(part.encode("utf-8", "surrogatepass")) <= room:
        return part
    pieces = _OPEN.split(part)
    max_length = max(range(0, len(pieces), 2), key=lambda index: len(pieces[index]))
    piece = pieces[max_length].encode("utf-8", "surrogatepass")
    rest = len(part.encode("utf-8", "surrogatepass")) - len(piece)
    kept = piece[: max(0, room - rest - 9)].decode("utf-8", "ignore")
    pieces[max_length] = f"{kept}-{sha256(piece).hexdigest()[:8]}"
    return "".join(pieces)
