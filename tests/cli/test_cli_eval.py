"""`textgen eval` as a user meets it."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from terminal import Terminal

import textgen
from textgen.analysis.evaluation import evaluate
from textgen.cli import cli

ROOT = Path(textgen.__file__).parent.parent


@pytest.fixture
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(home)
    return home


def run(*arguments: str, **kwargs: object) -> Result:
    return CliRunner().invoke(cli, ["eval", *arguments], prog_name="textgen", **kwargs)  # type: ignore[arg-type]


@contextlib.contextmanager
def moved(path: Path) -> Iterator[Path]:
    """A file in another folder under another name for a while, where it is not looked for."""
    (path.parent / "far" / "away").mkdir(parents=True, exist_ok=True)
    other = path.rename(path.parent / "far" / "away" / "elsewhere.txt")
    try:
        yield other
    finally:
        other.rename(path)


def test_the_table_names_split_protocols_and_fingerprint_in_80_columns(at_home: Path) -> None:
    result = run()
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    found = evaluate("tiny")
    assert lines[0] == "run   tiny, checkpoints/tiny/best.keras"
    assert lines[1] == "text  held out, the last 400 of 4,000 characters of haven.txt"
    assert lines[2] == f"      400 characters scored, sha256 {found.sha256[:12]}"
    rows = {line[:24].strip(): line.split() for line in lines[4 : lines.index("", 4)]}
    assert list(rows) == [
        "",
        "state carried, 1 stream",
        f"at temperature {found.calibration.temperature:.2f}",
        "windows of 256",
        "xz after training text",
        "bz2 after training text",
        "gzip after training text",
        "unigram",
        "uniform",
    ]
    interval = found.carried.interval
    assert interval is not None
    assert rows["state carried, 1 stream"][4:] == [
        f"{found.carried.nats:.4f}",
        f"{interval.low:.4f}",
        "to",
        f"{interval.high:.4f}",
        f"{found.carried.bits:.4f}",
        f"{found.carried.perplexity:.2f}",
    ]
    assert found.verdict.split()[0] in lines[lines.index("", 4) + 1]


def test_json_is_one_object_with_all_that_python_gets(at_home: Path) -> None:
    result = run("tiny", "--json", "--windows", "64", "--seed", "3", "--streams", "2")
    assert (result.exit_code, result.stderr, result.stdout.count("\n")) == (0, "", 1)
    values = json.loads(result.stdout)
    assert values == evaluate("tiny", windows=64, seed=3, streams=2).to_json()
    assert set(values) == {
        "run", "checkpoint", "text", "vocab_size", "protocols", "calibration", "baselines", "verdict", "notes",
        "warnings",
    }  # fmt: skip
    assert set(values["text"]) == {"split", "source", "characters", "sha256", "unknown", "dropped"}
    assert values["text"]["split"] == "held-out"
    units = {"nats_per_character", "bits_per_character", "perplexity"}
    assert [each["protocol"] for each in values["protocols"]] == ["carried", "windows"]
    for each in values["protocols"]:
        assert set(each) == {"protocol", "settings", "interval", *units}
        assert set(each["interval"]) == {"method", "level", "block", "replicates", "seed", *units}
    assert set(values["calibration"]) == {"protocol", "temperature", "inside", *units}
    for each in values["baselines"]:
        assert set(each) == {"name", "after_training", *units}


def test_dynamic_evaluation_is_a_line_of_its_own(at_home: Path) -> None:
    lines = run("tiny", "--dynamic").stdout.splitlines()
    found = evaluate("tiny", dynamic=True)
    row = next(line.split() for line in lines if line.startswith("dynamic, 1 stream"))
    assert row[3] == f"{found.protocols[2].nats:.4f}"
    assert [each.name for each in found.protocols] == ["carried", "windows", "dynamic"]


def test_the_best_checkpoint_is_noted(at_home: Path) -> None:
    said = "selected its best checkpoint by the loss on it"
    assert said in " ".join(run("checkpoints/tiny/best.keras").stdout.split())
    assert said not in " ".join(run("checkpoints/tiny/last.keras").stdout.split())


def test_a_file_is_scored_whole_and_read_as_training_did(at_home: Path, tmp_path: Path) -> None:
    text = "Nan said the sea was out.\n" * 12
    (tmp_path / "letter.txt").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    path = str(tmp_path / "letter.txt")
    values = json.loads(run("tiny", path, "--json").stdout)
    assert values == evaluate("tiny", text, name=path).to_json()
    assert (values["text"]["split"], values["text"]["characters"]) == ("given", len(text))
    piped = json.loads(run("tiny", "-", "--json", input=text).stdout)
    assert piped["text"] == {**values["text"], "source": "standard input"}
    assert piped["protocols"] == values["protocols"]


def test_a_file_alone_is_judged_by_the_newest_run(at_home: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Nan said the sea was out.\n", encoding="utf-8")
    path = str(tmp_path / "letter.txt")
    assert run(path).stdout == run("tiny", path).stdout
    assert run("-", "--json", input="the sea").exit_code == 0
    assert run("checkpoints/tiny/best.keras").stdout == run("tiny").stdout == run("checkpoints/tiny").stdout


def test_a_text_that_was_trained_on_is_warned_of_on_standard_error(at_home: Path) -> None:
    result = run("tiny", "haven.txt", "--json")
    assert result.exit_code == 0
    assert result.stderr.startswith("Warning: This is the text that the model was trained on")
    assert result.stderr.count("\n") == 1
    assert json.loads(result.stdout)["warnings"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nobody"], "There is no run 'nobody'"),
        (["nowhere.txt"], "There is no run 'nowhere.txt'"),
        (["tiny", "nowhere.txt"], "nowhere.txt"),
        (["tiny", "empty.txt"], "There is nothing to score: the text is empty."),
        (["tiny", "foreign.txt"], "never saw"),
        (["tiny", "foreign.txt", "--unknown", "skip"], "none of the text's characters"),
        (["--windows", "0"], "windows must be a whole number in [1, 1000000]; got 0."),
        (["--streams", "0"], "streams must be"),
        (["--seed", "-1"], "seed must be"),
        (["--corpus", "foreign.txt"], "has changed since"),
        (["--corpus", "nowhere.txt"], "not there any more"),
    ],
)
def test_what_goes_wrong_is_one_sentence(at_home: Path, arguments: list[str], said: str) -> None:
    texts = {"empty.txt": "", "foreign.txt": "诗诗诗"}
    for name, text in texts.items():
        (at_home / name).write_text(text, encoding="utf-8")
    try:
        result = run(*arguments)
    finally:
        for name in texts:
            (at_home / name).unlink()
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert said in result.stderr


def test_a_text_that_has_gone_is_a_sentence_with_three_ways_out(at_home: Path) -> None:
    expected = json.loads(run("tiny", "--json").stdout)
    with moved(at_home / "haven.txt") as other:
        result = run("tiny")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "not there any more" in result.stderr
        assert "Pass --corpus PATH if it has moved, or give a text to score: textgen eval tiny FILE" in result.stderr
        found = json.loads(run("tiny", "--corpus", str(other), "--json").stdout)
        assert found["protocols"] == expected["protocols"]
        result = run("tiny", "-", input="Nan said the sea was out.\n")
        assert result.exit_code == 0
        assert "xz alone" in result.stdout
        assert "not there any more" in " ".join(result.stdout.split())

        (at_home / "haven.txt").write_text("The sea.\n" * 40, encoding="utf-8")
        result = run("tiny")
        assert result.exit_code == 1
        assert "has changed since (sha256 " in result.stderr
        (at_home / "haven.txt").unlink()


def test_bars_are_for_terminals_and_leave_nothing_behind(at_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tqdm

    from textgen.cli import bars
    from textgen.cli.commands.eval import _STAGES

    terminal = Terminal()
    made: list[str] = []

    class Eager(tqdm.tqdm):  # type: ignore[type-arg]
        def __init__(self, **kwargs: object) -> None:
            made.append(str(kwargs["desc"]))
            super().__init__(**{**kwargs, "delay": 0.0, "mininterval": 0.0})  # type: ignore[call-overload]

    monkeypatch.setattr(tqdm, "tqdm", Eager)
    monkeypatch.setattr(bars, "is_terminal", lambda stream: True)
    monkeypatch.setattr(bars.sys, "stderr", terminal)
    with bars.bars(_STAGES) as progress:
        assert progress is not None
        evaluate("tiny", progress=progress)
    assert made == ["reading the text", "state carried", "windows", "gzip, bz2 and xz"]
    assert "state carried: 100%" in terminal.getvalue()
    assert terminal.lines[-1].strip() == ""


def test_neither_tensorflow_nor_keras_is_needed(home: Path) -> None:
    program = (
        "import sys; sys.modules.update(dict.fromkeys(('tensorflow', 'keras', 'h5py', 'tqdm')));"
        "from textgen.cli import main; sys.argv = ['textgen', 'eval', 'tiny', '--json']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["run"] == "tiny"
