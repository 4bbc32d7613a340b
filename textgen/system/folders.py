"""Where a system keeps what programs have downloaded."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def downloads_folder() -> Path:
    """The folder for what textgen downloads, which need not exist.

    It is `textgen` in `~/.cache` (or XDG_CACHE_HOME) on Linux, in `~/Library/Caches` on macOS, and in LOCALAPPDATA on
    Windows.

    >>> downloads_folder().name
    'textgen'
    """
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - `Path.home` raises where there is none.
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "textgen"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "textgen"
    named = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(named) if Path(named).is_absolute() else home / ".cache") / "textgen"
