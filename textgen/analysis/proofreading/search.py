"""Looks for the edits of a text that are likely, reading it several times."""

from __future__ import annotations

import bisect
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from textgen.analysis.proofreading.edits import KINDS, Edits
from textgen.analysis.proofreading.finding import Finding
from textgen.analysis.proofreading.page import Verdict
from textgen.analysis.proofreading.sides import Sides
from textgen.analysis.proofreading.text import PlacedText, place_text
from textgen.config import ProofConfig
from textgen.config.analysis import LEAST
from textgen.sampling.writer import Writer

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]

SURE = 0.5
"""The probability from which on a correction is made before the text is read once more, if it is shown at all."""


class Search:
    """Reads a text as often as the settings say, each time with what was found before corrected.

    Args:
        writer: the run.
        config: the settings.
        labels: `(labels,)`, the weights of the text's labels; None for none.
        progress: called with the work done and the total.
        levels: for how many thresholds above `SURE`, with all others as one more, findings will be asked for.
    """

    def __init__(
        self,
        writer: Writer,
        config: ProofConfig,
        labels: NDArray[np.float32] | None,
        progress: Progress | None = None,
        *,
        levels: int = 1,
    ) -> None:
        self._writer, self._config, self._progress = writer, config, progress
        self._done, self._readings = 0, 1 + levels * (config.passes - 1)
        self._sides = Sides(writer, config, labels)
        self._first: tuple[str, tuple[Edits, Array]] | None = None
        self.verdicts: tuple[Verdict, ...] = ()

    def findings(self, text: str, threshold: float) -> list[Finding]:
        """What was found in a text, in its order; `verdicts` are then those of the text as it stands.

        Args:
            text: the text.
            threshold: the probability from which on a place is shown. No other correction is made between readings, so
                that what is found depends on it where it is above `SURE`.
        """
        placed = place_text(self._writer, text, self._config.unknown)
        found: list[Finding] = []
        starts = [0, *(n for n, each in enumerate(text, 1) if each == "\n")]
        for number in range(self._config.passes):
            edits, probabilities = self._read(placed) if number else self._first_reading(text, placed)
            last = number + 1 == self._config.passes
            kept = probabilities >= (LEAST if last else max(SURE, threshold))
            if not last and not kept.any():
                # Another reading would find the same.
                kept, last = probabilities >= LEAST, True
            edits, probabilities = edits.take(kept), probabilities[kept]
            found += [
                self._finding(text, placed, edits, which, float(probabilities[which]), starts)
                for which in range(len(edits))
            ]
            if last:
                break
            placed = placed.applied(edits)
        return _apart(found)

    def _first_reading(self, text: str, placed: PlacedText) -> tuple[Edits, Array]:
        """What `_read` finds in a text as it stands, which several thresholds share."""
        if self._first is None or self._first[0] != text:
            found = self._read(placed)
            self.verdicts = self._sides.verdicts(len(text))
            self._first = text, found
        return self._first[1]

    def _read(self, placed: PlacedText) -> tuple[Edits, Array]:
        """The likeliest edits of a text that do not touch each other, and their probabilities."""
        self._sides.read(placed)
        edits, odds = self._sides.odds(self._report(self._done))
        self._done += 1
        return _chosen(edits, odds, placed.ids == self._writer.tokenizer.end_id)

    def _report(self, number: int) -> Progress | None:
        """Reports the work done on a reading as a part of that on all."""
        if self._progress is None:
            return None
        readings, progress = self._readings, self._progress
        return lambda done, total: progress(min(done, total) + number * total, readings * total)

    def _finding(
        self, text: str, placed: PlacedText, edits: Edits, which: int, probability: float, starts: list[int]
    ) -> Finding:
        place, taken, count = (int(each[which]) for each in (edits.places, edits.taken, edits.count))
        start = int(placed.origins[place]) if place < len(placed.ids) else placed.end
        stop = int(placed.origins[place + taken - 1]) + 1 if taken else start
        line = bisect.bisect_right(starts, start)
        return Finding(
            start=start,
            stands=text[start:stop],
            expected=self._writer.tokenizer.decode(edits.put[which, :count]),
            kind=KINDS[int(edits.kinds[which])],
            probability=probability,
            line=line,
            column=start - starts[line - 1] + 1,
        )


def _chosen(edits: Edits, odds: Array, ends: NDArray[np.bool_]) -> tuple[Edits, Array]:
    """The likeliest edits that do not touch each other, by place, and the probability of each.

    Args:
        edits: all edits.
        odds: `(edits,)`, the logarithm of the odds of each against none.
        ends: `(n,)`, where a record ends; what is on the other side of one does not compete.
    """
    reached = odds > -np.inf
    edits, odds = edits.take(reached), odds[reached]
    if not len(edits):
        return edits, odds
    # What else may have gone wrong near each place, or nothing.
    most = np.maximum(odds.max(), 0.0)
    places = edits.places + 5 * np.append(0, np.cumsum(ends))[edits.places]
    sums = np.zeros(int(places.max()) + 6)
    np.add.at(sums, places + 2, np.exp(odds - most))
    window = np.convolve(sums, np.ones(5), "valid")[places]
    probabilities = np.exp(odds - most) / (np.exp(-most) + window)
    free = np.ones(len(sums), np.bool_)
    kept = []
    for which in np.argsort(-odds, kind="stable").tolist():
        span = slice(int(places[which]), int(places[which] + edits.taken[which]) + 2)
        # A position more at both ends: two corrections side by side would be one of another kind.
        if free[span].all():
            free[span] = False
            kept.append(which)
    kept.sort(key=lambda which: int(edits.places[which]))
    rows = np.array(kept, np.intp)
    return edits.take(rows), probabilities[rows]


def _apart(found: list[Finding]) -> list[Finding]:
    """The findings of all readings in the order of the text, without those that touch a likelier one."""
    result: list[Finding] = []
    for each in sorted(found, key=lambda each: (each.start, len(each.stands))):
        if result and each.start < result[-1].start + max(len(result[-1].stands), 1):
            if each.probability > result[-1].probability:
                result[-1] = each
            continue
        result.append(each)
    return result
