"""A model that turns one text into another as its papers write it, one pair and one step at a time, in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from slow_cells import STEPS

from textgen.config import ModelConfig
from textgen.model.pair_weights import PairWeights


def slow_pair_probabilities(
    weights: PairWeights, config: ModelConfig, source: Sequence[int], inputs: Sequence[int]
) -> Any:
    """The probabilities of what follows each of the decoder's inputs, `(inputs, vocab)`.

    Args:
        weights: the model's.
        config: its shape.
        source: ids of the source's vocabulary, END last.
        inputs: ids of the decoder's inputs, END first.
    """
    return np.array([each[0] for each in slow_pair_steps(weights, config, source, inputs)])


def slow_pair_steps(
    weights: PairWeights, config: ModelConfig, source: Sequence[int], inputs: Sequence[int]
) -> list[tuple[Any, Any]]:
    """For each of the decoder's inputs the probabilities, `(vocab,)`, and the weights of the source, `(source,)`."""
    half = config.units // 2
    rows = [weights.source_embedding[number + 1].astype(np.float64) for number in source]
    total, ends = None, []
    for forward, backward in weights.encoder:
        one, end = _run(config.cell, forward, rows, _zero(config, half))
        other, start = _run(config.cell, backward, rows[::-1], _zero(config, half))
        rows = [np.concatenate(both) for both in zip(one, other[::-1], strict=True)]
        total = rows if total is None or not config.skip else [a + b for a, b in zip(total, rows, strict=True)]
        ends.append([np.concatenate(both) for both in zip(end, start, strict=True)])
    assert total is not None
    keys = [row @ weights.keys_kernel for row in total]
    flow = [weights.embedding[number].astype(np.float64) for number in inputs]
    written = None
    for number, layer in enumerate(weights.layers):
        flow, _ = _run(config.cell, layer, flow, ends[min(number, len(ends) - 1)])
        written = flow if written is None or not config.skip else [a + b for a, b in zip(written, flow, strict=True)]
    assert written is not None
    steps = []
    for output in written:
        attention = _softmax(np.array([output @ key for key in keys]))
        context = sum(share * row for share, row in zip(attention, total, strict=True))
        attended = np.tanh(np.concatenate([context, output]) @ weights.attended_kernel)
        steps.append((_softmax(attended @ weights.head_kernel + weights.head_bias), attention))
    return steps


def _zero(config: ModelConfig, units: int) -> list[Any]:
    return [np.zeros(units) for _ in range(config.facts.states)]


def _run(cell: str, layer: Any, rows: Sequence[Any], state: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    outputs, arrays = [], [array.astype(np.float64) for array in layer.arrays()]
    state = list(state)
    for row in rows:
        state = STEPS[cell](row, arrays, state)
        outputs.append(state[0])
    return outputs, state


def _softmax(scores: Any) -> Any:
    raised = np.exp(scores - scores.max())
    return raised / raised.sum()
