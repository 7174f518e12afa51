"""What of a pace is told, and how often."""

import math

from batchgen.engine.throttle.feedback import LogThrottle


def test_a_level_is_news_again_half_a_minute_later_and_no_limit_at_once() -> None:
    news = LogThrottle()
    assert news.tell(10.0, 0)
    assert not news.tell(2.0, 29)
    assert not news.tell(9.0, 31)
    assert news.tell(2.0, 31)
    assert news.tell(math.inf, 32)
    assert not news.tell(math.inf, 100)
