"""Outcomes of a task's steps, idempotency keys and file names of versions. Pure."""

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


def earlier_attempts(work: WorkItem) -> int:
    """Return how many requests earlier runs have sent for this generation."""
    prior = prior_of_generation(work)
    return 0 if prior is None else prior.attempts


def prior_of_generation(work: WorkItem) -> Prior | None:
    """Return what earlier runs recorded about this generation, if anything."""
    prior = work.prior
    return prior if prior is not None and prior.generation == work.generation else None


def earlier_decision(prior: Prior | None) -> Decision | None:
    """Return the decision of an earlier run: URLs to fetch, or a remote job to poll now."""
    if prior is None:
        return None
    if prior.status is Status.RECEIVED and prior.received is not None:
        return Decision(Verb.ACCEPT, result=prior.received)
    if prior.status in (Status.SUBMITTED, Status.UNKNOWN) and prior.remote_id is not None:
        return Decision(Verb.ACCEPT, after_s=0.0, result=Pending(prior.remote_id))
    return None


def expiry_failure(finished: Finished, now: datetime) -> Decision | None:
    """Return a failure if every URL that an earlier run received has expired, else None.

    Not for URLs of this run: they are fetched in any case, since this machine's clock may be wrong.
    """
    ends = [
        expires_at(payload.url)
        for payload in finished.payloads
        if isinstance(payload, RemotePayload)
    ]
    passed = [end for end in ends if end is not None and end <= now]
    if not passed or len(passed) < len(ends):
        return None
    message = f"the URL expired at {min(passed):%Y-%m-%d %H:%M:%S} UTC, before it was fetched"
    return Decision(Verb.FAIL, "expired", message=message)


def parts_done(work: WorkItem) -> Sequence[Outcome]:
    """Return the outcomes of requests that earlier runs completed for the same row.

    Those of an earlier generation cost nothing, because they are counted there. If that generation
    uploaded files, they are uploaded again: their ids may be why it failed.
    """
    prior = work.prior
    if prior is None or prior.digest != work.task.digest:
        return ()
    if prior.generation == work.generation:
        return prior.parts
    if any(part.uploads for part in prior.parts):
        return ()
    return [replace(part, cost_usd=0.0) for part in prior.parts]


def fill_uploads(request: HttpRequest, parts: Sequence[Outcome]) -> HttpRequest:
    """Return a request with the ids of the files that earlier requests of its task uploaded."""
    uploads = dict(pair for part in parts for pair in part.uploads)
    if not uploads:
        return request
    body = {
        name: uploads[value.name] if isinstance(value, UploadId) else value
        for name, value in request.body.items()
    }
    return replace(request, body=body)


def merge_parts(parts: Sequence[Outcome]) -> Outcome:
    """Return a task's outcome: its last request's, with the artifacts and costs of all requests."""
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
    """Return the key of one generation: the same over attempts, restarts and reordering.

    identity: that of the ledger, so that equal rows of two jobs never share a result.
    part: the number of the request, from 0, if the task takes several.
    """
    parts = (identity, task.key, task.digest, str(generation), *([str(part)] if part else []))
    return "bg-" + sha256("\0".join(parts).encode()).hexdigest()[:40]


def versioned(filename: str, generation: int) -> str:
    """Return the file name of a generation, which differs from those of earlier generations."""
    if generation == 1:
        return filename
    stem, dot, extension = filename.rpartition(".{ext}")
    return f"{stem}.v{generation}{dot}{extension}" if dot else f"{filename}.v{generation}"


def accepted_outcome(finished: Finished, decision: Decision) -> Outcome:
    """Return the outcome of an accepted reply, before its payloads are stored."""
    return Outcome(
        Status.SUCCEEDED,
        http_status=decision.http_status,
        request_id=decision.request_id,
        revised_prompt=finished.revised_prompt,
        seed=finished.seed,
        cost_usd=finished.cost_usd,
        uploads=finished.uploads,
    )


def unaccepted_outcome(decision: Decision, *, ambiguous: bool, submitted: bool) -> Outcome:
    """Return the outcome of a request whose last attempt was not accepted.

    ambiguous: an attempt may have been carried out. submitted: a remote job exists.
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


def unfetched_outcome(
    received: Outcome, stored: Sequence[Artifact], failed: Decision, *, retryable: bool
) -> Outcome:
    """Return the outcome of a result with a failed download: failed, or left for the next run.

    retryable: whether the next run can fetch all payloads; it then finds the stored ones again.
    """
    is_final = failed.verb is Verb.FAIL or not retryable
    error = TaskError(failed.kind, failed.code, failed.message)
    return replace(
        received,
        status=Status.FAILED if is_final else Status.RECEIVED,
        artifacts=tuple(stored) if is_final else (),
        error=None if failed.kind == STOPPING else error,
        http_status=failed.http_status,
    )


_SIGNERS = ("x-amz-", "x-goog-", "x-tos-", "x-oss-")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MIN_EPOCH_S = 1_000_000_000  # the year 2001; a smaller number is a lifetime


def expires_at(url: str) -> datetime | None:
    """Return when a signed URL expires, in UTC; None if no expiry is found in it.

    Reads the signatures of S3, Google, ByteDance TOS and Alibaba OSS (date and seconds), Azure
    (`se`), and `Expires` in seconds since 1970 (OSS, CloudFront, older S3 and Google).
    """
    try:
        query = urlsplit(url).query.replace("+", "%2B")  # the sign of a time zone, not a space
        values = {name.lower(): value for name, value in parse_qsl(query)}
        for signer in _SIGNERS:
            if f"{signer}expires" in values and f"{signer}date" in values:
                signed_at = datetime.strptime(values[f"{signer}date"], "%Y%m%dT%H%M%S%z")
                return signed_at + timedelta(seconds=int(values[f"{signer}expires"]))
        if "se" in values and "sig" in values:
            end = datetime.fromisoformat(values["se"])
            return end.astimezone(UTC) if end.tzinfo else end.replace(tzinfo=UTC)
        epoch_s = int(values.get("expires", "0"))
        return _EPOCH + timedelta(seconds=epoch_s) if epoch_s >= _MIN_EPOCH_S else None
    except (ValueError, OverflowError):
        return None
