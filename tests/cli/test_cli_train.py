"""`textgen train`: what it passes on, what it shows, and how it ends."""

import contextlib
import gc
import inspect
import math
import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from terminal import Terminal
from tiny_runs import TINY, everything

import textgen
from textgen.cli import STARTED, cli, framework, progress
from textgen.cli.progress import Progress
from textgen.config import CorpusConfig, WorkersConfig
from textgen.model.read import read_metadata
from textgen.model.results import Validation
from textgen.runs.events import Reporter, Summary
from textgen.runs.run import Run
from textgen.system import counting_stops
from textgen.training.framework import quiet_errors

ROOT = Path(textgen.__file__).parent.parent
SUMMARY = Summary(
    corpus="poems, 9 characters",
    vocabulary="5 characters",
    split="the first 8 train",
    model="1 x 16 LSTM",
    device="CPU",
    budget="1 epoch",
    run="checkpoints/poems",
    problems=["Bring more text."],
)
ROW = Validation(
    step=1200, epoch=2.5, seconds=72.0, characters=9, loss=1.5, val_loss=1.6, learning_rate=0.1,
    sample="The sea\n\nwas out.",
)  # fmt: skip


class Recorder:
    """Stands in for `train` and `resume`."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.interrupt: KeyboardInterrupt | None = None

    def train(self, *args: Any, **kwargs: Any) -> Run:
        return self._record("train", args, kwargs)

    def resume(self, *args: Any, **kwargs: Any) -> Run:
        return self._record("resume", args, kwargs)

    def _record(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run:
        self.calls.append((name, args, kwargs))
        if self.interrupt is not None:
            raise self.interrupt
        return Run(Path("checkpoints/poems"))


@pytest.fixture
def poems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "poems.txt"
    path.write_text(("The sea, the sea!\n" * 10 + "\n") * 10)
    return path


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(framework, "load_training", lambda device: recorder)
    return recorder


def run(*arguments: str, **kwargs: Any) -> Result:
    return CliRunner().invoke(cli, ["train", *arguments], prog_name="textgen", **kwargs)


def test_without_options_the_library_decides_everything(poems: Path, recorder: Recorder) -> None:
    assert run("poems.txt").exit_code == 0
    ((name, args, kwargs),) = recorder.calls
    assert (name, args) == ("train", (["poems.txt"],))
    assert isinstance(kwargs.pop("reporter"), Progress)
    assert {key: value for key, value in kwargs.items() if value is not None} == {
        "corpus": CorpusConfig(),
        "checkpoints": Path("checkpoints"),
        "workers": WorkersConfig(),
        "started": STARTED,
    }


def test_every_option_reaches_the_library(poems: Path, recorder: Recorder) -> None:
    from textgen.training.start import train

    line = (
        "--name p --size tiny --time 1h30m --seed 3 --checkpoints out --encoding latin-1 --keep-newlines "
        "--normalize nfc --glob *.md --min-count 2 --validation 0 --cell gru --layers 3 --units 9 --embedding 5 "
        "--no-skip --dropout 0 --input-dropout 0 --batch-size 7 --sequence-length 8 --learning-rate 1e-3 "
        "--schedule cosine --weight-decay 0 --weight-drop 0 --patience 4 --validate-every 6 --save-every 2m "
        "--state-reset 0 --precision float32 --device cpu --shards 2 --tensorboard logs --beta-2 0.9 --no-cautious "
        "--clip-norm inf --warmup-steps 0 --decay-fraction 0.5 --final-rate 0.1 --halved-fraction 0 --logit-scale 1 "
        "--hidden-rate 2 --no-calibrate --negatives 600 --validation-characters 700 --records none --label-drop 0.2 "
        "--sides both --right-context 9 --joint-weight 2 --permute-rare"
    )
    assert run("poems.txt", *line.split()).exit_code == 0
    ((_, _, given),) = recorder.calls
    corpus = CorpusConfig(
        encoding="latin-1", keep_newlines=True, normalize="nfc", glob="*.md", min_count=2, validation=0.0,
        records="none",
    )  # fmt: skip
    assert {key: value for key, value in given.items() if key not in ("reporter", "started")} == {
        "name": "p", "size": "tiny", "time": 5400.0, "seed": 3, "checkpoints": Path("out"), "corpus": corpus,
        "cell": "gru", "layers": 3, "units": 9, "embedding": 5, "skip": False, "dropout": 0.0, "input_dropout": 0.0,
        "batch_size": 7, "sequence_length": 8, "learning_rate": 1e-3, "schedule": "cosine", "weight_decay": 0.0,
        "weight_drop": 0.0, "state_reset": 0.0, "patience": 4, "validate_every": 6, "save_every": 120.0,
        "precision": "float32", "device": "cpu", "shards": 2, "tensorboard": "logs", "start_from": None,
        "beta_2": 0.9, "cautious": False, "clip_norm": math.inf, "warmup_steps": 0, "decay_fraction": 0.5,
        "final_rate": 0.1, "halved_fraction": 0.0, "logit_scale": 1.0, "calibrate": False, "hidden_rate": 2.0,
        "negatives": 600, "permute_rare": True, "validation_characters": 700, "label_drop": 0.2,
        "workers": WorkersConfig(),
        "sides": "both", "right_context": 9, "joint_weight": 2.0,
    }  # fmt: skip
    parameters = inspect.signature(train).parameters
    assert set(given) <= set(parameters)
    assert set(parameters) - set(given) == {
        "sources", "texts", "epochs", "save_every_steps", "callbacks", "encoder_layers",
    }  # fmt: skip


@pytest.mark.parametrize(("line", "min_count"), [("", None), ("--min-count 1", 1), ("--min-count 3", 3)])
def test_the_text_decides_how_rare_characters_are_unless_that_is_said(
    poems: Path, recorder: Recorder, line: str, min_count: int | None
) -> None:
    assert run("poems.txt", *line.split()).exit_code == 0
    ((_, _, given),) = recorder.calls
    assert given["corpus"].min_count == min_count


def test_several_globs_are_taken(poems: Path, recorder: Recorder) -> None:
    assert run("poems.txt", "--glob", "*.txt", "--glob", "*.md").exit_code == 0
    assert recorder.calls[-1][2]["corpus"].glob == ("*.txt", "*.md")


def test_a_stream_is_read_before_tensorflow_is_loaded(poems: Path, recorder: Recorder) -> None:
    assert run("-", input="the sea, " * 9).exit_code == 0
    ((_, (corpus,), _),) = recorder.calls
    assert "".join(corpus.pieces()) == "the sea, " * 9
    assert run("poems.txt").exit_code == 0
    assert recorder.calls[-1][1] == (["poems.txt"],)


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("", (), "is empty"),
        ("a", (), r"has 0 characters, but one batch .* Give a longer text\."),
        ("the sea", ("--batch-size", "9", "--sequence-length", "9"), r"pass --batch-size 1 --sequence-length 5\."),
        ("the sea" * 4, ("--batch-size", "9", "--sequence-length", "9"), r"pass --batch-size 2\."),
    ],
)
def test_a_text_too_short_is_refused_before_tensorflow_is_loaded(
    poems: Path, recorder: Recorder, text: str, options: tuple[str, ...], words: str
) -> None:
    poems.with_name("short.txt").write_text(text, encoding="utf-8")
    result = run("short.txt", *options)
    assert result.exit_code == 1
    assert re.search(words, str(result.exception) + result.output)
    assert not recorder.calls
    for offered in re.findall(r"pass (--.*)\.", str(result.exception) + result.output):
        assert run("short.txt", *offered.split()).exit_code == 0
    assert run("short.txt").exit_code == (0 if len(text) > 2 else 1)


def test_a_terminal_is_told_what_is_waited_for(
    poems: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("textgen.cli.reading.is_terminal", lambda stream: True)
    assert "Ctrl-D on a line of its own ends it" in run("-", input="the sea, " * 9).stderr


def test_saves_come_by_time_or_by_steps(poems: Path, recorder: Recorder) -> None:
    for written, field, value in (("90s", "save_every", 90.0), ("200", "save_every_steps", 200)):
        assert run("poems.txt", "--save-every", written).exit_code == 0
        kwargs = recorder.calls[-1][2]
        assert {key: kwargs[key] for key in kwargs if key.startswith("save_every")} == {field: value}


def test_resuming_passes_on_what_may_change(poems: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    from textgen.training.resume import resume

    monkeypatch.setattr("textgen.runs.find.find_run", lambda name, checkpoints: Run(checkpoints / name))
    assert run("--resume", "poems", "--epochs", "3", "--device", "cpu", "--shards", "1").exit_code == 0
    ((name, args, kwargs),) = recorder.calls
    assert (name, args) == ("resume", ("poems",))
    assert {key: kwargs[key] for key in ("sources", "epochs", "device", "shards")} == {
        "sources": [], "epochs": 3.0, "device": "cpu", "shards": 1,
    }  # fmt: skip
    assert set(kwargs) <= set(inspect.signature(resume).parameters)


def test_nothing_goes_to_standard_output(poems: Path, recorder: Recorder) -> None:
    result = run("poems.txt")
    assert result.stdout == ""
    assert result.stderr.endswith("textgen sample --run poems\n")
    assert run("poems.txt", "--quiet").output == ""


def test_another_folder_and_an_odd_name_are_part_of_the_next_command(
    poems: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "_record", lambda *_: Run(Path("my runs/the sea")))
    assert run("poems.txt", "--checkpoints", "my runs").stderr.endswith(
        "textgen sample --run 'the sea' --checkpoints 'my runs'\n"
    )


def test_ctrl_c_before_anything_was_saved_says_so(poems: Path, recorder: Recorder) -> None:
    recorder.interrupt = KeyboardInterrupt()
    result = run("poems.txt")
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr == "Interrupted; nothing has been saved yet.\n"


@pytest.mark.parametrize(("number", "code"), [((), 130), ((15,), 143), ((1,), 129)])
def test_the_exit_code_is_that_of_the_signal(
    poems: Path, recorder: Recorder, number: tuple[int, ...], code: int
) -> None:
    recorder.interrupt = KeyboardInterrupt(*number)
    assert run("poems.txt").exit_code == code


def test_the_events_name_what_reporters_hear() -> None:
    for name, method in vars(Reporter).items():
        if not name.startswith("_"):
            assert inspect.signature(getattr(Progress, name)) == inspect.signature(method), name


def test_without_a_terminal_there_are_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    watch(Progress(), steps=50)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "corpus      poems, 9 characters",
        "vocabulary  5 characters",
        "split       the first 8 train",
        "model       1 x 16 LSTM",
        "device      CPU",
        "budget      1 epoch",
        "run         checkpoints/poems",
        "Warning: Bring more text.",
        "step 1,200  epoch  2.50  loss 1.5000  val 1.6000  2.308 bits/char  1m 12s  best",
        "Done.",
    ]


def test_quiet_shows_warnings_only(capsys: pytest.CaptureFixture[str]) -> None:
    watch(Progress(quiet=True), steps=50)
    assert capsys.readouterr().err == "Warning: Bring more text.\n"


def test_without_validation_the_training_loss_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Progress()
    shown.validated(replace(ROW, val_loss=None), best=False)
    assert capsys.readouterr().err == (
        f"step 1,200  epoch  2.50  loss 1.5000  {1.5 / math.log(2):.3f} bits/char  1m 12s\n"
    )


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal on which a second passes with every look at the clock."""
    terminal = Terminal()
    seconds = iter(range(10**6))
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: float(next(seconds))))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    return terminal


