"""Random models that turn one text into another, for tests of what uses them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from slow_cells import tie
from slow_pairs import slow_pair_probabilities

from textgen.config import CorpusConfig, ModelConfig
from textgen.corpus.pairs import EncodedPairs
from textgen.corpus.tokenizer import CharTokenizer
from textgen.model.description import CorpusDescription
from textgen.model.metadata import Metadata
from textgen.model.pair_weights import PairWeights, is_recurrent
from textgen.sampling.rewriting.rewriter import Rewriter

SHAPE: dict[str, Any] = {"vocab_size": 7, "source_vocab_size": 6, "units": 8, "embedding": 5}


def random_pair_weights(config: ModelConfig, *, seed: int = 0, scale: float = 1.0) -> PairWeights:
    rng = np.random.default_rng(seed)
    arrays = []
    for name, shape in PairWeights.shapes(config).items():
        spread = 0.1 if "bias" in name else scale / np.sqrt(shape[0]) if "kernel" in name else 0.7
        array = (rng.standard_normal(shape) * spread).astype(np.float32)
        arrays.append(tie(array) if config.cell == "coupled" and is_recurrent(name) else array)
    return PairWeights.from_arrays(arrays, config)


SOURCES = CharTokenizer("abcd", has_end=True)
TARGETS = CharTokenizer("wxyz", has_end=True)


def random_rewriter(
    source_tokenizer: CharTokenizer = SOURCES,
    tokenizer: CharTokenizer = TARGETS,
    *,
    seed: int = 0,
    corpus: CorpusConfig | None = None,
    bias: dict[int, float] | None = None,
    **shape: Any,
) -> Rewriter:
    """A rewriter with random weights; `bias` is added to ids of the head."""
    sizes = {"vocab_size": tokenizer.vocab_size, "source_vocab_size": source_tokenizer.vocab_size}
    config = ModelConfig(**{**SHAPE, **sizes, "encoder_layers": 1, "layers": 2, "units": 12, **shape})
    weights = random_pair_weights(config, seed=seed, scale=3.0)
    for number, more in (bias or {}).items():
        weights.head_bias[number] += more
    metadata = None
    if corpus is not None:
        described = CorpusDescription(settings=corpus.to_json())
        metadata = Metadata(model=config, tokenizer=tokenizer, source_tokenizer=source_tokenizer, corpus=described)
    return Rewriter(
        config=config, weights=weights, tokenizer=tokenizer, source_tokenizer=source_tokenizer, metadata=metadata
    )


def slow_logprob(rewriter: Rewriter, source: str, target: str) -> float:
    """The log-probability of a target given its source, by the slow version."""
    ids, end = rewriter.tokenizer.encode(target).tolist(), rewriter.tokenizer.end_id
    read = [*rewriter.source_tokenizer.encode(source).tolist(), rewriter.source_tokenizer.end_id]
    steps = slow_pair_probabilities(rewriter.weights, rewriter.config, read, [end, *ids])
    return float(sum(np.log(step[chosen]) for step, chosen in zip(steps, [*ids, end], strict=True)))


def write_pairs_run(pairs: Path, folder: Path) -> None:
    """Writes a run's folder with a checkpoint of random weights and a description of the pairs in a file."""
    from textgen.corpus import encode_corpus, open_corpus
    from textgen.model.write import write_checkpoint
    from textgen.training.keras_model import assign_arrays
    from textgen.training.pair_model import build_pair_model

    encoded = encode_corpus(open_corpus(pairs, config=CorpusConfig(pairs=True)))
    assert isinstance(encoded, EncodedPairs)
    sizes = {"vocab_size": encoded.tokenizer.vocab_size, "source_vocab_size": encoded.source_tokenizer.vocab_size}
    config = ModelConfig(**sizes, encoder_layers=1, layers=1, units=16, embedding=8, cell="coupled")
    model = build_pair_model(config)
    assign_arrays(model, config, random_pair_weights(config, seed=1, scale=3.0).arrays())
    folder.mkdir(parents=True)
    metadata = Metadata(
        model=config,
        tokenizer=encoded.tokenizer,
        source_tokenizer=encoded.source_tokenizer,
        corpus=CorpusDescription.of(encoded),
    )
    write_checkpoint(folder / "best.keras", model, metadata=metadata)
