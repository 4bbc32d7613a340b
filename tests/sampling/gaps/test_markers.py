"""Marks of gaps: what is one, what is text, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgen.config import FillConfig
from textgen.errors import ConfigError
from textgen.sampling.gaps.markers import Gap, GappedText, parse_gaps


@pytest.mark.parametrize(
    ("text", "texts", "gaps"),
    [
        ("[3]", ("", ""), (Gap(3, 3),)),
        ("a[1-10]b", ("a", "b"), (Gap(1, 10),)),
        ("a [ 2 – 4 ]", ("a ", ""), (Gap(2, 4),)),
        ("[...] […]", ("", " ", ""), (Gap(1, 9), Gap(1, 9))),
        ("[0-2]x", ("", "x"), (Gap(0, 2),)),
        ("a[2][3]b[1-2][...]", ("a", "b", ""), (Gap(5, 5), Gap(2, 11))),
        ("[Exit] [x] [-1] [1-] [] [2][", ("[Exit] [x] [-1] [1-] [] ", "["), (Gap(2, 2),)),
        ("[[2]]", ("[", "]"), (Gap(2, 2),)),
        ("# stays [1]", ("# stays ", ""), (Gap(1, 1),)),
        ("a\n[1]\nb", ("a\n", "\nb"), (Gap(1, 1),)),
    ],
)
def test_the_marks_are_found_and_all_else_is_text(text: str, texts: tuple[str, ...], gaps: tuple[Gap, ...]) -> None:
    assert parse_gaps(text, FillConfig(longest=9)) == GappedText(texts, gaps)


def test_marks_can_be_chosen() -> None:
    found = parse_gaps("[3] a##b# <<2>>", FillConfig(mask="#", gap_open="<<", gap_close=">>"))
    assert found == GappedText(("[3] a", "b", " ", ""), (Gap(2, 2), Gap(1, 1), Gap(2, 2)))
    found = parse_gaps(".(.*", FillConfig(mask="*", gap_open=".", gap_close="("))
    assert found == GappedText((".(.", ""), (Gap(1, 1),))


def test_a_mask_beside_brackets_is_one_gap_with_them() -> None:
    assert parse_gaps("a#[2-3]#", FillConfig(mask="#")).gaps == (Gap(4, 5),)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("no gap", r"The text has no gap to fill. Mark it as \[3\] .* \[1-10\] .* \[...\] for an unknown number.$"),
        ("", "The text has no gap"),
        ("[0]", r"The gap '\[0\]' must be of 1 to 1,000 characters; got 0"),
        ("[1001]", r"must be of 1 to 1,000 characters; got 1001"),
        ("[600][600]", r"must be of 1 to 1,000 characters; got 1200"),
        ("[9-2]", "The gap '.9-2.' ends before it begins. Write the smaller number first."),
        (f"[{'9' * 5000}]", "must be of 1 to 1,000 characters"),
    ],
)
def test_what_is_no_possible_gap_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        parse_gaps(text, FillConfig())


def test_the_marks_in_the_message_are_those_that_were_chosen() -> None:
    with pytest.raises(ConfigError, match=r"Mark it as \{3\} .*, or % for one character each"):
        parse_gaps("[3]", FillConfig(gap_open="{", gap_close="}", mask="%"))


@pytest.mark.parametrize("setting", [{"gap_open": ""}, {"gap_close": ""}, {"mask": "##"}, {"temperature": 0}])
def test_impossible_settings_are_refused(setting: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(setting))):
        FillConfig(**setting)  # type: ignore[arg-type]


_TEXT = st.text(alphabet="ab [\n", max_size=5)


@given(st.lists(st.tuples(_TEXT.filter(bool), st.integers(1, 9)), min_size=1, max_size=5), _TEXT)
def test_a_text_with_marks_is_parsed_into_its_parts(parts: list[tuple[str, int]], last: str) -> None:
    text = "".join(f"{before}[{size}]" for before, size in parts) + last
    found = parse_gaps(text, FillConfig())
    assert found.texts == (*(before for before, _ in parts), last)
    assert found.gaps == tuple(Gap(size, size) for _, size in parts)
    assert found.filled([f"[{size}]" for _, size in parts]) == text
