"""`python -m batchgen.lanes FD`: started by a run, never by a person."""

import asyncio
import sys

from batchgen.lanes.far import serve

if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
