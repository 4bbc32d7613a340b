"""Listens at a socket and serves until it is told to end."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

import uvicorn

from textgen.config import ServerConfig
from textgen.errors import ConfigError
from textgen.server.app import Server
from textgen.server.connection import connections
from textgen.server.metrics import Metrics
from textgen.server.models import Models
from textgen.system import allow_descriptors, explain

_TURN = 0.0005
"""Seconds after which a thread that computes in Python lets another one go on."""

_GRACE = 3
"""Seconds that answers may take to their end after the server was told to end."""


def serve(paths: Sequence[Path], config: ServerConfig, *, started: Callable[[str], None]) -> None:
    """Serves runs until Ctrl-C or SIGTERM.

    Args:
        paths: runs' folders, and `.keras` files; the first is the one for requests that name none.
        config: the settings.
        started: called with the address once clients can connect.

    Raises:
        RunError: there is no run, or two have one name.
        ConfigError: the address cannot be listened at.
        KeyboardInterrupt: after the signal, when all connections are closed.
    """
    # The event loop and the writing thread take turns: the usual 5 ms are longer than a character takes.
    sys.setswitchinterval(_TURN)
    allow_descriptors(2 * config.connections + 100)
    metrics = Metrics()
    server = Server(config, Models(paths, memory=config.memory * 2**20, metrics=metrics), metrics)
    with listening(config) as listener:
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        uvicorn_of(server, config, started=lambda: started(f"http://{shown}:{port}/")).run(sockets=[listener])


def uvicorn_of(server: Server, config: ServerConfig, *, started: Callable[[], None]) -> uvicorn.Server:
    """The server of uvicorn's for an application."""
    settings = uvicorn.Config(
        server.app,
        http=connections(config.patience, config.connections),
        ws="none",
        lifespan="on",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE,
        h11_max_incomplete_event_size=2**15,
        backlog=2048,
    )
    return _Uvicorn(settings, server, started)


class _Uvicorn(uvicorn.Server):
    """Says when it has started, and ends the texts that are being written when it is told to end."""

    def __init__(self, config: uvicorn.Config, server: Server, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._server, self._say = server, started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._say()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._server.scheduler.close()
        self._server.rewriting.close()
        super().handle_exit(sig, frame)


@contextlib.contextmanager
def listening(config: ServerConfig) -> Iterator[socket.socket]:
    """A socket that listens at the configured address.

    Raises:
        ConfigError: it cannot.
    """
    try:
        found = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"host must be an address of this machine, such as 127.0.0.1; got {config.host!r}.", field="host"
        ) from error
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as listener:
        # Windows would share the port with another server.
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            raise ConfigError(
                f"port {config.port} of {config.host} cannot be listened at: {explain(error)} Choose "
                "another, or 0 for a free one.",
                field="port",
            ) from error
        yield listener
