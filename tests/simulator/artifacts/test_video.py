"""Videos of the simulator play in a browser, if one is installed."""

from pathlib import Path

from batchgen.simulator.artifacts.video import VideoFile
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


def test_the_same_description_gives_the_same_bytes() -> None:
    video = VideoFile(64, 48, 1, 7, "A fox", "a caption")
    assert video.render() == video.render()
    longest = VideoFile(64, 48, 600, 7, "A fox", "a caption")
    assert len(longest.render()) < 11 * len(video.render())


async def test_a_video_plays_to_its_end_in_a_browser(tmp_path: Path) -> None:
    (tmp_path / "video.webm").write_bytes(VideoFile(320, 180, 2, 7, "A fox", "a caption").render())
    (tmp_path / "page.html").write_text('<!doctype html><video src="video.webm"></video>')
    with chromium(tmp_path / "profile") as address:
        async with a_page(address) as page:
            await page.open((tmp_path / "page.html").as_uri())
            assert await page.evaluate(_PLAYED) == [320, 180, 2]
