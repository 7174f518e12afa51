"""The report in a real browser: content, keys, requests. Needs Chromium."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from batchgen.cli.report import write_report
from batchgen.job import Flags
from batchgen.manifest.open import open_manifest, source_of
from batchgen.types import Record, Task
from tests.given import an_artifact
from tests.report.browser import Page, a_page
from tests.report.outputs import HOSTILE, a_record, an_image, filled, stored

_TASKS = 30
_MANY_TASKS = 10_000
_PROMPTS = "[...document.querySelectorAll('.caption')].map((one) => one.textContent)"
_LOADED = "[...document.images].filter((one) => one.complete && one.naturalWidth).length"
_DECODED = "Promise.all([...document.images].map((one) => one.decode().catch(() => 0)))"


@pytest.fixture(scope="module")
def spring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of a matrix job with failures, odd file names and a hostile prompt."""
    directory = tmp_path_factory.mktemp("out") / "spring #1"
    directory.mkdir()
    filled(directory, _records(directory))
    write_report(directory)
    return directory / "report.html"


def _records(directory: Path) -> Iterator[Record]:
    for number in range(_TASKS):
        name = f"a?{number} #%41/fox & {number}.png"
        side = 400 if number % 2 else 60  # with a thumbnail, and without
        kept = number % 10 != 9
        artifact = stored(directory, name, an_image(number, side)) if kept else None
        yield a_record(number, artifact)
    yield a_record(_TASKS, None, prompt=HOSTILE, vars={"style": HOSTILE, "angle": "front"})


@pytest.fixture
async def page(address: str, spring: Path) -> AsyncIterator[Page]:
    """The report in a desktop window; fails on errors and on requests beyond its files."""
    async with a_page(address) as opened:
        await opened.resize(1200, 800)
        await opened.open(spring.as_uri())
        yield opened
        assert opened.errors == []
        assert [url for url in opened.requests if not url.startswith("file:")] == []


async def test_the_gallery_has_one_card_per_task_with_its_image(page: Page) -> None:
    assert await page.text("#matching") == "31 tasks"
    assert await page.evaluate(f"{_PROMPTS}[0]") == "A fox, ink, front view, number 0"
    await page.evaluate(_DECODED)
    images = await page.count(".card img")
    assert images > 10
    assert await page.evaluate(_LOADED) == images


async def test_status_buttons_have_counts_and_filter(page: Page) -> None:
    labels = "[...document.querySelectorAll('#statuses button')].map((one) => one.textContent)"
    assert await page.evaluate(labels) == ["27 succeeded", "4 failed"]
    await page.click("#statuses .failed")
    assert await page.text("#matching") == "4 of 31 tasks"
    assert await page.count(".card") == 4
    await page.click("#clear")
    assert await page.text("#matching") == "31 tasks"


async def test_filters_by_model_and_variable_combine(page: Page) -> None:
    for name, value in (("style", '"ink"'), ("model", '"dall-e-3"')):
        await page.evaluate(
            f"((menu) => {{ menu.value = {value!r}; menu.dispatchEvent(new Event('change')) }})"
            f"(document.querySelector('select[aria-label={name}]'))"
        )
    assert await page.text("#matching") == "2 of 31 tasks"
    assert await page.evaluate(_PROMPTS) == [
        "A fox, ink, front view, number 0",
        "A fox, ink, top view, number 20",
    ]


async def test_slash_focuses_the_search_and_escape_leaves_it(page: Page) -> None:
    await page.press("/")
    await page.type("TOP gouache")
    assert await page.evaluate("document.querySelector('#search').value") == "TOP gouache"
    assert await page.text("#matching") == "2 of 31 tasks"
    await page.press("Escape")
    assert await page.evaluate("document.activeElement === document.body")


async def test_arrow_keys_move_over_the_cards_and_a_click_opens_one(page: Page) -> None:
    await page.press("ArrowRight")
    await page.press("ArrowRight")
    await page.press("ArrowDown")
    columns = await page.evaluate(
        "[...document.querySelectorAll('.card')]"
        ".filter((one) => one.getBoundingClientRect().y < 150).length"
    )
    assert await page.evaluate("document.activeElement.dataset.position") == str(columns + 1)
    await page.click(":focus")
    assert await page.text(".place") == f"{columns + 2} of 31"


