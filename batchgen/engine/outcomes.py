"""What the steps of a task come to: states, outcomes, keys and names. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import assert_never
from urllib.parse import parse_qsl, urlsplit

from msgspec.structs import replace

from batchgen.types import (
    STOPPING,
    Artifact,
    Decision,
    Finished,
    HttpRequest,
    Outcome,
    Pending,
    Prior,
    RemotePayload,
    Status,
    Task,
    TaskError,
    UploadId,
    Verb,
    WorkItem,
)

_GONE = frozenset({"expired", "unsafe_url"})  # why a URL is not asked again by the next run


def sent_before(work: WorkItem) -> int:
    """How many requests earlier runs have sent for the generation to be made."""
    prior = same_generation(work)
    return 0 if prior is None else prior.attempts


def same_generation(work: WorkItem) -> Prior | None:
    """What is known of the very generation that is to be made."""
    prior = work.prior
    return prior if prior is not None and prior.generation == work.generation else None


def remembered(prior: Prior | None) -> Decision | None:
    """The reply of an earlier run: URLs to be fetched, or a remote id to be asked for at once."""
    if prior is None:
        return None
    if prior.status is Status.RECEIVED and prior.received is not None:
        return Decision(Verb.ACCEPT, result=prior.received)
    if prior.status in (Status.SUBMITTED, Status.UNKNOWN) and prior.remote_id is not None:
        return Decision(Verb.ACCEPT, after_s=0.0, result=Pending(prior.remote_id))
    return None


def expired(finished: Finished, now: datetime) -> Decision | None:
    """Why there is no use in asking for what an earlier run received; None where there may be.

    A URL of this run is asked for whatever it says: the clock of this machine may be wrong.
    """
    ends = [
        expires_at(payload.url)
        for payload in finished.payloads
        if isinstance(payload, RemotePayload)
    ]
    passed = [end for end in ends if end is not None and end <= now]
    if not passed or len(passed) < len(ends):
        return None
    told = f"the URL worked until {min(passed):%Y-%m-%d %H:%M:%S} UTC and was not fetched in time"
    return Decision(Verb.FAIL, "expired", message=told)


def parts_done(work: WorkItem) -> Sequence[Outcome]:
    """What earlier runs got of the same request; an earlier generation's is paid for there.

    What it uploaded is uploaded again: its ids may be why it failed.
    """
    prior = work.prior
    if prior is None or prior.digest != work.task.digest:
        return ()
    if prior.generation == work.generation:
        return prior.parts
    if any(part.uploads for part in prior.parts):
        return ()
    return [replace(part, cost_usd=0.0) for part in prior.parts]


def filled(request: HttpRequest, parts: Sequence[Outcome]) -> HttpRequest:
    """A request with what earlier ones of its task have brought in its places."""
    brought = dict(pair for part in parts for pair in part.uploads)
    if not brought:
        return request
    body = {
        name: brought[value.name] if isinstance(value, UploadId) else value
        for name, value in request.body.items()
    }
    return replace(request, body=body)


def united(parts: Sequence[Outcome]) -> Outcome:
    """The outcome of a task from those of its requests: the last one's, with what all brought."""
    last = parts[-1]
    if len(parts) == 1:
        return last
    costs = [part.cost_usd for part in parts if part.status is Status.SUCCEEDED]
    known = [cost for cost in costs if cost is not None]
    revised = (part.revised_prompt for part in parts if part.revised_prompt is not None)
    return replace(
        last,
        artifacts=tuple(artifact for part in parts for artifact in part.artifacts),
        revised_prompt=next(revised, None),
        cost_usd=sum(known) if known and len(known) == len(costs) else None,
    )


def idempotency_key(identity: str, task: Task, generation: int, part: int = 0) -> str:
    """The key of one intended generation: the same over attempts, restarts and reordering.

    `identity` is the ledger's own, so that equal rows of two jobs never share a result. `part`
    counts the requests of a task that takes several.
    """
    parts = (identity, task.key, task.digest, str(generation), *([str(part)] if part else []))
    return "bg-" + sha256("\0".join(parts).encode()).hexdigest()[:40]


