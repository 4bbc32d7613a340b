"""The program `textgen`, also as `python -m textgen`."""

import atexit
import contextlib
import os
import sys
from typing import NoReturn

from textgen.cli import main


def program() -> None:
    """Runs the command line and ends the process."""
    try:
        main()
    except SystemExit as leaving:
        if "tensorflow" in sys.modules and isinstance(leaving.code, int):
            _leave(leaving.code)
        raise


def _leave(code: int) -> NoReturn:
    """Ends a process that has TensorFlow: all that is to be done at exit, but for taking the interpreter apart.

    Destroying TensorFlow's objects takes up to seconds where the machine is busy, and may wait for its threads.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    program()
