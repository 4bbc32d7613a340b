"""The errors of the API, in the shape that OpenAI's clients read: a status, a sentence with the remedy, a code."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from starlette.responses import Response

from textgen.errors import ConfigError, TextgenError, UnknownCharacterError

NAMES = {"max_new_tokens": "max_tokens"}
"""Settings that have another name in a request."""

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class RequestError(TextgenError):
    """A request that is refused.

    Args:
        status: the HTTP status.
        message: the sentence for the user, with what to do.
        param: the field of the request that it is about.
        code: a word for programs, such as "model_not_found".
        retry_after: seconds after which to try again; None where that is no use.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code, self.retry_after = status, param, code, retry_after

    @property
    def body(self) -> dict[str, Any]:
        """The error as OpenAI's clients read it."""
        kind = _TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}

    @property
    def response(self) -> Response:
        """The error as an HTTP response."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if self.status in (408, 413):
            # The rest of the body is not read.
            headers["Connection"] = "close"
        return JSON(self.body, status_code=self.status, headers=headers)


def too_late(seconds: float) -> RequestError:
    """The error of a request that has taken too long, or waited too long.

    >>> str(too_late(600.0))
    'The request took longer than 600 seconds. Try again later.'
    """
    message = f"The request took longer than {seconds:g} seconds. Try again later."
    return RequestError(503, message, code="time_limit", retry_after=10)


class JSON(Response):
    """A JSON response, in ASCII, since a vocabulary may hold half of a surrogate pair."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The bytes of the response."""
        return dumps(content)


_encoder = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def dumps(content: Any) -> bytes:
    """Values as JSON in ASCII, on one line."""
    return _encoder.encode(content).encode("ascii")


def number(value: float) -> float:
    """A log-probability as JSON can hold it.

    >>> number(-1.5), number(-math.inf)
    (-1.5, -9999.0)
    """
    return value if math.isfinite(value) else -9999.0


def refused(error: TextgenError) -> RequestError:
    """What the API says where the library refuses an argument.

    >>> str(refused(ConfigError("max_new_tokens must be less; got 3.", field="max_new_tokens")))
    'max_tokens must be less; got 3.'
    """
    if isinstance(error, RequestError):
        return error
    if isinstance(error, UnknownCharacterError):
        them = "them" if len(error.characters) > 1 else "it"
        remedy = f'Remove {them}, or send "unknown": "skip" to drop {them} or "unknown": "replace" to replace {them}.'
        return RequestError(400, f"{error.message} {remedy}", param="prompt", code="unknown_characters")
    if isinstance(error, ConfigError):
        text = re.sub(r"\bmax_new_tokens\b", "max_tokens", str(error))
        field = NAMES.get(error.field, error.field)
        return RequestError(400, text, param=field or None, code="invalid_value")
    return RequestError(500, str(error))
