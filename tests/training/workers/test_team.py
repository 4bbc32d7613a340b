"""Workers send each other messages, watch one another, and name the one that is lost; here as threads."""

import contextlib
import socket
import struct
import threading
import time
from typing import Any

import pytest
from ports import free_ports
from teams import as_threads

from textgen.config import WorkersConfig
from textgen.errors import TrainingError, WorkerLostError
from textgen.training.workers.agreement import agree
from textgen.training.workers.channel import GREETING, listen
from textgen.training.workers.cluster import Cluster
from textgen.training.workers.team import Team


def test_worker_0_decides_from_what_all_say() -> None:
    def act(team: Team) -> Any:
        sums = [team.agree("sum", team.index + n, sum) for n in range(3)]
        data = bytes(range(256)) * 4096
        _, received = team.tell("data", None, [data * n for n in range(3)] if team.leads else b"")
        each = team.collect("state", None, bytes([team.index]) * 5)
        return sums, len(received), [piece for _, piece in each]

    size = 1 << 20
    assert as_threads(3, act) == [
        ([3, 6, 9], 0, [b"\0" * 5, b"\1" * 5, b"\2" * 5]),
        ([3, 6, 9], size, []),
        ([3, 6, 9], 2 * size, []),
    ]


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_dead_worker_is_named_by_all_others(lost: int) -> None:
    def act(team: Team) -> Any:
        team.agree("start", 0, sum)
        if team.index == lost:
            team._ended.set()
            for channel in team._channels.values():
                # As the system does when a process is killed: the connection ends without a word.
                channel._closing = True
                channel._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                channel.close()
            return "dead"
        return team.agree("next", 0, sum)

    outcomes = as_threads(3, act)
    assert outcomes.pop(lost) == "dead"
    for error in outcomes:
        assert isinstance(error, WorkerLostError) and error.worker == lost
        assert str(error).startswith(f"Worker {lost} (127.0.0.1:")


