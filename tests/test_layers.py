"""The one direction of imports: a room imports rooms on lower levels only.

The table below is the one of the README ("How it works"); `GROUND` may be imported by every room
but the simulator, which shares nothing with the adapters.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "batchgen"
README = ROOT / "README.md"
GROUND = frozenset({"types", "errors", "text", "_version"})
# room: (level, rooms that it may import besides the ground)
ROOMS: Mapping[str, tuple[int, frozenset[str]]] = {
    "__init__": (9, frozenset({"api", "job", "engine", "storage"})),
    "__main__": (9, frozenset({"api", "cli"})),
    "cli": (
        8,
        frozenset(
            {
                *("engine", "report", "storage", "manifest", "provider", "job"),
                *("http", "progress", "media", "simulator"),
            }
        ),
    ),
    "api": (8, frozenset({"engine", "manifest", "job", "storage", "progress"})),
    "engine": (
        7,
        frozenset(
            {"storage", "manifest", "provider", "job", "http", "progress", "media", "simulator"}
        ),
    ),
    "report": (7, frozenset({"storage", "media"})),
    "storage": (6, frozenset({"manifest", "provider", "job", "media"})),
    "manifest": (5, frozenset({"provider", "job", "media"})),
    "provider": (4, frozenset({"job", "http", "media"})),
    "job": (3, frozenset()),
    "progress": (3, frozenset()),
    "http": (3, frozenset({"media"})),
    "simulator": (2, frozenset()),
    "media": (1, frozenset()),
    "types": (1, frozenset()),
    "errors": (1, frozenset()),
    "text": (1, frozenset({"types"})),
    "_version": (1, frozenset()),
}
MAX_LEVELS = 9
MAX_ENTRIES = 18
MAX_MODULE_LINES = 400


class Import(NamedTuple):
    """One import statement. inside: whether it stands in a function."""

    importer: str
    imported: str
    inside: bool


def test_a_room_imports_only_what_the_table_allows() -> None:
    wrong = [
        f"{found.importer} imports {found.imported}"
        for found in _imports()
        if _room(found.importer) != _room(found.imported)
        and _room(found.imported) not in _allowed(_room(found.importer))
    ]
    assert wrong == []


def test_the_table_has_no_import_upwards() -> None:
    upwards = [
        f"{room} imports {other}"
        for room, (level, others) in ROOMS.items()
        for other in others
        if ROOMS[other][0] > level or (ROOMS[other][0] == level and level > 1)
    ]
    assert upwards == []
    assert {level for level, _ in ROOMS.values()} == set(range(1, MAX_LEVELS + 1))


def test_modules_import_each_other_without_a_cycle() -> None:
    graph: dict[str, set[str]] = {}
    for found in _imports():
        # A package imports its own modules, so that an import of the package is no cycle.
        is_own_package = found.importer.startswith(f"{found.imported}.")
        if not found.inside and not is_own_package:
            graph.setdefault(found.importer, set()).add(found.imported)
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_only_a_function_of_the_engine_loads_the_simulator() -> None:
    importers = [
        found
        for found in _imports()
        if _room(found.imported) == "simulator" and _room(found.importer) == "engine"
    ]
    assert {found.importer for found in importers} == {"batchgen.engine.assemble"}
    assert all(found.inside for found in importers)


def test_the_simulator_shares_nothing_with_the_adapters() -> None:
    imported = {
        found.imported
        for found in _imports()
        if _room(found.importer) == "simulator" and _room(found.imported) != "simulator"
    }
    assert imported <= {"batchgen.errors"}


def test_the_package_has_few_entries() -> None:
    entries = {
        path.stem
        for path in PACKAGE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert entries == set(ROOMS)
    assert len(entries) <= MAX_ENTRIES


def test_no_module_is_too_long() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in PACKAGE.rglob("*.py")
        if (count := len(path.read_text().splitlines())) > MAX_MODULE_LINES
    }
    assert long == {}


def test_the_readme_shows_the_table() -> None:
    rows = re.findall(
        r"^\| (\d) \| ([^|]+) \| [^|]+ \| ([^|]+) \|$", README.read_text(), re.MULTILINE
    )
    levels = {}
    for level, names, may_import in rows:
        for room in re.findall(r"`(\w+)/?`", names):
            levels[room] = int(level)
            missing = {other for other in ROOMS[room][1] if other not in may_import}
            free = may_import in ("all below", "each other, downwards") or room == "__init__"
            assert free or missing == set(), room
    assert levels == {room: level for room, (level, _) in ROOMS.items() if room != "_version"}


def _allowed(room: str) -> frozenset[str]:
    ground = frozenset({"errors"}) if room == "simulator" else GROUND
    is_ground = room in GROUND
    return ROOMS[room][1] | (frozenset() if is_ground else ground)


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def _imports() -> Iterator[Import]:
    modules = {_name(path): path for path in PACKAGE.rglob("*.py")}
    for importer, path in modules.items():
        tree = ast.parse(path.read_text())
        for node, inside in _nodes(tree, inside=False):
            for name in _names(node, modules):
                if name != importer:
                    yield Import(importer, name, inside)


def _nodes(tree: ast.AST, *, inside: bool) -> Iterator[tuple[ast.AST, bool]]:
    for child in ast.iter_child_nodes(tree):
        is_type_check = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        yield child, inside
        yield from _nodes(child, inside=inside or is_function or is_type_check)


def _names(node: ast.AST, modules: Mapping[str, Path]) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names if alias.name in modules]
        case ast.ImportFrom(module=str(package), names=names):
            full = [f"{package}.{alias.name}" for alias in names]
            return [name if name in modules else package for name in full if package in modules]
    return []


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
