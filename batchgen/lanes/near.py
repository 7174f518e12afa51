"""The main process's end of its lanes: what a run takes for its transport and its store."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, cast

from batchgen.errors import StorageError, UsageError
from batchgen.lanes.wire import Message, Wire
from batchgen.service import Service
from batchgen.types import Artifact, HttpRequest, Made, Reply, Spooled

_SWITCH = "BATCHGEN_LANES"
_MOST_TOLD = 64
_FEW_IN_FLIGHT = 8
_MANY_IN_FLIGHT = 128
_MOST = 2  # more were never faster than what the main process could tell them
_LEAVE_S = 3.0  # longer than the first process waits for the others
# Elsewhere a fork may find the system's own libraries half-way through something (macOS).
_FORKS = sys.platform == "linux"
_NOT_FOR_LANES = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


# Modules come from where the main process has them: with -P none from the user's own folder.
_BEGIN = "import sys; sys.path[:] = {path!r}; import batchgen.lanes.far as f; f.main({descriptors})"


def _path() -> list[str]:
    return [os.path.abspath(one) for one in sys.path if one]


def told_lanes() -> int | None:
    """How many lanes the environment variable BATCHGEN_LANES asks for; raises UsageError."""
    told = os.environ.get(_SWITCH, "")
    if not told:
        return None
    if not (told.isascii() and told.isdigit()) or int(told) > _MOST_TOLD:
        raise UsageError(f"{_SWITCH} is {told[:40]!r}: give a number up to {_MOST_TOLD}; 0 is none")
    return int(told)


def lanes_worth(in_flight: int) -> int:
    """How many lanes pay on this machine: none on one core, or where there are no socket pairs.

    With very many requests in flight the provider's latency sets the rate, and lanes would only
    hold more buffers.
    """
    if sys.platform == "win32" or not sys.executable:
        return 0
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    pays = cores > 1 and _FEW_IN_FLIGHT <= in_flight <= _MANY_IN_FLIGHT
    return min(_MOST, cores) if pays else 0


class _Lane:
    """One end of a lane's socket, and the answers that are waited for.

    process: the number of the lane's process, once it has told it.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._numbers = count()
        self._awaited: dict[int, asyncio.Future[Any]] = {}
        self._wire: Wire | None = None
        self.token = ""
        self.process = 0

    @property
    def load(self) -> int:
        """How many answers are waited for."""
        return len(self._awaited)

    async def open(self, *values: object) -> None:
        """Have it make ready for a run."""
        wire = self._wire = Wire(self._hear, self._lost)
        await asyncio.get_running_loop().create_unix_connection(lambda: wire, sock=self._socket)
        self.token, self.process = await self.ask("open", *values)

    def ask(self, what: str, *values: object) -> "asyncio.Future[Any]":
        """What the lane answers. Raises what the work for it raised."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._wire is None:
            answer.set_exception(self._ended())
            return answer
        number = next(self._numbers)
        self._awaited[number] = answer
        self._wire.tell((number, what, *values))
        return answer

    def tell(self, what: str, *values: object) -> None:
        """Say what needs no answer."""
        if self._wire is not None:
            self._wire.tell((None, what, *values))

    async def close(self) -> None:
        """Have it finish what it writes."""
        if self._wire is not None:
            await self.ask("close")

    def end(self) -> None:
        """Close the socket, with which the lane ends; within the event loop that opened it."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None
        self._socket.close()

    def _hear(self, message: Message) -> None:
        number, result, error = message
        answer = self._awaited.pop(number)
        if answer.done():  # whoever waited was cancelled
            return
        if error is None:
            answer.set_result(result)
        else:
            answer.set_exception(error)

    def _lost(self) -> None:
        self._wire = None
        awaited, self._awaited = self._awaited, {}
        for answer in awaited.values():
            if not answer.done():
                answer.set_exception(self._ended())

    def _ended(self) -> StorageError:
        which = f"process {self.process}" if self.process else "process"
        return StorageError(
            f"the {which} that sent requests for this run was ended from"
            " outside, perhaps for want of memory: run the same command again to go on"
            f" ({_SWITCH}=0 does without such processes)"
        )


