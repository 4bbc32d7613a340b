"""Labels: how they are given, that they decide what is written, and that they survive what a run goes through."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from front_door import run as command
from labelled_models import labelled_writer, write_words
from recording import Killed, Recorder
from small_checkpoints import forge, refusal, setting
from small_models import random_writer, slow_logits
from tiny_runs import TINY, everything

import textgen
from textgen.analysis.evaluation import evaluate
from textgen.config import CorpusConfig
from textgen.corpus import encode_corpus, open_corpus
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import ConfigError
from textgen.model.description import CorpusDescription
from textgen.model.metadata import Metadata
from textgen.model.read import read_checkpoint
from textgen.runs.run import Run
from textgen.sampling.labels import label_weights
from textgen.sampling.writer import Writer

TABLE = CorpusConfig(text_field="word", label_field="kind")
LABELS = ("high", "low", "mid:1")


@pytest.mark.parametrize(
    ("given", "most", "expected"),
    [
        ([], 1, [0, 0, 0]),
        (["low"], 1, [0, 1, 0]),
        (["mid:1"], 1, [0, 0, 1]),
        (["mid:1:3", "low"], 1, [0, 0.25, 0.75]),
        (["low:0.7", "high:0.3"], 1, [0.3, 0.7, 0]),
        (["low:0.5"], 1, [0, 0.5, 0]),
        (["low", "high"], 1, [0.5, 0.5, 0]),
        (["low", "high"], 2, [1, 1, 0]),
        (["low", "high", "mid:1"], 2, [2 / 3, 2 / 3, 2 / 3]),
    ],
)
def test_weights_are_those_given_and_add_up_to_no_more_than_in_training(
    given: list[str], most: int, expected: list[float]
) -> None:
    weights = label_weights(given, LABELS, most)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["lo"], r"^label must be one of the run's labels, 'low', 'high', 'mid:1'; got 'lo'\.$"),
        (["lo:1"], r"got 'lo:1'\.$"),
        (["low:"], r"positive weight after its colon; got ''\. Write for instance 'low:0\.7'\.$"),
        (["low:-1"], "positive weight"),
        (["low:nan"], "positive weight"),
        (["low:1e999"], "positive weight"),
        (["low", "low:2"], r"^label must name each label once; got 'low' twice"),
    ],
)
def test_labels_that_cannot_be_meant_are_refused(given: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        label_weights(given, LABELS)


def test_of_many_labels_an_error_names_the_likely_ones() -> None:
    with pytest.raises(ConfigError, match=r"labels, 'label 77', .* and 88 more; got 'label 777'"):
        label_weights(["label 777"], [f"label {n}" for n in range(100)])


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Words of a to c, which are low, and of x to z, which are high; some have both labels or none."""
    rng = np.random.default_rng(1)

    def word(letters: str) -> str:
        return "".join(rng.choice(list(letters), rng.integers(2, 6)))

    rows = ["word,kind"]
    for _ in range(120):
        rows += [f"{word('abc')},low", f"{word('xyz')},high", f'{word("m")},"low,high"', f"{word('k')},"]
    path = tmp_path_factory.mktemp("table") / "words.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def train(table: Path, folder: Path, **settings: Any) -> Run:
    own = {**TINY, "dropout": 0.0, "learning_rate": 0.02, "epochs": 6.0, "validate_every": 30, "seed": 3}
    return textgen.train(table, name="words", checkpoints=folder, corpus=TABLE, **{**own, **settings})


