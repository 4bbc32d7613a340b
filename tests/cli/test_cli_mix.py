"""Several `--run`: writing, completing, scoring and evaluating with a mixture."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tiny_runs import TINY

import textgen
from textgen.analysis.evaluation import evaluate
from textgen.cli import cli
from textgen.config import CorpusConfig
from textgen.sampling.loading import load
from textgen.sampling.writer import Writer
from textgen.training.start import train


@pytest.fixture(scope="module")
def two(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run `tiny`, another seed and cell of its text, and runs that cannot be mixed with it."""
    folder = tmp_path_factory.mktemp("two")
    shutil.copytree(home / "checkpoints", folder / "checkpoints")
    shutil.copy(home / "haven.txt", folder)
    text = (home / "haven.txt").read_text(encoding="utf-8")
    (folder / "other.txt").write_text(text.replace("Z", "z") + "the sea " * 50, encoding="utf-8")
    (folder / "snow.txt").write_text(text + "\u2603\u2604\n" * 50, encoding="utf-8")
    settings: dict[str, Any] = {"checkpoints": folder / "checkpoints", "epochs": 0.2, **TINY}
    train(folder / "haven.txt", name="seed", seed=2, **{**settings, "cell": "gru", "units": 12})
    train(folder / "other.txt", name="other", seed=3, **settings)
    train(folder / "snow.txt", name="snow", seed=3, **settings)
    train(folder / "haven.txt", name="crlf", seed=3, corpus=CorpusConfig(keep_newlines=True), **settings)
    return folder


