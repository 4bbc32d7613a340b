"""Run names that are valid folder names on every operating system."""

from hypothesis import example, given
from hypothesis import strategies as st

from textgen.runs.naming import check_name, safe_name


@given(st.text(max_size=200) | st.text(" .-/\\:a\n", max_size=12))
@example("con")
@example("é" * 90)
@example(". -")
@example("a.keras.keras")
@example("com1 .txt")
def test_any_text_makes_a_name_that_is_one(text: str) -> None:
    name = safe_name(text)
    check_name(name)
    assert safe_name(name) == name


@given(st.text("poemsé漢🌊_ 09", min_size=1, max_size=20).map(str.strip).filter(bool))
def test_ordinary_names_are_accepted(name: str) -> None:
    check_name(name)
