"""Trains a model of both sides: the forward half as a run of its own, and a backward stack and a joint head beside it.

The two halves share a batch and nothing else. Each has its own clipping, the joint loss has no gradient with respect to
the forward stack, and Adam treats every array by itself, so that the forward half learns, step for step, what a run of
one side learns from the same settings. The backward half learns from its own loss and from the joint one.

The forward state is carried from batch to batch. The backward stack begins at every batch with a zero state, some
characters after the last target (`TrainingConfig.right_context`), which it reads for context and does not predict.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from textgen.config import TrainingConfig
from textgen.corpus.batch import Batch
from textgen.model.weights import BACKWARD, ModelWeights
from textgen.training.calibration import SCALES, Calibrated, best_scale
from textgen.training.coupling import free_gradients, tied_gradients
from textgen.training.keras_model import HEAD
from textgen.training.network import Masks, Network, State
from textgen.training.sampled_softmax import Negatives
from textgen.training.trainer import Trainer, loss_of

Tensor = Any

HEADS = (HEAD, f"{BACKWARD}{HEAD}", "joint")
"""The layers of the three heads: forwards, backwards, joint; the order of all that is threefold here."""


class TwoSidedTrainer(Trainer):
    """Trains the three heads of a model of both sides, each position a target of all.

    Args:
        network: the forward stack.
        plain: the Keras model itself.
        config: as of `Trainer`.
        backward: the backward stack, which is given ids from right to left.
        options: as of `Trainer`.

    Batches are as those of `Trainer`, with what follows their targets.
    """

    _others: tuple[keras.metrics.Mean, ...] = ()

    def __init__(
        self, network: Network, plain: keras.Model, config: TrainingConfig, *, backward: Network, **options: Any
    ) -> None:
        super().__init__(network, plain, config, **options)
        self.backward = backward
        self._factors = plain.get_layer("joint_before"), plain.get_layer("joint_after")
        self._hidden, self._joint = plain.get_layer("joint_hidden"), plain.get_layer("joint")
        self._backward_head = plain.get_layer(HEADS[1])
        self._joint_weight = config.joint_weight
        self._forward_arrays = len(ModelWeights.shapes(network.config.forwards))
        self._others = (keras.metrics.Mean(name="backward_loss"), keras.metrics.Mean(name="joint_loss"))
        self.last_losses = tf.Variable(tf.zeros(len(HEADS)), trainable=False)
        self.loss_at_scales = tf.Variable(tf.zeros((len(HEADS), len(SCALES)), tf.float64), trainable=False)
        self._counted = tf.Variable(tf.zeros(len(HEADS), tf.float64), trainable=False)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The mean losses in nats per character of the three heads, as `Trainer.metrics`."""
        return [self._loss, *self._others]

    @property
    def worst_loss(self) -> float:
        """The highest of the last step's losses; NaN if one is."""
        return float(np.max(self.last_losses.numpy()))

    def _count(self, loss: Tensor) -> dict[str, Tensor]:
        self.last_loss.assign(loss[0])
        self.last_losses.assign(loss)
        return self._means(loss)

    def _means(self, losses: Tensor, counts: Tensor | None = None) -> dict[str, Tensor]:
        for n, metric in enumerate(self.metrics):
            metric.update_state(losses[n], sample_weight=None if counts is None else counts[n])
        return {metric.name: metric.result() for metric in self.metrics}

    def _no_loss(self) -> Tensor | float:
        return tf.zeros(len(HEADS))

    def _learn(self, batch: Batch, state: State, part: Tensor | int = 0) -> tuple[Tensor, Tensor]:
        """Makes one update of both halves; returns the three mean losses and the gradient norm before clipping."""
        variables = [variable.value for variable in self._variables]
        streams = batch.inputs.shape[0]
        masks = self._draws.masks(self.steps_done, streams, part)
        backward_masks = self.backward.masks(self.steps_done, streams, part)
        counts = self._counts(batch.targets, tf.ones(batch.targets.shape))
        with tf.GradientTape() as tape:
            negatives = self._draw_negatives(part)

            def judge(columns: Tensor, cut: slice) -> list[Tensor]:
                each = self._columns(columns, batch.cut(cut), backward_masks.shard(cut.start, cut.stop))
                return self._head_losses(each, batch.targets[cut], negatives)

            sums, after = self._over_shards(batch, state, masks, judge)
            counts = [tf.maximum(count, 1.0) for count in counts]
            forward, backward, joint = (scaled / count for scaled, count in zip(sums[3:], counts, strict=True))
            objective = forward + backward + self._joint_weight * joint
        gradients = [tf.convert_to_tensor(gradient) for gradient in tape.gradient(objective, variables)]
        gradients = free_gradients(self.network.config, gradients)
        halves = gradients[: self._forward_arrays], gradients[self._forward_arrays :]
        norms = [tf.linalg.global_norm(half) for half in halves]
        scales = [tf.minimum(1.0, self._clip_norm / norm) for norm in norms]
        clipped = [gradient * scale for half, scale in zip(halves, scales, strict=True) for gradient in half]
        self.optimizer.apply(tied_gradients(self.network.config, clipped), self._variables)
        self._state.write(after)
        return tf.stack([plain / count for plain, count in zip(sums[:3], counts, strict=True)]), tf.norm(norms)

    def test_step(self, batch: Batch) -> dict[str, Tensor]:
        """Scores one batch of the held-out text by each head; `calibrating` at each of `SCALES`, too."""

        def judge(columns: Tensor, cut: slice) -> list[Tensor]:
            part = batch.cut(cut)
            each = self._columns(columns, part, None)
            logits = [self._read_out(*pair) for pair in zip(each, self._heads(), strict=True)]
            counted = part.weights, part.weights, self._joint_weights(part.targets, part.weights)

            def losses(scale: float | None = None) -> Tensor:
                scaled = logits if scale is None else [scale * one for one in logits]
                return tf.stack([loss_of(one, part.targets, w) for one, w in zip(scaled, counted, strict=True)])

            at_scales = tf.cond(
                self.calibrating,
                lambda: tf.stack([losses(scale) for scale in SCALES], 1),
                lambda: tf.zeros((len(HEADS), len(SCALES))),
            )
            return [losses(), at_scales]

        (totals, at_scales), after = self._over_shards(batch, self._validation_state.read(batch.reset), None, judge)
        self._validation_state.write(after)
        counts = self._counts(batch.targets, batch.weights)
        self.loss_at_scales.assign_add(tf.cast(at_scales, tf.float64))
        self._counted.assign_add(tf.cast(counts, tf.float64))
        return self._means(totals / tf.maximum(tf.stack(counts), 1.0), counts)

    def start_calibration(self) -> None:
        """As `Trainer.start_calibration`."""
        super().start_calibration()
        self._counted.assign(tf.zeros_like(self._counted))

    def end_calibration(self, targets: int) -> Calibrated:
        """As `Trainer.end_calibration`, with a factor and a loss for each head."""
        del targets
        self.calibrating.assign(False)
        losses = self.loss_at_scales.numpy() / self._counted.numpy()[:, None]
        scales, lowest = zip(*map(best_scale, losses), strict=True)
        return Calibrated(
            dict(zip(HEADS, scales, strict=True)),
            {metric.name: loss for metric, loss in zip(self.metrics, lowest, strict=True)},
        )

    def _columns(self, columns: Tensor, batch: Batch, masks: Masks | None) -> tuple[Tensor, Tensor, Tensor]:
        """The inputs of the three heads at every target, `(features, time * batch)`, time-major.

        Args:
            columns: that of the forward head.
            batch: with what follows the targets.
            masks: of the backward stack's dropout; None for none.
        """
        assert batch.following is not None
        streams, length = batch.following.shape
        units, time = self.backward.config.units, batch.targets.shape[1]
        ids = tf.reverse(batch.following, [1])
        labels = None if batch.following_labels is None else tf.reverse(batch.following_labels, [1])
        read, _ = self.backward.columns(ids, self.backward.zero_state(streams), masks, labels)
        read = tf.reshape(read, (units, length, streams))[:, length - time :]
        read = tf.reshape(tf.reverse(read, [1]), (units, time * streams))
        sides = tf.stop_gradient(columns), read
        before, after = (tf.tanh(_dense(layer, each)) for layer, each in zip(self._factors, sides, strict=True))
        each = tf.concat([*sides, tf.cast(before * after, read.dtype)], 0)
        hidden = tf.nn.relu(_dense(self._hidden, each))
        return columns, read, tf.concat([each, tf.cast(hidden, read.dtype)], 0)

    def _heads(self) -> list[tuple[Tensor, Tensor]]:
        """The kernel, `(features, vocab)`, and the bias of each head."""
        others = [(layer.kernel.value, layer.bias.value) for layer in (self._backward_head, self._joint)]
        return [self.network.head, *others]

    @staticmethod
    def _read_out(columns: Tensor, head: tuple[Tensor, Tensor]) -> Tensor:
        """The logits, `(time * batch, vocab)` float32."""
        kernel, bias = head
        return tf.cast(tf.matmul(columns, tf.cast(kernel, columns.dtype), transpose_a=True), tf.float32) + bias

    def _head_losses(self, columns: Sequence[Tensor], targets: Tensor, negatives: Negatives | None) -> list[Tensor]:
        """The summed losses of some streams by each head, then those with scaled logits."""
        weights = [None, None, None if self.network.end_id is None else self._joint_weights(targets, 1.0)]
        found = []
        for each, head, weight in zip(columns, self._heads(), weights, strict=True):
            if negatives is not None and self._sampled is not None:
                flat = None if weight is None else tf.reshape(tf.transpose(weight), (-1,))
                ids = tf.reshape(tf.transpose(targets), (-1,))
                found.append(self._sampled.loss(each, *head, ids, negatives, self._logit_scale, flat))
                continue
            logits = self._read_out(each, head)
            found.append((loss_of(logits, targets, weight), loss_of(self._logit_scale * logits, targets, weight)))
        return [plain for plain, _ in found] + [scaled for _, scaled in found]

    def _joint_weights(self, targets: Tensor, weights: Tensor | float) -> Tensor:
        """The weights of the targets for the joint head, `(batch, time)`.

        A record's end has weight 0: it would be predicted from the record before it and the one that follows it here,
        where a record is read by itself.
        """
        if self.network.end_id is None:
            return weights
        return tf.cast(tf.not_equal(targets, self.network.end_id), tf.float32) * weights

    def _counts(self, targets: Tensor, weights: Tensor) -> list[Tensor]:
        """How many targets each head has."""
        count = tf.reduce_sum(weights)
        return [count, count, tf.reduce_sum(self._joint_weights(targets, weights))]


def _dense(layer: keras.layers.Dense, columns: Tensor) -> Tensor:
    """A dense layer before its activation, of `(features, n)`: `(units, n)` float32."""
    product = tf.matmul(tf.cast(layer.kernel.value, columns.dtype), columns, transpose_a=True)
    return tf.cast(product, tf.float32) + layer.bias.value[:, None]
