"""Reads JSON Lines files: the text and the labels of each object."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from textgen.config.corpus import DecodingErrors
from textgen.corpus.lists import lines
from textgen.corpus.rows import Fields, Rows, labels_of, missing_field, show_names
from textgen.errors import CorpusError

_Labels = str | list[str] | None

_BLOCK = 1 << 18
"""Characters parsed at a time: their objects stay in the processor's cache."""

_NEWLINE = "\n"
_SURROGATE = re.compile("[\ud800-\udfff]")
_KINDS = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object", str: "a string"}


def keys(pieces: Iterable[str]) -> list[str]:
    r"""The names of the fields of the first object; empty if there is none.

    >>> keys(['\n{"id": 1, "text": "The sea"}\n'])
    ['id', 'text']
    """
    for line in chain.from_iterable(lines(pieces)):
        if line and not line.isspace():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                return []
            return list(value) if isinstance(value, dict) else []
    return []


def read_objects(
    name: str, pieces: Iterable[str], fields: Fields, *, errors: DecodingErrors = "strict"
) -> Iterator[Rows]:
    r"""The objects of a JSON Lines file, one a line. Blank lines are skipped.

    A text is a string, or null for none; labels are a string, as in a cell, a list of strings, or null.

    Args:
        name: its name in messages.
        pieces: its text.
        fields: the fields to read.
        errors: what becomes of half a surrogate pair, which is no character: see `CorpusConfig`.

    Raises:
        CorpusError: a line is no JSON object, the text is missing or no string, labels are no strings, or none of the
            first thousands of objects has a field of labels. It says the line.

    >>> pieces = ['{"text": "The sea", "by": ["Nan", "Jem"]}\n\n{"text": "the s\\u00e9a"}\n']
    >>> list(read_objects("poems.jsonl", pieces, Fields("text", ("by",))))
    [Rows(texts=['The sea', 'the séa'], labels=[('Jem', 'Nan'), ()])]
    """
    known: dict[Any, tuple[str, ...]] = {}
    before, unseen = 0, list(fields.labels)
    for text in _whole_lines(pieces):
        block = _Block(name, text, before)
        before += text.count("\n")
        objects = block.objects()
        if not objects:
            continue
        unseen = [field for field in unseen if not any(field in each for each in objects)]
        if unseen:
            raise missing_field(name, "--label-field", unseen[0], list(objects[0]))
        texts = block.texts(objects, fields, errors)
        yield Rows(texts, block.labels(objects, fields.labels, known) if fields.labels else [()] * len(texts))


