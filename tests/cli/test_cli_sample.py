"""`textgen sample` and `textgen score`: prompts, echoes, samples, figures."""

import contextlib
import io
import json
import math
import os
import re
import socket
import string
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from small_models import random_writer

from textgen.cli import cli, reading
from textgen.corpus.tokenizer import CharTokenizer
from textgen.model.description import CorpusDescription
from textgen.sampling.writer import Writer

LETTERS = CharTokenizer("\n abcdefghijklmnopqrstuvwxyzé")


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> Writer:
    writer = random_writer(LETTERS)
    writer.metadata = replace(writer.metadata, corpus=CorpusDescription(settings={"normalize": "nfc"}))
    monkeypatch.setattr(reading, "load_writer", lambda *_: (writer, "letters"))
    return writer


def sample(*arguments: str, input: bytes | None = None) -> Result:  # noqa: A002
    result = CliRunner().invoke(cli, ["sample", "--seed", "3", "--length", "30", *arguments], input=input)
    assert result.exit_code == 0, result.output
    return result


def text(writer: Writer, prompt: str = "", **controls: Any) -> str:
    return writer.generate(prompt, **{"seed": 3, "max_new_tokens": 30, **controls}).text


def test_the_prompt_is_written_first_unless_it_is_not_wanted(writer: Writer) -> None:
    expected = text(writer, "the sea ")
    assert sample("--prompt", "the sea ").stdout == f"the sea {expected}\n"
    assert sample("--prompt", "the sea ", "--no-echo").stdout == f"{expected}\n"


@pytest.mark.skipif(sys.platform == "win32", reason="arguments are bytes on POSIX systems only")
def test_texts_among_the_arguments_are_utf8_in_any_locale(writer: Writer) -> None:
    typed = "é".encode().decode("ascii", "surrogateescape")
    expected = sample("--prompt", "é", "--stop", "é", "--ban", "é", "--allow", "éab ")
    assert (
        sample("--prompt", typed, "--stop", typed, "--ban", typed, "--allow", f"{typed}ab ").output == expected.output
    )
    wrong = b"\xe9".decode("utf-8", "surrogateescape")
    for option in ("--prompt", "--stop", "--ban", "--allow"):
        result = CliRunner().invoke(cli, ["sample", option, wrong, "--unknown", "skip"])
        assert (result.exit_code, result.stdout) == (2, "")
        assert f"Invalid value for '{option}'" in result.stderr
        assert "not valid UTF-8" in " ".join(result.stderr.split())


def test_a_prompt_from_a_file_loses_one_newline(writer: Writer, tmp_path: Path) -> None:
    path = tmp_path / "prompt.txt"
    for written, prompt in (
        (b"the sea", "the sea"),
        (b"the sea\r\n", "the sea"),
        (b"\xef\xbb\xbfthe sea\n\n", "the sea\n"),
    ):
        path.write_bytes(written)
        assert sample("--prompt-file", str(path)).stdout == f"{prompt}{text(writer, prompt)}\n"


