"""A lane at work: it does what comes over the socket that it was born with.

It decides nothing, and ends with the process that started it: the socket closes, whatever befell
the other end. What it was about then is left as a crash leaves it.
"""

import asyncio
import os
import signal
import socket
import time
import traceback
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, NoReturn

import msgspec
from msgspec.structs import replace

from batchgen.descriptors import affordable
from batchgen.errors import BatchgenError
from batchgen.garbage import seldom_collected
from batchgen.lanes.wire import Message, Wire
from batchgen.service import Service
from batchgen.store import LocalStore
from batchgen.transport import AiohttpTransport
from batchgen.types import HttpRequest, HttpResponse, Made, Reply, Spooled

# More would make smaller groups of files, and the disk does them in turn.
_FILE_THREADS = 2
_LEAVE_S = 1.0
_LOOK_S = 0.002


def main(descriptors: Sequence[int]) -> None:
    """Be a lane, until the other end of its socket closes; one process for each socket."""
    with seldom_collected():
        own, forked = _forked(descriptors)
        asyncio.run(serve(own, forked))


def _forked(descriptors: Sequence[int]) -> tuple[int, list[int]]:
    """Fork for each socket but the first; this process's own, and the processes it has made."""
    own, *others = descriptors
    forked: list[int] = []
    for other in others:
        process = os.fork()
        if not process:
            own, forked = other, []
            break
        forked.append(process)
    for one in descriptors:
        if one != own:  # whoever else held it would hide that its owner is gone
            os.close(one)
    return own, forked


async def serve(descriptor: int, forked: Sequence[int] = ()) -> None:
    """Do what is asked for until the socket closes, and see off the processes it has made."""

    def end() -> NoReturn:
        try:
            _see_off(forked)
        finally:
            os._exit(0)  # nobody waits for threads, connections and files any more

    loop = asyncio.get_running_loop()
    lane = _Lane()
    wire = Wire(lambda message: lane.hear(wire, message), end)
    await loop.create_unix_connection(lambda: wire, sock=socket.socket(fileno=descriptor))
    await loop.create_future()


def _see_off(forked: Sequence[int]) -> None:
    """Wait for this process's own, whose sockets close with its own; kill what does not go."""
    left = [process for process in forked if not _is_gone(process)]
    until = time.monotonic() + _LEAVE_S
    while left and time.monotonic() < until:
        time.sleep(_LOOK_S)
        left = [process for process in left if not _is_gone(process)]
    for process in left:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


def _is_gone(process: int) -> bool:
    try:
        return os.waitpid(process, os.WNOHANG)[0] == process
    except ChildProcessError:  # where SIGCHLD is ignored nobody has to be waited for
        return True


class _Doing(msgspec.Struct, frozen=True):
    """What a lane has once it knows of the run; held: payloads by their path."""

    transport: AiohttpTransport
    store: LocalStore
    held: dict[str, Spooled] = msgspec.field(default_factory=dict)

    async def send(self, request: HttpRequest, idempotency_key: str) -> Reply:
        """Send a request once."""
        return self._kept(await self.transport.send(request, idempotency_key))

    async def fetch(self, url: str) -> Reply:
        """Get a payload by its URL."""
        return self._kept(await self.transport.fetch(url))

    def publish(self, answer: "_Answer", payload: str | Made, filename: str, n: int) -> None:
        """Store a payload that has arrived, by its path, or that was made from a reply."""
        held = self.held.pop(payload) if isinstance(payload, str) else payload
        self.store.publish_for(answer, held, filename, n)

    def discard(self, path: str) -> None:
        """Remove a payload that will not be published."""
        self.store.discard(self.held.pop(path))

    def settle(self, path: str) -> None:
        """The ledger has the artifact at this path."""
        self.store.settle((path,))

    async def close(self) -> None:
        """Wait for what is being written, and let go of the connections."""
        await self.transport.__aexit__(None, None, None)
        await asyncio.to_thread(self.store.close)

    def _kept(self, reply: Reply) -> Reply:
        """A reply as it is told: the bytes of its payloads stay here."""
        if not isinstance(reply, HttpResponse) or not reply.payloads:
            return reply
        self.held.update((spooled.path, spooled) for spooled in reply.payloads)
        return replace(reply, payloads=tuple(replace(one, data=None) for one in reply.payloads))


class _Answer:
    """Where what came of an order is told, under its number."""

    __slots__ = ("_number", "_wire")

    def __init__(self, wire: Wire, number: int) -> None:
        self._wire = wire
        self._number = number

    def done(self) -> bool:
        """Whether nobody waits for it any more: the main process sees to that."""
        return False

    def set_result(self, result: object) -> None:
        """Tell what came of it."""
        self._wire.tell((self._number, result, None))

    def set_exception(self, exception: BaseException) -> None:
        """Tell what went wrong; what is nobody's fault but this program's ends the run."""
        if not isinstance(exception, BatchgenError):
            where = "".join(traceback.format_exception(exception))
            exception = RuntimeError(f"in a lane:\n{where}")
        self._wire.tell((self._number, None, exception))


class _Lane:
    """Hears orders: the first opens the run, and each is answered under its number."""

    def __init__(self) -> None:
        self._doing: _Doing | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def hear(self, wire: Wire, message: Message) -> None:
        """Begin what a message asks for."""
        number, what, *values = message
        if number is None:  # what nobody waits for
            getattr(self._doing, what)(*values)
            return
        answer = _Answer(wire, number)
        if what == "publish" and self._doing is not None:  # its threads answer
            try:
                self._doing.publish(answer, *values)
            except Exception as error:  # noqa: BLE001  # it is told where it is waited for
                answer.set_exception(error)
            return
        do = self._open if self._doing is None else getattr(self._doing, what)
        task = asyncio.get_running_loop().create_task(self._answered(answer, do(*values)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answered(self, answer: _Answer, work: Coroutine[Any, Any, object]) -> None:
        try:
            result = await work
        except Exception as error:  # noqa: BLE001  # it is told where it is waited for
            answer.set_exception(error)
        else:
            answer.set_result(result)

    async def _open(
        self, service: Service, connections: int, folder: str, orphans: frozenset[tuple[int, int]]
    ) -> tuple[str, int]:
        """Make ready for a run; what its temporary files' names begin with, and its process."""
        root = Path(folder)
        store = LocalStore(
            root, is_taken=_Owners(root).is_taken, orphans=orphans, threads=_FILE_THREADS
        )
        affordable(connections, lambda _: None)  # the main process has told it
        transport = AiohttpTransport(
            service, connections=connections, open_sink=store.open_sink, helpers=0
        )
        self._doing = _Doing(await transport.__aenter__(), store)
        return store.token, os.getpid()


class _Owners(msgspec.Struct):
    """Looks into the ledger for who owns a path, which only orphans of a crash make necessary."""

    root: Path

    def is_taken(self, path: str) -> bool:
        """Whether the ledger knows an artifact at this path."""
        # Few runs come after a crash: the others begin sooner without these.
        from batchgen.directory import ledger_path  # noqa: PLC0415  # see above
        from batchgen.ledger import Ledger  # noqa: PLC0415  # see above

        with Ledger(ledger_path(self.root), create=False) as ledger:
            return ledger.owner(path) is not None
