"""At the end of training, the logits are scaled to the lowest validation loss."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from tiny_runs import TINY, everything

import textgen
from textgen.corpus import encode_corpus, open_corpus
from textgen.engine import Engine
from textgen.engine.scoring import score_ids
from textgen.errors import CheckpointError
from textgen.model.read import read_checkpoint
from textgen.runs.events import Reporter
from textgen.runs.run import Run
from textgen.training import best_model, data, session
from textgen.training.calibration import HIGHEST, LOWEST, SCALES, best_scale
from textgen.training.recipe import recommend


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory, bundled_corpus: Path) -> Path:
    path = tmp_path_factory.mktemp("text") / "haven.txt"
    path.write_bytes((bundled_corpus / "marrow_haven.txt").read_bytes()[:6000])
    return path


def train(text: Path, folder: Path, **settings: object) -> Run:
    # Trained with logits scaled down, a model is surer of itself than it should be without that scale.
    chosen = {**TINY, "epochs": 2.0, "seed": 2, "logit_scale": 0.9, "calibrate": True, "validate_every": 40, **settings}
    return textgen.train(text, name="run", checkpoints=folder, **chosen)


def loss_by_hand(run: Run, text: Path, scale: float = 1.0, streams: int = 1) -> float:
    """The loss on the validation text of the best model, with scaled logits."""
    best, ids = read_checkpoint(run.best), encode_corpus(open_corpus(text)).held_out
    kernel, bias = (np.float32(scale) * array for array in (best.weights.head_kernel, best.weights.head_bias))
    weights = replace(best.weights, head_kernel=kernel, head_bias=bias)
    return -float(np.mean(score_ids(Engine(best.model, weights), ids, streams=streams)))


def test_the_best_model_has_the_scale_with_the_lowest_loss_and_the_last_state_its_own(
    text: Path, tmp_path: Path
) -> None:
    run = train(text, tmp_path)
    metrics, best, last = run.metadata.metrics, read_checkpoint(run.best), read_checkpoint(run.last)
    scale = metrics.logit_scale
    assert LOWEST <= scale <= HIGHEST
    assert scale < 1.0
    np.testing.assert_array_equal(best.weights.head_kernel, np.float32(scale) * last.weights.head_kernel)
    np.testing.assert_array_equal(best.weights.head_bias, np.float32(scale) * last.weights.head_bias)
    np.testing.assert_array_equal(best.weights.embedding, last.weights.embedding)
    assert metrics.val_loss == metrics.best_val_loss == pytest.approx(loss_by_hand(run, text), abs=1e-5)
    for other in (scale - 0.01, scale + 0.01, *SCALES):
        assert loss_by_hand(run, text, other / scale) > metrics.val_loss


def test_the_losses_of_several_streams_in_shards_are_summed(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "_STREAM", 128)
    run = train(text, tmp_path, shards=2)
    metrics = run.metadata.metrics
    assert metrics.logit_scale is not None
    assert metrics.val_loss == pytest.approx(loss_by_hand(run, text, streams=4), abs=1e-5)
    for other in (metrics.logit_scale - 0.01, metrics.logit_scale + 0.01):
        assert loss_by_hand(run, text, other / metrics.logit_scale, streams=4) > metrics.val_loss


@pytest.mark.slow
def test_the_whole_validation_text_is_scored_with_the_scale_of_its_part(text: Path, tmp_path: Path) -> None:
    metrics = (run := train(text, tmp_path, validation_characters=520)).metadata.metrics
    assert metrics.logit_scale != 1.0
    assert metrics.whole_val_loss == pytest.approx(loss_by_hand(run, text), abs=1e-5)


@pytest.mark.slow
def test_validations_before_the_end_and_runs_without_it_change_nothing(text: Path, tmp_path: Path) -> None:
    with_it, without = (train(text, tmp_path / name, calibrate=name == "with") for name in ("with", "without"))
    before, after = (run.history for run in (with_it, without))
    assert [row.val_loss for row in before[:-1]] == [row.val_loss for row in after[:-1]]
    assert before[-1].val_loss < after[-1].val_loss
    weights = [read_checkpoint(run.last).weights.arrays() for run in (with_it, without)]
    assert all(map(np.array_equal, *weights))
    assert without.metadata.metrics.logit_scale is None


@pytest.mark.slow
def test_a_run_goes_on_from_its_own_logits(text: Path, tmp_path: Path) -> None:
    # A schedule that does not depend on the end, so that a run in two parts is the run in one.
    flat = {"decay_fraction": 0.0, "halved_fraction": 0.0, "warmup_steps": 0}
    whole = train(text, tmp_path / "whole", **flat, epochs=1.0)
    train(text, tmp_path / "parts", **flat, epochs=0.5)
    parts = textgen.resume("run", checkpoints=tmp_path / "parts", epochs=1.0)
    got, expected = everything(parts), everything(whole)
    weights = [name for name in expected if name.startswith(("last.keras", "best.keras"))]
    assert weights
    assert [name for name in weights if got[name] != expected[name]] == []


def test_the_recipe_calibrates() -> None:
    assert recommend(1_000_000, 65).training.calibrate
    assert not recommend(1_000_000, 65, training={"calibrate": False}).training.calibrate


@pytest.mark.parametrize("sure", [0.5, 0.85, 1.0, 1.2, 2.0])
def test_the_scale_is_found_from_the_loss_at_a_few(sure: float) -> None:
    # Targets drawn from a model's own distribution, whose logits are then multiplied.
    random = np.random.default_rng(1)
    logits = random.normal(0.0, 3.0, (20_000, 60))
    targets = (logits + random.gumbel(size=logits.shape)).argmax(1)

    def loss(scale: float) -> float:
        scaled = sure * scale * logits
        return float(np.mean(np.logaddexp.reduce(scaled, 1) - scaled[np.arange(len(targets)), targets]))

    scale, lowest = best_scale(np.array([loss(each) for each in SCALES]))
    assert lowest == pytest.approx(loss(scale), abs=2e-6)
    for other in (scale - 0.004, scale + 0.004):
        assert loss(scale) < loss(other) or not LOWEST <= other <= HIGHEST
    assert scale == pytest.approx(np.clip(1.0 / sure, LOWEST, HIGHEST), abs=0.02)


def test_a_loss_that_is_no_number_scales_nothing() -> None:
    assert best_scale(np.full(len(SCALES), np.nan))[0] == 1.0


class Spoiling(keras.callbacks.Callback):
    """Makes the model bad after a step, so that an earlier one is the best."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        if int(self.model.steps_done) == self.step:
            bias = self.model.plain.get_layer("head").bias
            bias.assign(np.linspace(20.0, 0.0, bias.shape[0]))


