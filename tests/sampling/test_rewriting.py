"""What is written for a text: the most probable, as a slow version finds it; what is drawn; what it must match."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from slow_pairs import slow_pair_probabilities
from small_pairs import random_rewriter, slow_logprob

from textgen.config import CorpusConfig
from textgen.corpus.pair_tasks import damage
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import ConfigError, UnknownCharacterError
from textgen.sampling.rewriting.rewriter import Rewriter

LINES = ["abcd", "a", "ddca", "", "bb", "abcd", "cabbad", "d"]
LONG = "ab. " * 60


@pytest.fixture(scope="module")
def rewriter() -> Rewriter:
    return random_rewriter(seed=3)


def greedy(rewriter: Rewriter, source: str, longest: int) -> str:
    """The likeliest character each time, one step at a time."""
    end = rewriter.tokenizer.end_id
    assert end is not None
    read, inputs = [*rewriter.source_tokenizer.encode(source).tolist(), rewriter.source_tokenizer.end_id], [end]
    while len(inputs) <= longest:
        found = int(slow_pair_probabilities(rewriter.weights, rewriter.config, read, inputs)[-1].argmax())
        if found == end:
            break
        inputs.append(found)
    return rewriter.tokenizer.decode(inputs[1:])


def test_a_beam_of_one_takes_the_likeliest_character_each_time(rewriter: Rewriter) -> None:
    found = list(rewriter.stream(LINES, beam=1, longest=9, length_penalty=1.0))
    texts = [each.text for (each,) in found]
    assert texts == [greedy(rewriter, line, 9) if line else "" for line in LINES]
    assert {len(text) for text in texts} != {9}


@pytest.mark.parametrize("length_penalty", [0.0, 1.5])
def test_a_wide_beam_finds_what_is_best_of_all(rewriter: Rewriter, length_penalty: float) -> None:
    texts = ["".join(each) for n in range(4) for each in itertools.product("wxy", repeat=n)]
    for source in ("abcd", "c"):
        known = {text: slow_logprob(rewriter, source, text) for text in texts}
        best = sorted(texts, key=lambda text: -known[text] / (len(text) + 1) ** length_penalty)[:6]
        found = rewriter.rewrite(source, count=6, beam=81, match="[wxy]{0,3}", length_penalty=length_penalty)
        assert [each.text for each in found] == best
        assert [each.logprob for each in found] == pytest.approx([known[text] for text in best], abs=1e-4)
        assert found[0].probability == pytest.approx(np.exp(known[best[0]]), rel=1e-4)
        assert [each.index for each in found] == list(range(6))


def test_a_text_is_rewritten_alike_alone_and_among_others_in_their_order(rewriter: Rewriter) -> None:
    together = list(rewriter.stream(iter(LINES), count=3, longest=12))
    for line, found in zip(LINES, together, strict=True):
        alone = rewriter.rewrite(line, count=3, longest=12)
        assert [(each.source, each.text) for each in found] == [(line, each.text) for each in alone]
        assert [each.logprob for each in found] == pytest.approx([each.logprob for each in alone], abs=1e-4)


def test_a_text_that_does_not_end_is_cut_at_the_longest() -> None:
    rewriter = random_rewriter(bias={4: -50.0})
    (found,) = rewriter.rewrite("ab", longest=7, beam=1)
    assert (len(found.text), found.finish_reason) == (7, "length")
    assert len(rewriter.rewrite("ab", beam=1)[0].text) == 26


def test_what_is_drawn_depends_on_the_seed_and_the_text_s_place_alone(rewriter: Rewriter) -> None:
    def drawn(texts: list[str], count: int, seed: int) -> list[list[str]]:
        found = rewriter.stream(texts, sample=True, seed=seed, count=count, temperature=1.5)
        return [[each.text for each in some] for some in found]

    three = drawn(["abcd", "a", "abcd"], 3, 7)
    assert [some[:2] for some in three] == drawn(["abcd", "a", "abcd"], 2, 7)
    assert three[:1] == drawn(["abcd"], 3, 7)
    assert three[0] != three[2]
    assert three != drawn(["abcd", "a", "abcd"], 3, 8)


def test_texts_are_drawn_as_often_as_they_are_probable(rewriter: Rewriter) -> None:
    found = rewriter.rewrite("abcd", sample=True, seed=1, count=2000, longest=2, temperature=1.0)
    for text in ("", "w", "z", "y"):
        p = np.exp(slow_logprob(rewriter, "abcd", text))
        often = sum(each.text == text and each.finish_reason == "end" for each in found)
        assert abs(often - 2000 * p) < 4.5 * np.sqrt(2000 * p * (1 - p)) + 1
    cold = rewriter.rewrite("abcd", sample=True, seed=1, count=3, temperature=0.001)
    assert {each.text for each in cold} == {rewriter.rewrite("abcd", beam=1)[0].text}
    assert {each.seed for each in cold} == {1}


def test_what_is_written_and_drawn_matches_a_pattern(rewriter: Rewriter) -> None:
    for settings in ({}, {"sample": True, "seed": 2, "temperature": 5.0}):
        for found in rewriter.stream(LINES[:3], match="(wx)+z?", longest=6, count=2, **settings):
            assert {each.text for each in found} <= {"wx", "wxz", "wxwx", "wxwxz", "wxwxwx"}
    (found,) = rewriter.rewrite("ab", match="zzw")
    assert (found.text, found.logprob) == ("zzw", pytest.approx(slow_logprob(rewriter, "ab", "zzw"), abs=1e-4))


def test_a_run_on_sentences_gets_each_by_itself_and_white_space_stays() -> None:
    tokenizer = CharTokenizer(" .abc", has_end=True)
    whole = random_rewriter(tokenizer, tokenizer, seed=1)
    by_sentence = random_rewriter(tokenizer, tokenizer, seed=1, corpus=CorpusConfig(task="noise"))
    settings: dict[str, Any] = {"count": 2, "longest": 5, "length_penalty": 0.0}
    first, second = (by_sentence.rewrite(each, **settings) for each in ("ab.", "ca b."))
    found = by_sentence.rewrite("  ab.  ca b. ", **settings)
    assert found[0].text == f"  {first[0].text}  {second[0].text} "
    assert found[0].logprob == pytest.approx(first[0].logprob + second[0].logprob, abs=1e-4)
    assert found[1].logprob == pytest.approx(
        max(first[1].logprob + second[0].logprob, first[0].logprob + second[1].logprob), abs=1e-4
    )
    assert whole.rewrite("ab. ca b.", longest=5)[0].text != by_sentence.rewrite("ab. ca b.", longest=5)[0].text
    piece = by_sentence.rewrite("ab.", longest=5)[0].text
    assert whole.rewrite(LONG, longest=5)[0].text == f"{piece} " * 60
    assert whole.rewrite(" \t", longest=5)[0].text == " \t"


PIECES = ["ab.", "  b. ab. ca. ", "ab. " * 51, " "]


@pytest.mark.parametrize("settings", [{}, {"beam": 1}, {"count": 4}, {"sample": True, "seed": 3, "count": 3}], ids=str)
@pytest.mark.parametrize("corpus", [CorpusConfig(task="case"), None], ids=["by sentence", "long lines"])
def test_all_that_is_written_for_a_text_in_pieces_matches(
    settings: dict[str, Any], corpus: CorpusConfig | None
) -> None:
    tokenizer = CharTokenizer(" .abc", has_end=True)
    rewriter = random_rewriter(tokenizer, tokenizer, seed=1, corpus=corpus)
    # An odd number of a, and at most one b: what one piece holds decides what the next may hold.
    odd, even = r"[^ab]*a([^ab]*a[^ab]*a)*[^ab]*", r"([^ab]*a[^ab]*a)*[^ab]*"
    pattern = f"{odd}|{odd}b{even}|{even}b{odd}"
    for text, found in zip(PIECES, rewriter.stream(PIECES, match=pattern, longest=9, **settings), strict=True):
        if text.strip():
            assert len(found) == settings.get("count", 1)
            assert all(re.fullmatch(pattern, each.text) for each in found), found
            assert len({each.text for each in found}) == len(found) or "sample" in settings
        else:
            assert [each.text for each in found] == [text]


def test_alternatives_of_a_text_in_pieces_are_the_best_that_match() -> None:
    tokenizer = CharTokenizer(" .abc", has_end=True)
    rewriter = random_rewriter(tokenizer, tokenizer, seed=1, corpus=CorpusConfig(task="case"))
    texts = ["".join(each) for n in range(3) for each in itertools.product("abc", repeat=n)]
    known = [{text: slow_logprob(rewriter, source, text) for text in texts} for source in ("ab.", "ca.")]
    both = [(a, b) for a in texts for b in texts if re.fullmatch(r"a* a*|[bc]* [bc]?", f"{a} {b}")]
    best = sorted(both, key=lambda pair: -known[0][pair[0]] - known[1][pair[1]])[:5]
    match = r"a{0,2} a{0,2}|[bc]{0,2} [bc]?"
    found = rewriter.rewrite("ab. ca.", match=match, count=5, beam=81, length_penalty=0.0)
    assert [each.text for each in found] == [" ".join(pair) for pair in best]
    expected = [known[0][a] + known[1][b] for a, b in best]
    assert [each.logprob for each in found] == pytest.approx(expected, abs=1e-4)


TASKS = {"diacritics": (" aoäâö.", "oa ao"), "case": ("abAB ςσΣ.", "ba bς"), "spaces": ("ab \u3000.", "abba")}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("settings", [{}, {"beam": 1}, {"sample": True, "seed": 3, "temperature": 4.0}], ids=str)
def test_a_task_s_run_writes_only_what_the_task_would_make_the_source_of(task: Any, settings: dict[str, Any]) -> None:
    characters, source = TASKS[task]
    tokenizer = CharTokenizer("".join(sorted(characters)), has_end=True)
    rewriter = random_rewriter(tokenizer, tokenizer, seed=2, corpus=CorpusConfig(task=task))
    lines = [source, source[::-1], source[0], f"{source}. {source}"]
    for line, found in zip(lines, rewriter.stream(lines, count=3, **settings), strict=True):
        for each in found:
            assert sigmas(damage(each.text, task)) == sigmas(damage(line, task))
            assert each.finish_reason == "end", "room is left for the rest of the source"
            if ". " not in line:
                assert each.logprob == pytest.approx(slow_logprob(rewriter, line, each.text), abs=1e-3)
    assert len({each.text for each in rewriter.rewrite(source, count=3)}) == 3


def sigmas(text: str) -> str:
    return text.replace("ς", "σ")


def test_of_all_that_a_task_allows_the_best_is_written() -> None:
    tokenizer = CharTokenizer("aoâäö", has_end=True)
    rewriter = random_rewriter(tokenizer, tokenizer, seed=4, corpus=CorpusConfig(task="diacritics"))
    texts = ["".join(each) for each in itertools.product("oö", "aäâ", "aäâ")]
    known = {text: slow_logprob(rewriter, "oaa", text) for text in texts}
    found = rewriter.rewrite("oaa", count=6, beam=32)
    assert [each.text for each in found] == sorted(texts, key=lambda text: -known[text])[:6]
    free = random_rewriter(tokenizer, tokenizer, seed=4).rewrite("oaa")[0].text
    assert damage(free, "diacritics") != "oaa", "the model by itself would write something else"


def test_what_a_task_takes_away_is_not_read_where_the_text_has_some_of_it() -> None:
    reads, writes = CharTokenizer(" .ab", has_end=True), CharTokenizer(" .ABab", has_end=True)
    rewriter = random_rewriter(reads, writes, seed=4, corpus=CorpusConfig(task="case"))
    found = rewriter.rewrite("bA. AB.")[0]
    assert (found.source, found.text) == ("bA. AB.", rewriter.rewrite("ba. ab.")[0].text)
    with pytest.raises(UnknownCharacterError):
        random_rewriter(reads, writes, seed=4, corpus=CorpusConfig(task="noise")).rewrite("bA. AB.")


def test_what_no_character_can_stand_for_is_written_as_one_of_any_kind() -> None:
    reads, writes = CharTokenizer("?ao", has_end=True), CharTokenizer("aoä", has_end=True)
    rewriter = random_rewriter(reads, writes, seed=4, corpus=CorpusConfig(task="diacritics"))
    for found in rewriter.rewrite("a?o?", count=5):
        assert (len(found.text), damage(found.text[::2], "diacritics"), found.finish_reason) == (4, "ao", "end")
    assert {len(each.text) for each in rewriter.rewrite("a!o", count=5, unknown="skip")} == {2}
    assert rewriter.rewrite("aa", match="oo")[0].text == "oo", "a pattern says what to write instead"


def test_white_space_that_a_pattern_does_not_allow_is_refused(
    rewriter: Rewriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = CharTokenizer(" .abc", has_end=True)
    by_sentence = random_rewriter(tokenizer, tokenizer, corpus=CorpusConfig(task="case"))
    assert re.fullmatch("[abc]{3}", by_sentence.rewrite("ab.", match="[abc]{3}")[0].text)
    shown = {"ab. ca.": "for 'ab. ca.' with the white space that stays in it (' '); nothing does. "}
    shown |= {"ab.\t\tca. ": "('\\t\\t', ' ')", "\tab.": "('\\t')"}
    for text, expected in shown.items():
        with pytest.raises(ConfigError) as refused:
            by_sentence.rewrite(text, match="[abc]{3}")
        assert expected in str(refused.value)
    # Each of the many sentences leaves another number of characters to the rest.
    assert len(by_sentence.rewrite("ab. " * 70, match="[abc. ]{300}", beam=1)[0].text) == 300
    with monkeypatch.context() as patched:
        patched.setattr("textgen.sampling.rewriting.matching._STEPS", 10_000)
        with pytest.raises(ConfigError, match="match must have fewer cases to tell apart in a text of so many"):
            by_sentence.rewrite("ab. " * 70, match="[abc. ]{300}")
    with pytest.raises(ConfigError, match="copy_unknown must be left out with match"):
        rewriter.rewrite("ab", match="w", copy_unknown=True)


def test_unknown_characters_are_treated_as_everywhere(rewriter: Rewriter) -> None:
    with pytest.raises(UnknownCharacterError, match="never saw: 'é'"):
        rewriter.rewrite("aéb")
    assert rewriter.rewrite("aéb", unknown="skip")[0].text == rewriter.rewrite("ab")[0].text
    known = CharTokenizer("ab", has_unknown=True, has_end=True)
    for each in random_rewriter(known, known, bias={2: 20.0}).rewrite("aéb", count=5, longest=4):
        assert "\ufffd" not in each.text


def test_unknown_characters_are_copied_where_they_are_to_be() -> None:
    known = CharTokenizer("ab", has_unknown=True, has_end=True)
    rewriter = random_rewriter(known, known, bias={2: 20.0})
    assert rewriter.rewrite("aéb", longest=3, beam=1, copy_unknown=True)[0].text == "ééé"
    spaced = CharTokenizer(" ab", has_end=True)
    rewriter = random_rewriter(spaced, spaced, bias={0: 20.0}, seed=4)
    (found,) = rewriter.rewrite("aéb", longest=3, beam=1, copy_unknown=True)
    attention = rewriter.read(["a b"], ["   "])[0].attention
    assert found.text == "".join("é" if place == 1 else " " for place in attention.argmax(axis=1)[:3])
    with pytest.raises(ConfigError, match="unknown must be auto or replace with copy_unknown"):
        rewriter.rewrite("aéb", copy_unknown=True, unknown="skip")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beam": 0}, "beam must be"),
        ({"count": 0}, "count must be at least 1"),
        ({"temperature": 0.0}, "temperature must be .* Leave sample out"),
        ({"match": "q+"}, "match must fit a text of characters that the model may write; none does. It cannot write"),
    ],
)
def test_impossible_settings_are_refused_before_a_text_is_read(
    rewriter: Rewriter, settings: dict[str, object], message: str
) -> None:
    def never() -> object:
        raise AssertionError
        yield

    with pytest.raises(ConfigError, match=message):
        rewriter.stream(never(), **settings)  # type: ignore[arg-type]


def test_rewriting_imports_no_tensorflow() -> None:
    code = "import sys, textgen; textgen.load_rewriter; textgen.Rewriter; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
