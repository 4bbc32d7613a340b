"""Where sentences end, in several scripts, and that what is shown is what stays."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import random_writer

from textgen.corpus.tokenizer import CharTokenizer
from textgen.sampling.sentences import SPACED, UNSPACED, Sentences


def trimmed(text: str) -> str:
    sentences = Sentences()
    shown = sentences.add(text)
    return shown + sentences.end()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The sea. The sh", "The sea."),
        ("Is it? It is! Wel", "Is it? It is!"),
        ("Well … he s", "Well …"),
        ("No... I", "No..."),
        ("What?! I", "What?!"),
        ("The sea.", "The sea."),
        ("The sea. ", "The sea."),
        ("The sea.\nThe sh", "The sea."),
        ("It is 3.5 m. It is 4.", "It is 3.5 m. It is 4."),
        ("It is low. It is 3.5", "It is low."),
        ("Go. See textgen.py now", "Go."),
        ('"Yes." "N', '"Yes."'),
        ("‘Yes.’ ‘N", "‘Yes.’"),
        ("“Yes (no?).” “N", "“Yes (no?).”"),
        ("(It was.) An", "(It was.)"),
        ("(So it was.) (That", "(So it was.)"),
        ("Good. (see p.)x", "Good."),
        ("„Ja.“ „Ne", "„Ja.“"),
        ("»Ja.« »Ne", "»Ja.«"),
        ("Er ging. »Ne", "Er ging."),
        ("Er ging. »Nein.« Sie", "Er ging. »Nein.«"),
        ("« Oui. » Il", "« Oui. »"),
        ("«\u202fOui\u202f!\u202f» Il", "«\u202fOui\u202f!\u202f»"),
        ("« Oui. Non. » Il", "« Oui. Non. »"),
        ("¿Sí? ¡N", "¿Sí?"),
        ("海は静か。船が", "海は静か。"),
        ("「はい。」と言", "「はい。」"),
        ("他说。“好。”她", "他说。“好。”"),
        ("他说。“好", "他说。"),
        ("什么？！我", "什么？！"),
        ("ｶﾅ｡ｶ", "ｶﾅ｡"),
        ("वह गया। वह", "वह गया।"),
        ("राम॥ सी", "राम॥"),
        ("هل جاء؟ ن", "هل جاء؟"),
        ("وہ گیا۔ وہ", "وہ گیا۔"),
        ("Նա եկավ։ Նա", "Նա եկավ։"),
        ("ሰላም። ሰ", "ሰላም።"),
        ("သွားသည်။သူ", "သွားသည်။"),
        ("CHAPTER I\n\nThe sea", "CHAPTER I"),
        ("CHAPTER I\r\n\r\nThe sea", "CHAPTER I"),
        ("It was.\n\nCHAPTER II\n \t\nThe sea", "It was.\n\nCHAPTER II"),
        ("One line\nand another", "One line\nand another"),
        ("\n\n \n\nThe sea", "\n\n \n\nThe sea"),
        ("no end at all", "no end at all"),
        ("  ", "  "),
        ("", ""),
    ],
)
def test_a_text_is_cut_after_its_last_whole_sentence(text: str, expected: str) -> None:
    assert trimmed(text) == expected


# Without the French closing mark after a space, which the table above has.
PIECES = st.sampled_from([*'a5 \n.!。)"”“', "\n\n", "\r\n", "...", ". ", ".5", "? ", "。“", "！？"])
TEXTS = st.lists(PIECES, max_size=14).map("".join)
ENDS, CLOSERS = ".!?。！？", '")”'


def ends_at(text: str, end: int) -> bool:
    """Whether a sentence ends after `end` characters of a text, by what stands before and behind."""
    before, after = text[:end], text[end:]
    if re.search(r"\S\Z", before) and re.match(r"[^\S\n]*\n[^\S\n]*\n", after):
        return True
    run = re.search(f"[{ENDS}][{ENDS}{CLOSERS}“]*\\Z", before)
    # An opening quotation mark behind an end that needs no space begins the next sentence.
    while run and (opened := re.search("[。！？][^“]*“", run[0])):
        run = re.search(f"[{ENDS}].*\\Z", run[0][opened.end() :])
    if not run:
        return False
    wide = re.search("[。！？]", run[0])
    if after[:1] in set(ENDS + CLOSERS + "“"[bool(wide) :]):
        return False
    return bool(wide) or after[:1] == "" or after[0].isspace()


@given(TEXTS)
def test_the_cut_is_where_what_stands_around_it_says(text: str) -> None:
    ends = [end for end in range(1, len(text) + 1) if ends_at(text, end)]
    assert trimmed(text) == (text[: ends[-1]] if ends else text)


ANY = st.text(st.sampled_from([*sorted(SPACED | UNSPACED), *"ab5  \n\n\"')»«“”’\u202f"]), max_size=60)


@given(ANY, st.lists(st.integers(1, 5), max_size=60))
def test_pieces_do_not_matter_and_what_was_shown_stays(text: str, sizes: list[int]) -> None:
    expected = trimmed(text)
    assert text.startswith(expected)
    sentences, shown, rest = Sentences(), "", text
    for size in [*sizes, len(text)]:
        shown += sentences.add(rest[:size])
        rest = rest[size:]
        assert expected.startswith(shown)
    assert shown + sentences.end() == expected


@given(ANY)
def test_a_text_that_ended_otherwise_is_whole(text: str) -> None:
    sentences = Sentences()
    assert sentences.add(text) + sentences.rest() == text


@given(ANY)
def test_a_trimmed_text_stays_as_it_is_and_ends_in_no_space(text: str) -> None:
    once = trimmed(text)
    assert trimmed(once) == once
    assert once == text or not once[-1:].isspace()


@given(ANY, ANY)
def test_more_text_never_leaves_less(text: str, more: str) -> None:
    sentences = Sentences()
    assert trimmed(text + more).startswith(sentences.add(text))


PUNCTUATED = random_writer(CharTokenizer("\n !.?abcdefgh"), seed=3)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 60), st.sampled_from(["length", "line"]))
def test_a_trimmed_text_begins_the_untrimmed_and_is_what_is_streamed(seed: int, length: int, until: Any) -> None:
    controls: dict[str, Any] = {"seed": seed, "max_new_tokens": length, "until": until, "stop": "ab", "temperature": 2}
    whole = PUNCTUATED.generate("a", **controls, logprobs=1)
    trimmed = PUNCTUATED.generate("a", **controls, logprobs=1, trim="sentence")
    assert whole.text.startswith(trimmed.text)
    assert trimmed.finish_reason == whole.finish_reason
    assert trimmed.text == whole.text or whole.finish_reason == "length"
    assert whole.logprobs is not None
    assert trimmed.logprobs == whole.logprobs[: len(trimmed.text)]
    stream = PUNCTUATED.stream("a", **controls, logprobs=1, trim="sentence")
    shown = ""
    for piece in stream:
        shown += piece
        assert trimmed.text.startswith(shown)
        assert stream.sample.text == shown
    assert stream.sample == trimmed
    many = PUNCTUATED.stream_many("a", count=3, **controls, trim="sentence")
    shown_of_each = ["", "", ""]
    for pieces in many:
        shown_of_each = [before + piece for before, piece in zip(shown_of_each, pieces, strict=True)]
    assert [each.text for each in many.samples] == shown_of_each
    assert many.samples[0].text == trimmed.text