@pytest.fixture
def at_home(two: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(two)
    return two


@pytest.fixture
def mixed(at_home: Path) -> Writer:
    return Writer.mix([load("tiny"), load("seed")], [0.7, 0.3])


BOTH = ("--run", "tiny:0.7", "--run", "seed:0.3")
NAME = "tiny:0.7 + seed:0.3"
RUNS = [{"run": "tiny", "weight": 0.7}, {"run": "seed", "weight": 0.3}]


def run(*arguments: str, code: int = 0, input: str | None = None) -> Result:  # noqa: A002
    result = CliRunner().invoke(cli, [*arguments], input=input, prog_name="textgen")
    assert result.exit_code == code, result.output
    return result


def one_sentence(result: Result) -> str:
    """The error, which must be a single line."""
    (line,) = [each for each in result.stderr.splitlines() if each.startswith("Error: ")]
    assert result.stdout == ""
    return line.removeprefix("Error: ")


def test_a_sample_is_that_of_the_mixture_and_says_of_which_runs(mixed: Writer) -> None:
    line = ("sample", *BOTH, "--prompt", "The sea ", "--seed", "3", "--length", "60")
    expected = mixed.generate("The sea ", seed=3, max_new_tokens=60).text
    result = run(*line)
    assert result.stdout == f"The sea {expected}\n"
    assert result.stderr == f"({NAME}, --seed 3)\n"
    first, *rest = (json.loads(each) for each in run(*line, "--json", "--count", "9").stdout.splitlines())
    assert (first["text"], first["run"], first["runs"], len(rest)) == (expected, NAME, RUNS, 8)


def test_a_single_run_with_any_weight_is_that_run_bit_for_bit(at_home: Path) -> None:
    line = ("sample", "--seed", "3", "--length", "60", "--json", "--logprobs", "3")
    plain = run(*line, "--run", "tiny").stdout
    assert run(*line, "--run", "tiny:0.25").stdout == plain
    assert (json.loads(plain)["run"], "runs" in json.loads(plain)) == ("tiny", False)


def test_a_run_without_a_weight_counts_one(mixed: Writer) -> None:
    line = ("score", "haven.txt", "--limit", "300", "--json")
    equal = json.loads(run(*line, "--run", "tiny", "--run", "seed").stdout)
    assert [each["weight"] for each in equal["runs"]] == [0.5, 0.5]
    third = json.loads(run(*line, "--run", "tiny", "--run", "seed:2").stdout)
    assert [each["weight"] for each in third["runs"]] == pytest.approx([1 / 3, 2 / 3])
    assert third["run"] == "tiny:0.3333 + seed:0.6667"
    twice = json.loads(run(*line, "--run", "tiny", "--run", "tiny").stdout)
    alone = json.loads(run(*line, "--run", "tiny").stdout)
    assert twice["bits_per_character"] == pytest.approx(alone["bits_per_character"], rel=1e-6)


def test_a_score_is_that_of_the_mixture(mixed: Writer, at_home: Path) -> None:
    text = (at_home / "haven.txt").read_text(encoding="utf-8")[:500]
    values = json.loads(run("score", "haven.txt", *BOTH, "--limit", "500", "--json").stdout)
    assert (values["run"], values["runs"]) == (NAME, RUNS)
    assert values["bits_per_character"] == mixed.score(text).bits_per_character
    assert f"model               {NAME}\n" in run("score", "haven.txt", *BOTH, "--limit", "500").stdout
    run("score", "haven.txt", *BOTH, "--limit", "500", "--html", "page.html")
    assert NAME in (at_home / "page.html").read_text(encoding="utf-8")


def test_completions_are_those_of_the_mixture(mixed: Writer) -> None:
    answer = json.loads(run("complete", *BOTH, "--json", input="The captain lo\n").stdout)
    expected = [{"text": each.text, "probability": each.probability} for each in mixed.suggest("The captain lo")]
    assert answer["suggestions"] == expected
    (asked, written) = run("complete", *BOTH, "--json", "--seed", "1", input="The\n:line\n").stdout.splitlines()
    assert json.loads(written)["text"].startswith(json.loads(asked)["text"])


def test_an_evaluation_is_that_of_the_mixture_on_the_text_that_both_held_out(mixed: Writer) -> None:
    found = evaluate(mixed, dynamic=True)
    values = json.loads(run("eval", *BOTH, "--dynamic", "--json").stdout)
    assert values == found.to_json()
    assert (values["run"], values["runs"], values["checkpoint"]) == (NAME, RUNS, None)
    assert (values["text"]["split"], values["text"]["characters"]) == ("held-out", 400)
    assert {"xz", "unigram"} <= {each["name"] for each in values["baselines"]}
    alone = [evaluate(name, dynamic=True) for name in ("tiny", "seed")]
    for each, one, other in zip(found.protocols, *(single.protocols for single in alone), strict=True):
        assert each.nats < 0.7 * one.nats + 0.3 * other.nats
    lines = run("eval", *BOTH).stdout.splitlines()
    assert lines[0] == f"run   {NAME}"
    assert max(map(len, lines)) <= 80
    assert "The runs did not train on this text, but selected their best checkpoints by the" in lines


def test_a_text_is_evaluated_beside_runs_or_one_that_has_run_in_front_of_it(at_home: Path) -> None:
    (at_home / "letter.txt").write_text("Nan said the sea was out.\n", encoding="utf-8")
    values = json.loads(run("eval", *BOTH, "letter.txt", "--json").stdout)
    assert (values["runs"], values["text"]["source"]) == (RUNS, "letter.txt")
    assert json.loads(run("eval", "letter.txt", *BOTH, "--json").stdout) == values
    assert json.loads(run("eval", *BOTH, "-", "--json", input="Nan said").stdout)["text"]["characters"] == 8
    assert run("eval", "--run", "tiny").stdout == run("eval", "tiny").stdout
    warned = run("eval", *BOTH, "haven.txt")
    assert warned.stderr.startswith("Warning: This is the text that the model was trained on")


def test_runs_of_different_texts_are_mixed_but_have_no_text_of_their_own(at_home: Path) -> None:
    both = ("--run", "tiny", "--run", "other")
    assert len(json.loads(run("sample", *both, "--length", "20", "--prompt", "", "--json").stdout)["text"]) == 20
    said = "The mixed models were trained on different texts, or on different parts of one."
    assert one_sentence(run("eval", *both, code=1)) == f"{said} Give a text to score as FILE."
    assert one_sentence(run("eval", *both, "--corpus", "haven.txt", code=1)) == said
    assert said in json.loads(run("eval", *both, "haven.txt", "--json").stdout)["notes"][0]
    pytest.importorskip("pydivsufsort")
    assert one_sentence(run("sample", *both, "--check", code=1)) == f"{said} Use --check with one of them."


def test_copies_are_looked_for_in_the_text_of_both(at_home: Path) -> None:
    pytest.importorskip("pydivsufsort")
    values = json.loads(run("sample", *BOTH, "--check", "--json", "--length", "200", "--seed", "1").stdout)
    assert "copies" in values
    found = textgen.novelty(Writer.mix([load("tiny"), load("seed")]), count=2, max_new_tokens=300, seed=1)
    assert (found.run, found.training_characters) == ("tiny:0.5 + seed:0.5", 3600)


def test_a_text_that_has_gone_can_be_named(at_home: Path) -> None:
    moved = (at_home / "haven.txt").rename(at_home / "far.md")
    moved.write_text(moved.read_text(encoding="utf-8") + " ", encoding="utf-8")
    try:
        error = one_sentence(run("eval", "--run", "seed", "--run", "seed", code=1))
    finally:
        moved.write_text(moved.read_text(encoding="utf-8")[:-1], encoding="utf-8")
        moved.rename(at_home / "haven.txt")
    assert error.endswith(" Pass --corpus PATH if it has moved, or give a text to score as FILE.")


def test_every_run_adapts(mixed: Writer, at_home: Path) -> None:
    (at_home / "letter.txt").write_text("mirabel wept that mirabel had wept\n" * 20, encoding="utf-8")
    line = ("sample", *BOTH, "--adapt", "letter.txt", "--prompt", "mir", "--seed", "3", "--length", "40", "--json")
    values = json.loads(run(*line).stdout)
    adapted = mixed.adapt((at_home / "letter.txt").read_text(encoding="utf-8"))
    assert adapted.adaptation is not None and not adapted.adaptation.problem
    assert values["text"] == adapted.generate("mir", seed=3, max_new_tokens=40).text
    assert (values["runs"], values["adapt"]) == (RUNS, "letter.txt")


def test_an_existing_run_of_a_name_with_a_colon_is_that_run(at_home: Path) -> None:
    for place in ("checkpoints/tiny:0.7", "seed:2"):
        shutil.copytree(at_home / "checkpoints" / "seed", at_home / place)
    shutil.copy(at_home / "checkpoints/tiny/best.keras", at_home / "odd:1.keras")
    try:
        for given, name, weight in (
            ("tiny:0.7", "tiny:0.7", 0.5),
            ("seed:2", "seed:2", 0.5),
            ("tiny:0.7:3", "tiny:0.7", 0.75),
            ("odd:1.keras", "odd:1.keras", 0.5),
            ("odd:1.keras:3", "odd:1.keras", 0.75),
            ("checkpoints/seed:3", "seed", 0.75),
        ):
            line = ("sample", "--run", given, "--run", "tiny", "--json", "--length", "3", "--prompt", "")
            assert json.loads(run(*line).stdout)["runs"][0] == {"run": name, "weight": weight}
    finally:
        for place in ("checkpoints/tiny:0.7", "seed:2"):
            shutil.rmtree(at_home / place)
        (at_home / "odd:1.keras").unlink()


@pytest.mark.parametrize("weight", ["0", "-1", "nan", "inf", "0,7", "x", ""])
@pytest.mark.parametrize("command", [("sample",), ("complete",), ("score", "haven.txt"), ("eval",)])
def test_what_is_no_weight_is_wrong_usage(at_home: Path, weight: str, command: tuple[str, ...]) -> None:
    error = one_sentence(run(*command, "--run", f"tiny:{weight}", "--run", "seed", code=2))
    assert error.startswith(f"--run 'tiny:{weight}': the weight must be a positive number; got '{weight}'.")
    assert error.endswith("Write for instance 'tiny:0.7'.")


@pytest.mark.parametrize("arguments", [("tiny", "haven.txt"), ("tiny",), ("checkpoints/tiny",), ("absent.keras",)])
def test_a_run_is_named_in_one_way(at_home: Path, arguments: tuple[str, ...]) -> None:
    error = one_sentence(run("eval", *arguments, *BOTH, code=2))
    assert error == "RUN and --run cannot be given together. Name every run with --run."


@pytest.mark.parametrize(
    ("runs", "sentence"),
    [
        (("tiny:0.7", "tony:0.3"), "There is no run 'tony' in checkpoints. Did you mean 'tiny'?"),
        (("tiny", "C:nobody"), "There is no run 'C:nobody' in checkpoints."),
        (
            ("tiny", "snow"),
            "The models cannot be mixed: 'tiny' lacks 2 characters of 'snow', '\u2603' (U+2603) and '\u2604' (U+2604). "
            "Mix models of texts with the same characters, such as two seeds of one text.",
        ),
        (
            ("tiny", "crlf"),
            "The models cannot be mixed: 'tiny' was trained with keep_newlines=False, and 'crlf' with "
            "keep_newlines=True. Mix models whose texts were normalised in one way.",
        ),
    ],
)
def test_runs_that_cannot_be_mixed_are_one_sentence(at_home: Path, runs: tuple[str, str], sentence: str) -> None:
    for command in (("sample",), ("complete",), ("score", "haven.txt"), ("eval",)):
        error = one_sentence(run(*command, "--run", runs[0], "--run", runs[1], code=1))
        assert error.startswith(sentence)


def test_units_are_those_of_one_run(mixed: Writer) -> None:
    with pytest.raises(textgen.ConfigError, match="A mixture of models has no units of its own"):
        textgen.neurons(mixed, "the sea")
    assert textgen.surprise(mixed, "the sea").passage.model == NAME
