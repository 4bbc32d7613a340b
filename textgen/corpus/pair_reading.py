"""Reads a corpus as pairs of a source and a target: the rows of tables, or what a task makes of a plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from textgen.config import CorpusConfig
from textgen.corpus.cells import header
from textgen.corpus.json_lines import keys
from textgen.corpus.lists import lines
from textgen.corpus.normalization import normalize
from textgen.corpus.pair_tasks import cut_sentences, damage
from textgen.corpus.reading import Corpus, OnRead
from textgen.corpus.rows import Fields, show_names
from textgen.corpus.sources import STANDARD_INPUT, Source
from textgen.corpus.tables import SEPARATORS, Kind, guess_kind, read_table, table_kind
from textgen.errors import CorpusError

SOURCE, TARGET = "source", "target"
"""The fields of a table whose fields are not named."""


def read_pairs(corpus: Corpus, on_read: OnRead = lambda _: None) -> Iterator[tuple[list[str], list[str]]]:
    r"""The sources and the targets of a corpus's pairs, some at a time, in their order.

    Args:
        corpus: a corpus with `config.by_pair`.
        on_read: called with the bytes as they are read, and with `b""` at each source's end.

    Raises:
        CorpusError: a file is no table or lacks a field, a row has more or fewer cells than the others, ...

    >>> from textgen.corpus import open_corpus
    >>> path = getfixture("tmp_path") / "years.tsv"
    >>> _ = path.write_text("one\t1\ntwo\t2\n")
    >>> list(read_pairs(open_corpus(path, config=CorpusConfig(pairs=True))))
    [(['one', 'two'], ['1', '2'])]
    """
    config = corpus.config
    for source, pieces in corpus.texts(on_read=on_read):
        if config.task is not None:
            yield from _made(source, pieces, config)
        else:
            yield from _read(source, pieces, config)


def may_be_pairs(kind: Kind, names: Sequence[str]) -> bool:
    """Whether a table can be read as pairs without naming its fields.

    >>> may_be_pairs("tsv", ["haue", "have"]), may_be_pairs("jsonl", ["old", "new"])
    (True, False)
    """
    return _named(names) is not None or (kind != "jsonl" and len(names) == 2)


def _made(source: Source, pieces: Iterator[str], config: CorpusConfig) -> Iterator[tuple[list[str], list[str]]]:
    """The pairs that a task makes of a plain text."""
    if table_kind(source.location) is not None:
        raise CorpusError(
            f"{source.name} is a table, but --task makes pairs from a plain text. Give a text, or use --pairs."
        )
    assert config.task is not None
    for block in lines(pieces):
        targets = [piece.strip() for line in _normalized(block, config) for piece in cut_sentences(line)]
        targets = [target for target in targets if target]
        yield [damage(target, config.task, rate=config.noise_rate) for target in targets], targets


def _read(source: Source, pieces: Iterator[str], config: CorpusConfig) -> Iterator[tuple[list[str], list[str]]]:
    """The pairs in a table."""
    text = list(pieces)
    kind = guess_kind(text[0] if text else "") if source.location == STANDARD_INPUT else table_kind(source.location)
    if kind is None:
        raise CorpusError(
            f"{source.name} is not named as a table, but pairs are read from .csv, .tsv and .jsonl files. Rename it; "
            "textgen train --task makes pairs from a plain text."
        )
    fields = _fields(source.name, kind, text, config)
    sides = [read_table(kind, source.name, text, each, errors=config.errors) for each in fields]
    # The two take the same rows, but not necessarily as many at a time.
    sources, targets = (chain.from_iterable(rows.texts for rows in side) for side in sides)
    both = [list(side) for side in (sources, targets)]
    yield _normalized(both[0], config), _normalized(both[1], config)


def _fields(name: str, kind: Kind, text: Sequence[str], config: CorpusConfig) -> tuple[Fields, Fields]:
    """The fields of the sources and of the targets."""
    source, target = config.source_field, config.target_field
    if source is not None and target is not None:
        return Fields(source, option="--source-field"), Fields(target, option="--target-field")
    found = keys(text) if kind == "jsonl" else header(SEPARATORS[kind], text)
    sides = _named(found) or (SOURCE, TARGET)
    names = () if kind == "jsonl" or _named(found) else sides
    # Of a file without an object the reader says what is wrong.
    if found and not _named(found) and (kind == "jsonl" or len(found) != 2):
        kept = " and ".join(map(repr, sides))
        either = "" if kind == "jsonl" else "two columns, or "
        there = f"the field{'s' if len(found) != 1 else ''} {show_names(found)}"
        raise CorpusError(
            f"{name} has {there}, not {either}{kept}. Call the two of a pair so, or name them in textgen train with "
            "--source-field and --target-field."
        )
    return (
        Fields(sides[0], option="--source-field", names=names),
        Fields(sides[1], option="--target-field", names=names),
    )


def _named(names: Sequence[str]) -> tuple[str, str] | None:
    """The fields that are called source and target, in small letters or capitals; None where one is missing."""
    known = {each.lower(): each for each in names}
    return (known[SOURCE], known[TARGET]) if {SOURCE, TARGET} <= known.keys() else None


def _normalized(texts: list[str], config: CorpusConfig) -> list[str]:
    if config.normalize == "none":
        return texts
    return ["".join(normalize([text], config.normalize)) for text in texts]