def test_a_terminal_shows_loss_bits_speed_and_time_left(terminal: Terminal) -> None:
    shown = Progress(stream=terminal)
    for n in range(1, 26):
        shown.stepped(step=n, steps=None, share=n / 100, loss=2.0, characters=2048)
    bar = terminal.lines[-1]
    assert re.search(r" 25% \|.*\| loss 2\.000  2\.89 bits/char  2\.0k char/s  1m 15s left", bar)


def test_a_validation_stands_above_the_bar_with_a_sample(terminal: Terminal) -> None:
    watch(Progress(stream=terminal), steps=50)
    lines = [line for line in terminal.lines if line.strip()]
    place = next(n for n, line in enumerate(lines) if line.startswith("step 1,200"))
    assert lines[place + 1 :] == ["    | The sea", "    | was out.", "Done."]


def test_reading_a_long_text_shows_a_bar_and_takes_it_away(terminal: Terminal) -> None:
    shown = Progress(stream=terminal)
    shown.encoding(0, 10**9)
    shown.encoding(5 * 10**8, 10**9)
    shown.encoding(10**9, 10**9)
    assert shown._bar is None


def test_a_run_that_goes_on_counts_its_time_from_here(terminal: Terminal) -> None:
    shown = Progress(stream=terminal)
    for n in range(50, 76):
        shown.stepped(step=n, steps=100, share=n / 100, loss=2.0, characters=1000)
    assert re.search(r"75% .* 25s left", terminal.lines[-1])


