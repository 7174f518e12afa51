"""The tables of README and docs/, made from the code; run as a module to write them."""

import argparse
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from batchgen.cli.parser import parser as cli_parser
from batchgen.engine.decisions import BUILT_IN, describe
from batchgen.errors import Exit
from batchgen.job import keys as job_keys
from batchgen.progress.lines import EVENTS
from batchgen.progress.metrics import METRICS
from batchgen.provider import catalog
from batchgen.report import export_parquet
from batchgen.simulator.fault_names import FILE_FAULTS, GENERATION_FAULTS, JOB_FAULTS, POLL_FAULTS
from batchgen.text import show_money
from tests.torture.crash_points import CRASH_POINTS

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").glob("*.md")))

_EXITS = {
    Exit.OK: "all tasks succeeded",
    Exit.SOME_FAILED: "finished; some tasks failed, were refused, skipped or are unknown"
    " (`verify`: damage found)",
    Exit.USAGE: "wrong usage, job or manifest; nothing was sent",
    Exit.HALTED: "halted: key, credit, budget, deadline or too many failures in a row; run again"
    " to continue",
    Exit.STORAGE: "the ledger or the file storage failed: disk full, permissions",
    Exit.LOCKED: "another run uses this output directory",
    Exit.INTERRUPTED: "interrupted by Ctrl-C; requests in flight were finished and kept",
    Exit.TERMINATED: "interrupted by SIGTERM or SIGHUP; requests in flight were finished and kept",
}


def tables() -> dict[str, str]:
    """Return every table by the name of its marker comment."""
    return {
        "commands": _table(("command", "what it does"), _commands()),
        **_option_tables(),
        "faults": _table(("fault", "what happens"), _faults()),
        "job-keys": _table(("key", "default", "what it does"), _keys()),
        "exit-codes": _table(("code", "meaning"), ((f"`{code}`", _EXITS[code]) for code in Exit)),
        "events": _table(("event", "keys", "when"), _events()),
        "metrics": _table(("metric", "meaning"), _metrics()),
        "parquet-columns": _table(("column", "type"), _columns()),
        "decisions": _table(("reply", "decision", "kind"), _decisions()),
        "crashes": _table(
            ("the run ended when", "ledger", "on disk", "the next run", "charged again"),
            _crashes(),
        ),
        "models": _table(("maker", "models, with the price of one image if known"), _models()),
        "other_models": _table(("family", "models, with the price if known"), _other_models()),
    }


def filled(text: str) -> str:
    """Return a page with every table made from the code."""
    for name, table in tables().items():
        text = _place(name).sub(rf"\g<1>{_escaped(table)}\g<2>", text)
    return text


def _place(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)


def _escaped(table: str) -> str:
    return table.replace("\\", "\\\\")


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines
    )


def _subparsers() -> dict[str, argparse.ArgumentParser]:
    parser = cli_parser()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise AssertionError("the command has no sub-commands")


def _commands() -> Iterator[tuple[str, str]]:
    for name, parser in _subparsers().items():
        words = [_usage(action) for action in parser._actions if not action.option_strings]
        yield f"`batchgen {' '.join([name, *words])}`", str(parser.description)


def _usage(argument: argparse.Action) -> str:
    """Return an argument as the usage line shows it: `[ID]` may be left out, `DIR...` repeats."""
    forms = {"?": f"[{argument.metavar}]", "+": f"{argument.metavar}..."}
    return forms.get(str(argument.nargs), str(argument.metavar))


def _options(command: str) -> Iterator[tuple[str, str]]:
    for action in _subparsers()[command]._actions:
        if action.option_strings and "-h" not in action.option_strings:
            value = action.metavar or "\\|".join(action.choices or ())
            if action.nargs == "?":
                value = f"[{value}]"
            names = ", ".join(action.option_strings)
            yield f"`{names}{f' {value}' if value else ''}`".replace("\\|", "|"), str(action.help)


def _option_tables() -> dict[str, str]:
    """Return one table per command; `plan` has the options of `run`, and `--json`."""
    return {
        f"{name}-options": _table((f"option of `{name}`", "what it does"), options)
        for name in _subparsers()
        if name != "plan" and (options := [*_options(name)])
    }


def _keys() -> Iterator[tuple[str, str, str]]:
    for section, keys in job_keys.SECTIONS.items():
        for key, setting in keys.items():
            name = f"{section}.{key}" if section else key
            default = f"`{setting.default}`" if setting.default else ""
            yield f"`{name}`", default, setting.help


def _events() -> Iterator[tuple[str, str, str]]:
    for name, (keys, when) in EVENTS.items():
        yield f"`{name}`", ", ".join(f"`{key}`" for key in keys.split(", ")), when


def _metrics() -> Iterator[tuple[str, str]]:
    return ((f"`{name}`", meaning) for name, meaning in METRICS.items())


def _columns() -> Iterator[tuple[str, str]]:
    return ((f"`{name}`", f"`{kind}`") for name, kind in export_parquet.COLUMNS.items())


def _decisions() -> Iterator[tuple[str, str, str]]:
    for condition, action, kind in describe(BUILT_IN):
        yield condition, action, f"`{kind}`"


def _crashes() -> Iterator[tuple[str, str, str, str, str]]:
    for point in CRASH_POINTS:
        charged = "if keys are ignored" if point.may_pay else "no"
        yield point.name, point.stage, point.on_disk, point.next_run, charged


def _faults() -> Iterator[tuple[str, str]]:
    for name, effect in {**GENERATION_FAULTS, **FILE_FAULTS, **POLL_FAULTS, **JOB_FAULTS}.items():
        yield f"`{name}`", effect


def _models() -> Iterator[tuple[str, str]]:
    def maker(model: catalog.Model) -> str:
        return model.id.split("/")[0] if "/" in model.id else re.split(r"[-.]", model.id)[0]

    images = [model for model in catalog.models() if model.family == "images"]
    for name, models in groupby(sorted(images, key=lambda m: (maker(m), m.id)), maker):
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
