"""Event files for TensorBoard: what stands in them, through cuts and continuations, and that training is the same."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from recording import Killed, Recorder
from tiny_runs import TINY, everything

from textgen.cli import cli
from textgen.errors import RunError
from textgen.model.read import read_checkpoint
from textgen.model.results import Validation
from textgen.runs.events import Reporter
from textgen.runs.run import Run
from textgen.training.progress import Progress
from textgen.training.resume import resume
from textgen.training.schedule import Plan
from textgen.training.start import train
from textgen.training.tensorboard import EventWriter, event_files

WHOLE = {**TINY, "epochs": 0.6, "seed": 5, "validate_every": 9}
FIGURES = ("loss", "learning_rate", "gradient_norm")


def read(folder: Path) -> dict[str, list[tuple[int, Any]]]:
    """Each tag's steps and values, in the order in which TensorBoard meets them."""
    found: dict[str, list[tuple[int, Any]]] = {}
    # Files are named by the second, and a test goes on sooner than that.
    for path in sorted(folder.glob("*tfevents*.textgen"), key=lambda path: path.stat().st_mtime_ns):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, tf.make_ndarray(value.tensor)))
                plugin = "text" if value.tag == "sample" else "scalars"
                assert value.metadata.plugin_data.plugin_name == plugin
    return found


def steps(found: dict[str, list[tuple[int, Any]]], tag: str) -> list[int]:
    return [step for step, _ in found[tag]]


def at_step(wanted: int, act: Callable[[], None]) -> Recorder:
    return Recorder(lambda step: act() if step == wanted else None)


def kill() -> None:
    raise Killed


