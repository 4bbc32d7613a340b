"""Features of a text, against slow definitions that read it a character at a time."""

import unicodedata
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textgen.analysis.features import count_since, find_features

often = settings(deadline=None, max_examples=60)
TEXTS = st.text(st.sampled_from("aeB7 \n\t.!\"“”()[]:'é诗。「」"), max_size=80)


def values(text: str, name: str) -> list[float] | None:
    """A feature's values; None where it is left out."""
    return next((list(each.values) for each in find_features(text) if each.name == name), None)


def holds(text: str, name: str) -> str:
    """The characters at which a feature holds, the others as dots."""
    found = values(text, name)
    assert found is not None
    return "".join(character if each else "." for character, each in zip(text, found, strict=True))


def slow_since(text: str, is_mark: Callable[[int], bool]) -> list[float]:
    result, count = [], 0
    for place in range(len(text)):
        count = 0 if is_mark(place) else count + 1
        result.append(float(count))
    return result if any(map(is_mark, range(len(text)))) else [0.0] * len(text)


def slow_depth(text: str) -> list[float]:
    """The number of pairs of matching brackets around each place, in cubic time."""
    pairs: list[tuple[int, int]] = []
    taken: set[int] = set()
    kinds = {")": "(", "]": "["}
    for close, character in enumerate(text):
        if character in kinds:
            for start in range(close - 1, -1, -1):
                if text[start] == kinds[character] and start not in taken:
                    pairs.append((start, close))
                    taken |= {place for place in range(start, close + 1) if text[place] in "()[]"}
                    break
    return [float(sum(start <= place < close for start, close in pairs)) for place in range(len(text))]


SLOW: dict[str, Callable[[str], list[float]]] = {
    "position in line": lambda text: slow_since(text, lambda n: text[n] == "\n"),
    "line break": lambda text: [float(c == "\n") for c in text],
    "end of line": lambda text: [float(text[n + 1 : n + 2] == "\n") for n in range(len(text))],
    "position in sentence": lambda text: slow_since(text, lambda n: text[n] in ".!。"),
    "space": lambda text: [float(c.isspace()) for c in text],
    "capital letter": lambda text: [float(c.isupper()) for c in text],
    "digit": lambda text: [float(c.isdigit()) for c in text],
    "vowel": lambda text: [float(unicodedata.normalize("NFD", c)[0] in "aeiou") for c in text],
    "punctuation": lambda text: [float(unicodedata.category(c)[0] == "P") for c in text],
    "inside brackets": lambda text: [float(depth > 0) for depth in slow_depth(text)],
    "indentation": lambda text: [
        float(len(line) - len(line.lstrip(" \t"))) for line in text.splitlines(keepends=True) for _ in line
    ],
}


def segments(vector: list[float]) -> int:
    """The number of segments that differ from the most frequent value (the lowest of ties)."""
    common = max(sorted(set(vector)), key=vector.count) if vector else 0.0
    return sum(each != common and (n == 0 or vector[n - 1] == common) for n, each in enumerate(vector))


@often
@given(st.sampled_from(sorted(SLOW)), TEXTS)
def test_features_agree_with_slow_definitions(name: str, text: str) -> None:
    if name == "indentation":  # `lstrip` of a blank line would take its end, which is no indentation.
        text = text.replace("\n", "a\n")
    expected = SLOW[name](text)
    assert values(text, name) == (expected if segments(expected) > 1 else None)


@often
@given(TEXTS)
def test_features_vary_and_fit_the_text(text: str) -> None:
    for feature in find_features(text):
        assert feature.values.shape == (len(text),)
        assert feature.values.std() > 0
        assert feature.binary == (set(feature.values) <= {0.0, 1.0} and feature.binary)
        assert feature.name and feature.meaning
        assert feature.share == pytest.approx(feature.values.mean())


@pytest.mark.parametrize("text", ["", "a", "aaaa", "\n\n\n", "(((", '"', ":", "\ud800\ud800"])
def test_uniform_texts_have_no_features(text: str) -> None:
    assert find_features(text) == ()


def test_features_of_a_single_segment_are_left_out() -> None:
    assert values("one (two) three", "inside brackets") is None
    assert values("one (two) (three)", "inside brackets") is not None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a "b c" d "e"', '.."b c...."e.'),
        ("a “b “c” d” e “f”", "..“b “c” d....“f."),
        ("„a“ und „b“", "„a......„b."),
        ("「诗」说「山」", "「诗..「山."),
        ('x "a\n\nb "c" d', '.."a...."c...'),
        ("it's Ann's “dog” and “cat”", "..........." + "“dog......“cat."),
    ],
)
def test_quotes_open_close_and_end_with_their_paragraph(text: str, expected: str) -> None:
    assert holds(text, "inside quotes") == expected


def test_brackets_that_are_never_closed_do_not_count() -> None:
    assert holds("a (b) c) [d (e] (f)", "inside brackets") == "..(b.....[d (e..(f."
    assert values("(a (b) c) (d)", "bracket depth") == [1, 1, 1, 2, 2, 1, 1, 1, 0, 0, 1, 1, 0]
    assert values("(a) (b)", "bracket depth") is None


def test_a_speaker_is_a_name_and_a_colon_at_a_lines_start() -> None:
    play = "KING RICHARD III:\nNow is the winter\nof our discontent.\n\nFirst Citizen: Speak!\nthis is so: no\n"
    names = "KING RICHARD III:" + "." * 39 + "First Citizen:"
    assert holds(play, "speaker's name") == names.ljust(len(play), ".")
    speech = "." * 17 + "\nNow is the winter\n" + "." * 34 + " Speak!\n"
    assert holds(play, "speech just begun") == speech.ljust(len(play), ".")
    assert holds("宝玉：好。\n黛玉：不。\n", "speaker's name") == "宝玉：...黛玉：..."


def test_paragraphs_are_separated_by_blank_lines() -> None:
    text = "ab\ncd\n\nef\ngh\n \nij\n"
    assert values(text, "first line of a paragraph") == [1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 0]
    found = values(text, "position in paragraph")
    assert found is not None
    assert found[4:9] == [5, 6, 0, 1, 2]


def test_words_begin_and_end_and_count() -> None:
    text = "the don't 7x, 诗山 a"
    assert holds(text, "start of a word") == "t...d.....7...诗山.a"
    assert holds(text, "end of a word") == "..e.....t..x..诗山.."
    assert values(text, "position in word") == [1, 2, 3, 0, 1, 2, 3, 4, 5, 0, 1, 2, 0, 0, 1, 1, 0, 1]


def test_counting_since_a_mark() -> None:
    assert count_since(np.zeros(3, bool)).tolist() == [1, 2, 3]
    assert count_since(np.array([True, False, True])).tolist() == [0, 1, 0]
    assert count_since(np.zeros(0, bool)).tolist() == []


def test_a_long_text_of_open_marks_takes_no_quadratic_time() -> None:
    n = 30_000
    for text in ("(" * n + "]" * n, '"' * n, "“" * n + "„" * n, "A" * n, "A B." * n, "\n \t" * n, "A:" * n):
        for feature in find_features(text):
            assert len(feature.values) == len(text)
