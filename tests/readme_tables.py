"""The tables of README and docs/ as the code has them; run as a module, it fills them in."""

import argparse
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from batchgen import catalog, cli, parquet, settings
from batchgen.errors import Exit
from batchgen.faults import FILE_FAULTS, GENERATION_FAULTS, POLL_FAULTS, WORK_FAULTS
from batchgen.progress.lines import EVENTS
from batchgen.progress.metrics import METRICS
from batchgen.retry import BUILT_IN, describe
from batchgen.text import show_money
from tests.torture.instants import INSTANTS

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").glob("*.md")))

_EXITS = {
    Exit.OK: "all tasks succeeded",
    Exit.SOME_FAILED: "finished; some tasks failed, were refused, skipped or are unknown",
    Exit.USAGE: "wrong usage, job or manifest; nothing was sent",
    Exit.HALTED: "halted: key, credit, budget, deadline, too many failures in a row; run again to"
    " go on",
    Exit.STORAGE: "the ledger or the store failed: disk full, permissions",
    Exit.LOCKED: "another run holds this output directory",
    Exit.INTERRUPTED: "interrupted by Ctrl-C; what was under way is finished and kept",
    Exit.TERMINATED: "the same by SIGTERM or SIGHUP",
}


def tables() -> dict[str, str]:
    """Each table by the name of its place in a page."""
    return {
        "commands": _table(("command", "does"), _commands()),
        "run-options": _table(("option of `run`", "does"), _options("run")),
        "simulate-options": _table(("option of `simulate`", "does"), _options("simulate")),
        "faults": _table(("fault", "what happens"), _faults()),
        "job-keys": _table(("key", "default", "what it does"), _keys()),
        "exit-codes": _table(("code", "means"), ((f"`{code}`", _EXITS[code]) for code in Exit)),
        "events": _table(("event", "keys", "when"), _events()),
        "metrics": _table(("metric", "is"), _metrics()),
        "parquet-columns": _table(("column", "type"), _columns()),
        "decisions": _table(("seen", "then", "kind"), _decisions()),
        "crashes": _table(
            ("it broke off when", "the ledger says", "on disk", "the next run", "charged again"),
            _crashes(),
        ),
        "models": _table(("maker", "models, with the price of an image where known"), _models()),
        "other_models": _table(("family", "models, with a price where known"), _other_models()),
    }


def filled(text: str) -> str:
    """A page with every table as the code has it."""
    for name, table in tables().items():
        place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text = place.sub(rf"\g<1>{_escaped(table)}\g<2>", text)
    return text


def _escaped(table: str) -> str:
    return table.replace("\\", "\\\\")


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines
    )


def _subparsers() -> dict[str, argparse.ArgumentParser]:
    parser = cli.parser()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise AssertionError("the command has no sub-commands")


def _commands() -> Iterator[tuple[str, str]]:
    for name, parser in _subparsers().items():
        words = [action.metavar for action in parser._actions if not action.option_strings]
        yield f"`batchgen {' '.join([name, *map(str, words)])}`", str(parser.description)


def _options(command: str) -> Iterator[tuple[str, str]]:
    for action in _subparsers()[command]._actions:
        if action.option_strings and "-h" not in action.option_strings:
            value = action.metavar or "\\|".join(action.choices or ())
            if action.nargs == "?":
                value = f"[{value}]"
            names = ", ".join(action.option_strings)
            yield f"`{names}{f' {value}' if value else ''}`".replace("\\|", "|"), str(action.help)


def _keys() -> Iterator[tuple[str, str, str]]:
    for section, keys in settings.SECTIONS.items():
        for key, setting in keys.items():
            name = f"{section}.{key}" if section else key
            default = f"`{setting.default}`" if setting.default else ""
            yield f"`{name}`", default, setting.help


def _events() -> Iterator[tuple[str, str, str]]:
    for name, (keys, when) in EVENTS.items():
        yield f"`{name}`", ", ".join(f"`{key}`" for key in keys.split(", ")), when


def _metrics() -> Iterator[tuple[str, str]]:
    return ((f"`{name}`", told) for name, told in METRICS.items())


def _columns() -> Iterator[tuple[str, str]]:
    return ((f"`{name}`", f"`{kind}`") for name, kind in parquet.COLUMNS.items())


def _decisions() -> Iterator[tuple[str, str, str]]:
    for seen, then, kind in describe(BUILT_IN):
        yield seen, then, f"`{kind}`"


def _crashes() -> Iterator[tuple[str, str, str, str, str]]:
    for instant in INSTANTS:
        charged = "where keys are ignored" if instant.may_pay else "no"
        yield instant.name, instant.stage, instant.left, instant.next_run, charged


def _faults() -> Iterator[tuple[str, str]]:
    for name, what in {**GENERATION_FAULTS, **FILE_FAULTS, **POLL_FAULTS, **WORK_FAULTS}.items():
        yield f"`{name}`", what


def _models() -> Iterator[tuple[str, str]]:
    def maker(model: catalog.Model) -> str:
        return model.id.split("/")[0] if "/" in model.id else re.split(r"[-.]", model.id)[0]

    drawing = [model for model in catalog.models() if model.family == "images"]
    for name, models in groupby(sorted(drawing, key=lambda m: (maker(m), m.id)), maker):
        yield name, ", ".join(f"`{model.id}`{_price(model)}" for model in models)


def _other_models() -> Iterator[tuple[str, str]]:
    others = (model for model in catalog.models() if model.family != "images")
    for family, models in groupby(others, lambda model: model.family):
        yield family, ", ".join(f"`{model.id}`{_price(model)}" for model in models)


def _price(model: catalog.Model) -> str:
    price = model.price({})
    return "" if price is None else f" {show_money(price)}"


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page.read_text()))
