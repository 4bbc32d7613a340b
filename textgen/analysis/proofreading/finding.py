"""Proofreads a text: what stands where, what was expected, and how sure that is."""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.analysis.passage import open_writer
from textgen.analysis.proofreading.candidates import Likeliest, log_priors, propose
from textgen.analysis.proofreading.edits import KINDS, Edits
from textgen.analysis.proofreading.page import Verdict, write_page
from textgen.analysis.proofreading.scoring import TextReader
from textgen.analysis.proofreading.text import PlacedText, place_text
from textgen.config import ProofConfig, SamplingConfig, Unknown
from textgen.corpus.tokenizer import CharTokenizer
from textgen.runs.run import CHECKPOINTS
from textgen.sampling.banned import banned_ids
from textgen.sampling.labels import as_given, labels_of
from textgen.sampling.writer import Writer
from textgen.system import PathLike

_DEFAULT = ProofConfig()

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]

_FLOOR = -3.0
"""The logarithm of the odds below which an edit is dropped after a few characters."""

_SIDES = 0.5
"""The weight of the gain that each side finds."""

LEAST = 0.05
"""The least probability with which a place is noted."""

_SURE = 0.5
"""The probability from which on a correction is made before the text is read once more."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A place where something else should stand.

    Args:
        start: the position of the first character, counted from 0.
        stands: what stands there; "" where something is missing.
        expected: what should stand there; "" where something is too many.
        kind: one of "substitution", "insertion", "deletion" and "transposition": what went wrong.
        probability: that exactly this went wrong here.
        line: counted from 1.
        column: counted from 1.
    """

    start: int
    stands: str
    expected: str
    kind: str
    probability: float
    line: int
    column: int

    def to_json(self) -> dict[str, Any]:
        """The finding as plain JSON values."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, eq=False, kw_only=True)
class Proof:
    """What was found in a text.

    Args:
        model: the run's name.
        text: the text, normalised as the training text was.
        noted: all that is at least as probable as `LEAST`, in the order of the text; no two touch each other.
        threshold: the probability from which on a place counts.
        verdicts: what each side says about each character.
        tokenizer: the vocabulary.
        limit: how many characters a page shows, from the text's start.
    """

    model: str
    text: str
    noted: tuple[Finding, ...]
    threshold: float
    verdicts: tuple[Verdict, ...]
    tokenizer: CharTokenizer
    limit: int = _DEFAULT.limit

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Those that reach the threshold."""
        return tuple(each for each in self.noted if each.probability >= self.threshold)

    @property
    def fixed(self) -> str:
        """The text with all findings corrected."""
        return fixed(self.text, self.findings)

    def to_json(self) -> dict[str, Any]:
        """The findings as plain JSON values."""
        return {
            "run": self.model,
            "characters": len(self.text),
            "threshold": self.threshold,
            "findings": [each.to_json() for each in self.findings],
        }

    def to_html(self, *, title: str = "A text") -> str:
        """A self-contained HTML page: the text coloured by surprisal, findings underlined, tooltips.

        Args:
            title: the page's title, such as the text's name.
        """
        shown = self.text[: self.limit]
        found = [each for each in self.findings if each.start < len(shown)]
        extent = f"{len(shown):,} of {len(self.text):,} characters"
        facts = [("model", self.model), ("text", extent), ("findings", f"{len(found):,}")]
        values = [each.to_json() for each in found]
        return write_page(shown, self.verdicts, values, self.tokenizer, title=title, facts=facts)


def fixed(text: str, findings: Sequence[Finding]) -> str:
    """A text with findings corrected, which are in its order.

    >>> found = Finding(start=1, stands="r", expected="h", kind=KINDS[0], probability=0.9, line=1, column=2)
    >>> fixed("tre", [found])
    'the'
    """
    parts, done = [], 0
    for each in findings:
        parts += [text[done : each.start], each.expected]
        done = each.start + len(each.stands)
    return "".join([*parts, text[done:]])


def proofread(
    run: PathLike | Writer | None,
    text: str,
    *,
    checkpoints: PathLike = CHECKPOINTS,
    threshold: float = _DEFAULT.threshold,
    noise: float = _DEFAULT.noise,
    reach: int = _DEFAULT.reach,
    candidates: int = _DEFAULT.candidates,
    passes: int = _DEFAULT.passes,
    limit: int = _DEFAULT.limit,
    unknown: Unknown = _DEFAULT.unknown,
    label: str | Sequence[str] = (),
    progress: Progress | None = None,
) -> Proof:
    """Finds the places of a text where something else should stand.

    Args:
        run: a run's name, a run's folder, a `.keras` file, or a writer; None takes the newest run.
        text: the text; for a run on records it is read as records.
        checkpoints: the folder of the run folders.
        threshold: the probability from which on a place counts, in [0, 1].
        noise: the share of characters expected to be wrong, in (0, 1).
        reach: how many characters around an error count, in [1, 1000].
        candidates: how many of the likeliest characters are tried in each place, in [1, 1000].
        passes: how often the text is read, in [1, 10]; each time with what was found before corrected.
        limit: how many characters a page of it shows, in [1, 10,000,000].
        unknown: how to treat characters outside the vocabulary: see `CharTokenizer.encode`.
        label: for a run on records with labels, the label of all of them, or several.
        progress: called with the work done and the total.

    Raises:
        RunError: there is no such run.
        CheckpointError: the checkpoint is missing, damaged or not one of textgen's.
        CorpusError: the text is empty, or all its characters are outside the vocabulary.
        UnknownCharacterError: the text holds characters outside the vocabulary, and `unknown` refuses them.
        ConfigError: a setting is out of its range.

    Example:
        for found in textgen.proofread("poems", "The sea was claim.").findings:
            print(found.line, found.column, found.stands, found.expected, found.probability)
    """
    config = ProofConfig(
        threshold=threshold,
        noise=noise,
        reach=reach,
        candidates=candidates,
        passes=passes,
        limit=limit,
        unknown=unknown,
    )
    writer = open_writer(run, checkpoints)
    text = writer.as_trained(text)
    reading = _Reading(writer, config, labels_of(writer, as_given(label)), progress)
    found = reading.findings(text)
    return Proof(
        model=writer.name,
        text=text,
        noted=tuple(found),
        threshold=config.threshold,
        verdicts=tuple(reading.verdicts),
        tokenizer=writer.tokenizer,
        limit=config.limit,
    )


