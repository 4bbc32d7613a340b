"""What a cut can cost and what a full disk may cost: how often states are saved, and what becomes of failed saves."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from front_door import judge, run
from hypothesis import given
from hypothesis import strategies as st
from tiny_runs import WHOLE, everything

import textgen
from textgen import session
from textgen.callbacks import Progress
from textgen.checkpoint import read_checkpoint, read_metadata, read_training_state
from textgen.errors import CheckpointError, ConfigError, TrainingError
from textgen.reporter import Reporter
from textgen.runs import Run
from textgen.schedule import Plan
from textgen.system.files import ASIDE
from textgen.training import resume, train


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
def whole(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose every save went well."""
    return train(text, name="whole", checkpoints=tmp_path_factory.mktemp("whole"), **WHOLE)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, int]]]:
    """The files that training writes, each with its step."""
    files: list[tuple[str, int]] = []
    real = session.write_checkpoint

    def write(path: Path, *arguments: Any, metadata: Any, **options: Any) -> None:
        real(path, *arguments, metadata=metadata, **options)
        files.append((path.name, metadata["metrics"]["step"]))

    monkeypatch.setattr(session, "write_checkpoint", write)
    yield files


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
def test_no_other_pace_is_taken(given_text: str, text: Path) -> None:
    judge(run("train", str(text), f"--save-every={given_text}"), 1, 2)


@pytest.mark.parametrize("failing", [1, 2, 3, 4, 5, 6])
def test_a_save_that_fails_is_made_up_for(
    failing: int, whole: Run, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best model, too, is there in the end, although the weights have moved on since."""
    real, calls = session.write_checkpoint, []

    def full(path: Path, *arguments: Any, **options: Any) -> None:
        calls.append(path.name)
        if failing <= len(calls) < failing + 2:
            raise CheckpointError(f"{path} cannot be written: the disk is full. Free some space.")
        real(path, *arguments, **options)

    monkeypatch.setattr(session, "write_checkpoint", full)
    watch = Watch()
    run = train(text, name="full", save_every_steps=3, checkpoints=tmp_path, reporter=watch, **WHOLE)
    assert len(watch.warnings) == 2
    assert everything(run) == everything(whole)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on files")
@pytest.mark.parametrize("stays", [False, True])
def test_a_file_that_cannot_grow_is_tried_again_and_an_error_in_the_end(
    stays: bool, whole: Run, text: Path, tmp_path: Path
) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(step: int) -> None:
        if step == 12:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
        if step == 20 and not stays:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    watch = Watch(limit)
    try:
        if stays:
            with pytest.raises(TrainingError, match="last state could not be written.*larger than allowed"):
                train(text, name="run", checkpoints=tmp_path, save_every_steps=4, reporter=watch, **WHOLE)
        else:
            train(text, name="run", checkpoints=tmp_path, save_every_steps=4, reporter=watch, **WHOLE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    kept = Run(tmp_path / "run")
    assert watch.warnings
    assert all("The checkpoint that was there is unharmed" in warning for warning in watch.warnings)
    assert not [path for path in kept.path.iterdir() if path.name.startswith(ASIDE)]
    if stays:
        assert read_metadata(kept.last)["metrics"]["step"] == 9
        assert read_training_state(kept.last)
        resume("run", checkpoints=tmp_path)
    assert everything(kept) == everything(whole)


def test_sampling_during_training_always_finds_a_whole_model(text: Path, tmp_path: Path) -> None:
    texts: list[str] = []
    problems: list[BaseException] = []
    over = threading.Event()

    def sample() -> None:
        place = Run(tmp_path / "busy")
        while not over.is_set():
            if not place.best.exists():
                continue
            try:
                texts.append(textgen.load(place.path).generate(max_new_tokens=3, seed=1).text)
                read_checkpoint(place.last)
                read_training_state(place.last)
            except CheckpointError as error:
                if place.last.exists():
                    problems.append(error)
            except BaseException as error:
                problems.append(error)

    readers = [threading.Thread(target=sample) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        train(text, name="busy", save_every_steps=1, checkpoints=tmp_path, **WHOLE)
    finally:
        over.set()
        for reader in readers:
            reader.join()
    assert problems == []
    assert len(texts) > 20
    assert len(set(texts)) > 1


def test_a_second_writer_is_refused_while_the_first_lives(whole: Run, text: Path) -> None:
    program = (
        "import sys; from textgen.runs import Run\n"
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


numbers = st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.just(10**400) | st.text(max_size=2)


@given(
    st.dictionaries(st.sampled_from(list(Progress(Plan(steps=9, decay_start=3, validate_every=3)).to_json())), numbers)
)
def test_no_progress_from_a_stranger_s_file_goes_unchecked(changes: dict[str, Any]) -> None:
    values = Progress(Plan(steps=9, decay_start=3, validate_every=3)).to_json()
    assert Progress.from_json(values, []).to_json().keys() == values.keys()
    try:
        read = Progress.from_json({**values, **changes}, [])
    except ValueError:
        return
    assert read.step >= 0
    assert read.plan.validate_every >= 1
    assert read.rescues >= 0
    assert abs(read.rate_factor) < 1e15


def test_a_save_every_that_is_no_number_of_steps_is_refused() -> None:
    for value in (0, -1, 1.5, True, 10**10):
        with pytest.raises(ConfigError, match="save_every_steps"):
            textgen.TrainingConfig(save_every_steps=value)  # type: ignore[arg-type]
