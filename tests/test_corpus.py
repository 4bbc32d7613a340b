import hashlib
import io
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgen.config import CorpusConfig, Normalization
from textgen.corpus import Corpus, encode_corpus, open_corpus, sources
from textgen.corpus.normalization import LONGEST_RUN, normalize
from textgen.errors import ConfigError, CorpusError, TextgenError, UnknownCharacterError
from textgen.tokenizer import CharTokenizer

ROOT = Path(__file__).resolve().parent.parent
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "gb18030", "utf-7")
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes, devices and links")

# Control characters are left out here: a text of little else is refused as binary, which has its own test.
texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from("ab\r\n\t\u0301\u0327"))
awkward = st.lists(
    st.sampled_from(
        ["\r\n", "\r", "\n", "e", "\u0301", "\u0327", "ﬁ", "\u1112\u1161", "\u11ab", "각", "\ufeff", "诗", "😀"]
    )
).map("".join)


def read(*paths: Any, stdin: bytes | None = None, chunk: int | None = None, **settings: Any) -> str:
    return "".join(opened(*paths, stdin=stdin, chunk=chunk, **settings)[1])


def opened(
    *paths: Any, stdin: bytes | None = None, chunk: int | None = None, **settings: Any
) -> tuple[Corpus, list[str]]:
    stream = None if stdin is None else io.BytesIO(stdin)
    with pytest.MonkeyPatch.context() as patch:
        if chunk is not None:
            patch.setattr(sources, "CHUNK", chunk)
        corpus = open_corpus(paths, config=CorpusConfig(**settings), stdin=stream)
        return corpus, list(corpus.pieces())


def piped(data: bytes, *, chunk: int | None = None, **settings: Any) -> str:
    return read("-", stdin=data, chunk=chunk, **settings)


def with_plain_newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


