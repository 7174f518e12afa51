"""Transcripts: words that the request alone determines."""

from batchgen.simulator.remote_jobs import RemoteJob
from batchgen.simulator.requests.schema import Json, JsonObject

_WORDS = (
    "the", "keeper", "lit", "lamp", "above", "quiet", "harbour", "and", "boats", "came", "home",
    "one", "by", "through", "evening", "rain",
)  # fmt: skip
_WORD_COUNT = 24
_WORD_S = 0.4
_FLAT_MODELS = ("aai/", "slam-1", "openai/")  # the result is a text with words in milliseconds
_OUTPUT_MODELS = ("nova-3", "microsoft/")  # the result is under `output`


def transcript(job: RemoteJob) -> JsonObject:
    """Return the result under the key and in the shape of the model's samples."""
    spoken = [_WORDS[(job.look >> (2 * index)) % len(_WORDS)] for index in range(_WORD_COUNT)]
    text = " ".join(spoken).capitalize() + "."
    if job.model.startswith(_FLAT_MODELS):
        words: list[Json] = [
            {"text": word, "start": round(start * 1000), "end": round(end * 1000)}
            for word, start, end in _timed(spoken)
        ]
        return {"result": {"text": text, "words": words, "audio_duration": _WORD_COUNT * _WORD_S}}
    word_items: list[Json] = [
        {"word": word, "start": start, "end": end, "confidence": 0.98}
        for word, start, end in _timed(spoken)
    ]
    alternative: Json = {"transcript": text, "confidence": 0.98, "words": word_items}
    result: Json = {
        "metadata": {"duration": _WORD_COUNT * _WORD_S, "channels": 1},
        "results": {"channels": [{"alternatives": [alternative]}]},
    }
    return {"output" if job.model.startswith(_OUTPUT_MODELS) else "result": result}


def _timed(spoken: list[str]) -> list[tuple[str, float, float]]:
    return [
        (word, round(index * _WORD_S, 2), round((index + 1) * _WORD_S, 2))
        for index, word in enumerate(spoken)
    ]
