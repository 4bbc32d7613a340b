"""A corpus from strings in memory, or from a generator of them, instead of files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from textgen.config import CorpusConfig, require
from textgen.corpus.reading import Corpus
from textgen.corpus.rows import Fields
from textgen.corpus.sources import STANDARD_INPUT, Source, cannot_keep, temporary_file
from textgen.errors import CorpusError

NAME = "texts"
MARK = "\ufeff"


Text = str | tuple[str, str | Sequence[str]]
"""A text; or, where each text is a record, one with its label or labels."""

_FIELDS = Fields("text", ("labels",))


def open_texts(texts: Iterable[Text], *, config: CorpusConfig | None = None) -> Corpus:
    r"""A corpus of strings, joined as files are: a newline is added after one that does not end with one.

    The strings are taken once and kept in a temporary file, so that they may come from a generator and be more than the
    memory holds. Encoding and error handler do not apply to them.

    With `records="files"` each string is a record, without the newlines at its end; it may come in a pair with its
    label, or a list of its labels.

    Args:
        texts: the strings, in order.
        config: the settings by which they become one text; None takes the defaults.

    Raises:
        ConfigError: `texts` is a single string, one of them is no string, or the settings name a table's field.
        CorpusError: one of them holds half of a surrogate pair, or the disk has no space for them.

    >>> corpus = open_texts(poem for poem in ("The sea,\r\nthe sea", "", "Nan Tregear\n"))
    >>> corpus.name, "".join(corpus.pieces())
    ('texts', 'The sea,\nthe sea\nNan Tregear\n')
    >>> from textgen.corpus import encode_corpus
    >>> encode_corpus(open_texts([("The sea", "Nan")] * 3, config=CorpusConfig(records="files"))).records.labels
    ('Nan',)
    """
    expected = "an iterable of strings"
    require(
        not isinstance(texts, (str, bytes)), "texts", expected, texts, "Put a single text into a list: texts=[text]."
    )
    require(isinstance(texts, Iterable), "texts", expected, type(texts).__name__)
    config = CorpusConfig() if config is None else config
    config = config.replace(encoding="utf-8", errors="strict", strip=config.strip or "none")
    require(config.text_field is None, "text_field", "left out for texts", config.text_field, "Pass pairs for labels.")
    each_a_record = config.records == "files"
    data = _objects(texts) if each_a_record else _joined(texts, keep_newlines=config.keep_newlines)
    file = temporary_file(NAME)
    try:
        for chunk in data:
            file.write(chunk)
    except OSError as error:
        file.close()
        raise cannot_keep(NAME, error) from error
    except BaseException:
        file.close()
        raise
    fields = _FIELDS if each_a_record else None
    return Corpus(NAME, [Source(NAME, kept=file)], config, places=[STANDARD_INPUT], fields=fields)


def _objects(texts: Iterable[Text]) -> Iterator[bytes]:
    """Each text as a JSON object on a line, with its labels."""
    for number, given in enumerate(texts):
        text, labels = given if isinstance(given, tuple) and len(given) == 2 else (given, ())
        labels = [labels] if isinstance(labels, str) else labels
        expected = "a string, or a pair of one and its label or a list of its labels"
        listed = isinstance(labels, Sequence) and all(isinstance(label, str) for label in labels)
        require(isinstance(text, str) and listed, f"texts[{number}]", expected, given)
        plain = str(text).removeprefix(MARK).rstrip("\r\n")
        _encoded(plain, number)
        for label in labels:
            _encoded(label, number)
        yield json.dumps({"text": plain, "labels": list(labels)}).encode() + b"\n"


def _encoded(text: str, number: int) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise CorpusError(
            f"texts[{number}] holds half of a surrogate pair at character {error.start}, which is no character. "
            "Decode the text anew, or remove it."
        ) from error


def _joined(texts: Iterable[Text], *, keep_newlines: bool) -> Iterator[bytes]:
    """The strings in UTF-8, each after a newline where the one before lacks it."""
    last = ""
    for number, text in enumerate(texts):
        remedy = 'Pass records="files" to learn each text by itself, with its labels.' * isinstance(text, tuple)
        require(isinstance(text, str), f"texts[{number}]", "a string", type(text).__name__, remedy)
        # Each is a text of its own: a CR at its end and an LF at the start of the next are two newlines.
        plain = str(text) if keep_newlines else str(text).replace("\r\n", "\n").replace("\r", "\n")
        plain = plain.removeprefix(MARK)
        data = _encoded(plain, number)
        if not data:
            continue
        if last:
            yield b"" if last in "\r\n" else b"\n"
        elif plain.startswith(MARK):
            # What reads the file drops one more.
            yield MARK.encode()
        yield data
        last = plain[-1]
