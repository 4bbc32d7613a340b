"""Requests that nobody means well: no 500, no traceback, no thread that dies; slow clients are cut."""

import asyncio
import contextlib
import json
import random
import socket
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served import Ready, Served, listening_server, served

from textgen.config import ServerConfig
from textgen.sampling.writer import Writer
from textgen.server.app import Server
from textgen.server.fields import CONTROLS, FIELDS, SHARED
from textgen.server.metrics import Metrics
from textgen.system import give_back_memory

FEW, MANY = 12, 10_000

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)
near = {
    "prompt": st.text("abc é\n\ud800€", max_size=9) | st.lists(st.integers(-2, 40), max_size=5),
    "model": st.sampled_from(["prose", "rare", "words", "../../etc/passwd", ""]),
    "max_tokens": st.integers(-1, 20),
    "n": st.integers(-1, 5),
    "best_of": st.integers(0, 6),
    "logprobs": st.integers(-1, 22),
    "top_logprobs": st.integers(-1, 22),
    "stop": st.text("ab", max_size=3) | st.lists(st.text("ab", max_size=3), max_size=5),
    "match": st.text("ab[]()*+?{}|\\.^$,1", max_size=9),
    "starts_with": st.text("ab€", max_size=3),
    "seed": st.integers(-(2**64), 2**64),
    "temperature": st.floats(allow_nan=False, allow_infinity=False) | st.lists(st.floats(0, 2), max_size=3),
    "logit_bias": st.dictionaries(st.text("ab1€", max_size=2), st.integers(-101, 101), max_size=3),
    "label": st.text("highlow:1", max_size=5) | st.lists(st.sampled_from(["high", "low", "mid:2"]), max_size=3),
    "messages": st.lists(
        st.fixed_dictionaries({"role": st.sampled_from(["user", "x"]), "content": st.text("ab", max_size=5)}),
        max_size=3,
    ),
    "stream": st.booleans(),
    "echo": st.booleans(),
    "unknown": st.sampled_from(["auto", "skip", "replace", "error", "other"]),
}
names = sorted({*FIELDS, *SHARED, *CONTROLS, *near, "bogus"})
bodies = st.dictionaries(st.sampled_from(names), st.none(), max_size=5).flatmap(
    lambda chosen: st.fixed_dictionaries(
        {name: near.get(name, json_values) | json_values if name in near else json_values for name in chosen}
    )
)
raw = st.binary(max_size=40) | st.sampled_from(
    [b"[" * 5000, b'{"a":' * 3000, b"9" * 5000, b'{"seed":' + b"9" * 5000 + b"}"]
)


def check(made: Served, path: str, body: bytes) -> None:
    response = made.client.post(path, content=body, headers={"content-type": "application/json"})
    assert response.status_code in (200, 400, 404, 413), (response.status_code, body)
    assert "Traceback" not in response.text
    if response.status_code != 200:
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    elif response.headers["content-type"].startswith("application/json"):
        assert response.json()["choices"]
    else:
        assert response.text.endswith("data: [DONE]\n\n")


def fuzz(made: Served, count: int) -> None:
    @settings(max_examples=count, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(["/v1/completions", "/v1/chat/completions"]), bodies.map(json.dumps).map(str.encode) | raw)
    def attack(path: str, body: bytes) -> None:
        check(made, path, body)

    attack()


