"""`textgen serve` from outside: its address, how it ends, and what it refuses."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from front_door import run

from textgen.cli.commands.serve import _paths
from textgen.cli.options import Duration
from textgen.config import ServerConfig
from textgen.runs.run import Run

ROOT = Path(__file__).parents[2]


@contextmanager
def serving(home: Path, *arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    """The process of a server at a free port, the port, and what it said at its start."""
    command = [sys.executable, "-P", "-m", "textgen", "serve", "--port", "0", *arguments]
    known = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    child = subprocess.Popen(
        command, cwd=home, env=known, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        assert child.stderr is not None
        said = child.stderr.readline()
        yield child, int(said.partition("://")[2].partition("/")[0].rpartition(":")[2]), said
    finally:
        child.kill()
        child.communicate()


def ask(port: int, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    sent = None if body is None else json.dumps(body)
    connection.request(method, path, sent, {"Content-Type": "application/json", **headers})
    response = connection.getresponse()
    found = response.status, json.loads(response.read())
    connection.close()
    return found


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_server_says_its_address_and_ends_at_a_signal_with_streams_open(
    home: Path, number: signal.Signals, code: int
) -> None:
    with serving(home) as (child, port, said):
        assert said == f"Serving 1 run at http://127.0.0.1:{port}/ (Ctrl-C ends it)\n"
        asked = {"prompt": "The ", "max_tokens": 20, "seed": 1, "unknown": "skip"}
        status, found = ask(port, "POST", "/v1/completions", asked)
        assert (status, found["model"]) == (200, "tiny")
        sample = run("sample", "--run", str(home / "checkpoints" / "tiny"), "--prompt", "The ", "--length", "20",
                     "--seed", "1", "--no-echo", "--unknown", "skip")  # fmt: skip
        assert sample.out.rstrip("\n") == found["choices"][0]["text"].rstrip("\n")
        # A stream that would go on for long.
        stream = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        long = {**asked, "max_tokens": 190_000, "stream": True}
        stream.request("POST", "/v1/completions", json.dumps(long), {"Content-Type": "application/json"})
        response = stream.getresponse()
        assert response.readline().startswith(b"data: ")
        begun = time.monotonic()
        child.send_signal(number)
        rest = response.read()
        assert b"shutting down" in rest or b"[DONE]" in rest
        out, err = child.communicate(timeout=30)
        assert (child.returncode, out, err) == (code, "", "")
        assert time.monotonic() - begun < 20
        stream.close()


def test_no_request_loads_tensorflow(home: Path) -> None:
    program = """
        import asyncio, sys
        from pathlib import Path
        from starlette.testclient import TestClient
        from textgen.config import ServerConfig
        from textgen.server.app import Server
        from textgen.server.metrics import Metrics
        from textgen.server.models import Models
        metrics = Metrics()
        models = Models([Path("checkpoints/tiny")], memory=2**30, metrics=metrics)
        with TestClient(Server(ServerConfig(), models, metrics).app, base_url="http://localhost") as client:
            ask = {"prompt": "The ", "max_tokens": 5, "unknown": "skip", "echo": True, "logprobs": 2}
            assert client.post("/v1/completions", json=ask).status_code == 200
            for path in ("/", "/metrics", "/openapi.json", "/v1/models", "/v1/models/tiny"):
                assert client.get(path).status_code == 200, path
        assert not {"tensorflow", "keras", "h5py"} & set(sys.modules)
    """
    known = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", "if True:" + program], cwd=home, env=known, check=True)


@pytest.mark.slow
def test_a_token_comes_from_the_environment(home: Path) -> None:
    token = "0123456789abcdef"
    with serving(home, TEXTGEN_TOKEN=token) as (_, port, _):
        assert ask(port, "GET", "/v1/models")[0] == 401
        assert ask(port, "GET", "/v1/models", Authorization=f"Bearer {token}")[0] == 200


def test_a_busy_port_is_one_sentence(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = run("serve", "--port", str(port))
    assert outcome.code == 1
    assert outcome.err.startswith(f"Error: --port {port} of 127.0.0.1 cannot be listened at: ")
    assert outcome.err.endswith("Choose another, or 0 for a free one.\n") and outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], "--host 0.0.0.0 lets other machines in, so a token is compulsory."),
        (["--host", "no such host", "--token", "x" * 16], "--host must be an address of this machine"),
        (["--token", "short"], "--token must be 16 to 1,000 visible ASCII characters."),
        (["--port", "70000"], "--port must be a whole number in [0, 65535]; got 70000."),
        (["--allow-origin", "*"], "--allow-origin must be an origin such as https://example.org; got '*'."),
        (["nobody"], "There is no run 'nobody' in checkpoints."),
        (["--checkpoints", "nowhere"], "There are no runs in nowhere yet."),
        (["tiny", "checkpoints/tiny"], "Two runs are called 'tiny'"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(
    home: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(home)
    outcome = run("serve", *arguments)
    assert outcome.code == 1 and outcome.err.startswith(f"Error: {said}") and outcome.err.count("\n") == 1


def test_every_setting_of_the_server_is_an_option() -> None:
    from textgen.cli.commands.serve import serve

    assert set(ServerConfig.declared) <= {param.name for param in serve.params}
    defaults = {param.name: param.default for param in serve.params}
    for name, declared in ServerConfig.declared.items():
        default = Duration().convert(defaults[name], None, None) if declared.unit == "seconds" else defaults[name]
        assert name == "token" or default == declared.default


def test_without_its_extra_the_command_says_how_to_get_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "uvicorn" else find(name, *more)
    )
    monkeypatch.chdir(home)
    outcome = run("serve")
    assert outcome.code == 1 and "pip install 'textgen-chars[serve]'" in outcome.err


def test_runs_on_pairs_are_served_too(home: Path, tmp_path: Path, pairs_run: Run) -> None:
    shutil.copytree(home / "checkpoints" / "tiny", tmp_path / "one")
    shutil.copytree(pairs_run.path, tmp_path / "two")
    assert set(_paths((), tmp_path)) == {tmp_path / "one", tmp_path / "two"}
    assert _paths(("two", "one"), tmp_path) == [tmp_path / "two", tmp_path / "one"]
