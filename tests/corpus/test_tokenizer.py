import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgen.corpus import tokenizer as tokenizer_module
from textgen.corpus.characters import CharacterCounts, from_code_points, name_characters, to_code_points
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import ConfigError, CorpusError, UnknownCharacterError

any_text = st.text(st.characters(exclude_categories=()))
some_text = any_text.filter(bool)

EMOJI = "👩‍👩‍👧‍👦 🏴󠁧󠁢󠁳󠁣󠁴󠁿"
COMBINING = "e\u0301 Z\u0351\u036b\u0343"
RIGHT_TO_LEFT = "שלום \u202e עולם"
CHINESE = "床前明月光，疑是地上霜。𠀀"


def slow_encode(characters: str, text: str) -> list[int]:
    return [sorted(set(characters)).index(character) for character in text]


class TestVocabulary:
    @given(st.lists(any_text).filter(lambda pieces: any(pieces)))
    def test_ids_follow_code_point_order_whatever_the_pieces(self, pieces: list[str]) -> None:
        text = "".join(pieces)
        built = CharTokenizer.from_text(pieces)
        assert built.characters == "".join(sorted(set(text)))
        assert built == CharTokenizer.from_text(text[::-1]) == CharTokenizer.from_text(iter(text))

    @given(some_text, st.integers(1, 4))
    def test_min_count_keeps_exactly_the_frequent_characters(self, text: str, min_count: int) -> None:
        counts = Counter(text)
        kept = "".join(sorted(c for c in counts if counts[c] >= min_count))
        if not kept:
            with pytest.raises(CorpusError, match="smaller min_count"):
                CharTokenizer.from_text(text, min_count=min_count)
            return
        built = CharTokenizer.from_text(text, min_count=min_count)
        assert built.characters == kept
        assert built.has_unknown == (len(kept) < len(counts))
        assert built.vocab_size == len(kept) + built.has_unknown
        assert built.unknown_id == (len(kept) if built.has_unknown else None)

    def test_min_count_merges_the_rare_characters_of_a_large_alphabet(self, shared_corpora: Path) -> None:
        text = (shared_corpora / "tang_poems.txt").read_text(encoding="utf-8")
        whole, folded = CharTokenizer.from_text(text), CharTokenizer.from_text(text, min_count=50)
        assert (whole.vocab_size, whole.has_unknown) == (9728, False)
        assert folded.has_unknown
        frequent = {character for character, count in Counter(text).items() if count >= 50}
        assert set(folded.characters) == frequent
        ids = folded.encode(text, unknown="replace")
        assert folded.decode(ids) == "".join(c if c in frequent else "\ufffd" for c in text)
        assert whole.decode(whole.encode(text)) == text

    def test_an_empty_text_has_no_vocabulary(self) -> None:
        for pieces in ("", [], ["", ""]):
            with pytest.raises(CorpusError, match="empty"):
                CharTokenizer.from_text(pieces)

    @pytest.mark.parametrize("characters", ["ba", "aa", "ab\x00", ""])
    def test_refuses_characters_that_are_out_of_order(self, characters: str) -> None:
        with pytest.raises(ConfigError, match="characters must be"):
            CharTokenizer(characters)

    def test_may_consist_of_the_unknown_id_alone(self) -> None:
        only = CharTokenizer("", has_unknown=True)
        assert (only.vocab_size, only.unknown_id) == (1, 0)
        assert only.decode(only.encode("né诗", unknown="replace")) == "\ufffd" * 3

    @pytest.mark.parametrize(
        ("size", "dtype"), [(255, np.uint8), (256, np.uint16), (65_535, np.uint16), (65_536, np.uint32)]
    )
    def test_ids_have_the_smallest_type_that_holds_the_size(self, size: int, dtype: Any) -> None:
        text = "".join(map(chr, range(size)))
        built = CharTokenizer(text)
        ids = built.encode(text)
        assert ids.dtype == built.dtype == dtype
        assert ids.tolist() == list(range(size))
        assert built.decode(ids) == text
        with pytest.raises(UnknownCharacterError):
            built.encode(chr(size))

    def test_is_immutable(self) -> None:
        built = CharTokenizer("ab")
        with pytest.raises(AttributeError):
            built.characters = "xy"  # type: ignore[misc]

    def test_equality_and_hash_see_the_unknown_id(self) -> None:
        assert CharTokenizer("ab") == CharTokenizer.from_text("ba")
        assert hash(CharTokenizer("ab")) == hash(CharTokenizer.from_text("ba"))
        assert CharTokenizer("ab") != CharTokenizer("ab", has_unknown=True)
        assert CharTokenizer("ab") != CharTokenizer("ac")
        assert CharTokenizer("ab") != "ab"

    @pytest.mark.parametrize("built", [CharTokenizer("\n 'é"), CharTokenizer("ab", has_unknown=True)])
    def test_repr_makes_an_equal_one(self, built: CharTokenizer) -> None:
        assert eval(repr(built)) == built

    def test_repr_of_a_large_one_is_short_and_says_so(self) -> None:
        shown = repr(CharTokenizer("".join(map(chr, range(0x4E00, 0x6E00)))))
        assert "8,192 characters" in shown
        assert len(shown) < 200


