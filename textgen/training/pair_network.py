"""Computes the logits of a model that turns one text into another, for training and validation.

Encoder and decoder run in the kernels of `textgen.training.kernels`. A source that is shorter than the others of its
batch has its padding before its first character, in either direction, and the state is set to zero there, so that every
direction ends with the state after its last character and the recurrence needs no other mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from textgen.config import ModelConfig
from textgen.training.network import Masks, Network, State, kept, masked

Tensor = Any

_FAR = -1e9
"""Added to the score of padding, so that its weight is 0."""


class PairMasks(NamedTuple):
    """The dropout masks of one step.

    Attributes:
        encoder: of the encoder, with the recurrent masks of each layer's two directions one after the other.
        decoder: of the decoder.
    """

    encoder: Masks
    decoder: Masks


class Reading(NamedTuple):
    """What an encoder makes of sources.

    Attributes:
        outputs: `(units, source_time, batch)`, with the padding first.
        ends: for each layer the tensors of its state at the end, `(units, batch)` each.
        padding: `(batch, source_time)`, 1 for padding and 0 for what was read.
    """

    outputs: Tensor
    ends: list[list[Tensor]]
    padding: Tensor

    def parts(self, count: int) -> list[Reading]:
        """The same in equal parts of the batch."""
        outputs, padding = tf.split(self.outputs, count, 2), tf.split(self.padding, count)
        ends = [[tf.split(tensor, count, 1) for tensor in layer] for layer in self.ends]
        return [
            Reading(outputs[n], [[tensor[n] for tensor in layer] for layer in ends], padding[n]) for n in range(count)
        ]


class PairNetwork(Network):
    """The forward pass of a model from `textgen.training.pair_model.build_pair_model`, with dropout.

    Args:
        model: the Keras model whose variables are used.
        config: the configuration it was built from.
        compute_dtype: type of the matrix products' factors, float32 or bfloat16.
        weight_drop: share of each recurrent kernel's weights dropped in a training step.
        seed: of the dropout masks, together with the step.
    """

    def __init__(
        self,
        model: keras.Model,
        config: ModelConfig,
        *,
        compute_dtype: tf.DType = tf.float32,
        weight_drop: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__(model, config, compute_dtype=compute_dtype, weight_drop=weight_drop, seed=seed)
        self._source_embedding = model.get_layer("source_embedding").embeddings
        self._encoder = [model.get_layer(f"encoder_{n + 1}") for n in range(config.encoder_layers)]
        self._keys, self._attended = model.get_layer("attention_keys").kernel, model.get_layer("attended").kernel

    def zero_state(self, batch: int) -> State:
        """No state is carried from one batch to the next."""
        del batch
        return []

    def pair_masks(self, step: Tensor, batch: int) -> PairMasks:
        """The dropout masks of a step for a whole batch, as `Network.masks`."""
        config, layers = self.config, range(self.config.encoder_layers)

        def seed(purpose: int) -> Tensor:
            # The second part of a step, which pairs have not, is free for the encoder.
            return self.seed_of(step, purpose, 1)

        encoder = Masks(
            inputs=kept(seed(0), config.input_dropout, (config.embedding, 1, batch)),
            outputs=[kept(seed(1 + n), config.dropout, (config.units, 1, batch)) for n in layers],
            recurrent=[
                self._kept_weights(seed(1 + len(layers) + n), config.units // 2) for n in range(2 * len(layers))
            ],
        )
        return PairMasks(encoder, self.masks(step, batch))

    def attended(self, sources: Tensor, lengths: Tensor, inputs: Tensor, masks: PairMasks | None = None) -> Tensor:
        """The head's input at every position.

        Args:
            sources: `(batch, source_time)` ids of the source plus 1, padded with 0 at the end; the batch is known to
                the graph, the time need not be.
            lengths: `(batch,)`, the ids of each source.
            inputs: `(batch, time)`, the decoder's inputs.
            masks: dropout masks; None for none.

        Returns:
            `(units, time * batch)` of the compute type, time-major.
        """
        return self.write(self.read(sources, lengths, masks and masks.encoder), inputs, masks and masks.decoder)

    def read(self, sources: Tensor, lengths: Tensor, masks: Masks | None = None) -> Reading:
        """What the encoder makes of sources; the arguments are those of `attended`, the masks the encoder's."""
        batch, time = sources.shape[0], tf.shape(sources)[1]
        masks = masks or Masks(None, [None] * len(self._encoder), [None] * (2 * len(self._encoder)))
        starts = tf.one_hot(time - lengths, time, on_value=0.0, off_value=1.0, axis=0)[:, None]

        def turned(flow: Tensor) -> Tensor:
            """The sources from end to start, each in its place: what one direction reads, for the other."""
            return tf.reverse(tf.reverse_sequence(tf.reverse(flow, [1]), lengths, seq_axis=1, batch_axis=2), [1])

        def embedded(ids: Tensor) -> Tensor:
            return masked(tf.transpose(tf.gather(self._source_embedding.value, ids), (2, 1, 0)), masks.inputs)

        # Each direction has its own order, with the padding first.
        forwards = embedded(tf.reverse(tf.reverse_sequence(sources, lengths, seq_axis=1), [1]))
        backwards = embedded(tf.reverse(sources, [1]))
        total, ends = None, []
        for n, (layer, mask) in enumerate(zip(self._encoder, masks.outputs, strict=True)):
            nothing = [tf.zeros((self.config.units // 2, batch)) for _ in range(self.states_per_layer)]
            one, end = self._layer(layer.forward_layer, forwards, nothing, masks.recurrent[2 * n], starts)
            other, start = self._layer(layer.backward_layer, backwards, nothing, masks.recurrent[2 * n + 1], starts)
            forwards = masked(tf.concat([one, turned(other)], 0), mask)
            if n + 1 < len(self._encoder):
                backwards = masked(tf.concat([turned(one), other], 0), mask)
            total = forwards if total is None or not self.config.skip else total + forwards
            ends.append([tf.concat(both, 0) for both in zip(end, start, strict=True)])
        padding = 1.0 - tf.reverse(tf.sequence_mask(lengths, time, tf.float32), [1])
        return Reading(total, ends, padding)

    def write(self, read: Reading, inputs: Tensor, masks: Masks | None = None) -> Tensor:
        """The head's input, as `attended`, for what the encoder has read; the masks are the decoder's."""
        written = self._written(inputs, read.ends, masks)
        units, batch = self.config.units, inputs.shape[0]
        keys = tf.reshape(self._product(self._keys, tf.reshape(read.outputs, (units, -1))), (units, -1, batch))
        query, keys, values = (tf.transpose(each, (2, 1, 0)) for each in (written, keys, read.outputs))
        scores = tf.matmul(query, keys, transpose_b=True) + _FAR * read.padding[:, None]
        context = tf.transpose(tf.matmul(tf.nn.softmax(scores), values), (2, 1, 0))
        joined = tf.reshape(tf.concat([context, written], 0), (2 * units, -1))
        return tf.cast(tf.tanh(self._product(self._attended, joined)), self.compute_dtype)

    def _written(self, inputs: Tensor, ends: Sequence[Sequence[Tensor]], masks: Masks | None) -> Tensor:
        """The decoder's outputs, `(units, time, batch)`."""
        masks = masks or Masks(None, [None] * self.config.layers, [None] * self.config.layers)
        flow = masked(tf.transpose(tf.gather(self._embedding.value, inputs), (2, 1, 0)), masks.inputs)
        total = None
        for n, (layer, mask, drop) in enumerate(zip(self._layers, masks.outputs, masks.recurrent, strict=True)):
            flow, _ = self._layer(layer, flow, ends[min(n, len(ends) - 1)], drop, None)
            flow = masked(flow, mask)
            total = flow if total is None or not self.config.skip else total + flow
        return total

    def _product(self, kernel: Any, columns: Tensor) -> Tensor:
        """`kernel` transposed, times columns, float32."""
        a, b = (tf.cast(each, self.compute_dtype) for each in (kernel.value, columns))
        return tf.cast(tf.matmul(a, b, transpose_a=True), tf.float32)
