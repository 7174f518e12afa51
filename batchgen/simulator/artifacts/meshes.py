"""Small 3D models that open: a pyramid as binary glTF 2.0 (GLB)."""

import json
import math
import struct
from typing import ClassVar

import msgspec

_MAGIC, _VERSION = b"glTF", 2
_FLOAT, _UNSIGNED_SHORT = 5126, 5123
_VERTICES, _INDICES = 34962, 34963  # targets of a buffer view


class MeshFile(msgspec.Struct, frozen=True):
    """Everything that determines the bytes of a model; `look` decides the number of sides."""

    media_type: ClassVar[str] = "model/gltf-binary"
    look: int
    format: str = "glb"

    def render(self) -> bytes:
        """Return the whole file.

        Format: https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html, 4.4.
        """
        sides = 3 + self.look % 6
        ring = [
            (math.cos(2 * math.pi * i / sides), 0.0, math.sin(2 * math.pi * i / sides))
            for i in range(sides)
        ]
        points = [(0.0, 1.5, 0.0), *ring]
        corners = [n for i in range(sides) for n in (0, 1 + (i + 1) % sides, 1 + i)]
        vertices = b"".join(struct.pack("<3f", *point) for point in points)
        indices = struct.pack(f"<{len(corners)}H", *corners)
        binary = _padded(vertices + indices, b"\0")
        scene = _scene(points, corners, sizes=(len(vertices), len(indices), len(binary)))
        text = _padded(json.dumps(scene).encode(), b" ")
        chunks = struct.pack("<I4s", len(text), b"JSON") + text
        chunks += struct.pack("<I4s", len(binary), b"BIN\0") + binary
        return struct.pack("<4sII", _MAGIC, _VERSION, 12 + len(chunks)) + chunks


def _scene(
    points: list[tuple[float, float, float]], corners: list[int], *, sizes: tuple[int, int, int]
) -> dict[str, object]:
    vertices, indices, whole = sizes
    axes = list(zip(*points, strict=True))
    return {
        "asset": {"version": "2.0", "generator": "batchgen simulator"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "buffers": [{"byteLength": whole}],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": vertices, "target": _VERTICES},
            {"buffer": 0, "byteOffset": vertices, "byteLength": indices, "target": _INDICES},
        ],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": _FLOAT,
                "count": len(points),
                "type": "VEC3",
                "min": [min(axis) for axis in axes],
                "max": [max(axis) for axis in axes],
            },
            {
                "bufferView": 1,
                "componentType": _UNSIGNED_SHORT,
                "count": len(corners),
                "type": "SCALAR",
            },
        ],
    }


def _padded(data: bytes, filler: bytes) -> bytes:
    return data + filler * (-len(data) % 4)
