"""Ports of this machine that are free, for tests that start programs which listen."""

import socket
from contextlib import ExitStack


def free_ports(count: int) -> int:
    """The first of `count` ports in a row that are free."""
    while True:
        with ExitStack() as stack:
            first = stack.enter_context(socket.create_server(("", 0))).getsockname()[1]
            try:
                for more in range(1, count):
                    stack.enter_context(socket.create_server(("", first + more)))
            except (OSError, OverflowError):
                continue
            return int(first)