def test_an_earlier_best_model_is_calibrated_too(text: Path, tmp_path: Path) -> None:
    settings = {"validate_every": 60, "epochs": 1.5, "logit_scale": 0.8}
    runs = {
        name: train(text, tmp_path / name, callbacks=Spoiling(126), calibrate=name == "with", **settings)
        for name in ("with", "without")
    }
    metrics, before = (runs[name].metadata.metrics for name in ("with", "without"))
    assert metrics.step == before.step == 120
    assert runs["with"].history[-1].val_loss > metrics.val_loss
    assert LOWEST <= metrics.logit_scale <= HIGHEST
    assert metrics.logit_scale != 1.0
    assert metrics.val_loss == metrics.best_val_loss == pytest.approx(loss_by_hand(runs["with"], text), abs=1e-5)
    assert metrics.val_loss < before.val_loss == pytest.approx(loss_by_hand(runs["without"], text), abs=1e-5)
    for other in (metrics.logit_scale - 0.01, metrics.logit_scale + 0.01, *SCALES):
        assert loss_by_hand(runs["with"], text, other / metrics.logit_scale) > metrics.val_loss
    last, as_trained = (read_checkpoint(runs[name].last).weights.arrays() for name in ("with", "without"))
    assert all(map(np.array_equal, last, as_trained))
    assert read_checkpoint(runs["with"].last).metadata.metrics.best_val_loss == metrics.val_loss


EARLIER = {"validate_every": 60, "epochs": 1.5, "logit_scale": 0.8}
"""Of runs whose 126th step is the last one."""


