"""How long a model may be refused until the run halts."""

from batchgen.engine.throttle.refusal_watch import RefusalWatch


def refused(
    watch: RefusalWatch, *moments: float, in_doubt: bool = False, wait_s: float = 0
) -> None:
    for moment in moments:
        watch.record_refused(moment, sent_at=moment, wait_s=wait_s, in_doubt=in_doubt)


def test_a_window_of_minutes_halts_nothing() -> None:
    watch = RefusalWatch()
    refused(watch, *range(0, 890, 10))
    assert not watch.is_endless(890)
    assert not watch.is_spent(890)


def test_a_quarter_of_an_hour_without_an_accepted_request_is_endless() -> None:
    watch = RefusalWatch()
    refused(watch, *range(0, 901, 10))
    assert watch.is_endless(900)
    assert watch.record_accepted(sent_at=899)
    assert not watch.is_endless(5000)


def test_long_waits_that_the_provider_asks_for_are_not_held_against_it() -> None:
    watch = RefusalWatch()
    refused(watch, 0, 3600, 7200, 10_800, 14_400, wait_s=3600)
    assert not watch.is_endless(14_400)


def test_a_long_wait_that_many_replies_ask_for_counts_once() -> None:
    watch = RefusalWatch()
    refused(watch, 0, 1, 2, 3, 4, wait_s=3600)
    refused(watch, *range(3604, 3604 + 901, 100))
    assert not watch.is_endless(3604 + 890)
    assert watch.is_endless(3604 + 901)


def test_doubt_lasts_45_seconds_and_two_minutes_after_a_success() -> None:
    watch = RefusalWatch()
    refused(watch, 0, 1, 3, 7, 15, 31, 47, in_doubt=True)
    assert not watch.is_spent(44)
    assert watch.is_spent(47)

    assert watch.record_accepted(sent_at=48)
    refused(watch, 100, 101, 103, 107, 115, 131, in_doubt=True)
    assert not watch.is_spent(131)
    assert watch.is_spent(221)


def test_a_request_that_was_sent_before_the_doubt_does_not_end_it() -> None:
    watch = RefusalWatch()
    refused(watch, 10, 11, 13, 17, 25, in_doubt=True)
    assert not watch.record_accepted(sent_at=9)
    assert watch.probe_wait_s() == 16
    assert not watch.is_spent(10 + 119)  # but something was accepted once
    assert watch.is_spent(10 + 120)
    assert watch.record_accepted(sent_at=25)
    assert watch.probe_wait_s() == 0


def test_one_refusal_that_is_plainly_pacing_ends_the_doubt() -> None:
    watch = RefusalWatch()
    refused(watch, 0, 1, 3, 7, 15, in_doubt=True)
    refused(watch, 31)
    assert not watch.is_spent(31)


def test_refusals_of_requests_that_were_in_flight_together_are_one_probe() -> None:
    watch = RefusalWatch()
    for _ in range(16):
        watch.record_refused(1, sent_at=0, wait_s=0, in_doubt=True)
    assert watch.probe_wait_s() == 1
    assert not watch.is_spent(500)


def test_probes_wait_longer_each_time() -> None:
    watch = RefusalWatch()
    assert watch.probe_wait_s() == 0
    waits = []
    for moment in range(7):
        refused(watch, moment, in_doubt=True)
        waits.append(watch.probe_wait_s())
    assert waits == [1, 2, 4, 8, 16, 16, 16]
