"""`textgen fill`: where the text comes from, what is written, and what is refused."""

import json
from pathlib import Path

import pytest
from front_door import Outcome, judge, run
from small_models import random_writer

from textgen.cli import reading
from textgen.sampling.writer import Writer


@pytest.fixture
def writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Writer:
    found = random_writer(units=8, seed=2)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reading, "load_writer", lambda *_: (found, "poems"))
    return found


def fill(*arguments: str, stdin: bytes = b"", code: int = 0) -> Outcome:
    return judge(run("fill", *arguments, stdin=stdin), code)


def test_the_text_is_an_argument_a_file_or_standard_input(writer: Writer, tmp_path: Path) -> None:
    (tmp_path / "gaps.txt").write_text("the [3] sea\n")
    expected = writer.fill("the [3] sea\n")[0].text
    for done in (
        fill("--file", "gaps.txt"),
        fill("--file", "-", stdin=b"the [3] sea\n"),
    ):
        assert (done.out, done.err) == (expected, "")
    # Newlines and the end of the text stay as they are.
    for text in (b"the [3] sea\r\n", b"\r\nthe [3] sea", b"\xef\xbb\xbfthe [3] sea"):
        read = text.decode("utf-8-sig")
        assert fill(stdin=text).out == text.decode().removesuffix(read) + writer.fill(read)[0].text
    assert fill("the [3] sea").out == writer.fill("the [3] sea")[0].text + "\n"


def test_alternatives_stand_after_their_probabilities(writer: Writer) -> None:
    found = writer.fill("the [1-3] sea", count=3, allow="abc")
    expected = [f"{each.probability:.4f}\t{each.text}" for each in found]
    assert fill("the [1-3] sea", "-n", "3", "--allow", "abc").out.splitlines() == expected
    found = writer.fill("the [1] sea\nsea\n", count=2, allow="abc")
    expected = [line for each in found for line in (f"----- {each.probability:.4f}", *each.text.splitlines())]
    assert fill("the [1] sea\nsea\n", "-n", "2", "--allow", "abc").out.splitlines() == expected


def test_json_tells_what_stands_where(writer: Writer) -> None:
    lines = fill("##e s[2]", "--mask", "#", "-n", "2", "--json").out.splitlines()
    found = writer.fill("##e s[2]", mask="#", count=2)
    for line, each in zip(lines, found, strict=True):
        values = json.loads(line)
        assert values == {**each.to_json(), "run": "poems"}
        assert [values["text"][gap["start"] :][: len(gap["text"])] for gap in values["gaps"]] == list(each.gaps)


def test_a_draw_tells_its_seed(writer: Writer) -> None:
    done = fill("the [4] sea", "--sample", "--temperature", "0.5")
    seed = done.err.strip().removeprefix("(poems, --seed ").removesuffix(")")
    assert fill("the [4] sea", "--sample", "--temperature", "0.5", "--seed", seed).out == done.out
    assert json.loads(fill("the [4] sea", "--sample", "--seed", "7", "--json").out)["seed"] == 7


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("the sea",), 1, "The text has no gap to fill."),
        (("the [2", "--gap-close", ""), 1, "--gap-close must be a text of at least one character"),
        (("the # sea", "--mask", "##"), 1, "--mask must be a single character, or an empty text for none"),
        (("the [...]", "--longest", "0"), 1, "--longest must be a whole number in [1, 1000]"),
        (("the [2]", "--count", "0"), 1, "--count must be a whole number in [1, 1,000]"),
        (("the [2]", "--sample", "--temperature", "0"), 1, "--temperature must be in (0, 1e+06]"),
        (("the [2]", "--seed", "1"), 2, "--seed needs --sample."),
        (("the [2]", "--temperature", "1"), 2, "--temperature needs --sample."),
        (("the [2]", "--file", "x"), 2, "TEXT and --file cannot be given together."),
        (("the [2]!",), 1, "Remove it, or pass --unknown skip"),
        (("--file", "missing.txt"), 1, "missing.txt"),
        (("the [2]", "--label", "a"), 1, "--label needs a run whose records have labels"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(
    writer: Writer, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    assert sentence in fill(*arguments, code=code).err


def test_nothing_to_read_is_an_error_of_usage(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "is_piped", lambda: False)
    assert "Give a TEXT, --file, or a text on standard input." in fill(code=2).err


def test_sample_writes_towards_an_ending(writer: Writer) -> None:
    found = writer.generate_towards(" the end", prompt="the ", count=2, seed=3, max_new_tokens=50)
    line = ("sample", "--prompt", "the ", "--ending", " the end", "--length", "50", "--seed", "3", "-n", "2")
    done = judge(run(*line))
    assert done.out.rstrip("\n").split("\n-----\n") == [f"the {each.text}" for each in found]
    assert done.err == "(poems, --seed 3)\n"
    (first, _) = map(json.loads, judge(run(*line, "--json")).out.splitlines())
    assert (first["text"], first["finish_reason"]) == (found[0].text, "ending")
    assert "Give a prompt, too, or train" in judge(run("sample", "--ending", "a"), 1).err
    assert "--until must be left out" in judge(run(*line, "--until", "line"), 1).err
    assert "--logprobs and --ending cannot be given together" in judge(run(*line, "--json", "--logprobs", "1"), 2).err
