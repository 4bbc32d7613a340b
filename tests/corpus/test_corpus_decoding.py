import io
import re
import unicodedata
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from texts import awkward, opened, piped, read, texts, with_plain_newlines

from textgen.config import CorpusConfig, Normalization
from textgen.corpus import encode_corpus, open_corpus
from textgen.corpus.normalization import LONGEST_RUN, normalize
from textgen.errors import ConfigError, CorpusError, TextgenError

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "gb18030", "utf-7")
FRENCH = ("L'été dernier, à la plage, nous avons mangé des crêpes. «Où est-il?» demanda-t-elle. " * 50).encode()


class TestDecoding:
    @given(texts | awkward, st.sampled_from(ENCODINGS), st.integers(1, 9))
    def test_text_is_the_same_whatever_the_pieces_it_is_read_in(self, text: str, encoding: str, chunk: int) -> None:
        text = text.lstrip("\ufeff")
        data = text.encode(encoding)
        assert piped(data, chunk=chunk, encoding=encoding) == with_plain_newlines(text)
        assert piped(data, chunk=chunk, encoding=encoding, keep_newlines=True) == text

    @given(texts | awkward, st.sampled_from(["nfc", "nfkc"]), st.integers(1, 9))
    def test_normalisation_works_across_pieces(self, text: str, form: Any, chunk: int) -> None:
        text = text.lstrip("\ufeff")
        expected = unicodedata.normalize(form.upper(), with_plain_newlines(text))
        assert piped(text.encode(), chunk=chunk, normalize=form) == expected

    def test_crlf_across_pieces_becomes_one_newline(self) -> None:
        for chunk in range(1, 12):
            assert piped(b"a\r\n\r\nb\r\rc\n\rd\r", chunk=chunk) == "a\n\nb\n\nc\n\nd\n"

    @pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16", "utf-32"])
    def test_a_byte_order_mark_at_the_start_is_dropped(self, mark: str) -> None:
        encoding = "utf-8" if mark == "utf-8-sig" else mark
        assert piped("the sea".encode(mark), encoding=encoding) == "the sea"

    def test_a_byte_order_mark_in_the_middle_stays(self) -> None:
        assert piped("the \ufeffsea".encode()) == "the \ufeffsea"

    def test_a_byte_order_mark_of_each_file_is_dropped(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            (tmp_path / f"{name}.txt").write_bytes(f"\ufeff{name}\n".encode())
        assert read(tmp_path) == "a\nb\n"

    @pytest.mark.parametrize("chunk", [1, 2, 3, 4, 5, 8, 100])
    @pytest.mark.parametrize(
        ("data", "encoding", "offset"),
        [
            (b"the s\xe9a", "utf-8", 5),
            ("诗".encode() * 3 + b"\xff", "utf-8", 9),
            ("诗诗".encode()[:-1], "utf-8", 3),
            (b"\xef\xbb\xbfabc\xff", "utf-8", 6),
            (b"abc\xed\xa0\x80", "utf-8", 3),
            ("ab😀".encode("utf-16-le")[:-2], "utf-16-le", 4),
            ("诗a".encode("gb18030") + b"\xff", "gb18030", 3),
            (b"abc\x81", "cp1252", 3),
        ],
    )
    def test_an_invalid_byte_is_named_with_its_offset(
        self, tmp_path: Path, data: bytes, encoding: str, offset: int, chunk: int
    ) -> None:
        path = tmp_path / "poem.txt"
        path.write_bytes(data)
        with pytest.raises(CorpusError, match=rf"poem\.txt is not valid {encoding} at byte {offset} \(") as caught:
            read(path, chunk=chunk, encoding=encoding)
        assert re.search(r"--encoding|--errors replace", str(caught.value))

    def test_the_offset_is_right_beyond_a_million_bytes(self, tmp_path: Path) -> None:
        (tmp_path / "poem.txt").write_bytes("é".encode() * 1_600_001 + b"\xff rest")
        with pytest.raises(CorpusError, match="at byte 3200002 "):
            read(tmp_path / "poem.txt")

    @pytest.mark.parametrize(
        ("data", "encoding", "words"),
        [
            (
                FRENCH[:500] + b"\xff" + FRENCH[500:],
                "utf-8",
                r"\. Pass --errors replace .* touch 1 of its 4,651 bytes\.",
            ),
            (
                FRENCH[: FRENCH.index("é".encode(), 1000) + 1],
                "utf-8",
                r"end of data\)\. Pass --errors replace .* touch 1 of its 1,.* bytes\.",
            ),
            (("诗" * 400).encode()[:-1], "utf-8", r"\. Pass --errors replace .* touch 2 of its 1,199 bytes\."),
            (FRENCH.decode().encode("cp1252"), "utf-8", r"\. Pass --encoding cp1252, in which it is valid\."),
            (b"the s\xe9a", "utf-8", r"\. Pass --encoding cp1252, .*or --errors replace .* touch 1 of its 7 bytes\."),
            (("Маяк. " * 99).encode("cp1251"), "utf-8", r"396 of its 594 bytes are not\. If .* pass its own encoding"),
            (("Маяк. " * 99).encode("koi8-r"), "utf-8", r"396 of its 594 bytes are not\. If .* pass its own encoding"),
            (("吾輩は猫" * 99).encode("shift_jis"), "utf-8", r" bytes are not\. If .* pass its own encoding"),
            (FRENCH, "ascii", r"\. Pass --encoding utf-8, in which it is valid\."),
            (
                FRENCH.decode().encode("utf-16-le")[:-1],
                "utf-16-le",
                r"\. Pass --errors replace .* touch 1 of its 8,499",
            ),
        ],
    )
    def test_the_error_offers_what_helps(self, data: bytes, encoding: str, words: str) -> None:
        with pytest.raises(CorpusError, match=words) as caught:
            piped(data, encoding=encoding)
        # What it offers is done and reads the text.
        for offered in re.findall(r"--encoding ([\w-]+),", str(caught.value)):
            assert piped(data, encoding=offered) == data.decode(offered)
        for offered in re.findall(r"--errors (\w+)", str(caught.value)):
            assert piped(data, encoding=encoding, errors=offered)

    @given(st.binary(), st.sampled_from(["utf-8", "utf-16-le", "gb18030", "cp1252", "shift_jis"]), st.integers(1, 9))
    def test_invalid_bytes_are_replaced_or_skipped_as_python_does(self, data: bytes, encoding: str, chunk: int) -> None:
        data = b"the sea, the sea, the sea, the sea" * 20 + data
        for errors, handler in (("replace", "replace"), ("skip", "ignore")):
            try:
                found = piped(data, encoding=encoding, errors=errors, chunk=chunk, keep_newlines=True)
            except CorpusError as error:
                assert "binary" in str(error)
            else:
                assert found == data.decode(encoding, handler).removeprefix("\ufeff")

    def test_a_run_from_before_is_strict(self) -> None:
        assert CorpusConfig.from_json({"encoding": "utf-8", "glob": "*.txt"}).errors == "strict"

    def test_other_encodings_are_read(self, tmp_path: Path) -> None:
        (tmp_path / "poem.txt").write_bytes("Маяк".encode("koi8-r"))
        assert read(tmp_path / "poem.txt", encoding="koi8-r") == "Маяк"

    @pytest.mark.parametrize("name", ["utf-16", "utf-32"])
    def test_another_unicode_encoding_is_recognised(self, name: str) -> None:
        with pytest.raises(CorpusError, match=f"pass --encoding {name}"):
            piped("the sea, the sea".encode(name))

    @pytest.mark.parametrize("name", ["utf-16-le", "utf-16-be"])
    def test_an_unmarked_utf_16_is_recognised(self, name: str) -> None:
        with pytest.raises(CorpusError, match=f"Pass --encoding {name}"):
            piped("the sea, the sea".encode(name))
        assert piped("the sea, the sea".encode(name), encoding=name) == "the sea, the sea"

    @pytest.mark.parametrize(
        "encoding", ["utf-9", "", "hex", "rot13", "idna", "punycode", "undefined", "a\0b", "é\ud800"]
    )
    def test_an_invalid_encoding_is_a_config_error(self, tmp_path: Path, encoding: str) -> None:
        (tmp_path / "poem.txt").write_bytes(b"the sea")
        with pytest.raises(ConfigError, match="encoding must be a text encoding"):
            read(tmp_path / "poem.txt", encoding=encoding)

    def test_lone_surrogates_survive_where_an_encoding_has_them(self) -> None:
        corpus, pieces = opened("-", stdin=b"a\\ud800\\udc00b" * 9, encoding="raw_unicode_escape", chunk=7)
        assert "".join(pieces) == "a\ud800\udc00b" * 9
        encoded = encode_corpus(corpus)
        assert encoded.tokenizer.decode(encoded.ids) == "a\ud800\udc00b" * 9
        assert encoded.bytes == 9 * 8

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "a PNG picture"),
            (b"%PDF-1.7\nobj", "a PDF document"),
            (b"PK\x03\x04\x14\x00", "a zip archive or an office document"),
            (b"\x1f\x8b\x08\x00\x00", "a gzip archive"),
            (b"\x7fELF\x02\x01\x01\x00\x00\x00\xff\xfe", "looks like a binary file"),
            (bytes(1000), "looks like a binary file"),
        ],
    )
    def test_a_binary_file_is_refused(self, data: bytes, words: str) -> None:
        with pytest.raises(CorpusError, match=f"standard input.*{words}"):
            piped(data)

    def test_random_bytes_are_refused_in_every_encoding(self) -> None:
        data = np.random.default_rng(0).bytes(20_000)
        for encoding in ("utf-8", "latin-1", "cp1251", "utf-16", "gb18030"):
            with pytest.raises(CorpusError):
                piped(data, encoding=encoding)

    def test_a_text_may_hold_some_control_characters(self) -> None:
        text = "\x1b[1mThe sea\x1b[0m\0, the sea, the sea.\f\x01"
        assert piped(text.encode()) == text

    @given(st.binary() | st.text().map(str.encode), st.sampled_from([*ENCODINGS, "latin-1", "cp1252", "shift_jis"]))
    def test_any_bytes_give_a_text_or_an_error(self, data: bytes, encoding: str) -> None:
        config = CorpusConfig(encoding=encoding, normalize="nfkc")
        try:
            encoded = encode_corpus(open_corpus("-", config=config, stdin=io.BytesIO(data)))
        except TextgenError as error:
            assert re.fullmatch(r"[^\n]+\.", str(error))
        else:
            text = unicodedata.normalize("NFKC", with_plain_newlines(data.decode(encoding).removeprefix("\ufeff")))
            assert encoded.tokenizer.decode(encoded.ids) == text


