"""Writes the texts of all requests: one thread, which advances all running texts by a character, and again.

Texts join the batch of their model when their prompt has been read, and leave it when they end. Between two steps
prompts are read, a piece of each in turn, for a few milliseconds, so that no prompt holds up those that write. What was
written is handed to the event loop now and then, the more seldom the more texts there are, but a text's first character
and its end at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from textgen.config import ServerConfig
from textgen.errors import TextgenError
from textgen.sampling.prompt import Prompt, Text
from textgen.server.errors import RequestError, too_late
from textgen.server.job import Job, Piece
from textgen.server.metrics import Metrics
from textgen.server.models import Model
from textgen.server.outbox import Outbox, Writing
from textgen.system import give_back_memory

_BUDGET, _MOST, _PIECE = 0.012, 0.04, 0.004
"""Seconds of reading between two steps, as long as a step but at least and at most so many, and of one piece.

A piece has 16 characters at least, however long they take.
"""

_QUIET = 1.0
"""Seconds without work after which memory is given back."""

_CHECK = 0.05
"""Seconds between two looks at the deadlines."""


@dataclass(eq=False, slots=True)
class _Reading:
    """A prompt that is being read."""

    job: Job
    number: int
    prompt: Prompt


class Scheduler:
    """Writes the texts of jobs.

    Args:
        config: `rows` and `queue` are read.
        metrics: what is counted.
    """

    def __init__(self, config: ServerConfig, metrics: Metrics) -> None:
        self._config, self._metrics = config, metrics
        self._condition = threading.Condition()
        self._queue: deque[Job] = deque()
        self._closing: TextgenError | None = None
        self._changed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        # What follows belongs to the thread.
        self._jobs: set[Job] = set()
        self._readings: deque[_Reading] = deque()
        self._writings: dict[int, Writing] = {}
        self._models: list[Model] = []
        self._outbox = Outbox()
        self._rows = 0
        self._worked = False
        self._checked = self._stepped = self._step_seconds = 0.0

    def start(self) -> None:
        """Starts the thread; called in the event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="textgen-scheduler", daemon=True)
        self._thread.start()

    def close(self, error: TextgenError | None = None) -> None:
        """Ends all jobs, and then the thread; may be called from any thread, and in a signal's handler."""
        self._closing = error or RequestError(503, "The server is shutting down. Try again later.", retry_after=5)
        threading.Thread(target=self._wake, daemon=True).start()

    def join(self) -> None:
        """Waits until the thread has ended."""
        if self._thread is not None:
            self._thread.join(5.0)

    def _wake(self) -> None:
        with self._condition:
            self._changed = True
            self._condition.notify()

    def submit(self, job: Job) -> None:
        """Puts a job in the queue.

        Raises:
            RequestError: the queue is full, or the server is shutting down.
        """
        with self._condition:
            if self._closing is not None:
                raise self._closing
            if len(self._queue) >= max(1, self._config.queue):
                raise RequestError(
                    429,
                    f"The server is busy: {len(self._queue):,} requests are waiting. Try again later.",
                    code="queue_full",
                    retry_after=2,
                )
            self._queue.append(job)
            job.model.users += 1
            self._changed = True
            self._condition.notify()

    def cancel(self, job: Job) -> None:
        """Withdraws a job, whose texts nobody waits for any more."""
        job.cancelled = True
        self._wake()

    # The thread.

    def _run(self) -> None:
        while self._closing is None:
            with self._condition:
                while not (self._changed or self._jobs or self._queue):
                    self._measure()
                    if not self._condition.wait(_QUIET if self._worked else None):
                        break
                changed, self._changed = self._changed, False
                idle = not (changed or self._jobs or self._queue)
            if idle:
                self._worked = False
                give_back_memory()
                continue
            try:
                self._advance(changed)
            except Exception as error:  # A defect must not leave anyone waiting.
                self._fail(error)
        for job in self._all_jobs():
            self._end(job, self._closing)

    def _advance(self, changed: bool) -> None:
        now = time.monotonic()
        if changed:
            self._withdraw([job for job in self._all_jobs() if job.cancelled])
        if now - self._checked > _CHECK:
            self._checked = now
            self._expire(now)
            self._measure()
        self._admit()
        self._step()
        self._read()
        self._deliver(self._outbox.take(now, len(self._writings)))

    def _all_jobs(self) -> list[Job]:
        with self._condition:
            return [*self._jobs, *self._queue]

    def _admit(self) -> None:
        """Begins the jobs at the head of the queue, as many as there is room for."""
        while self._queue:
            job = self._queue[0]
            if self._rows and self._rows + job.rows > self._config.rows:
                return
            with self._condition:
                self._queue.popleft()
            self._rows += job.rows
            self._worked = True
            self._jobs.add(job)
            if job.model not in self._models:
                self._models.append(job.model)
            for number, prompt in enumerate(job.prompts):
                self._readings.append(_Reading(job, number, prompt))

    def _step(self) -> None:
        """Writes a character of each running text."""
        for model in self._models:
            batch = model.batch
            if batch.waiting:
                start = time.perf_counter()
                steps = batch.recall(model.pace.characters(_PIECE))
                model.pace.add(steps, time.perf_counter() - start)
            if not batch.texts:
                continue
            start, waiting = time.perf_counter(), len(batch.waiting)
            written = batch.step()
            seconds = time.perf_counter() - start
            self._metrics.count("recalls", len(batch.waiting) - waiting)
            self._metrics.steps.add(seconds)
            self._step_seconds = seconds
            if self._stepped:
                self._metrics.pauses.add(start - self._stepped)
            self._stepped = start + seconds
            for text in written:
                writing = self._writings[id(text)]
                writing.drawn += 1
                piece = text.draft.piece
                if piece:
                    if not writing.pending:
                        self._outbox.add(writing, urgent=not writing.begun)
                    writing.pending += piece
                    if not writing.begun:
                        writing.begun = True
                        self._metrics.first.add(time.monotonic() - writing.job.begun)
                if text.ended:
                    self._finish(writing)
        if not any(model.batch.texts for model in self._models):
            self._stepped = 0.0

    def _read(self) -> None:
        """Reads prompts for a few milliseconds, a piece of each in turn; texts of those that are read join together."""
        start, ready = time.perf_counter(), list[tuple[Model, Text]]()
        budget = min(_MOST, max(_BUDGET, self._step_seconds))
        spent = last = 0.0
        # Another piece takes about as long as the last one, which is long where 16 characters of a large model are.
        while self._readings and spent < budget and spent + last <= _MOST:
            reading = self._readings.popleft()
            prompt, model = reading.prompt, reading.job.model
            count = prompt.read(model.pace.characters(_PIECE), model.states)
            now = time.perf_counter() - start
            spent, last = now, now - spent
            model.pace.add(count, last)
            self._metrics.count("prompt_characters", count)
            if prompt.left:
                self._readings.append(reading)
                continue
            for text in prompt.texts():
                self._writings[id(text)] = writing = Writing(reading.job, reading.number, text)
                if text.ended:
                    self._finish(writing)
                else:
                    ready.append((model, text))
        for model in {id(model): model for model, _ in ready}.values():
            model.batch.join([text for each, text in ready if each is model])

    def _finish(self, writing: Writing) -> None:
        """Notes that a text has ended."""
        self._outbox.add(writing, urgent=True)
        self._metrics.count("texts")
        self._metrics.count("characters", writing.drawn)
        self._rows -= 1
        writing.job.missing -= 1

    def _expire(self, now: float) -> None:
        """Ends what has taken too long: running texts as by their length, jobs that have not begun with an error."""
        late = [job for job in self._all_jobs() if job.deadline < now]
        for job in late:
            reading = [each for each in self._readings if each.job is job]
            if job not in self._jobs or reading:
                self._withdraw([job], too_late(job.deadline - job.begun))
                continue
            for writing in self._of([job]):
                if not writing.text.ended:
                    writing.pending += writing.text.draft.ending.finish("length")
                    job.model.batch.leave([writing.text])
                    self._finish(writing)

    def _of(self, jobs: Iterable[Job]) -> list[Writing]:
        wanted = set(jobs)
        return [writing for writing in self._writings.values() if writing.job in wanted]

    def _withdraw(self, jobs: list[Job], error: TextgenError | None = None) -> None:
        """Takes jobs out, wherever they are."""
        if not jobs:
            return
        gone = set(jobs)
        with self._condition:
            queued = [job for job in self._queue if job in gone]
            self._queue = deque(job for job in self._queue if job not in gone)
        self._readings = deque(each for each in self._readings if each.job not in gone)
        writings = self._of(gone)
        for model in {job.model for job in jobs}:
            model.batch.leave([each.text for each in writings])
        for each in writings:
            self._outbox.remove(each)
            del self._writings[id(each.text)]
        self._rows -= sum(job.missing for job in gone if job in self._jobs)
        if error is None:
            self._metrics.count("cancelled", len(jobs))
        for job in [*queued, *(gone & self._jobs)]:
            self._end(job, error)

    def _fail(self, error: Exception) -> None:
        """After a defect all jobs end, and the batches begin anew."""
        traceback.print_exc()
        told = RequestError(500, f"The server has a defect: {type(error).__name__}. Try again, or report it.")
        for model in self._models:
            model.renew()
        jobs = self._all_jobs()
        with contextlib.suppress(Exception):
            self._withdraw(jobs, told)
        for job in self._jobs.copy():
            self._end(job, told)
        self._readings.clear()
        self._writings.clear()
        self._outbox.clear()
        self._rows = 0

    def _end(self, job: Job, error: TextgenError | None = None) -> None:
        """Lets a job go; its model may be dropped then."""
        self._jobs.discard(job)
        self._call(job.give, (), ended=True, error=error)
        self._release(job)

    def _release(self, job: Job) -> None:
        model = job.model
        self._call(model.release)
        if not len(model.batch) and not any(each.model is model for each in self._jobs):
            with contextlib.suppress(ValueError):
                self._models.remove(model)

    def _deliver(self, writings: list[Writing]) -> None:
        """Hands what has been written of some texts to the event loop, in one call."""
        if not writings:
            return
        found: dict[Job, list[Piece]] = {}
        for writing in writings:
            found.setdefault(writing.job, []).append(writing.piece())
            if writing.text.ended:
                del self._writings[id(writing.text)]
        ended = [job for job in found if job.missing == 0]
        for job in ended:
            self._jobs.discard(job)
        items = [(job, pieces, job.missing == 0) for job, pieces in found.items()]
        self._call(_give_all, items)
        for job in ended:
            self._release(job)

    def _call(self, function: Callable[..., object], *arguments: object, **named: object) -> None:
        """Calls a function in the event loop's thread, if that still runs."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(functools.partial(function, *arguments, **named))

    def _measure(self) -> None:
        self._metrics.set("running_texts", len(self._writings))
        self._metrics.set("reading_prompts", len(self._readings))
        self._metrics.set("waiting_requests", len(self._queue))


def _give_all(items: list[tuple[Job, list[Piece], bool]]) -> None:
    for job, pieces, ended in items:
        job.give(pieces, ended=ended)