class TestEncode:
    @given(some_text)
    def test_agrees_with_a_simple_version_and_round_trips(self, text: str) -> None:
        built = CharTokenizer.from_text(text)
        ids = built.encode(text)
        assert ids.tolist() == slow_encode(text, text)
        assert built.decode(ids) == text

    @pytest.mark.parametrize(
        "text", [EMOJI, COMBINING, RIGHT_TO_LEFT, CHINESE, "\x00\x01\x7f\x80", "\ud800\udc00", "z"]
    )
    def test_every_kind_of_text_round_trips(self, text: str) -> None:
        built = CharTokenizer.from_text(text)
        assert built.decode(built.encode(text)) == text
        assert built.encode(text).tolist() == slow_encode(text, text)

    @given(some_text, any_text, st.integers(1, 5))
    def test_a_long_text_is_the_same_whatever_its_chunks(self, known: str, text: str, chunk: int) -> None:
        built = CharTokenizer.from_text(known)
        whole = built.encode(text, unknown="skip")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tokenizer_module, "_CHUNK", chunk)
            assert built.encode(text, unknown="skip").tolist() == whole.tolist()
        assert built.decode(whole) == "".join(character for character in text if character in known)

    @given(some_text, any_text, st.booleans())
    def test_unknown_characters_are_refused_skipped_or_replaced(self, known: str, text: str, has_unknown: bool) -> None:
        built = CharTokenizer(CharTokenizer.from_text(known).characters, has_unknown=has_unknown)
        foreign = "".join(sorted(set(text) - set(known)))
        stand_in = "\ufffd" if has_unknown else " " if " " in known else ""
        assert built.decode(built.encode(text, unknown="skip")) == "".join(c for c in text if c in known)
        assert built.decode(built.encode(text, unknown="replace")) == "".join(
            c if c in known else stand_in for c in text
        )
        if foreign:
            with pytest.raises(UnknownCharacterError) as caught:
                built.encode(text, unknown="error")
            assert caught.value.characters == foreign
            if not has_unknown:
                with pytest.raises(UnknownCharacterError):
                    built.encode(text)
        else:
            assert built.decode(built.encode(text)) == text

    def test_by_default_the_unknown_id_stands_for_what_is_outside_the_vocabulary(self) -> None:
        tokenizer = CharTokenizer("ab", has_unknown=True)
        assert tokenizer.encode("aéb☃").tolist() == [0, 2, 1, 2]
        assert tokenizer.outside("☃aéb☃") == "é☃"
        for encode in (lambda: tokenizer.encode("aé", unknown="error"), lambda: CharTokenizer(" ab").encode("aé")):
            with pytest.raises(UnknownCharacterError) as caught:
                encode()
            assert caught.value.characters == "é"

    def test_the_error_names_the_characters_and_the_remedy(self) -> None:
        with pytest.raises(UnknownCharacterError) as caught:
            CharTokenizer(" abc").encode("a\u0301b☃\x00\n")
        message = str(caught.value)
        assert "4 characters that the model never saw" in message
        for part in ("U+0301 COMBINING ACUTE ACCENT", "'☃' (U+2603)", "U+0000", "U+000A", 'unknown="skip"'):
            assert part in message
        assert message.isprintable()

    def test_the_error_names_only_the_first_of_many(self) -> None:
        with pytest.raises(UnknownCharacterError, match=r"'b' \(U\+0062\).* and 20 more"):
            CharTokenizer("a").encode("abcdefghijklmnopqrstuvwxyz")

    def test_an_empty_text_has_no_ids(self) -> None:
        assert CharTokenizer("a").encode("").shape == (0,)
        assert CharTokenizer("a").encode("").dtype == np.uint8

    def test_an_invalid_value_of_unknown_is_an_error(self) -> None:
        with pytest.raises(ConfigError, match="unknown must be one of auto, error, skip, replace; got 'drop'"):
            CharTokenizer("a").encode("a", unknown="drop")  # type: ignore[arg-type]


class TestDecode:
    @pytest.mark.parametrize("ids", [[], np.array([], np.int64), np.array([], np.float64)])
    def test_no_ids_are_an_empty_text(self, ids: Any) -> None:
        assert CharTokenizer("a").decode(ids) == ""

    @pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.uint32, np.int64])
    def test_accepts_ids_of_any_integer_type(self, dtype: Any) -> None:
        assert CharTokenizer("ab诗").decode(np.array([2, 0, 1], dtype)) == "诗ab"

    @pytest.mark.parametrize("ids", [[2], [-1], [0, 1, 300], [2**40]])
    def test_refuses_ids_outside_the_vocabulary(self, ids: list[int]) -> None:
        with pytest.raises(ConfigError, match=r"ids must be in \[0, 2\)"):
            CharTokenizer("ab").decode(ids)

    @pytest.mark.parametrize("ids", [[0.5], [[0, 1]], ["a"], [True]])
    def test_refuses_anything_but_a_one_dimensional_array_of_integers(self, ids: Any) -> None:
        with pytest.raises(ConfigError, match="one-dimensional array of integers"):
            CharTokenizer("ab").decode(ids)


