"""What happens to a request between its arrival and its first character: models stay, and gaps take turns."""

import asyncio
import json
import threading
import time
from typing import Any

import pytest
from served import Ready, Served

from textgen.config import ServerConfig
from textgen.sampling.writer import Writer
from textgen.server.app import Server
from textgen.server.metrics import Metrics
from textgen.server.request import CompletionRequest

GAP = {"prompt": "the s", "suffix": " and", "max_tokens": 3}


async def ask(
    server: Server, values: dict[str, Any], *, leaves: bool = False, leaves_at: threading.Event | None = None
) -> tuple[int, dict[str, Any]]:
    """A request, whose client leaves once it is sent, or at an event, or stays."""
    body, sent = json.dumps(values).encode(), list[dict[str, Any]]()
    head = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/v1/completions", "headers": head, "query_string": b"",
             "http_version": "1.1", "scheme": "http", "root_path": ""}  # fmt: skip
    messages = iter([{"type": "http.request", "body": body}, *[{"type": "http.disconnect"}] * (3 * leaves)])

    async def receive() -> dict[str, Any]:
        message = next(messages, None)
        if message is None and leaves_at is not None:
            while not leaves_at.is_set():
                await asyncio.sleep(0.01)
            return {"type": "http.disconnect"}
        if message is None:
            await asyncio.Event().wait()
        return message or {}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await server.app(scope, receive, send)  # type: ignore[arg-type]
    text = b"".join(each.get("body", b"") for each in sent[1:])
    return sent[0]["status"], json.loads(text) if text else {}


class Endless:
    """Stands for a search that would never end by itself."""

    def __init__(self) -> None:
        self.begun, self.ended = threading.Event(), threading.Event()

    def __call__(self, *_: Any, watch: Any, **__: Any) -> Any:
        end = time.monotonic() + 30
        try:
            while time.monotonic() < end:
                self.begun.set()
                watch()
                time.sleep(0.01)
        finally:
            self.ended.set()
        raise AssertionError("nobody ended the search")


@pytest.fixture
def server(writers: dict[str, Writer]) -> Server:
    metrics = Metrics()
    return Server(ServerConfig(time_limit=1.0), Ready(writers, metrics), metrics)


def test_a_model_is_in_use_from_the_time_it_is_asked_for(here: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else another run's loading could drop it, and its memory would not be counted."""
    model, users, begin = here.models.ready["prose"], list[int](), CompletionRequest.begin

    def noted(self: CompletionRequest, writer: Writer) -> Any:
        users.append(model.users)
        return begin(self, writer)

    monkeypatch.setattr(CompletionRequest, "begin", noted)
    for prompt in ("ab", "ab" * 2000):
        here.post(prompt=prompt, max_tokens=2)
    assert users == [1, 1]
    here.refused(prompt="é")
    assert model.users == 0


def test_a_gap_waits_for_its_turn_but_not_for_ever(server: Server) -> None:
    async def waiting() -> tuple[int, dict[str, Any]]:
        async with server._filling:
            return await ask(server, GAP)

    status, answer = asyncio.run(waiting())
    assert (status, answer["error"]["code"]) == (503, "time_limit")


def test_a_gap_whose_client_has_left_is_not_filled(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    filled = list[object]()
    monkeypatch.setattr("textgen.server.app.fill_gap", lambda *given: filled.append(given))
    status, _ = asyncio.run(ask(server, GAP, leaves=True))
    assert (status, filled) == (400, [])
    monkeypatch.undo()
    status, answer = asyncio.run(ask(server, GAP))
    assert status == 200 and len(answer["choices"]) == 1


@pytest.mark.parametrize("why", ["the client leaves", "the time is over"])
def test_the_search_for_a_filling_ends_when_nobody_waits_for_it(
    server: Server, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    search = Endless()
    with monkeypatch.context() as patch:
        patch.setattr("textgen.server.filling.fill", search)
        leaves_at = search.begun if why == "the client leaves" else None
        status, answer = asyncio.run(ask(server, GAP, leaves_at=leaves_at))
        # The next gap's turn comes once it has ended.
        assert search.ended.is_set() and not server._filling.locked()
    assert status == (503 if leaves_at is None else 400)
    if leaves_at is None:
        assert answer["error"]["code"] == "time_limit"
    status, answer = asyncio.run(ask(server, GAP))
    assert status == 200 and len(answer["choices"]) == 1
