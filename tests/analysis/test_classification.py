"""How well labels are told: scikit-learn's metrics and a slow naive Bayes are the oracles."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from labelled_models import labelled_writer, slow_logprob, write_words

from textgen.analysis.evaluation import classifying, evaluate, naive_bayes
from textgen.analysis.evaluation.classification import confuse
from textgen.errors import ConfigError
from textgen.sampling.writer import Writer

sklearn_metrics = pytest.importorskip("sklearn.metrics")


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_words(tmp_path_factory.mktemp("words") / "words.csv", count=400)


@pytest.fixture(scope="module")
def writer(words: Path) -> Writer:
    return labelled_writer(words)


def test_scores_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    truths, answers = rng.choice(list("abcd"), 90), rng.choice(list("bcde"), 90)
    found = confuse([[each] for each in truths], answers.tolist())
    assert found.labels == tuple("abcde")
    np.testing.assert_array_equal(found.counts, sklearn_metrics.confusion_matrix(truths, answers))
    assert found.accuracy == pytest.approx(sklearn_metrics.accuracy_score(truths, answers))
    assert found.macro_f1 == pytest.approx(sklearn_metrics.f1_score(truths, answers, average="macro"))
    each = sklearn_metrics.f1_score(truths, answers, average=None)
    np.testing.assert_allclose(found.f1, each)
    commonest = found.commonest()
    assert len(commonest) == 10
    wrong = Counter((true, answer) for true, answer in zip(truths, answers, strict=True) if true != answer)
    assert [count for *_, count in commonest] == [count for _, count in wrong.most_common(10)]
    assert all(wrong[true, answer] == count for true, answer, count in commonest)


def test_one_of_several_labels_is_right() -> None:
    found = confuse([["a", "b"], ["a", "b"], ["a", "b"]], ["a", "b", "c"])
    assert found.counts.tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
    assert found.accuracy == pytest.approx(2 / 3)


def slow_naive_bayes(texts: list[str], labels: list[list[str]], asked: str, alpha: float) -> str:
    def grams(text: str) -> list[str]:
        return [text[n : n + size] for size in range(1, 6) for n in range(len(text) - size + 1)]

    pairs = [(text, label) for text, each in zip(texts, labels, strict=True) for label in each]
    vocabulary = {gram for text in texts for gram in grams(text)}
    scores = {}
    for label in sorted({label for _, label in pairs}):
        own = [text for text, each in pairs if each == label]
        counts = Counter(gram for text in own for gram in grams(text))
        total = sum(counts.values()) + alpha * len(vocabulary)
        scores[label] = math.log(len(own)) + sum(
            math.log((counts[gram] + alpha) / total) for gram in grams(asked) if gram in vocabulary
        )
    return max(scores, key=scores.__getitem__)


@pytest.mark.parametrize("alpha", [0.03, 1.0])
def test_naive_bayes_is_multinomial_on_n_grams_of_1_to_5(monkeypatch: pytest.MonkeyPatch, alpha: float) -> None:
    monkeypatch.setattr(naive_bayes, "_SMOOTHING", (alpha,))
    rng = np.random.default_rng(5)
    texts = ["".join(rng.choice(list("abC "), size)).strip() or "a" for size in rng.integers(1, 12, 60)]
    labels = [sorted(set(rng.choice(["x", "y", "z"], rng.integers(1, 3)))) for _ in texts]
    asked = ["".join(rng.choice(list("abCd"), size)) for size in rng.integers(1, 12, 40)]
    texts, asked = [" ".join(each.split()) for each in texts], [" ".join(each.split()) for each in asked]
    expected = [slow_naive_bayes(texts, labels, each, alpha) for each in asked]
    assert naive_bayes.naive_bayes(texts, labels, asked) == expected
    assert len(set(expected)) == 3


def test_the_held_out_records_are_classified_as_classify_does(writer: Writer, words: Path) -> None:
    found = evaluate(writer)
    records = {}
    for line in words.read_text().splitlines()[1:]:
        word, *kinds = line.replace('"', "").split(",")
        records[word] = kinds
    held_out = held_out_words(writer, words)
    labelled = [word for word in held_out if records[word] != [""]]
    assert 0 < len(labelled) < len(held_out)
    classification = found.classification
    assert classification is not None
    assert (classification.records, classification.of) == (len(labelled), len(labelled))
    answers = [each.label for each in writer.classify(labelled)]
    right = [answer in records[word] for answer, word in zip(answers, labelled, strict=True)]
    assert classification.model.accuracy == pytest.approx(np.mean(right))
    described = writer.metadata.corpus.records
    assert described is not None and described.label_counts is not None
    common = writer.labels[int(np.argmax(described.label_counts))]
    majority = classification.baselines["majority class"]
    assert majority.accuracy == pytest.approx(np.mean([common in records[word] for word in labelled]))
    assert 0 < classification.baselines["naive Bayes"].accuracy <= 1
    assert "Of a record's several labels the answer is right if it is one of them." in classification.notes
    values = found.to_json()["classification"]
    assert values["accuracy"] == classification.model.accuracy
    assert np.sum(values["confusion"]) == len(labelled)
    assert [each["name"] for each in values["baselines"]] == ["naive Bayes", "majority class"]


def held_out_words(writer: Writer, words: Path) -> list[str]:
    from labelled_models import TABLE

    from textgen.corpus import encode_corpus, open_corpus

    encoded = encode_corpus(open_corpus(words, config=TABLE), seed=4)
    return encoded.tokenizer.decode(encoded.held_out).split("\n")[:-1]


def test_of_many_records_some_are_drawn_by_the_seed(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evaluate(writer).classification
    monkeypatch.setattr(classifying, "_RECORDS", 7)
    monkeypatch.setattr(classifying, "_TRAINING", 300)
    found = [evaluate(writer, seed=seed).classification for seed in (0, 0, 1)]
    assert whole is not None
    for each in found:
        assert each is not None
        assert (each.records, each.of) == (7, whole.of)
        assert any(note.startswith("Naive Bayes learned from") for note in each.notes)
    assert found[0] is not None and found[1] is not None
    assert found[0].to_json() == found[1].to_json()
    monkeypatch.setattr(classifying, "_WORK", 60)
    fewer = evaluate(writer).classification
    assert fewer is not None
    assert 1 <= fewer.records < 7


def test_without_scikit_learn_a_sentence_stands_for_naive_bayes(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifying, "has_naive_bayes", lambda: False)
    found = evaluate(writer).classification
    assert found is not None
    assert list(found.baselines) == ["majority class"]
    assert "scikit-learn is not installed: pip install scikit-learn" in found.notes[0]


def test_given_records_are_scored_by_their_labels_and_classified(writer: Writer) -> None:
    found = evaluate(writer, ["abba", "c", "dd"], labels=[["low"], ["mid", "other"], []])
    expected = sum(slow_logprob(writer, *each) for each in (("abba", ["low"]), ("c", ["mid"]), ("dd",)))
    assert found.characters == 10
    assert found.carried.nats == pytest.approx(-expected / 10, rel=1e-5)
    assert found.classification is not None
    assert found.classification.records == 2
    without = evaluate(writer, ["abba"])
    assert without.classification is None
    assert without.carried.nats == pytest.approx(-slow_logprob(writer, "abba") / 5, rel=1e-5)
    assert evaluate(writer, ["abba"], labels=[["other"]]).classification is None
    with pytest.raises(ConfigError, match=r"^labels must be as many as the records, 2; got 1"):
        evaluate(writer, ["abba", "c"], labels=[["low"]])
    with pytest.raises(ConfigError, match=r"^labels must be left out for a single text"):
        evaluate(writer, "abba", labels=[["low"]])


def test_records_that_the_model_was_trained_on_are_warned_of(writer: Writer, words: Path) -> None:
    held_out = held_out_words(writer, words)
    trained = next(
        word for line in words.read_text().splitlines()[1:] if (word := line.partition(",")[0]) not in held_out
    )
    assert evaluate(writer, held_out).warnings == ()
    (warning,) = evaluate(writer, [*held_out, trained]).warnings
    assert warning.startswith(f"The model was trained on 1 of these {len(held_out) + 1:,} records, so the results are")
