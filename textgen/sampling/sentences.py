"""Finds where sentences end, a character at a time, and holds back what is no whole sentence yet."""

from __future__ import annotations

import unicodedata

SPACED = frozenset(".!?…‼⁇⁈⁉‽．؟۔։።፧।॥")
"""Ends of sentences before white space: Latin, Greek and Cyrillic, Arabic, Urdu, Armenian, Ethiopic, Indic scripts."""

UNSPACED = frozenset("。！？｡။។៕")
"""Ends of sentences whatever follows: Chinese, Japanese, Burmese and Khmer, which have no space between sentences."""

_QUOTES = frozenset("\"'")
_NARROW = frozenset(" \u00a0\u202f")
_SET_OFF = frozenset("»›")


class Sentences:
    r"""Takes a text piece by piece and shows its whole sentences; the rest is held back.

    A sentence ends with one or more of `SPACED` and `UNSPACED`, and the closing quotes and brackets after them. After
    `SPACED` white space or the end of the text must follow, so that "3.5" is no end; abbreviations are. A blank line
    ends a sentence, too, such as a heading. Space after a sentence is not part of it.

    Example:
        >>> sentences = Sentences()
        >>> [sentences.add(piece) for piece in ('"3.5', '!" he', " said. S", "o")], sentences.end()
        (['', '"3.5!"', ' he said.', ''], '')
        >>> sentences.rest()
        ' So'
    """

    def __init__(self) -> None:
        self._held: list[str] = []
        self._found = False
        # Numbers of held characters: up to where a sentence ends, may end, and up to the last visible one.
        self._whole = self._possible = self._visible = 0
        self._unspaced = self._set_off = False
        self._breaks = 2

    def add(self, piece: str) -> str:
        """Takes the next piece of the text; returns the whole sentences that it completes."""
        for character in piece:
            self._take(character)
        if not self._whole:
            return ""
        self._found = True
        return self._show(self._whole)

    def end(self) -> str:
        """The last of the whole sentences, where the text ends here; all that is held if there has been none."""
        if self._possible:
            return self._show(self._possible)
        return "" if self._found else self.rest()

    def rest(self) -> str:
        """All that is held."""
        return self._show(len(self._held))

    def _show(self, count: int) -> str:
        shown, self._held = "".join(self._held[:count]), self._held[count:]
        self._whole, self._possible, self._visible = (
            max(0, place - count) for place in (self._whole, self._possible, self._visible)
        )
        return shown

    def _take(self, character: str) -> None:
        space, ends = character.isspace(), character in SPACED or character in UNSPACED
        goes_on = self._possible > 0 and (ends or self._closes(character))
        if self._possible and not goes_on:
            if space or self._unspaced:
                self._whole = self._possible
            self._set_off = space and character in _NARROW
            self._possible = 0
        elif self._set_off:
            # A French quotation ends with a space and its mark.
            self._set_off, goes_on, self._unspaced = False, character in _SET_OFF, False
        self._held.append(character)
        here = len(self._held)
        if goes_on or ends:
            self._possible = here
            self._unspaced = character in UNSPACED or (goes_on and self._unspaced)
        if not space:
            self._visible, self._breaks = here, 0
        elif character == "\n" and self._breaks < 2:
            self._breaks += 1
            if self._breaks == 2:
                self._whole = max(self._whole, self._visible)

    def _closes(self, character: str) -> bool:
        """Whether a character after the end of a sentence belongs to it: a closing quote or bracket.

        German closes with the mark that opens elsewhere, but never before a letter.
        """
        category = unicodedata.category(character)
        return category in ("Pe", "Pf") or character in _QUOTES or (category == "Pi" and not self._unspaced)
