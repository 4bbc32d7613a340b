"""Replaces this process by a new one of the same program."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import NoReturn


def start_again(arguments: Sequence[str]) -> NoReturn:
    """Runs textgen anew in the place of this process, which keeps nothing: no threads, no locks, no connections.

    Args:
        arguments: those of the command line.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    words = [sys.executable, "-m", "textgen", *arguments]
    if sys.flags.safe_path:
        words.insert(1, "-P")
    if sys.platform == "win32":
        # There `exec` would leave the console to two processes at once.
        raise SystemExit(subprocess.run(words, check=False).returncode)
    os.execv(sys.executable, words)
