"""A trained model, or a mixture of several: its networks, its vocabulary and how its training text was read.

It is what the modules below the writer need of it: records, labels, gaps, classifying, mixing and adapting. What it can
be asked for is the writer's.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from textgen.config import CorpusConfig, ModelConfig, SamplingConfig, require
from textgen.corpus.normalization import as_read
from textgen.corpus.tokenizer import CharTokenizer
from textgen.engine import Engine, Mixture
from textgen.engine.mixture import shares
from textgen.model.metadata import Metadata
from textgen.model.weights import ModelWeights
from textgen.runs.find import checkpoint_name
from textgen.sampling.controls import controls_as_read, controls_of
from textgen.sampling.mixing import check_alike, common_reading, mixture_name

if TYPE_CHECKING:
    from textgen.engine.sides import JointHead
    from textgen.sampling.adapting import Adaptation


class TrainedModel:
    """One model, or several that are mixed; `Writer`, which extends it, says what the arguments and the errors are."""

    def __init__(
        self,
        *,
        config: ModelConfig,
        weights: ModelWeights,
        tokenizer: CharTokenizer,
        metadata: Metadata | None = None,
        path: Path | None = None,
        adaptation: Adaptation | None = None,
    ) -> None:
        size = tokenizer.vocab_size
        require(config.vocab_size == size, "vocab_size", f"{size}, the vocabulary's size", config.vocab_size)
        self.engine: Engine | Mixture = Engine(config.forwards, weights.forwards, end_id=tokenizer.end_id)
        self.config = config
        self.weights = weights
        self.tokenizer = tokenizer
        self.metadata = Metadata(model=config, tokenizer=tokenizer) if metadata is None else metadata
        self.path = path
        self.adaptation = adaptation
        self._mixed: tuple[tuple[Self, float], ...] = ()

    @classmethod
    def mix(cls, writers: Sequence[Self], weights: Sequence[float] | None = None) -> Self:
        """Mixes models of one vocabulary: each character's probability is the weighted mean of theirs.

        Two models of one text, such as two seeds, predict it better together than either alone, in the time of both.

        Args:
            writers: at least one; their cells and sizes may differ, and they may be mixtures.
            weights: positive numbers, one for each writer, in proportion; None weighs all equally.

        Returns:
            A writer whose `members` are the models with their weights; that of a single writer is the writer itself.

        Raises:
            ConfigError: the vocabularies or the normalisation of the training texts differ, or a weight is missing or
                not a positive number.

        Example:
            writer = textgen.Writer.mix([textgen.load("poems"), textgen.load("poems-2")], [0.7, 0.3])
        """
        given = shares(len(writers), weights).tolist()
        if len(writers) == 1:
            return writers[0]
        members = [
            (each, w * share) for writer, w in zip(writers, given, strict=True) for each, share in writer.members
        ]
        check_alike([each for each, _ in members])
        mixed = cls.__new__(cls)
        mixed.engine = Mixture([each.engine for each, _ in members], [share for _, share in members])
        mixed.tokenizer = writers[0].tokenizer
        mixed.path, mixed.adaptation = None, None
        mixed._mixed = tuple(members)
        return mixed

    if not TYPE_CHECKING:
        # A type checker would take any name for an attribute's.
        def __getattr__(self, name: str) -> Any:
            kind = type(self).__name__
            if name in ("config", "weights", "metadata"):
                raise AttributeError(f"A {kind} of several models has no {name} of its own; its members have.")
            raise AttributeError(f"{kind!r} object has no attribute {name!r}", name=name, obj=self)

    @property
    def members(self) -> tuple[tuple[Self, float], ...]:
        """The models that are mixed, each with its weight; the weights have the sum 1. One model is its own member."""
        return self._mixed or ((self, 1.0),)

    @property
    def name(self) -> str:
        """The run's name, the file's path, or "model" without either; a mixture's is such as "a:0.7 + b:0.3"."""
        if self._mixed:
            return mixture_name(self._mixed)
        return "model" if self.path is None else checkpoint_name(self.path)

    @functools.cached_property
    def backward(self) -> Engine | None:
        """The network that is given a text from right to left; None for a model of one side and for a mixture.

        After the characters from the last one to that at t, its logits are those of the one at t - 1. Like the other,
        it begins with what `textgen.corpus.context` says, which stands for the end of the text here.
        """
        if self._mixed or self.weights.backward is None:
            return None
        return Engine(self.config.forwards, self.weights.backward, end_id=self.tokenizer.end_id)

    @functools.cached_property
    def joint(self) -> JointHead | None:
        """The head on both networks' outputs; None where `backward` is."""
        if self._mixed or self.weights.joint is None:
            return None
        from textgen.engine.sides import JointHead

        return JointHead(self.weights.joint)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the records that the model was trained on; empty without any."""
        return self.members[0][0].metadata.corpus.labels

    @functools.cached_property
    def reading(self) -> CorpusConfig:
        """How the training text was read from its files."""
        return common_reading([each.metadata.corpus for each, _ in self.members])

    def as_trained(self, text: str) -> str:
        """Normalises a text's newlines and characters as those of the training text were."""
        require(isinstance(text, str), "text", "a string", text)
        return as_read(text, self.reading)

    def controls_as_trained(self, config: SamplingConfig) -> SamplingConfig:
        """The controls with their texts normalised as by `as_trained`; `match` has a syntax, and is only composed."""
        return controls_as_read(config, self.reading)

    def sampling(self, controls: Mapping[str, object]) -> SamplingConfig:
        """The controls as a configuration, checked, with its texts as the training text was."""
        return self.controls_as_trained(controls_of(controls))

    def __repr__(self) -> str:
        if self._mixed:
            shape, place = f"{self.name}, {self.tokenizer.vocab_size} characters", ""
        else:
            config = self.config
            shape = f"{config.layers} x {config.units} {config.cell}, {config.vocab_size} characters"
            place = f", {self.path}" if self.path else ""
        adapted = f", adapted to {self.adaptation.characters:,} characters" if self.adaptation else ""
        return f"{type(self).__name__}({shape}{place}{adapted})"
