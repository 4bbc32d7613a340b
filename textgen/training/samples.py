"""Writes the samples of a run: what the model makes of a text, of records or of pairs after each validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from textgen.config import ModelConfig
from textgen.corpus import EncodedCorpus
from textgen.corpus.pairs import EncodedPairs
from textgen.model.pair_weights import PairWeights
from textgen.model.weights import ModelWeights
from textgen.sampling.rewriting.rewriter import Rewriter
from textgen.sampling.writer import Writer

_LENGTH = 240
"""Characters of a sample."""

_REWRITTEN = 3
"""How many sources are rewritten."""


def write_sample(arrays: Sequence[np.ndarray], config: ModelConfig, encoded: EncodedCorpus, *, seed: int) -> str:
    """A text, some records, or what the model makes of a few sources.

    Args:
        arrays: the model's weights.
        config: its shape.
        encoded: the text that it is trained on.
        seed: of the text or the records; the sources are the same in each sample.
    """
    if isinstance(encoded, EncodedPairs):
        return _rewritten(PairWeights.from_arrays(arrays, config), config, encoded)
    weights = ModelWeights.from_arrays(arrays, labelled=config.labels > 0, both=config.both)
    writer = Writer(config=config.forwards, weights=weights.forwards, tokenizer=encoded.tokenizer)
    if encoded.records is not None:
        count = min(max(round(_LENGTH * len(encoded.records) / encoded.characters), 1), 20)
        samples = writer.generate_many("", count=count, max_new_tokens=_LENGTH, temperature=0.8, seed=seed)
        return "\n".join(each.text for each in samples)
    return writer.generate("", max_new_tokens=_LENGTH, temperature=0.8, seed=seed).text


def _rewritten(weights: PairWeights, config: ModelConfig, encoded: EncodedPairs) -> str:
    """What the model makes of the first held-out sources, or where none are held out, of the first ones."""
    rewriter = Rewriter(
        config=config, weights=weights, tokenizer=encoded.tokenizer, source_tokenizer=encoded.source_tokenizer
    )
    first = encoded.pairs.training % len(encoded.pairs)
    sources = [encoded.pair(n)[0] for n in range(first, min(first + _REWRITTEN, len(encoded.pairs)))]
    # The simplest search will do: an untrained model finds no good target with any.
    found = [rewriter.rewrite(source, beam=1, unknown="replace")[0].text for source in sources]
    return "\n".join(f"{source} -> {written}" for source, written in zip(sources, found, strict=True))
