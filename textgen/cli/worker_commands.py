"""The commands of a run's workers: of each, where a user has not said which one a machine is, and after a loss."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import click

from textgen.cli.options import Duration
from textgen.config import WorkersConfig


def commands_of_workers(workers: WorkersConfig, options: Mapping[str, Any]) -> str:
    """What to run on the machine of each worker, as an error's sentences.

    Args:
        workers: their addresses.
        options: those of this command, `textgen train`, which lacks `--worker`.
    """
    commands, given = [], ["textgen", *sys.argv[1:]]
    end = given.index("--") if "--" in given else len(given)
    for index, address in enumerate(workers.addresses):
        words = [*given[:end], "--worker", str(index), *given[end:]]
        if index and options["resume"] is not None:
            # The others help as in a new run; how they exchange is as before.
            words = [
                "textgen",
                "train",
                *map(str, options["sources"] or ["TEXT"]),
                *["--text-part"] * workers.text_part,
            ]
            words += ["--workers", ",".join(workers.addresses), "--worker", str(index)]
        commands.append(f"on {address}: {shlex.join(words)}")
    text = "" if options["resume"] is None else ", each with the run's text and what the run was told of it"
    return (
        "--worker must say which of the --workers each machine is; worker 0 saves the run. Run "
        f"{'; '.join(commands)}{text}"
    )


def command_again(ctx: click.Context, run: Path | None, kept: Collection[str]) -> list[str]:
    """The arguments after the loss of a worker: on worker 0 those that continue the run, if anything of it is saved.

    Args:
        ctx: of this command, `textgen train`.
        run: the run's folder; None on the other workers, and where the run had not begun.
        kept: the names of the parameters that go with `--resume`.
    """
    from textgen.runs.run import Run

    if run is None or not Run(run).last.exists():
        return sys.argv[1:]
    words = [*map(str, ctx.params["sources"]), "--resume", str(run)]
    for param in ctx.command.params:
        name, value = param.name, ctx.params.get(param.name or "")
        if name in kept and name not in ("sources", "resume", "epochs", "time") and value is not None:
            flag = max(param.opts, key=len)
            if isinstance(value, bool):
                words += [flag] * value
            else:
                words.append(f"{flag}={value}s" if isinstance(param.type, Duration) else f"{flag}={value}")
    return ["train", *words]
