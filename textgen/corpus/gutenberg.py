"""Finds what Project Gutenberg puts before and after a book: header, licence, and notes on who produced the file.

The markers have had many forms in fifty years. A text is looked through once, in bounded memory, for the places where
the book begins and ends; `keep` then cuts it there on every pass.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

MOST = 0.2
"""The share of a text that may be removed."""

_HEAD = 1 << 16
"""Characters at a text's start in which its header must end."""

_APART = 20_000
"""The longest header, or part of one, in characters."""

_NOTES = 12_000
"""Characters that notes after the header take at most, and that one in brackets takes."""

_BEFORE_END = 6000
"""Characters before the end in which a transcriber's note is looked for."""

_LONGEST_LINE = 1000
_ENDS = 100

_START = re.compile(
    r"^[ \t]*(?:\*{3} ?START OF TH(?:E|IS) (?:COPYRIGHTED )?PROJECT GUTENBERG|\*END ?\*? ?THE SMALL PRINT)[^\n]*\n?",
    re.IGNORECASE | re.MULTILINE,
)
_END = re.compile(
    r"^[ \t]*(?:\*{3} ?END OF TH(?:E|IS) (?:COPYRIGHTED )?PROJECT GUTENBERG"
    r"|(?:This is the )?End of (?:the |this |this is copyrighted )?Project Gutenberg"
    r"|Ende dieses Proje[ck]t[ -]Gutenberg|Fin d[eu] (?:ce )?Project Gutenberg)",
    re.IGNORECASE | re.MULTILINE,
)
_PRODUCED = re.compile(
    r"[\[(]?\s*(?:(?:this )?(?:e-?text|e-?book|file|text|etext edition|html version)(?: file| version)?"
    r"(?: was| were)? (?:first )?(?:prepared|produced|created|scanned|transcribed|typed|entered|proofread|converted)\b"
    r"|(?:produced|transcribed|scanned|digiti[sz]ed|proof-?read|prepared|typed|html version|html edition) (?:and \w+ )?"
    r"(?:by|from)\b|proofreading by\b|(?:the )?online distributed proofread"
    r"|note: (?:project gutenberg|images of)|\[?(?:transcriber|translator)(?:['’]s|s['’]?)? notes?\b)",
    re.IGNORECASE,
)
_NOTE = re.compile(r"(?:transcriber|translator)(?:['’]s|s['’]?)? notes?[ \t]*[:.]?[ \t]*\Z", re.IGNORECASE)
_LAST_NOTE = re.compile(r"^[ \t]*(\[?)Transcriber(?:['’]s|s['’]?)? Notes?\b([^\n]*)$", re.IGNORECASE | re.MULTILINE)
_BLANK = re.compile(r"(?:[ \t\r]*\n)*")
_PARAGRAPH = re.compile(r"(?:[ \t]*[^\s][^\n]*(?:\n|\Z))+")


class Cut(NamedTuple):
    """Where a book begins and ends in a text of Project Gutenberg.

    Attributes:
        start: characters before the book.
        end: characters up to its end.
        total: the text's length in characters.
        certain: whether there is a marker on both sides.
        refused: whether more than `MOST` of the text would go; then all of it is kept.
        lines_before: how many lines stand before the book.
        first: the book's first line.
        last: its last line; "" if no marker ends it.
    """

    start: int
    end: int
    total: int
    certain: bool
    refused: bool
    lines_before: int
    first: str
    last: str

    @property
    def removed(self) -> int:
        """How many characters are removed, or would be."""
        return self.start + self.total - self.end


def may_begin(pieces: Iterable[str]) -> bool:
    r"""Whether a text has a header of Project Gutenberg; no more than its start is read.

    >>> may_begin(["Emma\n\n*** START OF THE ", "PROJECT GUTENBERG EBOOK EMMA ***\n"]), may_begin(["The sea"])
    (True, False)
    """
    head = ""
    for piece in pieces:
        head += piece[: _HEAD - len(head)]
        if len(head) == _HEAD:
            break
    return _START.search(head) is not None


