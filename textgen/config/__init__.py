"""The settings: frozen value objects, checked when they are made.

This is the only home of a default: the command line and the docs read theirs from here.
The module knows no corpus, no file and no framework.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

from textgen.config.cells import CELLS as CELLS
from textgen.config.cells import FACTS, CellFacts
from textgen.config.cells import Cell as Cell
from textgen.config.cells import cell_name as cell_name
from textgen.errors import ConfigError

Size = Literal["tiny", "small", "medium", "large"]
Normalization = Literal["none", "nfc", "nfkc"]
Precision = Literal["auto", "float32", "bfloat16"]
Device = Literal["auto", "cpu", "gpu"]
Schedule = Literal["linear", "cosine"]
Unknown = Literal["error", "skip", "replace"]
Until = Literal["length", "line", "paragraph"]


def require(condition: bool, name: str, expected: str, got: object, remedy: str = "") -> None:
    """Raises `ConfigError` in the one form that all settings share, unless `condition` holds.

    >>> require(False, "top_p", "in (0, 1]", 1.5, "Use 1.0 to switch it off.")
    Traceback (most recent call last):
    ...
    textgen.errors.ConfigError: top_p must be in (0, 1]; got 1.5. Use 1.0 to switch it off.
    """
    if not condition:
        raise ConfigError(f"{name} must be {expected}; got {_shown(got)}. {remedy}".rstrip())


def _shown(got: object) -> str:
    """A value at a length fit for a sentence: it may be a whole text, or a number of thousands of digits."""
    try:
        text = repr(got)
    except ValueError:
        return "a number of too many digits"
    return text if len(text) <= 100 else f"{text[:100]} ..."


def _require_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    require(value in choices, name, "one of " + ", ".join(choices), value)


def _require_whole(name: str, value: object, low: int, high: int, remedy: str = "") -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    require(whole and low <= value <= high, name, f"a whole number in [{low}, {high}]", value, remedy)  # type: ignore[operator]


def _require_number(
    name: str,
    value: object,
    low: float,
    high: float,
    remedy: str = "",
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> None:
    # A whole number may be too large for `math.isnan`; only NaN differs from itself.
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
    inside = number and (value > low if open_low else value >= low) and (value < high if open_high else value <= high)  # type: ignore[operator]
    left, right = "(" if open_low else "[", ")" if open_high else "]"
    expected = (
        f"in {left}{low:g}, {high:g}{right}"
        if math.isfinite(high)
        else f"{'more than' if open_low else 'at least'} {low:g}"
    )
    require(inside, name, expected, value, remedy)


class _Values:
    """What the configurations share: to and from plain JSON values."""

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return dataclasses.asdict(self)  # type: ignore[call-overload,no-any-return]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The configuration that `to_json` wrote.

        Raises:
            ConfigError: a field is missing, unknown or out of range.
        """
        known = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
        require(isinstance(values, Mapping), cls.__name__, "made of named fields", values)
        unknown = sorted(set(values) - set(known))
        require(not unknown, cls.__name__, "made of known fields only", unknown)
        arguments = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        try:
            return cls(**arguments)
        except TypeError as error:
            raise ConfigError(f"{cls.__name__} must hold all of its fields; got {sorted(values)}.") from error

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, checked again."""
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]


@dataclass(frozen=True, kw_only=True)
class CorpusConfig(_Values):
    """How files become one text.

    Args:
        encoding: the files' text encoding; a UTF-8 byte order mark is dropped.
        keep_newlines: keep CRLF and CR as they are; otherwise each becomes LF.
        normalize: Unicode normalisation form, applied to the whole text.
        glob: which files of a folder belong to the corpus.
        min_count: characters rarer than this share one unknown id.
        validation: the share of the text, from its end, that validates and is never trained on.
    """

    encoding: str = "utf-8"
    keep_newlines: bool = False
    normalize: Normalization = "none"
    glob: str = "*.txt"
    min_count: int = 1
    validation: float = 0.1

    def __post_init__(self) -> None:
        require(isinstance(self.encoding, str), "encoding", "a text encoding that Python knows", self.encoding)
        require(isinstance(self.glob, str), "glob", "a pattern such as '*.txt'", self.glob)
        require(isinstance(self.keep_newlines, bool), "keep_newlines", "true or false", self.keep_newlines)
        _require_choice("normalize", self.normalize, get_args(Normalization))
        _require_whole("min_count", self.min_count, 1, 10**9, "Use 1 to keep every character.")
        _require_number("validation", self.validation, 0.0, 0.5, "Use 0 to train on the whole text.")


@dataclass(frozen=True, kw_only=True)
class ModelConfig(_Values):
    """The network's shape.

    Args:
        vocab_size: ids in the vocabulary.
        cell: the recurrent cell: "lstm", "gru", "rnn", "peephole" (an LSTM whose gates see the cell state) or
            "coupled" (an LSTM that forgets as much as it takes in).
        layers: recurrent layers, one on the other.
        units: state size of each layer.
        embedding: size of a character's vector.
        skip: sum every layer's output into the head (Graves 2013); otherwise the head sees the last layer only.
        dropout: share of each layer's outputs dropped in training, one mask a sequence.
        input_dropout: the same for the embedding's output.
    """

    vocab_size: int
    cell: Cell = "coupled"
    layers: int = 2
    units: int = 384
    embedding: int = 64
    skip: bool = True
    dropout: float = 0.2
    input_dropout: float = 0.05

    def __post_init__(self) -> None:
        _require_whole("vocab_size", self.vocab_size, 1, 1_114_113)
        _require_choice("cell", self.cell, tuple(FACTS))
        _require_whole("layers", self.layers, 1, 16)
        _require_whole("units", self.units, 1, 8192)
        _require_whole("embedding", self.embedding, 1, 8192)
        require(isinstance(self.skip, bool), "skip", "true or false", self.skip)
        _require_number("dropout", self.dropout, 0.0, 1.0, "Use 0 to switch it off.", open_high=True)
        _require_number("input_dropout", self.input_dropout, 0.0, 1.0, "Use 0 to switch it off.", open_high=True)

    @property
    def facts(self) -> CellFacts:
        """What is known of the cell."""
        return FACTS[self.cell]

    @property
    def gates(self) -> int:
        """Columns of a layer's kernels for each unit: 4 for an LSTM, 3 for a GRU, 1 for a simple RNN."""
        return len(self.facts.gates)

    @property
    def free_gates(self) -> int:
        """Those of the `gates` that are computed and learned: a coupled cell's forget gate follows from its input gate.

        >>> [ModelConfig(vocab_size=65, cell=cell).free_gates for cell in ("lstm", "coupled")]
        [4, 3]
        """
        return len(self.facts.free)

    @property
    def weights(self) -> int:
        """How many numbers the model learns.

        >>> ModelConfig(vocab_size=65, cell="lstm", layers=2, units=256, embedding=64).weights
        874881
        """
        return self._numbers(self.free_gates)

    @property
    def stored(self) -> int:
        """How many numbers its arrays hold: a coupled cell's forget gates, too, which are not learned apart.

        >>> ModelConfig(vocab_size=65, layers=1, units=2, embedding=1, cell="coupled").stored
        292
        >>> ModelConfig(vocab_size=65, layers=1, units=2, embedding=1, cell="coupled").weights
        284
        """
        return self._numbers(self.gates)

    def _numbers(self, gates: int) -> int:
        width, total = self.embedding, self.vocab_size * self.embedding
        facts = self.facts
        for _ in range(self.layers):
            total += self.units * (gates * (width + self.units + facts.bias_rows) + len(facts.peepholes))
            width = self.units
        return total + (self.units + 1) * self.vocab_size


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(_Values):
    """How a model learns.

    Args:
        batch_size: parallel contiguous streams of text.
        sequence_length: characters of each stream in a step, also how far gradients reach back.
        learning_rate: Adam's peak rate, after warm-up.
        beta_2: Adam's second-moment decay.
        cautious: step only where Adam's momentum and the gradient agree (Liang et al. 2024).
        clip_norm: the global gradient norm is clipped to this.
        warmup_steps: steps over which the rate rises from zero.
        schedule: "linear" holds the peak and then falls over `decay_fraction`; "cosine" falls from the warm-up on.
        decay_fraction: the share of all steps, at the end, over which a linear schedule falls.
        final_rate: the rate at the end, as a share of the peak.
        halved_fraction: the share of all steps, at the start, in which a batch is learned from in two halves of its
            time, an update each, where later it is one. Of no effect where `sequence_length` is odd.
        logit_scale: the logits are multiplied by it while learning, and only then, so that the model written is less
            sure of itself than it was of the training text (the temperature of Guo et al. 2017, set beforehand).
        weight_decay: decoupled weight decay on kernels (AdamW), as a share of the rate.
        weight_drop: share of each recurrent kernel's weights dropped in a step (Merity et al. 2018).
        state_reset: share of the streams whose recurrent state starts from zero at a step, drawn anew for each; the
            model then also learns to write from nothing.
        epochs: passes over the training text; None when `time` or the corpus decides.
        time: a budget in seconds of wall clock; None when `epochs` decides.
        patience: validations without a better loss before training stops; None never stops early.
        validate_every: steps between validations; None chooses.
        save_every: seconds between saves of the last state.
        save_every_steps: steps between saves of the last state, instead of `save_every`; None goes by time.
        seed: all of training's chance follows from it.
        precision: type of the matrix products; "auto" measures.
        device: where to train; "auto" takes a GPU if TensorFlow has one.
        shards: parts of a batch worked on side by side on a CPU; None follows cores and batch.
    """

    batch_size: int = 32
    sequence_length: int = 64
    learning_rate: float = 1e-2
    beta_2: float = 0.99
    cautious: bool = False
    clip_norm: float = 1.0
    warmup_steps: int = 50
    schedule: Schedule = "linear"
    decay_fraction: float = 0.6
    final_rate: float = 0.0
    halved_fraction: float = 0.0
    logit_scale: float = 1.0
    weight_decay: float = 0.1
    weight_drop: float = 0.0
    state_reset: float = 0.2
    epochs: float | None = None
    time: float | None = None
    patience: int | None = None
    validate_every: int | None = None
    save_every: float = 30.0
    save_every_steps: int | None = None
    seed: int = 0
    precision: Precision = "auto"
    device: Device = "auto"
    shards: int | None = None

    def __post_init__(self) -> None:
        _require_whole("batch_size", self.batch_size, 1, 65_536)
        _require_whole("sequence_length", self.sequence_length, 1, 65_536)
        _require_number("learning_rate", self.learning_rate, 0.0, 10.0, open_low=True)
        _require_number("beta_2", self.beta_2, 0.0, 1.0, open_high=True)
        require(isinstance(self.cautious, bool), "cautious", "true or false", self.cautious)
        _require_number("clip_norm", self.clip_norm, 0.0, math.inf, "Use inf to switch it off.", open_low=True)
        _require_whole("warmup_steps", self.warmup_steps, 0, 10**9)
        _require_choice("schedule", self.schedule, get_args(Schedule))
        _require_number("decay_fraction", self.decay_fraction, 0.0, 1.0)
        _require_number("final_rate", self.final_rate, 0.0, 1.0)
        _require_number("halved_fraction", self.halved_fraction, 0.0, 1.0)
        _require_number("logit_scale", self.logit_scale, 0.0, 100.0, open_low=True)
        _require_number("weight_decay", self.weight_decay, 0.0, 100.0, "Use 0 to switch it off.")
        _require_number("weight_drop", self.weight_drop, 0.0, 1.0, "Use 0 to switch it off.", open_high=True)
        _require_number("state_reset", self.state_reset, 0.0, 1.0, "Use 0 to switch it off.")
        require(
            self.epochs is None or self.time is None,
            "epochs",
            "left out where time is given",
            self.epochs,
            "Choose one of the two.",
        )
        if self.epochs is not None:
            _require_number("epochs", self.epochs, 0.0, 1e9, open_low=True)
        if self.time is not None:
            _require_number("time", self.time, 1.0, 1e9)
        if self.patience is not None:
            _require_whole("patience", self.patience, 1, 10**9)
        if self.validate_every is not None:
            _require_whole("validate_every", self.validate_every, 1, 10**9)
        _require_number("save_every", self.save_every, 0.0, 1e9)
        if self.save_every_steps is not None:
            _require_whole("save_every_steps", self.save_every_steps, 1, 10**9)
        _require_whole("seed", self.seed, 0, 2**63 - 1)
        _require_choice("precision", self.precision, get_args(Precision))
        _require_choice("device", self.device, get_args(Device))
        if self.shards is not None:
            _require_whole("shards", self.shards, 1, 1024)

    @property
    def halved_share(self) -> float:
        """The share of all steps, at the start, that make two updates: none where a sequence has no halves.

        >>> [TrainingConfig(halved_fraction=0.25, sequence_length=n).halved_share for n in (64, 65)]
        [0.25, 0.0]
        """
        return self.halved_fraction if self.sequence_length % 2 == 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class SamplingConfig(_Values):
    """How the next character is chosen. The fields are applied in the order in which they stand here.

    Args:
        repetition_penalty: divides the odds of characters seen in the last `repetition_window`; 1 switches it off.
        repetition_window: how many characters back the penalty looks.
        temperature: below 1 safer, above 1 wilder, 0 always takes the likeliest; several values take turns.
        top_k: only the k likeliest characters stay; 0 switches it off.
        top_p: only the likeliest characters that together hold this probability stay; 1 switches it off.
        min_p: only characters at least this likely, as a share of the likeliest, stay; 0 switches it off.
        typical_p: only characters of near the expected surprise stay, up to this probability; 1 switches it off.
        max_new_tokens: characters to write, the prompt not counted.
        stop: texts that end the writing; they are not part of it.
        until: "line" and "paragraph" write on, past `max_new_tokens`, to the end of one.
        seed: all of sampling's chance follows from it; None draws one.
        unknown: what to do with characters of the prompt that the model never saw.
    """

    repetition_penalty: float = 1.0
    repetition_window: int = 64
    temperature: float | tuple[float, ...] = 0.8
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0
    max_new_tokens: int = 500
    stop: tuple[str, ...] = field(default=())
    until: Until = "length"
    seed: int | None = None
    unknown: Unknown = "error"

    def __post_init__(self) -> None:
        _require_number("repetition_penalty", self.repetition_penalty, 1.0, 100.0, "Use 1.0 to switch it off.")
        _require_whole("repetition_window", self.repetition_window, 1, 10**6)
        require(self.temperature != (), "temperature", "a number or several", self.temperature)
        for temperature in self.temperatures:
            _require_number(
                "temperature", temperature, 0.0, 1e6, "Use 0 for the likeliest character, 1.0 for the model's own odds."
            )
        _require_whole("top_k", self.top_k, 0, 10**9, "Use 0 to switch it off.")
        _require_number("top_p", self.top_p, 0.0, 1.0, "Use 1.0 to switch it off.", open_low=True)
        _require_number("min_p", self.min_p, 0.0, 1.0, "Use 0 to switch it off.")
        _require_number("typical_p", self.typical_p, 0.0, 1.0, "Use 1.0 to switch it off.", open_low=True)
        _require_whole("max_new_tokens", self.max_new_tokens, 0, 10**12)
        require(isinstance(self.stop, tuple), "stop", "a tuple of texts", self.stop)
        for text in self.stop:
            require(isinstance(text, str) and text != "", "stop", "a text of at least one character", text)
        _require_choice("until", self.until, get_args(Until))
        if self.seed is not None:
            _require_whole("seed", self.seed, 0, 2**63 - 1)
        _require_choice("unknown", self.unknown, get_args(Unknown))

    @property
    def temperatures(self) -> tuple[float, ...]:
        """The temperatures that take turns, at least one."""
        return self.temperature if isinstance(self.temperature, tuple) else (self.temperature,)


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig(_Values):
    """How a model is judged.

    Args:
        windows: characters of a window that is read without context.
        streams: in how many parts the text is read with carried state, side by side; None takes one for every 125,000
            characters, and at most 64. With 1 it is read as one text.
        dynamic: also score it with a model that learns from what it has read.
        seed: the bootstrap's chance follows from it.
        unknown: what to do with characters of a given text that the model never saw.
    """

    windows: int = 256
    streams: int | None = None
    dynamic: bool = False
    seed: int = 0
    unknown: Unknown = "error"

    def __post_init__(self) -> None:
        _require_whole("windows", self.windows, 1, 10**6, "nanoGPT takes 256.")
        if self.streams is not None:
            _require_whole("streams", self.streams, 1, 65_536, "Use 1 to read it as one text.")
        require(isinstance(self.dynamic, bool), "dynamic", "true or false", self.dynamic)
        _require_whole("seed", self.seed, 0, 2**63 - 1)
        _require_choice("unknown", self.unknown, get_args(Unknown))