class TestDecoding:
    @given(texts | awkward, st.sampled_from(ENCODINGS), st.integers(1, 9))
    def test_text_is_the_same_whatever_the_pieces_it_is_read_in(self, text: str, encoding: str, chunk: int) -> None:
        text = text.lstrip("\ufeff")
        data = text.encode(encoding)
        assert piped(data, chunk=chunk, encoding=encoding) == with_plain_newlines(text)
        assert piped(data, chunk=chunk, encoding=encoding, keep_newlines=True) == text

    @given(texts | awkward, st.sampled_from(["nfc", "nfkc"]), st.integers(1, 9))
    def test_normalisation_sees_across_the_borders_of_pieces(self, text: str, form: Any, chunk: int) -> None:
        text = text.lstrip("\ufeff")
        expected = unicodedata.normalize(form.upper(), with_plain_newlines(text))
        assert piped(text.encode(), chunk=chunk, normalize=form) == expected

    def test_crlf_across_every_border_becomes_one_newline(self) -> None:
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
        assert "--encoding" in str(caught.value)

    def test_the_offset_is_right_beyond_a_million_bytes(self, tmp_path: Path) -> None:
        (tmp_path / "poem.txt").write_bytes("é".encode() * 1_600_001 + b"\xff rest")
        with pytest.raises(CorpusError, match="at byte 3200002 "):
            read(tmp_path / "poem.txt")

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
    def test_an_encoding_that_is_none_is_a_config_error(self, tmp_path: Path, encoding: str) -> None:
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
    def test_any_bytes_give_a_text_or_a_sentence(self, data: bytes, encoding: str) -> None:
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
    def test_pieces_give_what_the_whole_gives(self, pieces: list[str]) -> None:
        text = "".join(pieces)
        for form in get_args(Normalization):
            expected = text if form == "none" else unicodedata.normalize(form.upper(), text)
            got = list(normalize(pieces, form))
            assert "".join(got) == expected
            assert all(got)

    def test_every_character_after_every_kind_of_border(self) -> None:
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

    def test_what_is_held_back_is_one_stretch(self) -> None:
        lengths = [len(piece) for piece in normalize(["a" * 1000] * 5, "nfc")]
        assert lengths == [999, 1000, 1000, 1000, 1000, 1]

    def test_too_many_marks_in_a_row_are_refused(self) -> None:
        marks = "\u0301\u0327" * (LONGEST_RUN // 2)
        assert "".join(normalize(["a", marks, "b"], "nfc")) == unicodedata.normalize("NFC", f"a{marks}b")
        for pieces in (["a", marks, "\u0301\u0301"], [f"a{marks}\u0301\u0301b"], ["\u0301"] * 1_100):
            with pytest.raises(CorpusError, match="--normalize none"):
                list(normalize(pieces, "nfc"))


class TestFinding:
    def test_folders_are_searched_deep_and_sorted(self, tmp_path: Path) -> None:
        for name in ("b.txt", "a/z.txt", "a/b/y.txt", "B.txt", "c.md", ".hidden.txt", ".git/x.txt"):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"{name}\n".encode())
        assert read(tmp_path) == "B.txt\na/b/y.txt\na/z.txt\nb.txt\n"
        assert read(tmp_path, glob="*.md") == "c.md\n"
        assert read(tmp_path, glob="a/*.txt") == "a/z.txt\n"
        assert read(tmp_path, glob=".*.txt") == ".hidden.txt\n"
        assert read(tmp_path / "c.md", tmp_path / "a") == "c.md\na/b/y.txt\na/z.txt\n"

    def test_the_glob_does_not_apply_to_files_that_are_named(self, tmp_path: Path) -> None:
        (tmp_path / "chat.log").write_bytes(b"ahoy")
        assert read(tmp_path / "chat.log") == "ahoy"

    def test_a_file_named_twice_is_read_once(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_bytes(b"a\n")
        (tmp_path / "b.txt").write_bytes(b"b\n")
        assert read(tmp_path / "b.txt", tmp_path, tmp_path / ".." / tmp_path.name / "a.txt") == "b\na\n"

    @posix
    def test_links_to_files_are_followed_and_circles_are_not(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "real" / "a.txt").write_bytes(b"a\n")
        folder = tmp_path / "folder"
        folder.mkdir()
        (folder / "link.txt").symlink_to(tmp_path / "real" / "a.txt")
        (folder / "broken.txt").symlink_to(tmp_path / "nowhere.txt")
        (folder / "up").symlink_to(tmp_path)
        assert read(folder) == "a\n"
        (tmp_path / "also").symlink_to(folder)
        assert read(tmp_path / "also") == "a\n"

    def test_names_with_spaces_and_odd_characters_are_read(self, tmp_path: Path) -> None:
        path = tmp_path / "my poems, vol. 1 - été.txt"
        path.write_bytes(b"the sea")
        corpus, pieces = opened(path)
        assert pieces == ["the sea"]
        assert corpus.sources == (str(path),)
        assert repr(str(path)) in corpus.title

    def test_files_are_joined_with_a_newline_where_one_is_missing(self, tmp_path: Path) -> None:
        contents = {"a": "one", "b": "two\n", "c": "", "d": "three\r\n", "e": "four\r", "f": "\ufeff", "g": "five"}
        paths = []
        for name, text in contents.items():
            paths.append(tmp_path / name)
            paths[-1].write_bytes(text.encode())
        assert read(*paths) == "one\ntwo\nthree\nfour\nfive"
        assert read(*paths, keep_newlines=True) == "one\ntwo\nthree\r\nfour\rfive"
        assert read(*paths, chunk=1) == "one\ntwo\nthree\nfour\nfive"

    @pytest.mark.parametrize(
        ("path", "words"),
        [
            ("missing.txt", "Cannot read .*missing.txt: there is no such file or folder"),
            ("poem.txt/inside", "a part of the path is a file"),
            ("empty", r"folder .*empty has no file that matches '\*\.txt'.*--glob"),
            ("x" * 300, "the name is too long"),
            ("a\0b", "cannot be the name of a file"),
            ("\ud800", "cannot be the name of a file"),
        ],
    )
    def test_each_wrong_path_has_its_own_sentence(self, tmp_path: Path, path: str, words: str) -> None:
        (tmp_path / "poem.txt").write_bytes(b"the sea")
        (tmp_path / "empty").mkdir()
        with pytest.raises(CorpusError, match=words) as caught:
            open_corpus(f"{tmp_path}/{path}")
        assert str(caught.value).isprintable()

    def test_no_path_and_an_empty_path_are_refused(self) -> None:
        with pytest.raises(CorpusError, match="no text to read"):
            open_corpus([])
        with pytest.raises(CorpusError, match="path is empty"):
            open_corpus([""])

    @posix
    def test_devices_and_sockets_are_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for path in ("/dev/zero", "/dev/null"):
            with pytest.raises(CorpusError, match=f"{path} is a device, not a text"):
                open_corpus(path)
        monkeypatch.chdir(tmp_path)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("poems.txt")
            with pytest.raises(CorpusError, match=r"Cannot read poems\.txt"):
                encode_corpus(open_corpus("poems.txt"))

    @posix
    def test_a_circle_of_links_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "a").symlink_to("b")
        (tmp_path / "b").symlink_to("a")
        with pytest.raises(CorpusError, match="lead in a circle"):
            open_corpus(tmp_path / "a")

    def test_files_without_permission_are_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "poem.txt"
        path.write_bytes(b"the sea")
        monkeypatch.setattr(os, "access", lambda path, mode: False)
        with pytest.raises(CorpusError, match="permission is denied"):
            open_corpus(path)

    def test_a_folder_without_permission_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def scandir(path: Any) -> Any:
            raise PermissionError(13, "Permission denied", path)

        monkeypatch.setattr(os, "scandir", scandir)
        with pytest.raises(CorpusError, match=r"Cannot read the folder .*permission is denied"):
            open_corpus(tmp_path)

    def test_a_file_that_goes_away_is_a_sentence(self, tmp_path: Path) -> None:
        (tmp_path / "poem.txt").write_bytes(b"the sea")
        corpus = open_corpus(tmp_path / "poem.txt")
        (tmp_path / "poem.txt").unlink()
        with pytest.raises(CorpusError, match="no such file"):
            list(corpus.pieces())

    @pytest.mark.parametrize("glob", ["", "."])
    def test_a_glob_that_is_none_is_a_config_error(self, tmp_path: Path, glob: str) -> None:
        with pytest.raises(ConfigError, match="glob must be a pattern"):
            open_corpus(tmp_path, config=CorpusConfig(glob=glob))

    @given(st.text())
    def test_any_glob_gives_a_result_or_a_sentence(self, glob: str) -> None:
        with pytest.raises((CorpusError, ConfigError)):
            open_corpus(ROOT / "textgen" / "system", config=CorpusConfig(glob=f"{glob}.no-such-suffix"))

    @posix
    def test_the_order_does_not_depend_on_the_locale(self, tmp_path: Path) -> None:
        for name in ("é.txt", "z.txt", "E.txt", "a.txt", "诗.txt"):
            (tmp_path / name).write_bytes(f"{name}: é诗\n".encode())
        code = (
            "import sys; from textgen.corpus import open_corpus, encode_corpus;"
            "print(encode_corpus(open_corpus(sys.argv[1])).sha256)"
        )
        found = set()
        for language in ("C", "C.UTF-8", "POSIX"):
            environment = {**os.environ, "LC_ALL": language, "LANG": language, "PYTHONUTF8": "0"}
            environment["PYTHONCOERCECLOCALE"] = "0"
            command = [sys.executable, "-c", code, str(tmp_path)]
            run = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60)
            assert run.returncode == 0, run.stderr
            found.add(run.stdout.strip())
        names = ("E.txt", "a.txt", "z.txt", "é.txt", "诗.txt")
        assert found == {hashlib.sha256("".join(f"{name}: é诗\n" for name in names).encode()).hexdigest()}

    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("poems.txt", "poems"),
            ("my poems (1).txt", "my-poems--1"),
            ("letters", "letters"),
            ("letters/../letters", "letters"),
            ("a.b.txt", "a.b"),
            ("---.txt", "corpus"),
            ("诗.txt", "诗"),
        ],
    )
    def test_the_name_comes_from_the_first_path(self, tmp_path: Path, path: str, name: str) -> None:
        (tmp_path / "letters").mkdir()
        (tmp_path / "letters" / "a.txt").write_bytes(b"a")
        if path.endswith(".txt"):
            (tmp_path / path).write_bytes(b"a")
        assert open_corpus([tmp_path / path, tmp_path / "letters"]).name == name
        assert open_corpus("-", stdin=io.BytesIO()).name == "stdin"


