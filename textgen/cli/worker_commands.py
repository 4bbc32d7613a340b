"""The command of each worker of a run, for a user who has not said which of them a machine is."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from typing import Any

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
