"""Decisions about replies, and how often and after which waits attempts are repeated."""

import asyncio
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.engine.decisions import BUILT_IN, classify, describe, describe_rules
from batchgen.engine.retry import retry_policy
from batchgen.provider.endpoints.images import parse_response
from batchgen.types import (
    Decision,
    FaultKind,
    Finished,
    HttpResponse,
    NetworkFault,
    Pending,
    Phase,
    RemotePayload,
    Reply,
    RetrySettings,
    Rule,
    Unusable,
    Verb,
)

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
USABLE = Finished((RemotePayload("https://cdn.example.test/a.png"),))


def decide(
    reply: Reply,
    *rules: Rule,
    phase: Phase = Phase.SUBMIT,
    model: str = "flux/schnell",
    max_wait_s: float = 3600.0,
) -> Decision:
    settings = RetrySettings(rules=rules, max_wait_s=max_wait_s)
    parse = parse_response
    return classify(reply, parse=parse, settings=settings, phase=phase, model=model, now=NOW)


def reply(status: int, body: str = "", headers: Mapping[str, str] | None = None) -> HttpResponse:
    return HttpResponse(status, headers or {}, body.encode())


def coded(status: int, code: str, message: str = "no") -> HttpResponse:
    return reply(status, f'{{"error": {{"code": "{code}", "message": "{message}"}}}}')


TABLE = [
    (reply(400, '{"message": "Invalid enum value"}'), Verb.FAIL, "invalid_request"),
    (reply(400, '{"message": "draw no credit card, quota 3"}'), Verb.FAIL, "invalid_request"),
    (reply(400, '{"message": "enable_safety_checker: boolean"}'), Verb.FAIL, "invalid_request"),
    (reply(400, '{"message": "invalid api key format"}'), Verb.HALT, "auth"),
    (coded(400, "content_policy_violation"), Verb.REFUSE, "content_policy"),
    (coded(400, "moderation_blocked"), Verb.REFUSE, "content_policy"),
    (coded(422, "InputTextSensitiveContentDetected"), Verb.REFUSE, "content_policy"),
    (coded(400, "x", "rejected by our safety system"), Verb.REFUSE, "content_policy"),
    (reply(403, '{"message": "Content policy: no credit"}'), Verb.REFUSE, "content_policy"),
    (coded(500, "content_policy_violation"), Verb.REFUSE, "content_policy"),
    (reply(401), Verb.HALT, "auth"),
    (reply(402), Verb.HALT, "quota"),
    (reply(403, '{"message": "You\'ve run out of credits."}'), Verb.HALT, "quota"),
    (
        reply(403, '{"message": "exhausted the available [plan.rule:api_token] resource limit"}'),
        Verb.HALT,
        "quota",
    ),
    (reply(403, '{"message": "This API key may not do that"}'), Verb.HALT, "auth"),
    (reply(403, '{"message": "Your account has been flagged"}'), Verb.HALT, "blocked"),
    (reply(403, "<html><title>Forbidden</title>"), Verb.FAIL, "forbidden"),
    (coded(429, "insufficient_quota"), Verb.HALT, "quota"),
    (reply(429, '{"message": "Free-tier limit reached"}'), Verb.RETRY, "rate_limited"),
    (reply(429, '{"message": "check your plan and billing"}'), Verb.RETRY, "rate_limited"),
    (coded(429, "invalid_api_key"), Verb.HALT, "auth"),
    (reply(429, '{"message": "Too Many Requests"}'), Verb.RETRY, "rate_limited"),
    (coded(429, "rate_limit_exceeded", "see account/billing"), Verb.RETRY, "rate_limited"),
    (reply(429, '{"message": "quota of 5 images per minute"}'), Verb.RETRY, "rate_limited"),
    (reply(429, '{"message": "Too many requests for this API key"}'), Verb.RETRY, "rate_limited"),
    *((reply(status), Verb.FAIL, "not_found") for status in (404, 405)),
    *((reply(status), Verb.FAIL, "invalid_request") for status in (413, 415, 422, 451)),
    *((reply(status), Verb.RETRY, "server") for status in (408, 409, 425, 500, 502, 503, 504, 529)),
    (reply(501), Verb.FAIL, "server"),
    (reply(500, '{"message": "The model is under maintenance"}'), Verb.FAIL, "server"),
    (reply(302, headers={"location": "https://x.test/?k=1"}), Verb.FAIL, "bad_response"),
    (reply(700), Verb.FAIL, "bad_response"),
    (reply(200, "<html>"), Verb.RETRY, "web_page"),
    (reply(200, '{"data": []}'), Verb.RETRY, "bad_response"),
    (reply(204), Verb.RETRY, "bad_response"),
    (reply(200, '{"status": "failed", "error": "boom"}'), Verb.FAIL, "remote_failed"),
    (coded(200, "invalid_api_key"), Verb.HALT, "auth"),
    (coded(200, "insufficient_quota"), Verb.HALT, "quota"),
    (coded(200, "rate_limit_exceeded"), Verb.RETRY, "rate_limited"),
    (coded(200, "x", "frames per second: 24 or 30"), Verb.FAIL, "remote_failed"),
    (coded(200, "x", "'a letter of insufficient funds' is too long"), Verb.FAIL, "remote_failed"),
    (reply(200, '{"data": {"content_violation": true}}'), Verb.REFUSE, "content_policy"),
    (NetworkFault(FaultKind.TIMEOUT, "no reply in 300 s", sent=True), Verb.RETRY, "timeout"),
    (NetworkFault(FaultKind.CONNECTION, "refused", sent=False), Verb.RETRY, "connection"),
    (NetworkFault(FaultKind.BAD_RESPONSE, "cut", sent=True), Verb.RETRY, "bad_response"),
    (NetworkFault(FaultKind.UNREADABLE, "huge", sent=True), Verb.FAIL, "bad_response"),
    (NetworkFault(FaultKind.PROXY, "answered 407", sent=False), Verb.HALT, "proxy"),
    (NetworkFault(FaultKind.TLS, "not trusted", sent=False), Verb.HALT, "tls"),
]


