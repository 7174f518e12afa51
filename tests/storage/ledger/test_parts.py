"""Tasks that take several requests: the result of each is kept after a crash."""

import pytest

from batchgen.storage.ledger import Ledger
from batchgen.storage.ledger.inventory import Inventory
from batchgen.types import Finished, RemotePayload, Status
from tests.given import NOW, a_task, an_artifact, succeeded

FIRST = succeeded(an_artifact("fox-0-1.png"), an_artifact("fox-0-2.png"), cost_usd=0.02)
SECOND = succeeded(an_artifact("fox-0-3.png"), cost_usd=0.03)
TASK = a_task()


async def record_first_part(ledger: Ledger, *, generation: int = 1) -> None:
    await ledger.record_sent(TASK, generation, attempts=1, now=NOW)
    await ledger.record_received(TASK, Finished((RemotePayload("https://a/b"),)), FIRST)
    await ledger.record_part(TASK, generation, [FIRST])


async def test_a_part_is_kept_and_the_next_one_has_no_received_urls(ledger: Ledger) -> None:
    await record_first_part(ledger)

    prior = ledger.priors([TASK.key])[TASK.key]

    assert (prior.status, prior.received) == (Status.PENDING, None)
    assert [part.artifacts for part in prior.parts] == [FIRST.artifacts]
    assert [part.cost_usd for part in prior.parts] == [0.02]
    assert ledger.spent_usd() == pytest.approx(0.02)
    assert ledger.owner_of("fox-0-2.png") == TASK.key


async def test_the_ids_of_an_upload_are_kept(ledger: Ledger) -> None:
    uploads = (("voice_id", "vocal-7"), ("instrumental_id", "instrumental-7"))
    await ledger.record_sent(TASK, 1, attempts=1, now=NOW)
    await ledger.record_part(TASK, 1, [succeeded(uploads=uploads, cost_usd=0.0)])

    (part,) = ledger.priors([TASK.key])[TASK.key].parts

    assert (part.uploads, part.artifacts) == (uploads, ())


async def test_the_second_part_is_added_to_the_first(ledger: Ledger) -> None:
    await record_first_part(ledger)
    await ledger.record_sent(TASK, 1, attempts=2, now=NOW)
    await ledger.record_part(TASK, 1, [FIRST, SECOND])

    prior = ledger.priors([TASK.key])[TASK.key]
    (record,) = ledger.records()

    assert [part.artifacts for part in prior.parts] == [FIRST.artifacts, SECOND.artifacts]
    assert [artifact.path for artifact in record.outcome.artifacts] == [
        "fox-0-1.png", "fox-0-2.png", "fox-0-3.png",
    ]  # fmt: skip


async def test_a_crash_in_the_second_part_leaves_it_unknown_and_the_first_done(
    ledger: Ledger,
) -> None:
    await record_first_part(ledger)
    await ledger.record_sent(TASK, 1, attempts=2, now=NOW)
    ledger.close()

    with Ledger(ledger.path) as again:
        assert again.begin_run(pid=2, total=1, now=NOW) == 1
        prior = again.priors([TASK.key])[TASK.key]

    assert (prior.status, len(prior.parts)) == (Status.UNKNOWN, 1)


async def test_the_next_generation_reuses_the_parts_at_no_cost(ledger: Ledger) -> None:
    await record_first_part(ledger)
    await ledger.record_outcome(
        TASK, 1, succeeded(*FIRST.artifacts, status=Status.FAILED, cost_usd=0.02)
    )
    await ledger.record_sent(TASK, 2, attempts=1, now=NOW)

    prior = ledger.priors([TASK.key])[TASK.key]

    assert prior.generation == 2
    assert [part.cost_usd for part in prior.parts] == [0.0]
    assert ledger.spent_usd() == pytest.approx(0.02)


async def test_an_edited_row_reuses_no_parts(ledger: Ledger) -> None:
    await record_first_part(ledger)
    edited = a_task(digest="e" * 32)
    await ledger.record_sent(edited, 2, attempts=1, now=NOW)

    assert ledger.priors([TASK.key])[TASK.key].parts == ()


async def test_a_part_with_a_damaged_artifact_is_generated_again(ledger: Ledger) -> None:
    await record_first_part(ledger)
    await ledger.record_outcome(TASK, 1, succeeded(*FIRST.artifacts, *SECOND.artifacts))
    with Inventory(ledger.path) as inventory:
        (page,) = inventory.pages()
        inventory.reset(artifact for artifact in page if artifact.n == 2)

    prior = ledger.priors([TASK.key])[TASK.key]

    assert (prior.status, prior.parts) == (Status.PENDING, ())