class _Reading:
    """Reads a text several times."""

    def __init__(
        self, writer: Writer, config: ProofConfig, labels: NDArray[np.float32] | None, progress: Progress | None
    ) -> None:
        self._writer, self._config, self._labels, self._progress = writer, config, labels, progress
        self.verdicts: list[Verdict] = []
        tokenizer = writer.tokenizer
        self._allowed = np.ones(tokenizer.vocab_size, np.bool_)
        self._allowed[banned_ids(tokenizer, SamplingConfig())] = False
        if tokenizer.end_id is not None:
            self._allowed[tokenizer.end_id] = False
        self._priors = log_priors(config, len(tokenizer.characters))

    def findings(self, text: str) -> list[Finding]:
        placed = place_text(self._writer, text, self._config.unknown)
        found: list[Finding] = []
        starts = [0, *(n for n, each in enumerate(text, 1) if each == "\n")]
        for number in range(self._config.passes):
            edits, odds = self._read(placed, number, len(text))
            edits, probabilities = _chosen(edits, odds, placed.ids == self._writer.tokenizer.end_id)
            last = number + 1 == self._config.passes
            kept = probabilities >= (LEAST if last else _SURE)
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

    def _read(self, text: PlacedText, number: int, length: int) -> tuple[Edits, Array]:
        """Edits of the text and the logarithms of their odds."""
        reader = TextReader(self._writer.engine, text.ids, before=text.before, after=text.after, labels=self._labels)
        own, likeliest = _likeliest(reader, len(text.ids), self._config.candidates)
        if not number:
            self.verdicts.append(_verdict("most likely after what stands before", text, length, own, likeliest))
        edits = propose(text, own, likeliest, self._priors, self._allowed)
        backward = self._writer.backward
        if backward is not None:
            mirrored = text.mirrored()
            other = TextReader(
                backward, mirrored.ids, before=mirrored.before, after=mirrored.after, labels=self._labels
            )
            other_own, other_likeliest = _likeliest(other, len(text.ids), self._config.candidates)
            if not number:
                found = _verdict(
                    "most likely before what stands behind", mirrored, length, other_own, other_likeliest, behind=False
                )
                self.verdicts.append(found)
            proposed = propose(mirrored, other_own, other_likeliest, self._priors, self._allowed)
            proposed = proposed.reversed(len(text.ids)).settled(text.ids)
            edits = Edits.join([edits, proposed]).distinct()
        priors = self._priors[edits.kinds]
        report = None
        if self._progress is not None:
            passes, progress = self._config.passes, self._progress
            report = lambda done, total: progress(min(done, total) + number * total, passes * total)  # noqa: E731
        if not len(edits):
            return edits, priors
        gains = reader.gains(edits, own, reach=self._config.reach, floor=_FLOOR - priors, progress=report)
        if backward is not None:
            kept = gains > -np.inf
            edits, priors, gains = edits.take(kept), priors[kept], gains[kept]
            mirrored_edits = edits.reversed(len(text.ids))
            others = other.gains(mirrored_edits, other_own, reach=self._config.reach, floor=_FLOOR - priors)
            gains = _SIDES * (gains + others)
        return edits, gains + priors

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


def _verdict(
    title: str, text: PlacedText, length: int, own: Array, likeliest: Likeliest, *, behind: bool = True
) -> Verdict:
    """What a side says about the characters of the text itself."""
    # What stands behind the text has a position in it where that is its last line break.
    origins = np.append(text.origins, [text.end] * (behind and text.end < length)).astype(np.intp)
    size = len(origins)
    order = np.argsort(-likeliest.logprobs[:size], axis=1, kind="stable")
    logprobs, ids, logs = np.zeros(length), *np.zeros((2, length, order.shape[1]))
    logprobs[origins] = own[:size]
    ids[origins] = np.take_along_axis(likeliest.ids[:size], order, axis=1)
    logs[origins] = np.take_along_axis(likeliest.logprobs[:size], order, axis=1)
    return Verdict(title, logprobs, ids.astype(np.intp), logs)


def _likeliest(reader: TextReader, size: int, count: int) -> tuple[Array, Likeliest]:
    """The log-probability of each id of the text and behind it, and what is likeliest in each of these places."""
    ids: list[NDArray[np.intp]] = []
    logs: list[Array] = []

    def observe(_: int, logprobs: Array) -> None:
        most = min(count, logprobs.shape[1])
        found = np.argpartition(-logprobs, most - 1, axis=1)[:, :most]
        found.sort(axis=1)
        ids.append(found)
        logs.append(np.take_along_axis(logprobs, found, axis=1))

    own = reader.logprobs(observe)

    def joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
        # (length, parts, candidates), part after part.
        stacked = np.stack(parts).swapaxes(0, 1)
        return stacked.reshape(-1, stacked.shape[2])[: size + 1]

    return own, Likeliest(joined(ids), joined(logs))


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
