"""Videos of the simulator play in a browser, if one is installed."""

from pathlib import Path

from batchgen.simulator.artifacts.video import Clip, film
from tests.report.browser import a_page, chromium

_PLAYED = """
new Promise(resolve => {
  const video = document.querySelector("video");
  video.onerror = () => resolve(video.error.message);
  video.onended = () => resolve([video.videoWidth, video.videoHeight, video.duration]);
  video.muted = true;
  video.playbackRate = 8;
  video.play().catch(error => resolve(String(error)));
})
"""


def test_a_clip_follows_from_its_description_alone() -> None:
    clip = Clip(64, 48, 1, 7, "A fox", "a caption")
    assert film(clip) == film(clip)
    assert len(film(Clip(64, 48, 600, 7, "A fox", "a caption"))) < 11 * len(film(clip))


async def test_a_clip_plays_to_its_end_in_a_browser(tmp_path: Path) -> None:
    (tmp_path / "clip.webm").write_bytes(film(Clip(320, 180, 2, 7, "A fox", "a caption")))
    (tmp_path / "page.html").write_text('<!doctype html><video src="clip.webm"></video>')
    with chromium(tmp_path / "profile") as address:
        async with a_page(address) as page:
            await page.open((tmp_path / "page.html").as_uri())
            assert await page.evaluate(_PLAYED) == [320, 180, 2]
