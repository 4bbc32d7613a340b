"""What a text must be as a whole, and which characters may come next for it to become that.

An automaton accepts the texts that `match`, `starts_with`, `ends_with` and `contains` allow. Before each character only
those are left from which an accepted text of an allowed length can still be reached, so that no text comes to a dead
end. The others have the logit `-inf` before the sampling controls, and the draw follows the probabilities of the rest.

Where a text may end, it ends where the model would go on with something that does not fit. In a record that is the
record's end, which competes with the characters that fit. In running text it is any character that may be written at
all but does not fit: drawing it ends the text before it. A text ends by itself where nothing further fits.
"""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textgen.config import CONSTRAINTS, SamplingConfig
from textgen.corpus.characters import name_characters
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import ConfigError
from textgen.sampling.automaton import UNREACHABLE, Automaton, automaton

Bias = NDArray[np.float64]
Mask = NDArray[np.bool_]

_READ = (*CONSTRAINTS, "max_new_tokens")
"""The fields of a configuration that make a constraint."""

_CACHED = 1 << 21
"""Maximum number of logits in the biases that a constraint keeps: 16 MiB."""

_ROWS = 50_000_000
"""Maximum number of bytes and of elementary operations for the lengths below `min_length`, together."""


class Constraint:
    """The constraints of a call over a vocabulary.

    Args:
        characters: those of the vocabulary; their ids are their indices.
        banned: the ids that are never written, ascending, among them all that are neither characters nor `end`.
        config: `match`, `starts_with`, `ends_with`, `contains`, `min_length`, `max_length` and `max_new_tokens` are
            read.
        size: the number of ids.
        end: the id of a record's end; None for running text.

    Raises:
        ConfigError: no text fits, or a pattern is not one or too complex.
    """

    def __init__(
        self, characters: str, banned: tuple[int, ...], config: SamplingConfig, *, size: int, end: int | None = None
    ) -> None:
        gone = set(banned)
        self._written = [n for n in range(len(characters)) if n not in gone]
        left = "".join(characters[n] for n in self._written)
        _check_texts(config, characters, left)
        self._automaton = automaton(_sources(config), characters, left)
        self._least, self._most = config.min_length, config.longest
        self._size, self._end = size, end
        self._table = self._automaton.table
        # The class of each id, one of its own for those that are no characters, in a list that is read faster.
        others = size - len(characters)
        self._classes: list[int] = self._automaton.classes.tolist() + others * [self._table.shape[1]]
        self._aim(self._automaton.distance)
        if not self._fits(0)[0]:
            raise _impossible(config, self._automaton)

    def _aim(self, distance: NDArray[np.int32]) -> None:
        """Sets how far each state is from where a text may end."""
        self._distance = distance
        reachable = distance[distance < UNREACHABLE]
        self._farthest = int(reachable.max()) if len(reachable) else 0
        self._below, self._repeated = self._below_least()
        self._nexts: dict[tuple[int, bool], dict[int, _Next | None]] = {}
        # Texts of a batch are of one length: what may come next after it, by state.
        self._recent: tuple[int, dict[int, _Next | None]] = (-1, {})
        self._known = 0

    @property
    def ends(self) -> Mask:
        """`(states,)`, in which a text of an allowed length may end."""
        ends: Mask = self._distance == 0
        return ends

    @property
    def begins(self) -> Mask:
        """`(states,)`, from which a text of an allowed length can come to an end."""
        return self._fits(0)

    @property
    def steps(self) -> int:
        """What `ending` costs, in steps between states."""
        return self._automaton.steps

    def ending(self, ends: Mask) -> Constraint:
        """The same constraint with other states in which a text may end, `(states,)`."""
        other = copy.copy(self)
        other._aim(self._automaton.distances(ends))
        return other

    def leading_to(self, states: Mask, character: int) -> Mask:
        """Which states an id of a character leads on to one of `states`, `(states,)`."""
        after: NDArray[np.int32] = self._table[:, self._classes[character]]
        return (after >= 0) & states[after]

    def read(self, state: int, ids: Iterable[int]) -> int:
        """The state after ids of characters; -1 where nothing that begins with them fits."""
        for each in ids:
            if state >= 0:
                state = self._table.item(state, self._classes[each])
        return state

    def walk(self) -> Walk:
        """A text that is about to begin."""
        return Walk(self)

    def after(self, state: int, drawn: int, among: _Next) -> int | None:
        """The state after an id that was drawn among what may come next; None where it does not fit."""
        kind = self._classes[drawn]
        return self._table.item(state, kind) if among.fits[kind] else None

    def next(self, state: int, length: int) -> _Next | None:
        """What may come next in a state after so many characters; None where the text must end."""
        recent = self._recent
        if recent[0] != length:
            key = (self._level(length + 1), length >= self._least)
            self._recent = recent = (length, self._nexts.setdefault(key, {}))
        try:
            return recent[1][state]
        except KeyError:
            if (self._known + 1) * self._size > _CACHED:
                self._nexts, self._known = {}, 0
                self._recent = recent = (length, {})
            self._known += 1
            made = recent[1][state] = self._next(state, length)
            return made

    def is_whole(self, state: int) -> bool:
        """Whether nothing can follow in a state, whatever the length."""
        after = self._table[state]
        return not (self._distance[after[after >= 0]] < UNREACHABLE).any()

    def _next(self, state: int, length: int) -> _Next | None:
        after = self._table[state]
        fits = (after >= 0) & self._fits(length + 1)[after]
        if length >= self._most or not fits.any():
            return None
        ends = length >= self._least and self._distance[state] == 0
        bias = np.full(self._size, -np.inf)
        bias[np.flatnonzero(fits[self._automaton.classes])] = 0.0
        if ends:
            bias[self._written if self._end is None else self._end] = 0.0
        return _Next(bias, bytes(fits.tolist()) + b"\0")

    def _level(self, length: int) -> int:
        """A number for the states that fit after so many characters: where it is the same, they are."""
        if length >= self._least:
            return max(-1, min(self._most - length, self._farthest))
        return self._farthest + 1 + self._row(length)

    def _fits(self, length: int) -> Mask:
        """`(states,)`, from which an accepted text of an allowed length can be reached after so many characters."""
        if length >= self._least:
            return self._distance <= min(self._most - length, self._farthest)
        return self._below[self._row(length)]

    def _row(self, length: int) -> int:
        """The row of `_below` for a length below the least."""
        row, known = self._least - 1 - length, len(self._below)
        return row if row < known else self._repeated + (row - self._repeated) % (known - self._repeated)

    def _below_least(self) -> tuple[list[Mask], int]:
        """The states that fit for each length below the least, the longest first, until they repeat.

        Returns:
            The states, and the row from which on they repeat.
        """
        rows: list[Mask] = []
        known: dict[bytes, int] = {}
        states = self._fits(self._least)
        while len(rows) < self._least:
            states = self._automaton.one_earlier(states)
            key = np.packbits(states).tobytes()
            if key in known:
                return rows, known[key]
            known[key] = len(rows)
            rows.append(states)
            if len(rows) * (1000 + self._table.size) > _ROWS:
                raise ConfigError(
                    "min_length must be smaller for a pattern with so many cases to tell apart; give the length in the "
                    "pattern.",
                    field="min_length",
                )
        return rows, 0