@pytest.mark.parametrize("sides", ["forwards", pytest.param("both", marks=pytest.mark.slow)])
def test_an_earlier_best_model_is_calibrated_once(text: Path, tmp_path: Path, sides: str) -> None:
    run = train(text, tmp_path, **EARLIER, sides=sides, callbacks=Spoiling(126))
    before = run.best.read_bytes()
    run = textgen.resume("run", checkpoints=tmp_path, epochs=1.51, callbacks=Spoiling(127))
    assert run.best.read_bytes() == before
    assert all(np.isfinite(value) for row in run.history for value in (row.loss, row.val_loss))
    assert all(row.val_joint_loss is None or np.isfinite(row.val_joint_loss) for row in run.history)


@pytest.mark.slow
def test_each_head_of_an_earlier_best_model_is_calibrated(text: Path, tmp_path: Path) -> None:
    metrics = train(text, tmp_path, **EARLIER, sides="both", callbacks=Spoiling(126)).metadata.metrics
    judged = textgen.evaluate(tmp_path / "run").to_json()
    assert metrics.step == 120
    assert LOWEST <= metrics.logit_scale <= HIGHEST
    assert metrics.val_joint_loss < metrics.val_loss < train(text, tmp_path / "b", **EARLIER).history[0].val_loss
    assert judged["calibration"]["temperature"] == pytest.approx(1.0, abs=0.05)


class _Killed(BaseException):
    """The process ends."""


@pytest.mark.parametrize("spoiled", [126, None])
def test_a_run_that_ends_between_its_two_files_goes_on_to_the_same(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoiled: int | None
) -> None:
    settings: dict[str, object] = {**EARLIER, "save_every_steps": 30}

    def callbacks() -> list[keras.callbacks.Callback]:
        return [] if spoiled is None else [Spoiling(spoiled)]

    whole = train(text, tmp_path / "whole", **settings, callbacks=callbacks())
    real = session.write_checkpoint

    def write(path: Path, *arguments: Any, metadata: Any, **options: Any) -> None:
        if metadata.metrics.step == 126:
            raise _Killed
        real(path, *arguments, metadata=metadata, **options)

    with monkeypatch.context() as patch:
        patch.setattr(session, "write_checkpoint", write)
        with pytest.raises(_Killed):
            train(text, tmp_path / "cut", **settings, callbacks=callbacks())
    got = everything(textgen.resume("run", checkpoints=tmp_path / "cut", callbacks=callbacks()))
    assert [name for name, value in everything(whole).items() if got[name] != value] == []


def test_where_it_cannot_be_written_the_best_model_stays_as_it_was(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, warnings = best_model.write_checkpoint, []

    def full(path: Path, *arguments: Any, metadata: Any, **options: Any) -> None:
        if metadata.metrics.logit_scale is not None:
            raise CheckpointError(f"{path} cannot be written: the disk is full. Free some space.")
        real(path, *arguments, metadata=metadata, **options)

    class Watch(Reporter):
        def warned(self, text: str) -> None:
            warnings.append(text)

    monkeypatch.setattr(best_model, "write_checkpoint", full)
    run = train(text, tmp_path, **EARLIER, callbacks=Spoiling(126), reporter=Watch())
    assert len(warnings) == 1
    assert "disk is full" in warnings[0]
    metrics = run.metadata.metrics
    assert (metrics.step, metrics.logit_scale) == (120, None)
    assert metrics.val_loss == pytest.approx(loss_by_hand(run, text), abs=1e-5)


def test_the_best_model_of_a_run_that_stops_early_is_calibrated(text: Path, tmp_path: Path) -> None:
    run = train(text, tmp_path, **{**EARLIER, "epochs": 3.0}, patience=1, callbacks=Spoiling(179))
    metrics = run.metadata.metrics
    assert run.history[-1].step == 180
    assert metrics.step == 120
    assert LOWEST <= metrics.logit_scale <= HIGHEST
    assert metrics.logit_scale != 1.0
    assert metrics.val_loss == pytest.approx(loss_by_hand(run, text), abs=1e-5)
