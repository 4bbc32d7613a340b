"""Hostile texts, names, arguments, files and streams: each gives its result or one sentence, and nothing is left."""

import errno
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from front_door import Outcome, Pipe, judge, nothing_left_in, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from textgen.cli import cli
from textgen.config import CorpusConfig, SamplingConfig, TrainingConfig
from textgen.errors import ConfigError, RunError
from textgen.runs.create import create_run
from textgen.runs.find import find_run, list_runs
from textgen.runs.run import Run
from textgen.system import FileLock

STRANGE = [
    "\0", "\ud800", "\udc80", "\x1b[31mred", "\u05e9\u05dc\u05d5\u05dd \u202e\u200f", "e\u0301\u0327", "\ufeff", "\r\n",
    "", " ", ".", "..", "/nowhere", "a/b", "a b", "-", "--", "~", "*", "\\", "con", "\U0001f469\u200d\U0001f467",
    "\x85", "a" * 5000, "x.keras", "\u0663", "%s%n", "{0}", "\u2028",
]  # fmt: skip
NUMBERS = [
    "0", "-0", "1", "-1", "1.5", "nan", "inf", "-inf", "1e308", "1e-300", "1e400", "9" * 400, "9" * 5000,
    str(2**63 - 1), str(2**63), "", " ", "x", "\u0663", "0x10", "1_0", "1h", "0s", "9" * 400 + "h", "1,2",
    "1,nan", "\0",
]  # fmt: skip
ENCODINGS = [
    "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-7", "latin-1", "cp1252", "cp037", "shift_jis",
    "gb18030", "big5", "euc_kr", "iso2022_jp", "hz", "koi8-r", "mac_roman", "unicode_escape", "raw_unicode_escape",
    "punycode", "idna", "hex", "rot13", "zlib", "undefined", "mbcs", "nonsense", "../x",
]  # fmt: skip

texts = (
    st.text(st.characters(), max_size=40)
    | st.sampled_from(STRANGE)
    | st.builds(lambda c, n: c * n, st.characters(), st.integers(1, 2000))
)
often = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def is_broken(text: str) -> bool:
    """Whether an argument is not UTF-8: such a byte reaches Python as half a surrogate pair."""
    return any(0xD800 <= ord(character) <= 0xDFFF for character in text)


