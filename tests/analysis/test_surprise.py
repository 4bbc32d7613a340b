"""Surprisal and alternatives: the figures, the page, the terminal, the command."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from pages import data_of, unpacked
from small_models import ALPHABET, Scripted, random_weights, random_writer, slow_logits

import textgen
from textgen.cli import cli, reading
from textgen.cli.shading import coloured, plain, spans
from textgen.corpus.tokenizer import CharTokenizer
from textgen.display.shades import THRESHOLDS, level
from textgen.engine.scoring import Score
from textgen.errors import ConfigError, CorpusError, UnknownCharacterError
from textgen.sampling.logits import log_softmax
from textgen.sampling.writer import Writer

WRITER = random_writer()
TEXT = "the sea was calm\nand the wind was low\n"


def scripted(odds: dict[str, dict[str, float]], tokenizer: CharTokenizer = ALPHABET) -> Writer:
    writer = random_writer(tokenizer)
    writer.engine = Scripted(odds, tokenizer=tokenizer)
    return writer


def test_alternatives_agree_with_the_slow_network() -> None:
    found = textgen.surprise(WRITER, TEXT, alternatives=4)
    weights = random_weights(WRITER.config, seed=0, scale=4.0)
    ids = ALPHABET.encode("\n" + TEXT)
    logs = log_softmax(slow_logits(WRITER.config, weights, ids[:-1]))
    np.testing.assert_allclose(found.logprobs, logs[np.arange(len(TEXT)), ids[1:]], atol=1e-4)
    np.testing.assert_array_equal(found.likeliest, np.argsort(-logs, axis=-1)[:, :4])
    np.testing.assert_allclose(found.likeliest_logprobs, -np.sort(-logs, axis=-1)[:, :4], atol=1e-4)
    np.testing.assert_array_equal(found.logprobs, WRITER.score(TEXT).logprobs)


def test_at_returns_the_character_and_its_alternatives() -> None:
    found = textgen.surprise(scripted({"q": {"u": 0.75, "a": 0.25}, "": {"q": 0.5, "u": 0.5}}), "qa", alternatives=2)
    each = found.at(1)
    assert (each.character, math.exp(each.logprob)) == ("a", pytest.approx(0.25))
    assert [(character, math.exp(logprob)) for character, logprob in each.top] == [
        ("u", pytest.approx(0.75)),
        ("a", pytest.approx(0.25)),
    ]
    np.testing.assert_allclose(found.bits, [1.0, 2.0], atol=1e-6)
    assert found.score.bits_per_character == pytest.approx(1.5)
    assert found.perplexity == pytest.approx(2**1.5)


def test_ties_are_in_order_of_id() -> None:
    even = scripted({"": dict.fromkeys("edcba", 0.2)})
    assert [character for character, _ in textgen.surprise(even, "a", alternatives=5).at(0).top] == list("abcde")


def test_there_are_no_more_alternatives_than_characters() -> None:
    few = random_writer(CharTokenizer("\nab"))
    assert textgen.surprise(few, "ab", alternatives=9).likeliest.shape == (2, 3)


def test_only_the_beginning_of_a_long_text_is_read() -> None:
    found = textgen.surprise(WRITER, TEXT * 9, limit=20)
    assert found.passage.text == (TEXT * 9)[:20]
    np.testing.assert_allclose(found.logprobs, WRITER.score((TEXT * 9)[:20]).logprobs, atol=1e-6)
    assert found.passage.extent == "the first 20 of 342 characters"
    assert "the first 20 of 342 characters" in found.to_html()
    assert found.passage.sha256 == textgen.surprise(WRITER, TEXT * 9).passage.sha256


def test_unknown_characters_are_errors_dropped_or_the_unknown_one() -> None:
    with pytest.raises(UnknownCharacterError):
        textgen.surprise(WRITER, "aÉb")
    assert textgen.surprise(WRITER, "aÉb", unknown="skip").passage.text == "ab"
    tokenizer = CharTokenizer("\nab", has_unknown=True)
    odd = scripted({"": {"a": 0.5, "b": 0.25, "\ufffd": 0.25}}, tokenizer)
    found = textgen.surprise(odd, "aÉ", unknown="replace", alternatives=2)
    assert found.passage.text == "aÉ"
    np.testing.assert_allclose(found.bits, [1.0, 2.0], atol=1e-6)
    assert data_of(found.to_html())["unknown"] == 3


def test_characters_beyond_the_limit_may_be_unknown() -> None:
    assert textgen.surprise(WRITER, "abÉ", limit=2).passage.text == "ab"


@pytest.mark.parametrize(
    ("text", "settings", "error", "said"),
    [
        ("", {}, CorpusError, "There is nothing to analyse: the text is empty."),
        ("É", {"unknown": "skip"}, CorpusError, "none of the text's characters is in"),
        ("a", {"limit": 0}, ConfigError, "limit must be a whole number in"),
        ("a", {"limit": 10**6}, ConfigError, "too heavy to look at"),
        ("a", {"alternatives": 0}, ConfigError, "alternatives must be"),
    ],
)
def test_invalid_texts_and_settings_raise_errors(
    text: str, settings: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        textgen.surprise(WRITER, text, **settings)


def test_a_page_holds_the_figures() -> None:
    found = textgen.surprise(WRITER, TEXT, alternatives=5)
    page = found.to_html(title="The <sea>")
    data = data_of(page)
    assert (data["text"], data["vocabulary"]) == (TEXT, ALPHABET.characters)
    np.testing.assert_allclose(unpacked(data["bits"]) / data["steps"], found.bits, atol=1e-3)
    np.testing.assert_array_equal(unpacked(data["alternatives"]).reshape(-1, 5), found.likeliest)
    likeliest = unpacked(data["alternativeBits"]).reshape(-1, 5) / data["steps"]
    np.testing.assert_allclose(likeliest, -found.likeliest_logprobs / math.log(2), atol=1e-3)
    assert "The &lt;sea&gt;" in page
    assert f"{found.score.bits_per_character:.3f}" in page
    assert found.passage.sha256[:12] in page
    assert page == textgen.surprise(WRITER, TEXT, alternatives=5).to_html(title="The <sea>")


def test_a_page_of_the_most_characters_stays_light() -> None:
    chinese = random_writer(CharTokenizer("\n" + "".join(map(chr, range(0x4E00, 0x4F00)))), units=4, layers=1)
    text = "".join(chr(0x4E00 + n * 37 % 256) for n in range(20_000))
    found = textgen.surprise(chinese, text)
    page = found.to_html()
    assert data_of(page)["text"] == text
    assert len(page) < 1_500_000


SURPRISES = Score("ab\n<é", -math.log(2) * np.array([0.5, 1.5, 5.0, 12.0, 0.1]))


def test_levels_rise_with_surprisal_and_spans_cover_the_text() -> None:
    assert [level(bits) for bits in (0.0, 1.5, 5.0, 12.0)] == [0, 1, 4, 7]
    assert list(THRESHOLDS) == sorted(THRESHOLDS)
    assert list(spans(SURPRISES)) == [(0, "a"), (1, "b"), (4, "\n"), (7, "<"), (0, "é")]


def test_on_a_terminal_surprisal_is_a_colour_that_ends_at_line_breaks() -> None:
    shown = coloured(SURPRISES, colours=256).partition("\n\n")[2]
    assert shown == (
        "a\x1b[48;5;230;38;5;16mb\x1b[0m\x1b[48;5;215;38;5;16m\u21b5\x1b[0m\n\x1b[48;5;197;38;5;16m<\x1b[0mé"
    )


def test_without_colours_each_line_has_its_mean() -> None:
    assert plain(SURPRISES).splitlines() == ["  2.33  ab", "  6.05  <é"]


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Writer:
    monkeypatch.setattr(reading, "load_writer", lambda *_: (WRITER, "letters"))
    return WRITER


def run(*arguments: str, input: str = TEXT) -> Result:  # noqa: A002
    result = CliRunner().invoke(cli, arguments, input=input)
    assert result.exit_code == 0, result.output
    return result


def test_the_command_shows_the_text_and_the_figures(loaded: Writer) -> None:
    found = textgen.surprise(WRITER, TEXT)
    shown = run("surprise", "-").stdout
    assert shown.startswith(plain(found.score) + "\n\n")
    assert f"bits per character  {found.score.bits_per_character:.4f}\n" in shown
    assert f"perplexity          {found.perplexity:.4f}\n" in shown
    values = json.loads(run("surprise", "-", "--json").stdout)
    former = {"file": "-", **json.loads(json.dumps(found.to_json())), "run": "letters"}
    assert values["logprobs"] == pytest.approx(former.pop("logprobs"))
    assert {key: values[key] for key in former} == pytest.approx(former)
    assert values == json.loads(run("score", "-", "--show", "--json").stdout)
    assert "characters          5 of 38" in run("surprise", "-", "--limit", "5").stdout


def test_two_commands_write_the_same_page(loaded: Writer, tmp_path: Path) -> None:
    source = tmp_path / "sea.txt"
    source.write_text(TEXT)
    page = textgen.surprise(WRITER, TEXT).to_html(title="sea.txt")
    for command in ("surprise", "score"):
        out = tmp_path / f"{command}.html"
        shown = run(command, str(source), "--html", str(out)).stdout
        assert out.read_text(encoding="utf-8") == page
        assert "the sea" not in shown
        assert "bits per character" in shown


def test_an_empty_text_and_a_missing_folder_are_errors(loaded: Writer) -> None:
    for arguments, given, said in (
        (["surprise", "-"], "", "the text is empty"),
        (["surprise", "-", "--html", "no/such/page.html"], TEXT, "no/such/page.html"),
        (["surprise", "-", "--limit", "0"], TEXT, "limit must be"),
    ):
        result = CliRunner().invoke(cli, arguments, input=given)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
        assert said in result.stderr
