"""Rules for ids and file names: inside the output directory, at most 255 bytes per part."""

import os
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
_UNRENDERED = re.compile(r"(\{n\}|\{ext\})")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f<>:\"|?*\\{}/]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

# Match ids that can be file names unchanged: most ids, so the other checks are rarely needed.
is_plain = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,150}").fullmatch


class NamingError(ValueError):
    """An id or file name cannot be used; the message says why, and what to do."""


def check_id(task_id: str) -> None:
    """Raise NamingError for an id that cannot be a file name; folders (`cats/001`) are allowed."""
    if is_plain(task_id):
        return
    label = f"id '{one_line(task_id, 80)}'"
    if len(task_id.encode("utf-8", "surrogatepass")) > _ID_BYTES:
        raise NamingError(f"{label} is longer than {_ID_BYTES} bytes; shorten it")
    if _CONTROL.search(task_id):
        raise NamingError(f"{label} has a control character or line break; remove it")
    _check_parts(task_id.replace("\\", "/"), label)


def check_encodable(path: str) -> None:
    """Raise NamingError for a file name that the file system cannot hold in this locale."""
    if path.isascii():
        return
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise NamingError(
            f"file name '{one_line(path, 80)}' has characters that file names cannot have here: the"
            f" encoding of the locale is {error.encoding}; set LC_ALL=C.UTF-8 or PYTHONUTF8=1, or"
            " give the row an `id` in ASCII"
        ) from error


def safe_value(text: str) -> str:
    """Return a value for use in a file name; `-` replaces `/` and what file systems refuse."""
    return _UNSAFE.sub("-", text).strip()


def safe_id(task_id: str) -> str:
    """Return an id for use in a file name, like `safe_value` but with its folders."""
    return "/".join(safe_value(part) for part in task_id.replace("\\", "/").split("/"))


def finish_filename(path: str, *, several: bool) -> str:
    """Return the path of a task's files below the output directory; `{n}` and `{ext}` stay.

    path: a rendered template. If it has no `{ext}`, its extension is replaced by `{ext}`.
    several: whether the request may produce several files; if so, a missing `{n}` is added.
    Raise NamingError for a path that is empty, outside the directory or in `.batchgen`.
    """
    path = path.strip()
    label = f"file name '{one_line(path, 80)}'"
    if not path.removesuffix(".{ext}"):
        raise NamingError(f"{label} is empty; use a variable that has a value")
    if "{ext}" not in path:
        stem, dot, extension = path.rpartition(".")
        path = (stem if dot + extension.lower() in MEDIA_EXTENSIONS else path) + ".{ext}"
    if several and "{n}" not in path:
        path = path.replace(".{ext}", "-{n}.{ext}")
    _check_parts(path, label)
    parts = path.split("/")
    if parts[0].casefold() == ".batchgen":  # some file systems ignore case
        raise NamingError(f"{label} is in .batchgen, which is reserved; use another folder")
    return "/".join(_shorten(part) for part in parts)


def _check_parts(path: str, label: str) -> None:
    if path.startswith(("/", "~/")) or re.match(r"[A-Za-z]:", path):
        raise NamingError(f"{label} leaves the output directory; use a relative path")
    parts = path.split("/")
    if ".." in parts:
        raise NamingError(f"{label} leaves the output directory; remove the `..`")
    if any(part.strip() in ("", ".") for part in parts):
        raise NamingError(f"{label} has an empty part; name every folder and file")


def _shorten(part: str) -> str:
    """Shorten a part to 255 bytes; a hash replaces the rest, so that names stay distinct."""
    room = MAX_NAME_BYTES - _SPARE_BYTES
    if len(part.encode("utf-8", "surrogatepass")) <= room:
        return part
    pieces = _UNRENDERED.split(part)
    longest = max(range(0, len(pieces), 2), key=lambda index: len(pieces[index]))
    piece = pieces[longest].encode("utf-8", "surrogatepass")
    rest = len(part.encode("utf-8", "surrogatepass")) - len(piece)
    kept = piece[: max(0, room - rest - 9)].decode("utf-8", "ignore")
    pieces[longest] = f"{kept}-{sha256(piece).hexdigest()[:8]}"
    return "".join(pieces)
