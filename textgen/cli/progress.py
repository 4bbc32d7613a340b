"""Shows the progress of training on standard error: a summary, a progress bar and a line for each validation.

On a terminal there is a bar, and a sample under each validation; elsewhere only plain lines.
"""

from __future__ import annotations

import errno
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from textgen.cli.command import visible
from textgen.display.format import duration
from textgen.model.results import Validation
from textgen.runs.events import Reporter, Summary
from textgen.system import abandon_output, colours, is_terminal, stopped, width

if TYPE_CHECKING:
    from tqdm import tqdm

_LABELS = ("corpus", "task", "labels", "vocabulary", "split", "model", "device", "workers", "budget", "run")
_REFRESH = 0.1
_SAMPLE_LINES = 4


class Progress(Reporter):
    """Shows a run's events.

    Args:
        quiet: show only warnings.
        stream: where to write; None for standard error.

    Attributes:
        run: the run's folder, once training has started.
        steps: number of steps done by this process.
        follows: on a worker other than 0, the name of the run that it helps to train.
    """

    def __init__(self, *, quiet: bool = False, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self.run: Path | None = None
        self.follows: str | None = None
        self.steps = 0
        self._quiet = quiet
        self._moving = not quiet and is_terminal(self._stream)
        self._bar: tqdm[Any] | None = None
        self._pace = _Pace()
        self._drawn = -math.inf
        self._stopped = stopped()

    def encoding(self, done: int, total: int) -> None:
        """Shows a bar if the text is long."""
        if not self._moving:
            return
        if self._bar is None:
            self._bar = _bar(self._stream, total=total, unit="B", unit_scale=True, desc="reading the text", delay=0.5)
        self._bar.update(done - self._bar.n)
        if done >= total:
            self.close()

    def waiting(self, message: str) -> None:
        """Shows which workers are waited for."""
        self.close()
        if not self._quiet:
            self.say(visible(message))

    def joined(self, *, worker: int, run: str) -> None:
        """Shows that this worker follows worker 0."""
        self.close()
        self.follows = run
        if not self._quiet:
            self.say(f"All workers are there; this is worker {worker}. Worker 0 shows the progress of {visible(run)}.")

    def started(self, summary: Summary) -> None:
        """Shows the summary of the run."""
        self.close()
        self.run = Path(summary.run)
        self._pace = _Pace()
        if not self._quiet:
            for label in _LABELS:
                if value := getattr(summary, label):
                    self.say(f"{click.style(f'{label:<10}', bold=True)}  {visible(value)}")
        for problem in summary.problems:
            self.warned(problem)

    def stepped(self, *, step: int, steps: int | None, share: float, loss: float, characters: int) -> None:
        """Updates the bar."""
        del step, steps
        self.steps += 1
        now = time.monotonic() - stopped()
        if stopped() != self._stopped:
            self._stopped = stopped()
            self._pace.pause()
        self._pace.step(now, share=share, characters=characters)
        if not self._moving or now - self._drawn < _REFRESH:
            return
        self._drawn = now
        if self._bar is None:
            self._bar = _bar(self._stream, total=1000, bar_format="{percentage:3.0f}% |{bar}| {desc}")
        left = self._pace.left(share)
        self._bar.n = round(1000 * share)
        self._bar.set_description_str(
            f"loss {loss:.3f}  {loss / math.log(2):.2f} bits/char  {self._pace.rate / 1000:.1f}k char/s"
            + ("" if left is None else f"  {duration(left)} left"),
            refresh=False,
        )
        self._bar.refresh()

    def validated(self, row: Validation, *, best: bool) -> None:
        """Shows the losses and, on a terminal, a sample."""
        self._pace.pause()
        if self._quiet:
            return
        validation = "" if row.val_loss is None else f"  val {row.val_loss:.4f}"
        if row.val_joint_loss is not None:
            validation += f"  joint {row.val_joint_loss:.4f}"
        self.say(
            f"step {row.step:>5,}  epoch {row.epoch:>5.2f}  loss {row.loss:.4f}{validation}"
            f"  {row.bits_per_character:.3f} bits/char  {duration(row.seconds):>6}{'  best' if best else ''}"
        )
        if self._moving:
            for line in sample_lines(row.sample, columns=_columns()):
                self.say(click.style(f"    | {line}", dim=True))

    def warned(self, message: str) -> None:
        """Shows a warning."""
        self.say(f"{click.style('Warning:', fg='yellow')} {visible(message)}")

    def finished(self, message: str) -> None:
        """Shows why the run has ended."""
        self.close()
        if not self._quiet:
            self.say(visible(message))

    def close(self) -> None:
        """Removes the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def say(self, line: str) -> None:
        """Writes a line above the bar; once the terminal has hung up, nothing is written."""
        try:
            if self._bar is not None:
                self._bar.clear()
            click.echo(line, file=self._stream, color=bool(colours(self._stream)))
            if self._bar is not None:
                self._bar.refresh()
        except OSError as error:
            # Training goes on, or saves its state where the end of the terminal is its end.
            if error.errno != errno.EIO:
                raise
            abandon_output(self._stream)


class _Pace:
    """The speed of training over recent steps, and the remaining time."""

    def __init__(self) -> None:
        self.rate = 0.0
        self._first: tuple[float, float] | None = None
        self._last: float | None = None
        self._now = 0.0

    def step(self, now: float, *, share: float, characters: int) -> None:
        """Records a step that ended at `now`."""
        if self._first is None:
            self._first = (now, share)
        if self._last is not None:
            rate = characters / max(now - self._last, 1e-6)
            self.rate = rate if self.rate == 0.0 else self.rate + 0.05 * (rate - self.rate)
        self._last = self._now = now

    def pause(self) -> None:
        """Excludes the time until the next step from the rate."""
        self._last = None

    def left(self, share: float) -> float | None:
        """Estimated remaining seconds at this process's average speed; None before the second step."""
        if self._first is None or share <= self._first[1]:
            return None
        began, before = self._first
        return (self._now - began) / (share - before) * (1.0 - share)


def sample_lines(text: str, *, columns: int) -> list[str]:
    r"""The first lines of a sample, each cut to fit.

    >>> sample_lines("\nThe sea was out.\nSo were we.\n", columns=20)
    ['The sea was ..', 'So were we.']
    """
    lines: Sequence[str] = [line for line in visible(text).splitlines() if line.strip()][:_SAMPLE_LINES]
    return [_cut(line, max(columns - 6, 1)) for line in lines]


def _cut(line: str, columns: int) -> str:
    if width(line) <= columns:
        return line
    while line and width(line) + 2 > columns:
        line = line[:-1]
    return f"{line}.."


def _columns() -> int:
    import shutil

    return shutil.get_terminal_size().columns


def _bar(stream: TextIO, **kwargs: Any) -> tqdm[Any]:
    from tqdm import tqdm

    tqdm.monitor_interval = 0
    return tqdm(file=stream, leave=False, dynamic_ncols=True, **kwargs)