def test_what_is_piped_in_is_the_prompt(writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sample("--prompt-file", "-", input="é\n".encode()).stdout == f"é{text(writer, 'é')}\n"
    path = tmp_path / "prompt.txt"
    path.write_text("the sea\n")
    monkeypatch.setattr("textgen.cli.reading.is_piped", lambda: True)
    assert sample(input=path.read_bytes()).stdout.startswith("the sea")
    assert sample("--prompt", "a", input=path.read_bytes()).stdout.startswith("a")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX sockets")
@pytest.mark.parametrize("kind", ["pipe", "socket", "file", "nothing", "closed", "object"])
def test_what_is_no_terminal_and_not_known_to_be_empty_is_a_prompt(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from textgen.cli.reading import is_piped

    with contextlib.ExitStack() as stack:
        stream: Any
        if kind == "pipe":
            end, other = os.pipe()
            stack.callback(os.close, other)
            stream = stack.enter_context(os.fdopen(end))
        elif kind == "socket":
            # As Node.js starts a process.
            one, other_end = socket.socketpair()
            stack.enter_context(one)
            stack.enter_context(other_end)
            stream = stack.enter_context(one.makefile("r"))
        elif kind == "object":
            stream = io.TextIOWrapper(io.BytesIO(b"the sea"))
        else:
            (tmp_path / "prompt.txt").touch()
            path = Path(os.devnull) if kind == "nothing" else tmp_path / "prompt.txt"
            stream = stack.enter_context(path.open(encoding="utf-8"))
        if kind == "closed":
            stream.close()
        monkeypatch.setattr(sys, "stdin", stream)
        assert is_piped() == (kind not in ("nothing", "closed"))
        monkeypatch.setattr("textgen.cli.reading.is_terminal", lambda stream: True)
        assert not is_piped()


def test_a_prompt_is_normalised_as_the_corpus_was(writer: Writer) -> None:
    decomposed = unicodedata.normalize("NFD", "é")
    assert len(decomposed) == 2
    assert sample("--prompt", decomposed).stdout == sample("--prompt", "é").stdout


def test_another_encoding_is_named(writer: Writer, tmp_path: Path) -> None:
    path = tmp_path / "prompt.txt"
    path.write_bytes("é".encode("latin-1"))
    assert sample("--prompt-file", str(path), "--encoding", "latin-1").stdout.startswith("é")
    result = CliRunner().invoke(cli, ["sample", "--prompt-file", str(path)])
    assert (result.exit_code, "--encoding cp1252" in result.stderr, "--errors skip" in result.stderr) == (1, True, True)
    path.write_bytes("é".encode("latin-1") + "é".encode())
    assert sample("--prompt-file", str(path), "--errors", "skip").stdout.startswith("é")


def test_several_samples_are_parted_by_a_line(writer: Writer) -> None:
    expected = [each.text for each in writer.generate_many("a", count=3, seed=3, max_new_tokens=30)]
    assert sample("--prompt", "a", "--count", "3", "--no-echo").stdout == "\n-----\n".join(expected) + "\n"


def test_a_text_that_ends_with_a_newline_gets_no_second_one(writer: Writer) -> None:
    result = sample("--until", "line")
    assert result.stdout == text(writer, until="line")
    assert result.stdout.endswith("\n")


def test_every_control_reaches_the_writer(writer: Writer) -> None:
    line = (
        "--prompt a --ban xy --allow abcdefghijklmnopqrstuvwxyz "
        "--logit-bias e:-2 --logit-bias t:0.5 --repetition-penalty 1.2 --repetition-window 9 "
        "--presence-penalty 0.3 --frequency-penalty 0.1 --temperature 0.5,1.5 --top-k 9 --top-p 0.9 "
        "--min-p 0.01 --typical-p 0.95 --length 12 --until line --stop q --stop zz --include-stop --trim sentence "
        "--seed 8 --unknown skip"
    )
    (values,) = map(json.loads, sample(*line.split(), "--json").stdout.splitlines())
    assert values["parameters"] == {
        "label": [], "ban": "xy", "allow": string.ascii_lowercase, "logit_bias": ["e:-2", "t:0.5"],
        "match": "", "starts_with": "", "ends_with": "", "contains": [], "min_length": 0, "max_length": None,
        "repetition_penalty": 1.2, "repetition_window": 9, "presence_penalty": 0.3, "frequency_penalty": 0.1,
        "temperature": [0.5, 1.5], "top_k": 9, "top_p": 0.9,
        "min_p": 0.01, "typical_p": 0.95, "max_new_tokens": 12, "until": "line", "stop": ["q", "zz"],
        "include_stop": True, "trim": "sentence", "seed": 8, "unknown": "skip",
    }  # fmt: skip
    assert values["text"] == text(
        writer, "a", ban="xy", allow=string.ascii_lowercase,
        logit_bias=("e:-2", "t:0.5"), repetition_penalty=1.2, repetition_window=9, presence_penalty=0.3,
        frequency_penalty=0.1, temperature=(0.5, 1.5), top_k=9, top_p=0.9,
        min_p=0.01, typical_p=0.95, max_new_tokens=12, until="line", stop=("q", "zz"), include_stop=True,
        trim="sentence", seed=8,
    )  # fmt: skip


CONSTRAINED = ("--match", "[a-z ]+", "--starts-with", "the", "--ends-with", "e", "--contains", "sea", "--contains", "b")
LENGTHS = ("--min-length", "15", "--max-length", "20")


def test_every_constraint_reaches_the_writer(writer: Writer) -> None:
    chosen: dict[str, Any] = {
        "match": "[a-z ]+", "starts_with": "the", "ends_with": "e", "contains": ["sea", "b"], "min_length": 15,
        "max_length": 20,
    }  # fmt: skip
    (values,) = map(json.loads, sample(*CONSTRAINED, *LENGTHS, "--json").stdout.splitlines())
    assert {name: values["parameters"][name] for name in chosen} == chosen
    assert values["text"] == text(writer, **chosen)
    assert re.fullmatch("the(?=.*sea)(?=.*b)[a-z ]{11,16}e", values["text"])
    assert sample(*CONSTRAINED, *LENGTHS).stdout == values["text"] + "\n"
    assert sample(*CONSTRAINED, *LENGTHS, "--count", "3").stdout.split("\n-----\n")[0] == values["text"]


def test_an_escape_in_a_text_to_write_is_pointed_out(writer: Writer) -> None:
    for flag in ("--starts-with", "--ends-with", "--contains"):
        refused = CliRunner().invoke(cli, ["sample", flag, r"a\n"], input="")
        hint, error = refused.stderr.splitlines()
        assert hint.startswith(
            rf"Note: {flag} 'a\\n' asks for the backslash, which this model does not write, and 'n'. "
        )
        assert hint.endswith(rf"type {flag} $'a\n'.")
        assert error.startswith(f"Error: {flag} must be made of characters of the model's vocabulary, which lacks")
    assert sample("--match", r"[a-z ]+\n").stdout.count("\n") == 1


@pytest.mark.parametrize("more", [(), ("--adapt", "missing.txt"), ("--count", "2"), ("--json",)])
@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--match", "[0-9]+"), "--match must fit a text of characters that the model may write; none does."),
        (("--match", "(a"), "--match is not a regular expression: missing ), unterminated subpattern at position 0"),
        (("--match", "(a|b)*a(a|b){20}"), "--match, --starts-with, --ends-with and --contains must have fewer cases"),
        (
            ("--match", "a{9}", "--max-length", "5"),
            "--match must fit a text of at most 5 characters; the shortest that fits has 9. Allow longer ones with "
            "--max-length and --length.",
        ),
        (("--match", "a+", "--contains", "b"), "--match and --contains must fit a text of characters that the model"),
        (("--starts-with", "A"), "--starts-with must be made of characters of the model's vocabulary, which lacks 'A'"),
        (("--min-length", "501"), "--min-length must be at most --length, 500; got 501."),
        (("--match", "a", "--stop", "b"), "--stop must be left out where --match is given, which says where the text"),
    ],
)
def test_constraints_that_no_text_fits_are_refused_first(
    writer: Writer, arguments: tuple[str, ...], problem: str, more: tuple[str, ...]
) -> None:
    result = CliRunner().invoke(cli, ["sample", "--prompt", "the", *arguments, *more])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"Error: {problem}")
    assert result.stderr.count("\n") == 1


