"""URLs that were received before a crash."""

from pathlib import Path

from tests.e2e.command import results
from tests.torture.families import URLS
from tests.torture.fault import Fault
from tests.torture.provider import Provider
from tests.torture.runs import KILLED, Launcher, make_job

_RECEIVED = Fault("batchgen.storage.ledger:Ledger.record_received", 1, after=True)


async def test_an_expired_url_is_neither_fetched_nor_generated_again_unless_requested(
    tmp_path: Path, launcher: Launcher
) -> None:
    async with Provider(url_query="?Expires=1700000000", honours_keys=False) as provider:
        job = make_job(tmp_path, launcher, provider, rows=2, workers=1, families=[URLS])
        assert await job.run(fault=_RECEIVED) == KILLED

        assert await job.run() == 1
        failed, succeeded = results(job.out)
        assert (failed["status"], failed["error"]["kind"]) == ("failed", "expired")
        assert succeeded["status"] == "succeeded"
        assert (provider.downloads, len(provider.generations)) == (1, 2)

        assert await job.run("--retry-failed", "timeout") == 1
        assert len(provider.generations) == 2
        assert await job.run("--retry-failed", "expired") == 0
        assert (provider.downloads, len(provider.generations), provider.duplicates) == (2, 3, 0)


async def test_a_url_that_cannot_be_fetched_is_fetched_by_the_next_run(
    tmp_path: Path, launcher: Launcher
) -> None:
    async with Provider(honours_keys=False, truncates_files=True) as provider:
        job = make_job(tmp_path, launcher, provider, rows=3, workers=2, families=[URLS])

        assert await job.run() == 1
        assert {line["status"] for line in results(job.out)} == {"pending"}

        provider.truncates_files = False
        await job.finish_and_check()
        assert (len(provider.generations), provider.duplicates) == (3, 0)
