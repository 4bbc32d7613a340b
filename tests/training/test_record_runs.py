"""Whole runs on records: each is learned by itself, and a run that was cut ends like one that was not."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
from recording import Killed, Recorder
from tiny_runs import TINY, everything

import textgen
from textgen.config import CorpusConfig
from textgen.corpus import encode_corpus, open_corpus
from textgen.runs.run import Run

LINES = CorpusConfig(records="lines")


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory, bundled_corpus: Path) -> Path:
    """A list of 300 words, one a line, in alphabetical order, some of them twice."""
    found = re.findall(r"[a-z]{2,}", (bundled_corpus / "marrow_haven.txt").read_text(encoding="utf-8"))[:330]
    path = tmp_path_factory.mktemp("words") / "words.txt"
    path.write_text("\n".join(sorted(found)[:300]) + "\n", encoding="utf-8")
    return path


def train(path: Path, folder: Path, **settings: object) -> Run:
    own = {**TINY, "epochs": 3.0, "seed": 2, "validate_every": 20, "corpus": LINES, **settings}
    return textgen.train(path, name="run", checkpoints=folder, **own)


@pytest.fixture(scope="module")
def whole(words: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(words, tmp_path_factory.mktemp("whole"))


def test_the_loss_is_that_of_each_held_out_record_read_alone(whole: Run, words: Path) -> None:
    encoded, writer = encode_corpus(open_corpus(words, config=LINES), seed=2), textgen.load(whole.path)
    records = encoded.records
    assert records is not None
    assert records.training < len(records)
    scores = [
        writer.score(encoded.tokenizer.decode(encoded.ids[a:b]).removesuffix("\n"))
        for a, b in zip(records.starts[records.training :], records.starts[records.training + 1 :], strict=False)
    ]
    logprobs = np.concatenate([score.logprobs for score in scores])
    assert len(logprobs) == len(encoded.held_out)
    assert whole.metadata.metrics.best_val_loss == pytest.approx(-logprobs.mean(), abs=1e-4)
    together = writer.score("".join(score.text for score in scores))
    np.testing.assert_allclose(together.logprobs, logprobs, atol=1e-5)


@pytest.mark.parametrize("cut", [7, pytest.param(23, marks=pytest.mark.slow)])
def test_a_run_on_records_cut_at_a_step_continues_bit_for_bit(
    cut: int, whole: Run, words: Path, tmp_path: Path
) -> None:
    def on_step(step: int) -> None:
        if step == cut:
            raise Killed

    with pytest.raises(Killed):
        train(words, tmp_path, save_every=0.0, reporter=Recorder(on_step))
    got, expected = everything(textgen.resume("run", checkpoints=tmp_path)), everything(whole)
    assert [name for name in expected if got[name] != expected[name]] == []


def test_the_report_tells_of_the_records(words: Path, tmp_path: Path) -> None:
    recorder = Recorder()
    train(words, tmp_path, epochs=0.1, reporter=recorder)
    summary = recorder.summary
    lines = words.read_text().split()
    again, longest = len(lines) - len(set(lines)), max(map(len, lines))
    assert f"300 records of {np.mean([*map(len, lines)]):.1f} characters on average and at most {longest}" in (
        summary.corpus
    )
    assert f", {again} of them duplicates" in summary.corpus
    assert re.fullmatch(r"2\d\d records train, \d+ validate", summary.split)
    assert summary.vocabulary == f"{len(set(''.join(lines)))} characters"


def test_a_model_of_records_opens_in_plain_keras(whole: Run) -> None:
    model, writer = keras.saving.load_model(whole.best), textgen.load(whole.path)
    end = writer.tokenizer.end_id
    score = writer.score("the")
    ids = writer.tokenizer.encode("the")
    probabilities = np.asarray(model(np.append(end, ids)[None]))[0]
    expected = np.log(probabilities[np.arange(4), np.append(ids, end)])
    np.testing.assert_allclose(score.logprobs, expected, atol=1e-5)
    assert score.text == "the\n"


def test_a_sample_of_a_run_on_records_is_some_of_them(whole: Run) -> None:
    sample = whole.history[-1].sample
    assert 10 <= len(sample.split("\n")) <= 20


def test_one_record_and_no_validation_are_trained_on(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("only one\n")
    run = train(tmp_path / "one.txt", tmp_path, epochs=2.0, corpus=CorpusConfig(records="lines", validation=0.0))
    assert run.history[-1].val_loss is None
    assert textgen.load(run.path).generate("", seed=1).finish_reason in ("record", "length")
