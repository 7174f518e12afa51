"""The page as text: its security policy, and no reference to other hosts."""

import base64
import hashlib
import html
import re
from html.parser import HTMLParser

from msgspec import structs
from msgspec.structs import replace

from batchgen.report.data import Collector, Heading
from batchgen.report.page import render
from tests.given import NOW
from tests.report.outputs import HOSTILE, a_record

_HEADING = Heading("spring", NOW, 1, 0.5, "", ".batchgen/thumbs/")


class _Reader(HTMLParser):
    """Collects elements with their attributes, and the text of styles and scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {"script": [], "style": []}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in self.texts:
            self.texts[tag].append("")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem in self.texts:
            self.texts[self.cdata_elem][-1] += data


def _page(heading: Heading = _HEADING) -> str:
    collector = Collector()
    record = a_record(0, prompt=HOSTILE, id=HOSTILE, model=HOSTILE, file=HOSTILE)
    error = record.outcome.error
    assert error is not None
    failed = structs.replace(
        record.outcome, error=structs.replace(error, kind=HOSTILE, message=HOSTILE)
    )
    collector.add(structs.replace(record, outcome=failed), [])
    return b"".join(render(heading, collector)).decode()


def test_hostile_texts_add_no_element() -> None:
    reader = _Reader(_page(replace(_HEADING, name=HOSTILE)))
    tags = [tag for tag, _ in reader.elements]
    assert (tags.count("script"), tags.count("style"), tags.count("img")) == (2, 1, 0)


def test_the_policy_allows_only_this_style_and_this_script() -> None:
    reader = _Reader(_page())
    policies = [
        attributes["content"]
        for tag, attributes in reader.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    policy = html.unescape(policies[0] or "")
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for text, source in (
        (reader.texts["style"][0], "style"),
        (reader.texts["script"][1], "script"),
    ):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{source}-src 'sha256-{digest}'" in policy


def test_no_other_host_is_requested_and_no_attribute_is_a_script() -> None:
    for tag, attributes in _Reader(_page()).elements:
        assert not {"src", "style", "action"} & attributes.keys(), tag
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("href") or "#").startswith("#")
    assert not re.search(r"https?://", _page().replace(HOSTILE, ""))


def test_a_failure_has_its_count_its_example_and_the_option_to_retry() -> None:
    collector = Collector()
    for number in range(3):
        collector.add(a_record(number), [])
    page = b"".join(render(_HEADING, collector)).decode()
    assert "3 x server, HTTP 503, model_busy" in page
    assert "the model is busy &lt;b&gt;now&lt;/b&gt;" in page
    assert "<code>--retry-failed server</code>" in page


def test_a_page_with_a_part_of_the_tasks_has_a_notice() -> None:
    collector = Collector(limit=1)
    for number in range(3):
        collector.add(a_record(number), [])
    assert "The first 1 tasks are listed; 2 more" in b"".join(render(_HEADING, collector)).decode()