class _Start:
    """A process that becomes as many lanes, once it has loaded what lanes need.

    It forks for all but the first, so that they share what was loaded.
    """

    def __init__(self, number: int) -> None:
        pairs = [socket.socketpair() for _ in range(number)]
        self.lanes = [_Lane(near) for near, _ in pairs]
        self._process = _started([far.fileno() for _, far in pairs])
        for _, far in pairs:
            far.close()

    def end(self) -> None:
        """End its lanes; harmless when repeated.

        They go at once when their sockets close. Where one hangs, the first kills it; what does
        not go then is killed, and what has not been told of any run: it may still be loading.
        """
        for lane in self.lanes:
            lane.end()
        told = any(lane.process for lane in self.lanes)
        try:
            self._process.wait(_LEAVE_S if told else 0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _started(descriptors: Sequence[int]) -> "subprocess.Popen[bytes]":
    """A process, born deaf to the signals that are the main process's to hear."""
    begin = _BEGIN.format(path=_path(), descriptors=descriptors)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _NOT_FOR_LANES)
    try:
        return subprocess.Popen(  # noqa: S603  # this program itself
            [sys.executable, "-P", "-c", begin],
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Lanes:
    """A run's transport and store, where other processes do the work."""

    def __init__(self, number: int, root: Path) -> None:
        """Start so many processes for an output directory; they load what they need meanwhile."""
        self._root = str(root.absolute())
        self._starts = [_Start(number)] if _FORKS else [_Start(1) for _ in range(number)]
        self._lanes = [lane for start in self._starts for lane in start.lanes]
        self._owners: dict[str, _Lane] = {}  # by what names of their temporary files begin with
        self._unsettled: dict[str, _Lane] = {}

    async def open(
        self,
        service: Service,
        *,
        connections: int,
        orphans: frozenset[tuple[int, int]],
    ) -> None:
        """Make ready for a run. orphans: files of crashed runs that may be taken over."""
        values = (service, connections, self._root, orphans)
        await asyncio.gather(*(lane.open(*values) for lane in self._lanes))
        self._owners = {lane.token: lane for lane in self._lanes}

    @property
    def processes(self) -> list[int]:
        """The numbers of the processes."""
        return [lane.process for lane in self._lanes]

    async def close(self) -> None:
        """Have all of them finish what they write, and end them."""
        await asyncio.gather(*(lane.close() for lane in self._lanes))
        self.end()

    def end(self) -> None:
        """End them at once; harmless when repeated."""
        for start in self._starts:
            start.end()

    async def send(self, request: HttpRequest, idempotency_key: str) -> Reply:
        """Send a request once; an empty key is not sent."""
        return cast("Reply", await self._idlest().ask("send", request, idempotency_key))

    async def fetch(self, url: str) -> Reply:
        """Get a payload by its URL; a good reply has it as its only payload."""
        return cast("Reply", await self._idlest().ask("fetch", url))

    async def publish(self, payload: Spooled | Made, filename: str, n: int) -> Artifact:
        """Store a payload as number `n` of its task at `filename`; see `LocalStore.publish`."""
        if isinstance(payload, Spooled):
            lane = self._owner(payload)
            answer = lane.ask("publish", payload.path, filename, n)
        else:
            lane = self._idlest()
            answer = lane.ask("publish", payload, filename, n)
        artifact: Artifact = await answer
        self._unsettled[artifact.path] = lane
        return artifact

    def settle(self, paths: Iterable[str]) -> None:
        """The ledger has the artifacts at these paths: their temporary names may go."""
        for path in paths:
            if (lane := self._unsettled.pop(path, None)) is not None:
                lane.tell("settle", path)

    def discard(self, spooled: Spooled) -> None:
        """Remove a payload that will not be published."""
        self._owner(spooled).tell("discard", spooled.path)

    def _idlest(self) -> _Lane:
        return min(self._lanes, key=_load)

    def _owner(self, spooled: Spooled) -> _Lane:
        return self._owners[spooled.path.rpartition("/")[2].partition("-")[0]]


def _load(lane: _Lane) -> int:
    return lane.load
