"""The one direction of imports: a module imports from lower layers only."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "batchgen"

# A package counts as one module. README's "How it works" shows the same order.
LAYERS = (
    {"errors", "types", "clock", "examples", "faults", "service", "garbage"},
    {
        "text",
        "media",
        "descriptors",
        "polling",
        "streams",
        "grouping",
        "deadlines",
        "spool",
        "expiry",
    },
    {"counts", "embedding", "parsing", "outcomes", "problems", "hands", "pieces", "store"},
    {"settings", "quotes", "stream", "guard", "proxy", "endpoints", "catalog", "manifest"},
    {"inputs", "encoding", "summary"},
    {"upload", "client"},
    {"job", "retry"},
    {"tasks", "prices", "schema", "dialect", "notices"},
    {"references", "shares"},
    {"plan"},
    {"transport", "ledger", "progress", "results", "openai_batch", "remake"},
    {"labels", "parquet", "throttle"},
    {"companions"},
    {"perform", "stopping", "worklist"},
    {"terms"},
    {
        *(
            "sources",
            "permits",
            "ending",
            "signals",
            "account",
            "controls",
            "live",
            "report",
        ),
        *("directory", "origin"),
    },
    {"feeding", "runner", "settle", "simulator"},
    {"closing"},
    {"underway"},
    {"session", "verify", "standing"},
    {"rebuild", "merge"},
    {"api"},
    {"commands"},
    {"cli"},
    {"__main__"},
)


def test_every_module_imports_from_lower_layers_only() -> None:
    wrong = [
        f"{importer} imports {imported}"
        for importer, imported in _imports()
        if importer != imported and _layer(imported) >= _layer(importer)
    ]
    assert wrong == []


def test_every_module_has_a_layer() -> None:
    assert {importer for importer, _ in _imports()} <= set().union(*LAYERS)


def test_the_simulator_knows_none_of_the_adapters() -> None:
    imported = {imported for importer, imported in _imports() if importer == "simulator"}
    assert imported <= {"simulator", "errors", "faults"}


def _layer(module: str) -> int:
    return next(number for number, layer in enumerate(LAYERS) if module in layer)


def _imports() -> set[tuple[str, str]]:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        importer = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if importer == "__init__":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            for name in _names(node):
                parts = name.split(".")
                if parts[0] == "batchgen" and len(parts) > 1 and parts[1] != "__version__":
                    found.add((importer, parts[1]))
    return found


def _names(node: ast.AST) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module="batchgen", names=names):
            return [f"batchgen.{alias.name}" for alias in names]
        case ast.ImportFrom(module=str(module)):
            return [module]
    return []