@dataclass(frozen=True, kw_only=True)
class NoveltyConfig(_Values):
    """What is written and shown to see how much a model copies.

    Args:
        count: how many samples to write.
        max_new_tokens: characters of each sample.
        spans: how many of the longest copied stretches to show.
    """

    count: int = 20
    max_new_tokens: int = 1000
    spans: int = 10

    def __post_init__(self) -> None:
        _require_whole("count", self.count, 1, 65_536)
        _require_whole("max_new_tokens", self.max_new_tokens, 1, 10**9)
        _require_whole("spans", self.spans, 0, 10_000, "Use 0 for the figures alone.")


@dataclass(frozen=True, kw_only=True)
class InsightConfig(_Values):
    """What is looked at where a model is watched while it reads.

    Args:
        limit: characters that are read, from the text's start.
        alternatives: the likeliest characters to note at each place.
        unknown: what to do with characters of the text that the model never saw.
    """

    limit: int = 20_000
    alternatives: int = 6
    unknown: Unknown = "error"

    def __post_init__(self) -> None:
        _require_whole("limit", self.limit, 1, 100_000, "A page of more would be too heavy to look at.")
        _require_whole("alternatives", self.alternatives, 1, 20)
        _require_choice("unknown", self.unknown, get_args(Unknown))


