"""The console command `batchgen`, which is `python -m batchgen` as well."""

import sys

_INTERRUPTED = 130  # as errors.Exit has it, which may not be loaded yet


def main() -> int:
    """Load the command line and run it; return its exit code."""
    try:
        from batchgen.cli.main import main as command  # noqa: PLC0415  # may be interrupted as well

        return command()
    except KeyboardInterrupt:
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
