"""Unpack a picture in a process of its own, which has a bound of memory and of time.

The headers of AVIF and TIFF files do not bound what their decoders take: the first is packed in a
video stream of another size, the second has tiles and directories of any size.
"""

import subprocess
import sys
from typing import BinaryIO

_MAX_BYTES = 300 * 1024**2
_TIMEOUT_S = 30.0
_PROGRAM = """
import resource, sys
resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[1]),) * 2)
from io import BytesIO
from PIL import AvifImagePlugin, Image, ImageOps
AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # each has a stack
sys.stdin.buffer.seek(0)
with Image.open(BytesIO(sys.stdin.buffer.read()), formats=("AVIF", "TIFF", "JPEG")) as image:
    ImageOps.exif_transpose(image, in_place=True)
    image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    if side := int(sys.argv[2]):
        image.thumbnail((side, side))
    image.save(sys.stdout.buffer, "PNG", compress_level=1)
"""


def unpacked_png(file: BinaryIO, side: int | None) -> bytes:
    """Return a picture as a PNG, upright and at most `side` pixels wide and high.

    file: a real file, read from its start. Raise ValueError if it cannot be unpacked.
    """
    words = (sys.executable, "-I", "-c", _PROGRAM, str(_MAX_BYTES), str(side or 0))
    try:
        done = subprocess.run(  # noqa: S603  # our own program
            words, stdin=file, capture_output=True, timeout=_TIMEOUT_S, check=True
        )
    except subprocess.SubprocessError as error:
        raise ValueError("a picture that cannot be unpacked") from error
    return done.stdout
