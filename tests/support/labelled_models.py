"""Random models of labelled records, and the log-probability that the slow network gives to a record."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from small_models import random_writer, slow_logits

from textgen.config import CorpusConfig
from textgen.corpus import encode_corpus, open_corpus
from textgen.model.description import CorpusDescription
from textgen.model.metadata import Metadata
from textgen.sampling.writer import Writer

TABLE = CorpusConfig(text_field="word", label_field="kind")


def labelled_writer(table: Path, *, seed: int = 0) -> Writer:
    """A random model of the words of a CSV file, which have kinds."""
    encoded = encode_corpus(open_corpus(table, config=TABLE), seed=4)
    assert encoded.records is not None
    plain = random_writer(encoded.tokenizer, labels=len(encoded.records.labels), seed=seed)
    metadata = Metadata(model=plain.config, tokenizer=encoded.tokenizer, corpus=CorpusDescription.of(encoded))
    return Writer(config=plain.config, weights=plain.weights, tokenizer=plain.tokenizer, metadata=metadata)


def write_words(path: Path, *, count: int = 150) -> Path:
    """A table of random words, each with one of three kinds, with two of them, or with none."""
    rng = np.random.default_rng(1)
    kinds = ["high", "high", "low", "mid", '"low,high"', ""]
    words = dict.fromkeys("".join(rng.choice(list("abcde"), size)) for size in rng.integers(2, 9, count))
    path.write_text("word,kind\n" + "".join(f"{word},{rng.choice(kinds)}\n" for word in words))
    return path


def slow_logprobs(writer: Writer, record: str, labels: Sequence[str] = ()) -> np.ndarray:
    """The log-probabilities of a record's characters and of its end, by the slow network from a zero state."""
    end, weights = writer.tokenizer.end_id, np.array([float(each in labels) for each in writer.labels])
    ids = np.append(writer.tokenizer.encode(record), end)
    logits = slow_logits(writer.config, writer.weights, np.append(end, ids[:-1]), weights if len(labels) else None)
    logprobs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return logprobs[np.arange(len(ids)), ids]


def slow_logprob(writer: Writer, record: str, labels: Sequence[str] = ()) -> float:
    """That of the whole record."""
    return float(slow_logprobs(writer, record, labels).sum())
