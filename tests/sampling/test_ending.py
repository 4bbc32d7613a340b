"""Where a text ends, and what of it may be shown meanwhile."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgen.config import SamplingConfig
from textgen.sampling.ending import OVERRUN, Ending
from textgen.sampling.sentences import Sentences


def written(text: str, **chosen: Any) -> tuple[list[str], str | None]:
    """The pieces that an ending shows of an endless text that begins with `text`, and its reason."""
    ending = Ending(SamplingConfig(**chosen))
    pieces = []
    for character in text:
        if ending.reason is not None:
            break
        pieces.append(ending.add(character))
    return pieces, ending.reason


TEXTS = st.text("ab\n", max_size=40)
STOPS = st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3).map(tuple)


def expected_with_stops(text: str, stops: tuple[str, ...], limit: int) -> tuple[str, str | None]:
    """By trying every length: the text before the stop that is complete first, the longest of those."""
    for end in range(1, min(len(text), limit) + 1):
        found = [stop for stop in stops if text[:end].endswith(stop)]
        if found:
            return text[: end - max(map(len, found))], "stop"
    return text[:limit], "length" if limit <= len(text) else None


@given(TEXTS, STOPS, st.integers(1, 50))
def test_a_text_ends_before_the_first_stop_or_after_its_length(text: str, stops: tuple[str, ...], limit: int) -> None:
    pieces, reason = written(text, stop=stops, max_new_tokens=limit)
    expected, expected_reason = expected_with_stops(text, stops, limit)
    assert reason == expected_reason
    if reason is None:
        assert expected.startswith("".join(pieces))
        assert any(stop.startswith(expected[len("".join(pieces)) :]) for stop in (*stops, ""))
    else:
        assert "".join(pieces) == expected


@given(TEXTS, STOPS)
def test_no_part_of_a_stop_is_ever_shown(text: str, stops: tuple[str, ...]) -> None:
    pieces, reason = written(text, stop=stops)
    shown = ""
    for piece in pieces:
        shown += piece
        assert not any(stop in shown for stop in stops)
    if reason == "stop":
        assert any(text.startswith(shown + stop) for stop in stops)


@given(TEXTS, STOPS, st.integers(1, 50))
def test_with_include_stop_the_text_is_the_same_with_its_stop_behind_it(
    text: str, stops: tuple[str, ...], limit: int
) -> None:
    without, reason = written(text, stop=stops, max_new_tokens=limit)
    pieces, same = written(text, stop=stops, max_new_tokens=limit, include_stop=True)
    assert same == reason
    if reason != "stop":
        assert pieces == without
        return
    shown = "".join(without)
    assert pieces[:-1] == without[:-1]
    assert "".join(pieces) == text[: len(pieces)]
    assert "".join(pieces) == shown + max((stop for stop in stops if text[: len(pieces)].endswith(stop)), key=len)


@given(TEXTS, STOPS)
def test_only_the_possible_beginning_of_a_stop_is_held_back(text: str, stops: tuple[str, ...]) -> None:
    pieces, reason = written(text, stop=stops)
    if reason is None:
        held = text[len("".join(pieces)) :]
        assert held == "" or any(stop.startswith(held) and stop != held for stop in stops)


def test_without_stops_each_character_is_shown_at_once() -> None:
    assert written("abc", max_new_tokens=3) == (["a", "b", "c"], "length")


def test_what_is_held_back_is_shown_when_the_text_ends_otherwise() -> None:
    assert written("abEN", stop=("END",), max_new_tokens=4) == (["a", "b", "", "EN"], "length")


def test_of_stops_that_end_together_the_longest_counts() -> None:
    assert written("ab\n\n", stop=("\n", "b\n")) == (["a", "", ""], "stop")


@pytest.mark.parametrize(
    ("until", "limit", "text", "expected"),
    [
        ("line", 5, "ab\ncd ef\ngh", "ab\ncd ef\n"),
        ("line", 3, "ab\ncd", "ab\n"),
        ("line", 0, "ab\ncd", "ab\n"),
        ("line", 0, "\n\nab\ncd", "\n\nab\n"),
        ("line", 5, "ab\r\ncd\r\n", "ab\r\ncd\r\n"),
        ("line", 4, "ab\r\ncd\r\n", "ab\r\n"),
        ("paragraph", 2, "ab\ncd\n\nef", "ab\ncd\n\n"),
        ("paragraph", 4, "ab\n\ncd\n\nef", "ab\n\n"),
        ("paragraph", 5, "ab\n\ncd\n\nef", "ab\n\ncd\n\n"),
        ("paragraph", 0, "\n\n \n\nab\n\ncd", "\n\n \n\nab\n\n"),
        ("paragraph", 1, "ab\r\n\r\ncd", "ab\r\n\r\n"),
    ],
)
def test_a_text_goes_on_to_the_end_of_its_line_or_paragraph(until: Any, limit: int, text: str, expected: str) -> None:
    pieces, reason = written(text, until=until, max_new_tokens=limit)
    assert ("".join(pieces), reason) == (expected, until)


@pytest.mark.parametrize("until", ["line", "paragraph"])
def test_a_line_without_end_is_cut(until: Any) -> None:
    pieces, reason = written("a" * 10_000, until=until, max_new_tokens=7)
    assert (len("".join(pieces)), reason) == (7 + OVERRUN[until], "length")


def test_a_stop_ends_a_text_that_goes_on_to_the_end_of_its_line() -> None:
    assert written("abcd;ef\n", until="line", max_new_tokens=2, stop=(";",))[1] == "stop"


def test_no_characters_are_no_text() -> None:
    assert Ending(SamplingConfig(max_new_tokens=0)).reason == "length"
    assert Ending(SamplingConfig(max_new_tokens=0, until="line")).reason is None


SENTENCES = st.text("ab. \n", max_size=40)


@given(SENTENCES, st.lists(st.text("ab. ", min_size=1, max_size=3), max_size=2).map(tuple), st.integers(1, 30))
@pytest.mark.parametrize("include", [False, True])
def test_only_a_text_that_ends_by_its_length_is_trimmed(
    include: bool, text: str, stops: tuple[str, ...], limit: int
) -> None:
    controls: dict[str, Any] = {"stop": stops, "include_stop": include, "max_new_tokens": limit}
    untrimmed, reason = written(text, **controls)
    pieces, same = written(text, **controls, trim="sentence")
    whole, shown = "".join(untrimmed), "".join(pieces)
    assert same == reason
    assert whole.startswith(shown)
    if reason == "length":
        sentences = Sentences()
        assert shown == sentences.add(whole) + sentences.end()
    elif reason is not None:
        assert shown == whole


def test_an_overrun_is_trimmed_and_a_finished_line_is_not() -> None:
    text = "ab. cd" + "e" * 10_000
    pieces, reason = written(text, until="line", max_new_tokens=2, trim="sentence")
    assert ("".join(pieces), reason) == ("ab.", "length")
    pieces, reason = written("ab. cd\n", until="line", max_new_tokens=2, trim="sentence")
    assert ("".join(pieces), reason) == ("ab. cd\n", "line")


def test_what_is_trimmed_is_never_shown() -> None:
    assert written("a. b. cd", trim="sentence", max_new_tokens=8) == (["", "", "a.", "", "", " b.", "", ""], "length")
    assert written("a. b.", trim="sentence", max_new_tokens=5)[0] == ["", "", "a.", "", " b."]
    assert written("abc", trim="sentence", max_new_tokens=3)[0] == ["", "", "abc"]
