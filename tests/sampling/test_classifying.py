"""Labels are told by Bayes' rule, from the probabilities that the slow network gives to a text with each label."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from labelled_models import TABLE, labelled_writer, slow_logprob, slow_logprobs, write_words
from small_models import random_writer

import textgen
from textgen.corpus import encode_corpus, open_corpus
from textgen.corpus.tokenizer import CharTokenizer
from textgen.engine import label_scoring
from textgen.engine.label_scoring import score_labelled
from textgen.errors import ConfigError, RunError, UnknownCharacterError
from textgen.model.description import RecordsDescription
from textgen.runs.run import Run
from textgen.sampling.classifying import label_prior, posterior
from textgen.sampling.writer import Writer

TEXTS = ["abba", "c", "deadbeef".replace("f", "d"), "ace", "", "bead", "bead"]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_words(tmp_path_factory.mktemp("words") / "words.csv")


@pytest.fixture(scope="module")
def writer(words: Path) -> Writer:
    return labelled_writer(words)


def by_hand(writer: Writer, text: str, prior: list[float]) -> list[float]:
    joint = np.array(
        [np.log(p) + slow_logprob(writer, text, [label]) for p, label in zip(prior, writer.labels, strict=True)]
    )
    return (np.exp(joint) / np.exp(joint).sum()).tolist()


def training_counts(words: Path) -> list[int]:
    """How many records that train have each label, counted in the file."""
    encoded = encode_corpus(open_corpus(words, config=TABLE), seed=4)
    train = set(encoded.tokenizer.decode(encoded.training).split("\n"))
    rows = [line.replace('"', "").split(",") for line in words.read_text().splitlines()[1:]]
    kept = [kinds for word, *kinds in rows if word in train]
    return [sum(label in kinds for kinds in kept) for label in ("high", "low", "mid")]


@pytest.mark.parametrize(("rows", "ids"), [(256, 2**21), (1, 2**21), (2, 2**21), (5, 2**21), (256, 20)])
def test_probabilities_are_those_of_bayes_rule_however_the_batches_are_cut(
    writer: Writer, words: Path, monkeypatch: pytest.MonkeyPatch, rows: int, ids: int
) -> None:
    monkeypatch.setattr(label_scoring, "_ROWS", rows)
    monkeypatch.setattr(label_scoring, "_IDS", ids)
    counts = training_counts(words)
    assert min(counts) > 0
    found = writer.classify(TEXTS)
    assert [each.text for each in found] == TEXTS
    for each in found:
        expected = by_hand(writer, each.text, [count / sum(counts) for count in counts])
        np.testing.assert_allclose(each.probabilities, expected, atol=1e-5)
        assert each.label == writer.labels[int(np.argmax(expected))]
        assert each.probability == pytest.approx(max(expected), abs=1e-5)
        np.testing.assert_allclose(each.logprobs[0], slow_logprob(writer, each.text, ["high"]), rtol=1e-5)
    for each in writer.classify(TEXTS, uniform=True):
        np.testing.assert_allclose(each.probabilities, by_hand(writer, each.text, [1 / 3] * 3), atol=1e-5)


def test_the_most_probable_labels_come_first(writer: Writer) -> None:
    (found,) = writer.classify(["abba"])
    labels, probabilities = zip(*found.top(9), strict=True)
    assert sorted(labels) == ["high", "low", "mid"]
    assert sorted(probabilities, reverse=True) == list(probabilities)
    assert found.top(1) == [(found.label, found.probability)]


def test_a_label_that_no_training_record_has_is_never_the_answer(writer: Writer) -> None:
    prior = label_prior([3, 0, 1], 3)
    found = posterior(np.array([[-900.0, -1.0, -901.0]]), prior)
    assert found[0, 1] == 0.0
    np.testing.assert_allclose(found[0, 0], 0.75 / (0.75 + 0.25 * np.exp(-1.0)))
    assert label_prior([0, 0], 2).tolist() == [0.5, 0.5]


def test_a_mixture_classifies_with_the_mean_of_its_models(words: Path) -> None:
    one, two = labelled_writer(words), labelled_writer(words, seed=9)
    (found,) = Writer.mix([one, two], [3, 1]).classify(["decade"])
    for label, logprob in zip(found.labels, found.logprobs, strict=True):
        odds = [np.exp(slow_logprobs(writer, "decade", [label])) for writer in (one, two)]
        assert logprob == pytest.approx(np.log(0.75 * odds[0] + 0.25 * odds[1]).sum(), abs=1e-4)


def test_records_are_scored_by_their_own_labels(writer: Writer) -> None:
    sets = ((), (0,), (1, 2))
    records, label_of = ["abba", "c", "deed", "abba"], np.array([2, 0, 1, 1])
    end = writer.tokenizer.end_id
    assert end is not None
    ids = np.concatenate([np.append(writer.tokenizer.encode(each), end) for each in records])
    for streams in (1, 3, 64):
        found = score_labelled(
            writer.engine, ids, end_id=end, label_of=label_of, label_sets=sets, labels=3, streams=streams
        )
        stops = np.flatnonzero(ids == end) + 1
        sums = [part.sum() for part in np.split(found, stops[:-1])]
        expected = [
            slow_logprob(writer, text, [writer.labels[n] for n in sets[each]])
            for text, each in zip(records, label_of, strict=True)
        ]
        np.testing.assert_allclose(sums, expected, rtol=1e-5)


def test_a_run_without_labels_says_what_to_train() -> None:
    needs, advice = (
        "^classify needs a run whose records have labels",
        "Train one: textgen train TABLE --text-field",
    )
    with pytest.raises(ConfigError, match=f"{needs}, and 'model' was trained on running text. {advice}"):
        random_writer().classify(["abc"])
    with pytest.raises(ConfigError, match=f"{needs}, and those of 'model' have none. {advice}"):
        random_writer(CharTokenizer("abc", has_end=True)).classify(["abc"])


def test_wrong_texts_are_refused(writer: Writer) -> None:
    with pytest.raises(
        ConfigError, match=r"^texts must be a list of strings; got 'abba'. Put a single text into a list"
    ):
        writer.classify("abba")
    with pytest.raises(UnknownCharacterError, match="2 characters"):
        writer.classify(["abx", "ayb"])
    (found,) = writer.classify(["axb"], unknown="skip")
    np.testing.assert_array_equal(found.logprobs, writer.classify(["ab"])[0].logprobs)
    assert writer.classify([]) == []


def test_a_checkpoint_keeps_the_frequencies_of_its_labels(kinds: Run) -> None:
    records = kinds.metadata.corpus.records
    assert records is not None and records.label_counts is not None and records.training is not None
    assert sum(records.label_counts) == records.training < 600
    assert RecordsDescription.from_json(records.to_json()) == records
    for wrong in ([1, 2], [1] * 5 + [-1], "123456", None):
        damaged = RecordsDescription.from_json({**records.to_json(), "label_counts": wrong})
        assert damaged.label_counts is None


def test_without_the_frequencies_labels_are_equally_likely_on_request_only(writer: Writer) -> None:
    corpus = writer.metadata.corpus
    assert corpus.records is not None
    bare = replace(writer.metadata, corpus=replace(corpus, records=replace(corpus.records, label_counts=None)))
    former = Writer(config=writer.config, weights=writer.weights, tokenizer=writer.tokenizer, metadata=bare)
    with pytest.raises(RunError, match="does not say how many of its records have each label"):
        former.classify(["abba"])
    expected = writer.classify(["abba"], uniform=True)[0].probabilities
    np.testing.assert_array_equal(former.classify(["abba"], uniform=True)[0].probabilities, expected)


def test_a_trained_run_tells_most_labels(kinds: Run, bundled_corpus: Path) -> None:
    with (bundled_corpus / "short_texts.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = textgen.load(kinds.path).classify([row["text"] for row in rows])
    right = sum(each.label == row["kind"] for each, row in zip(found, rows, strict=True))
    # Six kinds are equally frequent.
    assert right > 2 * len(rows) / 6
