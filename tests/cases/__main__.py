"""Run cases and print what does not hold."""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from .case import problems

_CASES = Path(__file__).resolve().parents[2] / ".." / "shared" / "cases" / "providers"


def main() -> int:
    """Run the chosen cases, some at once; return 1 if anything does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--kind", nargs="+", default=[])
    parser.add_argument("--file", type=Path, default=_CASES / "cases.jsonl")
    parser.add_argument("--at-once", type=int, default=3)
    args = parser.parse_args()
    cases = [json.loads(line) for line in args.file.read_text().splitlines() if line.strip()]
    chosen = [
        case
        for case in cases
        if (case["name"] in args.names or case["kind"] in args.kind)
        or not (args.names or args.kind)
    ]
    return asyncio.run(_run(chosen, args.at_once))


async def _run(cases: list[dict[str, Any]], at_once: int) -> int:
    places = asyncio.Semaphore(at_once)

    async def run(case: dict[str, Any]) -> bool:
        async with places:
            with tempfile.TemporaryDirectory() as here:
                found = await problems(case, Path(here))
        sys.stdout.write(f"{'FAIL' if found else 'ok  '} {case['name']}\n")
        sys.stdout.writelines("      " + line.replace("\n", "\n      ") + "\n" for line in found)
        sys.stdout.flush()
        return not found

    held = await asyncio.gather(*map(run, cases))
    sys.stdout.write(f"{sum(held)} of {len(held)} cases hold\n")
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
