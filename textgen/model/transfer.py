"""Converts a model's weights to another vocabulary, as the initial weights of fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.tokenizer import CharTokenizer
from textgen.model.pair_weights import PairWeights
from textgen.model.weights import Array, ModelWeights

Places = NDArray[np.int64]


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
        likewise those of labels. The same holds for the backward stack and the joint head where both models have them;
        where only the new one has, they are fresh.
    """
    new_ids, old_ids = _shared(known, tokenizer)
    shared = [(n, known_labels.index(label)) for n, label in enumerate(labels) if label in known_labels]
    new_labels, old_labels = np.array(shared, np.int64).reshape(-1, 2).T

    def stack(old: ModelWeights, new: ModelWeights) -> ModelWeights:
        label_embedding = new.label_embedding
        if label_embedding is not None and old.label_embedding is not None:
            label_embedding = _replaced(label_embedding, new_labels, old.label_embedding, old_labels)
        return ModelWeights(
            _replaced(new.embedding, new_ids, old.embedding, old_ids),
            old.layers,
            _replaced(new.head_kernel.T, new_ids, old.head_kernel.T, old_ids).T,
            _replaced(new.head_bias, new_ids, old.head_bias, old_ids),
            label_embedding,
        )

    backward, joint = fresh.backward, fresh.joint
    if backward is not None and weights.backward is not None:
        backward = stack(weights.backward, backward)
    if joint is not None and weights.joint is not None:
        joint = replace(
            weights.joint,
            kernel=_replaced(joint.kernel.T, new_ids, weights.joint.kernel.T, old_ids).T,
            bias=_replaced(joint.bias, new_ids, weights.joint.bias, old_ids),
        )
    return replace(stack(weights, fresh), backward=backward, joint=joint)


def transfer_pairs(
    weights: PairWeights,
    known: tuple[CharTokenizer, CharTokenizer],
    fresh: PairWeights,
    tokenizers: tuple[CharTokenizer, CharTokenizer],
) -> PairWeights:
    """Converts a model that turns one text into another to other vocabularies.

    Args:
        weights: the existing model's weights.
        known: the vocabularies of its sources and of its targets.
        fresh: newly initialised weights of the same architecture for the new vocabularies.
        tokenizers: the new vocabularies.

    Returns:
        The existing weights, with the rows of shared characters at their new ids and fresh rows for the others.
    """
    read_new, read_old = _shared(known[0], tokenizers[0])
    new, old = _shared(known[1], tokenizers[1])
    # Row 0 of the sources' embedding is padding.
    rows, by = np.append(0, read_new + 1), np.append(0, read_old + 1)
    return replace(
        weights,
        source_embedding=_replaced(fresh.source_embedding, rows, weights.source_embedding, by),
        embedding=_replaced(fresh.embedding, new, weights.embedding, old),
        head_kernel=_replaced(fresh.head_kernel.T, new, weights.head_kernel.T, old).T,
        head_bias=_replaced(fresh.head_bias, new, weights.head_bias, old),
    )


def _shared(known: CharTokenizer, tokenizer: CharTokenizer) -> tuple[Places, Places]:
    """The ids of what both vocabularies have, in the new one and in the known one."""
    old = {character: n for n, character in enumerate(known.characters)}
    pairs = [(n, old[character]) for n, character in enumerate(tokenizer.characters) if character in old]
    if tokenizer.unknown_id is not None and known.unknown_id is not None:
        pairs.append((tokenizer.unknown_id, known.unknown_id))
    if tokenizer.end_id is not None and known.end_id is not None:
        pairs.append((tokenizer.end_id, known.end_id))
    new_ids, old_ids = np.array(pairs, np.int64).reshape(-1, 2).T
    return new_ids, old_ids


def _replaced(fresh: Array, rows: Places, weights: Array, by: Places) -> Array:
    """A copy of `fresh` whose `rows` are those of `weights` at `by`."""
    found = fresh.copy()
    found[rows] = weights[by]
    return found
