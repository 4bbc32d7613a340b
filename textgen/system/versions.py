"""The versions of textgen and of what it runs on."""

from __future__ import annotations

import sys

VERSION = "0.1.0"


def loaded_versions() -> dict[str, str]:
    """The versions of Python, of the system, and of those of Keras, TensorFlow and NumPy that have been imported.

    Nothing is imported for it: a version is told where the module is loaded already.

    >>> import numpy
    >>> loaded_versions()["numpy"] == numpy.__version__
    True
    """
    import platform

    loaded = {name: sys.modules.get(name) for name in ("keras", "tensorflow", "numpy")}
    return {"python": platform.python_version(), "system": platform.platform()} | {
        name: str(getattr(module, "__version__", "")) for name, module in loaded.items() if module is not None
    }
