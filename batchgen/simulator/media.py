"""The files that the simulator makes, by what they are."""

from typing import assert_never

from batchgen.simulator import clips, meshes, pictures, sounds
from batchgen.simulator.links import Thing


def drawn(thing: Thing) -> bytes:
    """The file's bytes; they follow from its description alone."""
    match thing:
        case pictures.Picture():
            return pictures.draw(thing)
        case clips.Clip():
            return clips.film(thing)
        case sounds.Sound():
            return sounds.play(thing)
        case meshes.Mesh():
            return meshes.build(thing)
        case _:
            assert_never(thing)


def media_type(thing: Thing) -> str:
    """The content type that the file origin serves it with."""
    match thing:
        case pictures.Picture():
            return pictures.MEDIA_TYPES[thing.format]
        case clips.Clip():
            return "video/webm"
        case sounds.Sound():
            return "audio/wav"
        case meshes.Mesh():
            return "model/gltf-binary"
        case _:
            assert_never(thing)
