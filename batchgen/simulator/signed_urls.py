"""URLs of files that contain the file's description, so that a million need no memory.

The path has the description, the query a signature in percent-encoded base64, like the URLs of
blob stores: a client that changes a character of either gets no file. If files expire, the query
says when.
"""

import base64
import hashlib
import hmac
import json
import time
import zlib
from collections.abc import Callable
from typing import TypeAlias
from urllib.parse import parse_qs, quote

from msgspec.structs import astuple

from batchgen.simulator.artifacts.audio import AudioFile
from batchgen.simulator.artifacts.images import ImageFile
from batchgen.simulator.artifacts.meshes import MeshFile
from batchgen.simulator.artifacts.video import VideoFile
from batchgen.simulator.requests.rejection import Rejection

GeneratedFile: TypeAlias = ImageFile | VideoFile | AudioFile | MeshFile

PREFIX = "/files/"
REDIRECTED = "&redirected=1"
_EXPIRED_S = -3600.0
_KINDS: dict[str, type[GeneratedFile]] = {
    kind.__name__: kind for kind in (ImageFile, VideoFile, AudioFile, MeshFile)
}


class SignedUrls:
    """Builds and reads the URLs of files; the seed is the key of their signatures.

    lifetime_s: seconds until a URL expires, None for never. now: Unix time. The origin is set when
    the host of the files has started.
    """

    def __init__(
        self, seed: int, lifetime_s: float | None = None, now: Callable[[], float] = time.time
    ) -> None:
        self._key = f"batchgen simulator {seed}".encode()
        self._lifetime_s = lifetime_s
        self._now = now
        self.origin = ""

    def url_of(self, file: GeneratedFile, *, expired: bool = False) -> str:
        """Return the URL of a file, valid from now on or already expired."""
        return self.origin + self.path_of(file, _EXPIRED_S if expired else self._lifetime_s)

    def path_of(self, file: GeneratedFile, lifetime_s: float | None = None) -> str:
        """Return the path and query of a file."""
        fields = [type(file).__name__, *astuple(file)]
        packed = zlib.compress(json.dumps(fields).encode(), 1)
        name = base64.urlsafe_b64encode(packed).decode().rstrip("=")
        expiry = "" if lifetime_s is None else f"Expires={self._now() + lifetime_s:.0f}&"
        return self._signed(f"{PREFIX}{name}.{file.format}?{expiry}sv=2025-05-05")

    def file_at(self, raw_path: str) -> GeneratedFile | None:
        """Return the file of a path and query exactly as issued, or None.

        Raise Rejection (403) if the URL has expired.
        """
        unsigned, _, _ = raw_path.partition("&sig=")
        if not unsigned.isascii() or not hmac.compare_digest(raw_path, self._signed(unsigned)):
            return None
        path, _, query = unsigned.partition("?")
        expiry = parse_qs(query).get("Expires")
        if expiry and float(expiry[0]) < self._now():
            raise Rejection(403, "The link has expired")
        packed = path.removeprefix(PREFIX).rpartition(".")[0]
        kind, *fields = json.loads(
            zlib.decompress(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
        )
        return _KINDS[kind](*fields)

    def _signed(self, unsigned: str) -> str:
        digest = hmac.digest(self._key, unsigned.encode(), hashlib.sha256)
        return f"{unsigned}&sig={quote(base64.b64encode(digest), safe='')}"
