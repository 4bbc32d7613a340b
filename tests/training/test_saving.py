"""How often states are saved, and what happens after a failed save: the cost of a kill and of a full disk."""

import math
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from front_door import judge, run
from hypothesis import given
from hypothesis import strategies as st
from tiny_runs import WHOLE, everything

import textgen
from textgen.errors import CheckpointError, ConfigError, TrainingError
from textgen.model.progress import SavedProgress
from textgen.model.read import read_checkpoint, read_metadata, read_training_state
from textgen.model.results import Validation
from textgen.runs.events import Reporter
from textgen.runs.run import Run
from textgen.system.files import ASIDE
from textgen.training import best_model, session
from textgen.training.progress import Progress
from textgen.training.resume import resume
from textgen.training.schedule import Plan
from textgen.training.start import train


class Watch(Reporter):
    """Keeps the warnings, and does something at each step."""

    def __init__(self, at_step: Any = lambda step: None) -> None:
        self.warnings: list[str] = []
        self._at_step = at_step

    def stepped(self, *, step: int, **_: Any) -> None:
        self._at_step(step)

    def warned(self, message: str) -> None:
        self.warnings.append(message)


@pytest.fixture(scope="module")
def text(bundled_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "haven.txt"
    path.write_bytes((bundled_corpus / "marrow_haven.txt").read_bytes()[:4000])
    return path


@pytest.fixture(scope="module")
def whole(uncut: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose every save went well."""
    return Run(shutil.copytree(uncut.path, tmp_path_factory.mktemp("whole") / "whole"))


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, int]]]:
    """The files that training writes, each with its step."""
    files: list[tuple[str, int]] = []
    real = session.write_checkpoint

    def write(path: Path, *arguments: Any, metadata: Any, **options: Any) -> None:
        real(path, *arguments, metadata=metadata, **options)
        files.append((path.name, metadata.metrics.step))

    for module in (session, best_model):
        monkeypatch.setattr(module, "write_checkpoint", write)
    yield files


@pytest.mark.slow
def test_saving_by_steps_bounds_what_a_cut_can_cost(
    whole: Run, text: Path, tmp_path: Path, written: list[tuple[str, int]]
) -> None:
    cut = SimpleNamespace(at=17)

    def kill(step: int) -> None:
        if step == cut.at:
            raise _Cut

    with pytest.raises(_Cut):
        train(text, name="cut", save_every_steps=5, checkpoints=tmp_path, reporter=Watch(kill), **WHOLE)
    assert [step for name, step in written if name == "last.keras"] == [5, 9, 10, 15]
    written.clear()
    run = resume("cut", checkpoints=tmp_path)
    assert [step for name, step in written if name == "last.keras"][:4] == [18, 20, 25, 27]
    assert everything(run) == everything(whole)


class _Cut(BaseException):
    """Stands for a process that ends on the spot."""


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("30s", {"save_every": 30.0}),
        ("1.5m", {"save_every": 90.0}),
        ("0s", {"save_every": 0.0}),
        ("200", {"save_every_steps": 200}),
        ("200steps", {"save_every_steps": 200}),
        ("1 step", {"save_every_steps": 1}),
    ],
)
def test_save_every_takes_seconds_and_steps(
    given_text: str, expected: dict[str, float], text: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[dict[str, Any]] = []

    def stub(*_: Any, **options: Any) -> Run:
        calls.append(options)
        return Run(tmp_path)

    monkeypatch.setattr("textgen.cli.framework.load_training", lambda *_: SimpleNamespace(train=stub))
    judge(run("train", str(text), f"--save-every={given_text}", "--quiet"), 0)
    assert {name: value for name, value in calls[0].items() if name.startswith("save")} == expected


@pytest.mark.parametrize("given_text", ["0", "-1", "1.5", "2 stepps", "9" * 30, "1e3", "nans"])
def test_no_other_save_interval_is_taken(given_text: str, text: Path) -> None:
    judge(run("train", str(text), f"--save-every={given_text}"), 1, 2)


class _Setback(keras.callbacks.Callback):
    """Makes the model worse after step 20, for good."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.model.steps_done.numpy() == 20:
            bias = self.model.plain.trainable_variables[-1]
            bias.assign(np.linspace(0.0, 6.0, bias.shape[0], dtype="float32"))


SETBACK = {**WHOLE, "layers": 1, "epochs": 0.6, "save_every_steps": 4}


@pytest.fixture(scope="module")
def clean(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with a setback, whose every save went well: its best model is from its middle."""
    run = train(text, name="clean", checkpoints=tmp_path_factory.mktemp("clean"), callbacks=[_Setback()], **SETBACK)
    assert read_metadata(run.best).metrics.step == 18 < read_metadata(run.last).metrics.step
    return run


@pytest.mark.parametrize(
    ("name", "failures"), [pytest.param("best.keras", 1, marks=pytest.mark.slow), ("best.keras", 2), ("last.keras", 2)]
)
def test_a_save_that_fails_is_made_up_for(
    name: str, failures: int, clean: Run, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best model, too, is there in the end, although the weights have moved on since."""
    real, failed = session.write_checkpoint, []

    def full(path: Path, *arguments: Any, metadata: Any, **given: Any) -> None:
        if path.name == name and metadata.metrics.step >= 18 and len(failed) < failures:
            failed.append(path)
            raise CheckpointError(f"{path} cannot be written: the disk is full. Free some space.")
        real(path, *arguments, metadata=metadata, **given)

    for module in (session, best_model):
        monkeypatch.setattr(module, "write_checkpoint", full)
    watch = Watch()
    run = train(text, name="full", checkpoints=tmp_path, callbacks=[_Setback()], reporter=watch, **SETBACK)
    assert len(watch.warnings) == len(failed) == failures
    assert everything(run) == everything(clean)


@pytest.mark.slow
def test_a_file_that_cannot_grow_is_an_error_in_the_end_and_can_be_continued(
    whole: Run, text: Path, tmp_path: Path
) -> None:
    resource = pytest.importorskip("resource")

    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(step: int) -> None:
        if step == 12:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))

    watch = Watch(limit)
    try:
        with pytest.raises(TrainingError, match="last state could not be written") as told:
            train(text, name="run", checkpoints=tmp_path, save_every_steps=4, reporter=watch, **WHOLE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "larger than allowed" in str(told.value)
    kept = Run(tmp_path / "run")
    assert len(watch.warnings) > 5
    assert all("The checkpoint that was there is unharmed" in warning for warning in watch.warnings)
    assert not [path for path in kept.path.iterdir() if path.name.startswith(ASIDE)]
    assert read_metadata(kept.last).metrics.step == 9
    assert everything(resume("run", checkpoints=tmp_path)) == everything(whole)


@pytest.mark.slow
def test_sampling_during_training_always_finds_a_whole_model(text: Path, tmp_path: Path) -> None:
    texts: list[str] = []
    problems: list[BaseException] = []
    over = threading.Event()

    def sample() -> None:
        place = Run(tmp_path / "busy")
        # A pause, so that training is not held up by a thread that looks for nothing but a file.
        while not over.wait(0.01):
            if not place.best.exists():
                continue
            try:
                texts.append(textgen.load(place.path).generate(max_new_tokens=30, seed=1).text)
                read_checkpoint(place.last)
                read_training_state(place.last)
            except CheckpointError as error:
                if place.last.exists():
                    problems.append(error)
            except BaseException as error:
                problems.append(error)

    reader = threading.Thread(target=sample)
    reader.start()
    try:
        train(text, name="busy", save_every_steps=1, checkpoints=tmp_path, **{**WHOLE, "epochs": 0.4})
    finally:
        over.set()
        reader.join()
    assert problems == []
    assert len(texts) > 5
    assert len(set(texts)) > 1


def test_a_second_writer_is_refused_while_the_first_lives(whole: Run, text: Path) -> None:
    program = (
        "import sys; from textgen.runs.run import Run\n"
        f"with Run({str(whole.path)!r}).locked():\n print('ready', flush=True); sys.stdin.read()"
    )
    root, place = Path(textgen.__file__).parent.parent, f"--checkpoints={whole.path.parent}"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    before = everything(whole)
    with subprocess.Popen([sys.executable, "-c", program], cwd=root, **pipes) as holder:  # type: ignore[call-overload]
        assert holder.stdout.readline().strip() == b"ready"
        for line in (["--resume=whole"], [str(text), "--name=whole", "--device=cpu"]):
            assert f"process {holder.pid}" in judge(run("train", *line, place), 1).err
        holder.kill()
    assert everything(resume("whole", checkpoints=whole.path.parent)) == before


WHERE: Any = {"sources": ["/sea.txt"], "created": "2026-01-31T12:00:00+00:00", "tensorboard": False}
SAVED = Progress(Plan(steps=9, decay_start=3, validate_every=3)).saved(**WHERE)
numbers = st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.just(10**400) | st.text(max_size=2)


@given(
    st.dictionaries(st.sampled_from(["plan", "step", "best", "waits", "rate_factor", "rescues", "seconds"]), numbers)
)
def test_no_progress_from_a_stranger_s_file_goes_unchecked(changes: dict[str, Any]) -> None:
    try:
        saved = SavedProgress.from_json({**SAVED.to_json(), **changes})
    except ValueError:
        return
    read = Progress.restored(saved, [], started=0.0)
    assert read.step >= 0
    assert read.plan.validate_every >= 1
    assert read.recoveries >= 0
    assert abs(read.rate_factor) < 1e15


def test_progress_is_restored_as_it_was_saved() -> None:
    plan = Plan(steps=9, decay_start=3, validate_every=3, decay_done=0.5, whole_from=None)
    for best in (1.5, math.inf):
        progress = Progress(plan, step=4, best=best, waits=2, rate_factor=0.5, recoveries=1, earlier_seconds=7.0)
        progress.history.append(Validation(step=3, loss=2.0))
        saved = SavedProgress.from_json(progress.saved(**WHERE).to_json())
        assert saved.seconds >= 7.0
        read = Progress.restored(replace(saved, seconds=7.0), progress.history, started=progress.started)
        assert read == progress


def test_a_run_from_before_ends_could_be_moved_goes_on() -> None:
    values = Progress(Plan(steps=9, decay_start=3, validate_every=3, decay_done=0.5)).saved(**WHERE).to_json()
    del values["plan"]["decay_done"], values["plan"]["whole_from"]
    saved = SavedProgress.from_json(values)
    assert Progress.restored(saved, [], started=0.0).plan == Plan(steps=9, decay_start=3, validate_every=3)
    for wrong in (-0.5, 1.5, "1", None):
        with pytest.raises(ValueError, match="decay_done"):
            SavedProgress.from_json({**values, "plan": {**values["plan"], "decay_done": wrong}})
    for wrong in (-1, 1.5, "1", True):
        with pytest.raises(ValueError, match="whole_from"):
            SavedProgress.from_json({**values, "plan": {**values["plan"], "whole_from": wrong}})
    assert textgen.TrainingConfig.from_json({"batch_size": 7}) == textgen.TrainingConfig(
        batch_size=7, cautious=False, halved_fraction=0.0, logit_scale=1.0
    )


def test_a_save_every_that_is_no_number_of_steps_is_refused() -> None:
    for value in (0, -1, 1.5, True, 10**10):
        with pytest.raises(ConfigError, match="save_every_steps"):
            textgen.TrainingConfig(save_every_steps=value)  # type: ignore[arg-type]
