"""A page's data, read back as its script reads it."""

import base64
import json
import re
from typing import Any

import numpy as np


def data_of(page: str) -> dict[str, Any]:
    """The values that a page holds for its script."""
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(found)  # type: ignore[no-any-return]


def unpacked(values: dict[str, str]) -> np.ndarray:
    """The way back from `packed`."""
    return np.frombuffer(base64.b64decode(values["data"]), "<" + values["type"])
