"""The wait that a provider asks for in the words of a message. Pure."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from types import MappingProxyType

from batchgen.provider.endpoints.durations import DURATION, read_number, read_wait_s

_MAX_WIDTH = 4000  # characters of a message that are read
_WORDS = MappingProxyType(
    {
        "a": "1", "an": "1", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5",
        "ten": "10", "fifteen": "15", "twenty": "20", "thirty": "30", "sixty": "60",
    }
)  # fmt: skip
_COUNT = "|".join(_WORDS)
_QUOTED = re.compile(  # long ones repeat the request; an apostrophe inside of a word is no quote
    r"(?<!\w)'(?:[^'\n]|(?<=\w)'(?=\w)){12,}'(?!\w)|\"(?=[^\s\"]*\s)[^\"\n]{12,}\"|`[^`\n]{12,}`"
    r"|“[^”\n]{12,}”"
)
_APOSTROPHES = str.maketrans({"’": "'", "ʼ": "'", "‘": "'"})  # noqa: RUF001  # apostrophes
_BLANKS = re.compile(r"\s+")
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
_FROM = re.compile(r"\b[0-9.]{1,9} ?(?:-|\u2013|to) ?(?=[0-9.]{1,9} ?(?:m?s|sec|min|hour|[hm]\b))")
_MORE = re.compile(
    r"(?<=[0-9]) (?:more|additional|further)(?= ?(?:second|minute|hour|m?s\b|min|sec))"
)
_WORD_BEFORE_UNIT = re.compile(rf"\b({_COUNT})(?= (?:second|minute|hour|day)s?\b)")
_HALF = re.compile(r"\bhalf an? (minute|hour)\b")
# Words that make a duration a limit or a window instead of a wait.
_LIMIT_WORDS = (
    r"every|each|per|limit(?:ed)? (?:of|is)|max|maximum|most|within|window|exceed\w*|last|past"
    r"|previous|timed|took|taken|than|time-?out|once|up to"
)
_GAP = rf"(?:(?!\b(?:{_LIMIT_WORDS})\b)[^.;!?0-9]){{0,40}}?"
_ASKS = (
    r"(?<!max )(?<!maximum )(?:try(?:ing)?|retry(?:ing)?|again|wait(?:ing)?|come back|back ?off"
    r"|cool(?:ing)?[ -]?down|delay|slow down|hold off|pause)"
)
_NAMES = (
    r"(?:resets?|resetting|available|(?:next|another|new) (?:request|image|generation|call|attempt)"
    r"|refill(?:s|ed)?|renew(?:s|ed)?|replenish(?:es|ed)?|lifted|unblocked|unlocks?|expires?|ready"
    r"|resumes?|restored|retry_after|retryafter|retrydelay"
    r"|(?:blocked|paused|throttled|limited|banned) for)"
)
_DIRECT = re.compile(rf"\b{_ASKS}\b{_GAP}(?P<wait>{DURATION})")
_STRICT = re.compile(
    rf"\b(?:try(?:ing)? (?:\w+ ){{0,3}}?again|retry|wait) (?:in|after|for)? ?(?:about )?[~≈]? ?"
    rf"(?P<wait>{DURATION})"
)
_RESETS = re.compile(rf"\b{_NAMES}\b{_GAP}(?P<wait>{DURATION})")
_BEFORE = re.compile(
    rf"(?P<wait>{DURATION}) (?:(?:left|to go|remaining|later)\b(?! (?:of|in)\b)|until\b"
    r"|before (?:your|the|a|an|you|another|retry|try|next|making|sending|submitting)"
    r"|and (?:then )?(?:re)?try)"
)
_AFTER = re.compile(
    rf"\b(?:after (?P<wait>{DURATION})[^.,;0-9]{{0,30}}\b(?:try again|retry|you (?:can|may))"
    rf"|in (?P<later>{DURATION}),? you (?:can|may))\b"
)
_BARE = re.compile(
    r"(?:\bretry[ _-]?(?:after|in|delay)|\btry again (?:in|after)|\bwait(?: for)?)"
    r"(?:[ _-]?(?:in[ _])?(?P<unit>milliseconds|ms|seconds|secs?|s))?[\"']?\s?[:=]?\s?[\"']?"
    r"(?P<wait>[0-9]{1,12}(?:\.[0-9]{1,9})?)(?![0-9a-z/%:-]|\.[0-9]| [a-z/%])"
)
_MOMENT = re.compile(
    rf"\b(?:{_ASKS}|{_NAMES}|until)\b[^.;0-9]{{0,30}}?(?P<wait>"
    r"20[0-9]{2}-[0-9]{2}-[0-9]{2}[t ][0-9:.]{5,18}(?:\s?(?:z|utc|gmt|[+-][0-9:]{4,5})\b)?"
    r"|(?:mon|tue|wed|thu|fri|sat|sun), [0-9]{2} [a-z]{3} 20[0-9]{2} [0-9:]{8} (?:gmt|utc|[+-]0000)"
    r"|1[0-9]{9}(?:[0-9]{3})?(?![0-9.]))"
)
_CLOCK = re.compile(
    rf"\b(?:{_ASKS}|{_NAMES}|until)\b[^.;0-9]{{0,30}}?(?:\bat |\buntil )"
    r"(?P<hour>[01]?[0-9]|2[0-3]):(?P<minute>[0-5][0-9])"
    r"(?::(?P<second>[0-5][0-9]))? ?\(?(?:utc|gmt|z)\b"
)
_TIMER = re.compile(
    rf"\b(?:{_ASKS}|{_NAMES})\b(?:(?! at | until )[^.;0-9]){{0,40}}?"
    rf"(?P<wait>[0-9]{{1,3}}:[0-9]{{2}}:[0-9]{{2}}(?:\.[0-9]{{1,9}})?)"
)
_CHINESE = re.compile(r"(?P<wait>[0-9]{1,6}) ?(?P<unit>毫秒|秒|分|小时)钟?(?:之?后|以后|再)")
_CHINESE_UNITS_S = MappingProxyType({"毫秒": 0.001, "秒": 1.0, "分": 60.0, "小时": 3600.0})
_DAY_S = 86_400.0


def word_waits(message: str, now: datetime, *, limited: bool) -> Iterator[float | None]:
    """Yield the waits that a message names, the most direct one first.

    limited: whether the reply refuses a request for its rate; else only plain wordings are read.
    Quoted passages are left out: they repeat the request.
    """
    text = _plain(message[:_MAX_WIDTH])
    if not limited:
        yield from _durations(_STRICT, text, now)
        return
    yield from _durations(_DIRECT, text, now)
    yield from _bare(text)
    for pattern in (_MOMENT, _TIMER, _RESETS, _BEFORE, _AFTER):
        yield from _durations(pattern, text, now)
    for match in _CLOCK.finditer(text):
        yield _until_clock_s(match, now)
    for match in _CHINESE.finditer(text):
        yield float(match["wait"]) * _CHINESE_UNITS_S[match["unit"]]


def _plain(message: str) -> str:
    """Return a message in lower case, without quotes, with single blanks and plain numbers."""
    text = _QUOTED.sub(" ", message.translate(_APOSTROPHES))
    text = _THOUSANDS.sub("", _BLANKS.sub(" ", text).casefold())
    text = _HALF.sub(lambda match: "30 seconds" if match[1] == "minute" else "30 minutes", text)
    text = _WORD_BEFORE_UNIT.sub(lambda match: _WORDS[match[1]], text)
    return _MORE.sub("", _FROM.sub("", text))


def _durations(pattern: re.Pattern[str], text: str, now: datetime) -> Iterator[float | None]:
    for match in pattern.finditer(text):
        wait = next(part for part in match.groups() if part is not None)
        yield read_wait_s(wait.upper() if "-" in wait else wait, now)


def _bare(text: str) -> Iterator[float | None]:
    for match in _BARE.finditer(text):
        number = read_number(match["wait"])
        is_ms = (match["unit"] or "").startswith("m")
        yield None if number is None else number / 1000 if is_ms else number


def _until_clock_s(match: re.Match[str], now: datetime) -> float:
    """Return the seconds until a time of day in UTC."""
    end = now.replace(
        hour=int(match["hour"]),
        minute=int(match["minute"]),
        second=int(match["second"] or 0),
        microsecond=0,
    )
    return ((end - now) % timedelta(days=1)).total_seconds()
