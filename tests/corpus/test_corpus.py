import hashlib
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from texts import read, texts

from textgen.config import CorpusConfig, Normalization
from textgen.corpus import encode_corpus, open_corpus, sources
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import CorpusError, UnknownCharacterError


class TestEncoding:
    @given(st.lists(texts, min_size=1, max_size=3), st.sampled_from(get_args(Normalization)), st.booleans())
    def test_ids_are_those_of_the_text(self, contents: Sequence[str], form: Any, keep_newlines: bool) -> None:
        config = CorpusConfig(normalize=form, keep_newlines=keep_newlines)
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for number, text in enumerate(contents):
                paths.append(Path(folder, f"{number}.txt"))
                paths[-1].write_bytes(text.encode())
            text = read(*paths, normalize=form, keep_newlines=keep_newlines)
            corpus = open_corpus(paths, config=config)
            if not text:
                with pytest.raises(CorpusError, match="is empty"):
                    encode_corpus(corpus)
                return
            encoded = encode_corpus(corpus)
        assert encoded.tokenizer == CharTokenizer.from_text(text)
        assert encoded.tokenizer.decode(encoded.ids) == text
        assert encoded.ids.dtype == encoded.tokenizer.dtype
        assert (encoded.characters, encoded.distinct) == (len(text), len(set(text)))
        assert encoded.bytes == len(text.encode())
        assert encoded.sha256 == hashlib.sha256(text.encode()).hexdigest()

    def test_tiny_shakespeare_splits_where_nanogpt_splits_it(self, shared_corpora: Path) -> None:
        encoded = encode_corpus(open_corpus(shared_corpora / "tiny_shakespeare.txt"))
        assert (len(encoded.training), len(encoded.held_out)) == (1_003_854, 111_540)
        assert encoded.tokenizer.vocab_size == 65
        assert encoded.ids.dtype == np.uint8
        text = (shared_corpora / "tiny_shakespeare.txt").read_text()
        assert encoded.tokenizer.decode(encoded.held_out) == text[1_003_854:]

    @pytest.mark.parametrize(
        ("name", "size", "characters", "distinct", "sha256"),
        [
            ("tiny_shakespeare", 1_115_394, 1_115_394, 65, "86c4e6aa9db7c042"),
            ("nietzsche", 600_901, 600_893, 84, "23cf69874ab69d3d"),
            ("names", 228_145, 228_145, 27, "0a30b5557f192f32"),
            ("onegin_ru", 262_521, 152_374, 128, "2990bb79495c0171"),
            ("tang_poems", 13_137_854, 4_688_431, 9_728, "4083507661bc75e3"),
        ],
    )
    def test_real_texts_have_their_known_sizes(
        self, shared_corpora: Path, name: str, size: int, characters: int, distinct: int, sha256: str
    ) -> None:
        encoded = encode_corpus(open_corpus(shared_corpora / f"{name}.txt"))
        assert (encoded.bytes, encoded.characters, encoded.distinct) == (size, characters, distinct)
        assert encoded.sha256.startswith(sha256)

    def test_rare_characters_share_the_unknown_id_and_still_count(self, tmp_path: Path) -> None:
        (tmp_path / "poem.txt").write_bytes(b"aaabbbcd")
        encoded = encode_corpus(open_corpus(tmp_path, config=CorpusConfig(min_count=2)))
        assert encoded.tokenizer == CharTokenizer("ab", has_unknown=True)
        assert encoded.ids.tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
        assert encoded.distinct == 4
        assert encoded.sha256 == hashlib.sha256(b"aaabbbcd").hexdigest()

    def test_the_same_text_has_the_same_sha256_whatever_its_files(self, tmp_path: Path) -> None:
        (tmp_path / "one.txt").write_bytes("é\r\nà\r\n".encode("utf-16"))
        (tmp_path / "two.txt").write_bytes("e\u0301\na\u0300\n".encode())
        one = encode_corpus(open_corpus(tmp_path / "one.txt", config=CorpusConfig(encoding="utf-16")))
        two = encode_corpus(open_corpus(tmp_path / "two.txt", config=CorpusConfig(normalize="nfc")))
        assert one.sha256 == two.sha256 == hashlib.sha256("é\nà\n".encode()).hexdigest()

    @pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf"])
    def test_an_empty_corpus_is_refused(self, tmp_path: Path, data: bytes) -> None:
        (tmp_path / "poem.txt").write_bytes(data)
        for corpus in (open_corpus(tmp_path), open_corpus("-", stdin=io.BytesIO(data))):
            with pytest.raises(CorpusError, match="is empty"):
                encode_corpus(corpus)

    @pytest.mark.parametrize(
        ("validation", "characters", "split"), [(0.0, 10, 10), (0.1, 10, 9), (0.5, 3, 1), (0.1, 1, 0), (0.25, 100, 75)]
    )
    def test_the_end_of_the_text_is_held_out(self, validation: float, characters: int, split: int) -> None:
        text = "".join(map(chr, range(0x4E00, 0x4E00 + characters)))
        config = CorpusConfig(validation=validation)
        encoded = encode_corpus(open_corpus("-", config=config, stdin=io.BytesIO(text.encode())))
        assert encoded.split == split
        assert encoded.tokenizer.decode(encoded.training) == text[:split]
        assert encoded.tokenizer.decode(encoded.held_out) == text[split:]

    def test_a_vocabulary_given_keeps_its_ids(self, tmp_path: Path) -> None:
        (tmp_path / "poem.txt").write_bytes(b"banana")
        wide = CharTokenizer(" abn")
        encoded = encode_corpus(open_corpus(tmp_path), tokenizer=wide)
        assert encoded.tokenizer is wide
        assert encoded.ids.tolist() == [2, 1, 3, 1, 3, 1]

    def test_characters_that_a_vocabulary_given_lacks_are_named(self, tmp_path: Path) -> None:
        (tmp_path / "poem.txt").write_bytes("bandé".encode())
        with pytest.raises(UnknownCharacterError, match=r"'d' \(U\+0064\) and 'é' \(U\+00E9\)") as caught:
            encode_corpus(open_corpus(tmp_path), tokenizer=CharTokenizer("abn"))
        assert caught.value.characters == "dé"
        folded = encode_corpus(open_corpus(tmp_path), tokenizer=CharTokenizer("abn", has_unknown=True))
        assert folded.ids.tolist() == [1, 0, 2, 3, 3]

    def test_progress_rises_to_the_size(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sources, "CHUNK", 7)
        (tmp_path / "poem.txt").write_bytes(b"the sea, " * 20)
        calls: list[tuple[int, int]] = []
        encode_corpus(open_corpus(tmp_path), progress=lambda done, total: calls.append((done, total)))
        assert {total for _, total in calls} == {180}
        done = [done for done, _ in calls]
        assert done == sorted(done)
        assert done[-1] == 180
        assert len(done) > 40

    def test_of_a_growing_text_the_original_part_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "chat.log"
        path.write_bytes(b"the sea")

        def grow(done: int, total: int) -> None:
            with path.open("ab") as file:
                file.write(b" and the sky")

        encoded = encode_corpus(open_corpus(path), progress=grow)
        assert encoded.sha256 == hashlib.sha256(b"the sea").hexdigest()

    @pytest.mark.parametrize("after", [b"the saa", b"THE SEA", b"the se"])
    def test_a_text_that_is_replaced_while_it_is_read_is_refused(self, tmp_path: Path, after: bytes) -> None:
        path = tmp_path / "poem.txt"
        path.write_bytes(b"the sea")
        with pytest.raises(CorpusError, match="changed while it was read"):
            encode_corpus(open_corpus(path), progress=lambda done, total: path.write_bytes(after) and None)
