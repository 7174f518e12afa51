"""Error replies of the API."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus

from batchgen.simulator.requests.schema import Json

SPENT = "You've run out of credits. Please top up your balance to continue using the API."
REFUSED = "Your request was rejected by our safety system: the prompt breaks the content policy."
_WORDS = {
    401: "Unauthorized: the API key is missing, expired or invalid",
    403: SPENT,
    429: "Too Many Requests",
    500: "Internal server error",
    502: "Bad gateway",
    503: "Service unavailable: the model is overloaded",
    504: "Generation timeout",
}


class Rejection(Exception):  # noqa: N818 - a reply, not an error of the simulator
    """A reply that ends the handling of a request.

    code: None for the vendor's own shape; otherwise the shape is OpenAI's, which the vendor
        forwards.
    """

    def __init__(
        self,
        status: int,
        message: str = "",
        *,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.message = message or standard_words(status)
        self.code = code
        self.headers = dict(headers or {})
        super().__init__(f"{status}: {self.message}")

    def body(self, path: str) -> Json:
        """Return the JSON of the reply (https://docs.aimlapi.com, "Errors and messages")."""
        if self.code is not None:
            return {
                "error": {
                    "message": self.message,
                    "type": "invalid_request_error",
                    "param": None,
                    "code": self.code,
                }
            }
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        return {
            "message": self.message,
            "path": path,
            "requestId": str(uuid.uuid4()),
            "statusCode": self.status,
            "timestamp": now.replace("+00:00", "Z"),
        }


def standard_words(status: int) -> str:
    """Return the default message of a status."""
    if status in _WORDS:
        return _WORDS[status]
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else f"Status {status}"
