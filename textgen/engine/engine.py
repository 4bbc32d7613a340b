"""The stack of layers: steps a batch of texts by one character, or reads a whole segment at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.config import ModelConfig, require
from textgen.engine.blas import ALONE, Pace, can_choose_threads
from textgen.engine.lane import Lane
from textgen.engine.layer import Head, Layer
from textgen.engine.matrix import FEW, ROWS, Matrix, has_small_kernels
from textgen.engine.state import Plan, State
from textgen.engine.threads import side_by_side
from textgen.engine.trace import Trace
from textgen.engine.units_lane import LayerPart, UnitsLane, parts_of
from textgen.model.weights import ModelWeights
from textgen.system import cores

Array = NDArray[np.float32]
Ids = NDArray[np.integer]

_CHUNK = 1024
"""Rows, texts times characters, whose input products are computed at once in `Engine.read`."""

_STEP, _READ = 2**24, 2**22
"""Multiplications per step from which another thread pays off: in `Engine.step`, and in `Engine.read`."""

_SINGLE = 2**62
"""More multiplications than any step has: one thread does them all."""

_ROWS, _OWN_ROWS, _UNITS = 16, 64, 192
"""Rows from which threads divide the units and not the rows; rows and units for each thread, up to and from which."""

_PACED = 2**18
"""Multiplications of a text's step from which on OpenBLAS's threads may be worth a trial."""

_TIMED = 16
"""Steps of a segment that are timed together."""


class Engine:
    """A trained network: `e = embedding[id]`, then layer on layer, then `logits = out @ head_kernel + head_bias`.

    `out` is the sum of all layers' outputs if `config.skip`, else the last layer's. float32 throughout. An engine is
    immutable, so several threads may use one, each with states of its own.

    Args:
        config: the network's shape.
        weights: its weights; they are copied.
        threads: threads that share out the rows of a batch; None takes one for each processor core. OpenBLAS's own
            share out one text's steps, while that pays. Where the matrix library is another one, its threads share out
            one text's steps, and any batch.
        end_id: the id before whose step a text's state becomes zero: that of a record's end. None for running text.

    Raises:
        ConfigError: the weights do not fit the configuration, or `end_id` is outside the vocabulary.

    >>> from textgen.model.weights import ModelWeights
    >>> config = ModelConfig(vocab_size=5, cell="lstm", layers=2, units=8, embedding=4)
    >>> rng = np.random.default_rng(0)
    >>> shapes = ModelWeights.shapes(config).values()
    >>> engine = Engine(config, ModelWeights.from_arrays([rng.random(s, np.float32) for s in shapes]))
    >>> logits, state = engine.step([3], engine.initial_state(1))
    >>> logits.shape
    (1, 5)
    >>> logits, state = engine.read(np.array([[1, 4, 0]]), state)
    >>> logits.shape
    (1, 3, 5)
    """

    def __init__(
        self, config: ModelConfig, weights: ModelWeights, *, threads: int | None = None, end_id: int | None = None
    ) -> None:
        weights.validate(config)
        known = end_id is None or 0 <= end_id < config.vocab_size
        require(known, "end_id", f"in [0, {config.vocab_size})", end_id)
        self.config = config
        self.end_id = end_id
        self.threads = threads if threads is not None else cores()
        self._paces: dict[tuple[int, int], Pace] = {}
        self._parts: dict[int, list[list[LayerPart]]] = {}
        self._made_of = (config, weights, threads, end_id)
        embedded = [weights.embedding, *[None] * (config.layers - 1)]
        self._layers = [Layer.from_weights(config, *each) for each in zip(weights.layers, embedded, strict=True)]
        self._head = Head.from_weights(config, weights)
        self._embedding = None if self._layers[0].table is not None else weights.embedding.copy()
        first, columns = self._layers[0].inputs, len(self._layers[0].bias)
        self._label_products = None
        if weights.label_embedding is not None:
            self._label_products = weights.label_embedding @ first.values[:, :columns]
        self._work = config.weights - config.vocab_size * config.embedding

    def __reduce__(self) -> tuple[Callable[..., Engine], tuple[Any, ...]]:
        # What it is made of, not its arrays: they are views of one another, which a copy would tear apart.
        config, weights, threads, end_id = self._made_of
        return partial(Engine, threads=threads, end_id=end_id), (config, weights)

    @property
    def vocab_size(self) -> int:
        """The number of ids."""
        return self.config.vocab_size

    def initial_state(self, batch: int, *, quiet: bool = False, labels: Array | None = None) -> State:
        """The state before the first character: zeros.

        Labels are part of a state: their product is added to the first layer's bias, once.

        Args:
            batch: the number of texts.
            labels: `(labels,)` or `(batch, labels)`, the weight of each label for all texts or for each; None for none.
            quiet: do not use the threads of BLAS even for a single text. They make its steps nearly twice as fast,
                but keep all cores busy for a tenth of a second afterwards, where other texts may need them. The logits
                are bit for bit the same.
        """
        place = 0 if self._embedding is None else self._embedding.shape[1]
        width = self.config.layers * self.config.units
        hidden = np.zeros((batch, place + width), np.float32)
        cell_state = np.zeros((batch, width if self.config.facts.states == 2 else 0), np.float32)
        condition = None
        if labels is not None:
            if self._label_products is None:
                raise ValueError("labels must be None for a network without labels.")
            weights = np.broadcast_to(np.asarray(labels, np.float32), (batch, self.config.labels))
            condition = weights @ self._label_products
        return State(hidden, cell_state, quiet=quiet, condition=condition)

    def step(self, ids: Sequence[int] | Ids, state: State) -> tuple[Array, State]:
        """Advances each text by one character.

        Args:
            ids: `(batch,)`, each below the vocabulary's size.
            state: before the step; it is updated in place.

        Returns:
            The logits of the next character, `(batch, vocab)` float32, and `state`.

        Raises:
            ValueError: `ids` and `state` differ in their number of texts.
        """
        plan = state.plans.get(_STEP) or self._plan(state, _STEP)
        if len(ids) != len(state.hidden):
            raise ValueError(f"ids must be of {state.batch} texts like the state; got {len(ids)}.")
        if self.end_id is not None:
            state.clear(np.flatnonzero(np.equal(ids, self.end_id)))
        if plan.pace is not None:
            return plan.pace.run(1, plan.lanes[0].step, ids), state
        with ALONE:
            if plan.units is not None:
                return plan.units.step(ids), state
            if len(plan.lanes) == 1:
                return plan.lanes[0].step(ids), state
            parts = side_by_side([partial(lane.step, ids[a:b]) for lane, (a, b) in plan.parts])
        return np.concatenate(parts), state

    def read(self, ids: Ids, state: State, *, last: bool = False) -> tuple[Array, State]:
        """Advances each text by a segment of characters, with one large product for each layer's inputs.

        Args:
            ids: `(batch, time)`, at least one character, each below the vocabulary's size.
            state: before the segment; it is updated in place.
            last: return only the logits after the last character.

        Returns:
            The logits after each character, `(batch, time, vocab)` float32, or `(batch, vocab)` if `last`; and `state`.

        Raises:
            ValueError: `ids` is empty, or not of the state's number of texts.
        """
        _check_ids(ids, state)
        times = max(1, _CHUNK // len(ids))
        logits = np.empty((len(ids), 1 if last else ids.shape[1], self.config.vocab_size), np.float32)
        for start in range(0, ids.shape[1], times):
            out = self._forward(ids[:, start : start + times].T, state)
            if not last:
                logits[:, start : start + times] = self._logits(out).swapaxes(0, 1)
            elif start + times >= ids.shape[1]:
                logits[:, 0] = self._logits(out[-1:])[0]
        return logits[:, 0] if last else logits, state

    def outputs(self, ids: Ids, state: State) -> tuple[Array, State]:
        """Advances each text by a segment of characters, as `read`, and returns the head's input instead of logits.

        Args:
            ids: `(batch, time)`, at least one character, each below the vocabulary's size.
            state: before the segment; it is updated in place.

        Returns:
            `(batch, time, units)` float32, what the head reads after each character; and `state`.

        Raises:
            ValueError: `ids` is empty, or not of the state's number of texts.
        """
        _check_ids(ids, state)
        times = max(1, _CHUNK // len(ids))
        found = np.empty((*ids.shape, self.config.units), np.float32)
        for start in range(0, ids.shape[1], times):
            part = slice(start, start + times)
            found[:, part] = self._forward(ids[:, part].T, state).swapaxes(0, 1)
        return found, state

    def read_out(self, outputs: Array) -> Array:
        """The logits, `(..., vocab)` float32, of what `outputs` returned, `(..., units)`."""
        rows = outputs.reshape(1, -1, outputs.shape[-1]).swapaxes(0, 1)
        return self._logits(rows).reshape(*outputs.shape[:-1], self.config.vocab_size)

    def magnitude(self, logits: Array, state: State) -> float:
        """What the rounding errors of `logits` are in proportion to: the largest of them, in nats; see `Referee`."""
        del state
        return float(np.abs(logits).max())

    def observe(self, ids: Ids, state: State) -> tuple[list[Trace], State]:
        """Advances each text by a segment of characters and returns the activations of every layer.

        They are all held in memory, so a long text is best observed a thousand characters at a time.

        Args:
            ids: `(batch, time)`, at least one character, each below the vocabulary's size.
            state: before the segment; it is updated in place.

        Returns:
            A trace of each layer, from the bottom up, and `state`.

        Raises:
            ValueError: `ids` is empty, or not of the state's number of texts.
        """
        _check_ids(ids, state)
        traces: list[Trace] = []
        self._forward(ids.T, state, traces)
        return traces, state

    def _forward(self, ids: Ids, state: State, traces: list[Trace] | None = None) -> Array:
        """The head's input after each of `ids`, `(time, batch)`, as `(time, batch, units)`; appends to `traces`."""
        plan = self._plan(state, _READ if traces is None else _SINGLE)
        ends = None if self.end_id is None else ids == self.end_id
        total: Array | None = None
        x: Array = np.empty(0, np.float32) if self._embedding is None else self._embedding[ids]
        for n, layer in enumerate(self._layers):
            addends = self._times(layer.inputs, x, layer.bias) if layer.table is None else layer.table[ids]
            if n == 0 and state.condition is not None:
                addends = addends + state.condition
            x = np.empty((*ids.shape, layer.units), np.float32)
            if traces is not None:
                with ALONE:
                    traces.append(plan.lanes[0].trace(n, addends, x, ends))
            elif plan.pace is not None:
                for start in range(0, len(x), _TIMED):
                    part = slice(start, start + _TIMED)
                    here = None if ends is None else ends[part]
                    plan.pace.run(len(x[part]), plan.lanes[0].recur, n, addends[part], x[part], here)
            else:
                with ALONE:
                    side_by_side(
                        [
                            partial(lane.recur, n, addends[:, a:b], x[:, a:b], None if ends is None else ends[:, a:b])
                            for lane, (a, b) in plan.parts
                        ]
                    )
            if self._head.skip:
                total = x.copy() if total is None else np.add(total, x, total)
        return x if total is None else total

    def _logits(self, out: Array) -> Array:
        return self._times(self._head.kernel, out, self._head.bias)

    def _times(self, matrix: Matrix, x: Array, bias: Array) -> Array:
        """`x @ matrix + bias` for `(time, batch, inputs)`; for one text bit for bit the same with any threads."""
        rows = x.reshape(-1, matrix.inputs)
        product = np.empty((len(rows), matrix.columns), np.float32)
        known = product[:, : len(bias)]
        whole = x.shape[1] > 1 and not has_small_kernels()

        def part(start: int, stop: int) -> None:
            if whole:
                np.matmul(rows[start:stop], matrix.values, product[start:stop])
            else:
                matrix.times(rows[start:stop], product[start:stop])
            np.add(known[start:stop], bias, known[start:stop])

        blocks = -(-len(rows) // ROWS)
        threads = self.threads if not whole or can_choose_threads() else 1
        parts = max(1, min(threads, blocks, len(rows) * matrix.values.size // _READ))
        with ALONE:
            side_by_side([partial(part, a * ROWS, b * ROWS) for a, b in _bounds(blocks, parts)])
        return product.reshape(*x.shape[:-1], matrix.columns)[..., : len(bias)]

    def _plan(self, state: State, worth: int) -> Plan:
        """Who steps the rows of `state`: threads that each have at least `worth` multiplications in a step."""
        if worth in state.plans:
            return state.plans[worth]
        threads = self.threads if has_small_kernels() or can_choose_threads() else 1
        number = max(1, min(threads, state.batch // 2, state.batch * self._work // worth))
        if worth == _STEP and self._divides_units(state.batch, number):
            state.plans[worth] = Plan([], [], None, self._units_lane(state, number))
            return state.plans[worth]
        bounds = _bounds(state.batch, number)
        lanes = [
            Lane(
                self._layers,
                self._head,
                self._embedding,
                state.hidden[a:b],
                state.cell_state[a:b],
                quiet=state.quiet,
                condition=None if state.condition is None else state.condition[a:b],
            )
            for a, b in bounds
        ]
        state.plans[worth] = Plan(lanes, bounds, self._pace(state, worth) if number == 1 else None)
        return state.plans[worth]

    def _divides_units(self, batch: int, threads: int) -> bool:
        """Whether threads step a batch faster where they divide the units of the layers, and not the rows."""
        few = threads * _OWN_ROWS
        return (
            threads > 1 and _ROWS <= batch < few and self.config.units >= threads * _UNITS and not has_small_kernels()
        )

    def _units_lane(self, state: State, threads: int) -> UnitsLane:
        parts = self._parts.get(threads)
        if parts is None:
            parts = self._parts[threads] = parts_of(self._layers, threads)
        return UnitsLane(parts, self._head, self._embedding, state.hidden, state.cell_state, condition=state.condition)

    def _pace(self, state: State, kind: int) -> Pace | None:
        """What decides about OpenBLAS's threads for a state's steps; None where one thread makes them all."""
        vectors = state.batch == 1 or (state.batch <= FEW and not has_small_kernels())
        if state.quiet or not vectors or self._work * state.batch < _PACED or not can_choose_threads():
            return None
        return self._paces.setdefault((kind, state.batch), Pace())


def _check_ids(ids: Ids, state: State) -> None:
    if ids.ndim != 2 or len(ids) != state.batch or not ids.size:
        raise ValueError(f"ids must be (batch, time) of {state.batch} texts like the state; got {ids.shape}.")


def _bounds(rows: int, parts: int) -> list[tuple[int, int]]:
    """The bounds of `parts` parts of `rows` rows, of nearly the same size."""
    cuts = [rows * n // parts for n in range(parts + 1)]
    return list(pairwise(cuts))
