"""`textgen serve`: serves runs over HTTP, as OpenAI's clients ask for them, with a page to write in."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

import click

from textgen.cli.command import command
from textgen.cli.options import checkpoints_option, optional, run_names, setting
from textgen.config import ServerConfig
from textgen.errors import RunError, TextgenError

_setting = functools.partial(setting, config=ServerConfig)
_limit = functools.partial(setting, config=ServerConfig, section="Limits")


@command(
    "serve",
    examples=(
        "textgen serve",
        "textgen serve marrow_haven --port 9000",
        "TEXTGEN_TOKEN=$(openssl rand -hex 16) textgen serve --host 0.0.0.0",
    ),
)
@click.argument("runs", nargs=-1, metavar="[RUN]...", shell_complete=run_names)
@checkpoints_option
@_setting("--host", metavar="ADDRESS")
@_setting("--port")
@optional("--token", config=ServerConfig, envvar="TEXTGEN_TOKEN", metavar="TEXT")
@_setting("--allow-host", metavar="NAME")
@_setting("--allow-origin", metavar="ORIGIN")
@_limit("--rows")
@_limit("--queue")
@_limit("--connections")
@_limit("--body")
@_limit("--prompt-length")
@_limit("--total-length")
@_limit("--time-limit")
@_limit("--patience")
@_limit("--memory")
def serve(runs: tuple[str, ...], checkpoints: Path, token: str | None, **settings: Any) -> None:
    """Serve runs over HTTP, for OpenAI's clients and in a page.

    RUN is a run's name or folder, or a .keras file; without any, all runs in the folder of runs are served, the
    newest first. A run is loaded when it is first asked for, and again when it has been trained further. One on pairs
    turns prompts into other texts.

    The address that is shown is that of a page to write in; /v1/completions, /v1/chat/completions and /v1/models are
    for programs, /openapi.json describes them, and /metrics has figures for Prometheus. Only this machine can reach
    the server, unless --host says otherwise. Ctrl-C ends it.
    """
    config = ServerConfig(token=token or "", **settings)
    if importlib.util.find_spec("starlette") is None or importlib.util.find_spec("uvicorn") is None:
        raise TextgenError("textgen serve needs the extra serve: pip install 'textgen-chars[serve]'")
    paths = _paths(runs, checkpoints)
    from textgen.server.serving import serve as serve_runs

    def started(address: str) -> None:
        names = f"{len(paths)} runs" if len(paths) > 1 else "1 run"
        click.echo(f"Serving {names} at {address} (Ctrl-C ends it)", err=True)

    serve_runs(paths, config, started=started)


def _paths(runs: tuple[str, ...], checkpoints: Path) -> list[Path]:
    """The folders of the runs, and the files.

    Raises:
        RunError: there is no such run, or none at all.
    """
    from textgen.runs.find import elsewhere, find_run, list_runs, resolve_checkpoint

    if runs:
        return [_path(name, checkpoints, find_run, resolve_checkpoint) for name in runs]
    found = [run.path for run in list_runs(checkpoints) if run.best.is_file() or run.last.is_file()]
    if not found:
        raise RunError(f"There are no runs in {checkpoints} yet. Start one: textgen train TEXT{elsewhere(checkpoints)}")
    return found


def _path(name: str, checkpoints: Path, find: Any, resolve: Any) -> Path:
    path: Path = resolve(name, checkpoints=checkpoints)
    if path == Path(name):
        return path
    folder: Path = find(name, checkpoints=checkpoints).path
    return folder
