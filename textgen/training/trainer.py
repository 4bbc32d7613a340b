"""The training and validation steps, as a Keras model for callbacks.

The trainer wraps the plain model, whose variables it trains: it carries the recurrent state from batch to batch, splits
a batch into shards and reports the loss.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from textgen.config import TrainingConfig
from textgen.corpus.batch import Batch
from textgen.corpus.pair_batches import PairBatch
from textgen.model.keras_file import layer_variables
from textgen.training.calibration import SCALES, Calibrated, best_scale
from textgen.training.coupling import free_gradients, tied_gradients
from textgen.training.keras_model import HEAD
from textgen.training.network import CarriedState, Masks, Network, State
from textgen.training.optimizer import CautiousAdamW, ScaledAdamW, reads_outputs
from textgen.training.sampled_softmax import Negatives, SampledSoftmax
from textgen.training.share import Share, SharedDraws

Tensor = Any

_NEGATIVES = 62
"""The purpose of the random numbers of `SampledSoftmax`."""


class Trainer(keras.Model):
    """Truncated backpropagation through time over parallel streams, each position a target.

    Args:
        network: the model's forward pass.
        plain: the Keras model itself.
        config: batch size, clipping, Adam's settings.
        shards: parts of a batch computed in parallel; divides `config.batch_size`; a validation whose
            streams it does not divide is computed in one.
        validation_streams: parallel streams of the held-out text.
        frequencies: `(vocab,)`, how often each id occurs in the training text, for `config.negatives`.
        share: the part of each batch that is computed here; None for all of it.

    `train_step` and `test_step` take batches of tensors: `test_step` with weights, and both with labels for a
    model that has some.
    """

    def __init__(
        self,
        network: Network,
        plain: keras.Model,
        config: TrainingConfig,
        *,
        shards: int,
        validation_streams: int,
        frequencies: NDArray[Any] | None = None,
        share: Share | None = None,
    ) -> None:
        super().__init__(name="trainer")
        self.plain = plain
        self.signature: PairBatch | None = None
        self.network = network
        self.shards = shards
        self._variables = layer_variables(plain, network.config)
        self._loss = keras.metrics.Mean(name="loss")
        self._state = CarriedState(network, config.batch_size)
        self._validation_state = CarriedState(network, validation_streams)
        self.calibrating = tf.Variable(False, trainable=False)
        self.loss_at_scales = tf.Variable(tf.zeros(len(SCALES), tf.float64), trainable=False)
        self.last_loss = tf.Variable(0.0, trainable=False)
        self.gradient_norm = tf.Variable(0.0, trainable=False)
        self.steps_done = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._logit_scale = config.logit_scale
        self._sampled = None
        if frequencies is not None and 0 < config.negatives < network.config.vocab_size - 1:
            self._sampled = SampledSoftmax(frequencies, config.negatives)
        self._share = share
        self._draws = network if share is None else SharedDraws(network, share)
        self._clip_norm = config.clip_norm
        self._state_reset = config.state_reset
        self.built = True
        optimizer = (CautiousAdamW if config.cautious else ScaledAdamW)(
            learning_rate=float(config.learning_rate), weight_decay=config.weight_decay, beta_2=config.beta_2
        )
        spared = [
            variable
            for variable in self._variables
            if "kernel" not in variable.name or "label_embedding" in variable.path
        ]
        optimizer.exclude_from_weight_decay(var_list=spared)
        self.compile(optimizer=optimizer, jit_compile=False)
        optimizer.build(self._variables)
        reading = [variable for variable in self._variables if reads_outputs(variable.path)]
        optimizer.scale_rates(reading, config.hidden_rate)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The mean loss in nats per character since the last validation, or over the validation."""
        return [self._loss]

    @property
    def worst_loss(self) -> float:
        """The loss of the last step by which a run that diverges is recognised."""
        return float(self.last_loss)

    def call(self, inputs: Tensor) -> Tensor:
        """The plain model's probabilities."""
        return self.plain(inputs)

    def save(self, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
        """Saves the plain model, for callbacks such as Keras's `ModelCheckpoint`."""
        self.plain.save(filepath, overwrite=overwrite, zipped=zipped, **kwargs)

    def save_weights(self, filepath: Any, overwrite: bool = True, max_shard_size: float | None = None) -> None:
        """Saves the plain model's weights."""
        self.plain.save_weights(filepath, overwrite=overwrite, max_shard_size=max_shard_size)

    def load_weights(self, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> None:
        """Loads weights into the plain model."""
        self.plain.load_weights(filepath, skip_mismatch=skip_mismatch, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """The plain model's configuration."""
        config: dict[str, Any] = self.plain.get_config()
        return config

    def train_step(self, batch: Batch, *, halves: bool = False) -> dict[str, Tensor]:
        """Trains on one batch, in one update or in one per half of its time steps; returns the mean loss so far."""
        reset: Tensor = batch.reset
        if self._state_reset > 0.0:
            streams = batch.inputs.shape[0]
            reset = tf.logical_or(reset, self._draws.resets(self.steps_done, streams, self._state_reset))
        learn = self._in_halves if halves else self._learn
        loss, norm = learn(batch, self._state.read(reset))
        self.gradient_norm.assign(norm)
        self.steps_done.assign_add(1)
        return self._count(loss)

    def _count(self, loss: Tensor) -> dict[str, Tensor]:
        """Counts the loss of a step; returns the mean so far."""
        self.last_loss.assign(loss)
        self._loss.update_state(loss)
        return {"loss": self._loss.result()}

    def _in_halves(self, batch: Batch, state: State) -> tuple[Tensor, Tensor]:
        """Makes two updates, one per half of the batch's time steps; returns the means of loss and norm.

        What is longer than the batch, what follows it, is so much longer than either half.
        """
        half = batch.inputs.shape[1] // 2
        self._state.write(state)

        def update(part: Tensor, loss: Tensor, norm: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            def cut(ids: Tensor) -> Tensor:
                first, size = (0, part * half), (ids.shape[0], ids.shape[1] - half)
                return tf.ensure_shape(tf.slice(ids, first, size), size)

            one_loss, one_norm = self._learn(batch.map(cut), self._state.read(tf.constant(False)), part)
            return part + 1, loss + 0.5 * one_loss, norm + 0.5 * one_norm

        # A loop, since a graph with two copies of the update takes a second longer to build.
        _, loss, norm = tf.while_loop(lambda part, *_: part < 2, update, (0, self._no_loss(), 0.0))
        return loss, norm

    def _no_loss(self) -> Tensor | float:
        """A loss of zero, as `_learn` returns losses."""
        return 0.0

    def _learn(self, batch: Batch, state: State, part: Tensor | int = 0) -> tuple[Tensor, Tensor]:
        """Makes one update and stores the state; returns the mean loss and the gradient norm before clipping."""
        variables = [variable.value for variable in self._variables]
        streams = batch.inputs.shape[0]
        masks = self._draws.masks(self.steps_done, streams, part)
        count = tf.cast(tf.size(batch.targets), tf.float32)
        if self._share is not None:
            count *= self._share.streams / streams
        with tf.GradientTape() as tape:
            negatives = self._draw_negatives(part)

            def judge(columns: Tensor, cut: slice) -> tuple[Tensor, Tensor]:
                return self._training_losses(columns, batch.targets[cut], negatives)

            (total, scaled), after = self._over_shards(batch, state, masks, judge)
            objective = scaled / count
        gradients = [tf.convert_to_tensor(gradient) for gradient in tape.gradient(objective, variables)]
        gradients = free_gradients(self.network.config, gradients)
        if self._share is not None:
            gradients, total = self._share.total(gradients, total)
        norm = tf.linalg.global_norm(gradients)
        scale = tf.minimum(1.0, self._clip_norm / norm)
        gradients = tied_gradients(self.network.config, [gradient * scale for gradient in gradients])
        self.optimizer.apply(gradients, self._variables)
        self._state.write(after)
        return total / count, norm

    def _draw_negatives(self, part: Tensor | int) -> Negatives | None:
        """The characters that an update's softmax is estimated from; None where all of it is computed."""
        if self._sampled is None:
            return None
        return self._sampled.draw(self.network.seed_of(self.steps_done, _NEGATIVES, part))

    def test_step(self, batch: Batch) -> dict[str, Tensor]:
        """Scores one batch of the held-out text with its own carried state; `calibrating` at each of `SCALES`, too."""

        def judge(columns: Tensor, cut: slice) -> tuple[Tensor, Tensor]:
            part = batch.cut(cut)
            return self._scored(self.network.read_out(columns), part.targets, part.weights)

        (total, at_scales), after = self._over_shards(batch, self._validation_state.read(batch.reset), None, judge)
        self._validation_state.write(after)
        self.loss_at_scales.assign_add(tf.cast(at_scales, tf.float64))
        count = tf.reduce_sum(batch.weights)
        self._loss.update_state(total / tf.maximum(count, 1.0), sample_weight=count)
        return {"loss": self._loss.result()}

    def _scored(self, logits: Tensor, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The summed loss of some streams, and while `calibrating` that at each of `SCALES`, otherwise zeros."""
        at_scales = tf.cond(
            self.calibrating,
            lambda: tf.stack([loss_of(scale * logits, targets, weights) for scale in SCALES]),
            lambda: tf.zeros(len(SCALES)),
        )
        return loss_of(logits, targets, weights), at_scales

    def start_calibration(self) -> None:
        """Has the batches that `test_step` scores from here on also scored with scaled logits."""
        self.calibrating.assign(True)
        self.loss_at_scales.assign(tf.zeros_like(self.loss_at_scales))

    def end_calibration(self, targets: int) -> Calibrated:
        """Ends what `start_calibration` started.

        Args:
            targets: the number of characters predicted since.

        Returns:
            The factor at which the loss is lowest, and that loss.
        """
        self.calibrating.assign(False)
        scale, loss = best_scale(self.loss_at_scales.numpy() / targets)
        return Calibrated({HEAD: scale}, {"loss": loss})

    @contextlib.contextmanager
    def scaled_logits(self, scales: Mapping[str, float]) -> Iterator[None]:
        """Multiplies logits, the weights of the heads of these names, by factors for the body.

        A factor of 1 leaves them alone, and so do no factors at all.
        """
        found = [
            (variable, np.float32(scale))
            for name, scale in scales.items()
            if scale != 1.0
            for variable in self.plain.get_layer(name).trainable_variables
        ]
        variables = [variable for variable, _ in found]
        before = [variable.numpy() for variable in variables]
        for (variable, factor), value in zip(found, before, strict=True):
            variable.assign(factor * value)
        try:
            yield
        finally:
            for variable, value in zip(variables, before, strict=True):
                variable.assign(value)

    def _training_losses(self, columns: Tensor, targets: Tensor, negatives: Negatives | None) -> tuple[Tensor, Tensor]:
        """The summed loss of some streams, and that with scaled logits; with `negatives` estimates from them."""
        if negatives is not None and self._sampled is not None:
            labels = tf.reshape(tf.transpose(targets), (-1,))
            return self._sampled.loss(columns, *self.network.head, labels, negatives, self._logit_scale)
        logits = self.network.read_out(columns)
        return loss_of(logits, targets), loss_of(self._logit_scale * logits, targets)

    def _over_shards(
        self,
        batch: Batch,
        state: State,
        masks: Masks | None,
        judge: Callable[[Tensor, slice], Sequence[Tensor]],
    ) -> tuple[list[Tensor], State]:
        """The sums of some values over a batch's shards, and the state after the batch.

        Shards are independent of one another.

        Args:
            batch: the ids, and their label sets.
            state: before the batch.
            masks: of dropout; None in a validation.
            judge: takes the head's input and which streams they are, and returns the values.
        """
        streams = batch.inputs.shape[0]
        width = streams // (self.shards if streams % self.shards == 0 else 1)
        judged, lasts = [], []
        for start in range(0, streams, width):
            cut = slice(start, start + width)
            before, part = [[tensor[:, cut] for tensor in layer] for layer in state], batch.cut(cut)
            mine = masks and masks.shard(start, start + width)
            columns, last = self.network.columns(part.inputs, before, mine, part.labels)
            judged.append(judge(columns, cut))
            lasts.append(last)
        after = [[tf.concat(parts, 1) for parts in zip(*layers, strict=True)] for layers in zip(*lasts, strict=True)]
        return [tf.add_n(values) for values in zip(*judged, strict=True)], after

    def capture(self) -> dict[str, np.ndarray]:
        """All that an exact continuation needs besides the weights, as arrays by name."""
        arrays = {f"optimizer/{n:04d}": v.numpy() for n, v in enumerate(self.optimizer.variables)}
        arrays |= {f"state/{n:04d}": v.numpy() for n, v in enumerate(self._state.variables)}
        arrays |= {f"{each.name}/{n:04d}": v.numpy() for each in self.metrics for n, v in enumerate(each.variables)}
        arrays["steps_done"] = self.steps_done.numpy()
        return {name: np.asarray(value) for name, value in arrays.items()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Restores the arrays of `capture`.

        Raises:
            ValueError: an array is missing or of another shape.
        """
        variables = {f"optimizer/{n:04d}": v for n, v in enumerate(self.optimizer.variables)}
        variables |= {f"state/{n:04d}": v for n, v in enumerate(self._state.variables)}
        variables |= {f"{each.name}/{n:04d}": v for each in self.metrics for n, v in enumerate(each.variables)}
        variables["steps_done"] = self.steps_done
        for name, variable in variables.items():
            if name not in arrays or tuple(arrays[name].shape) != tuple(variable.shape):
                raise ValueError(f"{name} is missing or of another shape")
        for name, variable in variables.items():
            variable.assign(arrays[name])

    def reset_training_state(self) -> None:
        """Sets the optimizer's moments and the recurrent state to zero; the optimizer's step count is kept."""
        for variable in self.optimizer.variables:
            if len(variable.shape) > 0:
                variable.assign(np.zeros(variable.shape, "float32"))
        for variable in self._state.variables:
            variable.assign(tf.zeros_like(variable))


def loss_of(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """The summed negative log-likelihood in nats; logits are time-major, targets `(batch, time)`."""
    labels = tf.reshape(tf.transpose(targets), (-1,))
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    if weights is not None:
        losses = losses * tf.reshape(tf.transpose(weights), (-1,))
    return tf.reduce_sum(losses)
