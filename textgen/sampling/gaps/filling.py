"""Fills all gaps of a text, one after the other, each with what was chosen before."""

from __future__ import annotations

import dataclasses
import itertools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from textgen.config import FillConfig, plain, require
from textgen.corpus.alignment import line_end_of
from textgen.engine import Engine
from textgen.sampling.banned import banned_ids
from textgen.sampling.gaps.drafts import Drafts, Fills, begun
from textgen.sampling.gaps.encoding import EncodedGaps, encode_gaps
from textgen.sampling.gaps.markers import GappedText, parse_gaps
from textgen.sampling.gaps.search import draw_fillings, reached, search, weigh
from textgen.sampling.gaps.sides import Judged, Sides
from textgen.sampling.gaps.watched import Watch, watched
from textgen.sampling.labels import labels_of

if TYPE_CHECKING:
    from textgen.sampling.trained_model import TrainedModel

Array = NDArray[np.float64]
Ids = NDArray[Any]

MOST = 1000
"""The most alternatives that can be asked for."""

_NEAR = 200
"""Gaps with at most so many characters between them are filled together: their fillings are ranked as one."""

_BEFORE = 1000
"""Characters before a gap that are read."""

_DRAWN = 4
"""Fillings that are drawn for each of `FillConfig.candidates`."""