def test_the_stop_text_is_kept_where_that_is_asked_for(writer: Writer) -> None:
    whole = text(writer, "a")
    stops = (whole[9:12], whole[10:12])
    without, kept = (text(writer, "a", stop=stops, include_stop=include) for include in (False, True))
    assert kept == without + whole[len(without) : len(kept)]
    assert kept.endswith(stops)
    arguments = ("--prompt", "a", "--no-echo", "--stop", stops[0], "--stop", stops[1])
    for count in ("1", "2"):
        shown = (sample(*arguments, "--count", count, *more).stdout for more in ((), ("--include-stop",)))
        assert [each.split("\n-----\n")[0].removesuffix("\n") for each in shown] == [without, kept]
    values = json.loads(sample(*arguments, "--include-stop", "--json", "--logprobs", "1").stdout)
    assert (values["text"], values["finish_reason"]) == (kept, "stop")
    assert len(values["logprobs"]) == len(kept)


def test_keeping_a_stop_text_needs_one(writer: Writer) -> None:
    result = CliRunner().invoke(cli, ["sample", "--include-stop"])
    assert result.exit_code == 2
    assert "--include-stop needs --stop." in result.stderr
    assert text(writer, include_stop=True) == text(writer)


def test_a_text_is_cut_back_to_its_last_sentence_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = random_writer(CharTokenizer("\n !.?abcdefgh"), seed=3)
    monkeypatch.setattr(reading, "load_writer", lambda *_: (writer, "letters"))
    controls: dict[str, Any] = {"max_new_tokens": 80, "temperature": 2.0}
    whole, cut = (text(writer, "a", **controls, trim=trim) for trim in ("none", "sentence"))
    assert 0 < len(cut) < len(whole)
    assert whole.startswith(cut)
    arguments = ("--prompt", "a", "--length", "80", "--temperature", "2", "--trim", "sentence")
    assert sample(*arguments).stdout == f"a{cut}\n"
    assert sample(*arguments, "--count", "2").stdout.startswith(f"a{cut}\n-----\n")
    values = json.loads(sample(*arguments, "--json", "--logprobs", "1").stdout)
    assert (values["text"], values["finish_reason"]) == (cut, "length")
    assert "".join(each["character"] for each in values["logprobs"]) == cut


