"""Downloads the raw file of a named corpus: resumed, checked, and moved into place only when it is right.

`pooch` (the extra `corpora`) makes the attempts, compares the checksum and moves the file; a part that has come already
is kept in a `.part` file beside it, for the next attempt or the next day.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from textgen.corpus.named.entry import Entry
from textgen.corpus.sources import show_path
from textgen.errors import CorpusError
from textgen.system.versions import VERSION

Report = Callable[[str, int, int], None]
"""Is told the name of a corpus, the bytes done and the whole."""

_PIECE = 1 << 12
"""Bytes written at a time: what a connection that breaks loses at most."""

_GONE = (401, 403, 404, 410, 451)
"""Answers that another attempt does not change."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to try.

    Args:
        attempts: attempts for each address.
        connecting: seconds until a connection stands.
        silence: seconds without a byte.
    """

    attempts: int = 3
    connecting: float = 10.0
    silence: float = 30.0


class _Refused(Exception):  # noqa: N818 - it never leaves this module.
    """An address does not have the file; no further attempt is made."""


def where_to_put(entry: Entry, target: Path) -> str:
    """What to do by hand: the address, the size, the checksum, and the place."""
    return (
        f"Get {entry.address} by other means ({entry.bytes:,} bytes, SHA-256 {entry.sha256}), save it as "
        f"{show_path(target)}, and repeat the command."
    )


def download(entry: Entry, target: Path, *, report: Report | None = None, patience: Patience) -> None:
    """Downloads the raw file of a corpus from its address, or else from its mirrors.

    Args:
        entry: the corpus.
        target: where it goes; its folder exists.
        report: is told of the progress.
        patience: attempts and time limits.

    Raises:
        CorpusError: no address brings the file, or pooch is not installed; `target` is as before.
        OSError: the folder cannot be written.
    """
    if importlib.util.find_spec("pooch") is None:
        raise CorpusError(
            f"Downloading the corpus {entry.name!r} needs pooch: pip install 'textgen-chars[corpora]'. "
            f"{where_to_put(entry, target)}"
        )
    reasons = {}
    for address in (entry.address, *entry.mirrors):
        reason = try_address(entry, address, target, report=report, patience=patience)
        if not reason:
            return
        reasons[urlsplit(address).hostname] = reason
    tried = "; ".join(f"{host}: {reason}" for host, reason in reasons.items())
    raise CorpusError(f"Cannot download the corpus {entry.name!r} ({tried}). {where_to_put(entry, target)}")


def try_address(entry: Entry, address: str, target: Path, *, report: Report | None, patience: Patience) -> str:
    """Downloads the raw file of a corpus from one address.

    Args:
        entry: the corpus.
        address: one of its addresses.
        target: where it goes; its folder exists.
        report: as for `download`.
        patience: attempts and time limits.

    Returns:
        Why it did not come, for a message; "" if it did.

    Raises:
        OSError: the folder cannot be written.
    """
    import pooch  # type: ignore[import-untyped]
    import requests
    import urllib3

    pooch.get_logger().setLevel("CRITICAL")
    registry, urls = {target.name: f"sha256:{entry.sha256}"}, {target.name: address}
    store = pooch.create(target.parent, "", registry=registry, urls=urls, retry_if_failed=patience.attempts - 1)
    try:
        store.fetch(target.name, downloader=_Resuming(entry, target, report, patience))
    except _Refused as error:
        return str(error)
    except requests.Timeout:
        return "it does not answer in time"
    except requests.HTTPError as error:
        return f"it answers {error.response.status_code if error.response is not None else 'with an error'}"
    except requests.TooManyRedirects:
        return "it redirects without end"
    except (requests.RequestException, urllib3.exceptions.HTTPError):
        return "there is no connection, or it breaks"
    except ValueError:
        return "what it sends has another checksum"
    return ""


class _Resuming:
    """Brings a file to the path that pooch gives it, continuing a part that is there.

    Args:
        entry: the corpus, whose size no download exceeds.
        target: the file, beside which the part is kept.
        report: is told of the progress.
        patience: the time limits.
    """

    def __init__(self, entry: Entry, target: Path, report: Report | None, patience: Patience) -> None:
        self._entry, self._report, self._patience = entry, report, patience
        self._part = target.with_name(f"{target.name}.part")

    def __call__(self, url: str, output_file: str, _: object) -> None:
        """Downloads what is missing, as pooch asks for it."""
        if self._size() > self._entry.bytes:
            self._part.unlink()
        if self._size() < self._entry.bytes:
            self._get(url)
        os.replace(self._part, output_file)  # noqa: PTH105

    def _size(self) -> int:
        with contextlib.suppress(FileNotFoundError):
            return self._part.stat().st_size
        return 0

    def _get(self, url: str) -> None:
        import requests

        have, whole = self._size(), self._entry.bytes
        headers = {"Accept-Encoding": "identity", "User-Agent": f"textgen/{VERSION}"}
        if have:
            headers["Range"] = f"bytes={have}-"
        limits = (self._patience.connecting, self._patience.silence)
        with requests.get(url, headers=headers, stream=True, timeout=limits) as answer:
            if answer.status_code in _GONE:
                raise _Refused(f"it answers {answer.status_code}")
            continued = answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            if answer.status_code == 416 or (answer.status_code == 206 and not continued):
                self._part.unlink(missing_ok=True)
                raise requests.ConnectionError("the part that is there cannot be continued")
            answer.raise_for_status()
            done = have if answer.status_code == 206 else 0
            length = answer.headers.get("Content-Length", "")
            if length.isascii() and length.isdigit() and done + int(length) != whole:
                self._part.unlink(missing_ok=True)
                raise _Refused(f"it offers {done + int(length):,} bytes instead of {whole:,}")
            with self._part.open("ab" if done else "wb") as file:
                for piece in answer.iter_content(_PIECE):
                    done += len(piece)
                    if done > whole:
                        file.truncate(0)
                        raise _Refused(f"it sends more than {whole:,} bytes")
                    file.write(piece)
                    if self._report is not None:
                        self._report(self._entry.name, done, whole)
            if done < whole:
                raise requests.ConnectionError("the connection broke")
