"""Messages between two workers: a JSON object and bytes, over one TCP connection, and whether the other still lives.

There is no encryption and no password: workers belong in a network of their own. What is received is data, never code.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

from textgen.errors import TrainingError

GREETING = b"textgen workers 1\n"
"""The first bytes on a connection, so that strangers on the port are told apart."""

_SIZES = struct.Struct(">IQ")
_MOST_JSON, _MOST_BYTES = 1 << 26, 1 << 38
_PIECE = 1 << 18
PING, BYE, LOST = "ping", "bye", "lost"

Message = dict[str, Any]


class ClosedError(Exception):
    """The connection is closed, or the other side sends what is no message."""


class Channel:
    """One connection. A thread receives, so that silence and the end are noticed whatever the process computes.

    Args:
        connection: both sides have exchanged the `GREETING`.
        ended: called once, from the receiving thread, with the reason why nothing more will come; not after `BYE`.
        lost: called, from the receiving thread, with what a message of the kind `LOST` says: a worker and a reason.

    Attributes:
        seen: the `time.monotonic()` at which something was received last.
    """

    def __init__(
        self, connection: socket.socket, ended: Callable[[str], None], lost: Callable[[int, str], None]
    ) -> None:
        self.seen = time.monotonic()
        self._connection, self._ended, self._lost = connection, ended, lost
        self._received: queue.Queue[tuple[Message, bytes]] = queue.Queue()
        self._sending = threading.Lock()
        self._closing = False
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._thread = threading.Thread(target=self._receive, name="textgen worker channel", daemon=True)
        self._thread.start()

    def send(self, message: Message, data: bytes = b"", *, check: Callable[[], None]) -> None:
        """Sends a message.

        Args:
            message: JSON values.
            data: bytes that go with it.
            check: called again and again while the other side does not take it; raises to give up.

        Raises:
            ClosedError: the connection is closed.
        """
        with self._sending:
            self._write(message, data, check)

    def ping(self) -> None:
        """Says that this side lives, unless it is sending anyway."""
        if not self._sending.acquire(blocking=False):
            return
        try:
            deadline = time.monotonic() + 1.0

            def check() -> None:
                if time.monotonic() > deadline:
                    raise ClosedError("it takes no more messages")

            self._write({"kind": PING}, b"", check)
        except ClosedError:
            pass
        finally:
            self._sending.release()

    def receive(self, *, check: Callable[[], None]) -> tuple[Message, bytes]:
        """The next message; `check` is called again and again until there is one, and raises to give up.

        Raises:
            ClosedError: there will be none.
        """
        while True:
            # Looked at first: what came before the end is received yet.
            over = not self._thread.is_alive()
            try:
                return self._received.get(timeout=0.2)
            except queue.Empty:
                check()
                if over:
                    raise ClosedError("its connection was closed") from None

    def close(self) -> None:
        """Closes the connection."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=2.0)
        self._connection.close()

    def _write(self, message: Message, data: bytes, check: Callable[[], None]) -> None:
        text = json.dumps(message).encode()
        for piece in (_SIZES.pack(len(text), len(data)) + text, data):
            left = memoryview(piece)
            while left:
                try:
                    left = left[self._connection.send(left[:_PIECE]) :]
                except (BlockingIOError, InterruptedError):
                    select.select([], [self._connection], [], 0.2)
                    check()
                except (OSError, ValueError) as error:
                    raise ClosedError(str(error)) from error

    def _receive(self) -> None:
        reason = "its connection was closed"
        try:
            while True:
                sizes = _SIZES.unpack(self._exactly(_SIZES.size))
                if sizes[0] > _MOST_JSON or sizes[1] > _MOST_BYTES:
                    raise ClosedError("it sent what is no message")
                message, data = json.loads(self._exactly(sizes[0])), self._exactly(sizes[1])
                if message["kind"] == BYE:
                    self._closing = True
                elif message["kind"] == LOST:
                    self._lost(int(message["values"][0]), str(message["values"][1]))
                elif message["kind"] != PING:
                    self._received.put((message, bytes(data)))
        except ClosedError as error:
            reason = str(error)
        except (OSError, ValueError, KeyError, TypeError):
            pass
        if not self._closing:
            self._ended(reason)

    def _exactly(self, count: int) -> bytearray:
        data = bytearray(count)
        view, filled = memoryview(data), 0
        while filled < count:
            select.select([self._connection], [], [], 1.0)
            try:
                got = self._connection.recv_into(view[filled:], min(count - filled, _PIECE))
            except (BlockingIOError, InterruptedError):
                continue
            if not got:
                raise ClosedError("its connection was closed")
            filled += got
            self.seen = time.monotonic()
        return data


def greet(connection: socket.socket, seconds: float = 5.0) -> bool:
    """Exchanges the greeting on a new connection; False for a stranger."""
    try:
        connection.settimeout(seconds)
        connection.sendall(GREETING)
        received = b""
        while len(received) < len(GREETING):
            piece = connection.recv(len(GREETING) - len(received))
            if not piece:
                return False
            received += piece
    except OSError:
        return False
    return received == GREETING


def listen(port: int, what: str) -> socket.socket:
    """A socket that listens on a port of all of this machine's addresses.

    Raises:
        TrainingError: the port is in use, or this process may not have it.
    """
    try:
        # Without dual stack, IPv4 alone.
        family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
        return socket.create_server(
            ("", port), family=family, dualstack_ipv6=family == socket.AF_INET6, reuse_port=False
        )
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise TrainingError(
            f"Port {port}, {what}, cannot be had on this machine: {reason.lower()}. Choose other ports for the "
            "workers, or end the program that has it."
        ) from error
