"""A corpus from strings in memory, or from a generator of them, instead of files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from textgen.config import CorpusConfig, require
from textgen.corpus.reading import Corpus
from textgen.corpus.sources import STANDARD_INPUT, Source, cannot_keep, temporary_file
from textgen.errors import CorpusError

NAME = "texts"
MARK = "\ufeff"


def open_texts(texts: Iterable[str], *, config: CorpusConfig | None = None) -> Corpus:
    r"""A corpus of strings, joined as files are: a newline is added after one that does not end with one.

    The strings are taken once and kept in a temporary file, so that they may come from a generator and be more than the
    memory holds. Encoding and error handler do not apply to them.

    Args:
        texts: the strings, in order.
        config: the settings by which they become one text; None takes the defaults.

    Raises:
        ConfigError: `texts` is a single string, or one of them is no string.
        CorpusError: one of them holds half of a surrogate pair, or the disk has no space for them.

    >>> corpus = open_texts(poem for poem in ("The sea,\r\nthe sea", "", "Nan Tregear\n"))
    >>> corpus.name, "".join(corpus.pieces())
    ('texts', 'The sea,\nthe sea\nNan Tregear\n')
    """
    expected = "an iterable of strings"
    require(
        not isinstance(texts, (str, bytes)), "texts", expected, texts, "Put a single text into a list: texts=[text]."
    )
    require(isinstance(texts, Iterable), "texts", expected, type(texts).__name__)
    config = (CorpusConfig() if config is None else config).replace(encoding="utf-8", errors="strict")
    file = temporary_file(NAME)
    try:
        for text in _joined(texts, keep_newlines=config.keep_newlines):
            file.write(text)
    except OSError as error:
        file.close()
        raise cannot_keep(NAME, error) from error
    except BaseException:
        file.close()
        raise
    return Corpus(NAME, [Source(NAME, kept=file)], config, places=[STANDARD_INPUT])


def _joined(texts: Iterable[str], *, keep_newlines: bool) -> Iterator[bytes]:
    """The strings in UTF-8, each after a newline where the one before lacks it."""
    last = ""
    for number, text in enumerate(texts):
        require(isinstance(text, str), f"texts[{number}]", "a string", type(text).__name__)
        # Each is a text of its own: a CR at its end and an LF at the start of the next are two newlines.
        plain = text if keep_newlines else text.replace("\r\n", "\n").replace("\r", "\n")
        plain = plain.removeprefix(MARK)
        try:
            data = plain.encode()
        except UnicodeEncodeError as error:
            raise CorpusError(
                f"texts[{number}] holds half of a surrogate pair at character {error.start}, which is no character. "
                "Decode the text anew, or remove it."
            ) from error
        if not data:
            continue
        if last:
            yield b"" if last in "\r\n" else b"\n"
        elif plain.startswith(MARK):
            # What reads the file drops one more.
            yield MARK.encode()
        yield data
        last = plain[-1]
