"""Builds the trainer of a run from its settings, its text and its place."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from textgen.config import ModelConfig, TrainingConfig
from textgen.corpus import EncodedCorpus
from textgen.model.weights import BACKWARD
from textgen.training.network import Network
from textgen.training.pair_network import PairNetwork
from textgen.training.pair_trainer import PairTrainer
from textgen.training.placement import Placement
from textgen.training.share import Share
from textgen.training.trainer import Trainer
from textgen.training.two_sided import TwoSidedTrainer


def make_trainer(
    plain: keras.Model,
    model: ModelConfig,
    config: TrainingConfig,
    encoded: EncodedCorpus,
    placement: Placement,
    *,
    shards: int,
    validation_streams: int,
    frequencies: NDArray[np.int64] | None,
    seed: int,
    share: Share | None = None,
) -> Trainer:
    """The trainer of a model, of one side or of both, or of pairs.

    Args:
        plain: the Keras model.
        model: its shape.
        config: the training settings.
        encoded: the training text.
        placement: where the model is trained, and in which type.
        shards: as of `Trainer`.
        validation_streams: as of `Trainer`.
        frequencies: as of `Trainer`.
        seed: of the dropout masks.
        share: as of `Trainer`; None for a model of both sides.
    """
    records = encoded.records

    def network(seed: int, prefix: str = "") -> Network:
        return Network(
            plain,
            model,
            compute_dtype=placement.compute_dtype,
            kernels=placement.kernels,
            weight_drop=config.weight_drop,
            seed=seed,
            end_id=encoded.tokenizer.end_id,
            label_sets=() if records is None else records.label_sets,
            prefix=prefix,
        )

    options: dict[str, Any] = {
        "shards": shards,
        "validation_streams": validation_streams,
        "frequencies": frequencies,
        "share": share,
    }
    if model.has_encoder:
        reading = PairNetwork(
            plain, model, compute_dtype=placement.compute_dtype, weight_drop=config.weight_drop, seed=seed
        )
        return PairTrainer(reading, plain, config, shards=shards)
    forward = network(seed)
    if not model.both:
        return Trainer(forward, plain, config, **options)
    # The backward half's dropout must not be that of the forward one.
    (other,) = np.random.SeedSequence([seed, 1]).generate_state(1).tolist()
    return TwoSidedTrainer(forward, plain, config, backward=network(other, BACKWARD), **options)
