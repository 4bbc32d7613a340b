"""Lets no one in who was not asked: checks host, origin and token of every request, and adds headers to each answer.

A web page may send requests to a server on the reader's own machine, from its own name (which the browser tells as the
origin) or, by rebinding its name to this machine's address, as if it were the server's page (which shows in the host).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
import sys
import traceback
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from textgen.config import ServerConfig
from textgen.server.errors import RequestError
from textgen.server.metrics import Metrics

Headers = list[tuple[bytes, bytes]]

OPEN = ("/", "/health", "/openapi.json")
"""Paths for which no token is needed: they tell nothing about runs."""

_KNOWN = (*OPEN, "/metrics", "/v1/models", "/v1/completions", "/v1/chat/completions")

_ALWAYS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
_NOTHING: Headers = [(b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")]
_SAME: Headers = [(b"cross-origin-resource-policy", b"same-origin")]


class Guard:
    """An ASGI application that lets allowed requests through to another one.

    Args:
        app: the application.
        config: the settings.
        metrics: what is counted.
    """

    def __init__(self, app: ASGIApp, config: ServerConfig, metrics: Metrics) -> None:
        self._app, self._config, self._metrics = app, config, metrics
        self._hosts = {each.lower() for each in config.allow_host} | {"localhost"}
        if not config.is_local:
            self._hosts.add(socket.gethostname().lower())
        self._token = _digest(config.token.encode()) if config.token else None
        self._active = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or lets the application answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: Headers = scope["headers"]
        origin = _header(headers, b"origin")
        more = self._cors(origin)
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = list(message.get("headers", []))
                own = [] if any(name == b"content-security-policy" for name, _ in given) else _NOTHING
                message = {**message, "headers": [*given, *_ALWAYS, *own, *(more or _SAME)]}
            await send(message)

        self._active += 1
        try:
            try:
                self._check(scope, headers, origin)
            except RequestError as error:
                await error.response(scope, receive, answer)
                return
            if more and scope["method"] == "OPTIONS":
                await _preflight(answer)
                return
            await self._app(scope, receive, answer)
        except Exception as error:
            # The client learns nothing of it but that there was one.
            print("".join(traceback.format_exception(error)), end="", file=sys.stderr)  # noqa: T201
            if not status:
                await RequestError(500, "The server has a defect. Try again, or report it.").response(
                    scope, receive, answer
                )
        finally:
            self._active -= 1
            path = scope["path"] if scope["path"] in _KNOWN else "other"
            self._metrics.request(path, status)

    def _check(self, scope: Scope, headers: Headers, origin: str | None) -> None:
        """Refuses a request that may not come in.

        Raises:
            RequestError: with its reason.
        """
        if self._active > self._config.connections:
            raise RequestError(503, "Too many requests are open. Try again later.", code="overloaded", retry_after=2)
        hosts = [value for name, value in headers if name == b"host"]
        host = hosts[0].decode("latin-1").lower() if len(hosts) == 1 else ""
        if not self._knows(host):
            raise RequestError(
                403,
                f"The server is not known as {host[:200]!r}. Start it with --allow-host and this name if it should be.",
                code="unknown_host",
            )
        if origin is not None and not self._is_own(origin, host) and origin not in self._config.allow_origin:
            raise RequestError(
                403,
                f"Pages of {origin[:200]!r} may not use this server. Start it with --allow-origin and this origin if "
                "they should.",
                code="unknown_origin",
            )
        elsewhere = _header(headers, b"sec-fetch-site") in ("cross-site", "same-site")
        if origin is None and elsewhere and scope["path"] != "/":
            raise RequestError(403, "Pages of other sites may not use this server.", code="unknown_origin")
        preflight = scope["method"] == "OPTIONS" and origin in self._config.allow_origin
        if self._token is not None and scope["path"] not in OPEN and not preflight:
            self._check_token(headers)

    def _check_token(self, headers: Headers) -> None:
        kind, _, given = (_header(headers, b"authorization") or "").partition(" ")
        right = hmac.compare_digest(_digest(given.strip().encode("latin-1")), self._token or b"")
        if kind.lower() != "bearer" or not right:
            raise RequestError(
                401,
                "The server needs its token. Send it as the API key: Authorization: Bearer TOKEN.",
                code="invalid_api_key",
            )

    def _knows(self, host: str) -> bool:
        """Whether the server goes by a name, with a port or without. Rebinding needs a name: an address is none."""
        name = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
        if name.rstrip(".") in self._hosts:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self._config.is_local

    def _is_own(self, origin: str, host: str) -> bool:
        scheme, _, rest = origin.lower().partition("://")
        return scheme in ("http", "https") and rest == host

    def _cors(self, origin: str | None) -> Headers:
        """The headers that let a page of an allowed origin read the answer."""
        if origin is None or origin not in self._config.allow_origin:
            return []
        return [
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"vary", b"Origin"),
            (b"cross-origin-resource-policy", b"cross-origin"),
        ]


async def _preflight(send: Send) -> None:
    headers = [
        (b"access-control-allow-methods", b"GET, POST"),
        (b"access-control-allow-headers", b"authorization, content-type"),
        (b"access-control-max-age", b"600"),
        (b"content-length", b"0"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _digest(token: bytes) -> bytes:
    """A digest of a token: two of them are compared in the same time whatever the lengths."""
    return hashlib.sha256(token).digest()


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in headers if key == name), None)
