"""A trained model to write with: the public face of sampling, completion and scoring, without TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from textgen.config import (
    AdaptationConfig,
    Controls,
    ModelConfig,
    SamplingConfig,
    Unknown,
    keywords,
    require,
)
from textgen.corpus.tokenizer import CharTokenizer
from textgen.engine import Engine
from textgen.engine.scoring import Score, score_text
from textgen.model.metadata import Metadata
from textgen.model.weights import ModelWeights
from textgen.sampling.sample import Sample
from textgen.sampling.sampler import Stream, Streams, write_samples
from textgen.sampling.suggestions import Suggestion, suggest
from textgen.system import PathLike

if TYPE_CHECKING:
    from textgen.sampling.adapting import Adaptation, Progress

_ADAPTATION = AdaptationConfig()


def load(run: PathLike | None = None) -> Writer:
    """The writer of a run or of a checkpoint file.

    Args:
        run: a run's name, a run's folder, or a `.keras` file; None takes the newest run.

    Raises:
        RunError: there is no such run.
        CheckpointError: the checkpoint is missing, damaged or foreign.
    """
    from textgen.model.read import read_checkpoint
    from textgen.runs.find import resolve_checkpoint

    checkpoint = read_checkpoint(resolve_checkpoint(run))
    return Writer(
        config=checkpoint.model,
        weights=checkpoint.weights,
        tokenizer=checkpoint.tokenizer,
        metadata=checkpoint.metadata,
        path=checkpoint.path,
    )


class Writer:
    """Writes, completes and scores text with one trained model.

    A writer never changes: what it writes follows from the arguments alone.

    Args:
        config: the network's shape.
        weights: its weights.
        tokenizer: its vocabulary.
        metadata: what is known of the model; None where that is its shape and its vocabulary alone.
        path: the checkpoint, if it came from one.
        adaptation: what it was adapted to, if `adapt` made it.

    Raises:
        ConfigError: weights, vocabulary and configuration do not fit one another.
    """

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
        self.engine = Engine(config, weights)
        self.config = config
        self.weights = weights
        self.tokenizer = tokenizer
        self.metadata = Metadata(model=config, tokenizer=tokenizer) if metadata is None else metadata
        self.path = path
        self.adaptation = adaptation

    def as_trained(self, text: str) -> str:
        """A text with its characters in the Unicode normalisation form that the training text was brought to."""
        form = self.metadata.corpus.config.normalize
        if form == "none" or text.isascii():
            return text
        from textgen.corpus.normalization import normalize

        return "".join(normalize([text], form))

    def __repr__(self) -> str:
        config = self.config
        shape = f"{config.layers} x {config.units} {config.cell}, {config.vocab_size} characters"
        place = f", {self.path}" if self.path else ""
        adapted = f", adapted to {self.adaptation.characters:,} characters" if self.adaptation else ""
        return f"Writer({shape}{place}{adapted})"

    @keywords(Controls, defaults=SamplingConfig)
    def generate(self, prompt: str = "", *, logprobs: int = 0, **controls: Unpack[Controls]) -> Sample:
        """Writes one text.

        Args:
            prompt: what it goes on from, of any length. Without one it begins as after a line break.
            logprobs: how many of the likeliest characters to note at each place, as the model itself saw them before
                any control; 0 notes nothing.
            **controls: any field of `textgen.SamplingConfig`, such as `temperature`, `top_p`, `max_new_tokens` or
                `seed`; `help` of it says what they do and which values they take. `temperature` and `stop` may also be
                lists, and `stop` a single text.

        Raises:
            TypeError: there is no control of that name.
            ConfigError: a value is out of its range.
            UnknownCharacterError: the prompt holds characters that the model never saw, and `unknown` is "error".

        Example:
            writer.generate("The sea ", max_new_tokens=300, temperature=0.8, seed=7).text
        """
        config = _sampling(controls)
        return write_samples(self.engine, self.tokenizer, self.as_trained(prompt), config, logprobs=logprobs)[0]

    @keywords(Controls, defaults=SamplingConfig)
    def generate_many(
        self, prompt: str = "", *, count: int, logprobs: int = 0, **controls: Unpack[Controls]
    ) -> list[Sample]:
        """Writes several texts side by side, which is many times as quick as one after the other.

        The text of number k depends on the seed and k alone: the first is what `generate` writes. `count` is how many,
        in [1, 65536]; the other arguments and what is raised are as for `generate`.
        """
        config = _sampling(controls)
        return write_samples(
            self.engine, self.tokenizer, self.as_trained(prompt), config, count=count, logprobs=logprobs
        )

    @keywords(Controls, defaults=SamplingConfig)
    def stream(self, prompt: str = "", *, logprobs: int = 0, **controls: Unpack[Controls]) -> Stream:
        """Writes the text of `generate` piece by piece.

        The arguments and what is raised are as for `generate`; errors come at once, not at the first piece.

        Returns:
            An iterator of the pieces; its `sample` is what has been handed out so far, with the seed.
        """
        config = _sampling(controls)
        return Stream(self.engine, self.tokenizer, self.as_trained(prompt), config, logprobs=logprobs)

    @keywords(Controls, defaults=SamplingConfig)
    def stream_many(self, prompt: str = "", *, count: int, logprobs: int = 0, **controls: Unpack[Controls]) -> Streams:
        """Writes the texts of `generate_many` side by side, a character of each at a time.

        The arguments and what is raised are as for `generate_many`; errors come at once, not at the first piece.

        Returns:
            An iterator of lists with a piece for each text; its `samples` are what has been written so far.
        """
        config = _sampling(controls)
        return Streams(self.engine, self.tokenizer, self.as_trained(prompt), config, count=count, logprobs=logprobs)

    def suggest(self, text: str, *, n: int = 5, unknown: Unknown = "replace") -> list[Suggestion]:
        """The likeliest continuations of `text` to the end of a word; see `textgen.sampling.suggestions.suggest`."""
        return suggest(self.engine, self.tokenizer, self.as_trained(text), n=n, unknown=unknown)

    def score(self, text: str, *, streams: int = 1, unknown: Unknown = "error") -> Score:
        """The log-probability of each character of `text`; see `textgen.engine.scoring.score_text`."""
        return score_text(self.engine, self.tokenizer, self.as_trained(text), streams=streams, unknown=unknown)

    def adapt(
        self,
        text: str,
        *,
        segment: int = _ADAPTATION.segment,
        learning_rate: float = _ADAPTATION.learning_rate,
        decay: float = _ADAPTATION.decay,
        epsilon: float = _ADAPTATION.epsilon,
        sample: int = _ADAPTATION.sample,
        longest: int = _ADAPTATION.longest,
        unknown: Unknown = "error",
        corpus: PathLike | Sequence[PathLike] = (),
        progress: Progress | None = None,
    ) -> Writer:
        """A writer that has read a text and learned from it: it has taken on the text's names and manner.

        It reads the text once, and learns from each piece after it has read it, as in dynamic evaluation (Krause et al.
        2018): see `textgen.engine.adaptation.rule`. This writer stays as it is.

        Args:
            text: what to read, at least one character; some pages show, a few lines hardly do.
            segment: characters that are learned from at once, in [1, 1000].
            learning_rate: how far a weight moves for a gradient of its usual size, in [0, 1]; more learns more from
                less, up to where the model forgets how to write.
            decay: how far, for each segment, a weight goes back to where training left it, at least 0.
            epsilon: what is added to a weight's usual gradient before dividing by it, as a share of the average one.
            sample: characters of the training text over which the usual gradients are gathered. Where that text is not
                to be had, `text` itself serves, and the new writer's `adaptation.problem` says why.
            longest: the most characters of `text`.
            unknown: what becomes of characters that the model never saw: see `CharTokenizer.encode`.
            corpus: where the training text is now: files or folders; empty takes the place where it was.
            progress: called with what is being done ("reading", "statistics" or "adapting"), how much of it is done,
                and how much there is to do.

        Returns:
            Another writer, with what it read in `adaptation`.

        Raises:
            ConfigError: a value is out of its range, the text is too long, or nothing of it is left to read.
            UnknownCharacterError: the text holds characters that the model never saw, and `unknown` is "error".
            RunError: there is a `corpus`, and it is not the training text.
            TrainingError: the learning rate is so high that the model came apart.

        Example:
            writer = textgen.load("shakespeare").adapt(Path("my_play.txt").read_text())
            print(writer.generate("MIRA:", temperature=0.7).text)
        """
        from textgen.sampling.adapting import adapt_weights

        settings = AdaptationConfig(
            segment=segment,
            learning_rate=learning_rate,
            decay=decay,
            epsilon=epsilon,
            sample=sample,
            longest=longest,
        )
        weights, adaptation = adapt_weights(
            self.config,
            self.weights,
            self.tokenizer,
            self.as_trained(text),
            settings,
            description=self.metadata.corpus,
            path=self.path,
            corpus=[os.fspath(each) for each in ([corpus] if isinstance(corpus, (str, os.PathLike)) else corpus)],
            unknown=unknown,
            progress=progress,
        )
        return Writer(
            config=self.config,
            weights=weights,
            tokenizer=self.tokenizer,
            metadata=self.metadata,
            path=self.path,
            adaptation=adaptation,
        )


def _sampling(controls: Controls) -> SamplingConfig:
    """The controls as a configuration, checked."""
    values: dict[str, Any] = dict(controls)
    if "temperature" in values and not isinstance(values["temperature"], (int, float)):
        values["temperature"] = tuple(values["temperature"])
    if "stop" in values:
        values["stop"] = (values["stop"],) if isinstance(values["stop"], str) else tuple(values["stop"])
    return SamplingConfig(**values)