@pytest.mark.parametrize(("answer", "verb", "kind"), TABLE)
def test_the_built_in_table_decides(answer: Reply, verb: Verb, kind: str) -> None:
    decision = decide(answer)
    assert (decision.verb, decision.kind) == (verb, kind)


@pytest.mark.parametrize(
    ("status", "body", "verb", "kind"),
    [
        (403, "AccessDenied", Verb.RETRY, "not_ready"),
        (403, "billing: out of credit, api key, content policy", Verb.RETRY, "not_ready"),
        (404, "", Verb.RETRY, "not_ready"),
        (410, "", Verb.FAIL, "expired"),
        (400, "ExpiredToken: The provided token has expired", Verb.FAIL, "expired"),
        (401, "", Verb.RETRY, "not_ready"),
        (402, "", Verb.RETRY, "not_ready"),
        (429, "out of credit", Verb.RETRY, "rate_limited"),
        (503, "SlowDown", Verb.RETRY, "server"),
    ],
)
def test_a_file_host_neither_halts_the_run_nor_refuses_the_prompt(
    status: int, body: str, verb: Verb, kind: str
) -> None:
    decision = decide(reply(status, body), phase=Phase.DOWNLOAD)
    assert (decision.verb, decision.kind, decision.hold) == (verb, kind, False)


def test_accepted_reply_carries_its_result_and_request_id() -> None:
    answer = reply(
        201, '{"data": [{"url": "https://cdn.example.test/a.png"}]}', {"x-request-id": "r"}
    )
    expected = Decision(Verb.ACCEPT, http_status=201, request_id="r", result=USABLE)
    assert decide(answer) == expected


