"""When a URL that was received stops working, as its own signature says."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

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
