"""Draws targets at random, of many sources at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.engine.pairs import PairEngine
from textgen.engine.pairs.engine import log_softmax
from textgen.sampling.rewriting.rewritten import Hypothesis
from textgen.sampling.rewriting.writable import Writable


def draw(
    engine: PairEngine,
    sources: Sequence[NDArray[Any]],
    limits: Sequence[int],
    writable: Writable,
    *,
    end_id: int,
    temperature: float,
    generators: Sequence[Sequence[np.random.Generator]],
) -> list[list[Hypothesis]]:
    """Draws a target of each source with each of its generators.

    Args:
        engine: the model.
        sources: each `(ids,)` with its end last, of like lengths.
        limits: the most characters for each.
        writable: what may be written, for each target.
        end_id: the id of a target's end.
        temperature: more than 0; the logits are divided by it.
        generators: for each source as many as targets are wanted.
    """
    width = len(generators[0])
    decoder = engine.decoder(engine.encode(sources), width=width)
    rows = [generator for each in generators for generator in each]
    most = np.repeat(np.array(limits), width)
    texts: list[list[int]] = [[] for _ in rows]
    logprobs = np.zeros(len(rows))
    whole = [False] * len(rows)
    is_open = np.ones(len(rows), bool)
    states = writable.first or [0] * len(rows)
    last = np.full(len(rows), end_id)
    length = 0
    while (is_open := is_open & (most > length)).any():
        logits = decoder.step(last)[0].reshape(len(rows), -1)
        known = log_softmax(logits)
        allowed = known / temperature + writable.bias(states, length)
        shares = np.exp(allowed - allowed.max(axis=1, keepdims=True)).cumsum(axis=1)
        for row in np.flatnonzero(is_open):
            # Below the sum, so that an id with a share of 0 is never drawn.
            drawn = int(np.searchsorted(shares[row], rows[row].random() * shares[row, -1], side="right"))
            last[row] = drawn = min(drawn, int(np.flatnonzero(np.isfinite(allowed[row]))[-1]))
            logprobs[row] += known[row, drawn]
            if drawn == end_id:
                whole[row], is_open[row] = True, False
            else:
                texts[row].append(drawn)
        states = writable.after(states, last.tolist(), length)
        length += 1
    made = [Hypothesis(tuple(t), float(p), w) for t, p, w in zip(texts, logprobs, whole, strict=True)]
    return [made[n * width : (n + 1) * width] for n in range(len(sources))]
