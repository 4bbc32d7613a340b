"""Constraints on records: the record's end competes with the characters that fit, wherever a text may end."""

import re

import pytest
from small_models import random_writer

from textgen.corpus.tokenizer import CharTokenizer


@pytest.mark.parametrize("match", ["(ab|n)+", "[ab]{2,4}n?", "a|b|n"])
def test_every_record_matches_and_ends_where_it_may(match: str) -> None:
    writer = random_writer(CharTokenizer("abn", has_end=True))
    samples = writer.generate_many("", count=200, match=match, max_new_tokens=12, seed=3)
    assert all(re.fullmatch(match, sample.text) for sample in samples)
    assert all("\n" not in sample.text for sample in samples)
    reasons = {sample.finish_reason for sample in samples}
    # The end is drawn where it may stand; a text ends by itself where nothing else fits, or at its greatest length.
    assert reasons == {"(ab|n)+": {"record", "length"}, "[ab]{2,4}n?": {"record", "match"}, "a|b|n": {"match"}}[match]