class TestJson:
    @given(some_text, st.booleans())
    def test_round_trips_through_a_file(self, text: str, has_unknown: bool) -> None:
        built = CharTokenizer(CharTokenizer.from_text(text).characters, has_unknown=has_unknown)
        assert CharTokenizer.from_json(json.loads(json.dumps(built.to_json()))) == built

    def test_two_lone_surrogates_do_not_become_one_character(self) -> None:
        built = CharTokenizer("a\udbff\udc00")
        written = json.dumps(built.to_json(), ensure_ascii=False).encode("utf-8")
        assert CharTokenizer.from_json(json.loads(written)) == built

    @pytest.mark.parametrize(
        "values",
        [
            {},
            [],
            None,
            {"characters": "ab"},
            {"characters": "ab", "has_unknown": 1},
            {"characters": "ba", "has_unknown": False},
            {"characters": "aab", "has_unknown": False},
            {"characters": "", "has_unknown": False},
            {"characters": 5, "has_unknown": False},
            {"characters": None, "has_unknown": True},
            {"characters": [98, 97], "has_unknown": False},
            {"characters": [0x110000], "has_unknown": False},
            {"characters": [-1], "has_unknown": False},
            {"characters": [True], "has_unknown": False},
            {"characters": ["a"], "has_unknown": False},
            {"characters": "ab", "has_unknown": False, "merges": []},
        ],
    )
    def test_refuses_invalid_vocabularies(self, values: Any) -> None:
        with pytest.raises(ConfigError):
            CharTokenizer.from_json(values)

    @given(st.recursive(st.none() | st.booleans() | st.integers() | any_text, lambda x: st.lists(x, max_size=3)))
    def test_any_json_is_a_vocabulary_or_an_error(self, characters: Any) -> None:
        try:
            built = CharTokenizer.from_json({"characters": characters, "has_unknown": True})
        except ConfigError:
            return
        assert list(built.characters) == sorted(set(built.characters))


class TestCharacters:
    @given(any_text)
    def test_code_points_agree_with_python_and_round_trip(self, text: str) -> None:
        codes = to_code_points(text)
        assert codes.tolist() == list(map(ord, text))
        assert from_code_points(codes) == text

    @given(st.lists(any_text))
    def test_counts_agree_with_a_counter(self, pieces: list[str]) -> None:
        counts, expected = CharacterCounts(), Counter("".join(pieces))
        for piece in pieces:
            counts.add(piece)
        assert counts.to_dict() == expected
        assert list(counts.to_dict()) == sorted(expected)
        assert (counts.total, counts.distinct) == (expected.total(), len(expected))

    @given(some_text)
    def test_names_can_always_be_printed(self, text: str) -> None:
        assert name_characters(text).isprintable()


def test_the_end_of_a_record_is_the_last_id_and_no_character_of_a_text_has_it() -> None:
    for has_unknown in (False, True):
        tokenizer = CharTokenizer("\nab", has_unknown=has_unknown, has_end=True)
        assert (tokenizer.unknown_id, tokenizer.end_id) == (3 if has_unknown else None, 3 + has_unknown)
        assert tokenizer.vocab_size == 4 + has_unknown
        assert tokenizer.end_id not in tokenizer.encode("ab\nx\x00\U0010ffff", unknown="replace").tolist()
        assert tokenizer.decode([1, tokenizer.end_id, 0]) == "a\n\n"
        assert CharTokenizer.from_json(json.loads(json.dumps(tokenizer.to_json()))) == tokenizer
        assert eval(repr(tokenizer)) == tokenizer
        plain = CharTokenizer("\nab", has_unknown=has_unknown)
        assert (plain.end_id, plain.has_end, plain == tokenizer) == (None, False, False)
        assert set(plain.to_json()) == {"characters", "has_unknown"}
    with pytest.raises(ConfigError, match="has_end must be true or false"):
        CharTokenizer.from_json({"characters": "a", "has_unknown": False, "has_end": 1})


@pytest.mark.parametrize("characters", ["abn", "abñ诗"])
def test_code_points_are_encoded_as_their_text_is(characters: str) -> None:
    text = "".join(characters) * 100_000
    tokenizer = CharTokenizer(characters, has_end=True)
    expected = tokenizer.encode(text)
    found = tokenizer.encode_code_points(to_code_points(text))
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    rare = CharTokenizer("ab", has_unknown=True, has_end=True)
    np.testing.assert_array_equal(rare.encode_code_points(to_code_points(text)), rare.encode(text))
    with pytest.raises(ConfigError):
        CharTokenizer("ab").encode_code_points(to_code_points(text))