class _Block:
    """Some lines of a file, whose objects are known by their place among those of the block.

    Args:
        name: the file's name in messages.
        text: the lines, each but the last with its newline.
        before: how many lines stand before them.
    """

    def __init__(self, name: str, text: str, before: int) -> None:
        self._name, self._text, self._before = name, text, before

    def objects(self) -> list[dict[str, Any]]:
        """The lines' objects."""
        text = self._text.removesuffix("\n")
        try:
            # One call for all lines, which no blank ones part, takes half the time of one for each.
            values = json.loads(f"[{text.replace(_NEWLINE, ',')}]")
        except (ValueError, RecursionError):
            values = []
        if len(values) != text.count("\n") + 1 or set(map(type, values)) - {dict}:
            values = [self._object(line, number) for number, line in self._numbered()]
        return values  # type: ignore[no-any-return]

    def _object(self, line: str, number: int) -> dict[str, Any]:
        try:
            value, reason = json.loads(line), ""
        except json.JSONDecodeError as error:
            value, reason = None, f" ({error.msg} at character {error.pos + 1})"
        except (ValueError, RecursionError):
            value, reason = None, ""
        if not isinstance(value, dict):
            raise CorpusError(
                f"Line {number:,} of {self._name} is no JSON object{reason}. Correct the line, or remove it."
            )
        return value

    def texts(self, objects: Sequence[Mapping[str, Any]], fields: Fields, errors: DecodingErrors) -> list[str]:
        """The objects' texts."""
        field = fields.text
        try:
            texts = [each[field] for each in objects]
        except KeyError:
            place = next(place for place, each in enumerate(objects) if field not in each)
            raise CorpusError(
                f"{self._line(place)} has no field {field!r}; it has {show_names(list(objects[place]))}. Add it, or "
                f"name another one with {fields.option}."
            ) from None
        if set(map(type, texts)) != {str}:
            for place, text in enumerate(texts):
                if not isinstance(text, str) and text is not None:
                    raise CorpusError(
                        f"{self._line(place)} has {_kind(text)} in the field {field!r}, where the text is to be a "
                        f"string. Correct it, or name another field with {fields.option}."
                    )
            texts = [text or "" for text in texts]
        try:
            "".join(texts).encode()
        except UnicodeEncodeError:
            texts = [self._whole(text, place, field, errors) for place, text in enumerate(texts)]
        return texts

    def _whole(self, text: str, place: int, field: str, errors: DecodingErrors) -> str:
        if errors == "strict" and _SURROGATE.search(text):
            raise CorpusError(
                f"{self._line(place)} has half of a surrogate pair, which is no character, in the field {field!r}. "
                "Correct it, or pass --errors replace or --errors skip."
            )
        return _SURROGATE.sub("\ufffd" if errors == "replace" else "", text)

    def labels(
        self, objects: Sequence[Mapping[str, Any]], fields: Sequence[str], known: dict[Any, tuple[str, ...]]
    ) -> list[tuple[str, ...]]:
        """The labels of each object.

        Args:
            objects: the block's objects.
            fields: the fields of labels.
            known: labels by the values of the fields, to which new ones are added.
        """
        columns = [[each.get(field) for each in objects] for field in fields]
        rows: list[Any] = columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
        try:
            return [known[row] for row in rows]
        except (KeyError, TypeError):
            labels = []
        for place, values in enumerate(zip(*columns, strict=True)):
            plain = all(value is None or isinstance(value, str) for value in values)
            found = known.get(rows[place]) if plain else None
            if found is None:
                found = self._combination(values, fields, place)
            if plain:
                known[rows[place]] = found
            labels.append(found)
        return labels

    def _combination(self, values: Sequence[Any], fields: Sequence[str], place: int) -> tuple[str, ...]:
        """The labels of an object, from its values in the fields of labels."""
        found: set[str] = set()
        for value, field in zip(values, fields, strict=True):
            if isinstance(value, list) and all(isinstance(each, str) for each in value):
                found |= {each.strip() for each in value} - {""}
            elif isinstance(value, str):
                found |= set(labels_of(value))
            elif value is not None:
                kind = "a list that is not all strings" if isinstance(value, list) else _kind(value)
                raise CorpusError(
                    f"{self._line(place)} has {kind} in the field {field!r}, where labels are to be a string or a list "
                    "of strings. Correct it, or name another field with --label-field."
                )
        return tuple(sorted(found))

    def _line(self, place: int) -> str:
        return f"Line {self._numbered()[place][0]:,} of {self._name}"

    def _numbered(self) -> list[tuple[int, str]]:
        """The lines that are not blank, with their numbers."""
        numbered = enumerate(self._text.split("\n"), self._before + 1)
        return [(number, line) for number, line in numbered if line and not line.isspace()]


def _whole_lines(pieces: Iterable[str]) -> Iterator[str]:
    """A text in pieces of whole lines."""
    held: list[str] = []
    for piece in pieces:
        done = 0
        while cut := piece.rfind("\n", done, done + _BLOCK) + 1 or piece.find("\n", done) + 1:
            yield "".join([*held, piece[done:cut]])
            held, done = [], cut
        held.append(piece[done:])
    last = "".join(held)
    if last:
        yield last


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "null")