async def test_the_viewer_has_all_details_and_obeys_arrows_and_escape(page: Page) -> None:
    await page.click(".card:first-child")
    details = await page.text(".details")
    for text in (
        "fox-0",
        "dall-e-3",
        "square",
        str(2**70),
        "$0.004",
        "fox & 0.png",
        "60 \u00d7 60",
    ):
        assert text in details
    await page.press("ArrowRight")
    assert await page.text(".details h2") == "fox-1"
    await page.press("ArrowLeft")
    await page.press("ArrowLeft")
    assert await page.text(".place") == "1 of 31"
    await page.press("Escape")
    assert await page.evaluate("document.querySelector('#viewer').open") is False
    assert await page.evaluate("document.activeElement.dataset.position") == "0"


async def test_a_hostile_prompt_is_displayed_as_text(page: Page) -> None:
    await page.type_in("#search", "alert")
    assert await page.evaluate(_PROMPTS) == [HOSTILE]
    await page.click(".card")
    assert await page.text(".prompt") == HOSTILE
    assert await page.evaluate("document.title") == "spring #1"
    assert await page.count("script") == 2
    assert await page.count("img[onerror]") == 0


async def test_the_yaml_row_gives_the_same_task(page: Page, tmp_path: Path) -> None:
    for search, number in (("number 7", 7), ("alert", _TASKS)):
        await page.open(await page.evaluate("location.href"))
        await page.type_in("#search", search)
        await page.click(".card")
        row = await page.text(".yaml")
        path = tmp_path / f"{number}.yaml"
        path.write_text(f"prompts:\n{row}")

        manifest = open_manifest(source_of(str(path), None, None), Flags())
        (task,) = manifest.tasks(check=False)

        assert isinstance(task, Task)
        expected = a_record(number).task
        if number == _TASKS:
            expected = a_record(
                number, prompt=HOSTILE, vars={"style": HOSTILE, "angle": "front"}
            ).task
        assert (task.id, task.prompt, task.model) == (expected.id, expected.prompt, expected.model)
        assert (task.params, task.vars) == (expected.params, expected.vars)


async def test_the_grid_has_two_axes_of_a_matrix(page: Page) -> None:
    await page.evaluate("void (location.hash = '#/grid')")
    heads = "[...document.querySelectorAll('#cells thead th')].map((one) => one.textContent)"
    assert await page.evaluate(heads) == [
        "angle ↓ style →", "ink", "watercolour", "gouache", "pastel",
    ]  # fmt: skip
    assert await page.count("#cells tbody tr") == 3
    assert await page.count("#cells td button") == 12
    await page.click("#cells td button")
    assert await page.text(".place") == "1 of 3"


async def test_a_failure_filters_the_gallery_to_its_tasks(page: Page) -> None:
    await page.evaluate("void (location.hash = '#/failures')")
    await page.click("[data-cause]")
    assert await page.evaluate("location.hash") == "#/gallery"
    assert await page.text("#matching") == "4 of 31 tasks"


async def test_no_view_is_wider_than_a_phone(page: Page) -> None:
    await page.resize(390, 844, dark=True)
    for view in ("gallery", "grid", "failures", "charts"):
        await page.evaluate(f"void (location.hash = '#/{view}')")
        assert await page.evaluate("document.documentElement.scrollWidth") == 390, view
    assert await page.count("#charts svg") == 5
    paper = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == "rgb(22, 22, 22)"


async def test_ten_thousand_tasks_need_only_a_screen_of_cards(address: str, tmp_path: Path) -> None:
    artifact = an_artifact()
    records = (a_record(number, artifact) for number in range(_MANY_TASKS))
    await asyncio.to_thread(filled, tmp_path, records)
    write_report(tmp_path)
    async with a_page(address) as page:
        await page.resize(1200, 800)
        await page.open((tmp_path / "report.html").as_uri())
        assert await page.text("#matching") == "10,000 tasks"
        for position in ("0", "document.body.scrollHeight / 2", "document.body.scrollHeight"):
            await page.evaluate(f"void scrollTo(0, {position})")
            assert 0 < await page.count(".card") < 100
        assert f"A fox, pastel, front view, number {_MANY_TASKS - 1}" in await page.evaluate(
            _PROMPTS
        )
        await page.type_in("#search", "number 9999")
        assert await page.text("#matching") == "1 of 10,000 tasks"
        assert page.errors == []
