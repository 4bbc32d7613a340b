"""What all loaded runs have, and those that turn one text into another."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from textgen.config import ModelConfig
from textgen.model.metadata import Metadata
from textgen.sampling.rewriting.rewriter import Rewriter

_WEIGHTS = "model.weights.h5"

Signature = tuple[str, int, int, int]


class Loaded:
    """A loaded run.

    Args:
        name: what clients call it.
        signature: of the file that it was loaded from.
        metadata: the checkpoint's.
        config: the model's shape.

    Attributes:
        users: jobs that need it.
        used: when it was needed last.
        bytes: the memory that it takes.
    """

    def __init__(self, name: str, signature: Signature, metadata: Metadata, config: ModelConfig) -> None:
        self.name, self.signature, self.metadata = name, signature, metadata
        self.users = 0
        self.used = time.monotonic()
        self.bytes = bytes_of(config)

    @property
    def fingerprint(self) -> str:
        """Tells models of one name apart."""
        return f"fp_{str(self.metadata.members.get(_WEIGHTS, ''))[:12]}"

    def release(self) -> None:
        """Notes that a job has ended."""
        self.users -= 1
        self.used = time.monotonic()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keeps the model from being dropped while a request is prepared."""
        self.users += 1
        try:
            yield
        finally:
            self.release()


class PairModel(Loaded):
    """A loaded run that turns one text into another.

    Args:
        name: what clients call it.
        rewriter: the model.
        signature: of the file that it was loaded from.
    """

    def __init__(self, name: str, rewriter: Rewriter, signature: Signature) -> None:
        super().__init__(name, signature, rewriter.metadata, rewriter.config)
        self.rewriter = rewriter


def bytes_of(config: ModelConfig) -> int:
    """The memory of a model: weights, the engine's copy of them, and the first layer's table of a row a character."""
    vocab = config.vocab_size + config.source_vocab_size
    return 8 * config.stored + 16 * vocab * config.units
