"""The command line: `textgen COMMAND`.

A command's module is imported when it is invoked, and heavy libraries inside the commands that need them; only `train`
imports TensorFlow. Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import os
import sys
import time

STARTED = time.monotonic() - min(time.process_time(), 1.0)
"""About when the process started, less what starting Python has computed: a time budget counts from here."""

import click  # noqa: E402

from textgen.cli.command import Group  # noqa: E402
from textgen.system import use_utf8  # noqa: E402
from textgen.system.versions import VERSION  # noqa: E402

_COMMANDS = {
    "Train": {
        "train": "textgen.cli.commands.train",
        "corpora": "textgen.cli.commands.corpora",
        "runs": "textgen.cli.commands.runs",
        "info": "textgen.cli.commands.runs",
        "plot": "textgen.cli.commands.plot",
    },
    "Write": {
        "sample": "textgen.cli.commands.sample",
        "fill": "textgen.cli.commands.fill",
        "rewrite": "textgen.cli.commands.rewrite",
        "complete": "textgen.cli.commands.complete",
    },
    "Judge": {
        "eval": "textgen.cli.commands.eval",
        "score": "textgen.cli.commands.score",
        "classify": "textgen.cli.commands.classify",
        "proofread": "textgen.cli.commands.proofread",
        "novelty": "textgen.cli.commands.novelty",
        "neurons": "textgen.cli.commands.neurons",
    },
    "Share": {
        "export": "textgen.cli.commands.export",
        "serve": "textgen.cli.commands.serve",
    },
}
"""The commands by section of the help, each with its module."""

_ALIASES = {"surprise": "textgen.cli.commands.score"}
"""Former names of commands, which still work."""

_EXAMPLES = (
    "textgen train corpora/marrow_haven.txt",
    'textgen sample --prompt "The sea "',
    "textgen runs",
)


@click.group(
    "textgen",
    cls=Group,
    sections=_COMMANDS,
    aliases=_ALIASES,
    examples=_EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(VERSION, message="%(prog)s %(version)s")
def cli() -> None:
    """Train a character-level language model on any text, and write more of it."""


def main() -> None:
    """Runs the command that `sys.argv` asks for, and raises `SystemExit`."""
    # A process started without a stream (`>&-`) has None there.
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    use_utf8(sys.stdout, sys.stderr)
    cli(prog_name="textgen")