@dataclass(frozen=True, kw_only=True)
class Filling:
    """A text whose gaps are filled.

    Args:
        text: the whole text, whose newlines and characters are those of the text with gaps.
        gaps: what stands in each gap.
        places: the position of the first character of each in `text`.
        probability: that of these fillings among all that were considered.
        seed: of the draw; None where nothing was drawn.
    """

    text: str
    gaps: tuple[str, ...]
    places: tuple[int, ...]
    probability: float
    seed: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The filling as plain JSON values."""
        gaps = [{"start": start, "text": text} for start, text in zip(self.places, self.gaps, strict=True)]
        return {
            "text": self.text,
            "gaps": gaps,
            "probability": self.probability,
            **({} if self.seed is None else {"seed": self.seed}),
        }


@dataclass(frozen=True, eq=False)
class _Ranked:
    """The fillings of gaps that are filled together, with the logarithms of their probabilities, `(fillings,)`."""

    fills: list[Fills]
    logprobs: Array


def fill(
    writer: TrainedModel, text: str, config: FillConfig, *, count: int = 1, watch: Watch | None = None
) -> list[Filling]:
    r"""What `Writer.fill` does, with the same errors; the settings are a configuration.

    An exception of `watch`, which is called before each step of the search, ends it.

    >>> from textgen.config import ModelConfig
    >>> from textgen.corpus.tokenizer import CharTokenizer
    >>> from textgen.model.weights import ModelWeights
    >>> from textgen.sampling.writer import Writer
    >>> config = ModelConfig(vocab_size=3, cell="gru", layers=1, units=4, embedding=2)
    >>> arrays = [np.zeros(shape, np.float32) for shape in ModelWeights.shapes(config).values()]
    >>> arrays[-1][:] = 0.0, 2.0, 1.0
    >>> writer = Writer(config=config, weights=ModelWeights.from_arrays(arrays), tokenizer=CharTokenizer("\n" "ab"))
    >>> [(each.text, round(each.probability, 2)) for each in fill(writer, "a[1]b", FillConfig(), count=2)]
    [('aab', 0.67), ('abb', 0.24)]
    """
    count = plain(count)
    require(isinstance(count, int) and 1 <= count <= MOST, "count", f"a whole number in [1, {MOST:,}]", count)
    parsed = parse_gaps(text, config)
    read = GappedText(tuple(map(writer.as_trained, parsed.texts)), parsed.gaps)
    encoded = encode_gaps(writer.tokenizer, read, writer.reading, unknown=config.unknown)
    seed = (secrets.randbits(32) if config.seed is None else config.seed) if config.sample else None
    ranked = _Gaps(writer, encoded, config.replace(seed=seed), width=max(config.candidates, count), watch=watch).fill()
    chosen = _best_of_all(ranked, count) if seed is None else _draws_of_all(ranked, count, seed)
    return [_written(writer, parsed, fills, probability, seed) for fills, probability in chosen]


class _Gaps:
    """The gaps of a text, filled in groups of those that are near each other."""

    def __init__(
        self, writer: TrainedModel, encoded: EncodedGaps, config: FillConfig, *, width: int, watch: Watch | None
    ) -> None:
        tokenizer, controls = writer.tokenizer, writer.controls_as_trained(config.controls)
        self._allowed = np.ones(tokenizer.vocab_size, np.bool_)
        self._allowed[banned_ids(tokenizer, controls)] = False
        if tokenizer.end_id is not None:
            self._allowed[tokenizer.end_id] = False
        self._end = tokenizer.end_id
        self._writer, self._watch = writer, watch
        self._engine, self._labels = watched(writer.engine, watch), labels_of(writer, config.label)
        self._encoded, self._config, self._width = encoded, config, width

    def fill(self) -> list[_Ranked]:
        """Fills all groups, each after the best, or the first, fillings of those before."""
        found, before = [], self._encoded.start
        for number, (first, last) in enumerate(groups(self._encoded)):
            seed = self._config.seed
            gaps, start = range(first, last), before[-_BEFORE:]
            sides = self._sides(start, gaps)
            state = begun(self._engine, start, self._labels) if sides is None else sides.state.copy()
            drafts = Drafts.after(self._engine, start[-1:], state)
            if seed is None:
                ranked = self._from_both_sides(self._search(drafts, gaps), sides, gaps)
                chosen = 0
            else:
                ranked = self._draw(drafts, gaps, sides, _generator(seed, 0, number))
                chosen = _drawn(ranked, seed, number, 0)
            for ids, behind in zip(ranked.fills[chosen], self._encoded.behind[first:last], strict=True):
                before = np.concatenate([before, np.array(ids, before.dtype), behind])
            found.append(ranked)
        return found

    def _search(self, drafts: Drafts, gaps: range) -> Drafts:
        """The best fillings of a group by what the forward network says."""
        for n in gaps:
            near = self._behind(n)[0]
            if n > gaps.start:
                drafts = drafts.read(self._engine, self._behind(n - 1)[1], scored=False)
            gap = self._encoded.gaps[n]
            drafts = search(self._engine, drafts, gap, near, allowed=self._allowed, width=self._width)
        return drafts

    def _from_both_sides(self, drafts: Drafts, sides: Sides | None, gaps: range) -> _Ranked:
        """The best fillings of a group by what all networks say, as far as there are some for both sides."""
        if sides is None:
            return _Ranked(drafts.fills, _normalised(drafts.scores))
        # From the right only the last gap is filled: what stands behind the others is not known yet.
        *rest, _ = drafts.fills[0]
        middle = self._between([*rest, ()], gaps)
        found = sides.fill_backwards(self._encoded.gaps[gaps[-1]], middle, allowed=self._allowed, width=self._width)
        # The best of one search, of the other, the second of each, ...: judging more takes longer than finding them.
        turns = zip_longest(drafts.fills, ((*rest, each) for each in found))
        fills = list(dict.fromkeys(each for pair in turns for each in pair if each is not None))[: self._width]
        scores = self._judged(sides, fills, gaps).scores
        order = np.argsort(-scores, kind="stable")
        return _Ranked([fills[row] for row in order.tolist()], _normalised(scores[order]))

    def _sides(self, before: Ids, gaps: range) -> Sides | None:
        """Both sides of a group of gaps; None for a model of one side."""
        backward, joint, engine = self._writer.backward, self._writer.joint, self._writer.engine
        if backward is None or joint is None or not isinstance(engine, Engine) or not self._config.reach:
            return None
        after, reach = self._encoded.behind[gaps[-1]][:_BEFORE], self._config.reach
        return Sides(
            engine,
            backward,
            joint,
            before=before,
            after=after,
            reach=reach,
            labels=self._labels,
            watch=self._watch,
        )

    def _judged(self, sides: Sides, fills: Sequence[Fills], gaps: range) -> Judged:
        """What both sides say of fillings of a group."""
        missing = sum(self._encoded.gaps[n].most for n in gaps)
        return sides.judge([self._between(each, gaps) for each in fills], missing=missing)

    def _between(self, fills: Sequence[tuple[int, ...]], gaps: range) -> Ids:
        """The ids from the first to the last gap of a group, both included."""
        ids: list[Ids] = []
        for n, own in zip(gaps, fills, strict=True):
            behind = self._encoded.behind[n][: 0 if n == gaps[-1] else None]
            ids += [np.array(own, behind.dtype), behind]
        return np.concatenate(ids)

    def _draw(self, drafts: Drafts, gaps: range, sides: Sides | None, generator: np.random.Generator) -> _Ranked:
        """Weighed fillings; those of each further gap go on with what is drawn from these, as particle filters do."""
        number, temperature = self._width * _DRAWN, self._config.temperature
        counts, logs = np.array([number]), np.zeros(drafts.rows)
        for n in gaps:
            if n > gaps.start:
                rows, counts = np.unique(generator.choice(drafts.rows, number, p=np.exp(logs)), return_counts=True)
                drafts = drafts.take(rows).read(self._engine, self._behind(n - 1)[1], scored=False)
            gap, near = self._encoded.gaps[n], self._behind(n)[0]
            counted = dataclasses.replace(drafts, scores=temperature * np.log(counts))
            found = search(self._engine, counted, gap, near, allowed=self._allowed, width=self._width)
            repeated = drafts.take(np.repeat(np.arange(drafts.rows), counts))
            drawn = draw_fillings(
                self._engine,
                repeated,
                gap,
                near,
                allowed=self._allowed,
                temperature=temperature,
                generator=generator,
            )
            drafts, logs = weigh(found, drawn, repeated.scores, temperature)
            logs = _normalised(logs)
        if sides is not None:
            # What the fillings were weighed by is replaced by what all networks say.
            judged = self._judged(sides, drafts.fills, gaps)
            logs = _normalised(logs + (judged.scores - judged.forwards) / temperature)
        return _Ranked(drafts.fills, logs)

    def _behind(self, gap: int) -> tuple[Ids, Ids]:
        """What stands behind a gap: the part that counts, up to a record's end, and the part that is only read."""
        ids = self._encoded.behind[gap]
        near = reached(ids, self._config.reach, self._end)
        return near, ids[len(near) :]


