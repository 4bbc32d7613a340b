"""Validation on a part of the held-out text, and the softmax of a large vocabulary, in whole runs."""

from pathlib import Path

import numpy as np
import pytest
from recording import Killed, Recorder
from tiny_runs import TINY, everything

import textgen
from textgen.config import TrainingConfig
from textgen.corpus import encode_corpus, open_corpus
from textgen.engine import Engine
from textgen.engine.scoring import score_ids
from textgen.model.read import read_checkpoint
from textgen.runs.run import Run
from textgen.training import data
from textgen.training.recipe import recommend

PART = 130


@pytest.fixture(autouse=True)
def _short_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two streams of the short held-out text."""
    monkeypatch.setattr(data, "_STREAM", PART // 2)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text of 4,000 characters in a vocabulary of several hundred, the first ones frequent."""
    rng = np.random.default_rng(3)
    ids = (400 * rng.random(4000) ** 4).astype(int)
    path = tmp_path_factory.mktemp("many") / "many.txt"
    path.write_text("".join(chr(0x4E00 + n) for n in ids), encoding="utf-8")
    return path


def train(text: Path, folder: Path, **settings: object) -> Run:
    return textgen.train(text, name="run", checkpoints=folder, **{**TINY, "epochs": 1.0, "seed": 2, **settings})


def kill_at(wanted: int) -> Recorder:
    def on_step(step: int) -> None:
        if step == wanted:
            raise Killed

    return Recorder(on_step)


def loss_by_hand(run: Run, ids: np.ndarray, streams: int) -> float:
    best = read_checkpoint(run.best)
    return -float(np.mean(score_ids(Engine(best.model, best.weights), ids, streams=streams)))


def test_validations_score_a_part_and_the_last_one_all(many: Path, tmp_path: Path) -> None:
    # At the end alone, so that the best model is the last.
    run = train(many, tmp_path, validation_characters=PART, dropout=0.0, validate_every=1000)
    metrics, held_out = run.metadata.metrics, encode_corpus(open_corpus(many)).held_out
    assert len(held_out) == 400
    # Two streams, each from its half on.
    first, second = PART // 2, (PART - 1) // 2
    losses = loss_by_hand(run, held_out[: first + 1], 1), loss_by_hand(run, held_out[199 : 199 + second + 1], 1)
    assert metrics.val_loss == pytest.approx((first * losses[0] + second * losses[1]) / (PART - 1), abs=1e-4)
    assert metrics.whole_val_loss == pytest.approx(loss_by_hand(run, held_out, 2), abs=1e-4)
    assert run.summary()["val_loss"] == metrics.whole_val_loss
    assert run.history[-1].val_loss == metrics.val_loss


@pytest.mark.parametrize(
    ("held_out", "most", "streams"), [(511, 0, 1), (1100, 0, 2), (40_000, 0, 32), (40_000, 1100, 2)]
)
def test_no_stream_of_several_is_short(
    held_out: int, most: int, streams: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    (text := tmp_path / "text.txt").write_text("ab" * (5 * held_out), encoding="utf-8")
    encoded = encode_corpus(open_corpus(text))
    assert len(encoded.held_out) == held_out
    part, whole = data.open_held_out(encoded, TrainingConfig(validation_characters=most))
    assert part.streams == streams
    assert (whole.streams if whole else None) == (streams if most else None)


def test_a_short_validation_text_is_always_scored_as_a_whole(many: Path, tmp_path: Path) -> None:
    metrics = train(many, tmp_path, validation_characters=400).metadata.metrics
    assert metrics.whole_val_loss is None
    assert metrics.val_loss is not None


@pytest.mark.slow
def test_a_run_on_drawn_characters_learns_and_continues_bit_for_bit(many: Path, tmp_path: Path) -> None:
    settings = {"negatives": 40, "validation_characters": PART, "validate_every": 12, "epochs": 0.5}
    whole = train(many, tmp_path / "whole", **settings)
    losses = [row.val_loss for row in whole.history]
    assert losses[-1] < losses[0] < np.log(400)
    with pytest.raises(Killed):
        train(many, tmp_path / "cut", **settings, save_every=0.0, reporter=kill_at(15))
    got, expected = everything(textgen.resume("run", checkpoints=tmp_path / "cut")), everything(whole)
    assert [name for name in expected if got[name] != expected[name]] == []


def test_the_recipe_draws_characters_for_large_vocabularies_only() -> None:
    large, small = (recommend(4_000_000, size).training for size in (5_000, 100))
    assert (large.negatives, small.negatives) == (512, 0)
    assert 10_000 < large.validation_characters < small.validation_characters
    own = recommend(4_000_000, 5_000, training={"negatives": 0, "validation_characters": 99}).training
    assert (own.negatives, own.validation_characters) == (0, 99)
