"""The queue of requests for runs that turn one text into another, and the thread that writes them.

The pieces of sources are written some at a time: those of several requests together where their settings are alike,
each request in its turn, so that a long source holds up nobody. The thread is not the scheduler's, which goes on
meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

from textgen.config import ServerConfig
from textgen.errors import TextgenError
from textgen.sampling.prompt import Prompt
from textgen.sampling.rewriting.piece_writer import PieceWriter
from textgen.server.errors import RequestError
from textgen.server.job import Job, Piece
from textgen.server.loaded import PairModel
from textgen.server.metrics import Metrics
from textgen.server.models import Model
from textgen.server.sources import Source, known_pieces

_ROWS = 64
"""The most targets that are written at once: a longer source, or another request, has its turn after them."""


class RewriteJob(Job):
    """The sources of one request.

    Args:
        model: the model.
        sources: what `begin_rewriting` returned.
        seconds: after which they end.
    """

    def __init__(self, model: PairModel, sources: Sequence[Source], *, seconds: float) -> None:
        # Answers read of model and prompts what these have, too.
        super().__init__(cast(Model, model), cast(list[Prompt], sources), seconds=seconds)
        self.sources = tuple(sources)

    @property
    def open(self) -> Source | None:
        """The first source that has pieces which are not being written."""
        return next((each for each in self.sources if each.open), None)


Taken = tuple[RewriteJob, Source, int]


class RewriteQueue:
    """Writes the sources of all requests, in one thread, which begins with the first of them.

    Args:
        config: `queue` is read.
        metrics: what is counted.
    """

    def __init__(self, config: ServerConfig, metrics: Metrics) -> None:
        self._config, self._metrics = config, metrics
        self._condition = threading.Condition()
        self._jobs: deque[RewriteJob] = deque()
        self._closing: TextgenError | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def submit(self, job: RewriteJob) -> None:
        """Puts a job in the queue; called in the event loop.

        Raises:
            RequestError: the queue is full, or the server is shutting down.
        """
        with self._condition:
            if self._closing is not None:
                raise self._closing
            if len(self._jobs) >= max(1, self._config.queue):
                message = f"The server is busy: {len(self._jobs):,} texts are being rewritten. Try again later."
                raise RequestError(429, message, code="queue_full", retry_after=2)
            if self._thread is None:
                self._loop = asyncio.get_running_loop()
                self._thread = threading.Thread(target=self._run, name="textgen-rewriting", daemon=True)
                self._thread.start()
            self._metrics.count("prompt_characters", sum(len(each.text) for each in job.sources))
            self._jobs.append(job)
            job.model.users += 1
            self._condition.notify()

    def cancel(self, job: Job) -> None:
        """Withdraws a job, whose texts nobody waits for any more."""
        job.cancelled = True
        with self._condition:
            self._condition.notify()

    def close(self) -> None:
        """Ends all jobs, and then the thread; may be called from any thread, and in a signal's handler."""
        self._closing = RequestError(503, "The server is shutting down. Try again later.", retry_after=5)
        threading.Thread(target=self._wake, daemon=True).start()

    def _wake(self) -> None:
        with self._condition:
            self._condition.notify()

    def join(self) -> None:
        """Waits until the thread has ended."""
        if self._thread is not None:
            self._thread.join(5.0)

    # The thread.

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._jobs and self._closing is None:
                    self._condition.wait()
                jobs = list(self._jobs)
            if self._closing is not None:
                for job in jobs:
                    self._end(job, error=self._closing)
                return
            try:
                self._advance(jobs)
            except Exception as error:  # A defect must not leave anyone waiting.
                traceback.print_exc()
                told = RequestError(500, f"The server has a defect: {type(error).__name__}. Try again, or report it.")
                for job in jobs:
                    self._end(job, error=told)

    def _advance(self, jobs: Sequence[RewriteJob]) -> None:
        """Writes the next pieces, and hands over what is known of the texts then."""
        for job in jobs:
            if job.cancelled:
                self._metrics.count("cancelled")
                self._end(job)
            elif job.deadline < time.monotonic():
                self._expire(job)
        taken = self._take()
        if taken:
            writer = taken[0][1].writer
            asked = [source.asked(place) for _, source, place in taken]
            written = iter(writer.write(*zip(*(each for some in asked for each in some), strict=True)))
            for (_, source, _), some in zip(taken, asked, strict=True):
                source.take([next(written) for _ in some])
        for job in list(self._jobs):
            first = not any(source.sent for source in job.sources)
            if pieces := [piece for source in job.sources for piece in known_pieces(source)]:
                self._give(job, pieces, first=first)
            if all(source.done for source in job.sources):
                self._end(job)

    def _take(self) -> list[Taken]:
        """The pieces to write next: those of the job whose turn it is, and of others with the same settings."""
        with self._condition:
            jobs = [job for job in self._jobs if job.open is not None]
            if not jobs:
                return []
            # It has its next turn after all others.
            self._jobs.remove(jobs[0])
            self._jobs.append(jobs[0])
        writer = jobs[0].sources[0].writer
        alike = [job for job in jobs if _are_alike(job.sources[0].writer, writer)]
        most = max(1, _ROWS // writer.width)
        taken: list[Taken] = []
        # First a fair share for each of them; what is left goes to those that come first.
        for share in (max(1, most // len(alike)), most):
            for job in alike:
                for _ in range(min(share, most - len(taken))):
                    if (source := job.open) is None:
                        break
                    taken.append((job, source, source.begun))
                    source.begun += 1
        return taken

    def _expire(self, job: RewriteJob) -> None:
        """Ends what has taken too long: as by its length, or with an error where nothing was handed over."""
        seconds = job.deadline - job.begun
        if any(source.sent for source in job.sources):
            late = [(source, n) for source in job.sources for n in range(source.count) if n not in source.ended]
            self._give(job, [source.piece(n, "", whole=False, last=True) for source, n in late])
            self._end(job)
        else:
            message = f"The request took longer than {seconds:g} seconds. Try again later."
            self._end(job, error=RequestError(503, message, code="time_limit", retry_after=10))

    def _give(self, job: RewriteJob, pieces: Sequence[Piece], *, first: bool = False) -> None:
        if first:
            self._metrics.first.add(time.monotonic() - job.begun)
        self._metrics.count("characters", sum(len(piece.text) for piece in pieces))
        self._metrics.count("texts", sum(piece.reason is not None for piece in pieces))
        self._call(job.give, pieces)

    def _end(self, job: RewriteJob, *, error: TextgenError | None = None) -> None:
        """Lets a job go; its model may be dropped then."""
        with self._condition:
            if job not in self._jobs:
                return
            self._jobs.remove(job)
        self._call(job.give, (), ended=True, error=error)
        self._call(job.model.release)

    def _call(self, function: Callable[..., object], *arguments: object, **named: object) -> None:
        """Calls a function in the event loop's thread, if that still runs."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(functools.partial(function, *arguments, **named))


def _are_alike(one: PieceWriter, other: PieceWriter) -> bool:
    return one is other or (one.engine is other.engine and (one.config, one.count) == (other.config, other.count))
