import builtins
import hashlib
import io
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from texts import opened, read

from textgen.config import CorpusConfig
from textgen.corpus import encode_corpus, finding, open_corpus, sources
from textgen.errors import ConfigError, CorpusError

ROOT = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes, devices and links")


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

    def test_several_globs_take_what_matches_any(self, tmp_path: Path) -> None:
        for name in ("a.txt", "b.md", "c.log", "d/e.md"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(f"{name}\n".encode())
        assert read(tmp_path, glob=("*.txt", "*.md")) == "a.txt\nb.md\nd/e.md\n"
        assert read(tmp_path, glob=("*.md", "d/*", "*.md")) == "b.md\nd/e.md\n"
        with pytest.raises(CorpusError, match=r"no file that matches '\*\.rst' or '\*\.tex'"):
            open_corpus(tmp_path, config=CorpusConfig(glob=("*.rst", "*.tex")))
        for glob in ((), ("*.txt", "")):
            with pytest.raises(ConfigError, match="glob must be a pattern"):
                open_corpus(tmp_path, config=CorpusConfig(glob=glob))

    @given(
        st.lists(st.text("ab.*?[]!-", min_size=1, max_size=5), min_size=1, max_size=3).map("/".join),
        st.lists(st.text("ab.-", min_size=1, max_size=4), min_size=1, max_size=3).map("/".join),
    )
    def test_a_pattern_matches_as_pathlib_does(self, glob: str, path: str) -> None:
        path = str(PurePosixPath(path))
        try:
            expected = PurePosixPath(path).match(glob)
        except ValueError:
            return
        hidden = path.rpartition("/")[2].startswith(".") and not PurePosixPath(glob).name.startswith(".")
        assert finding.Pattern(glob).matches(path) == (expected and not hidden)

    def test_the_glob_does_not_apply_to_files_that_are_named(self, tmp_path: Path) -> None:
        (tmp_path / "chat.log").write_bytes(b"ahoy")
        assert read(tmp_path / "chat.log") == "ahoy"

    def test_a_file_named_twice_is_read_once(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_bytes(b"a\n")
        (tmp_path / "b.txt").write_bytes(b"b\n")
        assert read(tmp_path / "b.txt", tmp_path, tmp_path / ".." / tmp_path.name / "a.txt") == "b\na\n"

    @posix
    def test_links_to_files_are_followed_and_cycles_are_not(self, tmp_path: Path) -> None:
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

    def test_many_short_files_come_in_few_pieces(self, tmp_path: Path) -> None:
        contents = [f"{n} é\r\n" if n % 3 else f"{n}" for n in range(400)]
        for n, text in enumerate(contents):
            (tmp_path / f"{n:03}.txt").write_bytes(text.encode())
        (tmp_path / "050-long.txt").write_bytes(b"long\n" * 50_000)
        texts = [text.replace("\r\n", "\n") if "\r" in text else f"{text}\n" for text in contents]
        expected = "".join([*texts[:50], "long\n" * 50_000, *texts[50:]]).removesuffix("\n")
        corpus, pieces = opened(tmp_path)
        assert "".join(pieces) == expected
        assert len(pieces) == 2
        assert encode_corpus(corpus).sha256 == hashlib.sha256(expected.encode()).hexdigest()

    def test_a_file_is_looked_at_and_opened_once_in_a_pass(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for n in range(50):
            (tmp_path / f"{n}.txt").write_bytes(b"the sea\n")
        calls = {"stat": 0, "open": 0}

        def counted(name: str, function: Any) -> Any:
            def call(*arguments: Any, **options: Any) -> Any:
                calls[name] += 1
                return function(*arguments, **options)

            return call

        corpus = open_corpus(tmp_path)
        monkeypatch.setattr(os, "stat", counted("stat", os.stat))
        monkeypatch.setattr(builtins, "open", counted("open", builtins.open))
        assert encode_corpus(corpus).characters == 400
        # A look at the first 20 for headers, one pass for the vocabulary and one for the ids.
        assert calls["stat"] <= 60
        assert calls["open"] == 120

    @pytest.mark.parametrize(
        ("path", "words"),
        [
            ("missing.txt", "Cannot read .*missing.txt: there is no such file or folder"),
            ("poem.txt/inside", "a part of the path is a file"),
            ("empty", r"folder .*empty has no file that matches '\*\.txt'.*--glob"),
            ("x" * 300, "the name is too long"),
            ("a\0b", "is not a valid file name"),
            ("\ud800", "is not a valid file name"),
        ],
    )
    def test_each_invalid_path_has_its_own_error(self, tmp_path: Path, path: str, words: str) -> None:
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
    def test_a_cycle_of_links_is_refused(self, tmp_path: Path) -> None:
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

    def test_a_file_that_disappears_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "poem.txt").write_bytes(b"the sea")
        corpus = open_corpus(tmp_path / "poem.txt")
        (tmp_path / "poem.txt").unlink()
        with pytest.raises(CorpusError, match="no such file"):
            list(corpus.pieces())

    @pytest.mark.parametrize("glob", ["", "."])
    def test_an_invalid_glob_is_a_config_error(self, tmp_path: Path, glob: str) -> None:
        with pytest.raises(ConfigError, match="glob must be a pattern"):
            open_corpus(tmp_path, config=CorpusConfig(glob=glob))

    @given(st.text())
    def test_any_glob_gives_a_result_or_an_error(self, glob: str) -> None:
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
    def test_standard_input_is_read_once_and_can_be_repeated(self) -> None:
        stream = io.BytesIO(b"the sea, the sea")
        corpus = open_corpus("-", stdin=stream)
        assert stream.tell() == 0
        assert [*corpus.pieces(), *corpus.pieces()] == ["the sea, the sea"] * 2
        assert corpus.bytes == 16
        assert corpus.sources == ("-",)

    def test_concurrent_reads_are_independent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sources, "CHUNK", 3)
        corpus = open_corpus("-", stdin=io.BytesIO(b"the sea, the sea"))
        assert list(zip(corpus.pieces(), corpus.pieces(), strict=True)) == [
            (piece, piece) for piece in ("the", " se", "a, ", "the", " se", "a")
        ]

    def test_standard_input_can_be_combined_with_files(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_bytes(b"a")
        assert read(tmp_path, "-", "-", stdin=b"b") == "a\nb"

    def test_the_process_s_own_standard_input_is_the_default(self) -> None:
        code = "from textgen.corpus import open_corpus; print(*open_corpus('-').pieces())"
        run = subprocess.run(
            [sys.executable, "-c", code], input=b"ahoy", cwd=ROOT, capture_output=True, timeout=60, check=True
        )
        assert run.stdout.strip() == b"ahoy"

    def test_a_closed_standard_input_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
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

    @posix
    @pytest.mark.parametrize("name", ["/dev/fd/{}", "/proc/self/fd/{}"])
    @pytest.mark.parametrize("kind", ["pipe", "socket"])
    def test_a_descriptor_is_a_stream(self, name: str, kind: str) -> None:
        if name.startswith("/proc") and not Path("/proc/self/fd").is_dir():
            pytest.skip("there is no /proc here")
        if kind == "pipe":
            end, other = os.pipe()
            os.write(other, b"the sea")
            os.close(other)
        else:
            reader, writer = socket.socketpair()
            writer.sendall(b"the sea")
            writer.close()
            end = reader.detach()
        try:
            corpus = open_corpus(name.format(end))
            encoded = encode_corpus(corpus)
        finally:
            os.close(end)
        assert "".join(corpus.pieces()) == "the sea"
        assert (encoded.name, encoded.sources, encoded.places) == ("stdin", ("-",), ("-",))

    @posix
    def test_a_descriptor_of_a_file_is_that_file(self, tmp_path: Path) -> None:
        (tmp_path / "poem.txt").write_bytes(b"the sea")
        with (tmp_path / "poem.txt").open("rb") as file:
            corpus = open_corpus(f"/dev/fd/{file.fileno()}")
        assert (corpus.name, corpus.sources) == ("poem", (str(tmp_path / "poem.txt"),))
        assert corpus.places == corpus.sources
        assert "".join(corpus.pieces()) == "the sea"

    @posix
    def test_a_stream_that_does_not_block_is_read_to_its_end(self) -> None:
        end, other = os.pipe()
        os.set_blocking(end, False)
        writer = threading.Thread(target=lambda: [os.write(other, b"the sea, " * 900) for _ in range(90)])
        with os.fdopen(end, "rb") as stream:
            corpus = open_corpus("-", stdin=stream)
            threading.Timer(0.1, writer.start).start()
            threading.Timer(0.2, lambda: (writer.join(), os.close(other))).start()
            assert corpus.bytes == 9 * 900 * 90

    def test_a_text_is_ready_when_its_last_stream_has_ended(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_bytes(b"a")
        stream = io.BytesIO(b"the sea")
        since = time.monotonic()
        assert open_corpus(tmp_path).ready(since) == since
        corpus = open_corpus([tmp_path, "-"], stdin=stream)
        ready = corpus.ready(since)
        assert since <= ready <= time.monotonic()
        assert stream.tell() == 7
        assert corpus.ready(since) == ready
        assert corpus.ready(ready + 9.0) == ready + 9.0

    def test_the_places_of_a_text_are_absolute(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "a.txt").write_bytes(b"a")
        monkeypatch.chdir(tmp_path)
        corpus = open_corpus(["a.txt", ".", "-"], stdin=io.BytesIO(b"b"))
        assert corpus.places == (str(tmp_path.resolve() / "a.txt"), str(tmp_path.resolve()), "-")

    def test_a_full_temporary_folder_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Full(io.BytesIO):
            def write(self, data: Any) -> int:
                raise OSError(28, "No space left on device")

        monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Full())
        with pytest.raises(CorpusError, match=r"Cannot keep standard input .*the disk is full.*TMPDIR"):
            list(open_corpus("-", stdin=io.BytesIO(b"the sea")).pieces())
