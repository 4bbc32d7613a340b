"""The trainer whose sums are made in the order in which two workers make them."""

from typing import Any

import tensorflow as tf

from textgen.corpus.batch import Batch
from textgen.training.coupling import free_gradients, tied_gradients
from textgen.training.trainer import Trainer


class EachShard(Trainer):
    """Computes the gradients of each shard by itself, and adds them in the order of the shards."""

    def _learn(self, batch: Batch, state: Any, part: Any = 0) -> Any:
        config, streams = self.network.config, batch.inputs.shape[0]
        masks, width = self.network.masks(self.steps_done, streams, part), streams // 2
        sums, totals, lasts = None, 0.0, []
        for start in (0, width):
            cut = slice(start, start + width)
            with tf.GradientTape() as tape:
                variables = [variable.value for variable in self._variables]
                before = [[tensor[:, cut] for tensor in layer] for layer in state]
                columns, last = self.network.columns(batch.inputs[cut], before, masks.shard(start, start + width))
                total, scaled = self._training_losses(columns, batch.targets[cut], None)
                objective = scaled / tf.cast(tf.size(batch.targets), tf.float32)
            found = free_gradients(config, [tf.convert_to_tensor(g) for g in tape.gradient(objective, variables)])
            sums = found if sums is None else [a + b for a, b in zip(sums, found, strict=True)]
            totals, lasts = totals + total, [*lasts, last]
        assert sums is not None
        norm = tf.linalg.global_norm(sums)
        scale = tf.minimum(1.0, self._clip_norm / norm)
        self.optimizer.apply(tied_gradients(config, [g * scale for g in sums]), self._variables)
        layers = zip(*lasts, strict=True)
        self._state.write([[tf.concat(parts, 1) for parts in zip(*layer, strict=True)] for layer in layers])
        return totals / tf.cast(tf.size(batch.targets), tf.float32), norm
