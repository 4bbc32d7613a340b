"""Two network namespaces with a link between them, of a bandwidth and a latency that are chosen (Linux, as root).

Without a latency the link is a pair of the kernel's own interfaces, shaped by `tc`. With one, each namespace has a TUN
interface, and a process passes packets from one to the other as a link would: one after the other at its bandwidth,
each arriving the latency later; `tc` with netem would do the same, which not every kernel has.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

NAMES = ("textgen-a", "textgen-b")
ADDRESSES = ("10.77.0.1", "10.77.0.2")
_MTU = 32_000
_TUNSETIFF, _TUN_NO_PI = 0x400454CA, 0x0001 | 0x1000


@contextlib.contextmanager
def link(megabits: float, milliseconds: float) -> Iterator[list[list[str]]]:
    """Sets the link up; yields, for each end, the words to put before a command that runs there.

    Args:
        megabits: the bandwidth, each way, in Mbit/s.
        milliseconds: the latency there and back; 0 for none.
    """
    _remove()
    try:
        if not milliseconds:
            _shape(megabits)
            yield [["ip", "netns", "exec", name] for name in NAMES]
            return
        for n, name in enumerate(NAMES):
            other = ADDRESSES[1 - n]
            for words in (
                ["ip", "netns", "add", name],
                ["ip", "-n", name, "tuntap", "add", "dev", "link", "mode", "tun"],
                ["ip", "-n", name, "addr", "add", ADDRESSES[n], "peer", other, "dev", "link"],
                ["ip", "-n", name, "link", "set", "dev", "link", "mtu", str(_MTU), "up"],
                ["ip", "-n", name, "link", "set", "lo", "up"],
            ):
                subprocess.run(words, check=True)
        relay = subprocess.Popen([sys.executable, __file__, str(megabits), str(milliseconds)])
        try:
            time.sleep(0.5)
            yield [["ip", "netns", "exec", name] for name in NAMES]
        finally:
            relay.terminate()
            relay.wait()
    finally:
        _remove()


def _shape(megabits: float) -> None:
    """Joins the two namespaces by a pair of interfaces that send at a bandwidth."""
    for name in NAMES:
        subprocess.run(["ip", "netns", "add", name], check=True)
    pair = ["name", "link", "type", "veth", "peer", "name", "link", "netns", NAMES[1]]
    subprocess.run(["ip", "-n", NAMES[0], "link", "add", *pair], check=True)
    for name, address in zip(NAMES, ADDRESSES, strict=True):
        rate = ["root", "tbf", "rate", f"{megabits:g}mbit", "burst", "64kb", "latency", "100ms"]
        for words in (
            ["ip", "-n", name, "addr", "add", f"{address}/24", "dev", "link"],
            ["ip", "-n", name, "link", "set", "dev", "link", "up"],
            ["ip", "-n", name, "link", "set", "lo", "up"],
            ["tc", "-n", name, "qdisc", "add", "dev", "link", *rate],
        ):
            subprocess.run(words, check=True)


def cut(whole: bool) -> None:
    """Takes the link away, or brings it back."""
    state = "up" if whole else "down"
    subprocess.run(["ip", "-n", NAMES[0], "link", "set", "dev", "link", state], check=True)


def enter(name: str) -> None:
    """Puts this process into a namespace."""
    with Path(f"/var/run/netns/{name}").open() as there:
        os.setns(there.fileno(), os.CLONE_NEWNET) if hasattr(os, "setns") else _setns(there.fileno())


def _remove() -> None:
    for name in NAMES:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def _open(name: str) -> int:
    """The end of a namespace's TUN interface."""
    with Path(f"/var/run/netns/{name}").open() as there, Path("/proc/self/ns/net").open() as here:
        os.setns(there.fileno(), os.CLONE_NEWNET) if hasattr(os, "setns") else _setns(there.fileno())
        end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH", b"link", _TUN_NO_PI))
        os.setns(here.fileno(), os.CLONE_NEWNET) if hasattr(os, "setns") else _setns(here.fileno())
    return end


def _setns(descriptor: int) -> None:
    """`os.setns`, which Python has from 3.12 on."""
    import ctypes

    if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "the namespace cannot be entered")


def relay(megabits: float, milliseconds: float) -> None:
    """Passes packets between the two interfaces until the process is ended."""
    ends = [_open(name) for name in NAMES]
    free = [0.0, 0.0]
    waiting: list[tuple[float, int, int, bytes]] = []
    number = 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        pause = max(waiting[0][0] - time.monotonic(), 0.0) if waiting else 1.0
        ready, _, _ = select.select(ends, [], [], pause)
        now = time.monotonic()
        for end in ready:
            with contextlib.suppress(OSError):
                packet = os.read(end, 65_536)
                way = ends.index(end)
                free[way] = max(free[way], now) + 8e-6 * len(packet) / megabits
                number += 1
                heapq.heappush(waiting, (free[way] + 0.5e-3 * milliseconds, number, 1 - way, packet))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, to, packet = heapq.heappop(waiting)
            with contextlib.suppress(OSError):
                os.write(ends[to], packet)


if __name__ == "__main__":
    relay(float(sys.argv[1]), float(sys.argv[2]))