class TestNormalize:
    @given(st.lists(st.text(st.characters(exclude_categories=()) | st.sampled_from("aeé\u0301\u0327\u0338각가\u11a8"))))
    def test_pieces_give_the_same_as_the_whole(self, pieces: list[str]) -> None:
        text = "".join(pieces)
        for form in get_args(Normalization):
            expected = text if form == "none" else unicodedata.normalize(form.upper(), text)
            got = list(normalize(pieces, form))
            assert "".join(got) == expected
            assert all(got)

    @pytest.mark.slow
    def test_every_character_after_every_kind_of_boundary(self) -> None:
        marks = "\u0301\u0327\u0338\u05b0\u3099\u09be\u1161\u11a8\u0345\u1dce"
        for code in range(0x30000):
            character = chr(code)
            if not (unicodedata.decomposition(character) or unicodedata.combining(character) or code % 97 == 0):
                continue
            for before in ("e", "\u1112", "\u09c7", "か", "\u0f71"):
                pieces = [before, character, marks[code % len(marks)], "x"]
                expected = unicodedata.normalize("NFC", "".join(pieces))
                assert "".join(normalize(pieces, "nfc")) == expected, hex(code)

    def test_a_text_with_few_changes_is_changed_there(self) -> None:
        text = ("the sea, " * 50 + "cafe\u0301 ﬁn 각".replace("각", "\u1100\u1161\u11a8") + "诗" * 300) * 20
        pieces = [text[n : n + 1001] for n in range(0, len(text), 1001)]
        for form in ("nfc", "nfkc"):
            assert "".join(normalize(pieces, form)) == unicodedata.normalize(form.upper(), text)  # type: ignore[arg-type]

    def test_only_one_segment_is_held_back(self) -> None:
        lengths = [len(piece) for piece in normalize(["a" * 1000] * 5, "nfc")]
        assert lengths == [999, 1000, 1000, 1000, 1000, 1]

    def test_too_many_marks_in_a_row_are_refused(self) -> None:
        marks = "\u0301\u0327" * (LONGEST_RUN // 2)
        assert "".join(normalize(["a", marks, "b"], "nfc")) == unicodedata.normalize("NFC", f"a{marks}b")
        for pieces in (["a", marks, "\u0301\u0301"], [f"a{marks}\u0301\u0301b"], ["\u0301"] * 1_100):
            with pytest.raises(CorpusError, match="--normalize none"):
                list(normalize(pieces, "nfc"))
