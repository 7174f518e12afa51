"""URLs of pictures that say everything themselves, so that a million of them need no memory.

The path holds the picture's description, the query a signature in percent-encoded base64, as
blob stores have it: a client that changes a character of either gets no file.
"""

import base64
import hashlib
import hmac
import json
import zlib
from dataclasses import astuple
from urllib.parse import quote

from batchgen.simulator.pictures import MEDIA_TYPES, Picture

PREFIX = "/files/"


class Links:
    """Makes and reads the paths below the file origin; the seed makes them one's own."""

    def __init__(self, seed: int) -> None:
        self._key = f"batchgen simulator {seed}".encode()

    def path_of(self, picture: Picture) -> str:
        """The path and query of a picture."""
        packed = zlib.compress(json.dumps(astuple(picture)).encode(), 1)
        name = base64.urlsafe_b64encode(packed).decode().rstrip("=")
        return self._signed(f"{PREFIX}{name}.{picture.format}")

    def picture_at(self, raw_path: str) -> Picture | None:
        """The picture of a path and query exactly as they were given out; None for any other."""
        path = raw_path.partition("?")[0]
        if not path.isascii() or not hmac.compare_digest(raw_path, self._signed(path)):
            return None
        packed = path.removeprefix(PREFIX).rpartition(".")[0]
        fields = json.loads(
            zlib.decompress(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
        )
        return Picture(*fields)

    def _signed(self, path: str) -> str:
        digest = hmac.digest(self._key, path.encode(), hashlib.sha256)
        return f"{path}?sv=2025-05-05&sig={quote(base64.b64encode(digest), safe='')}"


def media_type(picture: Picture) -> str:
    """The content type that the file origin serves a picture with."""
    return MEDIA_TYPES[picture.format]
