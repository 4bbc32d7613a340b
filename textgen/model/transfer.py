"""Converts a model's weights to another vocabulary, as the initial weights of fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from textgen.corpus.tokenizer import CharTokenizer
from textgen.model.weights import ModelWeights


def transfer(
    weights: ModelWeights,
    known: CharTokenizer,
    fresh: ModelWeights,
    tokenizer: CharTokenizer,
    *,
    known_labels: Sequence[str] = (),
    labels: Sequence[str] = (),
) -> ModelWeights:
    """Converts a model's weights to another vocabulary.

    Args:
        weights: the existing model's weights.
        known: its vocabulary.
        fresh: newly initialised weights of the same architecture for the new vocabulary.
        tokenizer: the new vocabulary.
        known_labels: the existing model's labels.
        labels: the new labels.

    Returns:
        The existing weights, with the rows of shared characters at their new ids and fresh rows for the others; and
        likewise those of labels.
    """
    old = {character: n for n, character in enumerate(known.characters)}
    pairs = [(n, old[character]) for n, character in enumerate(tokenizer.characters) if character in old]
    if tokenizer.unknown_id is not None and known.unknown_id is not None:
        pairs.append((tokenizer.unknown_id, known.unknown_id))
    if tokenizer.end_id is not None and known.end_id is not None:
        pairs.append((tokenizer.end_id, known.end_id))
    embedding, head_kernel, head_bias = fresh.embedding.copy(), fresh.head_kernel.copy(), fresh.head_bias.copy()
    if pairs:
        new_ids, old_ids = np.array(pairs, np.int64).T
        embedding[new_ids] = weights.embedding[old_ids]
        head_kernel[:, new_ids] = weights.head_kernel[:, old_ids]
        head_bias[new_ids] = weights.head_bias[old_ids]
    label_embedding = None if fresh.label_embedding is None else fresh.label_embedding.copy()
    if label_embedding is not None and weights.label_embedding is not None:
        for n, label in enumerate(labels):
            if label in known_labels:
                label_embedding[n] = weights.label_embedding[known_labels.index(label)]
    return ModelWeights(embedding, weights.layers, head_kernel, head_bias, label_embedding)
