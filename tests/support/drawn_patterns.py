"""Regular expressions drawn at random over a small alphabet, for tests with Python's `re` as the oracle."""

import itertools
import re

from hypothesis import strategies as st

LETTERS = "abé1"

_CHARACTERS = st.one_of(
    st.sampled_from("abé1"),
    st.sampled_from(
        ["[ab]", "[^a]", ".", r"\w", r"\d", r"[^\W\d]", "[b-é]", "(?i:É)", "(?i:[A-B])", "(?a:\\w)", "(?s:.)", "z"]
    ),
)
_COUNTS = st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{0,2}", "{2,}", "{,2}", "{0}", "{1,2}?"])


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.lists(inner, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.tuples(inner, _COUNTS).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
        inner.map(lambda part: f"({part})"),
    )


_ANCHORED = st.tuples(st.sampled_from(["", "", "^", r"\A"]), st.sampled_from(["", "", "$", r"\Z"]))

PATTERNS = st.tuples(st.recursive(_CHARACTERS, _grown, max_leaves=8), _ANCHORED).map(
    lambda drawn: f"{drawn[1][0]}(?:{drawn[0]}){drawn[1][1]}" if any(drawn[1]) else drawn[0] or "(?:)"
)
"""Patterns over `LETTERS`, some of which match no text of theirs."""


def texts(letters: str, longest: int, shortest: int = 0) -> list[str]:
    """All texts of some letters."""
    return [
        "".join(each) for length in range(shortest, longest + 1) for each in itertools.product(letters, repeat=length)
    ]


def matching(pattern: str, letters: str, longest: int, shortest: int = 0) -> set[str]:
    """The texts of some letters that a pattern matches as a whole."""
    compiled = re.compile(pattern)
    return {each for each in texts(letters, longest, shortest) if compiled.fullmatch(each)}
