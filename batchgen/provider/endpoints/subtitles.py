"""Subtitles (SubRip) from the times in a transcript."""

import math
from collections.abc import Iterator

import msgspec

from batchgen.provider.endpoints.replies import JsonObject
from batchgen.types import Json

_MAX_CUE_S = 6.0
_MAX_CUE_CHARACTERS = 84  # two lines on a screen
_MAX_TIME_S = 360_000.0  # a hundred hours
_MS = 1000


class _Cue(msgspec.Struct, frozen=True):
    """A text with the seconds at which it begins and ends."""

    text: str
    start_s: float
    end_s: float


def srt(result: JsonObject) -> str:
    """Return the subtitles of a result; empty if it has no times.

    OpenAI and Deepgram give times in seconds, AssemblyAI in whole milliseconds.
    """
    for key in ("segments", "utterances", "words"):
        timed = list(_timed_texts(result.get(key)))
        if timed:
            cues = _group_words(timed) if key == "words" else timed
            return "\n".join(_format_cue(number, cue) for number, cue in enumerate(cues, 1))
    return ""


def _timed_texts(items: Json) -> Iterator[_Cue]:
    parts = [part for part in items if isinstance(part, dict)] if isinstance(items, list) else []
    per_s = _MS if all(type(part.get("end")) is int for part in parts) else 1
    for item in parts:
        texts = (item.get(key) for key in ("punctuated_word", "text", "transcript", "word"))
        text = next((text for text in texts if isinstance(text, str) and text.strip()), None)
        start_s, end_s = (_seconds(item.get(name), per_s) for name in ("start", "end"))
        if text is not None and start_s is not None and end_s is not None:
            yield _Cue(" ".join(text.split()), start_s, end_s)


def _seconds(value: Json, per_s: int) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    if not 0 <= value <= _MAX_TIME_S * _MS:  # refuses NaN too
        return None
    return value / per_s


def _group_words(words: list[_Cue]) -> Iterator[_Cue]:
    line = words[0]
    for word in words[1:]:
        longer = f"{line.text} {word.text}"
        if len(longer) > _MAX_CUE_CHARACTERS or word.end_s - line.start_s > _MAX_CUE_S:
            yield line
            line = word
        else:
            line = _Cue(longer, line.start_s, word.end_s)
    yield line


def _format_cue(number: int, cue: _Cue) -> str:
    return f"{number}\n{_clock(cue.start_s)} --> {_clock(cue.end_s)}\n{cue.text}\n"


def _clock(seconds: float) -> str:
    total, ms = divmod(math.floor(seconds * _MS + 0.5), _MS)
    minutes, second = divmod(total, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02},{ms:03}"
