"""The command `batchgen`, also `python -m batchgen`."""

import sys

_INTERRUPTED = 130  # errors.Exit.INTERRUPTED, which may not be loaded yet


def main() -> int:
    """Load the command line and run it; return its exit code."""
    try:
        from batchgen.cli.main import main as command  # noqa: PLC0415  # an interrupt of the import is caught too

        return command()
    except KeyboardInterrupt:
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
