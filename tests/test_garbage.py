"""How often Python collects while runs are under way, and after the last of them."""

import gc

from batchgen.garbage import seldom_collected


def test_all_is_as_before_when_the_last_run_has_ended_in_whatever_order() -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    first, second = seldom_collected(), seldom_collected()
    first.__enter__()
    second.__enter__()
    assert gc.get_threshold()[0] > before[0]
    first.__exit__(None, None, None)
    assert gc.get_threshold()[0] > before[0]
    second.__exit__(None, None, None)

    assert gc.get_threshold() == before
    assert gc.get_freeze_count() <= frozen