def resident() -> float:
    """The memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def test_no_request_is_a_500_or_shows_a_traceback(writers: dict[str, Writer]) -> None:
    with served(writers, total_length=2000, rows=16) as made:
        fuzz(made, FEW)
        assert made.post(prompt="ab", max_tokens=3)["usage"]["completion_tokens"] == 3


def mutated(rng: random.Random) -> bytes:
    """A body made of parts that are nearly right, and of some that are not."""
    parts: dict[str, Any] = {
        "prompt": ["", "ab", "é\ud800", ["a", "b"], [1, 2], [[1], [99]], 7, "a" * 300],
        "model": ["prose", "rare", "words", "../x", 3],
        "max_tokens": [0, 1, 5, 20, -1, 10**30, "9", 2.5],
        "n": [1, 2, 4, 0, True, 10**9],
        "best_of": [1, 3, 9],
        "logprobs": [0, 1, 5, 21, False],
        "stop": ["a", ["b", "ab"], "", [], [1], ["x"] * 20],
        "match": ["a+b", "(", "[a-c]{1,3}", "a" * 3000, "(a|b)*c", None],
        "temperature": [0, 0.5, 2, -1, [0.5, 1], "x", 1e400],
        "logit_bias": [{"a": 5}, {"1": -5}, {"zz": 1}, [], {"a": None}],
        "label": ["low", ["low", "high"], {"low": 2}, "none", {"low": "x"}],
        "seed": [1, -5, 2**64, 1.5],
        "echo": [True, False, "yes"],
        "stream": [True, False, 1],
        "suffix": ["", "b", 4],
        "unknown": ["skip", "replace", "x"],
        "messages": [[{"role": "user", "content": "ab"}], [], [{"role": "x"}], "a"],
        "top_p": [0, 0.5, 1, 9],
        "min_length": [0, 3, 10**7],
        "until": ["line", "length", "never"],
        "bogus": [1],
    }
    chosen = rng.sample(sorted(parts), rng.randrange(6))
    body = json.dumps({"max_tokens": 8, **{name: rng.choice(parts[name]) for name in chosen}}).encode()
    if rng.random() < 0.1:
        place = rng.randrange(len(body))
        body = body[:place] + bytes([rng.randrange(256)]) + body[place + rng.randrange(3) :]
    return body


async def post(app: Any, path: str, body: bytes) -> tuple[int, bytes]:
    """A request without a client's library, which would take longer than the server."""
    sent: list[dict[str, Any]] = []
    head = [(b"host", b"localhost"), (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
             "headers": head, "http_version": "1.1", "scheme": "http", "root_path": "", "state": {}}  # fmt: skip
    messages = iter([{"type": "http.request", "body": body}])

    async def receive() -> dict[str, Any]:
        message = next(messages, None)
        if message is None:
            await asyncio.Event().wait()
        return message or {}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(each.get("body", b"") for each in sent[1:])


@pytest.mark.slow
def test_ten_thousand_requests_are_answered_and_leave_no_memory_behind(writers: dict[str, Writer]) -> None:
    if not Path("/proc/self/statm").exists():
        pytest.skip("memory is measured on Linux")
    metrics = Metrics()
    server = Server(ServerConfig(total_length=2000, rows=64), Ready(writers, metrics), metrics)

    async def attack(rng: random.Random, count: int) -> Counter[int]:
        statuses: Counter[int] = Counter()
        for _ in range(count // 20):
            paths = [rng.choice(["/v1/completions", "/v1/completions", "/v1/chat/completions"]) for _ in range(20)]
            for status, text in await asyncio.gather(*(post(server.app, path, mutated(rng)) for path in paths)):
                statuses[status] += 1
                assert b"Traceback" not in text
        return statuses

    async def both() -> tuple[Counter[int], float, float]:
        server.scheduler.start()
        await attack(random.Random(1), MANY // 5)
        before = resident()
        statuses = await attack(random.Random(2), MANY)
        server.scheduler.close()
        return statuses, before, resident()

    statuses, before, after = asyncio.run(both())
    assert set(statuses) <= {200, 400, 404, 413} and statuses[200] > MANY // 20 and statuses[400] > MANY // 20
    assert after < 1.1 * before


async def crowd(address: str, clients: int) -> None:
    """Clients that connect at once, half of which leave after the first character."""
    port = int(address.rpartition(":")[2])

    async def visit(number: int) -> None:
        body = json.dumps({"prompt": "the sea ", "max_tokens": 60, "seed": number, "stream": True}).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(head(**{"Content-Length": str(len(body)), "Connection": "close"}) + body)
            await reader.readuntil(b"data: ")
            if number % 2:
                assert (await reader.read()).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        finally:
            writer.close()

    await asyncio.wait_for(asyncio.gather(*map(visit, range(clients))), 120)


@pytest.mark.slow
def test_a_second_and_a_third_crowd_take_no_memory_that_the_first_did_not(writers: dict[str, Writer]) -> None:
    """Python keeps what many small objects took; none of it may be lost to those that come next."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("memory is measured on Linux")
    with listening_server(writers) as (address, made):
        found = []
        for _ in range(3):
            asyncio.run(crowd(address, 400))
            end = time.monotonic() + 60
            while "textgen_running_texts 0" not in made.metrics.text():
                assert time.monotonic() < end
                time.sleep(0.05)
            give_back_memory()
            found.append(resident())
    assert found[-1] < 1.02 * found[0], found


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b'"a"', b"{", b'{"prompt": NaN}', b'{"temperature": Infinity}', b"\xff\xfe", b"[" * 100_000],
)
def test_what_is_no_json_object_is_refused(here: Served, body: bytes) -> None:
    response = here.client.post("/v1/completions", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400 and response.json()["error"]["code"] == "invalid_json"


def test_a_body_that_is_too_large_is_refused_before_it_is_read(writers: dict[str, Writer]) -> None:
    with listening_server(writers, body=2000) as (address, _):
        with connected(address) as client:
            client.sendall(head(**{"Content-Length": "10000000"}))
            assert answer(client).startswith(b"HTTP/1.1 413")
        with connected(address) as client:
            client.sendall(head(**{"Transfer-Encoding": "chunked"}))
            with contextlib.suppress(OSError):
                for _ in range(10):
                    client.sendall(b"200\r\n" + b" " * 512 + b"\r\n")
            assert answer(client).startswith(b"HTTP/1.1 413")


@contextlib.contextmanager
def connected(address: str) -> Any:
    with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=20) as client:
        yield client


def head(method: str = "POST", path: str = "/v1/completions", **headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode()


def answer(client: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := client.recv(65536):
            parts.append(part)
    return b"".join(parts)


def test_slow_clients_are_cut(writers: dict[str, Writer]) -> None:
    """One that sends headers byte by byte, one that sends no body, and one that does not read what it asked for."""
    with listening_server(writers, patience=0.5, total_length=10**8) as (address, made):
        with connected(address) as client:
            begun = time.monotonic()
            with contextlib.suppress(OSError):
                while time.monotonic() - begun < 10:
                    client.sendall(b"G")
                    time.sleep(0.1)
            assert time.monotonic() - begun < 10
        with connected(address) as client:
            client.sendall(head(**{"Content-Length": "50"}) + b"{")
            assert answer(client).startswith(b"HTTP/1.1 408")
        with connected(address) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            body = json.dumps({"prompt": "ab", "max_tokens": 100_000, "n": 8, "stream": True, "logprobs": 20}).encode()
            client.sendall(head(**{"Content-Length": str(len(body))}) + body)
            end = time.monotonic() + 60
            while "textgen_cancelled_total 1" not in made.metrics.text():
                assert time.monotonic() < end
                time.sleep(0.05)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ],
)
def test_what_is_no_http_harms_nobody(address: str, sent: bytes) -> None:
    with connected(address) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        found = answer(client)
        assert b"Traceback" not in found and b" 500 " not in found
    with connected(address) as client:
        client.sendall(head("GET", "/health", Connection="close"))
        assert answer(client).startswith(b"HTTP/1.1 200")
