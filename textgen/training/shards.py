"""Chooses how many shards a batch is split into, by a model of what a training step costs on a number of cores.

More shards keep more cores busy, but each has fewer streams, and some costs do not become smaller with them. The model
has a term for each part of a step that grows differently:

    shard  = operations * operation                    products; those of a time step as wide as whole registers
           + time * layers * step                      a time step besides its products, whatever the width
           + time * layers * units * streams * value   numbers that pass through a layer
           + time * layers * units * streams^2 * spill the same where they no longer fit the caches
           + weights * copy                            whole weights transposed, and gradients as large
    step   = rounds * shard * (1 + contention * (busy - 1)) + weights * update

with `busy = min(shards, cores)` and `rounds = shards / busy`. The update, which includes the sum of the gradients and
their clipping, is not divided among the cores. The constants are fitted to measurements on one core beside a busy one
(`python -m benchmarks.cores`). For more cores it is a prediction, which the same program checks where they are. Only
ratios count in the choice, so that a slower or quicker machine of the same kind gets the same number of shards.

The batch size is not chosen here: larger batches have lower losses at equal steps and one rate, but the rates that go
with them have not been measured. Neither are the large products shared out among more threads: their sums would be
rounded otherwise, and what a run computes would depend on its number of cores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from textgen.config import ModelConfig

FEW_CORES = 4
"""Up to this number of cores a shard keeps `WIDE` streams, as it always has: a resumed run has the same shards."""

WIDE, NARROW = 8, 4
"""The fewest streams of a shard on few cores, and on more."""

_WORTH = 0.9
"""More shards must bring a step's time below this share; otherwise the cores are left to others."""

