"""Requests that nobody means well: no 500, no traceback, no thread that dies; slow clients are cut."""

import contextlib
import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served import Served, listening_server, served

from textgen.sampling.writer import Writer
from textgen.server.request import CONTROLS, FIELDS, SHARED

FEW, MANY = 80, 10_000

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


@pytest.mark.slow
def test_ten_thousand_requests_leave_no_memory_behind(writers: dict[str, Writer]) -> None:
    if not Path("/proc/self/statm").exists():
        pytest.skip("memory is measured on Linux")
    with served(writers, total_length=2000, rows=16) as made:
        fuzz(made, MANY // 10)
        before = resident()
        fuzz(made, MANY - MANY // 10)
        assert resident() < 1.1 * before + 20


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
    with listening_server(writers, patience=0.5, total_length=10**6) as (address, made):
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