class _Next(NamedTuple):
    """What may come next in a text.

    Attributes:
        bias: `(vocab,)`, what to add to the logits: 0 for ids that may be drawn, `-inf` for the others.
        fits: for each class of ids whether they fit, 0 or 1. Any other id that is drawn ends the text before it.
    """

    bias: Bias
    fits: bytes


class Walk:
    """A text on its way through a constraint.

    Attributes:
        ended: whether the text has ended.

    >>> walk = Constraint("abc", (), SamplingConfig(match="ab*"), size=3).walk()
    >>> walk.bias.tolist(), walk.add(0), walk.bias.tolist(), walk.add(2), walk.ended
    ([0.0, -inf, -inf], True, [0.0, 0.0, 0.0], False, True)
    """

    __slots__ = ("_constraint", "_length", "_next", "_state")

    def __init__(self, constraint: Constraint) -> None:
        self._constraint, self._state, self._length = constraint, 0, 0
        self._next = constraint.next(0, 0)

    @property
    def bias(self) -> Bias:
        """`(vocab,)`, what to add to the logits of the next character, of a text that has not ended."""
        assert self._next is not None
        return self._next.bias

    @property
    def ended(self) -> bool:
        """Whether the text has ended."""
        return self._next is None

    @property
    def whole(self) -> bool:
        """Whether nothing could follow if the text were allowed to be longer."""
        return self._constraint.is_whole(self._state)

    def add(self, drawn: int) -> bool:
        """Takes the id that was drawn; False where it is not part of the text, which has ended before it."""
        state = None if self._next is None else self._constraint.after(self._state, drawn, self._next)
        if state is None:
            self._next = None
            return False
        self._state = state
        self._length += 1
        self._next = self._constraint.next(self._state, self._length)
        return True


