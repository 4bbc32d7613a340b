"""A server under load: throughput of concurrent streams, time to the first character, and a crowd of clients.

    python -m benchmarks.serve
    python -m benchmarks.serve --shape 2x512 --runs 5

"streams" are 64 requests at once over HTTP, each of the default length, beside `generate_many` with as many texts in a
process of its own; all have one prompt, as there, and then each its own. The first character's time is from the request
to it, on an idle server and while 32 others are being written. The crowd is 1,000 clients that connect at once, half of
which leave after their first characters; every text of the others must be the one of its seed. Clients run in this
process, on the same cores.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from benchmarks import harness
from benchmarks.harness import DEFAULT_CELL, ROOT

PROMPT = "<=>?@ABCDEFGHIJK"
SEEDS = 10
"""Different seeds of the crowd."""


def contender(_: str, settings: Any) -> dict[str, float]:
    """`generate_many` with as many texts as there are streams: characters a second."""
    import textgen

    writer = textgen.load(settings["run"])
    count, length = settings["streams"], settings["length"]
    writer.generate_many(PROMPT, count=count, max_new_tokens=20, seed=0)
    begun = time.perf_counter()
    writer.generate_many(PROMPT, count=count, max_new_tokens=length, seed=1)
    return {"characters/s": count * length / (time.perf_counter() - begun)}


@contextlib.contextmanager
def serving(run: Path) -> Iterator[tuple[int, int]]:
    """A server of a run in a process of its own: its port and its process's number."""
    command = [sys.executable, "-P", "-m", "textgen", "serve", str(run), "--port", "0", "--rows", "512"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert child.stderr is not None
        said = child.stderr.readline()
        yield int(said.partition("://")[2].partition("/")[0].rpartition(":")[2]), child.pid
    finally:
        child.terminate()
        child.communicate(timeout=20)


async def stream(port: int, *, leave: bool = False, **values: Any) -> tuple[float, bytes]:
    """Asks for a stream; its first character's time in seconds and the answer. One that leaves has none."""
    begun = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request(**values))
    try:
        received = b""
        while b"data: " not in received:
            part = await reader.read(65536)
            if not part:
                raise SystemExit(f"The server gave no stream: {received[:300]!r}")
            received += part
        first = time.perf_counter() - begun
        if leave:
            return first, b""
        while part := await reader.read(1 << 20):
            received += part
    finally:
        writer.close()
    return first, received


def request(**values: Any) -> bytes:
    """A request for a stream."""
    body = json.dumps({"prompt": PROMPT, "stream": True, **values}).encode()
    head = "POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def text_of(received: bytes) -> str:
    """The text of a whole answer."""
    lines = received.replace(b"\r\n", b"\n").split(b"\n")
    events = [json.loads(line[6:]) for line in lines if line.startswith(b"data: {")]
    if not any(line == b"data: [DONE]" for line in lines):
        raise SystemExit("A stream ended without its last line.")
    return "".join(choice["text"] for event in events for choice in event["choices"])