_LANES = 8
"""Numbers in a register, as AVX2 has them in float32: a product with fewer columns takes as long."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """The constants of the model, in seconds on one core.

    Args:
        operation: of the products, a multiplication or an addition each.
        step: a layer's time step, forward and backward.
        value: one of a layer's outputs in one time step, forward and backward.
        spill: the same for each stream of the shard.
        copy: a weight, once a step in each shard.
        update: a weight, once a step.
        contention: the share by which each further busy core slows all of them.
    """

    operation: float
    step: float
    value: float
    spill: float
    copy: float
    update: float
    contention: float


MEASURED = Costs(
    operation=9.8e-12, step=2.1e-4, value=9.9e-8, spill=9.6e-10, copy=2.0e-8, update=1.1e-8, contention=0.0
)
"""Fitted on an AMD EPYC (family 25, AVX2) in float32; see `benchmarks/README.md`. Contention could not be measured: the
core beside the measured one was always busy, so that some is in the other constants."""


def amounts(model: ModelConfig, batch_size: int, length: int, shards: int, *, negatives: int = 0) -> Costs:
    """How often each of the costs is paid: `update` by a step, the others by a shard.

    Args:
        model: the network's shape.
        batch_size: streams in a batch.
        length: time steps.
        shards: parts of the batch.
        negatives: characters that the softmax is estimated from; 0 for all.
    """
    width = batch_size / shards
    recurrent = model.free_gates * model.units**2
    inputs = model.free_gates * model.units * (model.embedding + (model.layers - 1) * model.units)
    head = model.units * min(model.vocab_size, negatives or model.vocab_size)
    steps = model.layers * length
    # Of the three products with the recurrent weights two are made step by step, the third after the loop.
    narrow = 4.0 * recurrent * steps * _LANES * math.ceil(width / _LANES)
    large = (2.0 * model.layers * recurrent + 6.0 * (inputs + head)) * length * width
    return Costs(
        operation=narrow + large,
        step=float(steps),
        value=steps * model.units * width,
        spill=steps * model.units * width**2,
        copy=float(model.stored),
        update=float(model.stored),
        contention=0.0,
    )


def sharded_seconds(
    model: ModelConfig,
    batch_size: int,
    length: int,
    *,
    shards: int,
    cores: int,
    negatives: int = 0,
    costs: Costs = MEASURED,
) -> float:
    """The predicted seconds of a training step in shards on some cores, to compare numbers of shards.

    `recipe.step_seconds` estimates a step before its shards are known.

    Args:
        model: the network's shape.
        batch_size: streams in a batch.
        length: time steps.
        shards: parts of the batch.
        cores: processor cores, one thread each.
        negatives: characters that the softmax is estimated from; 0 for all.
        costs: the constants.

    Example:
        >>> small = ModelConfig(vocab_size=65, layers=2, units=256)
        >>> one, two = (sharded_seconds(small, 32, 64, shards=n, cores=2) for n in (1, 2))
        >>> one > two > one / 2
        True
    """
    paid = amounts(model, batch_size, length, shards, negatives=negatives)
    each = {field.name: getattr(paid, field.name) * getattr(costs, field.name) for field in fields(Costs)}
    update, busy = each.pop("update"), min(shards, cores)
    return float(shards / busy * sum(each.values()) * (1.0 + costs.contention * (busy - 1)) + update)


def choose_shards(
    model: ModelConfig,
    batch_size: int,
    length: int,
    cores: int,
    *,
    narrow: bool = True,
    negatives: int = 0,
    costs: Costs = MEASURED,
) -> int:
    """The number of shards of a batch; always a divisor of it.

    On up to four cores one a core, as long as each keeps 8 streams. On more, what the model finds the quickest, with
    4 streams a shard or more and no more shards than cores; the smaller number where a larger one gains under a tenth.

    Args:
        model: the network's shape.
        batch_size: streams in a batch.
        length: time steps.
        cores: processor cores that the process may use.
        narrow: whether shards may have fewer than 8 streams where there are more than four cores.
        negatives: characters that the softmax is estimated from; 0 for all.
        costs: the constants of the model.

    Example:
        >>> small = ModelConfig(vocab_size=65, layers=2, units=256)
        >>> [choose_shards(small, 32, 64, cores) for cores in (1, 2, 3, 4)]
        [1, 2, 2, 4]
    """
    fitting = _fitting(batch_size, cores, narrow=narrow)
    if cores <= FEW_CORES:
        return fitting[-1]
    chosen, least = 1, float("inf")
    for count in fitting:
        seconds = sharded_seconds(
            model, batch_size, length, shards=count, cores=cores, negatives=negatives, costs=costs
        )
        if seconds < _WORTH * least:
            chosen, least = count, seconds
    return chosen


def speed_up(model: ModelConfig, batch_size: int, length: int, *, shards: int, cores: int, negatives: int = 0) -> float:
    """By how much a step is quicker than in one shard on one core: by the shards on few cores, else as predicted.

    Example:
        >>> small = ModelConfig(vocab_size=65, layers=2, units=256)
        >>> speed_up(small, 32, 64, shards=4, cores=4)
        4.0
        >>> 2.0 < speed_up(small, 32, 64, shards=8, cores=16) < 8.0
        True
    """
    if cores <= FEW_CORES:
        return float(min(shards, cores))
    one, several = (
        sharded_seconds(model, batch_size, length, shards=count, cores=cores, negatives=negatives)
        for count in (1, shards)
    )
    return one / several


def why_not_more(batch_size: int, shards: int, cores: int, *, narrow: bool = True) -> str:
    """Why the default number of shards leaves cores to others, in words.

    >>> why_not_more(32, 4, 16)
    'more shards would gain too little'
    >>> why_not_more(32, 8, 16)
    'which must be equal and have 4 streams or more'
    """
    if shards < _fitting(batch_size, cores, narrow=narrow)[-1]:
        return "more shards would gain too little"
    return f"which must be equal and have {_fewest(cores, narrow=narrow)} streams or more"


def _fewest(cores: int, *, narrow: bool) -> int:
    return NARROW if narrow and cores > FEW_CORES else WIDE


def _fitting(batch_size: int, cores: int, *, narrow: bool) -> list[int]:
    """The numbers of shards to choose from, ascending."""
    most = min(cores, max(1, batch_size // _fewest(cores, narrow=narrow)))
    return [count for count in divisors(batch_size) if count <= most]


def divisors(number: int) -> list[int]:
    """All divisors of a number, ascending.

    >>> divisors(12)
    [1, 2, 3, 4, 6, 12]
    """
    return [count for count in range(1, number + 1) if number % count == 0]