def biases_of(walks: Sequence[Walk]) -> Bias:
    """What to add to the logits of several texts that have not ended, `(texts, vocab)`."""
    if len(walks) == 1:
        return walks[0].bias[None]
    # Many texts are in few states.
    biases = [walk.bias for walk in walks]
    places: dict[int, int] = {}
    rows = [places.setdefault(id(bias), len(places)) for bias in biases]
    distinct = dict(zip(rows, biases, strict=True))
    return np.stack([distinct[place] for place in range(len(places))])[rows]


def constraint_of(tokenizer: CharTokenizer, config: SamplingConfig, banned: NDArray[np.intp]) -> Constraint | None:
    """The constraint that a configuration describes; None if it has none.

    Args:
        tokenizer: the vocabulary.
        config: the controls.
        banned: the ids that are never written; see `banned_ids`.

    Raises:
        ConfigError: no text fits, or a pattern is not one or too complex.
    """
    if not config.constraints:
        return None
    values = tuple(getattr(config, name) for name in _READ)
    return _made(tokenizer.characters, tuple(banned.tolist()), values, tokenizer.vocab_size, tokenizer.end_id)


@functools.lru_cache(maxsize=4)
def _made(characters: str, banned: tuple[int, ...], values: tuple[Any, ...], size: int, end: int | None) -> Constraint:
    config = SamplingConfig(**dict(zip(_READ, values, strict=True)))
    return Constraint(characters, banned, config, size=size, end=end)


def _sources(config: SamplingConfig) -> tuple[str, ...]:
    """The patterns of the constraints."""
    anything = "(?s:.*)"
    sources = [config.match] if config.match else []
    if config.starts_with:
        sources.append(re.escape(config.starts_with) + anything)
    if config.ends_with:
        sources.append(anything + re.escape(config.ends_with))
    return (*sources, *(anything + re.escape(each) + anything for each in config.contains), anything)


def _check_texts(config: SamplingConfig, characters: str, left: str) -> None:
    """Refuses texts of characters that are never written."""
    texts = [("starts_with", config.starts_with), ("ends_with", config.ends_with)]
    for name, text in (*texts, *(("contains", each) for each in config.contains)):
        for among, what in ((characters, "of the model's vocabulary, which lacks"), (left, "that may be written, not")):
            lacking = "".join(sorted(set(text) - set(among)))
            if lacking:
                them = "them" if len(lacking) > 1 else "it"
                problem = f"{name} must be made of characters {what} {name_characters(lacking)}. Leave {them} out."
                raise ConfigError(problem, field=name)


def _impossible(config: SamplingConfig, automaton: Automaton) -> ConfigError:
    first, *others = config.constraints
    names = [each for each in config.constraints if not each.endswith("_length")] or [first]
    shortest = int(automaton.distance[0])
    more = (*others, "max_length", "max_new_tokens", "min_length")
    told = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    if shortest == UNREACHABLE:
        why = ""
        if automaton.unwritable:
            shown = ", ".join(automaton.unwritable[:5]) + " ..." * (len(automaton.unwritable) > 5)
            why = f" It cannot write {shown}."
        problem = f"{told} must fit a text of characters that the model may write; none does.{why}"
    elif shortest > config.longest:
        problem = (
            f"{told} must fit a text of at most {config.longest:,} characters; the shortest that fits has {shortest:,}."
            " Allow longer ones with max_length and max_new_tokens."
        )
    else:
        problem = (
            f"{told} must fit a text of {config.min_length:,} to {config.longest:,} characters; none does. Choose "
            "other lengths with min_length, max_length and max_new_tokens."
        )
    return ConfigError(problem, field=names[0], others=tuple(each for each in more if each != names[0]))
