"""Output directories with images, created without a run."""

import asyncio
import hashlib
from collections.abc import Iterable
from datetime import timedelta
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw

from batchgen.storage.ledger import Ledger
from batchgen.types import Artifact, Outcome, Record, Status, TaskError
from tests.given import NOW, a_ledger, a_task

STYLES = ("ink", "watercolour", "gouache", "pastel")
ANGLES = ("front", "side", "top")
HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>\"'`${1}"


def an_image(number: int, side: int = 640) -> bytes:
    """Return a PNG with its number in it."""
    image = Image.effect_noise((side, side), 30).convert("RGB")
    draw = ImageDraw.Draw(image)
    hue = number * 37 % 360
    draw.ellipse((side // 8, side // 8, side * 7 // 8, side * 7 // 8), fill=f"hsl({hue}, 60%, 55%)")
    draw.text((side // 2, side // 2), str(number), fill="white", font_size=side // 4, anchor="mm")
    file = BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def stored(directory: Path, path: str, data: bytes) -> Artifact:
    """Write a file to the output directory; return its artifact."""
    target = directory / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    with Image.open(BytesIO(data)) as image:
        width, height = image.size
    digest = hashlib.sha256(data).hexdigest()
    return Artifact(path, len(data), digest, "image/png", width, height)


def a_record(number: int, artifact: Artifact | None = None, /, **changes: object) -> Record:
    """Return a task of a matrix of four styles and three angles; failed without an artifact."""
    style, angle = STYLES[number % 4], ANGLES[number // 4 % 3]
    fields: dict[str, object] = {
        "prompt": f"A fox, {style}, {angle} view, number {number}",
        "model": ("flux/schnell", "dall-e-3")[number % 5 == 0],
        "params": {"image_size": "square", "seed": 2**70 + number},
        "vars": {"style": style, "angle": angle},
        **changes,
    }
    finished_at = NOW + timedelta(seconds=number / 4)
    times = {
        "started_at": finished_at - timedelta(seconds=2 + number % 7),
        "finished_at": finished_at,
        "duration_s": 2.0 + number % 7,
        "attempts": 1 + number % 9 // 6,
    }
    if artifact is None:
        error = TaskError("server", "model_busy", "the model is busy <b>now</b>")
        outcome = Outcome(Status.FAILED, error=error, http_status=503, **times)  # type: ignore[arg-type]  # of mixed types
    else:
        outcome = Outcome(Status.SUCCEEDED, (artifact,), seed=number, cost_usd=0.004, **times)  # type: ignore[arg-type]  # as above
    return Record(a_task(number, **fields), outcome)


def filled(directory: Path, records: Iterable[Record], *, total: int = 0) -> Path:
    """Create an output directory whose ledger has these records."""
    directory.mkdir(exist_ok=True)
    records = list(records)
    with a_ledger(directory, total=total or len(records)) as ledger:
        asyncio.run(_fill(ledger, records))
        ledger.end_run(reason="complete", now=NOW)
    return directory


async def _fill(ledger: Ledger, records: list[Record]) -> None:
    for start in range(0, len(records), 1000):
        chunk = records[start : start + 1000]
        await asyncio.gather(
            *(ledger.record_sent(record.task, 1, attempts=1, now=NOW) for record in chunk)
        )
        await asyncio.gather(
            *(ledger.record_outcome(record.task, 1, record.outcome) for record in chunk)
        )