def test_error_carries_code_message_status_and_the_vendors_id_first() -> None:
    headers = {"request-id": "c", "x-request-id": "b", "x-inference-id": "a"}
    answer = reply(400, '{"error": {"code": "bad_size", "message": "No such size"}}', headers)
    decision = decide(answer)
    assert (decision.code, decision.message) == ("bad_size", "No such size")
    assert (decision.http_status, decision.request_id) == (400, "a")


def test_redirect_names_its_target_without_the_query_and_the_base_url() -> None:
    decision = decide(reply(307, headers={"location": "https://x.test/v1?key=secret"}))
    assert "https://x.test/v1" in decision.message
    assert "base URL" in decision.message
    assert "secret" not in decision.message


def test_only_requests_that_may_have_been_carried_out_count_as_sent() -> None:
    lost: tuple[Reply, ...] = (
        NetworkFault(FaultKind.TIMEOUT, "", sent=True),
        reply(504),
        reply(524),
        reply(200, "<p>"),
    )
    answered: tuple[Reply, ...] = (
        NetworkFault(FaultKind.CONNECTION, "", sent=False),
        *(reply(status) for status in (400, 401, 408, 429, 500, 502, 503)),
        reply(200, '{"error": "boom"}'),
    )
    assert all(decide(answer).sent for answer in lost)
    assert not any(decide(answer).sent for answer in answered)
    assert not any(decide(answer, phase=Phase.DOWNLOAD).sent for answer in lost)


def test_bad_responses_have_few_attempts() -> None:
    assert decide(reply(200, "<html>")).attempts == 3
    assert decide(reply(500)).attempts is None


def test_429_holds_all_workers_and_other_errors_do_not() -> None:
    assert decide(reply(429)).hold
    assert not decide(reply(500, headers={"retry-after": "3"})).hold


def test_job_rules_precede_the_table_and_the_first_match_decides() -> None:
    patient = Rule(Verb.RETRY, "server", frozenset({400}), code="model_b*y", after_s=10, attempts=2)
    strict = Rule(Verb.FAIL, "rule", frozenset({400}))
    decision = decide(coded(400, "Model_Busy"), patient, strict)
    assert (decision.verb, decision.after_s, decision.attempts) == (Verb.RETRY, 10, 2)
    assert decide(coded(400, "other"), patient, strict).kind == "rule"


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        (Rule(Verb.HALT, "r"), True),
        (Rule(Verb.HALT, "r", frozenset({503})), True),
        (Rule(Verb.HALT, "r", frozenset({500})), False),
        (Rule(Verb.HALT, "r", faults=frozenset({FaultKind.TIMEOUT})), False),
        (Rule(Verb.HALT, "r", code="over?oad*"), True),
        (Rule(Verb.HALT, "r", code="over"), False),
        (Rule(Verb.HALT, "r", code="[o]verload"), False),
        (Rule(Verb.HALT, "r", text=("nothing", "TRY AGAIN")), True),
        (Rule(Verb.HALT, "r", text=("verlo",)), True),
        (Rule(Verb.HALT, "r", text=("nothing",)), False),
        (Rule(Verb.HALT, "r", model="flux/*"), True),
        (Rule(Verb.HALT, "r", model="dall-e-?"), False),
        (Rule(Verb.HALT, "r", phases=frozenset({Phase.SUBMIT})), True),
        (Rule(Verb.HALT, "r", phases=frozenset({Phase.POLL})), False),
    ],
)
def test_a_rule_matches_if_all_its_conditions_match(rule: Rule, matches: bool) -> None:  # noqa: FBT001  # a table's column
    decision = decide(coded(503, "overload", "Please try again"), rule)
    assert (decision.verb is Verb.HALT) is matches


