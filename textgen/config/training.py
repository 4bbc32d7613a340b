"""The settings of training: optimizer, schedule, regularization, length and device."""

from __future__ import annotations

import math
from typing import Any, Literal, TypedDict

from textgen.config.base import Config
from textgen.config.fields import require, setting
from textgen.config.model import ModelSettings

Precision = Literal["auto", "float32", "bfloat16"]
Device = Literal["auto", "cpu", "gpu"]
Schedule = Literal["linear", "cosine"]


class TrainingConfig(Config):
    """How a model learns."""

    batch_size: int = setting(
        default=32,
        ge=1,
        le=65_536,
        help="Parallel streams of text in a step; fewer for a short text.",
        details="Each stream is contiguous.",
    )
    sequence_length: int = setting(
        default=64,
        ge=1,
        le=65_536,
        unit="characters",
        help="Characters of each stream in a step; fewer for a short text.",
        details="Gradients flow back no further (truncated backpropagation through time).",
    )
    learning_rate: float = setting(
        default=1e-2,
        gt=0,
        le=10,
        otherwise="by passes over the text",
        help="Adam's peak learning rate, after the warm-up.",
    )
    hidden_rate: float = setting(
        default=1.0,
        gt=0,
        le=100,
        off=1.0,
        otherwise="by the units of a layer",
        help="Factor on the learning rate of the kernels that read layers' outputs.",
        details="Those of the recurrent state, of the layers above the first and of the head, in an encoder, too.",
    )
    beta_2: float = setting(default=0.99, ge=0, lt=1, help="Adam's decay of the second moment.")
    cautious: bool = setting(
        default=False,
        otherwise="on",
        help="Update only the weights where Adam's momentum and the gradient agree.",
        details="After Liang et al. (2024).",
    )
    clip_norm: float = setting(default=1.0, gt=0, off=math.inf, help="The global gradient norm is clipped to this.")
    warmup_steps: int = setting(
        default=50,
        ge=0,
        le=10**9,
        unit="steps",
        help="Steps over which the learning rate rises from zero, at most a quarter of all.",
    )
    schedule: Schedule = setting(
        default="linear",
        help="Learning rate schedule: linear decay after a constant phase, or cosine from the warm-up on.",
    )
    decay_fraction: float = setting(
        default=0.6,
        ge=0,
        le=1,
        otherwise="0.9",
        help="Share of all steps, at the end, over which a linear schedule decays.",
    )
    final_rate: float = setting(default=0.0, ge=0, le=1, help="The learning rate at the end, as a share of the peak.")
    halved_fraction: float = setting(
        default=0.0,
        ge=0,
        le=1,
        off=0,
        otherwise="0.35 for even lengths from 32",
        help="Share of all steps, at the start, with an update after each half sequence.",
        details="No effect if `sequence_length` is odd.",
    )
    logit_scale: float = setting(
        default=1.0,
        gt=0,
        le=100,
        off=1.0,
        otherwise="by passes over the text",
        help="The logits are multiplied by this in training, against overconfidence.",
        details="Not in sampling, which is thus temperature scaling (Guo et al. 2017) by this fixed temperature.",
    )
    calibrate: bool = setting(
        default=False,
        otherwise="on",
        help="At the end of training, scale the logits to the lowest validation loss.",
        details="After Guo et al. (2017), on the validation text; with several workers only if the last model is best.",
    )
    negatives: int = setting(
        default=0,
        ge=0,
        le=10**6,
        off=0,
        unit="characters",
        otherwise="by vocabulary",
        help="Characters that a training step's softmax is estimated from, besides the right one.",
        details="Drawn by frequency, for vocabularies of thousands. Validation computes the whole softmax.",
    )
    permute_rare: bool = setting(
        default=False,
        otherwise="on, but with --from, --text-part or pairs",
        help="In each step exchange at random the characters that the training text has once or never.",
        details="If some occur once and some only in the held-out text, which are then learned as rare ones are.",
    )
    weight_decay: float = setting(
        default=0.1,
        ge=0,
        le=100,
        off=0,
        help="Decoupled weight decay of the kernels.",
        details="Relative to the learning rate (AdamW).",
    )
    weight_drop: float = setting(
        default=0.0,
        ge=0,
        lt=1,
        off=0,
        otherwise="by passes over the text",
        help="DropConnect on the recurrent kernels, drawn anew for each step.",
        details="After Merity et al. (2018).",
    )
    state_reset: float = setting(
        default=0.2,
        ge=0,
        le=1,
        off=0,
        help="Share of the streams whose state is reset to zero before a step.",
        details="Drawn anew for each step; so the model also learns to generate without a prompt.",
    )
    right_context: int = setting(
        default=16,
        ge=0,
        le=65_536,
        unit="characters",
        help="With both sides: characters after each sequence that the backward stack reads first, for context.",
        details="It predicts them when they are in a sequence themselves.",
    )
    joint_weight: float = setting(
        default=1.0,
        ge=0,
        le=1000,
        help="With both sides: weight of the joint head's loss in the backward stack, whose own loss has weight 1.",
    )
    label_drop: float = setting(
        default=0.1,
        ge=0,
        le=1,
        off=0,
        help="Share of the records that are learned without their labels, drawn anew for each pass.",
        details="So the model also writes without a label.",
    )
    epochs: float | None = setting(
        default=None,
        gt=0,
        le=1e9,
        unit="passes",
        help="Passes over the training text.",
        details="None if `time` or the text decides.",
    )
    time: float | None = setting(
        default=None,
        ge=1,
        le=1e9,
        unit="seconds",
        otherwise="by length of the text",
        help="Time budget, instead of epochs.",
        details="The time for which the process is stopped, as by Ctrl-Z, does not count.",
    )
    patience: int | None = setting(
        default=None,
        ge=1,
        le=10**9,
        unit="validations",
        otherwise="never",
        help="Stop after this many validations without a lower loss.",
    )
    validate_every: int | None = setting(
        default=None,
        ge=1,
        le=10**9,
        unit="steps",
        otherwise="about twenty in a run",
        help="Steps between validations.",
    )
    validation_characters: int = setting(
        default=0,
        ge=0,
        le=10**9,
        off=0,
        unit="characters",
        otherwise="131072, fewer with a large vocabulary",
        help="Characters of the validation text that each validation scores; the last one scores all.",
        details="A shorter validation text is always scored as a whole.",
    )
    save_every: float = setting(
        default=30.0, ge=0, le=1e9, unit="seconds", help="Time between saves of the last state."
    )
    save_every_steps: int | None = setting(
        default=None,
        ge=1,
        le=10**9,
        unit="steps",
        otherwise="by time",
        help="Steps between saves of the last state, instead of `save_every`.",
    )
    seed: int = setting(
        default=0, ge=0, le=2**63 - 1, help="Seed of all random numbers; the same seed trains the same model."
    )
    precision: Precision = setting(
        default="auto", help="Type of the matrix products; auto measures which is faster here."
    )
    device: Device = setting(default="auto", help="Where to train; auto takes a GPU if TensorFlow has one.")
    shards: int | None = setting(
        default=None,
        ge=1,
        le=1024,
        otherwise="by cores and batch",
        help="Parts of a batch that are computed in parallel on a CPU.",
    )

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON values; those of both sides, which earlier versions do not know, only where set."""
        later = [(name, self.declared[name].default) for name in ("right_context", "joint_weight")]
        return {name: value for name, value in super().to_json().items() if (name, value) not in later}

    def __post_init__(self) -> None:
        require(
            self.epochs is None or self.time is None,
            "epochs",
            "left out where time is given",
            self.epochs,
            "Choose one of the two.",
            others=("time",),
        )
        super().__post_init__()

    @property
    def halved_share(self) -> float:
        """The share of all steps, at the start, with two updates; 0 if the sequence length is odd.

        >>> [TrainingConfig(halved_fraction=0.25, sequence_length=n).halved_share for n in (64, 65)]
        [0.25, 0.0]
        """
        return self.halved_fraction if self.sequence_length % 2 == 0 else 0.0


class TrainingSettings(TypedDict, total=False):
    """The fields of `TrainingConfig` as keywords; None leaves the choice to training."""

    batch_size: int | None
    sequence_length: int | None
    learning_rate: float | None
    hidden_rate: float | None
    beta_2: float | None
    cautious: bool | None
    clip_norm: float | None
    warmup_steps: int | None
    schedule: Schedule | None
    decay_fraction: float | None
    final_rate: float | None
    halved_fraction: float | None
    logit_scale: float | None
    calibrate: bool | None
    negatives: int | None
    permute_rare: bool | None
    validation_characters: int | None
    weight_decay: float | None
    weight_drop: float | None
    state_reset: float | None
    right_context: int | None
    joint_weight: float | None
    label_drop: float | None
    epochs: float | None
    time: float | None
    patience: int | None
    validate_every: int | None
    save_every: float | None
    save_every_steps: int | None
    seed: int | None
    precision: Precision | None
    device: Device | None
    shards: int | None


class TrainSettings(ModelSettings, TrainingSettings, total=False):
    """All settings that `textgen.train` takes as keywords: the fields of `ModelConfig` and `TrainingConfig`."""
