"""Short audible recordings: a melody of plain tones, as WAV."""

import io
import math
import wave
from array import array
from typing import ClassVar

import msgspec

_RATE = 8000
_NOTE_S = 0.25
_SCALE_HZ = (262, 294, 330, 392, 440, 523, 587, 659)  # pentatonic: sounds good in any order
_MAX_S = 10
_LOUDNESS = 9000


class AudioFile(msgspec.Struct, frozen=True):
    """Everything that determines the bytes of a recording; `look` decides the notes."""

    media_type: ClassVar[str] = "audio/wav"
    seconds: int
    look: int
    format: str = "wav"

    def render(self) -> bytes:
        """Return the whole file: at most ten seconds; 16 bits, mono, 8 kHz."""
        samples = array("h")
        for index in range(round(max(1, min(_MAX_S, self.seconds)) / _NOTE_S)):
            note = (self.look >> (3 * (index % 16))) % len(_SCALE_HZ)
            samples.extend(_tone(_SCALE_HZ[note]))
        out = io.BytesIO()
        with wave.open(out, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(_RATE)
            file.writeframes(samples.tobytes())
        return out.getvalue()


def _tone(hertz: int) -> "array[int]":
    count = round(_RATE * _NOTE_S)
    step = 2 * math.pi * hertz / _RATE
    return array(
        "h", (round(_LOUDNESS * (1 - i / count) * math.sin(step * i)) for i in range(count))
    )
