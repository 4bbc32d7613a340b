"""What the form of a corpus tells of its records before it is read: tables are refused, lists noted, fields checked."""

from __future__ import annotations

from collections.abc import Sequence

from textgen.corpus.lists import looks_like_list
from textgen.corpus.reading import Corpus
from textgen.corpus.record_reading import RecordReader
from textgen.corpus.rows import show_names
from textgen.corpus.tables import field_names, table_kind
from textgen.corpus.tunes import is_book
from textgen.errors import CorpusError


def refuse_table(corpus: Corpus) -> None:
    r"""Refuses a corpus with a table if the settings do not say whether to read it as one.

    Args:
        corpus: the corpus; only the start of the first table is read.

    Raises:
        CorpusError: it has a .csv, .tsv or .jsonl file, and neither `text_field` nor `records` is set.

    >>> from textgen.corpus import open_corpus
    >>> path = getfixture("tmp_path") / "poems.csv"
    >>> _ = path.write_text("text,author\nThe sea,Nan\n")
    >>> refuse_table(open_corpus(path))
    Traceback (most recent call last):
    ...
    textgen.errors.CorpusError: ...poems.csv is a table with the fields 'text' and 'author'. Pass --text-field NAME ...
    """
    if corpus.config.records is not None or corpus.config.text_field is not None:
        return
    for source, pieces in corpus.texts():
        kind = table_kind(source.location)
        if kind is not None and source.size:
            names = field_names(kind, pieces)
            raise CorpusError(
                f"{source.name} is a table{_with(names)}. Pass --text-field NAME to learn the text of each row as a "
                "record of its own, or --records none to learn the file as it is."
            )


def note_on_list(corpus: Corpus) -> str:
    r"""Says what `records` would do for a list of lines, or a book of tunes; "" if it is set, or there is neither.

    Only the start of the first source is read; a book of tunes is known by its name.

    >>> from textgen.corpus import open_corpus
    >>> path = getfixture("tmp_path") / "names.txt"
    >>> _ = path.write_text("Ada\nBea\nCleo\n" * 20)
    >>> note_on_list(open_corpus(path)).partition("names.txt")[2]
    ' looks like a list: --records lines would learn each line by itself, whatever stands before it, in a new order ...'
    """
    if corpus.config.records is not None or corpus.config.text_field is not None:
        return ""
    for source, pieces in corpus.texts():
        if is_book(source.location):
            return (
                f"{source.name} is a book of tunes: --records tunes would learn each tune by itself, whatever stands "
                "before it, in a new order in each epoch."
            )
        if not looks_like_list(next(pieces, "")):
            return ""
        return (
            f"{source.name} looks like a list: --records lines would learn each line by itself, whatever stands before "
            "it, in a new order in each epoch."
        )
    return ""


def read_first(corpus: Corpus) -> None:
    """Reads the first records of a corpus, so that a wrong field is found before anything else is begun.

    Raises:
        CorpusError: as `textgen.corpus.encode_corpus`.
    """
    next(RecordReader(corpus, seed=0).blocks(lambda _: None), None)


def _with(names: Sequence[str]) -> str:
    if not names:
        return ""
    return f" with the field{'s' if len(names) > 1 else ''} {show_names(names)}"
