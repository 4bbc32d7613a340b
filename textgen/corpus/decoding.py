"""Decodes a source's bytes to text: encoding, byte order mark, newlines; rejects files that are not text."""

from __future__ import annotations

import codecs
import io
import itertools
import re
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from textgen.config import require
from textgen.config.corpus import DecodingErrors
from textgen.corpus.characters import to_code_points
from textgen.corpus.sources import Source
from textgen.corpus.undecodable import undecodable
from textgen.errors import CorpusError

_SAMPLE = 1 << 16
_MAX_CONTROL_SHARE = 0.1
_IS_CONTROL = np.zeros(0xA1, np.bool_)
_IS_CONTROL[[code for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n\v\f\r\b\x1b\x85"]] = True
_BINARY_FORMATS: Mapping[bytes, str] = {
    b"%PDF-": "a PDF document",
    b"PK\x03\x04": "a zip archive or an office document",
    b"\x1f\x8b\x08": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ\x00": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"\x89PNG\r\n": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"{\\rtf": "a rich text document",
}
_HANDLERS: Mapping[DecodingErrors, str] = {"strict": "strict", "replace": "replace", "skip": "ignore"}


def check_encoding(encoding: str) -> str:
    """The canonical name of a text encoding.

    Raises:
        ConfigError: Python has no such encoding, or it is not a text encoding.

    >>> check_encoding("UTF8"), check_encoding("latin-1")
    ('utf-8', 'iso8859-1')
    """
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        name = codecs.lookup(encoding).name
    except (LookupError, ValueError, TypeError):
        name = "undefined"
    usable = name not in ("undefined", "idna", "punycode")
    require(usable, "encoding", "a text encoding that Python knows", encoding, "For instance utf-8, cp1252 or utf-16.")
    return name


def decode_source(
    source: Source,
    *,
    encoding: str,
    keep_newlines: bool,
    on_read: Callable[[bytes], None],
    errors: DecodingErrors = "strict",
) -> Iterator[str]:
    r"""The text of a source, without a byte order mark.

    Args:
        source: the bytes.
        encoding: the text encoding.
        keep_newlines: whether to keep CRLF and CR; otherwise each becomes LF, also across pieces.
        on_read: called with the bytes, in order, as they are read.
        errors: what becomes of bytes that are not valid in the encoding: see `CorpusConfig`.

    Yields:
        Pieces of at least one character.

    Raises:
        CorpusError: the source cannot be read, is not text, or is not valid in its encoding.

    >>> import io
    >>> source = Source("letter", stream=io.BytesIO(b"\xef\xbb\xbfDear Nan,\r\nthe sea"))
    >>> list(decode_source(source, encoding="utf-8", keep_newlines=False, on_read=lambda chunk: None))
    ['Dear Nan,\nthe sea']
    """
    decoder = codecs.getincrementaldecoder(encoding)(_HANDLERS[errors])
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    read, head, started = 0, b"", False
    for chunk in itertools.chain(source.chunks(), [b""]):
        read += len(chunk)
        on_read(chunk)
        if not head:
            head = chunk[:_SAMPLE]
            _reject_known_formats(source, head)
        try:
            piece = decoder.decode(chunk, final=not chunk)
        except UnicodeError as error:
            raise undecodable(source, encoding, head, error, read) from error
        if piece and not started:
            started = True
            piece = piece.removeprefix("\ufeff")
            _reject_binary(source, encoding, piece[:_SAMPLE])
        if not keep_newlines:
            piece = newlines.decode(piece, final=not chunk)
        if piece:
            yield piece


def _reject_known_formats(source: Source, head: bytes) -> None:
    for start, kind in _BINARY_FORMATS.items():
        if head.startswith(start) and (start != b"BZh" or re.match(rb"BZh[1-9]1AY", head)):
            raise CorpusError(f"{source.name} is {kind}, not plain text. Convert it to a text file first.")


def _reject_binary(source: Source, encoding: str, sample: str) -> None:
    if not sample:
        return
    codes = to_code_points(sample)
    if np.count_nonzero(_IS_CONTROL.take(codes, mode="clip")) <= _MAX_CONTROL_SHARE * len(codes):
        return
    zeros = codes == 0
    for name, places in (("utf-16-le", zeros[1::2]), ("utf-16-be", zeros[::2])):
        if len(codes) > 8 and "16" not in encoding and places.mean() > 0.4 and zeros.mean() < 0.6:
            raise CorpusError(f"{source.name} looks like UTF-16, not {encoding}. Pass --encoding {name}.")
    raise CorpusError(
        f"{source.name} looks like a binary file: more than {_MAX_CONTROL_SHARE:.0%} of it is control characters. "
        "Give a plain text file; if it is one, pass its encoding with --encoding."
    )
