"""Transcripts of recordings: words that the request alone determines."""

from batchgen.simulator.replies.jobs import Job
from batchgen.simulator.requests.schema import Json

_WORDS = (
    "the", "keeper", "lit", "lamp", "above", "quiet", "harbour", "and", "boats", "came", "home",
    "one", "by", "through", "evening", "rain",
)  # fmt: skip
_COUNT = 24
_WORD_S = 0.4
_FLAT = ("aai/", "slam-1", "openai/")  # the result is a text with words in milliseconds
_NEWER = ("nova-3", "microsoft/")  # the result is under `output`


def transcript(job: Job) -> dict[str, Json]:
    """Return the result under the key and in the shape of the model's samples."""
    spoken = [_WORDS[(job.look >> (2 * index)) % len(_WORDS)] for index in range(_COUNT)]
    text = " ".join(spoken).capitalize() + "."
    if job.model.startswith(_FLAT):
        words: list[Json] = [
            {"text": word, "start": round(start * 1000), "end": round(end * 1000)}
            for word, start, end in _timed(spoken)
        ]
        return {"result": {"text": text, "words": words, "audio_duration": _COUNT * _WORD_S}}
    timed: list[Json] = [
        {"word": word, "start": start, "end": end, "confidence": 0.98}
        for word, start, end in _timed(spoken)
    ]
    alternative: Json = {"transcript": text, "confidence": 0.98, "words": timed}
    result: Json = {
        "metadata": {"duration": _COUNT * _WORD_S, "channels": 1},
        "results": {"channels": [{"alternatives": [alternative]}]},
    }
    return {"output" if job.model.startswith(_NEWER) else "result": result}


def _timed(spoken: list[str]) -> list[tuple[str, float, float]]:
    return [
        (word, round(index * _WORD_S, 2), round((index + 1) * _WORD_S, 2))
        for index, word in enumerate(spoken)
    ]
