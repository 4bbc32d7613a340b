"""Reads FILE of a command as a run on records reads its text: a table row by row, anything else as a text."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from textgen.cli.reading import hint_at_waiting
from textgen.config import CorpusConfig
from textgen.config.corpus import DecodingErrors
from textgen.corpus import Corpus, open_corpus
from textgen.corpus.finding import is_stream
from textgen.corpus.record_reading import RecordReader
from textgen.corpus.rows import show_names
from textgen.corpus.tables import field_names, guess_kind, table_kind
from textgen.errors import CorpusError
from textgen.sampling.classifying import check_labels
from textgen.sampling.records import check_records
from textgen.sampling.writer import Writer

Records = tuple[list[str], list[tuple[str, ...]]]
"""The texts of some records, and the labels of each."""


def open_table(
    writer: Writer,
    file: str,
    *,
    encoding: str,
    errors: DecodingErrors | None,
    text_field: str | None,
    label_field: str | None,
    remember: bool = True,
) -> Corpus | None:
    """FILE as a table of records, as the run's own text was read; None if it is not to be read as one.

    It is where it is named as a table and the run's text was one, or where a field is named.

    Args:
        writer: the model.
        file: the file, or "-".
        encoding: its encoding.
        errors: what becomes of bytes that are not valid in it; None is as for the run's text.
        text_field: the field with the text; None takes the run's.
        label_field: the field or fields with the labels; None takes none or, with `remember`, the run's if FILE has it.
        remember: see `label_field`.

    Raises:
        ConfigError: a field is given, and the run is not of a kind that it is of use to.
        CorpusError: a field is given for a file that is not named as a table.
    """
    if text_field is not None:
        check_records(writer, "--text-field")
    if label_field is not None:
        check_labels(writer, "--label-field")
    reading, kind = writer.reading, table_kind(file)
    if text_field is label_field is None and (reading.text_field is None or kind is None):
        return None
    if kind is None and not is_stream(file):
        option = "--label-field" if text_field is None else "--text-field"
        raise CorpusError(
            f"{file} is not named as a table, but {option} reads .csv, .tsv and .jsonl files. Rename it, or leave "
            f"{option} out."
        )
    config = _settings(writer, encoding, errors).replace(
        records=None, text_field=reading.text_field if text_field is None else text_field
    )
    with hint_at_waiting([file]):
        corpus = open_corpus(file, config=config)
        if config.text_field is None:
            raise _unnamed(corpus)
        own = reading.label_field if remember and writer.labels else None
        if label_field is None and own is not None:
            label_field = own if {name.strip() for name in own.split(",")} <= set(_names(corpus)) else None
    return corpus.configured(config.replace(label_field=label_field))


def open_list(writer: Writer, file: str, *, encoding: str, errors: DecodingErrors | None) -> Corpus:
    """FILE as a list of records: paragraphs or tunes if the run is on them, otherwise lines.

    Raises:
        CorpusError: it is a table.
    """
    own = writer.reading.records
    config = _settings(writer, encoding, errors).replace(records=own if own in ("paragraphs", "tunes") else "lines")
    with hint_at_waiting([file]):
        corpus = open_corpus(file, config=config)
    if table_kind(file) is not None:
        raise _unnamed(corpus)
    return corpus


def read_blocks(corpus: Corpus) -> Iterator[Records]:
    """The records of a table or a list that are not empty, some thousands at a time.

    Raises:
        CorpusError: the file is missing, not text, or not as a table should be.
    """
    reader = RecordReader(corpus, seed=0)
    for block in reader.blocks(lambda _: None):
        sets = list(reader.combinations)
        yield block.texts, [sets[each] for each in block.label_of.tolist()]


def read_all(corpus: Corpus) -> Records:
    """All records of a table that are not empty.

    Raises:
        CorpusError: as `read_blocks`, or there are none.
    """
    texts: list[str] = []
    labels: list[tuple[str, ...]] = []
    for block in read_blocks(corpus):
        texts += block[0]
        labels += block[1]
    if not texts:
        raise CorpusError(f"There is nothing to score: {corpus.title} has no record that is not empty.")
    return texts, labels


def _settings(writer: Writer, encoding: str, errors: DecodingErrors | None) -> CorpusConfig:
    config = writer.reading.replace(encoding=encoding, label_field=None).replace(text_field=None)
    return config if errors is None else config.replace(errors=errors)


def _unnamed(corpus: Corpus) -> CorpusError:
    return CorpusError(
        f"{corpus.title} is a table with the fields {show_names(_names(corpus))}. Name the one with the text: "
        "--text-field NAME"
    )


def _names(corpus: Corpus) -> list[str]:
    """The names of a table's fields."""
    for source, pieces in corpus.texts():
        start = next(pieces, "")
        return field_names(table_kind(source.location) or guess_kind(start), chain([start], pieces))
    return []
