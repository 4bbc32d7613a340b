"""A text as it is read beside the text as it was given: a change of the one changes the other, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgen.config import CorpusConfig
from textgen.corpus.alignment import align
from textgen.corpus.normalization import as_read

PARTS = ("a", "e", "\u0301", "\u0327", "é", "ﬁ", "\r", "\n", "\r\n", " ", "한", "\u1112", "\u1161", "\u11ab")
TEXTS = st.lists(st.sampled_from(PARTS), max_size=12).map("".join)
CONFIGS = st.builds(
    CorpusConfig, normalize=st.sampled_from(("none", "nfc", "nfkc")), keep_newlines=st.booleans(), strip=st.just("none")
)


@given(TEXTS, CONFIGS)
def test_it_is_the_text_as_read_and_unchanged_the_text_as_given(text: str, config: CorpusConfig) -> None:
    aligned = align(text, config)
    assert aligned.text == as_read(text, config)
    assert len(aligned.places) == len(aligned.text) + 1
    assert aligned.replaced([]) == text


@given(TEXTS, CONFIGS, st.data())
def test_a_change_reads_as_the_changed_text_and_leaves_what_is_not_near_it(
    text: str, config: CorpusConfig, data: st.DataObject
) -> None:
    aligned = align(text, config)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(aligned.text)), min_size=4, max_size=4)))
    first, second = (data.draw(st.sampled_from(("x\n", "y", "\n", ""))) for _ in range(2))
    changes = [(cuts[0], cuts[1], first), (cuts[2], cuts[3], second)]
    expected = f"{aligned.text[: cuts[0]]}{first}{aligned.text[cuts[1] : cuts[2]]}{second}{aligned.text[cuts[3] :]}"
    found = aligned.replaced(changes)
    assert as_read(found, config) == as_read(expected, config)
    # What stands before and behind is given by the longest parts that read as parts of the text by themselves.
    for n in range(len(text) + 1):
        head, tail = as_read(text[:n], config), as_read(text[n:], config)
        if head + tail == aligned.text and text[n - 1 : n + 1] != "\r\n":
            assert len(head) > cuts[0] or found.startswith(text[:n])
            assert len(head) < cuts[3] or found.endswith(text[n:])


@pytest.mark.parametrize(
    ("text", "change", "expected"),
    [
        ("one\r\nto\r\n", (5, 5, "w"), "one\r\ntwo\r\n"),
        ("one\r\nto", (3, 5, "t\n"), "onet\r\no"),
        ("one\rto", (4, 4, "\n"), "one\r\rto"),
        ("cafe\u0301 cafe\u0301 x", (5, 6, "k"), "cafe\u0301 kafe\u0301 x"),
        ("cafe\u0301 x", (3, 4, "a"), "cafa x"),
        ("cafe\u0301\u0327 x", (4, 4, "s"), "caf\u0229s\u0301 x"),
        ("a\u0301\u0301 x", (1, 1, "y"), "a\u0301y\u0301 x"),
        ("\ra\n", (1, 2, "x\n"), "\rx\r\n\n"),
        ("\ra\n", (1, 2, ""), "\r\n\n"),
        ("\nto\r", (4, 4, "\n"), "\nto\r\n\n"),
        ("one\nto\r\n", (4, 6, "a\nb"), "one\na\nb\r\n"),
    ],
)
def test_what_a_change_leaves(text: str, change: tuple[int, int, str], expected: str) -> None:
    assert align(text, CorpusConfig(normalize="nfc")).replaced([change]) == expected


def test_a_run_that_keeps_newlines_writes_its_own() -> None:
    assert align("a\r\nb", CorpusConfig(keep_newlines=True)).replaced([(4, 4, "\n")]) == "a\r\nb\n"
