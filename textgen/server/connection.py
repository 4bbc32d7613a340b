"""A connection of uvicorn's that cuts clients which hold it without using it.

Uvicorn waits without end for a client that sends its headers byte by byte, and for one that does not read what was sent
to it.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

_LEAST = 4096
"""Bytes a second that a client must take of what is left of an answer."""


class _Counted:
    """A transport that counts what is written to it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.written = 0

    def write(self, data: bytes) -> None:
        self.written += len(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Connection(H11Protocol):
    """A connection; its class attributes are set by `connections`."""

    patience: float = 30.0
    most: int = 2048
    _timer: asyncio.TimerHandle | None = None
    _idle_since: float = 0.0
    _taken: int = -1
    _flushed_by: float = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to watch the connection; one too many is closed at once."""
        self._counted = _Counted(transport)
        super().connection_made(cast(asyncio.Transport, self._counted))
        if len(self.connections) > 2 * self.most:
            transport.abort()
            return
        self._idle_since = time.monotonic()
        self._timer = self.loop.call_later(self.patience / 2, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the watch."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Notes when what is left of the answer must have been taken."""
        self._idle_since = time.monotonic()
        self._flushed_by = self._idle_since + self.patience + self.transport.get_write_buffer_size() / _LEAST
        super().on_response_complete()

    def _look(self) -> None:
        """Cuts the connection if nothing has moved since the last look."""
        now, size = time.monotonic(), self.transport.get_write_buffer_size()
        busy = self.cycle is not None and not self.cycle.response_complete
        taken = self._counted.written - size
        stuck = size > 0 and busy and taken == self._taken
        unread = size > 0 and not busy and now > self._flushed_by
        silent = size == 0 and not busy and now - self._idle_since > self.patience
        if stuck or unread or silent:
            self.transport.abort()
            return
        self._taken = taken if size else -1
        self._timer = self.loop.call_later(self.patience / 2, self._look)


def connections(patience: float, most: int) -> type[Connection]:
    """The class of a server's connections.

    Args:
        patience: seconds that a client may take for its headers, or to take what is sent to it.
        most: requests that are open at once; there may be twice as many connections.
    """
    values: dict[str, Any] = {"patience": patience, "most": most}
    return type("Connection", (Connection,), values)
