"""A server of models that are in memory, for requests in this process and over a socket."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from textgen.config import ServerConfig
from textgen.sampling.rewriting.rewriter import Rewriter
from textgen.sampling.writer import Writer
from textgen.server.app import Server
from textgen.server.loaded import PairModel
from textgen.server.metrics import Metrics
from textgen.server.models import Model, Models
from textgen.server.serving import listening, uvicorn_of

HERE = "http://127.0.0.1:8000"


class Ready(Models):
    """Models that need no loading."""

    def __init__(self, writers: Mapping[str, Writer | Rewriter], metrics: Metrics) -> None:
        super().__init__([Path(f"{name}.keras") for name in writers], memory=2**30, metrics=metrics)
        self._paths = {name: Path(name) for name in writers}
        self.ready = {
            name: (PairModel if isinstance(writer, Rewriter) else Model)(name, writer, ("", 0, 0, 0))  # type: ignore[arg-type]
            for name, writer in writers.items()
        }

    async def get(self, given: str | None) -> Model | PairModel:
        return self.ready[self.name(given)]

    def created(self, name: str) -> int:
        return 1_700_000_000

    async def describe(self, name: str) -> dict[str, Any]:
        from textgen.server.models import _told

        return {**self.row(name), **_told(self.ready[name].metadata)}


class Served:
    """A server and a client of it in this process.

    Args:
        writers: the models.
        settings: those of `ServerConfig`.
    """

    def __init__(self, writers: Mapping[str, Writer | Rewriter], **settings: Any) -> None:
        self.metrics = Metrics()
        self.config = ServerConfig(**settings)
        self.models = Ready(writers, self.metrics)
        self.server = Server(self.config, self.models, self.metrics)
        self.client = TestClient(self.server.app, base_url=HERE)

    def post(self, path: str = "/v1/completions", **values: Any) -> Any:
        """The values of a good answer."""
        response = self.client.post(path, json=values)
        assert response.status_code == 200, response.text
        return response.json()

    def refused(self, status: int = 400, path: str = "/v1/completions", **values: Any) -> dict[str, Any]:
        """The error of a refused request."""
        response = self.client.post(path, json=values)
        assert response.status_code == status, response.text
        error = response.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["message"].endswith((".", "?")) and "\n" not in error["message"]
        return error  # type: ignore[no-any-return]

    def events(self, path: str = "/v1/completions", **values: Any) -> list[dict[str, Any]]:
        """The events of a stream, without its last line."""
        response = self.client.post(path, json={**values, "stream": True})
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in response.text.split("\n\n") if line]
        assert all(line.startswith("data: ") for line in lines)
        assert lines[-1] == "data: [DONE]"
        return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


@contextlib.contextmanager
def served(writers: Mapping[str, Writer | Rewriter], **settings: Any) -> Iterator[Served]:
    """A server whose scheduler runs."""
    made = Served(writers, **settings)
    with made.client:
        yield made


@contextlib.contextmanager
def listening_server(writers: Mapping[str, Writer | Rewriter], **settings: Any) -> Iterator[tuple[str, Served]]:
    """A server at a free port, in a thread of its own; its address."""
    made = Served(writers, port=0, **settings)
    begun = threading.Event()
    with listening(made.config) as listener:
        server = uvicorn_of(made.server, made.config, started=begun.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        assert begun.wait(20)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", made
        finally:
            server.should_exit = True
            thread.join(10)
            assert not thread.is_alive()
