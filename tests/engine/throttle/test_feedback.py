"""How often a changing limit is logged."""

import math

from batchgen.engine.throttle.feedback import LogThrottle


def test_a_changed_value_is_logged_after_half_a_minute_and_no_limit_immediately() -> None:
    throttle = LogThrottle()
    assert throttle.should_log(10.0, 0)
    assert not throttle.should_log(2.0, 29)
    assert not throttle.should_log(9.0, 31)
    assert throttle.should_log(2.0, 31)
    assert throttle.should_log(math.inf, 32)
    assert not throttle.should_log(math.inf, 100)
