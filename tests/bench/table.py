"""Markdown tables."""

from collections.abc import Iterable, Sequence

MEGABYTE = 1024**2


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; the first column is text, the others are figures."""
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def megabytes(size_bytes: float) -> str:
    return f"{size_bytes / MEGABYTE:,.0f} MB"
