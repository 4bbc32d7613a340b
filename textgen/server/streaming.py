"""Sends the texts of a job: as server-sent events while they are written, or as one answer when all have ended.

Where the client leaves, the job is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from starlette.types import Message, Receive, Scope, Send

from textgen.errors import TextgenError
from textgen.server.completions import chosen, merged
from textgen.server.errors import JSON, dumps, refused
from textgen.server.job import Job, Piece
from textgen.server.request import CompletionRequest

Values = dict[str, Any]


class Shape(Protocol):
    """How the texts of a job are told: `CompletionShape`, or `ChatShape`."""

    def whole(self, choices: Sequence[Values], drawn: int) -> Values:
        """The whole answer."""

    def choice(self, piece: Piece) -> Values:
        """A text as a choice."""

    def chunks(self, pieces: Sequence[Piece]) -> list[bytes]:
        """The events that pieces become, as JSON."""

    def last_chunk(self, drawn: int) -> Values:
        """The event with the usage."""


class Writing(Protocol):
    """What writes a job's texts: the scheduler, or the queue of those that are turned into others."""

    def cancel(self, job: Job) -> None:
        """Withdraws a job."""


class Answer:
    """Sends a job's texts; an ASGI application for one request.

    Args:
        request: what was asked for.
        job: its texts.
        shape: how they are told.
        scheduler: writes them.
    """

    def __init__(self, request: CompletionRequest, job: Job, shape: Shape, scheduler: Writing) -> None:
        self._request, self._job, self._shape, self._scheduler = request, job, shape, scheduler
        self._drawn: dict[tuple[int, int], int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the answer, unless the client leaves first."""
        sending = asyncio.ensure_future(
            self._stream(send) if self._request.stream else self._send_whole(scope, receive, send)
        )
        leaving = asyncio.ensure_future(left(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                await sending
        finally:
            if not sending.done():
                self._scheduler.cancel(self._job)
            for task in (sending, leaving):
                if not task.done():
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError, Exception):
                        await task

    async def _pieces(self) -> AsyncIterator[list[Piece]]:
        async for pieces in self._job.pieces():
            for piece in pieces:
                self._drawn[piece.prompt, piece.index] = piece.drawn
            yield pieces

    async def _send_whole(self, scope: Scope, receive: Receive, send: Send) -> None:
        texts: dict[tuple[int, int], list[Piece]] = {}
        async for pieces in self._pieces():
            for piece in pieces:
                texts.setdefault((piece.prompt, piece.index), []).append(piece)
        whole = chosen(self._request, self._job.prompts, texts)
        choices = [self._shape.choice(piece) for piece in whole]
        await JSON(self._shape.whole(choices, self._total()))(scope, receive, send)

    async def _stream(self, send: Send) -> None:
        started = False
        try:
            async for pieces in self._pieces():
                events = b"".join(map(_event, self._shape.chunks(merged(pieces))))
                if not started:
                    started = True
                    await send(_START)
                await send({"type": "http.response.body", "body": events, "more_body": True})
        except TextgenError as error:
            if not started:
                raise
            # The status was sent long ago: the client's library raises what this event says.
            last = _event(dumps(refused(error).body))
        else:
            usage = _event(dumps(self._shape.last_chunk(self._total()))) if self._request.include_usage else b""
            last = usage + _event(b"[DONE]")
        await send({"type": "http.response.body", "body": last, "more_body": False})

    def _total(self) -> int:
        return sum(self._drawn.values())


_START: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")],
}


def _event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"


async def left(receive: Receive) -> None:
    """Returns when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
