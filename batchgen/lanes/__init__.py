"""Processes beside the main one that send requests and put payloads on disk.

All decisions, the ledger and the results stay in the main process, which tells its lanes what to
do (`near.py`) over a socket that nobody else has (`wire.py`); a lane (`far.py`) has the provider's
connections and the temporary files. So the work for a request is spread over the machine's cores,
and a payload's bytes never pass between processes. A lane ends when the main process does, however
that ends; what it was about is `sent` in the ledger, as after any crash.
"""

from batchgen.lanes.near import Lanes, lanes_worth, told_lanes

__all__ = ["Lanes", "lanes_worth", "told_lanes"]
