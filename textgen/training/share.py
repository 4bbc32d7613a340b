"""The part of each batch that one of several processes computes, and what is drawn at random for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from textgen.training.network import Masks, Network

Tensor = Any


class Share(NamedTuple):
    """The part of each batch that this process computes, where several compute one batch together.

    Attributes:
        first: the first of its streams.
        streams: those of the whole batch.
        total: in a graph, sums the gradients and the loss over all processes.
    """

    first: int
    streams: int
    total: Callable[[Sequence[Tensor], Tensor], tuple[list[Tensor], Tensor]]


class SharedDraws:
    """What a network draws at random for a share: its part of what is drawn for the whole batch.

    Args:
        network: draws for the whole batch.
        share: the part.
    """

    def __init__(self, network: Network, share: Share) -> None:
        self._network, self._share = network, share

    def masks(self, step: Tensor, batch: int, part: Tensor | int = 0) -> Masks:
        """The share's dropout masks of an update, as `Network.masks`; `batch` is the number of its streams."""
        masks = self._network.masks(step, self._share.streams, part)
        return masks.shard(self._share.first, self._share.first + batch)

    def resets(self, step: Tensor, batch: int, share: float) -> Tensor:
        """The share's streams that start a step from a zero state, as `Network.resets`."""
        resets = self._network.resets(step, self._share.streams, share)
        return resets[self._share.first : self._share.first + batch]
