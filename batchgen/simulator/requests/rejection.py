"""Error replies of the API."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus

from batchgen.simulator.requests.schema import Json

_SPENT = "You've run out of credits. Please top up your balance to continue using the API."
_REFUSED = "Your request was rejected by our safety system: the prompt breaks the content policy."
_MESSAGES = {
    401: "Unauthorized: the API key is missing, expired or invalid",
    403: _SPENT,
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
        self.message = message or _default_message(status)
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


def invalid_body(problem: str) -> Rejection:
    """Return the rejection (400) of a request body."""
    return Rejection(400, f"Body validation error: {problem}")


def check_prompt(prompt: str, refuse_words: frozenset[str]) -> None:
    """Raise Rejection (400) if a prompt has a word that the content policy refuses."""
    if any(word in prompt.lower() for word in refuse_words):
        raise Rejection(400, _REFUSED, code="content_policy_violation")


def _default_message(status: int) -> str:
    if status in _MESSAGES:
        return _MESSAGES[status]
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else f"Status {status}"
