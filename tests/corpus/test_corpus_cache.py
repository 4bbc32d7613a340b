import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults import EFFORT, Disk, Killed
from hypothesis import given, settings
from hypothesis import strategies as st

from textgen.config import CorpusConfig
from textgen.corpus import EncodedCorpus, encode_corpus, open_corpus, sources
from textgen.corpus import cache as cache_module
from textgen.corpus.cache import KEPT, CorpusCache, write_temporary
from textgen.corpus.rare import LARGE
from textgen.corpus.reading import Corpus
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import CorpusError, UnknownCharacterError
from textgen.system.files import ASIDE

ROOT = Path(__file__).resolve().parents[2]
TEXT = "Die Möwe, the sea, 海, the seal 🦭.\n" * 20
U2 = np.dtype("<u2")


class Work:
    """Counts how often texts are decoded: an encoding does it twice, a hit of the cache never."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.decoded = 0
        real = Corpus.pieces

        def pieces(corpus: Corpus, **options: Any) -> Iterator[str]:
            self.decoded += 1
            return real(corpus, **options)

        monkeypatch.setattr(Corpus, "pieces", pieces)

    def since(self) -> int:
        decoded, self.decoded = self.decoded, 0
        return decoded


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    return Work(monkeypatch)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "poem.txt"
    path.write_text(TEXT, encoding="utf-8", newline="")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "cache"


def encode(path: Path, folder: Path | None, **options: Any) -> EncodedCorpus:
    config = options.pop("config", CorpusConfig())
    return encode_corpus(open_corpus(path, config=config), cache=folder, in_memory=0, **options)


def many_characters(folder: Path) -> Path:
    """A text with so many characters that the rare ones share an id: here one."""
    path = folder / "many.txt"
    path.write_text("".join(map(chr, range(0x4E00, 0x4E00 + LARGE))) * 11 + "a", encoding="utf-8")
    return path


def entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def is_right(encoded: EncodedCorpus, text: str = TEXT) -> bool:
    return encoded.tokenizer.decode(encoded.ids) == text


def facts(encoded: EncodedCorpus) -> tuple[object, ...]:
    """All that is known of a text besides its ids and its vocabulary."""
    return encoded.name, encoded.sources, encoded.config, encoded.bytes, encoded.distinct, encoded.sha256, encoded.split


class TestLongTexts:
    def test_the_second_time_nothing_is_decoded(self, text: Path, folder: Path, work: Work) -> None:
        first = encode(text, folder)
        assert work.since() == 2
        second = encode(text, folder)
        assert work.since() == 0
        assert facts(second) == facts(first)
        assert second.tokenizer == first.tokenizer
        assert is_right(first) and is_right(second)
        assert len(entries(folder)) == 1

    def test_ids_are_the_same_in_memory_in_the_cache_and_in_a_temporary_file(self, text: Path, folder: Path) -> None:
        in_memory = encode_corpus(open_corpus(text), cache=folder)
        assert not folder.exists()
        for mapped in (encode(text, folder), encode(text, folder), encode(text, None)):
            assert np.array_equal(mapped.ids, in_memory.ids)
            assert mapped.ids.dtype == in_memory.ids.dtype
            assert facts(mapped) == facts(in_memory)
            with pytest.raises(ValueError, match="read-only"):
                mapped.ids[0] = 0

    def test_the_size_of_the_sources_decides(self, text: Path, folder: Path) -> None:
        size = text.stat().st_size
        encode_corpus(open_corpus(text), cache=folder, in_memory=size)
        assert not folder.exists()
        encode_corpus(open_corpus(text), cache=folder, in_memory=size - 1)
        assert len(entries(folder)) == 1

    def test_a_changed_text_is_encoded_again(self, text: Path, folder: Path, work: Work) -> None:
        encode(text, folder)
        stat = text.stat()
        text.write_text(TEXT.replace("seal", "sole"), encoding="utf-8", newline="")
        os.utime(text, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        work.since()
        assert is_right(encode(text, folder), TEXT.replace("seal", "sole"))
        assert work.since() == 2

    def test_the_same_text_elsewhere_is_recognised(self, text: Path, folder: Path, work: Work) -> None:
        encode(text, folder)
        moved = text.rename(text.with_name("other.log"))
        work.since()
        encoded = encode(moved, folder)
        assert work.since() == 0
        assert (encoded.name, encoded.sources) == ("other", (str(moved),))

    @pytest.mark.parametrize(
        "change",
        [{"encoding": "utf-8-sig"}, {"keep_newlines": True}, {"normalize": "nfc"}, {"min_count": 30}],
        ids=lambda change: next(iter(change)),
    )
    def test_settings_that_shape_the_text_have_their_own_entry(
        self, text: Path, folder: Path, work: Work, change: dict[str, Any]
    ) -> None:
        encode(text, folder)
        work.since()
        encoded = encode(text, folder, config=CorpusConfig(**change))
        assert work.since() == 2
        assert facts(encoded) == facts(encode(text, None, config=CorpusConfig(**change)))
        assert len(entries(folder)) == 2

    def test_settings_that_do_not_shape_it_share_one(self, text: Path, folder: Path, work: Work) -> None:
        encode(text, folder)
        work.since()
        encoded = encode(text, folder, config=CorpusConfig(validation=0.5, glob="*", encoding="UTF8"))
        assert work.since() == 0
        assert len(encoded.training) == len(encoded.held_out)

    def test_what_followed_from_the_text_is_read_again(self, tmp_path: Path, folder: Path, work: Work) -> None:
        """By the rule, and by the number that a run has recorded; another number has its own entry."""
        path = many_characters(tmp_path)
        first = encode(path, folder)
        assert (first.config.min_count, first.tokenizer.has_unknown) == (2, True)
        work.since()
        for config in (CorpusConfig(), first.config):
            again = encode(path, folder, config=config)
            assert (work.since(), facts(again), again.tokenizer) == (0, facts(first), first.tokenizer)
        whole = encode(path, folder, config=CorpusConfig(min_count=1))
        assert (work.since(), whole.config.min_count, whole.tokenizer.has_unknown) == (2, 1, False)

    def test_an_entry_of_an_earlier_version_serves_a_text_of_few_characters_alone(
        self, text: Path, tmp_path: Path, folder: Path, work: Work
    ) -> None:
        """Earlier ones kept every character by default, and recorded no number."""
        for path, decoded in ((text, 0), (many_characters(tmp_path), 2)):
            encode(path, folder, config=CorpusConfig(min_count=1))
            work.since()
            encoded = encode(path, folder)
            assert work.since() == decoded
            assert encoded.config.min_count == (1 if path == text else 2)

    def test_where_files_end_is_part_of_the_content(self, tmp_path: Path, folder: Path) -> None:
        for name, parts in {"one": [b"ab\n", b"c"], "two": [b"ab", b"\nc"], "three": [b"ab\nc"]}.items():
            for number, part in enumerate(parts):
                (tmp_path / name).mkdir(exist_ok=True)
                (tmp_path / name / f"{number}.txt").write_bytes(part)
        found = [encode(tmp_path / name, folder) for name in ("one", "two", "three")]
        assert [encoded.tokenizer.decode(encoded.ids) for encoded in found] == ["ab\nc", "ab\n\nc", "ab\nc"]

    def test_a_vocabulary_given_that_is_the_text_s_own_shares_the_entry(
        self, text: Path, folder: Path, work: Work
    ) -> None:
        own = encode(text, folder).tokenizer
        work.since()
        assert is_right(encode(text, folder, tokenizer=own))
        assert work.since() == 0

    def test_another_vocabulary_has_its_own_entry(self, text: Path, folder: Path, work: Work) -> None:
        encode(text, folder)
        wide = CharTokenizer.from_text(TEXT + "xyzXYZ")
        for decoded in (2, 0):
            work.since()
            encoded = encode(text, folder, tokenizer=wide)
            assert work.since() == decoded
            assert encoded.tokenizer == wide
            assert is_right(encoded)
        assert len(entries(folder)) == 2

    def test_a_vocabulary_that_lacks_characters_is_refused_though_there_is_an_entry(
        self, text: Path, folder: Path
    ) -> None:
        encode(text, folder)
        with pytest.raises(UnknownCharacterError, match="'海'"):
            encode(text, folder, tokenizer=CharTokenizer.from_text(TEXT.replace("海", "")))

    def test_a_text_that_changes_meanwhile_leaves_no_entry(self, text: Path, folder: Path) -> None:
        changed = TEXT.replace("seal", "sole").encode()

        for cut in (1, 2):
            text.write_text(TEXT, encoding="utf-8", newline="")
            calls: list[int] = []

            def change(done: int, total: int, calls: list[int] = calls, cut: int = cut) -> None:
                calls.append(done)
                if len(calls) == cut:
                    text.write_bytes(changed)

            with pytest.raises(CorpusError, match="changed while it was read"):
                encode(text, folder, progress=change)
        assert not folder.exists() or entries(folder) == []

    def test_progress_rises_to_the_size_and_jumps_there_on_a_hit(self, text: Path, folder: Path) -> None:
        size = text.stat().st_size
        for _ in range(2):
            calls: list[tuple[int, int]] = []
            encode(text, folder, progress=lambda done, total, calls=calls: calls.append((done, total)))
            assert calls == sorted(calls)
            assert calls[-1] == (size, size)

    def test_lone_surrogates_are_kept(self, tmp_path: Path, folder: Path) -> None:
        (tmp_path / "odd.txt").write_bytes(b"a\\udbff\\udc00b" * 30)
        config = CorpusConfig(encoding="raw_unicode_escape")
        for _ in range(2):
            assert is_right(encode(tmp_path / "odd.txt", folder, config=config), "a\udbff\udc00b" * 30)


class TestDamage:
    @pytest.fixture
    def entry(self, text: Path, folder: Path) -> Path:
        encode(text, folder)
        (entry,) = entries(folder)
        return entry

    def test_an_entry_cut_anywhere_is_made_anew(self, text: Path, folder: Path, entry: Path, work: Work) -> None:
        whole = entry.read_bytes()
        for length in [0, 1, 63, 64, 65, *range(70, len(whole), 97 // EFFORT or 1), len(whole) - 1]:
            entry.write_bytes(whole[:length])
            work.since()
            assert is_right(encode(text, folder))
            assert work.since() == 2
            assert entry.read_bytes() == whole

    def test_an_entry_with_something_behind_it_is_made_anew(self, text: Path, folder: Path, entry: Path) -> None:
        whole = entry.read_bytes()
        for more in (b"\0", whole, bytes(4096)):
            entry.write_bytes(whole + more)
            assert is_right(encode(text, folder))
            assert entry.read_bytes() == whole

    def test_any_flipped_bit_is_detected(self, folder: Path, entry: Path) -> None:
        whole = entry.read_bytes()
        for place in range(0, len(whole), 41 // EFFORT or 1):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << (place % 8)
            entry.write_bytes(damaged)
            assert CorpusCache(folder).read(entry.stem) is None
        entry.write_bytes(whole)
        assert CorpusCache(folder).read(entry.stem) is not None

    def test_an_entry_under_another_key_is_a_miss(self, folder: Path, entry: Path) -> None:
        entry.rename(folder / "other.ids")
        assert CorpusCache(folder).read("other") is None

    @given(st.binary(max_size=300))
    @settings(max_examples=100 * EFFORT)
    def test_arbitrary_bytes_are_a_miss(self, data: bytes) -> None:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            for contents in (data, cache_module._MAGIC + data):
                Path(folder, "key.ids").write_bytes(contents)
                assert CorpusCache(folder).read("key") is None

    def test_an_entry_without_metadata_is_made_anew(self, text: Path, folder: Path, entry: Path) -> None:
        for metadata in ({}, {"tokenizer": {}}, {"tokenizer": CharTokenizer("a").to_json()}):
            CorpusCache(folder).write(
                entry.stem, [np.zeros(3, np.uint8)], np.dtype(np.uint8), lambda metadata=metadata: metadata
            )
            assert is_right(encode(text, folder))

    def test_a_folder_in_the_place_of_an_entry_is_an_error(self, text: Path, folder: Path, entry: Path) -> None:
        entry.unlink()
        entry.mkdir()
        with pytest.raises(CorpusError, match="Cannot write the encoded text to"):
            encode(text, folder)


class TestFaults:
    @staticmethod
    def operations(text: Path, folder: Path) -> int:
        with pytest.MonkeyPatch.context() as patch:
            disk = Disk(patch, error=Killed)
            encode(text, folder / "whole")
        return len(disk.operations)

    @pytest.mark.parametrize(
        ("error", "words"),
        [
            (lambda: OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
            (lambda: PermissionError(errno.EACCES, "Permission denied"), "permission is denied"),
            (lambda: OSError(errno.EROFS, "Read-only file system"), "the disk is read-only"),
        ],
    )
    def test_a_disk_error_is_reported_and_leaves_no_partial_file(
        self, text: Path, folder: Path, error: Callable[[], OSError], words: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sources, "CHUNK", 200)
        refused = 0
        for number in range(self.operations(text, folder)):
            with pytest.MonkeyPatch.context() as patch:
                disk = Disk(patch, fail_at=number, error=error)
                try:
                    assert is_right(encode(text, folder / str(number)))
                except CorpusError as caught:
                    refused += 1
                    assert words in str(caught)
            left = entries(folder / str(number))
            # Only the flush of the folder comes after the move, and the file is whole by then.
            assert left == [] or disk.operations[number] in ("open folder", "fsync")
            assert is_right(encode(text, folder / str(number)))
        assert refused >= 5

    def test_a_process_killed_at_any_moment_leaves_no_incomplete_entry(
        self, text: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sources, "CHUNK", 200)
        monkeypatch.setattr(cache_module, "_STALE_AFTER", -10.0)
        for number in range(self.operations(text, folder)):
            here = folder / str(number)
            with pytest.MonkeyPatch.context() as patch:
                disk = Disk(patch, fail_at=number, error=Killed)
                with pytest.raises(Killed):
                    encode(text, here)
            moved = "replace" in disk.operations[:number]
            assert sum(not path.name.startswith(ASIDE) for path in entries(here)) == moved
            assert is_right(encode(text, here))
            assert [path.name.startswith(ASIDE) for path in entries(here)] == [False]

    def test_the_old_entry_stays_until_the_new_one_is_complete(self, folder: Path) -> None:
        cache = CorpusCache(folder)
        cache.write("key", [np.arange(3, dtype=U2)], U2, lambda: {"which": "old"})

        def metadata() -> dict[str, Any]:
            raise CorpusError("The text changed.")

        with pytest.raises(CorpusError, match="changed"):
            cache.write("key", [np.arange(5, dtype=U2)], U2, metadata)
        entry = cache.read("key")
        assert entry is not None
        assert entry.metadata["which"] == "old"
        assert entry.ids.tolist() == [0, 1, 2]

    def test_a_file_in_the_place_of_the_folder_is_an_error(self, text: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(CorpusError, match="Cannot write the encoded text"):
            encode(text, tmp_path / "file")

    def test_an_entry_in_a_read_only_folder_is_used(
        self, text: Path, folder: Path, work: Work, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*arguments: Any, **options: Any) -> None:
            raise OSError(errno.EROFS, "Read-only file system")

        encode(text, folder)
        work.since()
        monkeypatch.setattr(os, "utime", refuse)
        assert is_right(encode(text, folder))
        assert work.since() == 0

    def test_a_full_temporary_folder_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse() -> Any:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(cache_module.tempfile, "TemporaryFile", refuse)
        with pytest.raises(CorpusError, match=r"disk is full.*TMPDIR"):
            write_temporary([], U2, dict)


class TestRoom:
    def test_only_the_entries_used_last_are_kept(self, folder: Path) -> None:
        cache = CorpusCache(folder)
        for number in range(KEPT + 3):
            cache.write(f"k{number}", [np.array([number], U2)], U2, dict)
            os.utime(cache.path(f"k{number}"), (number, number))
            if number >= 2:
                assert cache.read("k0") is not None
                os.utime(cache.path("k0"), (number + 0.5, number + 0.5))
        assert {path.stem for path in entries(folder)} == {"k0", *(f"k{number}" for number in range(4, KEPT + 3))}

    def test_what_a_killed_process_left_is_removed_later(self, text: Path, folder: Path) -> None:
        folder.mkdir(parents=True)
        fresh, old = [folder / f"{ASIDE}{n}.ids" for n in range(KEPT + 1)], folder / f"{ASIDE}old.ids"
        for path in (*fresh, old):
            path.write_bytes(b"half")
        os.utime(old, (1, 1))
        encode(text, folder)
        assert all(path.exists() for path in fresh)
        assert not old.exists()

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak memory from /proc")
    @pytest.mark.slow
    @pytest.mark.parametrize("megabytes", [100, 1000])
    def test_memory_does_not_grow_with_the_text(self, tmp_path: Path, bundled_corpus: Path, megabytes: int) -> None:
        pieces = b"".join(path.read_bytes() for path in sorted(bundled_corpus.glob("**/*.txt")))
        large = tmp_path / "large.txt"
        with large.open("wb") as file:
            while file.tell() < megabytes << 20:
                file.write(pieces)
        code = """if True:
            import json, sys
            from textgen.corpus import encode_corpus, open_corpus
            from textgen.corpus.batches import Streams

            def memory(kind):
                return int(open("/proc/self/status").read().split(kind + ":")[1].split()[0]) // 1024

            before = memory("VmRSS")
            encoded = encode_corpus(open_corpus(sys.argv[1]), cache=sys.argv[2])
            streams = Streams(encoded.training, batch_size=32, sequence_length=64, seed=0)
            for step in range(streams.batches_per_epoch):
                streams.batch(step)
            grown = memory("VmHWM") - before
            print(json.dumps({"grown": grown, "characters": encoded.characters, "dtype": str(encoded.ids.dtype)}))
            """
        command = [sys.executable, "-c", code, str(large), str(tmp_path / "cache")]
        for _ in range(2):
            run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
            assert run.returncode == 0, run.stderr
            found = json.loads(run.stdout)
            assert found["dtype"] == "uint8"
            assert found["characters"] == large.stat().st_size
            assert found["grown"] < 64
