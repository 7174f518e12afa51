"""Subtitles (SubRip) from the times that a transcript tells."""

import math
from collections.abc import Iterator

import msgspec

from batchgen.provider.endpoints.replies import Object
from batchgen.types import Json

_LONGEST_S = 6.0
_MOST_CHARACTERS = 84  # two lines of a screen
_LATEST_S = 360_000.0  # a hundred hours
_MS = 1000


class _Said(msgspec.Struct, frozen=True):
    """Words with the seconds at which they begin and end."""

    text: str
    start_s: float
    end_s: float


def srt(result: Object) -> str:
    """The subtitles of a result; empty where it tells no times.

    Sentences of OpenAI and Deepgram have seconds, those of AssemblyAI whole milliseconds.
    """
    for key in ("segments", "utterances", "words"):
        told = list(_told(result.get(key)))
        if told:
            cues = _grouped(told) if key == "words" else told
            return "\n".join(_cue(number, said) for number, said in enumerate(cues, 1))
    return ""


def _told(items: Json) -> Iterator[_Said]:
    sayings = [one for one in items if isinstance(one, dict)] if isinstance(items, list) else []
    per_s = _MS if all(type(one.get("end")) is int for one in sayings) else 1
    for item in sayings:
        texts = (item.get(key) for key in ("punctuated_word", "text", "transcript", "word"))
        text = next((one for one in texts if isinstance(one, str) and one.strip()), None)
        start_s, end_s = (_seconds(item.get(name), per_s) for name in ("start", "end"))
        if text is not None and start_s is not None and end_s is not None:
            yield _Said(" ".join(text.split()), start_s, end_s)


def _seconds(value: Json, per_s: int) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    if not 0 <= value <= _LATEST_S * _MS:  # nor a NaN
        return None
    return value / per_s


def _grouped(words: list[_Said]) -> Iterator[_Said]:
    line = words[0]
    for word in words[1:]:
        longer = f"{line.text} {word.text}"
        if len(longer) > _MOST_CHARACTERS or word.end_s - line.start_s > _LONGEST_S:
            yield line
            line = word
        else:
            line = _Said(longer, line.start_s, word.end_s)
    yield line


def _cue(number: int, said: _Said) -> str:
    return f"{number}\n{_clock(said.start_s)} --> {_clock(said.end_s)}\n{said.text}\n"


def _clock(seconds: float) -> str:
    total, ms = divmod(math.floor(seconds * _MS + 0.5), _MS)
    minutes, second = divmod(total, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02},{ms:03}"