@pytest.fixture(autouse=True)
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What `textgen train` would have trained, once its arguments were found good."""
    calls: list[dict[str, Any]] = []

    def train(*arguments: Any, **options: Any) -> Run:
        calls.append({**options, "arguments": arguments})
        return Run(Path("checkpoints", "tiny"))

    monkeypatch.setattr("textgen.cli.framework.load_training", lambda *_: SimpleNamespace(train=train, resume=train))
    yield calls


@often
@given(texts, st.sampled_from(["error", "skip", "replace"]), st.booleans())
def test_any_text_can_be_a_prompt(home: Path, prompt: str, unknown: str, as_json: bool) -> None:
    form = ["--json", "--logprobs", "1"] if as_json else []
    done = judge(run("sample", f"--prompt={prompt}", "--unknown", unknown, "--length", "2", "--seed", "1", *form))
    assert (done.code == 2) == is_broken(prompt)
    assert done.code != 1 or unknown == "error"
    if done.code == 0 and as_json:
        assert len(json.loads(done.out)["text"]) == 2


@often
@given(st.lists(texts, max_size=3))
def test_any_text_can_be_a_stop(home: Path, stops: list[str]) -> None:
    done = judge(run("sample", "--length", "4", "--seed", "1", *(f"--stop={stop}" for stop in stops)))
    assert (done.code == 2) == any(map(is_broken, stops))
    assert done.code != 1 or "" in stops


@often
@given(st.binary(max_size=200) | texts.map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_can_be_piped_in(home: Path, data: bytes) -> None:
    with nothing_left_in(home):
        for arguments in (
            ["score", "-", "--unknown", "skip"],
            ["surprise", "-", "--unknown", "skip"],
            ["neurons", "tiny", "-", "--unknown", "replace"],
            ["sample", "--length", "1"],
            ["complete", "--seed", "1"],
        ):
            judge(run(*arguments, stdin=data), 0, *([] if arguments[0] == "complete" else [1]))


@settings(often, max_examples=100)
@given(
    st.sampled_from(ENCODINGS) | texts, st.binary(max_size=80) | st.sampled_from([b"the sea " * 9, b"\\u12\\q", b"+-"])
)
def test_any_encoding_reads_or_refuses(home: Path, encoding: str, data: bytes) -> None:
    judge(run("score", "-", f"--encoding={encoding}", "--unknown=replace", stdin=data), 0, 1)


@often
@given(texts.filter(lambda name: not set(name) <= set("/.")))
def test_any_name_is_found_or_refused(trained: list[dict[str, Any]], home: Path, name: str) -> None:
    with nothing_left_in(home):
        for line in (
            ["sample", "--length=1", f"--run={name}"], ["score", "-", f"--run={name}"], ["info", "--", name],
            ["sample", f"--checkpoints={name}"], ["info", f"--checkpoints={name}"], ["runs", f"--checkpoints={name}"],
            ["train", f"--resume={name}"], ["train", "haven.txt", f"--from={name}"], ["train", "--", name],
            ["train", ".", f"--glob={name}"], ["score", "--", name], ["sample", f"--prompt-file={name}", "--length=1"],
        ):  # fmt: skip
            judge(run(*line))


@often
@given(texts)
def test_any_name_makes_one_folder_or_none(
    trained: list[dict[str, Any]], home: Path, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    folder = tmp_path_factory.mktemp("names")
    trained.clear()
    done = judge(run("train", "haven.txt", f"--name={name}", f"--checkpoints={folder}"), 0, 1)
    assert not list(folder.iterdir())
    assert (done.code == 0) == bool(trained)
    with create_run(name, checkpoints=folder, exact=done.code == 0):
        (made,) = folder.iterdir()
        assert made.is_dir()


def parameters() -> Iterator[Any]:
    context, number = click.Context(cli), itertools.count()
    # A server ends only when it is stopped.
    for command in (name for name in cli.list_commands(context) if name != "serve"):
        for option in cli.get_command(context, command).params:  # type: ignore[union-attr]
            if isinstance(option, click.Option) and not option.is_flag:
                name = max(option.opts, key=len)
                yield pytest.param(next(number), command, name, id=f"{command} {name}")


BASE = {
    "train": ["haven.txt"],
    "sample": ["--length=1", "--json", "--repetition-penalty=1.1"],
    "fill": ["the s[]a"],
    "complete": [],
    "score": ["-", "--unknown=skip"],
    "proofread": ["-", "--unknown=skip", "--passes=1"],
    "rewrite": ["tiny"],
    "surprise": ["-", "--unknown=skip"],
    "neurons": ["tiny", "-", "--unknown=skip"],
    "eval": ["tiny", "-", "--unknown=skip"],
    "classify": ["tiny", "-", "--unknown=skip"],
    "novelty": ["tiny", "--text=-"],
    "corpora": [],
    "runs": [],
    "info": [],
    "plot": [],
    "export": ["tiny", "--to=keras"],
}


@pytest.mark.parametrize("share", [7, pytest.param(1, marks=pytest.mark.slow)], ids=["a sample", "all values"])
@pytest.mark.parametrize(("number", "command", "option"), list(parameters()))
def test_every_option_at_and_beyond_its_limits(
    number: int,
    command: str,
    option: str,
    share: int,
    trained: list[dict[str, Any]],
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("haven.txt", "checkpoints"):
        (tmp_path / name).symlink_to(home / name)
    monkeypatch.chdir(tmp_path)
    refused = 0
    with nothing_left_in(home):
        # Neighbouring options begin at different values, so that a sample of each leaves out no value altogether.
        for value in [*NUMBERS, *STRANGE][number % share :: share]:
            done = judge(run(command, *BASE[command], f"{option}={value}", stdin=b"the s\n:line\n"))
            refused += done.code > 0
    assert refused or option in (
        "--prompt",
        "--encoding",
        "--name",
        "--html",
        "--stop",
        "--glob",
        "--ban",
        "--checkpoints",
    )


def test_what_is_too_large_for_the_text_or_the_machine_makes_no_run(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("textgen.training.start.physical_memory", lambda: 10**9)
    for given_options, said in (
        (["--batch-size=65536"], "needs"),
        (["--sequence-length=65536"], "needs"),
        (["--layers=16", "--units=8192", "--batch-size=2"], "GB of memory"),
        (["--min-count=1000000"], "min_count"),
        (["--validation=0.5", "--sequence-length=4000"], "needs"),
    ):
        with nothing_left_in(home):
            assert said in judge(run("train", "haven.txt", "--device=cpu", *given_options), 1).err


@pytest.mark.parametrize("failure", ["memory", "interrupt", "error"])
def test_a_training_that_fails_before_its_first_save_leaves_no_folder(
    failure: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow as tf

    from textgen.errors import TrainingError

    errors = {
        "memory": tf.errors.ResourceExhaustedError(None, None, "OOM"),
        "interrupt": KeyboardInterrupt(),
        "error": TrainingError("Training went wrong in a test."),
    }

    def fail(*_: Any) -> None:
        raise errors[failure]

    monkeypatch.setattr("textgen.training.session.Session", fail)
    with nothing_left_in(home):
        done = run("train", "haven.txt", "--device=cpu", "--precision=float32")
    assert done.code == (130 if failure == "interrupt" else 1)
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    "text",
    [
        "a" * 2000,
        "".join(map(chr, range(0x4E00, 0x5400))),
        "\u05e9\u05dc\u05d5\u05dd \u202e\u200f ab\0" * 99,
    ],
    ids=["one character", "each once", "right to left, and NUL"],
)
def test_an_odd_text_trains_and_is_written_on(text: str, home: Path, tmp_path: Path) -> None:
    source = tmp_path / "odd text.txt"
    source.write_bytes(text.encode())
    small = ["--layers=1", "--units=8", "--embedding=4", "--epochs=0.1", "--device=cpu", "--precision=float32"]
    place = f"--checkpoints={tmp_path / 'runs'}"
    judge(run("train", str(source), "--shards=1", *small, place), 0)
    (made,) = (tmp_path / "runs").iterdir()
    assert made.name == "odd-text"
    for arguments in (["sample", "--length=3"], ["info", "--json"], ["score", str(source)], ["runs"], ["complete"]):
        judge(run(*arguments, place, stdin=b""), 0)


def test_a_name_in_use_and_a_run_in_training_are_refused(home: Path) -> None:
    with nothing_left_in(home):
        assert "--resume tiny" in judge(run("train", "haven.txt", "--name=tiny"), 1).err
        with FileLock(home / "checkpoints" / "tiny" / "run.lock"):
            assert "is being trained by process" in judge(run("train", "--resume=tiny"), 1).err
            judge(run("sample", "--run=tiny", "--length=1"), 0)


LINES = [
    ["--help"], ["--version"], ["sample", "--help"], ["sample", "--length=200"], ["sample", "--count=2"], ["info"],
    ["sample", "--json"], ["runs"], ["runs", "--json"], ["info", "--json"], ["complete"],
    ["score", "haven.txt", "--show"], ["surprise", "haven.txt"], ["neurons", "tiny", "haven.txt"],
]  # fmt: skip


@pytest.mark.parametrize("after", [0, 1, 100])
@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_output_that_breaks_ends_quietly_or_says_why(line: list[str], after: int, home: Path) -> None:
    data = b"the s\n1\n:line\n"
    whole = run(*line, stdin=data)
    if len(whole.out) <= after:
        return
    closed = run(*line, stdin=data, out=Pipe(errno.EPIPE, after=after))
    assert (closed.code, "rror" in closed.err) == (0, False), closed
    judge(run(*line, stdin=data, out=Pipe(errno.ENOSPC, after=after)), 1)


@pytest.mark.parametrize("folder", ["a\0b", "\ud800"])
def test_a_folder_that_no_system_can_have_is_refused_by_the_library_too(folder: str) -> None:
    with pytest.raises(RunError, match="cannot be a folder's name"):
        list_runs(folder)
    with pytest.raises(RunError, match="cannot be a folder's name"):
        create_run("x", checkpoints=folder).__enter__()
    with pytest.raises(RunError):
        find_run("x", checkpoints=folder)


@pytest.mark.parametrize("huge", [10**400, -(10**400), float("nan")])
def test_no_number_is_too_large_to_be_refused(huge: float) -> None:
    for make in (
        lambda: TrainingConfig(learning_rate=huge),
        lambda: TrainingConfig(seed=huge),  # type: ignore[arg-type]
        lambda: SamplingConfig(temperature=huge),
        lambda: CorpusConfig(validation=huge),
    ):
        with pytest.raises(ConfigError) as told:
            make()
        assert len(str(told.value)) < 400


def test_outcomes_are_judged_strictly() -> None:
    for bad in (
        Outcome(3, "", ""),
        Outcome(1, "", ""),
        Outcome(1, "", "Error: one.\nError: two\n"),
        Outcome(2, "", "x"),
    ):
        with pytest.raises((AssertionError, IndexError)):
            judge(bad)