@pytest.mark.parametrize("silent", [0, 2])
def test_a_silent_worker_is_noticed_within_the_timeout(silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def act(team: Team) -> Any:
        team.agree("start", 0, sum)
        if team.index == silent:
            # As where the link is cut: it neither speaks nor hears, and its connection stays.
            team._ended.set()
            time.sleep(4.0)
            for channel in team._channels.values():
                channel.close()
            return "cut off"
        return team.agree("next", 0, sum)

    outcomes = as_threads(3, act)
    assert outcomes.pop(silent) == "cut off"
    for error in outcomes:
        assert isinstance(error, WorkerLostError) and error.worker == silent
        assert "nothing was heard of it for 1 s" in str(error)


def test_a_worker_that_leaves_says_why() -> None:
    def act(team: Team) -> Any:
        # Once all are connected: worker 0, which ends too, may not be met by worker 2 otherwise.
        team.agree("start", 0, sum)
        if team.index == 1:
            team.leave("it left, the disk is full")
            return None
        return team.agree("next", 0, sum)

    first, _, third = as_threads(3, act)
    for error in (first, third):
        assert isinstance(error, WorkerLostError) and "was lost: it left, the disk is full." in str(error)


def test_loss_frees_what_waits_elsewhere() -> None:
    def act(team: Team) -> Any:
        freed = threading.Event()
        team.when_lost(lambda sentence: freed.set())
        team.agree("start", 0, sum)
        if team.index == 1:
            team.leave("it was interrupted")
            return None
        return freed.wait(10.0)

    assert as_threads(3, act) == [True, None, True]


def test_two_workers_that_both_reach_worker_0_but_not_each_other_are_noticed() -> None:
    def act(team: Team) -> Any:
        freed = threading.Event()
        team.when_lost(lambda sentence: freed.set())
        with contextlib.ExitStack() as stack:
            if team.index == 1:
                # Stands for TensorFlow's server.
                stack.enter_context(socket.create_server(("127.0.0.1", team.cluster.port)))
            team.agree("joined", 0, sum)
            team.watch_neighbour()
            time.sleep(2.0)
            assert team.lost is None, "it can be reached"
        return freed.wait(10.0) and team.sentence

    outcomes = as_threads(3, act)
    for sentence in outcomes:
        assert sentence.startswith("Worker 1 (127.0.0.1:") and sentence.endswith("worker 2 cannot connect to it.")


def test_whoever_comes_first_waits_longer_than_the_timeout_for_the_last() -> None:
    def late(known: tuple[str, ...]) -> tuple[str, ...]:
        time.sleep(3.0)
        return known

    assert as_threads(3, lambda team: team.agree("start", team.index, sum), {2: late}) == [3, 3, 3]


def test_slow_work_is_no_loss() -> None:
    def act(team: Team) -> Any:
        if team.index == 1:
            time.sleep(2.5)
        return team.agree("next", team.index, sum)

    assert as_threads(2, act) == [1, 1]


def test_workers_that_do_not_come_are_named() -> None:
    first = free_ports(3)
    addresses = (f"127.0.0.1:{first}", f"127.0.0.1:{first + 1}")
    for index, missing in ((0, 1), (1, 0)):
        with pytest.raises(TrainingError, match=rf"Worker {missing} \(127.0.0.1:\d+\) did not come within 1 s"):
            Team(Cluster(addresses, index), WorkersConfig(start_timeout=1.0))


def test_another_list_of_workers_is_refused() -> None:
    outcomes = as_threads(2, lambda team: "in", {1: lambda known: (*known, "elsewhere:4001")})
    for error in outcomes:
        assert isinstance(error, TrainingError) and "Worker 1 has other workers" in str(error)


def test_strangers_on_the_port_do_no_harm() -> None:
    first = free_ports(3)
    cluster = [Cluster((f"127.0.0.1:{first}", f"127.0.0.1:{first + 1}"), n) for n in range(2)]
    outcomes: list[Any] = []
    leader = threading.Thread(target=lambda: outcomes.append(Team(cluster[0], WorkersConfig(start_timeout=20.0))))
    leader.start()
    for data in (b"GET / HTTP/1.1\r\n\r\n", GREETING + b"\0" * 4 + b"\xff" * 8):
        while True:
            try:
                stranger = socket.create_connection(cluster[0].control, timeout=5.0)
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        stranger.sendall(data)
        stranger.close()
    follower = Team(cluster[1], WorkersConfig(start_timeout=20.0))
    leader.join(20.0)
    follower.leave()
    outcomes[0].leave()


def test_a_port_in_use_is_told() -> None:
    port = free_ports(1)
    with listen(port, "of this worker"), pytest.raises(TrainingError, match=f"Port {port}, of this worker, cannot be"):
        listen(port, "of this worker")


SAME: dict[str, Any] = {
    "versions": {"textgen": "1", "TensorFlow": "2"},
    "seed": 0,
    "device": "a CPU",
    "text": "ab" * 32,
    "corpus": {"encoding": "utf-8"},
    "vocabulary": {"characters": "ab"},
    "given": {"units": 32},
    "exchange": {"round": 20},
}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"versions": {"textgen": "0", "TensorFlow": "2"}}, "has textgen 0 where worker 0 has 1"),
        ({"seed": 3}, "has seed 3 where worker 0 has seed 0"),
        ({"device": "a GPU"}, "has a GPU where worker 0 has a CPU. Give all workers the same --device."),
        ({"text": "cd" * 32}, "has another text"),
        ({"corpus": {"encoding": "latin-1"}}, "has encoding latin-1 where worker 0 has encoding utf-8"),
        ({"given": {"units": 64}}, "has units 64 where worker 0 has units 32"),
        ({"given": {"units": 32, "layers": 2}}, "has layers 2 where worker 0 has no layers"),
        ({"exchange": {"round": 7}}, "has round 7 where worker 0 has round 20"),
        ({"vocabulary": {"characters": "abc"}}, "has another vocabulary"),
    ],
)
def test_a_worker_that_differs_is_refused_by_name_on_all(other: dict[str, Any], words: str) -> None:
    def act(team: Team) -> Any:
        return agree(team, {**SAME, **other} if team.index == 1 else SAME, started=False)

    for error in as_threads(2, act):
        assert isinstance(error, TrainingError)
        assert str(error).startswith("Worker 1 (127.0.0.1:") and words in str(error)


def test_equal_workers_agree_and_need_not_repeat_the_settings_of_a_run_that_goes_on() -> None:
    assert as_threads(2, lambda team: agree(team, SAME, started=False)) == [None, None]
    less = {**SAME, "given": {}}
    assert as_threads(2, lambda team: agree(team, less if team.index else SAME, started=True)) == [None, None]
    rounds = {**SAME, "exchange": {"round": 7}}
    left_out = {**SAME, "exchange": {"round": None}}
    assert as_threads(2, lambda team: agree(team, left_out if team.index else rounds, started=True)) == [None, None]