def versioned(filename: str, generation: int) -> str:
    """The file name of a generation: a later one never takes the name of an earlier one."""
    if generation == 1:
        return filename
    stem, dot, extension = filename.rpartition(".{ext}")
    return f"{stem}.v{generation}{dot}{extension}" if dot else f"{filename}.v{generation}"


def accepted(finished: Finished, decision: Decision) -> Outcome:
    """The outcome of a reply whose payloads are to be stored."""
    return Outcome(
        Status.SUCCEEDED,
        http_status=decision.http_status,
        request_id=decision.request_id,
        revised_prompt=finished.revised_prompt,
        seed=finished.seed,
        cost_usd=finished.cost_usd,
        uploads=finished.uploads,
    )


def unaccepted(decision: Decision, *, ambiguous: bool, submitted: bool) -> Outcome:
    """What a task is after its last attempt was not accepted.

    ambiguous: something may have been carried out. submitted: the provider works on it.
    """
    match decision.verb:
        case Verb.FAIL:
            status = Status.FAILED
        case Verb.REFUSE:
            status = Status.REFUSED
        case Verb.RETRY:
            status = Status.UNKNOWN if ambiguous else Status.FAILED
        case Verb.HALT | Verb.ACCEPT if submitted:
            status = Status.SUBMITTED
        case Verb.HALT | Verb.ACCEPT:
            status = Status.UNKNOWN if ambiguous else Status.PENDING
        case _:
            assert_never(decision.verb)
    error = TaskError(decision.kind, decision.code, decision.message)
    return Outcome(
        status,
        error=None if decision.kind == STOPPING else error,
        http_status=decision.http_status,
        request_id=decision.request_id,
    )


def not_fetched(
    received: Outcome, stored: Sequence[Artifact], failed: Decision, *, again: bool
) -> Outcome:
    """A result of which a URL gave no bytes: gone for good, or left for the next run to fetch.

    again: the next run can fetch all of it; then it takes over what was stored before.
    """
    gone = failed.kind in _GONE or not again
    error = TaskError(failed.kind, failed.code, failed.message)
    return replace(
        received,
        status=Status.FAILED if gone else Status.RECEIVED,
        artifacts=tuple(stored) if gone else (),
        error=None if failed.kind == STOPPING else error,
        http_status=failed.http_status,
    )


_SIGNERS = ("x-amz-", "x-goog-", "x-tos-", "x-oss-")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LEAST_EPOCH_S = 1_000_000_000  # the year 2001; less is a lifetime, or something else


def expires_at(url: str) -> datetime | None:
    """When a signed URL stops working, in UTC, as it says itself; None where it does not.

    Known are the signatures of S3, Google, ByteDance TOS and Alibaba OSS (date and seconds),
    Azure (`se`), and `Expires` as seconds since 1970 (OSS, CloudFront, older S3 and Google).
    """
    try:
        query = urlsplit(url).query.replace("+", "%2B")  # a time zone's sign, not a blank
        values = {name.lower(): value for name, value in parse_qsl(query)}
        for signer in _SIGNERS:
            if f"{signer}expires" in values and f"{signer}date" in values:
                signed_at = datetime.strptime(values[f"{signer}date"], "%Y%m%dT%H%M%S%z")
                return signed_at + timedelta(seconds=int(values[f"{signer}expires"]))
        if "se" in values and "sig" in values:
            end = datetime.fromisoformat(values["se"])
            return end.astimezone(UTC) if end.tzinfo else end.replace(tzinfo=UTC)
        epoch_s = int(values.get("expires", "0"))
        return _EPOCH + timedelta(seconds=epoch_s) if epoch_s >= _LEAST_EPOCH_S else None
    except (ValueError, OverflowError):
        return None