def test_json_has_what_was_asked_for_on_a_line_for_each_sample(writer: Writer) -> None:
    lines = [json.loads(line) for line in sample("--count", "2", "--json", "--logprobs", "2").stdout.splitlines()]
    assert [line["index"] for line in lines] == [0, 1]
    for line in lines:
        assert {"text", "prompt", "seed", "finish_reason", "parameters", "run", "logprobs"} <= set(line)
        assert "".join(each["character"] for each in line["logprobs"]) == line["text"]
        assert all(len(each["top"]) == 2 for each in line["logprobs"])
    assert "logprobs" not in json.loads(sample("--json").stdout)


def test_a_seed_that_was_drawn_is_told_and_brings_the_text_again(writer: Writer) -> None:
    first = CliRunner().invoke(cli, ["sample", "--length", "30"])
    seed = first.stderr.removeprefix("(letters, --seed ").removesuffix(")\n")
    assert CliRunner().invoke(cli, ["sample", "--length", "30", "--seed", seed]).stdout == first.stdout


def test_a_terminal_is_not_steered_by_what_a_model_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    wild = random_writer(CharTokenizer("\x07\n\x1b[m"))
    monkeypatch.setattr(reading, "load_writer", lambda *_: (wild, "wild"))
    assert "\x1b" in sample().stdout
    monkeypatch.setattr("textgen.cli.commands.sample.is_terminal", lambda stream: stream is sys.stdout)
    shown = sample().stdout
    assert "\x1b" not in shown
    assert "\\x1b" in shown


def test_a_decimal_comma_is_pointed_out(writer: Writer) -> None:
    assert "--temperature 0,8 is 0 and 8 in turn; type 0.8 for the number.\n" in sample("--temperature", "0,8").stderr
    for usual in ("0.8", "0.5,1", "0.2,0.5,1", "0, 8"):
        assert "Note" not in sample("--temperature", usual).stderr


def test_a_stop_text_that_never_comes_is_pointed_out(writer: Writer) -> None:
    noted = sample("--stop", r"\n", "--stop", "zz").stderr
    assert noted.count("Note: ") == 1
    assert r"--stop '\\n' never ends a text of this model, which does not write '\\'." in noted
    # What is advised is what bash makes of it.
    assert r"type --stop $'\n'." in noted
    assert "Note" not in sample("--stop", "\n").stderr
    other = sample("--stop", "☃").stderr
    assert "which does not write '☃'." in other
    assert "type" not in other


