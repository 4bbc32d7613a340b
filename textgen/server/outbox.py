"""Texts of which something has been written that the event loop does not have yet, and when it is handed over."""

from __future__ import annotations

from dataclasses import dataclass

from textgen.sampling.prompt import Text
from textgen.server.job import Job, Piece

_FLUSH, _MORE, _LONGEST = 0.02, 0.0015, 0.1
"""Seconds between two deliveries: of one text, more for each further one, and at most.

Sending an event takes about as much time as writing a character of a large model, and a reader sees no difference.
"""


@dataclass(eq=False, slots=True)
class Writing:
    """A text and what of it has not been handed over."""

    job: Job
    prompt: int
    text: Text
    pending: str = ""
    sent: int = 0
    drawn: int = 0
    begun: bool = False

    def piece(self) -> Piece:
        """What of the text has not been handed over, which counts as handed over then."""
        text, reason = self.text, self.text.draft.ending.reason
        piece, self.pending = self.pending, ""
        entries = text.logprobs[self.sent : self.sent + len(piece)]
        self.sent += len(piece)
        if reason == "record" and text.logprobs:
            entries = [*entries, text.logprobs[-1]]
        return Piece(self.prompt, text.index, piece, tuple(entries), reason, self.drawn)


class Outbox:
    """The texts with something to hand over: all of them now and then, urgent ones at once."""

    def __init__(self) -> None:
        self._all: dict[Writing, None] = {}
        self._urgent: dict[Writing, None] = {}
        self._flushed = 0.0

    def add(self, writing: Writing, *, urgent: bool = False) -> None:
        """Notes that there is something of a text."""
        self._all[writing] = None
        if urgent:
            self._urgent[writing] = None

    def remove(self, writing: Writing) -> None:
        """Forgets a text."""
        self._all.pop(writing, None)
        self._urgent.pop(writing, None)

    def clear(self) -> None:
        """Forgets all texts."""
        self._all, self._urgent = {}, {}

    def take(self, now: float, texts: int) -> list[Writing]:
        """The texts to hand over now, which are no longer in the outbox.

        Args:
            now: the time, in seconds.
            texts: the number of those that are being written.
        """
        if now - self._flushed >= min(_LONGEST, _FLUSH + _MORE * texts):
            found, self._flushed = list(self._all), now
            self.clear()
            return found
        found = list(self._urgent)
        for each in found:
            self.remove(each)
        return found