@pytest.fixture(scope="module")
def text(bundled_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "haven.txt"
    path.write_text((bundled_corpus / "marrow_haven.txt").read_text()[:4000])
    return path


@pytest.fixture(scope="module")
def silent(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(text, name="silent", checkpoints=tmp_path_factory.mktemp("silent"), **WHOLE)


@pytest.fixture(scope="module")
def told(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(text, name="told", checkpoints=tmp_path_factory.mktemp("told"), tensorboard=True, **WHOLE)


def test_events_change_nothing_in_training(silent: Run, told: Run) -> None:
    assert everything(told) == everything(silent)
    assert not silent.events_folder().exists()


def test_every_step_and_every_validation_is_there_once_with_its_values(told: Run) -> None:
    found = read(told.events_folder())
    last = read_checkpoint(told.last).metadata.metrics.step
    for tag in FIGURES:
        assert steps(found, tag) == list(range(1, last + 1))
    history = told.history
    assert found["val_loss"] == [(row.step, np.float32(row.val_loss)) for row in history]
    assert [value for _, value in found["bits_per_character"]] == pytest.approx(
        [row.val_loss / np.log(2.0) for row in history]
    )
    rates = dict(found["learning_rate"])
    assert all(rates[row.step] == np.float32(row.learning_rate) for row in history)
    first = np.mean([value for step, value in found["loss"] if step <= history[0].step])
    assert first == pytest.approx(history[0].loss, rel=1e-5)
    assert all(value > 0.0 for _, value in found["gradient_norm"])
    assert steps(found, "sample") == [row.step for row in history]
    for (_, value), row in zip(found["sample"], history, strict=True):
        (shown,) = value.tolist()
        assert [line[4:] for line in shown.decode().split("\n")] == row.sample.split("\n")
        assert all(line.startswith("    ") for line in shown.decode().split("\n"))


@pytest.mark.slow
def test_an_interrupted_run_continues_where_it_was_and_needs_no_asking(told: Run, text: Path, tmp_path: Path) -> None:
    press = at_step(13, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        train(text, name="told", checkpoints=tmp_path, tensorboard=True, reporter=press, **WHOLE)
    folder = Run(tmp_path / "told").events_folder()
    assert steps(read(folder), "loss") == list(range(1, 14))
    assert everything(resume("told", checkpoints=tmp_path)) == everything(told)
    assert same(read(folder), read(told.events_folder()))


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        steps(one, tag) == steps(other, tag)
        and all(np.array_equal(a, b) for (_, a), (_, b) in zip(one[tag], other[tag], strict=True))
        for tag in one
    )


@pytest.mark.slow
def test_a_killed_run_continues_in_its_folder_without_what_it_wrote_too_much(
    told: Run, text: Path, tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    with pytest.raises(Killed):
        train(text, name="cut", checkpoints=tmp_path, tensorboard=logs, save_every_steps=8, reporter=at_step(23, kill),
              **WHOLE)  # fmt: skip
    run = Run(tmp_path / "cut")
    assert read_checkpoint(run.last).metadata.metrics.step == 18
    assert steps(read(logs / "cut"), "loss")[-1] == 22
    resume("cut", checkpoints=tmp_path)
    assert same(read(logs / "cut"), read(told.events_folder()))
    assert not run.events_folder().exists()


class Model:
    """As much of a trainer as a writer of events looks at."""

    last_loss, gradient_norm = 1.0, 2.0

    class optimizer:
        learning_rate = 0.5


def write(folder: Path, *, after: int, until: int, every: int = 4, reporter: Reporter | None = None) -> EventWriter:
    """Writes the events of a process that goes on after a step, with its validations."""

    def row(step: int) -> Validation:
        return Validation(step=step, val_loss=1.0 / step, sample=f"{step}\n")

    progress = Progress(plan=Plan(steps=None, decay_start=None, validate_every=every), step=after)
    progress.history = [row(step) for step in range(every, after + 1, every)]
    writer = EventWriter(folder, progress, reporter or Reporter())
    writer.set_model(Model())
    writer.on_train_begin()
    for progress.step in range(after + 1, until + 1):
        writer.on_train_batch_end(0)
        if progress.step % every == 0:
            progress.history.append(row(progress.step))
            writer.on_epoch_end(0)
    writer.close()
    return writer


@pytest.mark.parametrize("after", [5, 8, 9, 11])
@pytest.mark.parametrize("lost", [0, 1, 7, 60])
def test_no_step_is_there_twice_and_none_is_missing_however_a_process_ended(
    after: int, lost: int, tmp_path: Path
) -> None:
    write(tmp_path, after=0, until=11)
    (path,) = event_files(tmp_path)
    path.write_bytes(path.read_bytes()[:-lost] if lost else path.read_bytes())
    kept = min(steps(read_whole(path), "loss")[-1], after)
    write(tmp_path, after=after, until=13)
    found = read(tmp_path)
    assert steps(found, "loss") == [*range(1, kept + 1), *range(after + 1, 14)]
    assert steps(found, "val_loss") == steps(found, "sample") == [4, 8, 12]
    assert not list(tmp_path.glob(".textgen-*"))


def read_whole(path: Path) -> dict[str, list[tuple[int, Any]]]:
    """What can be read of a file that may be cut."""
    found: dict[str, list[tuple[int, Any]]] = {}
    try:
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, None))
    except tf.errors.DataLossError:
        pass
    return found


def test_validations_from_before_are_added_where_events_begin_late(tmp_path: Path) -> None:
    write(tmp_path, after=9, until=13)
    found = read(tmp_path)
    assert steps(found, "loss") == [10, 11, 12, 13]
    assert steps(found, "val_loss") == [4, 8, 12]


def test_files_of_others_are_left_alone_and_a_new_run_stays_out_of_an_old_one_s_folder(tmp_path: Path) -> None:
    other = tmp_path / "events.out.tfevents.1.other"
    other.write_bytes(b"not ours")
    write(tmp_path, after=0, until=9)
    write(tmp_path, after=3, until=5)
    assert other.read_bytes() == b"not ours"
    with pytest.raises(RunError, match="holds those of another run"):
        write(tmp_path, after=0, until=1)


def test_a_long_run_gives_every_tenth_step(tmp_path: Path) -> None:
    write(tmp_path, after=998, until=1021, every=10_000)
    assert steps(read(tmp_path), "loss") == [999, 1000, 1010, 1020]


def test_a_row_without_figures_gives_none(tmp_path: Path) -> None:
    rows = [Validation(step=3)]
    progress = Progress(plan=Plan(steps=None, decay_start=None, validate_every=1), step=5, history=rows)
    writer = EventWriter(tmp_path, progress, Reporter())
    writer.on_train_begin()
    writer.close()
    assert "val_loss" not in read(tmp_path)


def test_a_disk_that_refuses_is_one_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(tf.summary, "write", refuse)
    recorder = Recorder()
    write(tmp_path, after=0, until=9, reporter=recorder)
    (warning,) = recorder.warnings
    assert warning == f"Events for TensorBoard are no longer written to {tmp_path}: No space left on device."


def test_a_folder_that_cannot_be_one_is_refused_before_anything_is_made(text: Path, tmp_path: Path) -> None:
    for folder in (text, text / "events", "a\0b"):
        with pytest.raises(RunError, match="cannot go to"):
            train(text, name="none", checkpoints=tmp_path, tensorboard=folder, **WHOLE)
    assert not (tmp_path / "none").exists()


def test_a_run_that_fails_before_its_first_save_leaves_no_folder(text: Path, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(text, name="gone", checkpoints=tmp_path, tensorboard=True, reporter=at_step(4, kill), **WHOLE)
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("recorded", ["/somewhere/else", True])
def test_a_stranger_s_checkpoint_names_no_folder_to_write_to(recorded: Any, told: Run) -> None:
    from textgen.training.resume import _events_before

    progress = read_checkpoint(told.last).metadata.progress
    assert progress is not None
    assert _events_before(told, replace(progress, tensorboard=recorded)) is True
    assert _events_before(told, replace(progress, tensorboard=False)) is False


def test_the_command_takes_a_folder_or_none_and_sees_a_text_in_its_place(text: Path, tmp_path: Path) -> None:
    options = ["--units", "8", "--layers", "1", "--batch-size", "4", "--sequence-length", "16", "--epochs", "0.1"]
    common = [*options, "--device", "cpu", "--checkpoints", str(tmp_path / "runs")]
    done = CliRunner().invoke(cli, ["train", str(text), "--name", "a", *common, "--tensorboard"])
    assert done.exit_code == 0, done.output
    folder = tmp_path / "runs" / "a" / "tensorboard"
    assert f"tensorboard --logdir {folder}" in done.stderr
    assert steps(read(folder), "loss")[0] == 1
    wrong = CliRunner().invoke(cli, ["train", "--tensorboard", str(text), *common])
    assert wrong.exit_code == 2
    assert f"Put the text before it: textgen train {text} --tensorboard" in wrong.stderr
