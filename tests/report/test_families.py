"""Files of every family in the report, in a real browser. Needs Chromium."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from batchgen.cli.report import write_report
from batchgen.provider.endpoints import embeddings
from batchgen.simulator.artifacts.audio import AudioFile
from batchgen.simulator.artifacts.meshes import MeshFile
from batchgen.simulator.artifacts.video import VideoFile
from batchgen.types import Artifact, Finished, GeneratedPayload, HttpResponse, Record
from tests.given import a_task, an_artifact, succeeded
from tests.report.browser import Page, a_page
from tests.report.outputs import HOSTILE, filled

_PLAYED = """
new Promise((resolve) => {
  const media = document.querySelector(".stage video, .stage audio");
  media.onerror = () => resolve(media.error.message);
  media.onended = () => resolve([media.tagName, media.duration, media.controls]);
  media.muted = true;
  media.playbackRate = 8;
  media.play().catch((error) => resolve(String(error)));
})
"""
_FRAME = """
new Promise((resolve) => {
  const video = document.querySelector(".card video");
  const look = () => resolve([video.videoWidth, video.videoHeight, video.controls]);
  if (video.readyState >= 2) look();
  video.onloadeddata = look;
})
"""
_TEXTS = "[...document.querySelectorAll('.stage pre')].map((one) => one.textContent)"
_NAMES = "[...document.querySelectorAll('.stage figcaption')].map((one) => one.textContent)"


def _vector() -> bytes:
    reply = HttpResponse(200, {}, b'{"data": [{"index": 0, "embedding": [0.5, -1, 2]}]}')
    parsed = embeddings.parse_response(reply)
    assert isinstance(parsed, Finished)
    assert isinstance(parsed.payloads[0], GeneratedPayload)
    return parsed.payloads[0].data


_MESH = MeshFile(7).render()
_FILES: dict[str, tuple[tuple[str, str, bytes], ...]] = {
    "film": (("video/webm", "film.webm", VideoFile(64, 48, 2, 7, "A fox", "a caption").render()),),
    "song": (("audio/wav", "song.wav", AudioFile(2, 7).render()),),
    "mesh": (("model/gltf-binary", "mesh.glb", _MESH),),
    "heard": (
        ("text/plain", "heard-1.txt", HOSTILE.encode()),
        ("application/json", "heard-2.json", b'{"text": "<b>fox</b>"}'),
        ("application/x-subrip", "heard-3.srt", b"1\n00:00:00,000 --> 00:00:01,500\nA fox.\n"),
        ("text/markdown", "heard-4.md", b"# A fox\n"),
    ),
    "vector": (("application/x-npy", "vector.npy", _vector()),),
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("out")
    records = []
    for number, (name, files) in enumerate(_FILES.items()):
        artifacts = tuple(_stored(directory, *file) for file in files)
        records.append(Record(a_task(number, id=name), succeeded(*artifacts)))
    filled(directory, records)
    write_report(directory)
    return directory / "report.html"


def _stored(directory: Path, media_type: str, name: str, data: bytes) -> Artifact:
    (directory / name).write_bytes(data)
    return an_artifact(name, media_type=media_type, size_bytes=len(data), width=None, height=None)


@pytest.fixture
async def page(address: str, report: Path) -> AsyncIterator[Page]:
    """The report; fails on errors and on requests beyond its files."""
    async with a_page(address) as opened:
        await opened.resize(1200, 800)
        await opened.open(report.as_uri())
        yield opened
        assert opened.errors == []
        # The browser's media controls are data URLs.
        assert {url.partition(":")[0] for url in opened.requests} <= {"file", "data"}


async def _open(page: Page, name: str) -> None:
    await page.click(f".card[title={name}]")
    assert await page.text(".details h2") == name


@pytest.mark.parametrize(("name", "tag"), [("film", "VIDEO"), ("song", "AUDIO")])
async def test_video_and_sound_play_to_their_end(page: Page, name: str, tag: str) -> None:
    await _open(page, name)
    assert await page.evaluate(_PLAYED) == [tag, 2, True]


async def test_a_mesh_is_a_link_with_its_size(page: Page) -> None:
    await _open(page, "mesh")
    assert await page.evaluate(_NAMES) == [f"mesh.glb {len(_MESH)} B"]
    href = await page.evaluate("document.querySelector('.stage a').getAttribute('href')")
    assert href == "mesh.glb"


async def test_text_files_are_displayed_with_their_names_and_without_markup(
    page: Page,
) -> None:
    await _open(page, "heard")
    assert await page.evaluate(_TEXTS) == [data.decode() for _, _, data in _FILES["heard"]]
    names = await page.evaluate(_NAMES)
    assert [name.split()[0] for name in names] == [name for _, name, _ in _FILES["heard"]]
    assert await page.count(".stage b") == 0
    assert await page.count("script") == 2


async def test_a_vector_is_described_by_its_shape(page: Page) -> None:
    await _open(page, "vector")
    assert await page.evaluate(_TEXTS) == ["1 \u00d7 3 floats of 32 bits"]


async def test_cards_have_a_frame_of_a_video_and_the_beginning_of_a_text(page: Page) -> None:
    assert await page.evaluate(_FRAME) == [64, 48, False]
    assert await page.text(".card[title=heard] .excerpt") == HOSTILE
    assert await page.text(".card[title=song] .word") == "audio/wav, 33 kB"


async def test_arrow_keys_change_the_task_unless_a_player_has_the_focus(page: Page) -> None:
    await _open(page, "song")
    await page.evaluate("document.querySelector('.stage audio').focus()")
    await page.press("ArrowRight")
    assert await page.text(".details h2") == "song"
    await page.evaluate("document.querySelector('[data-do=close]').focus()")
    await page.press("ArrowRight")
    assert await page.text(".details h2") == "mesh"
