"""What the form of a corpus tells of its records before it is read: tables are refused, lists noted, fields checked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from textwrap import shorten

from textgen.corpus.gutenberg import may_begin
from textgen.corpus.lists import looks_like_list
from textgen.corpus.pair_reading import may_be_pairs, read_pairs
from textgen.corpus.reading import Corpus
from textgen.corpus.record_reading import RecordReader
from textgen.corpus.rows import show_names
from textgen.corpus.tables import field_names, table_kind
from textgen.corpus.tunes import is_book
from textgen.errors import CorpusError

_LOOKED_AT = 20
"""How many sources are looked at for markers of Project Gutenberg."""

_TOLD = 5
"""How many books are told of."""


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
    if corpus.config.records is not None or corpus.config.text_field is not None or corpus.config.by_pair:
        return
    for source, pieces in corpus.texts():
        kind = table_kind(source.location)
        if kind is not None and source.size:
            names = field_names(kind, pieces)
            pairs = " --pairs to learn to turn the first field into the second," if may_be_pairs(kind, names) else ""
            raise CorpusError(
                f"{source.name} is a table{_with(names)}. Pass --text-field NAME to learn the text of each row as a "
                f"record of its own,{pairs} or --records none to learn the file as it is."
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
    if corpus.config.records is not None or corpus.config.text_field is not None or corpus.config.by_pair:
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


def settle(corpus: Corpus) -> Corpus:
    r"""The corpus with `strip` decided: "gutenberg" where a source has the markers and none is refused, or else "none".

    Args:
        corpus: the corpus; of most texts only the starts of the first sources are read.

    Raises:
        CorpusError: `strip` is "gutenberg", and more than a fifth of a source would be removed.

    >>> from textgen.corpus import open_corpus
    >>> path = getfixture("tmp_path") / "emma.txt"
    >>> book = "Emma was clever.\n" * 50
    >>> _ = path.write_text(f"Title: Emma\n*** START OF THE PROJECT GUTENBERG EBOOK EMMA ***\n{book}"
    ...     "*** END OF THE PROJECT GUTENBERG EBOOK EMMA ***\n")
    >>> settled = settle(open_corpus(path))
    >>> settled.config.strip, "".join(settled.pieces()) == book
    ('gutenberg', True)
    """
    config = corpus.config
    if config.strip == "gutenberg":
        for source, cut in corpus.cuts():
            if cut.refused:
                raise CorpusError(
                    f"{source.name} has markers of Project Gutenberg by which {cut.removed / cut.total:.0%} of it "
                    "would be left out, and more than a fifth never is. Cut it by hand, and pass --strip none."
                )
    if config.strip is not None:
        return corpus
    plain = corpus.fields is None and config.text_field is None and config.records != "tunes"
    found = list(corpus.cuts()) if plain and _may_be_gutenberg(corpus) else []
    certain = any(cut.certain for _, cut in found) and not any(cut.refused for _, cut in found)
    return corpus.configured(config.replace(strip="gutenberg" if certain else "none"))


def notes_on_strip(corpus: Corpus, *, unasked: bool) -> list[str]:
    """Says for each source what is left out of it; of many, for the first few. Where nothing is, though asked, says so.

    Args:
        corpus: the corpus, settled.
        unasked: whether `strip` was left to the text.
    """
    if corpus.config.strip != "gutenberg":
        return []
    notes = []
    for source, cut in islice(corpus.cuts(), _TOLD + 1):
        end = f", and {cut.total - cut.end:,} after {shorten(cut.last, 50)!r}" if cut.last else ""
        notes.append(
            f"{source.name} is a book of Project Gutenberg. Left out: {cut.lines_before:,} lines ({cut.start:,} "
            f"characters) before {shorten(cut.first, 50)!r}{end}.{' --strip none keeps them.' * unasked}"
        )
    if not notes:
        return ["--strip gutenberg left nothing out: no file has markers of Project Gutenberg."]
    return [*notes[:_TOLD], "More books are stripped in the same way."] if len(notes) > _TOLD else notes


def _may_be_gutenberg(corpus: Corpus) -> bool:
    """Whether one of the first sources has a marker at its start."""
    return any(may_begin(pieces) for _, pieces in islice(corpus.texts(), _LOOKED_AT))


def read_first(corpus: Corpus) -> None:
    """Reads the first records of a corpus, so that a wrong field is found before anything else is begun.

    Raises:
        CorpusError: as `textgen.corpus.encode_corpus`.
    """
    if corpus.config.by_pair:
        next(read_pairs(corpus), None)
        return
    next(RecordReader(corpus, seed=0).blocks(lambda _: None), None)


def _with(names: Sequence[str]) -> str:
    if not names:
        return ""
    return f" with the field{'s' if len(names) > 1 else ''} {show_names(names)}"
