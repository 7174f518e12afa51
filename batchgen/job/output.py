"""What a job makes of its artifacts besides storing them."""

from collections.abc import Mapping
from typing import Any

import msgspec

from batchgen import settings as keys
from batchgen.settings import Reading


class Conversion(msgspec.Struct, frozen=True):
    """A smaller copy of each picture; max_side: of the longer side, in pixels."""

    format: str
    quality: int = 85
    max_side: int | None = None


class Extras(msgspec.Struct, frozen=True):
    """What goes along with each artifact.

    embed_metadata: its story is in its own metadata. sidecar: a JSON file stands beside it.
    """

    embed_metadata: bool = False
    sidecar: bool = False
    convert: Conversion | None = None


def read_extras(output: Mapping[str, Any], reading: Reading) -> Extras:
    """What the `output` section asks for; what is wrong is noted in `reading`."""
    return Extras(
        embed_metadata=bool(output.get("embed_metadata")),
        sidecar=bool(output.get("sidecar")),
        convert=_conversion(output, reading),
    )


def _conversion(output: Mapping[str, Any], reading: Reading) -> Conversion | None:
    if output.get("convert") is None:
        return None
    place = ("output", "convert")
    found: dict[str, Any] = reading.section(output["convert"], keys.CONVERT, place)
    if "format" not in found:
        if "format" in output["convert"]:
            return None  # what is wrong with it is told already
        reading.complain(place, "`output.convert` needs a `format`: webp, jpeg, png or avif")
        return None
    return Conversion(**found)
