"""The files that the simulator builds, by their type."""

from typing import assert_never

from batchgen.simulator.artifacts import audio, meshes, pictures, video
from batchgen.simulator.signed_urls import Thing


def drawn(thing: Thing) -> bytes:
    """Return the file's bytes; its description alone determines them."""
    match thing:
        case pictures.Picture():
            return pictures.draw(thing)
        case video.Clip():
            return video.film(thing)
        case audio.Sound():
            return audio.play(thing)
        case meshes.Mesh():
            return meshes.build(thing)
        case _:
            assert_never(thing)


def media_type(thing: Thing) -> str:
    """Return the content type with which the file origin serves it."""
    match thing:
        case pictures.Picture():
            return pictures.MEDIA_TYPES[thing.format]
        case video.Clip():
            return "video/webm"
        case audio.Sound():
            return "audio/wav"
        case meshes.Mesh():
            return "model/gltf-binary"
        case _:
            assert_never(thing)