def test_job_rules_match_network_faults_and_unusable_replies() -> None:
    fail = Rule(Verb.FAIL, "rule", frozenset({200}), text=("not json",))
    assert decide(reply(200, "<html>"), fail).kind == "rule"
    never = Rule(Verb.FAIL, "rule", faults=frozenset({FaultKind.TIMEOUT}))
    assert decide(NetworkFault(FaultKind.TIMEOUT, "", sent=True), never).kind == "rule"


def test_job_rule_that_retries_a_429_still_holds_all_workers() -> None:
    rule = Rule(Verb.RETRY, "server", frozenset({429}), after_s=10)
    decision = decide(reply(429), rule)
    assert (decision.hold, decision.after_s) == (True, 10)
    assert decide(reply(429, headers={"retry-after": "3"}), rule).after_s == 3


def test_x_should_retry_decides_except_about_halts_and_refusals() -> None:
    yes, no = {"x-should-retry": "true"}, {"x-should-retry": "false"}
    assert decide(reply(500, headers=no)).verb is Verb.FAIL
    assert decide(reply(400, headers=yes)).verb is Verb.RETRY
    assert decide(reply(401, headers=yes)).verb is Verb.HALT
    assert decide(reply(400, "nsfw content", yes)).verb is Verb.REFUSE
    assert decide(reply(302, headers=yes)).verb is Verb.FAIL
    assert decide(reply(500, headers=no), Rule(Verb.RETRY, "rule")).verb is Verb.RETRY


@pytest.mark.parametrize(
    ("headers", "after_s"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": format_datetime(NOW + timedelta(seconds=90), usegmt=True)}, 90.0),
        ({"retry-after": "Mon, 23 Nov 2026 12:00:30 -0000"}, 30.0),
        ({"retry-after": format_datetime(NOW - timedelta(seconds=90), usegmt=True)}, None),
        ({"x-ratelimit-reset-requests": "6m0s"}, 360.0),
        ({"x-ratelimit-reset-requests": "120ms"}, 0.12),
        ({"x-ratelimit-reset-requests": "10m3.5s"}, 603.5),
        ({"x-ratelimit-reset-requests": "12"}, 12.0),
        ({"x-ratelimit-reset-requests": str(int(NOW.timestamp()) + 40)}, 40.0),
        ({"x-ratelimit-reset": str((int(NOW.timestamp()) + 40) * 1000)}, 40.0),
        (
            {
                "x-ratelimit-remaining-requests": "3",
                "x-ratelimit-reset-requests": "9s",
                "x-ratelimit-reset-tokens": "2s",
            },
            2.0,
        ),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "-1", "x-ratelimit-reset-requests": "4s"}, 4.0),
        ({"x-ratelimit-reset-requests": "4 parsecs"}, None),
        ({}, None),
    ],
)
def test_the_wait_that_the_provider_asks_for_is_read(
    headers: dict[str, str], after_s: float | None
) -> None:
    assert decide(reply(429, headers=headers)).after_s == after_s


def test_reset_times_apply_only_to_a_429_and_waits_only_to_retries() -> None:
    assert decide(reply(500, headers={"x-ratelimit-reset-requests": "6m"})).after_s is None
    assert decide(reply(503, headers={"retry-after": "6"})).after_s == 6
    assert decide(reply(400, headers={"retry-after": "6"})).after_s is None


def test_a_wait_over_the_limit_is_capped_and_the_message_says_so() -> None:
    decision = decide(reply(429, "slow", {"retry-after": "86400"}), max_wait_s=600)
    assert decision.after_s == 600
    assert decision.message == "slow (asked to wait 86400 s, cut to 600 s)"


WORDS = st.sampled_from(
    ["", "api key", "quota", "credit", "billing", "content policy", "nsfw content", "maintenance"]
)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "retry-after",
            "retry-after-ms",
            "x-ratelimit-reset-requests",
            "x-ratelimit-reset",
            "x-should-retry",
            "x-request-id",
            "location",
            "content-type",
        ]
    ),
    st.text()
    | st.sampled_from(["true", "false", "Fri, 99 Foo 0000 99:99:99 GMT", "1e9", "9" * 60]),
)
BODIES = st.binary() | WORDS.map(lambda words: f'{{"message": "{words}"}}'.encode())
PHASES = st.sampled_from(Phase)


