"""What a command has produced is on standard output when a signal ends it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from front_door import Outcome, run
from small_models import random_writer

from textgen.cli import reading
from textgen.corpus.tokenizer import CharTokenizer
from textgen.sampling.batch_sampler import BatchSampler
from textgen.sampling.writer import Writer

SIGNALS = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
CUT = 20


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> Writer:
    writer = random_writer(CharTokenizer("\n abcdefghijklmnopqrstuvwxyz"))
    monkeypatch.setattr(reading, "load_writer", lambda *_: (writer, "letters"))
    return writer


@pytest.fixture(params=SIGNALS, ids=lambda each: each.name)
def cut(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[signal.Signals]:
    """A signal that comes once, before the character after `CUT` of them is drawn."""
    draw, drawn = BatchSampler.draw, 0

    def interrupted(self: BatchSampler) -> object:
        nonlocal drawn
        drawn += 1
        if drawn == CUT + 1:
            signal.raise_signal(request.param)
        return draw(self)

    monkeypatch.setattr(BatchSampler, "draw", interrupted)
    before = [signal.getsignal(each) for each in SIGNALS]
    yield request.param
    assert [signal.getsignal(each) for each in SIGNALS] == before


def texts(writer: Writer, count: int) -> list[str]:
    return [each.text[:CUT] for each in writer.generate_many("a", count=count, seed=3, max_new_tokens=30)]


def sample(*arguments: str) -> Outcome:
    return run("sample", "--prompt", "a", "--seed", "3", "--length", "30", *arguments)


@pytest.mark.parametrize("count", [1, 3])
def test_samples_are_written_as_far_as_they_are(writer: Writer, cut: signal.Signals, count: int) -> None:
    outcome = sample("--count", str(count), "--no-echo")
    assert outcome.code == 128 + cut
    expected = texts(writer, count)
    assert outcome.out == "-----\n".join(text + "\n" * (text[-1] != "\n") for text in expected)
    assert outcome.err == "(letters, --seed 3)\n"


@pytest.mark.parametrize("count", [1, 3])
def test_json_says_that_a_sample_was_cut(writer: Writer, cut: signal.Signals, count: int) -> None:
    outcome = sample("--count", str(count), "--json", "--logprobs", "1")
    assert outcome.code == 128 + cut
    values = [json.loads(line) for line in outcome.out.splitlines()]
    assert [each["text"] for each in values] == texts(writer, count)
    assert {each["finish_reason"] for each in values} == {"interrupted"}
    assert {len(each["logprobs"]) for each in values} == {CUT}


def test_a_line_that_the_model_is_writing_is_shown_as_far_as_it_is(writer: Writer, cut: signal.Signals) -> None:
    outcome = run("complete", "--seed", "1", "--json", stdin=b"the sea\n:line\nmore\n")
    assert outcome.code == 128 + cut
    first, second = map(json.loads, outcome.out.splitlines())
    assert first["text"] == "the sea"
    assert second["text"] == f"the sea{second['written']}"
    assert len(second["written"]) == CUT


def raising(number: signal.Signals) -> None:
    signal.raise_signal(number)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda each: each.name)
@pytest.mark.parametrize("command", ["score", "neurons"])
def test_figures_are_there_before_the_page_is_made(
    writer: Writer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str, number: signal.Signals
) -> None:
    monkeypatch.setattr("textgen.cli.watching.write_page", lambda *_, **__: raising(number))
    arguments = ["score", "-"] if command == "score" else ["neurons", "letters", "-"]
    whole = run(*arguments, stdin=b"the sea was calm and low\n" * 4)
    outcome = run(*arguments, "--html", str(tmp_path / "page.html"), stdin=b"the sea was calm and low\n" * 4)
    assert (outcome.code, outcome.out) == (128 + number, whole.out)
    assert whole.out


PROGRAM = """
import itertools, sys
from textgen.sampling.batch_sampler import BatchSampler
draw, drawn = BatchSampler.draw, itertools.count()
def telling(self):
    if next(drawn) == 50:
        print("under way", file=sys.stderr, flush=True)
    return draw(self)
BatchSampler.draw = telling
from textgen.cli import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no signals to one process")
@pytest.mark.parametrize("number", SIGNALS, ids=lambda each: each.name)
def test_a_process_leaves_its_samples_in_a_pipe(home: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", PROGRAM, "sample", "--count", "4", "--length", "100000000", "--seed", "1"]
    with subprocess.Popen(
        command, cwd=home, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as child:  # fmt: skip
        assert child.stderr is not None
        assert child.stderr.readline() == b"under way\n"
        child.send_signal(number)
        out, err = child.communicate()
    assert (child.returncode, err) == (128 + number, b"(tiny, --seed 1)\n")
    assert out.count(b"-----\n") == 3
    assert len(out) > 4 * 50
