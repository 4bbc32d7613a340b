"""Entries of a registry for tests, for a text that is made here."""

import hashlib
from typing import Any

from textgen.corpus.named import Entry

TEXT = "".join(f"{number}. The sea, the sea.\n" for number in range(4000))
RAW = TEXT.encode()


def entry(*addresses: str, raw: bytes = RAW, text: bytes = RAW, **more: Any) -> Entry:
    first, *others = addresses
    values = {"name": "sea", "title": "The sea", "language": "English", "kind": "verse", "licence": "CC0 1.0"}
    return Entry(
        **{**values, "page": "https://example.org", "good_for": "tests", **more},
        address=first,
        mirrors=tuple(others),
        bytes=len(raw),
        sha256=hashlib.sha256(raw).hexdigest(),
        text_bytes=len(text),
        text_sha256=hashlib.sha256(text).hexdigest(),
    )
