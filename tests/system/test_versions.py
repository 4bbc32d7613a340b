"""The versions that a checkpoint records."""

import platform
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from textgen.system.versions import loaded_versions


def test_only_what_is_loaded_has_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(__version__="3.9"))  # type: ignore[arg-type]
    assert loaded_versions() == {
        "python": platform.python_version(),
        "system": platform.platform(),
        "keras": "3.9",
        "numpy": np.__version__,
    }