class TestStreamedSources:
    def test_standard_input_is_read_once_and_given_again_and_again(self) -> None:
        stream = io.BytesIO(b"the sea, the sea")
        corpus = open_corpus("-", stdin=stream)
        assert stream.tell() == 0
        assert [*corpus.pieces(), *corpus.pieces()] == ["the sea, the sea"] * 2
        assert corpus.bytes == 16
        assert corpus.sources == ("-",)

    def test_readings_side_by_side_do_not_disturb_each_other(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sources, "CHUNK", 3)
        corpus = open_corpus("-", stdin=io.BytesIO(b"the sea, the sea"))
        assert list(zip(corpus.pieces(), corpus.pieces(), strict=True)) == [
            (piece, piece) for piece in ("the", " se", "a, ", "the", " se", "a")
        ]

    def test_standard_input_goes_with_files(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_bytes(b"a")
        assert read(tmp_path, "-", "-", stdin=b"b") == "a\nb"

    def test_the_process_s_own_standard_input_is_the_default(self) -> None:
        code = "from textgen.corpus import open_corpus; print(*open_corpus('-').pieces())"
        run = subprocess.run(
            [sys.executable, "-c", code], input=b"ahoy", cwd=ROOT, capture_output=True, timeout=60, check=True
        )
        assert run.stdout.strip() == b"ahoy"

    def test_a_closed_standard_input_is_a_sentence(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", None)
        with pytest.raises(CorpusError, match="Standard input is closed"):
            open_corpus("-")
        stream = io.BytesIO(b"the sea")
        stream.close()
        with pytest.raises(CorpusError, match="standard input: it is closed"):
            list(open_corpus("-", stdin=stream).pieces())

    @posix
    def test_a_named_pipe_is_read_once_and_only_when_needed(self, tmp_path: Path) -> None:
        path = tmp_path / "pipe"
        os.mkfifo(path)
        corpus = open_corpus(path)
        writer = threading.Thread(target=path.write_bytes, args=(b"the sea, " * 1000,))
        writer.start()
        encoded = encode_corpus(corpus)
        writer.join()
        path.unlink()
        assert encoded.characters == 9000
        assert "".join(corpus.pieces()) == "the sea, " * 1000

    def test_a_full_temporary_folder_is_a_sentence(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Full(io.BytesIO):
            def write(self, data: Any) -> int:
                raise OSError(28, "No space left on device")

        monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Full())
        with pytest.raises(CorpusError, match=r"Cannot keep standard input .*the disk is full.*TMPDIR"):
            list(open_corpus("-", stdin=io.BytesIO(b"the sea")).pieces())


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
    def test_real_texts_have_their_known_measures(
        self, shared_corpora: Path, name: str, size: int, characters: int, distinct: int, sha256: str
    ) -> None:
        encoded = encode_corpus(open_corpus(shared_corpora / f"{name}.txt"))
        assert (encoded.bytes, encoded.characters, encoded.distinct) == (size, characters, distinct)
        assert encoded.sha256.startswith(sha256)

    def test_rare_characters_are_folded_and_still_counted(self, tmp_path: Path) -> None:
        (tmp_path / "poem.txt").write_bytes(b"aaabbbcd")
        encoded = encode_corpus(open_corpus(tmp_path, config=CorpusConfig(min_count=2)))
        assert encoded.tokenizer == CharTokenizer("ab", has_unknown=True)
        assert encoded.ids.tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
        assert encoded.distinct == 4
        assert encoded.sha256 == hashlib.sha256(b"aaabbbcd").hexdigest()

    def test_the_same_text_has_the_same_fingerprint_whatever_its_files(self, tmp_path: Path) -> None:
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
    def test_the_end_of_the_text_validates(self, validation: float, characters: int, split: int) -> None:
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

    def test_what_a_checkpoint_records_is_plain_json(self, tmp_path: Path) -> None:
        (tmp_path / "poem.txt").write_bytes(b"banana")
        described = encode_corpus(open_corpus(tmp_path / "poem.txt")).describe()
        assert described == {
            "name": "poem",
            "sources": [str(tmp_path / "poem.txt")],
            "characters": 6,
            "bytes": 6,
            "distinct": 3,
            "sha256": hashlib.sha256(b"banana").hexdigest(),
            "split": 5,
            "settings": CorpusConfig().to_json(),
        }
        assert CorpusConfig.from_json(described["settings"]) == CorpusConfig()

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

    def test_a_text_that_grows_while_it_is_read_is_taken_as_it_was(self, tmp_path: Path) -> None:
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
