"""`python -m batchgen` is the console command `batchgen`."""

import sys

from batchgen.cli import main

if __name__ == "__main__":
    sys.exit(main())