@dataclass(frozen=True, kw_only=True)
class AdaptationConfig(_Values):
    """How a model learns from a text while it reads it (Krause et al. 2018, "Dynamic evaluation").

    The defaults were chosen on text that was held out for the purpose, never on a test text: see benchmarks/README.md.

    Args:
        segment: characters that are scored, and then learned from at once; also how far gradients reach back.
        learning_rate: how far a weight moves for a gradient of its usual size.
        decay: how far, for each segment, a weight of average gradient goes back to where training left it.
        epsilon: what is added to each weight's usual gradient before dividing by it, as a share of the average one.
        sample: characters of the training text over which the usual gradients are gathered.
        longest: the most characters that a writer adapts to.
    """

    segment: int = 20
    learning_rate: float = 5e-4
    decay: float = 5e-4
    epsilon: float = 0.1
    sample: int = 50_000
    longest: int = 1_000_000

    def __post_init__(self) -> None:
        _require_whole("segment", self.segment, 1, 1000)
        _require_number("learning_rate", self.learning_rate, 0.0, 1.0, "Use 0 to learn nothing.")
        _require_number("decay", self.decay, 0.0, 1e6, "Use 0 to switch it off.")
        _require_number("epsilon", self.epsilon, 0.0, 1e6)
        _require_whole("sample", self.sample, 1, 10**9)
        _require_whole("longest", self.longest, 1, 10**9)


SIZES: Mapping[Size, Mapping[str, int]] = {
    "tiny": {"layers": 1, "units": 128, "embedding": 32},
    "small": {"layers": 2, "units": 256, "embedding": 64},
    "medium": {"layers": 2, "units": 384, "embedding": 64},
    "large": {"layers": 2, "units": 512, "embedding": 64},
}
"""The presets: shapes alone. `recipe` chooses among them and fits the rest to the corpus and the budget."""
