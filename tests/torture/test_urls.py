"""URLs that were received before a crash."""

from pathlib import Path

from tests.e2e.command import results
from tests.torture.families import URLS
from tests.torture.fault import Fault
from tests.torture.provider import Provider
from tests.torture.runs import KILLED, Launcher, a_job

_RECEIVED = Fault("batchgen.storage.ledger:Ledger.record_received", 1, after=True)


async def test_an_expired_url_is_neither_asked_for_nor_made_again_unless_it_is_said(
    tmp_path: Path, launcher: Launcher
) -> None:
    async with Provider(link_query="?Expires=1700000000", honours_keys=False) as provider:
        job = a_job(tmp_path, launcher, provider, tasks=2, workers=1, families=[URLS])
        assert await job.run(fault=_RECEIVED) == KILLED

        assert await job.run() == 1
        failed, succeeded = results(job.out)
        assert (failed["status"], failed["error"]["kind"]) == ("failed", "expired")
        assert succeeded["status"] == "succeeded"
        assert (provider.fetched, len(provider.made)) == (1, 2)

        assert await job.run("--retry-failed", "timeout") == 1
        assert len(provider.made) == 2
        assert await job.run("--retry-failed", "expired") == 0
        assert (provider.fetched, len(provider.made), provider.doubles) == (2, 3, 0)


async def test_a_url_that_cannot_be_fetched_now_is_fetched_by_the_next_run(
    tmp_path: Path, launcher: Launcher
) -> None:
    async with Provider(honours_keys=False, files_down=True) as provider:
        job = a_job(tmp_path, launcher, provider, tasks=3, workers=2, families=[URLS])

        assert await job.run() == 1
        assert {line["status"] for line in results(job.out)} == {"pending"}

        provider.files_down = False
        await job.finish()
        assert (len(provider.made), provider.doubles) == (3, 0)
