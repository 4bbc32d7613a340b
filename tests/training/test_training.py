"""Runs from beginning to end on small texts: exact continuation, faults, fine-tuning, early stopping."""

import itertools
import math
import os
import shutil
import signal
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from recording import Killed, Recorder
from tiny_runs import TINY, WHOLE, everything

import textgen
from textgen.config import CorpusConfig
from textgen.corpus import encode_corpus, open_corpus
from textgen.corpus.rare import LARGE
from textgen.engine.scoring import score_ids
from textgen.errors import CheckpointError, ConfigError, CorpusError, RunError, TrainingError
from textgen.model.read import read_checkpoint, read_training_state
from textgen.runs.run import Run
from textgen.training.resume import resume
from textgen.training.start import train


@pytest.fixture(scope="module")
def text(bundled_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "haven.txt"
    path.write_text((bundled_corpus / "marrow_haven.txt").read_text()[:4000])
    return path


def kill_at(wanted: int) -> Recorder:
    def on_step(step: int) -> None:
        if step == wanted:
            raise Killed

    return Recorder(on_step)


@pytest.fixture(scope="module")
def whole(uncut: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that was never cut."""
    return Run(shutil.copytree(uncut.path, tmp_path_factory.mktemp("whole") / "whole"))


def test_a_run_keeps_what_it_promises(whole: Run) -> None:
    assert {path.name for path in whole.path.iterdir()} == {"best.keras", "last.keras", "metrics.csv", "samples.txt"}
    history = whole.history
    assert [row.step for row in history][:2] == [9, 18]
    assert history[-1].step == read_checkpoint(whole.last).metadata.metrics.step
    assert history[-1].val_loss < history[0].val_loss < math.log(80)
    best = read_checkpoint(whole.best).metadata.metrics
    assert best.val_loss == min(row.val_loss for row in history)
    assert best.bits_per_character == pytest.approx(best.val_loss / math.log(2))
    progress = read_checkpoint(whole.last).metadata.progress
    assert progress is not None and "workers" not in progress.to_json(), "one machine keeps no word of workers"


@pytest.mark.parametrize("cut", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (9, 25))])
def test_a_run_cut_at_any_step_continues_bit_for_bit(cut: int, whole: Run, text: Path, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(text, name="cut", save_every=0.0, checkpoints=tmp_path, reporter=kill_at(cut), **WHOLE)
    if cut == 1:
        with pytest.raises(RunError):
            resume("cut", checkpoints=tmp_path)
        return
    run = resume("cut", checkpoints=tmp_path)
    got, expected = everything(run), everything(whole)
    assert got.keys() == expected.keys()
    assert [name for name in got if got[name] != expected[name]] == []


@pytest.mark.slow
@pytest.mark.parametrize("after", [0, -5, 5])
def test_a_run_that_begins_in_halves_continues_bit_for_bit(text: Path, tmp_path: Path, after: int) -> None:
    """In shards, too: their sums must not depend on the cut."""
    settings = {**WHOLE, "layers": 1, "shards": 2, "sequence_length": 32, "batch_size": 2}
    uncut = train(text, name="uncut", checkpoints=tmp_path, **settings)
    progress = read_checkpoint(uncut.last).metadata.progress
    whole_from, steps = progress.plan.whole_from, progress.step
    assert 0.3 * steps < whole_from < 0.4 * steps
    # The optimizer counts updates, two in a halved step: its count stands first among its arrays.
    assert read_training_state(uncut.last)["optimizer/0000"] == steps + whole_from
    with pytest.raises(Killed):
        cut = kill_at(whole_from + after)
        train(text, name="cut", save_every=0.0, checkpoints=tmp_path, reporter=cut, **settings)
    got, expected = everything(resume("cut", checkpoints=tmp_path)), everything(uncut)
    assert [name for name in expected if got[name] != expected[name]] == []


def test_the_seed_decides_everything(whole: Run, text: Path, tmp_path: Path) -> None:
    again = train(text, name="again", checkpoints=tmp_path, **WHOLE)
    assert everything(again) == everything(whole)
    other = train(text, name="other", checkpoints=tmp_path, **{**WHOLE, "seed": 6, "epochs": 0.4})
    assert other.history[0].val_loss != whole.history[0].val_loss


def test_a_finished_run_can_go_on_to_a_later_end(text: Path, tmp_path: Path) -> None:
    run = train(text, name="more", epochs=0.5, validate_every=9, checkpoints=tmp_path, **TINY)
    steps = run.history[-1].step
    before = everything(run)
    assert everything(resume("more", checkpoints=tmp_path)) == before
    longer = resume("more", checkpoints=tmp_path, epochs=1.0)
    assert longer.history[-1].step == pytest.approx(2 * steps, abs=2)


def test_a_changed_text_is_refused_with_the_reason(text: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.txt"
    own.write_text(text.read_text())
    train(own, name="own", epochs=0.2, checkpoints=tmp_path / "runs", **TINY)
    own.write_text(text.read_text().replace("e", "a"))
    with pytest.raises(RunError, match="has changed"):
        resume("own", checkpoints=tmp_path / "runs")


@pytest.mark.slow
def test_a_continuation_finds_a_text_that_moved_with_its_run(text: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    (old / "data").mkdir(parents=True)
    shutil.copy(text, old / "data" / "own.txt")
    train(old / "data" / "own.txt", name="own", epochs=0.2, checkpoints=old / "runs", **TINY)
    old.rename(new)
    resume("own", checkpoints=new / "runs", epochs=0.3)
    progress = read_checkpoint(new / "runs" / "own" / "last.keras").metadata.progress
    assert progress is not None
    assert progress.sources == (str((new / "data" / "own.txt").resolve()),)
    (new / "data" / "own.txt").unlink()
    with pytest.raises(RunError, match=r"not there any more: .*textgen train TEXT --resume own --checkpoints "):
        resume("own", checkpoints=new / "runs", epochs=0.4)


@pytest.mark.slow
def test_a_run_on_strings_continues_with_the_same_ones_bit_for_bit(text: Path, tmp_path: Path) -> None:
    whole = text.read_text(encoding="utf-8")
    lines = whole.splitlines(keepends=True)
    settings: dict[str, Any] = {**TINY, "seed": 5, "validate_every": 9}
    uncut = train(text, name="file", epochs=0.4, checkpoints=tmp_path, **settings)
    run = train(texts=(line for line in lines), epochs=0.4, checkpoints=tmp_path, **settings)
    assert run.name == "texts"
    kept, expected = everything(run), everything(uncut)
    assert kept == expected
    with pytest.raises(RunError, match=r"trained on strings, which are gone\. .*resume\('texts', texts=\.\.\.\)"):
        resume("texts", checkpoints=tmp_path, epochs=0.5)
    with pytest.raises(RunError, match="has changed"):
        resume("texts", texts=lines[:-1], checkpoints=tmp_path, epochs=0.5)
    resume("texts", texts=lines, checkpoints=tmp_path, epochs=0.5)
    resume("file", checkpoints=tmp_path, epochs=0.5)
    assert everything(run) == everything(uncut)
    with pytest.raises(ConfigError, match="texts must be given without sources"):
        train(text, texts=lines, checkpoints=tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX pipes")
def test_a_budget_counts_from_when_the_text_is_there(text: Path, tmp_path: Path) -> None:
    end, other = os.pipe()
    os.write(other, text.read_bytes())
    os.close(other)
    # By this clock the budget was over before the text came.
    with os.fdopen(end, "rb"):
        run = train(f"/dev/fd/{end}", time=4.0, started=-1e6, checkpoints=tmp_path, **TINY)
    progress = read_checkpoint(run.last).metadata.progress
    assert progress is not None
    assert (run.name, progress.sources) == ("stdin", ("-",))
    assert 0.0 < progress.seconds < 1e5
    with pytest.raises(
        RunError, match=r"standard input, which is gone\. .*train - --resume stdin --checkpoints .* < text"
    ):
        resume("stdin", checkpoints=tmp_path, epochs=0.5)


def test_an_existing_name_is_never_overwritten(whole: Run, text: Path) -> None:
    before = everything(whole)
    with pytest.raises(RunError, match="--resume"):
        train(text, name="whole", epochs=0.1, checkpoints=whole.path.parent, **TINY)
    assert everything(whole) == before


def test_ctrl_c_saves_and_a_continuation_is_exact(whole: Run, text: Path, tmp_path: Path) -> None:
    def press(step: int) -> None:
        if step == 13:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(text, name="stopped", checkpoints=tmp_path, reporter=Recorder(press), **WHOLE)
    step = read_checkpoint(Run(tmp_path / "stopped").last).metadata.metrics.step
    assert step == 13
    assert everything(resume("stopped", checkpoints=tmp_path)) == everything(whole)


def test_two_writers_of_one_run_are_refused(text: Path, tmp_path: Path) -> None:
    errors: list[Exception] = []

    def other(step: int) -> None:
        if step == 3:
            try:
                resume("one", checkpoints=tmp_path)
            except RunError as error:
                errors.append(error)

    train(
        text, name="one", epochs=0.3, save_every=0.0, checkpoints=tmp_path, reporter=Recorder(other), **TINY
    )  # fmt: skip
    assert len(errors) == 1
    assert "is being trained" in str(errors[0])


def test_patience_stops_a_run_that_no_longer_improves(text: Path, tmp_path: Path) -> None:
    recorder = Recorder()
    settings = {**TINY, "learning_rate": 1e-9}
    run = train(
        text,
        name="idle",
        epochs=50.0,
        patience=2,
        validate_every=2,
        checkpoints=tmp_path,
        reporter=recorder,
        **settings,
    )
    assert "stopped early" in recorder.message or len(recorder.rows) < 20
    assert run.history[-1].step < 100


@pytest.mark.slow
def test_the_best_value_survives_a_restart(text: Path, tmp_path: Path) -> None:
    recorder = Recorder()
    with pytest.raises(Killed):
        train(
            text, name="best", epochs=2.0, validate_every=9, save_every=0.0, checkpoints=tmp_path,
            reporter=kill_at(30), **TINY,
        )  # fmt: skip
    before = read_checkpoint(tmp_path / "best" / "best.keras").metadata.metrics.val_loss
    run = resume("best", checkpoints=tmp_path, reporter=recorder)
    for row, best in zip(recorder.rows, recorder.best, strict=True):
        assert best == (row.val_loss < before)
        before = min(before, row.val_loss)
    assert read_checkpoint(run.best).metadata.metrics.val_loss == before
    assert recorder.summary.split == "the first 3,600 characters train, the last 400 validate"


def test_a_run_that_diverges_goes_back_lowers_the_rate_and_goes_on(text: Path, tmp_path: Path) -> None:
    recorder = Recorder()

    class Poison(keras.callbacks.Callback):
        done = False

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if self.model.steps_done.numpy() == 20 and not self.done:
                Poison.done = True
                variable = self.model.plain.trainable_variables[0]
                variable.assign(np.full(variable.shape, np.nan, "float32"))

    run = train(
        text, name="nan", epochs=1.0, validate_every=9, checkpoints=tmp_path, reporter=recorder, callbacks=[Poison()],
        **TINY,
    )  # fmt: skip
    assert len(recorder.warnings) == 1
    assert "diverged at step 21" in recorder.warnings[0]
    progress = read_checkpoint(run.last).metadata.progress
    assert (progress.rescues, progress.rate_factor) == (1, 0.5)
    assert all(math.isfinite(row.val_loss) for row in run.history)


def test_a_run_that_diverges_again_and_again_ends_and_keeps_the_best(text: Path, tmp_path: Path) -> None:
    recorder = Recorder()
    with pytest.raises(TrainingError, match="--learning-rate"):
        train(
            text, name="boom", epochs=5.0, validate_every=3, checkpoints=tmp_path, reporter=recorder,
            callbacks=[Always()], **TINY,
        )  # fmt: skip
    assert len(recorder.warnings) == 3
    assert read_checkpoint(tmp_path / "boom" / "best.keras").metadata.metrics.val_loss < math.log(80)


class Always(keras.callbacks.Callback):
    """Poisons the weights before every fifth step."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.model.steps_done.numpy() % 5 == 4:
            variable = self.model.plain.trainable_variables[-1]
            variable.assign(np.full(variable.shape, np.inf, "float32"))


def test_a_full_disk_is_a_warning_then_an_error_if_it_stays_full(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from textgen.training import best_model, session

    real, calls = session.write_checkpoint, []

    def full(path: Path, *arguments: Any, **options: Any) -> None:
        calls.append(path)
        if len(calls) in (3, 4):
            raise CheckpointError(f"{path} cannot be written: the disk is full. Free some space.")
        real(path, *arguments, **options)

    for module in (session, best_model):
        monkeypatch.setattr(module, "write_checkpoint", full)
    recorder = Recorder()
    run = train(text, name="full", epochs=1.0, validate_every=9, checkpoints=tmp_path, reporter=recorder, **TINY)
    assert recorder.warnings
    assert "disk is full" in recorder.warnings[0]
    assert read_checkpoint(run.last).metadata.metrics.step == run.history[-1].step

    def always(path: Path, *arguments: Any, **options: Any) -> None:
        raise CheckpointError(f"{path} cannot be written: the disk is full. Free some space.")

    for module in (session, best_model):
        monkeypatch.setattr(module, "write_checkpoint", always)
    with pytest.raises(TrainingError, match="disk is full"):
        train(text, name="fuller", epochs=0.3, validate_every=9, checkpoints=tmp_path, reporter=recorder, **TINY)


def test_fine_tuning_keeps_what_both_vocabularies_know(whole: Run, text: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("Ünder the séa, ünder the séa! " * 60)
    settings = {k: v for k, v in TINY.items() if k not in ("layers", "units", "embedding")}
    settings["learning_rate"] = 1e-9
    run = train(
        other, name="tuned", epochs=0.2, start_from=whole.best, checkpoints=tmp_path, **{**settings, "weight_drop": 0.0}
    )
    before, after = read_checkpoint(whole.best), read_checkpoint(run.last)
    assert after.tokenizer.characters == "".join(sorted(set("Ünder the séa, ünder the séa! ")))
    for character in "nder sa,":
        old, new = before.tokenizer.characters.index(character), after.tokenizer.characters.index(character)
        np.testing.assert_allclose(after.weights.embedding[new], before.weights.embedding[old], atol=1e-5)
        np.testing.assert_allclose(after.weights.head_kernel[:, new], before.weights.head_kernel[:, old], atol=1e-5)
    np.testing.assert_allclose(
        after.weights.layers[1].recurrent_kernel, before.weights.layers[1].recurrent_kernel, atol=1e-5
    )
    with pytest.raises(ConfigError, match="units must be 16"):
        train(other, epochs=0.1, start_from=whole.best, units=32, checkpoints=tmp_path)


@pytest.mark.slow
def test_a_run_goes_on_with_the_min_count_that_it_has_recorded(tmp_path: Path) -> None:
    """Fine-tuning keeps every character, as all did before: such a run does not turn to the rule either."""
    path = tmp_path / "many.txt"
    path.write_text("".join(map(chr, range(0x4E00, 0x4E00 + LARGE))) * 11 + "a", encoding="utf-8")
    settings = {**TINY, "checkpoints": tmp_path, "epochs": 0.02}
    shape = ("layers", "units", "embedding")
    recorder = Recorder()
    first = train(path, name="first", reporter=recorder, **settings)
    tuned = train(path, start_from=first.best, **{name: settings[name] for name in settings if name not in shape})
    assert recorder.summary.vocabulary == "1,500 characters; 1 rarer than 2 shares one more id, 0.0061 % of the text"
    for run, min_count in ((first, 2), (tuned, 1)):
        metadata = read_checkpoint(resume(run.name, checkpoints=tmp_path, epochs=0.03).last).metadata
        assert metadata.corpus.settings["min_count"] == min_count
        assert (metadata.tokenizer.vocab_size, metadata.tokenizer.has_unknown) == (LARGE + 1, min_count == 2)


def test_validation_zero_trains_on_everything(text: Path, tmp_path: Path) -> None:
    recorder = Recorder()
    run = train(
        text,
        name="all",
        epochs=0.3,
        corpus=CorpusConfig(validation=0.0),
        checkpoints=tmp_path,
        reporter=recorder,
        **TINY,
    )
    assert recorder.rows[-1].val_loss is None
    assert "none validate" in recorder.summary.split
    assert run.best.is_file()


def test_a_budget_of_time_ends_with_the_schedule_complete(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("textgen.training.progress.time", SimpleNamespace(monotonic=lambda: clock.now))

    class Watch(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            clock.now += 0.02

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            rates.append(float(self.model.optimizer.learning_rate))

    run = train(text, name="timed", time=8.0, started=0.0, checkpoints=tmp_path, callbacks=[Watch()], **TINY)
    plan = read_checkpoint(run.last).metadata.progress.plan
    assert plan.steps == run.history[-1].step == len(rates)
    assert plan.decay_start < plan.steps
    assert rates[plan.decay_start - 1] == pytest.approx((1.0 - plan.decay_done) * max(rates), rel=0.05)
    assert rates[-1] < 0.05 * max(rates)
    assert 0.9 * 8.0 < run.history[-1].seconds <= 8.0


def test_users_callbacks_see_validation_at_epoch_ends(text: Path, tmp_path: Path) -> None:
    seen: list[dict[str, float]] = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.append(dict(logs))

    run = train(
        text, name="watched", epochs=0.6, validate_every=9, checkpoints=tmp_path,
        callbacks=[Watch(), keras.callbacks.EarlyStopping(monitor="val_loss", patience=0, min_delta=10.0)], **TINY,
    )  # fmt: skip
    assert seen[0]["val_loss"] == pytest.approx(run.history[0].val_loss)
    assert len(seen) == 2


def test_an_archive_opens_in_plain_keras_with_the_engines_probabilities(whole: Run) -> None:
    model = keras.saving.load_model(whole.best)
    ids = np.random.default_rng(0).integers(0, model.output_shape[-1], (2, 40)).astype("int32")
    checkpoint = read_checkpoint(whole.best)
    writer = textgen.load(whole.best)
    logits, _ = writer.engine.read(ids, writer.engine.initial_state(2))
    odds = np.exp(logits - logits.max(-1, keepdims=True))
    np.testing.assert_allclose(model(ids), odds / odds.sum(-1, keepdims=True), atol=1e-5)
    assert checkpoint.model.vocab_size == model.output_shape[-1]


@pytest.mark.parametrize(
    ("written", "asked"), [("t", {}), ("ti", {}), ("tiny tiny tiny", {"batch_size": 4, "sequence_length": 4})]
)
def test_too_short_a_text_makes_no_run(written: str, asked: dict[str, Any], tmp_path: Path) -> None:
    short = tmp_path / "short.txt"
    short.write_text(written)
    with pytest.raises(CorpusError):
        train(short, checkpoints=tmp_path / "runs", **asked)
    assert not (tmp_path / "runs").exists()


def test_a_text_of_fourteen_characters_is_trained_on_as_it_is(tmp_path: Path) -> None:
    short = tmp_path / "short.txt"
    short.write_text("tiny tiny tiny")
    run = train(short, checkpoints=tmp_path, epochs=1.0, units=4, embedding=2, device="cpu")
    assert math.isfinite(read_checkpoint(run.best).metadata.metrics.loss or math.nan)


def test_training_outside_the_main_thread_works(text: Path, tmp_path: Path) -> None:
    runs: list[Run] = []
    thread = threading.Thread(
        target=lambda: runs.append(train(text, name="aside", epochs=0.1, checkpoints=tmp_path, **TINY))
    )
    thread.start()
    thread.join()
    assert runs[0].last.is_file()


def test_a_falling_rate_keeps_adams_moments(text: Path, tmp_path: Path) -> None:
    rates: list[float] = []
    counts: list[int] = []
    squares: list[np.ndarray] = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            optimizer = self.model.optimizer
            rates.append(float(optimizer.learning_rate))
            counts.append(int(optimizer.iterations.numpy()))
            squares.append(np.concatenate([v.numpy().ravel() for v in optimizer.variables if "velocity" in v.path]))
            self.beta_2 = optimizer.beta_2

    watch = Watch()
    train(text, name="decay", epochs=0.5, validate_every=9, checkpoints=tmp_path, callbacks=[watch], **TINY)
    assert rates[-1] < max(rates)
    assert counts == list(range(1, len(counts) + 1))
    for before, after in itertools.pairwise(squares):
        assert (after >= 0.9999 * watch.beta_2 * before).all()


def test_the_best_loss_is_an_independent_score_of_the_held_out_text(whole: Run, text: Path) -> None:
    metrics = read_checkpoint(whole.best).metadata.metrics
    assert metrics.step > whole.history[0].step, "not the first validation: a state left over would show"
    held_out = encode_corpus(open_corpus(text)).held_out
    logprobs = score_ids(textgen.load(whole.best).engine, held_out, streams=1)
    assert metrics.val_loss == pytest.approx(-logprobs.mean(), abs=3e-5)
