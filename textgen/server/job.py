"""A request on its way: its prompts, and what has been written for it and not yet been taken."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textgen.errors import TextgenError
from textgen.sampling.ending import FinishReason
from textgen.sampling.prompt import Prompt
from textgen.sampling.sample import CharacterLogprob

if TYPE_CHECKING:
    from textgen.server.models import Model


@dataclass(frozen=True, slots=True)
class Piece:
    """The next piece of one text.

    Args:
        prompt: the number of its prompt.
        index: of the text among those of the prompt.
        text: the piece, possibly empty.
        logprobs: an entry for each of its characters, where they are asked for; one more for a record's end.
        reason: why the text has ended; None while it goes on.
        drawn: characters that were drawn, those included that were cut off.
    """

    prompt: int
    index: int
    text: str
    logprobs: tuple[CharacterLogprob, ...]
    reason: FinishReason | None
    drawn: int


class Job:
    """The texts of one request. Made and read in the event loop's thread; the scheduler's only gives pieces to it.

    Args:
        model: whose texts they are.
        prompts: what they follow.
        seconds: after which they end.
    """

    def __init__(self, model: Model, prompts: Sequence[Prompt], *, seconds: float) -> None:
        self.model, self.prompts = model, tuple(prompts)
        self.begun = time.monotonic()
        self.deadline = self.begun + seconds
        self.rows = sum(prompt.count for prompt in prompts)
        self.missing = self.rows
        self.cancelled = False
        self._pieces: list[Piece] = []
        self._error: TextgenError | None = None
        self._ended = False
        self._ready = asyncio.Event()

    def give(self, pieces: Sequence[Piece], *, ended: bool = False, error: TextgenError | None = None) -> None:
        """Hands pieces over, in the event loop's thread."""
        self._pieces.extend(pieces)
        self._ended = self._ended or ended or error is not None
        self._error = self._error or error
        self._ready.set()

    async def pieces(self) -> AsyncIterator[list[Piece]]:
        """What has come since the last item, until all texts have ended.

        Raises:
            TextgenError: the job came to an end without its texts.
        """
        while True:
            await self._ready.wait()
            self._ready.clear()
            pieces, self._pieces = self._pieces, []
            if pieces:
                yield pieces
            if self._ended and not self._pieces:
                if self._error is not None:
                    raise self._error
                return
