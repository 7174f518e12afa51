"""The page: fills the template with styles, scripts, charts, failures and data."""

from base64 import b64encode
from functools import cache
from hashlib import sha256
from html import escape
from importlib import resources
from string import Template

from batchgen.report.charts import charts
from batchgen.report.data import Collector, Heading
from batchgen.storage.summary import FailureGroup
from batchgen.text import show_bytes, show_count, show_money

# In the order in which they use each other; together they are one block in strict mode.
SCRIPTS = ("data.js", "elements.js", "viewer.js", "gallery.js", "grid.js", "main.js")


def render(heading: Heading, collector: Collector) -> list[bytes]:
    """Return the page in parts, to be written one after the other."""
    style = _file("report.css")
    script = "\n".join(('"use strict";', "{", *map(_file, SCRIPTS), "}"))
    hidden = collector.count - collector.listed
    values = {
        "policy": escape(policy(style=style, script=script)),
        "name": escape(heading.name),
        "style": style,
        "script": script,
        "facts": escape(_facts(heading, collector)),
        "notice": _notice(collector.listed, hidden),
        "charts": "".join(charts(collector.figures)),
        "failures": "".join(map(_failure, collector.failures())),
    }
    before, after = (
        Template(part).substitute(values).encode() for part in _file("report.html").split("@DATA@")
    )
    return [before, collector.to_json(heading), after]


def policy(*, style: str, script: str) -> str:
    """Return the content security policy: only this style, this script, and media by relative URL.

    `file:` is for Firefox, in which 'self' does not match the files of a page opened from disk.
    """
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}';"
        " img-src 'self' file:; media-src 'self' file:; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode()


@cache
def _file(name: str) -> str:
    return resources.files("batchgen.report").joinpath(name).read_text(encoding="utf-8")


def _facts(heading: Heading, collector: Collector) -> str:
    figures = collector.figures
    facts = [f"{show_count(max(heading.total, collector.count))} tasks"]
    if collector.size_bytes:
        facts.append(f"{show_count(collector.artifacts)} files, {show_bytes(collector.size_bytes)}")
    if heading.spent_usd or figures.spent_usd:
        facts.append(f"{show_money(heading.spent_usd)} spent")
    facts.append(f"as of {heading.made_at:%Y-%m-%d %H:%M} UTC")
    return " · ".join(facts)


def _notice(listed: int, hidden: int) -> str:
    if not hidden:
        return ""
    return (
        f'<p class="notice">The first {show_count(listed)} tasks are listed; {show_count(hidden)}'
        " more are counted here and listed in results.jsonl.</p>"
    )


def _failure(group: FailureGroup) -> str:
    example = group.example
    location = f"{example.file}:{example.line}" if example.line else example.file
    retry = f"<code>--retry-failed {escape(group.kind)}</code>" if group.retryable else ""
    return (
        f'<li><h3><button type="button" data-cause="{escape(group.cause)}">'
        f"{show_count(group.count)} x {escape(group.cause)}</button></h3>"
        f"<p>{escape(example.message)}</p>"
        f'<p class="dim">{escape(example.id)} ({escape(location)}) {retry}</p></li>'
    )
