"""A run on records is scored record by record, the ends included, and read by the other analyses."""

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from small_models import random_writer, slow_logits

from textgen.analysis.evaluation import evaluate
from textgen.analysis.neurons import neurons
from textgen.analysis.surprisal import surprise
from textgen.config import CorpusConfig
from textgen.corpus import encode_corpus, open_corpus
from textgen.engine.scoring import score_records
from textgen.errors import ConfigError, CorpusError, RunError, UnknownCharacterError
from textgen.model.description import CorpusDescription
from textgen.model.metadata import Metadata
from textgen.sampling.drafts import Draft
from textgen.sampling.writer import Writer

LINES = CorpusConfig(records="lines")


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(1)
    path = tmp_path_factory.mktemp("words") / "words.txt"
    path.write_text("\n".join("".join(rng.choice(list("abcde"), size)) for size in rng.integers(1, 9, 200)))
    return path


@pytest.fixture(scope="module")
def writer(words: Path) -> Writer:
    encoded = encode_corpus(open_corpus(words, config=LINES), seed=4)
    plain = random_writer(encoded.tokenizer)
    metadata = Metadata(model=plain.config, tokenizer=encoded.tokenizer, corpus=CorpusDescription.of(encoded))
    return Writer(config=plain.config, weights=plain.weights, tokenizer=plain.tokenizer, metadata=metadata)


def slow_nats(writer: Writer, record: str) -> float:
    """A record's loss, its end included, by the slow network from a zero state."""
    ids = np.append(writer.tokenizer.encode(record), writer.tokenizer.end_id)
    logits = slow_logits(writer.config, writer.weights, np.append(writer.tokenizer.end_id, ids[:-1]))
    logprobs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return -float(logprobs[np.arange(len(ids)), ids].sum())


def test_the_held_out_records_are_scored_each_by_itself(writer: Writer, words: Path) -> None:
    encoded = encode_corpus(open_corpus(words, config=LINES), seed=4)
    held_out = encoded.tokenizer.decode(encoded.held_out).split("\n")[:-1]
    found = evaluate(writer)
    assert len(found.protocols) == 1
    assert found.carried.title == "each record, with its end"
    assert found.carried.settings == {"records": len(held_out)}
    assert found.characters == len(encoded.held_out)
    expected = sum(slow_nats(writer, record) for record in held_out) / found.characters
    assert found.carried.nats == pytest.approx(expected, rel=1e-5)
    counts = Counter(encoded.training.tolist())
    total = len(encoded.training) + writer.tokenizer.vocab_size
    by_hand = -np.mean([math.log((counts[each] + 1) / total) for each in encoded.held_out.tolist()])
    assert next(each.nats for each in found.baselines if each.name == "unigram") == pytest.approx(by_hand)
    assert found.source == f"{len(held_out)} records of words.txt"
    json.dumps(found.to_json())


def test_a_given_text_is_scored_as_records(writer: Writer) -> None:
    found = evaluate(writer, "abba\n\ncade\n")
    assert found.characters == 10
    assert found.carried.nats == pytest.approx((slow_nats(writer, "abba") + slow_nats(writer, "cade")) / 10, rel=1e-5)
    with pytest.raises(CorpusError, match="no record"):
        evaluate(writer, "\n \n")
    with pytest.raises(UnknownCharacterError):
        evaluate(writer, "abx\n")
    assert evaluate(writer, "abx\n", unknown="skip").dropped == 1


def test_the_number_of_parts_changes_nothing(writer: Writer) -> None:
    ids = np.random.default_rng(0).choice([0, 1, 2, 5], 400).astype(np.uint8)
    end = writer.tokenizer.end_id
    assert end == 5
    one = score_records(writer.engine, ids, end_id=end)
    seen = []
    for streams in (2, 7, 64, 1000):
        targets: list[int] = []
        many = score_records(
            writer.engine, ids, end_id=end, streams=streams, observe=lambda _, found, kept=targets: kept.extend(found)
        )
        np.testing.assert_allclose(many, one, atol=1e-5)
        seen.append(sorted(targets))
    assert seen == [sorted(ids.tolist())] * 4


def test_what_has_no_meaning_for_records_is_refused(writer: Writer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^dynamic must be off for a run on records"):
        evaluate(writer, dynamic=True)
    with pytest.raises(ConfigError, match=r"^A model of records cannot be adapted"):
        writer.adapt("abba")
    (tmp_path / "other.txt").write_text("a\nb\n")
    with pytest.raises(RunError, match="has changed since"):
        evaluate(writer, corpus=tmp_path / "other.txt")


def test_other_analyses_read_records(writer: Writer) -> None:
    found = surprise(writer, "abba\ncade\n")
    assert found.passage.text == "abba\ncade\n"
    np.testing.assert_allclose(found.logprobs, writer.score("abba\ncade").logprobs, atol=1e-6)
    assert {sign for sign, _ in found.at(0).top} <= set("abcde\n")
    assert surprise(writer, "abba\ncade", limit=7).passage.text == "abba\nca"
    assert '"vocabulary":"abcde\\n"' in found.to_html().replace(": ", ":")
    watched = neurons(writer, "abba\nabba\n")
    np.testing.assert_allclose(watched.states[:, :, :5], watched.states[:, :, 5:], atol=1e-6)


def test_in_a_draft_each_line_is_a_record(writer: Writer) -> None:
    draft = Draft(writer, temperature=0.8, seed=1, choices=3)
    draft.add("abba\nca")
    alone = Draft(writer, temperature=0.8, seed=1, choices=3)
    alone.add("ca")
    assert draft.suggestions == alone.suggestions
    assert list(draft.write("line")) == list(alone.write("line"))
    with pytest.raises(UnknownCharacterError):
        draft.add("\nx")
