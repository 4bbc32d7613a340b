"""The workers of a run, seen from one of them: worker 0 decides, and each watches the other.

All messages go through worker 0. When a worker dies, leaves or is silent for too long, worker 0 tells the others, and
whatever they wait for fails with a sentence that names it.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from textgen.config import WorkersConfig
from textgen.errors import TrainingError, WorkerLostError
from textgen.training.workers.channel import BYE, LOST, Channel, ClosedError, Message, greet, listen
from textgen.training.workers.cluster import Cluster

LEFT = "it left, "
"""How the reason begins where a worker has ended of itself, with what it says."""

_HELLO = "hello"
_RETRY = 0.3
_OTHERS = 2.0
"""Seconds that a worker gives worker 0 to say who was lost, where the connection to worker 0 itself has ended."""


class Team:
    """The connected workers of a run.

    Args:
        cluster: the workers, and which of them this is.
        config: the timeouts.
        waiting: is told, once, that others are waited for.

    Attributes:
        waited: the seconds for which others were waited for, which count towards no time budget.
        lost: the worker that was lost first, and why; None while all are there.

    Raises:
        TrainingError: a port is in use, or not all workers came in time.
    """

    def __init__(
        self, cluster: Cluster, config: WorkersConfig, waiting: Callable[[str], None] = lambda _: None
    ) -> None:
        self.cluster, self.config = cluster, config
        self.index, self.size = cluster.index, cluster.size
        self.waited = 0.0
        self.lost: tuple[int, str] | None = None
        self._on_loss: list[Callable[[str], None]] = []
        self._lock = threading.Lock()
        self._channels: dict[int, Channel] = {}
        self._ended = threading.Event()
        # Those who are there hear of worker 0 while it waits for the others.
        threading.Thread(target=self._watch, name="textgen workers", daemon=True).start()
        try:
            if self.leads:
                self._accept(waiting)
            else:
                self._connect(waiting)
        except BaseException as error:
            self.leave(f"{LEFT}before the start: {error}" if str(error) else "it was interrupted before the start")
            raise

    @property
    def leads(self) -> bool:
        """Whether this is worker 0."""
        return self.index == 0

    def when_lost(self, act: Callable[[str], None]) -> None:
        """Has a function called, from another thread, with a sentence, when a worker is lost."""
        self._on_loss.append(act)

    def collect(self, kind: str, values: Any, data: bytes = b"") -> list[tuple[Any, bytes]]:
        """Sends a value to worker 0; there, the values of all workers in their order. Elsewhere an empty list.

        Raises:
            WorkerLostError: a worker was lost.
        """
        if not self.leads:
            self._send(0, {"kind": kind, "values": values}, data)
            return []
        return [(values, data), *(self._receive(n, kind) for n in range(1, self.size))]

    def tell(self, kind: str, values: Any = None, data: bytes | Sequence[bytes] = b"") -> tuple[Any, bytes]:
        """Sends worker 0's value to all; returns it on each.

        Args:
            kind: what it is about, the same on each worker.
            values: JSON values; on worker 0 only.
            data: bytes for all, or for each.

        Raises:
            WorkerLostError: a worker was lost.
        """
        if not self.leads:
            return self._receive(0, kind)
        each = [data] * self.size if isinstance(data, bytes) else list(data)
        for n in range(1, self.size):
            self._send(n, {"kind": kind, "values": values}, each[n])
        return values, each[0]

    def agree(self, kind: str, values: Any, decide: Callable[[list[Any]], Any]) -> Any:
        """What worker 0 decides from the values of all, on each worker."""
        received = self.collect(kind, values)
        return self.tell(kind, decide([each for each, _ in received]) if self.leads else None)[0]

    def check(self) -> None:
        """Raises an error if a worker was lost.

        Raises:
            WorkerLostError: with a sentence that names it.
        """
        if self.lost is not None:
            raise WorkerLostError(self.sentence, worker=self.lost[0])

    @property
    def sentence(self) -> str:
        """Which worker was lost and why."""
        if self.lost is None:
            return "The exchange with the other workers failed."
        return f"{self.cluster.name(self.lost[0])} was lost: {self.lost[1]}."

    @property
    def needs_keeping(self) -> bool:
        """Whether this worker has to save the run: worker 1, where worker 0 was lost and did not end of itself."""
        return self.index == 1 and self.lost is not None and self.lost[0] == 0 and not self.lost[1].startswith(LEFT)

    def await_loss(self, seconds: float) -> bool:
        """Waits until it is known which worker was lost; whether it is."""
        deadline = time.monotonic() + seconds
        while self.lost is None and time.monotonic() < deadline:
            time.sleep(0.05)
        return self.lost is not None

    def leave(self, reason: str | None = None) -> None:
        """Leaves the team: in good order, or, with a reason, as one that is lost to the others."""
        if self._ended.is_set():
            return
        self._ended.set()
        message: Message = {"kind": BYE}
        if reason is not None and self.lost is None:
            message = {"kind": LOST, "values": [self.index, reason]}
        elif self.leads and self.lost is not None:
            # Told before, but not to one that has come since.
            message = {"kind": LOST, "values": list(self.lost)}
        deadline = time.monotonic() + 2.0
        for channel in self._channels.values():
            with contextlib.suppress(ClosedError):
                channel.send(message, check=partial(_give_up, deadline))
        for channel in self._channels.values():
            channel.close()

    def watch_neighbour(self) -> None:
        """Sees from now on that this worker can connect to the one before it, from which its part of each sum comes.

        No message goes from one worker to another, unless one of them is worker 0: their silence would not be noticed.
        """
        if self.index > 1:
            threading.Thread(target=self._try_neighbour, name="textgen neighbour", daemon=True).start()

    # The start

    def _accept(self, waiting: Callable[[str], None]) -> None:
        host, port = self.cluster.control
        missing, deadline = set(range(1, self.size)), time.monotonic() + self.config.start_timeout
        with listen(port, "on which worker 0 takes the other workers' messages") as server:
            waiting(f"Waiting for {_some(self.cluster, missing)}, on {host}:{port} ...")
            server.settimeout(0.5)
            while missing:
                self.check()
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    if time.monotonic() > deadline:
                        raise TrainingError(self._absent(missing)) from None
                    continue
                missing.discard(self._admit(connection, missing))
        self.check()

    def _admit(self, connection: socket.socket, missing: set[int]) -> int:
        """Takes a worker in; which one, or -1 for a stranger."""
        if not greet(connection):
            connection.close()
            return -1
        number: list[int] = []
        channel = Channel(connection, lambda reason: self._lose(number[0], reason) if number else None, self._lose)
        deadline = time.monotonic() + 10.0
        try:
            message, _ = channel.receive(check=partial(_give_up, deadline))
            index, addresses = int(message["index"]), list(message["addresses"])
        except (ClosedError, KeyError, TypeError, ValueError):
            channel.close()
            return -1
        problem = None
        if addresses != list(self.cluster.addresses):
            problem = (
                f"Worker {index} has other workers ({', '.join(map(str, addresses))}) than worker 0 "
                f"({', '.join(self.cluster.addresses)}). Give all the same, in the same order."
            )
        elif index not in missing:
            problem = f"Two workers say that they are worker {index}. Give each its own number."
        with contextlib.suppress(ClosedError):
            channel.send({"kind": _HELLO, "problem": problem}, check=partial(_give_up, deadline))
        if problem is not None:
            for other in self._channels.values():
                with contextlib.suppress(ClosedError):
                    other.send({"kind": LOST, "values": [0, f"it left: {problem}"]}, check=partial(_give_up, deadline))
            channel.close()
            raise TrainingError(problem)
        number.append(index)
        self._channels[index] = channel
        return index

    def _connect(self, waiting: Callable[[str], None]) -> None:
        host, port = self.cluster.control
        deadline, told = time.monotonic() + self.config.start_timeout, False
        while True:
            with contextlib.suppress(OSError):
                connection = socket.create_connection((host, port), timeout=5.0)
                if greet(connection):
                    break
                connection.close()
            if time.monotonic() > deadline:
                raise TrainingError(self._absent({0}))
            if not told:
                waiting(f"Waiting for worker 0, on {host}:{port} ...")
                told = True
            time.sleep(_RETRY)
        channel = self._channels[0] = Channel(connection, partial(self._lose, 0), self._lose)
        hello = {"kind": _HELLO, "index": self.index, "addresses": list(self.cluster.addresses)}
        with contextlib.suppress(ClosedError):
            channel.send(hello, check=self.check)
        try:
            message, _ = channel.receive(check=self.check)
        except ClosedError as error:
            self._closed(0, error)
            raise
        if message.get("problem"):
            self._ended.set()
            channel.close()
            raise TrainingError(str(message["problem"]))

    def _absent(self, missing: set[int]) -> str:
        who = _some(self.cluster, missing).replace("worker", "Worker", 1)
        return (
            f"{who} did not come within {self.config.start_timeout:g} s. Start "
            "the same command there, with its own --worker, and check that its address can be reached from here."
        )

    # Messages and watching

    def _send(self, index: int, message: Message, data: bytes) -> None:
        try:
            self._channels[index].send(message, data, check=self.check)
        except ClosedError as error:
            self._closed(index, error)

    def _receive(self, index: int, kind: str) -> tuple[Any, bytes]:
        try:
            message, data = self._channels[index].receive(check=self.check)
        except ClosedError as error:
            self._closed(index, error)
            raise
        if message["kind"] != kind:
            self._lose(index, f"it sent {message['kind']!r} where {kind!r} was expected")
            self.check()
        return message["values"], data

    def _closed(self, index: int, error: ClosedError) -> None:
        """Raises that a worker is lost, once the receiving thread says why, unless it has not noticed."""
        if not self.await_loss(_OTHERS):
            self._lose(index, str(error) or "its connection was closed")
        self.check()

    def _lose(self, index: int, reason: str) -> None:
        """Notes that a worker is lost, once, tells the others, and frees whatever waits."""
        with self._lock:
            if self.lost is not None or self._ended.is_set():
                return
            self.lost = (index, reason)
        for act in self._on_loss:
            act(self.sentence)
        if self.leads:
            for n, channel in list(self._channels.items()):
                if n != index:
                    deadline = time.monotonic() + _OTHERS
                    with contextlib.suppress(ClosedError):
                        channel.send({"kind": LOST, "values": [index, reason]}, check=partial(_give_up, deadline))

    def _watch(self) -> None:
        """Says again and again that this worker lives, and notices the silence of others."""
        pause = min(max(self.config.worker_timeout / 6.0, 0.1), 5.0)
        woken = time.monotonic()
        while not self._ended.wait(pause):
            now = time.monotonic()
            # This process was stopped itself: what has come meanwhile is not read yet.
            slept, woken = now - woken > 2.0 * pause + 1.0, now
            for n, channel in list(self._channels.items()):
                channel.ping()
                if slept:
                    channel.seen = now
                elif time.monotonic() - channel.seen > self.config.worker_timeout:
                    self._lose(n, f"nothing was heard of it for {self.config.worker_timeout:g} s")

    def _try_neighbour(self) -> None:
        """Connects again and again to the port of the worker before this one, until it has failed for the timeout."""
        other, timeout = self.index - 1, self.config.worker_timeout
        host, _, port = self.cluster.addresses[other].rpartition(":")
        failing: float | None = None
        while not self._ended.wait(min(max(timeout / 6.0, 0.1), 5.0)):
            started = time.monotonic()
            left = timeout if failing is None else failing + timeout - started
            try:
                socket.create_connection((host.strip("[]"), int(port)), timeout=min(max(left, 0.1), 10.0)).close()
                failing = None
            except OSError:
                failing = started if failing is None else failing
            if failing is not None and time.monotonic() - failing >= timeout:
                reason = f"worker {self.index} cannot connect to it"
                self._lose(other, reason)
                deadline = time.monotonic() + _OTHERS
                with contextlib.suppress(ClosedError):
                    lost: Message = {"kind": LOST, "values": [other, reason]}
                    self._channels[0].send(lost, check=partial(_give_up, deadline))
                return


def _give_up(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise ClosedError("it takes no more messages")


def _some(cluster: Cluster, indices: Iterable[int]) -> str:
    """Workers in words, at most five of them by name."""
    several = sorted(indices)
    names = [cluster.name(each).replace("Worker", "worker") for each in several[:5]]
    more = f" and {len(several) - 5} more" if len(several) > 5 else ""
    return ", ".join(names) + more