def find_cut(pieces: Iterable[str]) -> Cut | None:
    r"""Looks through a text for the book in it; None where there is no marker.

    Args:
        pieces: the text, with LF at the ends of lines.

    >>> text = "Title: Emma\n*** START OF THE PROJECT GUTENBERG EBOOK EMMA ***\n\nProduced by Nan\n\nEmma was clever.\n"
    >>> cut = find_cut([text, "The sea. " * 99, "\n\n*** END OF THE PROJECT GUTENBERG EBOOK EMMA ***\n"])
    >>> cut.certain, cut.refused, cut.first
    (True, False, 'Emma was clever.')
    """
    head, tail, total, seen, begun = "", "", 0, -1, 0
    ends: deque[tuple[int, str]] = deque(maxlen=_ENDS)
    for piece in pieces:
        head += piece[: _HEAD - len(head)]
        text, origin = tail + piece, total - len(tail)
        for found in _END.finditer(text, begun):
            place = found.start()
            # A marker in a line that goes on in the next piece is found there again.
            if origin + place > seen:
                seen = origin + place
                book = _without_note(text[max(0, place - _BEFORE_END) : place])
                ends.append((seen - min(place, _BEFORE_END) + len(book), book.rstrip().rpartition("\n")[2].strip()))
        total += len(piece)
        tail = text[-_BEFORE_END - _LONGEST_LINE :]
        begun = max(tail.rfind("\n") + 1, len(tail) - _LONGEST_LINE)
    start = _start(head, ends[0][0] if ends else len(head))
    if start is None and not ends:
        return None
    first = start or 0
    fitting = [each for each in ends if first < each[0] and first + total - each[0] <= MOST * total]
    end, last = (fitting or [*ends][-1:] or [(total, "")])[0]
    return Cut(
        start=first,
        end=end,
        total=total,
        certain=start is not None and bool(ends),
        refused=end <= first or first + total - end > MOST * total,
        lines_before=head[:first].count("\n"),
        first=head[first:].partition("\n")[0].strip(),
        last=last,
    )


def keep(pieces: Iterable[str], cut: Cut | None) -> Iterator[str]:
    """The book of a text; the whole text where there is nothing to remove, or too much.

    >>> "".join(keep(["abc", "def"], Cut(1, 5, 6, True, False, 0, "", "")))
    'bcde'
    """
    if cut is None or cut.refused:
        yield from pieces
        return
    done = 0
    for piece in pieces:
        kept = piece[max(0, cut.start - done) : max(0, cut.end - done)]
        done += len(piece)
        if kept:
            yield kept


def _start(head: str, limit: int) -> int | None:
    """Where the book begins: after the last marker of the header, and the notes behind it; None without a marker."""
    place = None
    for found in _START.finditer(head, 0, min(limit, len(head))):
        if found.start() - (place or 0) > _APART:
            break
        place = _closed(head, found)
    return None if place is None else _after_notes(head, place)


def _closed(head: str, found: re.Match[str]) -> int:
    """The end of a marker, which may go over several lines up to its asterisks."""
    line = found[0].strip()
    if line.endswith("*") or not line:
        return found.end()
    place = found.end()
    for _ in range(4):
        end = head.find("\n", place) + 1 or len(head)
        line = head[place:end].strip()
        if not line:
            break
        place = end
        if line.endswith("*"):
            return place
    return found.end()


def _after_notes(head: str, place: int) -> int:
    """The place after notes on who produced the file and how it was transcribed."""
    last, limit = place, place + _NOTES
    while place < limit:
        begin = _BLANK.match(head, place)
        last = place = begin.end() if begin else place
        paragraph = _PARAGRAPH.match(head, place)
        if paragraph is None or not _PRODUCED.match(paragraph[0].strip()):
            break
        text = paragraph[0].strip()
        place = paragraph.end()
        if text.startswith("[") and "]" not in text:
            closing = head.find("]", place, limit)
            if closing < 0:
                break
            place = head.find("\n", closing) + 1 or len(head)
        elif _NOTE.match(text.strip("[]_= \t")):
            begin = _BLANK.match(head, place)
            following = _PARAGRAPH.match(head, begin.end() if begin else place)
            place = following.end() if following else place
    return last


def _without_note(before: str) -> str:
    """What stands before an end marker, up to the end of its last line with text, without a transcriber's note."""
    kept = before
    for found in _LAST_NOTE.finditer(before):
        rest = found[2] + before[found.end() :]
        if found[1]:
            note = "]" in rest and not rest.partition("]")[2].strip()
        else:
            note = found[2].lstrip().startswith(":") or not found[2].strip(" \t\r.")
        if note:
            kept = before[: found.start()]
            break
    length = len(kept.rstrip())
    return kept[: length + 1] if kept[length : length + 1] != "\r" else kept[: length + 2]
