"""The versions of textgen, its libraries, Python and the system."""

from __future__ import annotations

import sys

VERSION = "0.1.0"


def loaded_versions() -> dict[str, str]:
    """The versions of Python, the system, and Keras, TensorFlow and NumPy if they are already imported.

    Imports nothing.

    >>> import numpy
    >>> loaded_versions()["numpy"] == numpy.__version__
    True
    """
    import platform

    loaded = {name: sys.modules.get(name) for name in ("keras", "tensorflow", "numpy")}
    return {"python": platform.python_version(), "system": platform.platform()} | {
        name: str(getattr(module, "__version__", "")) for name, module in loaded.items() if module is not None
    }
