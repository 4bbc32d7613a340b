"""The training and validation steps of a model that turns one text into another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from textgen.config import TrainingConfig
from textgen.corpus.pair_batches import PairBatch
from textgen.training.coupling import free_gradients, tied_gradients
from textgen.training.pair_network import PairMasks, PairNetwork
from textgen.training.trainer import Trainer, loss_of

Tensor = Any


class PairTrainer(Trainer):
    """Learns every character of the targets and their ends, from the source and the target before it.

    Args:
        network: the model's forward pass.
        plain: the Keras model itself.
        config: batch size, clipping, Adam's settings.
        shards: parts of a batch computed in parallel; divides `config.batch_size`.

    Both `train_step` and `test_step` take what `PairBatch` holds.
    """

    network: PairNetwork

    def __init__(self, network: PairNetwork, plain: keras.Model, config: TrainingConfig, *, shards: int) -> None:
        super().__init__(network, plain, config, shards=shards, validation_streams=1)
        # The lengths differ from batch to batch: a graph for each would take seconds.
        ids, rows = tf.TensorSpec((config.batch_size, None), tf.int32), tf.TensorSpec((config.batch_size,), tf.int32)
        self.signature = PairBatch(ids, rows, ids, ids, tf.TensorSpec((config.batch_size, None), tf.float32))

    def train_step(self, data: tuple[Tensor, ...], *, halves: bool = False) -> dict[str, Tensor]:
        """Trains on one batch; returns the mean loss so far."""
        del halves
        batch = PairBatch(*data)
        variables = [variable.value for variable in self._variables]
        masks = self.network.pair_masks(self.steps_done, batch.lengths.shape[0])
        count = tf.reduce_sum(batch.weights)

        def judge(columns: Tensor, part: PairBatch) -> tuple[Tensor, Tensor]:
            logits = self.network.read_out(columns)
            targets, weights = part.targets, part.weights
            total = loss_of(logits, targets, weights)
            if self._logit_scale == 1.0:
                return total, total
            return total, loss_of(self._logit_scale * logits, targets, weights)

        with tf.GradientTape() as tape:
            total, scaled = self._sums(batch, masks, judge)
            objective = scaled / count
        config = self.network.config
        gradients = [tf.convert_to_tensor(each) for each in tape.gradient(objective, variables)]
        gradients = free_gradients(config, gradients)
        norm = tf.linalg.global_norm(gradients)
        scale = tf.minimum(1.0, self._clip_norm / norm)
        gradients = tied_gradients(config, [gradient * scale for gradient in gradients])
        self.optimizer.apply(gradients, self._variables)
        loss = total / count
        self.last_loss.assign(loss)
        self.gradient_norm.assign(norm)
        self.steps_done.assign_add(1)
        self._loss.update_state(loss)
        return {"loss": self._loss.result()}

    def test_step(self, data: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Scores one batch of held-out pairs; `calibrating` at each of `SCALES`, too."""
        batch = PairBatch(*data)

        def judge(columns: Tensor, part: PairBatch) -> tuple[Tensor, Tensor]:
            return self._scored(self.network.read_out(columns), part.targets, part.weights)

        total, at_scales = self._sums(batch, None, judge)
        self.loss_at_scales.assign_add(tf.cast(at_scales, tf.float64))
        count = tf.reduce_sum(batch.weights)
        self._loss.update_state(total / tf.maximum(count, 1.0), sample_weight=count)
        return {"loss": self._loss.result()}

    def _sums(
        self, batch: PairBatch, masks: PairMasks | None, judge: Callable[[Tensor, PairBatch], tuple[Tensor, Tensor]]
    ) -> list[Tensor]:
        """The sums of two values over a batch's shards, which are independent of one another.

        Args:
            batch: the pairs.
            masks: of dropout; None in a validation.
            judge: takes the head's input and the pairs of a shard, and returns the two values.
        """
        size = batch.lengths.shape[0]
        shards = self.shards if size % self.shards == 0 else 1
        # The two directions of a layer run at once: half as many parts, which are wider, keep as many cores busy.
        together = 2 if shards % 2 == 0 else 1
        width = size // shards
        judged = []
        for first in range(0, size, together * width):
            whole = slice(first, first + together * width)
            mask = masks and masks.encoder.shard(whole.start, whole.stop)
            read = self.network.read(batch.sources[whole], batch.lengths[whole], mask)
            for n, part in enumerate(read.parts(together)):
                cut = slice(first + n * width, first + (n + 1) * width)
                mask = masks and masks.decoder.shard(cut.start, cut.stop)
                columns = self.network.write(part, batch.inputs[cut], mask)
                judged.append(judge(columns, PairBatch._make(each[cut] for each in batch)))
        return [tf.add_n(values) for values in zip(*judged, strict=True)]