@pytest.mark.skipif(not hasattr(signal, "SIGCONT"), reason="Windows stops no processes")
def test_the_time_left_leaves_out_what_the_process_was_stopped(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("time.monotonic", lambda: clock.now)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    shown = Progress(stream=terminal)
    with counting_stops():
        for n in range(1, 51):
            clock.now += 1.0
            if n == 20:
                clock.now += 3600.0
                signal.raise_signal(signal.SIGCONT)
            shown.stepped(step=n, steps=100, share=n / 100, loss=2.0, characters=1000)
    assert re.search(r" 50% \|.* 1\.0k char/s  (49|50|51)s left", terminal.lines[-1])


def watch(shown: Progress, *, steps: int) -> None:
    shown.started(SUMMARY)
    for n in range(steps):
        shown.stepped(step=n + 1, steps=steps, share=n / steps, loss=1.5, characters=100)
    shown.validated(ROW, best=True)
    shown.finished("Done.")
    assert shown.steps == steps


def test_what_fails_while_tensorflow_is_loaded_is_shown_with_its_chatter(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with quiet_errors():
        os.write(2, b"chatter\n")
    assert capfd.readouterr().err == ""
    with pytest.raises(ImportError), quiet_errors():
        os.write(2, b"a library is missing\n")
        raise ImportError
    assert capfd.readouterr().err == "a library is missing\n"


def test_what_the_import_of_tensorflow_makes_is_frozen_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", SimpleNamespace())
    gc.unfreeze()
    with framework._objects_for_good():
        assert gc.isenabled()
    assert gc.get_freeze_count() == 0
    monkeypatch.delitem(sys.modules, "tensorflow")
    try:
        with framework._objects_for_good():
            assert not gc.isenabled()
        assert gc.get_freeze_count() > 0
        assert gc.isenabled()
    finally:
        gc.unfreeze()


def test_without_tensorflow_there_is_a_sentence(poems: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.delitem(sys.modules, "textgen.training.start", raising=False)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.setitem(sys.modules, "keras", None)
    result = run("poems.txt")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: Training needs TensorFlow")


TINY_OPTIONS = [
    f"--{name.replace('_', '-')}={value}" for name, value in {**TINY, "epochs": 2, "validate_every": 40}.items()
]


def test_ctrl_c_saves_and_the_command_it_prints_ends_where_an_uncut_run_ends(
    tmp_path: Path, bundled_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = tmp_path / "poems.txt"
    text.write_text((bundled_corpus / "marrow_haven.txt").read_text()[:10_000])
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    line = [sys.executable, "-m", "textgen", "train", "poems.txt", *TINY_OPTIONS]
    with subprocess.Popen(
        line, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stderr is not None and child.stdout is not None
        seen = []
        watchdog = threading.Timer(120, child.kill)
        watchdog.start()
        for each in child.stderr:
            seen.append(each.rstrip("\n"))
            if each.startswith("step"):
                child.send_signal(signal.SIGINT)
                break
        seen += child.stderr.read().splitlines()
        watchdog.cancel()
        assert child.stdout.read() == ""
        assert child.wait() == 130
    labels = ("corpus", "vocabulary", "split", "model", "device", "budget", "run", "step")
    assert [each.split()[0] for each in seen[:8]] == list(labels)
    assert re.fullmatch(r"Interrupted; everything up to step \d+ is saved\. Continue with:", seen[-2])
    assert seen[-1] == "  textgen train --resume poems"
    assert all(each.startswith("step") for each in seen[8:-2])

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    for arguments in (seen[-1].split()[2:], ["poems.txt", "--name", "uncut", *TINY_OPTIONS]):
        result = run(*arguments)
        assert result.exit_code == 0, result.stderr
        assert re.search(r"Best model: validation loss \d\.\d{4}, \d\.\d{3} bits per character\.", result.stderr)
    assert everything(Run(Path("checkpoints/poems"))) == everything(Run(Path("checkpoints/uncut")))
    result = run("--resume", "poems")
    assert "has reached its end already" in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no signals to one process")
@pytest.mark.parametrize(
    "end", ["SIGTERM", *(pytest.param(end, marks=pytest.mark.slow) for end in ("hang up", "SIGHUP"))]
)
def test_every_signal_saves_and_has_its_exit_code(tmp_path: Path, bundled_corpus: Path, end: str) -> None:
    termios = pytest.importorskip("termios")
    text = tmp_path / "poems.txt"
    text.write_text((bundled_corpus / "marrow_haven.txt").read_text()[:10_000])
    # The child's standard error is a terminal that it leads, so that it can hang up.
    lead = f"import fcntl; fcntl.ioctl(2, {termios.TIOCSCTTY}, 0); from textgen.cli import main; main()"
    arguments = ["train", "poems.txt", *TINY_OPTIONS, "--epochs=400"]
    leader, follower = os.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    with subprocess.Popen(
        [sys.executable, "-c", lead, *arguments], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=follower, start_new_session=True,
    ) as child:  # fmt: skip
        watchdog = threading.Timer(120, child.kill)
        watchdog.start()
        os.close(follower)
        seen = b""
        while b"bits/char" not in seen:
            seen += os.read(leader, 1 << 16)
        if end != "hang up":
            child.send_signal(getattr(signal, end))
            with contextlib.suppress(OSError):
                while data := os.read(leader, 1 << 16):
                    seen += data
            assert b"textgen train --resume poems" in seen
        os.close(leader)
        assert child.wait() == (143 if end == "SIGTERM" else 129)
        watchdog.cancel()
    assert read_metadata(Run(tmp_path / "checkpoints" / "poems").last).metrics.step > 0


def test_a_text_from_a_pipe_is_trained_on_and_continued_with_the_same_pipe(
    poems: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    options = [option for option in TINY_OPTIONS if not option.startswith("--epochs")]
    result = run("-", "--name", "piped", "--epochs", "1", *options, input=poems.read_bytes())
    assert result.exit_code == 0, result.stderr
    result = run("--resume", "piped", "--epochs", "2")
    assert (result.exit_code, "textgen train - --resume piped" in result.stderr) == (1, True)
    result = run("-", "--resume", "piped", "--epochs", "2", input=poems.read_bytes())
    assert result.exit_code == 0, result.stderr
    assert Run(Path("checkpoints/piped")).summary()["epochs"] == pytest.approx(2.0, rel=0.1)


TABLE = "text,kind\n" + "The sea,poem\n" * 100


def test_a_table_is_refused_until_its_fields_are_named_or_it_is_to_be_read_as_it_is(
    poems: Path, recorder: Recorder
) -> None:
    (poems.parent / "poems.csv").write_text(TABLE)
    result = run("poems.csv")
    assert (result.exit_code, result.stdout, recorder.calls) == (1, "", [])
    assert result.stderr == (
        "Error: poems.csv is a table with the fields 'text' and 'kind'. Pass --text-field NAME to learn the text of "
        "each row as a record of its own, --pairs to learn to turn the first field into the second, or --records none "
        "to learn the file as it is.\n"
    )
    for options, config in (
        (["--records", "none"], {"records": "none"}),
        (["--text-field", "text", "--label-field", "kind"], {"text_field": "text", "label_field": "kind"}),
    ):
        assert run("poems.csv", *options).exit_code == 0
        assert recorder.calls[-1][2]["corpus"] == CorpusConfig(**config)


@pytest.mark.parametrize("rows", [100, 10_000], ids=["short", "long"])
def test_a_field_that_a_table_lacks_is_an_error_before_anything_is_loaded(
    poems: Path, recorder: Recorder, rows: int
) -> None:
    (poems.parent / "poems.csv").write_text("text,kind\n" + "The sea,poem\n" * rows)
    for options, words in (
        (["--text-field", "verse"], "poems.csv has no field 'verse'; it has 'text' and 'kind'. Name one of them"),
        (["--text-field", "text", "--label-field", "by"], "poems.csv has no field 'by'; it has 'text' and 'kind'."),
        (["--text-field", "text", "--records", "lines"], "--text-field must be given without --records; got 'lines'."),
        (["--label-field", "kind"], "--label-field must be given with --text-field; got 'kind'."),
    ):
        result = run("poems.csv", *options)
        assert (result.exit_code, result.stdout, recorder.calls) == (1, "", [])
        assert result.stderr.startswith(f"Error: {words}")
        assert result.stderr.count("\n") == 1


def test_a_list_gets_one_line_that_says_what_records_would_do(poems: Path, recorder: Recorder) -> None:
    (poems.parent / "names.txt").write_text("Ada\nBea\nCleo\n" * 40)
    noted = run("names.txt")
    assert (noted.exit_code, noted.stdout) == (0, "")
    assert noted.stderr.startswith("Note: names.txt looks like a list: --records lines would learn each line by itself")
    for options in (["--quiet"], ["--records", "lines"], ["--records", "none"]):
        assert "Note:" not in run("names.txt", *options).stderr
    assert len(recorder.calls) == 4


def test_what_a_record_is_cannot_be_changed_when_a_run_goes_on(poems: Path, recorder: Recorder) -> None:
    result = run("poems.txt", "--resume", "poems", "--records", "lines")
    assert result.exit_code == 2
    assert "--records cannot be given with --resume" in result.stderr


def test_packages_that_keras_would_bring_in_for_itself_are_not_imported_and_can_be_later(tmp_path: Path) -> None:
    packages = ("matplotlib", "pandas", "sklearn")
    for name in packages:
        (tmp_path / f"{name}.py").write_text("import sys\nassert 'keras' in sys.modules and loaded, __name__\n")
    program = f"""
import builtins
builtins.loaded = False
from textgen.cli.framework import load_training
load_training("cpu")
builtins.loaded = True
import {", ".join(packages)}
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
