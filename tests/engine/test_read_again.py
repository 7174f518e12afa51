"""Kept replies are read again, with a real ledger and real files."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from batchgen.engine.kept_replies import KeptReplies
from batchgen.engine.read_again import Reading, read_kept_replies
from batchgen.job import PROVIDERS, Job
from batchgen.provider.adapter import Adapter
from batchgen.storage.artifacts import LocalStore
from batchgen.types import HttpResponse, Outcome, RetrySettings, Status, Task, TaskError
from tests.given import NOW, a_ledger, a_task

UNREADABLE = HttpResponse(200, {}, b'{"state": "stored", "receipt": "r-7"}')
READABLE = HttpResponse(200, {}, b'{"data": [{"url": "https://cdn.example/a.png"}]}')
TASK = a_task()


class Folder:
    """An output directory with a ledger and kept replies."""

    def __init__(self, root: Path) -> None:
        self.ledger = a_ledger(root)
        self.store = LocalStore(root, is_taken=lambda _: False)
        self.store.prepare()
        self.replies = KeptReplies(root, self.store.open_sink)

    async def read(self) -> Reading:
        job = Job("j", PROVIDERS["aimlapi"], Path("out"))
        return await read_kept_replies(
            self.ledger, self.replies, adapter=Adapter(job), store=self.store,
            settings=RetrySettings(), now=NOW,
        )  # fmt: skip

    async def send(self, task: Task = TASK) -> None:
        await self.ledger.record_sent(task, 1, attempts=1, now=NOW, idempotency_key="k")

    def crash(self) -> None:
        """Begin the next run: what was sent is unknown."""
        self.ledger.begin_run(pid=2, total=1, now=NOW)

    def state(self) -> tuple[Status, str | None]:
        (record,) = self.ledger.records()
        return record.outcome.status, record.outcome.reply


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    folder = Folder(tmp_path)
    yield folder
    folder.store.close()
    folder.ledger.close()


async def fail_with(folder: Folder, reply: HttpResponse) -> str:
    await folder.send()
    path = await folder.replies.keep(TASK, 1, 0, reply)
    error = TaskError("bad_response", None, "no image")
    await folder.ledger.record_outcome(TASK, 1, Outcome(Status.FAILED, error=error, reply=path))
    return path


async def test_a_reply_that_has_a_result_now_is_received(folder: Folder) -> None:
    path = await fail_with(folder, READABLE)

    assert await folder.read() == Reading(readable=1)
    assert folder.state() == (Status.RECEIVED, path)


async def test_a_reply_without_a_result_stays_failed_and_kept(folder: Folder) -> None:
    path = await fail_with(folder, UNREADABLE)

    assert await folder.read() == Reading()
    assert folder.state() == (Status.FAILED, path)


async def test_after_a_crash_the_file_is_the_reply_of_its_task(folder: Folder) -> None:
    await folder.send()
    path = await folder.replies.keep(TASK, 1, 0, UNREADABLE)
    folder.crash()

    assert await folder.read() == Reading(settled=1)
    assert folder.state() == (Status.FAILED, path)


async def test_after_a_crash_a_file_with_a_result_is_used(folder: Folder) -> None:
    await folder.send()
    path = await folder.replies.keep(TASK, 1, 0, READABLE)
    folder.crash()

    assert await folder.read() == Reading(readable=1, settled=1)
    assert folder.state() == (Status.RECEIVED, path)


async def test_the_file_of_another_version_settles_nothing(folder: Folder) -> None:
    await folder.send()
    await folder.replies.keep(TASK, 2, 0, READABLE)
    folder.crash()

    assert await folder.read() == Reading()
    assert folder.state() == (Status.UNKNOWN, None)


async def test_the_file_of_a_success_is_removed(folder: Folder, tmp_path: Path) -> None:
    await folder.send()
    path = await folder.replies.keep(TASK, 1, 0, READABLE)
    await folder.ledger.record_outcome(TASK, 1, Outcome(Status.SUCCEEDED))

    await folder.read()

    assert not (tmp_path / path).exists()


async def test_a_ledger_cannot_name_another_file(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "secret.http").write_bytes(b"HTTP/1.1 200\r\n\r\n" + READABLE.body)

    assert await folder.replies.read("secret.http") is None
    assert await folder.replies.read(".batchgen/replies/../../secret.http") is None
    folder.replies.remove("secret.http")
    assert (tmp_path / "secret.http").exists()


async def test_a_link_is_not_followed(folder: Folder, tmp_path: Path) -> None:
    path = await folder.replies.keep(TASK, 1, 0, READABLE)
    outside = tmp_path / "outside.http"
    (tmp_path / path).rename(outside)
    (tmp_path / path).symlink_to(outside)

    assert await folder.replies.read(path) is None