@given(st.integers(0, 999), HEADERS, BODIES, PHASES)
def test_any_reply_gets_a_decision_and_only_key_and_credit_halt(
    status: int, headers: dict[str, str], body: bytes, phase: Phase
) -> None:
    decision = decide(HttpResponse(status, headers, body), phase=phase)
    assert decision.verb is not Verb.ACCEPT
    assert decision.message
    assert decision.kind
    if decision.verb is Verb.HALT:
        assert status in (401, 402, 403, 429)
        assert phase is not Phase.DOWNLOAD
    assert decision.after_s is None or 0 < decision.after_s <= 3600


@given(st.integers(200, 299), HEADERS, PHASES, st.sampled_from([USABLE, Pending("id")]))
def test_usable_2xx_is_always_accepted(
    status: int, headers: dict[str, str], phase: Phase, result: Finished | Pending
) -> None:
    halting = RetrySettings(rules=(Rule(Verb.HALT, "rule"),))
    answer = HttpResponse(status, headers, b"")
    decision = classify(answer, parse=lambda _: result, settings=halting, phase=phase, now=NOW)
    assert (decision.verb, decision.result) == (Verb.ACCEPT, result)


@given(st.integers(0, 999).filter(lambda status: status // 100 != 2))
def test_only_2xx_is_parsed(status: int) -> None:
    def parse(_: HttpResponse) -> Unusable:
        raise AssertionError

    settings = RetrySettings()
    assert classify(reply(status), parse=parse, settings=settings, now=NOW).http_status == status


class Waits(list[float]):
    """A sleep that only records its seconds, and lets other asyncio tasks run."""

    async def sleep(self, seconds: float) -> None:
        self.append(seconds)
        await asyncio.sleep(0)


def run(
    settings: RetrySettings, decision: Decision, random: Callable[[], float] = lambda: 0.5
) -> tuple[int, Waits, Decision]:
    attempt_count = 0
    waits = Waits()

    async def attempt() -> Decision:
        nonlocal attempt_count
        attempt_count += 1
        return decision

    async def exchange() -> Decision:
        last: Decision = await retry_policy(settings, sleep=waits.sleep, random=random).copy()(
            attempt
        )
        return last

    last = asyncio.run(exchange())
    return attempt_count, waits, last


FRACTIONS = st.floats(0, 1, exclude_max=True)


@given(st.integers(1, 8), st.none() | st.integers(1, 8), FRACTIONS)
def test_attempts_are_made_exactly_as_often_as_allowed(
    attempts: int, bound: int | None, fraction: float
) -> None:
    retry = Decision(Verb.RETRY, "server", attempts=bound)
    attempt_count, waits, last = run(RetrySettings(attempts=attempts), retry, lambda: fraction)
    assert attempt_count == len(waits) + 1 == min(attempts, bound or attempts)
    assert last is retry


@pytest.mark.parametrize("verb", [Verb.ACCEPT, Verb.FAIL, Verb.REFUSE, Verb.HALT])
def test_other_verbs_end_the_exchange_after_one_attempt(verb: Verb) -> None:
    assert run(RetrySettings(), Decision(verb))[:2] == (1, [])


@given(FRACTIONS, st.floats(0, 100), st.floats(0, 100))
def test_backoff_doubles_up_to_its_limit_and_is_jittered(
    fraction: float, initial_s: float, max_s: float
) -> None:
    settings = RetrySettings(attempts=5, initial_s=initial_s, max_s=max_s)
    _, waits, _ = run(settings, Decision(Verb.RETRY), lambda: fraction)
    assert waits == [fraction * min(max_s, initial_s * 2**k) for k in range(4)]


@given(FRACTIONS, st.floats(0, 10_000), st.sampled_from([True, False]))
def test_a_requested_wait_is_never_undercut_and_little_exceeded(
    fraction: float,
    after_s: float,
    jitter: bool,  # noqa: FBT001  # drawn by hypothesis
) -> None:
    settings = RetrySettings(attempts=3, max_s=1.0, jitter=jitter)
    _, waits, _ = run(settings, Decision(Verb.RETRY, after_s=after_s), lambda: fraction)
    assert len(waits) == 2
    assert all(after_s <= wait <= after_s + (0.5 if jitter else 0) for wait in waits)


async def test_a_rule_limits_only_the_attempts_that_it_decided() -> None:
    replies = iter([*["server"] * 4, *["bad_response"] * 9])

    async def attempt() -> Decision:
        kind = next(replies)
        bound = 3 if kind == "bad_response" else None
        return Decision(Verb.RETRY, kind, attempts=bound)

    async def sleep(_: float) -> None:
        return

    retrying = retry_policy(RetrySettings(attempts=12), sleep=sleep, random=lambda: 0.5)
    last: Decision = await retrying.copy()(attempt)

    assert last.kind == "bad_response"
    assert len(list(replies)) == 6


def test_without_jitter_waits_are_never_shortened_after_any_number_of_attempts() -> None:
    settings = RetrySettings(attempts=1100, initial_s=1, max_s=60, jitter=False)
    _, waits, _ = run(settings, Decision(Verb.RETRY))
    assert waits[:7] == [1, 2, 4, 8, 16, 32, 60]
    assert math.fsum(waits[6:]) == 60 * (1099 - 6)


async def test_copies_of_a_policy_that_run_in_parallel_do_not_mix_results() -> None:
    waits = Waits()
    shared = retry_policy(RetrySettings(attempts=4), sleep=waits.sleep, random=lambda: 0.5)

    async def exchange(name: str, failures: int) -> tuple[Decision, int]:
        attempt_count = 0

        async def attempt() -> Decision:
            nonlocal attempt_count
            attempt_count += 1
            await asyncio.sleep(0)
            return Decision(Verb.RETRY if attempt_count <= failures else Verb.ACCEPT, message=name)

        return await shared.copy()(attempt), attempt_count

    results = await asyncio.gather(*(exchange(str(n), n % 6) for n in range(60)))
    for n, (decision, attempt_count) in enumerate(results):
        assert decision.message == str(n)
        assert attempt_count == min(n % 6 + 1, 4)
        assert decision.verb is (Verb.ACCEPT if n % 6 < 4 else Verb.RETRY)


@pytest.mark.parametrize("error", [asyncio.CancelledError, ZeroDivisionError])
async def test_cancellation_and_bugs_are_raised_without_a_retry(error: type[BaseException]) -> None:
    waits = Waits()

    async def attempt() -> Decision:
        raise error

    with pytest.raises(error):
        await retry_policy(RetrySettings(), sleep=waits.sleep, random=lambda: 0.5).copy()(attempt)
    assert waits == []


def test_every_rule_is_described_in_words() -> None:
    lines = describe(BUILT_IN)
    assert len(lines) == len(BUILT_IN)
    assert all(condition and action and kind for condition, action, kind in lines)
    assert ("the key is not accepted, 401", "halt", "auth") in lines
    assert ("no reply in time, timeout", "retry", "timeout") in lines
    rule = Rule(Verb.RETRY, "server", frozenset({400}), code="b*", after_s=2)
    assert describe_rules([rule]) == [("400, code b*", "retry, after 2 s", "server")]


def test_no_built_in_rule_has_the_condition_of_an_earlier_one() -> None:
    assert len({describe([rule])[0][0] for rule in BUILT_IN}) == len(BUILT_IN)
    assert BUILT_IN[-1].statuses is None
    assert BUILT_IN[-1].faults is None