def test_an_escape_among_the_characters_to_ban_or_to_allow_is_pointed_out(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = sample("--ban", r"xy\n").stderr
    assert noted.count("Note: ") == 1
    assert r"--ban 'xy\\n' bans the backslash, which this model does not write, and 'n'." in noted
    assert r"type --ban $'xy\n'." in noted
    assert "Note" not in sample("--ban", "xy\n").stderr
    # The model knows no tab, so none was meant.
    assert "Note" not in sample("--ban", r"\t").stderr
    for command in ("sample", "complete"):
        refused = CliRunner().invoke(cli, [command, "--allow", r"a\n"], input="")
        assert refused.exit_code == 1
        hint, error = refused.stderr.splitlines()
        assert hint.startswith(r"Note: --allow 'a\\n' allows the backslash, which this model does not write, and 'n'. ")
        assert hint.endswith(r"type --allow $'a\n'.")
        assert error.startswith("Error: --allow must be made of characters of the model's vocabulary")
    monkeypatch.setattr(reading, "load_writer", lambda *_: (random_writer(CharTokenizer("\n \\an")), "code"))
    assert "Note" not in sample("--ban", r"\n").stderr


def test_a_line_that_never_ends_is_pointed_out(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Note" not in sample("--until", "line").stderr
    monkeypatch.setattr(reading, "load_writer", lambda *_: (random_writer(CharTokenizer(" ab")), "unbroken"))
    for until, more in (("line", 1_000), ("paragraph", 4_000)):
        result = sample("--until", until, "--no-echo")
        assert f"--until {until} never ends a text of this model" in result.stderr
        assert f"{more:,} characters past --length." in result.stderr
        assert len(result.stdout) == 30 + more + 1
    assert "Note" not in sample().stderr


def score(*arguments: str, input: str = "the sea was calm\n") -> Result:  # noqa: A002
    result = CliRunner().invoke(cli, ["score", "-", *arguments], input=input)
    assert result.exit_code == 0, result.output
    return result


def test_a_score_is_that_of_the_writer(writer: Writer) -> None:
    expected = writer.score("the sea was calm\n")
    values = json.loads(score("--json", "--show").stdout)
    assert values["bits_per_character"] == pytest.approx(expected.bits_per_character)
    assert values["bits"] == pytest.approx(-expected.logprobs.sum() / math.log(2))
    assert values["characters"] == len(values["text"]) == len(values["logprobs"]) == 17
    assert f"bits per character  {expected.bits_per_character:.4f}\n" in score().stdout


def test_a_long_text_is_read_in_parts_and_scored_nearly_the_same(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = "the sea was calm and the wind was low\n" * 60
    exact = json.loads(score("--json", "--streams", "1", input=long).stdout)
    monkeypatch.setattr("textgen.cli.commands.score._EXACT", 1000)
    monkeypatch.setattr("textgen.cli.commands.score._PART", 500)
    parts = json.loads(score("--json", input=long).stdout)
    assert parts["bits"] != exact["bits"]
    assert parts["bits"] == pytest.approx(exact["bits"], rel=0.05)


def test_an_empty_text_cannot_be_scored(writer: Writer) -> None:
    result = CliRunner().invoke(cli, ["score", "-"], input="")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)


def test_characters_can_be_banned_and_allowed(writer: Writer) -> None:
    free, banned = sample().stdout, sample("--ban", "j☃").stdout
    assert "j" in free
    assert banned == text(writer, ban="j") + "\n"
    assert "j" not in banned
    assert sample("--ban", "j☃", "--count", "3").stdout.startswith(banned)
    assert sample("--allow", "abc").stdout == text(writer, allow="abc") + "\n"


@pytest.mark.parametrize("more", [(), ("--adapt", "missing.txt"), ("--count", "2")])
@pytest.mark.parametrize("limits", [("--allow", "a☃"), ("--allow", "a", "--ban", "a")])
def test_impossible_limits_are_refused_first(writer: Writer, limits: tuple[str, ...], more: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, ["sample", "--prompt", "the", *limits, *more])
    assert (result.exit_code, result.stdout) == (1, "")
    assert re.fullmatch(r"Error: (--ban and )?--allow must .*\n", result.stderr)
