"""How rare a character must be to share an id where the settings leave it to the text."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgen.config import CorpusConfig
from textgen.corpus import encode_corpus, open_texts
from textgen.corpus.rare import FREQUENT, LARGE, SHARE, automatic_min_count

Counts = dict[str, int]


def spelled(times: list[int]) -> Counts:
    return {chr(0x4E00 + place): count for place, count in enumerate(times)}


@st.composite
def large_vocabularies(draw: st.DrawFn) -> Counts:
    """Characters enough, and of each small number of times any number of them."""
    common = draw(st.integers(FREQUENT, 400))
    rare = [draw(st.integers(0, 120)) for _ in range(1, FREQUENT + 2)]
    return spelled([common] * LARGE + [count for count, size in enumerate(rare, start=1) for _ in range(size)])


def share_below(counts: Counts, min_count: int) -> float:
    return sum(count for count in counts.values() if count < min_count) / sum(counts.values())


def slow_min_count(counts: Counts) -> int:
    if len(counts) < LARGE:
        return 1
    allowed = [m for m in range(1, FREQUENT + 1) if share_below(counts, m) <= SHARE]
    # The smallest of those that fold the same characters.
    return min(m for m in allowed if share_below(counts, m) == share_below(counts, max(allowed)))


class TestTheRule:
    @given(large_vocabularies())
    def test_is_that_of_a_slow_count(self, counts: Counts) -> None:
        assert automatic_min_count(counts) == slow_min_count(counts)

    @given(large_vocabularies())
    def test_folds_a_small_share_of_the_text_and_no_frequent_character(self, counts: Counts) -> None:
        min_count = automatic_min_count(counts)
        assert share_below(counts, min_count) <= SHARE
        assert min_count <= FREQUENT

    @given(large_vocabularies(), st.integers(0, 10**6))
    def test_folds_no_less_in_a_text_with_more_of_a_frequent_character(self, counts: Counts, more: int) -> None:
        first = next(iter(counts))
        assert automatic_min_count({**counts, first: counts[first] + more}) >= automatic_min_count(counts)

    @given(st.lists(st.integers(1, 2000), min_size=1, max_size=LARGE - 1))
    def test_folds_nothing_in_a_small_vocabulary(self, times: list[int]) -> None:
        assert automatic_min_count(spelled(times)) == 1

    def test_begins_at_its_number_of_characters(self) -> None:
        assert automatic_min_count(spelled([1000] * (LARGE - 2) + [1])) == 1
        assert automatic_min_count(spelled([1000] * (LARGE - 1) + [1])) == 2

    def test_folds_nothing_where_most_characters_are_rare(self) -> None:
        assert automatic_min_count(spelled([1] * 2 * LARGE)) == 1

    def test_folds_the_rarest_third_of_the_tang_poems(self, shared_corpora: Path) -> None:
        counts = Counter((shared_corpora / "tang_poems.txt").read_text(encoding="utf-8"))
        assert automatic_min_count(counts) == 4
        assert sum(count < 4 for count in counts.values()) == 2991
        assert share_below(counts, 4) == pytest.approx(0.00099, abs=5e-6)


class TestAText:
    text = "".join(map(chr, range(0x4E00, 0x4E00 + LARGE))) * 20 + "abb"

    def test_says_and_records_what_it_decided(self) -> None:
        encoded = encode_corpus(open_texts([self.text]))
        assert encoded.config.min_count == 3
        assert encoded.tokenizer.has_unknown and not set("ab") & set(encoded.tokenizer.characters)
        assert encoded.rare_characters == 3
        assert encoded.vocabulary == "1,500 characters; 2 rarer than 3 share one more id, 0.01 % of the text"

    def test_keeps_every_character_where_that_is_asked_for(self) -> None:
        encoded = encode_corpus(open_texts([self.text], config=CorpusConfig(min_count=1)))
        assert encoded.config.min_count == 1
        assert set(encoded.tokenizer.characters) == set(self.text)
        assert (encoded.rare_characters, encoded.vocabulary) == (0, "1,502 characters")

    def test_with_few_characters_keeps_them(self) -> None:
        encoded = encode_corpus(open_texts(["banana"]))
        assert (encoded.config.min_count, encoded.vocabulary) == (1, "3 characters")