@pytest.fixture(scope="module")
def run(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(table, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def writer(run: Run) -> Writer:
    return textgen.load(run.path)


def letters(samples: Any) -> str:
    return "".join(sample.text for sample in samples)


def test_a_label_decides_what_is_written(writer: Writer) -> None:
    assert writer.labels == ("high", "low")
    for label, own in (("low", "abc"), ("high", "xyz"), (["low", "high"], "m")):
        written = letters(writer.generate_records(60, label=label, seed=1))
        assert np.mean([each in own for each in written]) > 0.8, label
    unlabelled = letters(writer.generate_records(200, seed=1))
    assert {"a", "x", "m", "k"} <= set(unlabelled)
    mixed = letters(writer.generate_records(60, label={"low": 0.5, "high": 0.5}, seed=1))
    assert mixed != letters(writer.generate_records(60, label={"low": 0.9, "high": 0.1}, seed=1))


def test_each_way_of_writing_takes_labels(writer: Writer) -> None:
    text = writer.generate(label="low", seed=4).text
    assert next(sample.text for sample in writer.generate_many(count=2, label="low", seed=4)) == text
    assert "".join(writer.stream(label=["low"], seed=4)) == text
    assert writer.generate_records(3, label="low", seed=4)[0].text == text
    assert writer.generate(label="low", seed=4).to_json()["parameters"]["label"] == ("low",)
    assert Writer.mix([writer, writer]).generate(label="low", seed=4).text == text


def test_labels_of_a_run_without_any_are_refused(writer: Writer) -> None:
    with pytest.raises(ConfigError, match=r"^label needs a run whose records have labels, and 'model' has none"):
        random_writer().generate(label="low")
    with pytest.raises(ConfigError, match="label must be one of"):
        writer.generate_records(1, label="mid")
    with pytest.raises(ConfigError, match=r"^label must be a label's name, or NAME:WEIGHT; got 3"):
        writer.generate_records(1, label=3)
    assert writer.generate(label=None, seed=1) == writer.generate(seed=1)


def test_the_loss_is_that_of_each_record_given_its_labels(run: Run, writer: Writer, table: Path) -> None:
    encoded = encode_corpus(open_corpus(table, config=TABLE), seed=3)
    records = encoded.records
    assert records is not None
    losses = []
    for n in range(records.training, len(records)):
        ids = encoded.ids[records.starts[n] : records.starts[n + 1]]
        labels = np.zeros(2)
        labels[list(records.label_sets[records.label_of[n]])] = 1.0
        before = np.append(encoded.tokenizer.end_id, ids[:-1])
        logits = slow_logits(writer.config, writer.weights, before, labels)
        losses.append(-(logits - np.log(np.exp(logits).sum(-1, keepdims=True)))[np.arange(len(ids)), ids])
    expected = np.concatenate(losses).mean()
    assert run.metadata.metrics.best_val_loss == pytest.approx(expected, abs=1e-4)
    found = evaluate(writer)
    assert found.carried.nats == pytest.approx(expected, abs=1e-5)
    assert found.carried.title == "each record, by its labels"


def test_a_model_with_labels_opens_in_plain_keras(run: Run, writer: Writer) -> None:
    model = keras.saving.load_model(run.best)
    ids = np.append(writer.tokenizer.end_id, writer.tokenizer.encode("abc"))[None]
    weights = np.full((1, 4, 2), [0.3, 0.7], np.float32)
    state = writer.engine.initial_state(1, labels=np.array([0.3, 0.7], np.float32))
    logits = writer.engine.read(ids, state)[0][0]
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(np.asarray(model([ids, weights]))[0], expected, atol=1e-5)


@pytest.mark.slow
def test_a_run_with_labels_cut_at_a_step_continues_bit_for_bit(run: Run, table: Path, tmp_path: Path) -> None:
    def on_step(step: int) -> None:
        if step == 41:
            raise Killed

    with pytest.raises(Killed):
        train(table, tmp_path, save_every=0.0, reporter=Recorder(on_step))
    got, expected = everything(textgen.resume("words", checkpoints=tmp_path)), everything(run)
    assert [name for name in expected if got[name] != expected[name]] == []


def test_fine_tuning_keeps_the_labels_that_both_know(run: Run, writer: Writer, tmp_path: Path) -> None:
    (tmp_path / "more.csv").write_text("word,kind\n" + "abx,low\nzxy,new\n" * 30)
    tuned = textgen.train(
        tmp_path / "more.csv", name="more", checkpoints=tmp_path, corpus=TABLE, start_from=run.path, epochs=1e-9,
        learning_rate=1e-9, batch_size=2, sequence_length=4, precision="float32", shards=1,
    )  # fmt: skip
    found = textgen.load(tuned.path)
    assert found.labels == ("low", "new")
    assert writer.weights.label_embedding is not None
    assert found.weights.label_embedding is not None
    np.testing.assert_allclose(found.weights.label_embedding[0], writer.weights.label_embedding[1], atol=1e-6)
    assert (np.abs(found.weights.label_embedding[1]) > 0).any()


def test_labels_and_model_of_a_checkpoint_must_agree(run: Run, tmp_path: Path) -> None:
    assert read_checkpoint(run.best).metadata.corpus.labels == ("high", "low")
    change = setting("corpus", "records", "labels", value=["high"])
    forged = forge(run.best, tmp_path / "forged.keras", change=change)
    assert "it names 1 labels where its model has 2" in refusal(lambda: read_checkpoint(forged))


def test_the_command_takes_labels(run: Run) -> None:
    def sample(*arguments: str) -> Any:
        return command("sample", "--run", "words", "--checkpoints", str(run.path.parent), "--seed", "1", *arguments)

    low = sample("--label", "low", "--count", "30").out
    assert np.mean([each in "abc\n" for each in low]) > 0.8
    header, first, *_ = sample("--label", "low:0.5", "--label", "high:0.5", "--count", "3", "--csv").out.splitlines()
    assert header == "word,label"
    assert first.endswith(',"low:0.5,high:0.5"')
    assert json.loads(sample("--label", "high", "--json").out)["parameters"]["label"] == ["high"]
    assert sample("--label", "low").out.splitlines()[0] == low.splitlines()[0]
    refused = sample("--label", "lw")
    assert (refused.code, refused.err) == (
        1, "Error: --label must be one of the run's labels, 'low', 'high'; got 'lw'.\n"
    )  # fmt: skip


def test_any_label_is_drawn_as_often_as_training_records_have_it(tmp_path: Path) -> None:
    writer = labelled_writer(write_words(tmp_path / "words.csv"))
    drawn = writer.generate_records(300, any_label=True, seed=3, max_new_tokens=4)
    counts = Counter(each.config.label for each in drawn)
    records = writer.metadata.corpus.records
    assert records is not None and records.label_counts is not None
    for label, count in zip(records.labels, records.label_counts, strict=True):
        share = count / sum(records.label_counts)
        assert abs(counts[label,] / 300 - share) < 4 * (share * (1 - share) / 300) ** 0.5
    for each in (drawn[0], drawn[7]):
        alone = writer.generate_records(each.index + 1, label=each.config.label[0], seed=3, max_new_tokens=4)
        assert alone[each.index].text == each.text


def test_any_label_needs_labels() -> None:
    tokenizer = CharTokenizer("abc", has_end=True)
    plain = random_writer(tokenizer)
    corpus = CorpusDescription(settings={"records": "lines"})
    metadata = Metadata(model=plain.config, tokenizer=tokenizer, corpus=corpus)
    writer = Writer(config=plain.config, weights=plain.weights, tokenizer=tokenizer, metadata=metadata)
    with pytest.raises(ConfigError, match=r"^any_label needs a run whose records have labels, and 'model' has none\."):
        writer.generate_records(2, any_label=True)