def groups(encoded: EncodedGaps) -> list[tuple[int, int]]:
    """The first of each group of gaps that are near each other, and the one after its last."""
    cuts = [n for n, behind in enumerate(encoded.behind, 1) if len(behind) > _NEAR or n == len(encoded.behind)]
    return list(itertools.pairwise([0, *cuts]))


def _best_of_all(ranked: Sequence[_Ranked], count: int) -> list[tuple[Fills, float]]:
    """The most probable fillings of all groups together, with their probabilities."""
    found: list[tuple[Fills, float]] = [((), 0.0)]
    for each in ranked:
        pairs = list(zip(each.fills, each.logprobs.tolist(), strict=True))[:count]
        grown = [((*before, *fills), log + own) for before, log in found for fills, own in pairs]
        found = sorted(grown, key=lambda pair: -pair[1])[:count]
    return [(fills, float(np.exp(log))) for fills, log in found]


def _draws_of_all(ranked: Sequence[_Ranked], count: int, seed: int) -> list[tuple[Fills, float]]:
    """Fillings of all groups, drawn by their weights, with their probabilities; draw k depends on the seed and k."""
    found = []
    for k in range(count):
        fills: Fills = ()
        probability = 1.0
        for number, each in enumerate(ranked):
            own = each.fills[_drawn(each, seed, number, k)]
            same = [row for row, other in enumerate(each.fills) if other == own]
            fills = (*fills, *own)
            probability *= float(np.exp(each.logprobs[same]).sum())
        found.append((fills, min(probability, 1.0)))
    return found


def _drawn(ranked: _Ranked, seed: int, number: int, k: int) -> int:
    """The row of the k-th draw from a group."""
    noise = _generator(seed, 1, number, k).gumbel(size=len(ranked.fills))
    return int(np.argmax(ranked.logprobs + noise))


def _generator(seed: int, *key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def _normalised(logs: Array) -> Array:
    """Log-probabilities whose probabilities have the sum 1."""
    return logs - np.logaddexp.reduce(logs)  # type: ignore[no-any-return]


def _written(writer: TrainedModel, parsed: GappedText, fills: Fills, probability: float, seed: int | None) -> Filling:
    line_end = line_end_of("".join(parsed.texts), writer.reading)
    texts = tuple(writer.tokenizer.decode(each).replace("\n", line_end) for each in fills)
    lengths = [len(each) for pair in zip(parsed.texts[:-1], texts, strict=True) for each in pair]
    places = tuple(itertools.accumulate(lengths))[::2]
    return Filling(text=parsed.filled(texts), gaps=texts, places=places, probability=probability, seed=seed)