def throughput(port: int, *, streams: int, length: int, own: bool = False) -> float:
    """Characters a second of so many streams, all of one prompt or each of its `own`, over sockets as they are."""
    asyncio.run(stream(port, max_tokens=20))
    prompts = [PROMPT + (PROMPT[n // 16 % 16] + PROMPT[n % 16]) * own for n in range(streams)]
    begun = time.perf_counter()
    received: dict[socket.socket, list[bytes]] = {}
    with selectors.DefaultSelector() as selector:
        for n, prompt in enumerate(prompts):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.sendall(request(prompt=prompt, max_tokens=length, seed=n))
            selector.register(connection, selectors.EVENT_READ)
            received[connection] = []
        while selector.get_map():
            for key, _ in selector.select():
                connection = cast(socket.socket, key.fileobj)
                if part := connection.recv(65536):
                    received[connection].append(part)
                else:
                    selector.unregister(connection)
                    connection.close()
    seconds = time.perf_counter() - begun
    return sum(len(text_of(b"".join(parts))) for parts in received.values()) / seconds


async def first_characters(port: int, *, others: int, times: int) -> float:
    """The median time to the first character while so many others are written."""
    running = [asyncio.ensure_future(stream(port, max_tokens=100_000)) for _ in range(others)]
    await asyncio.sleep(min(1.0, others / 8))
    found = []
    for n in range(times):
        found.append((await stream(port, max_tokens=1, seed=n))[0])
        await asyncio.sleep(0.02)
    for each in running:
        each.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    return harness.median(found) or 0.0


async def crowd(port: int, process: int, texts: dict[int, str], *, clients: int, length: int) -> dict[str, float]:
    """Clients that connect at once, half of which leave: how many got a text of another seed, and memory in MiB."""
    await stream(port, max_tokens=length, seed=0)
    before = resident(process)
    begun = time.perf_counter()
    asked = (stream(port, leave=n % 2 == 1, max_tokens=length, seed=n % SEEDS) for n in range(clients))
    found = await asyncio.wait_for(asyncio.gather(*asked), 600)
    seconds = time.perf_counter() - begun
    wrong = sum(n % 2 == 0 and text_of(received) != texts[n % SEEDS] for n, (_, received) in enumerate(found))
    await asyncio.sleep(min(2.0, clients / 100))
    return {"seconds": seconds, "wrong": wrong, "before": before, "after": resident(process)}


def resident(process: int) -> float:
    """A process's memory in MiB (Linux)."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main(argv: list[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--shape", default="2x384", help="layers x units")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args(argv)
    if harness.answer(arguments, contender):
        return
    smoke = arguments.smoke
    layers, units = map(int, ("1x16" if smoke else arguments.shape).split("x"))
    streams, length, clients, times = (4, 20, 12, 2) if smoke else (64, 500, 1000, 30)
    alone, served, apart, idle, busy, many = [], [], [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        run = harness.untrained_run(Path(folder), cell=DEFAULT_CELL, layers=layers, units=units, smoke=smoke)
        settings = {"run": str(run), "streams": streams, "length": length, "smoke": smoke}
        import textgen

        writer = textgen.load(run)
        texts = {n: writer.generate(PROMPT, max_new_tokens=100, seed=n).text for n in range(SEEDS)}
        for _ in range(1 if smoke else arguments.runs):
            found = harness.child(__file__, contender, "generate_many", settings)
            assert found is not None
            alone.append(found["characters/s"])
            with serving(run) as (port, process):
                served.append(throughput(port, streams=streams, length=length))
                apart.append(throughput(port, streams=streams, length=length, own=True))
                idle.append(asyncio.run(first_characters(port, others=0, times=times)))
                busy.append(asyncio.run(first_characters(port, others=streams // 2, times=times)))
                first, again = (asyncio.run(crowd(port, process, texts, clients=clients, length=100)) for _ in range(2))
                many.append({**first, "again": again["after"], "wrong": first["wrong"] + again["wrong"]})
    whole = harness.median(alone) or 1.0
    over_http, of_their_own = harness.median(served) or 0.0, harness.median(apart) or 0.0
    waited = [1000 * (harness.median(each) or 0.0) for each in (idle, busy)]
    crowded = {name: harness.median([each[name] for each in many]) or 0.0 for name in many[0]}
    rows = [
        (f"generate_many, {streams} texts, {layers}x{units} {DEFAULT_CELL}", f"{whole:,.0f} characters/s"),
        (f"{streams} streams over HTTP", f"{over_http:,.0f} characters/s, {over_http / whole:.0%}"),
        ("each with a prompt of its own", f"{of_their_own:,.0f} characters/s, {of_their_own / whole:.0%}"),
        ("first character, idle", f"{waited[0]:.1f} ms"),
        (f"first character, {streams // 2} streams running", f"{waited[1]:.1f} ms"),
        (f"{clients:,} clients, half leave", f"{crowded['seconds']:.1f} s, {crowded['wrong']:.0f} wrong texts"),
        ("memory before and after them", f"{crowded['before']:.0f} MiB, {crowded['after']:.0f} MiB"),
        ("and after as many again", f"{crowded['again']:.0f} MiB"),
    ]
    results = {
        "shape": f"{layers}x{units}",
        "alone": alone,
        "served": served,
        "own prompts": apart,
        "idle": idle,
        "busy": busy,
        "crowd": many,
    }
    harness.report("serve", harness.table(("", "measured"), rows), results, arguments.out)


if __name__ == "__main__":
    main()
