"""Copies of the training text: matches against a slow search, planted copies, figures, and texts that are gone."""

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from copied import open_text, prose, write_files
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from small_models import random_writer

import textgen
from textgen.analysis.memorisation import (
    TrainingText,
    find_spans,
    measure_novelty,
    novelty,
    read_training_text,
    suffixes,
)
from textgen.analysis.memorisation.matches import Match, Matches, count_places, find_matches
from textgen.analysis.memorisation.report import spread
from textgen.analysis.memorisation.suffixes import Suffixes, common_prefix
from textgen.analysis.memorisation.training_text import encode_known
from textgen.corpus import open_corpus
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import ConfigError, CorpusError, RunError, TextgenError
from textgen.model.description import CorpusDescription
from textgen.sampling.writer import Writer

Ids = NDArray[Any]

WIDTHS = {1: np.uint8, 2: np.uint16, 4: np.uint32}


def ids_of(text: str, *, width: int = 1) -> Ids:
    """Letters to ids of that many bytes, spread so that each byte of them matters."""
    factor = {1: 1, 2: 257, 4: 70_001}[width]
    return np.array([factor * (ord(letter) - ord("a")) for letter in text], WIDTHS[width])


def slow_lengths(text: str, query: str) -> list[int]:
    """The longest match at each place, by Python's own search."""
    return [
        max(length for length in range(len(query) - start + 1) if query[start : start + length] in text)
        for start in range(len(query))
    ]


@st.composite
def texts_and_queries(draw: st.DrawFn) -> tuple[str, str]:
    """A text over few letters, and a query with copies of it and with a letter that it lacks."""
    letters = draw(st.sampled_from(["a", "ab", "abc"]))
    text = draw(st.text(letters, max_size=40))
    places = st.integers(0, len(text))
    pieces = st.one_of(
        st.text(letters + "z", max_size=6), st.tuples(places, places).map(lambda ends: text[slice(*ends)])
    )
    return text, "".join(draw(st.lists(pieces, max_size=5)))


@settings(deadline=None, max_examples=120)
@given(
    texts_and_queries(), st.sampled_from([1, 2, 3, 7, 1000]), st.sampled_from([1, 2, 3, 8]), st.sampled_from([1, 2, 4])
)
@example(("abab" * 10, "abab" * 9), 3, 2, 2)
@example(("a" * 40, "a" * 30), 7, 3, 1)
@example(("aabca", "bcaz"), 2, 2, 1)
def test_matches_are_those_of_a_slow_search_however_the_text_is_cut(
    both: tuple[str, str], chunk: int, limit: int, width: int
) -> None:
    text, query = both
    found = find_matches(ids_of(text, width=width), ids_of(query, width=width), chunk=chunk, limit=limit)
    assert found.lengths.tolist() == slow_lengths(text, query)
    for start, (length, place) in enumerate(zip(found.lengths, found.places, strict=True)):
        assert text[place : place + length] == query[start : start + length]


@settings(deadline=None, max_examples=100)
@given(texts_and_queries())
def test_spans_are_the_matches_that_are_part_of_no_other(both: tuple[str, str]) -> None:
    text, query = both
    spans = find_matches(ids_of(text), ids_of(query)).spans()
    every = [
        (start, end)
        for start in range(len(query))
        for end in range(start + 1, len(query) + 1)
        if query[start:end] in text
    ]
    largest = [(a, b) for a, b in every if not any(x <= a and b <= y and (x, y) != (a, b) for x, y in every)]
    assert sorted((span.start, span.start + span.length) for span in spans) == sorted(largest)
    assert [span.length for span in spans] == sorted((span.length for span in spans), reverse=True)


def test_a_long_copy_across_many_chunks_is_one_span() -> None:
    rng = np.random.default_rng(0)
    text = rng.integers(0, 20, 2000).astype(np.uint8)
    query = np.concatenate([[99], text[500:1900], [99], text[:300], [99]]).astype(np.uint8)
    found = find_matches(text, query, chunk=128, limit=16)
    assert found.spans()[:2] == [Match(1, 1400, 500), Match(1402, 300, 0)]
    assert find_matches(text, query).lengths.tolist() == found.lengths.tolist()


def test_the_text_is_only_read_and_progress_is_reported() -> None:
    text = np.frombuffer(b"the sea, the sea", np.uint8)
    heard: list[tuple[int, int]] = []
    found = find_matches(text, text, chunk=6, progress=lambda done, total: heard.append((done, total)))
    assert found.spans() == [Match(0, 16, 0)]
    assert heard == [(6, 16), (12, 16), (16, 16)]


def test_nothing_matches_where_one_of_the_texts_is_empty() -> None:
    some, none = ids_of("abc"), ids_of("")
    assert find_matches(none, some).lengths.tolist() == [0, 0, 0]
    assert find_matches(some, none).spans() == []
    assert len(Suffixes(none).order) == 0
    assert common_prefix(none, some) == 0


@settings(deadline=None)
@given(st.text("ab", min_size=1, max_size=60), st.text("ab", min_size=1, max_size=4), st.sampled_from([1, 2]))
def test_places_are_counted_over_blocks(text: str, part: str, width: int) -> None:
    expected = [place for place in range(len(text)) if text.startswith(part, place)]
    if expected:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("textgen.analysis.memorisation.matches._BLOCK", 5)
            first, count = count_places(ids_of(text, width=width), ids_of(part, width=width))
        assert (first, count) == (expected[0], len(expected))


def test_characters_without_an_id_of_their_own_match_nothing() -> None:
    assert encode_known(CharTokenizer("abn"), "banäna诗").tolist() == [1, 0, 2, 3, 2, 0, 3]
    assert encode_known(CharTokenizer("abn", has_unknown=True), "näb").tolist() == [2, 4, 1]
    assert encode_known(CharTokenizer("abn"), "").tolist() == []


def writer_of(training: TrainingText) -> Writer:
    writer = random_writer(training.encoded.tokenizer)
    writer.metadata = replace(writer.metadata, corpus=CorpusDescription.of(training.encoded))
    return writer


@pytest.fixture
def three(tmp_path: Path) -> TrainingText:
    """A corpus of files that end with and without a newline, one of them empty; the last of it is held out."""
    folder = write_files(
        tmp_path / "files", a=prose(1, 40).rstrip("\n"), b="", c="\ufeff" + prose(2, 40), d=prose(3, 40)
    )
    return open_text(folder, validation=0.25)


def test_planted_copies_are_found_with_file_line_and_character(three: TrainingText) -> None:
    whole = "".join(three.corpus.pieces())
    folder = Path(three.encoded.sources[0]).parent
    first = prose(1, 40).splitlines()[7]
    second = "\n".join(prose(2, 40).splitlines()[20:23])
    spans = find_spans(three, [f"éé{first}éé", f"??{second}??"], count=2)
    assert [(span.text, span.sample, span.start) for span in spans] == [(second, 1, 2), (first, 0, 2)]
    assert [(span.file, span.line) for span in spans] == [(str(folder / "c.txt"), 21), (str(folder / "a.txt"), 8)]
    for span in spans:
        assert whole[span.offset : span.offset + span.length] == span.text
        assert (span.occurrences, span.length) == (1, len(span.text))
    assert (spans[1].before, spans[1].after) == ("éé", "éé")


@pytest.mark.parametrize("normalize", ["none", "nfc"])
def test_starts_are_the_positions_of_the_sources(tmp_path: Path, normalize: Any) -> None:
    parts = {"a": "Cafe\u0301", "b": "", "c": "\r\nthe e\u0301\r", "d": "\u0301sea", "e": "\n", "f": ""}
    text = open_text(write_files(tmp_path / "files", **parts), normalize=normalize, validation=0.0)
    whole = "".join(text.corpus.pieces())
    starts = text.corpus.starts()
    shown = [
        "".join(open_corpus(file, config=text.corpus.config).pieces())
        for file in text.encoded.sources
        if Path(file).stat().st_size
    ]
    begins = [start for start, part in zip(starts, parts.values(), strict=True) if part]
    assert [whole[start : start + len(part)] for start, part in zip(begins, shown, strict=True)] == shown
    assert text.locate(whole.index("the")).file.endswith("c.txt")
    assert text.locate(whole.index("the")).line == 2


def test_a_place_in_a_text_without_line_breaks(tmp_path: Path) -> None:
    text = open_text(write_files(tmp_path / "files", a="abc" * 10), validation=0.0)
    assert text.locate(7) == (str(tmp_path / "files" / "a.txt"), 1, 7, None)


def test_held_out_text_is_not_searched(three: TrainingText) -> None:
    last = prose(3, 40).splitlines()[-1]
    assert all(span.length < len(last) for span in find_spans(three, [last], count=5))


def test_a_match_does_not_run_from_one_text_to_the_next(three: TrainingText) -> None:
    line = prose(1, 40).splitlines()[3]
    spans = find_spans(three, [line[:20], line[20:]], count=9, each=True)
    assert {span.text for span in spans} >= {line[:20], line[20:]}
    assert max(span.length for span in spans) == max(20, len(line) - 20)


def test_a_passage_copied_twice_is_listed_once_and_counted(tmp_path: Path) -> None:
    text = open_text(
        write_files(tmp_path / "files", a=prose(1, 20) + "All hands!\n" + prose(2, 20) + "All hands!\n"), validation=0.0
    )
    spans = find_spans(text, ["zAll hands!z", "zAll hands!z"], count=4)
    assert [(span.text, span.sample, span.occurrences, span.line) for span in spans] == [("All hands!", 0, 2, 21)]
    assert [span.sample for span in find_spans(text, ["zAll hands!z"] * 2, count=1, each=True)] == [0, 1]


def test_texts_with_ids_of_two_bytes(tmp_path: Path) -> None:
    letters = "".join(map(chr, range(0x4E00, 0x4E00 + 400)))
    rng = random.Random(0)
    lines = ["".join(rng.choices(letters, k=30)) for _ in range(60)]
    text = open_text(write_files(tmp_path / "files", a="\n".join([letters, *lines])), validation=0.1)
    assert text.encoded.ids.dtype == np.uint16
    (span,) = find_spans(text, [f"x{lines[5]}x"], count=1)
    assert (span.text, span.line, span.occurrences) == (lines[5], 7, 1)


def test_rare_characters_without_an_id_are_new(tmp_path: Path) -> None:
    text = open_text(
        write_files(tmp_path / "files", a="the sea " * 20 + "ä" + "the sea " * 4 + "ö"), min_count=2, validation=0.5
    )
    assert text.encoded.tokenizer.has_unknown
    assert text.sentinel not in text.encoded.ids
    assert text.held_out()[-1] == text.sentinel
    assert find_spans(text, ["ääääääääää"], count=1) == []


def slow_share(training: str, texts: list[str], n: int) -> float | None:
    grams = [text[start : start + n] for text in texts for start in range(len(text) - n + 1)]
    return sum(gram not in training for gram in grams) / len(grams) if grams else None


def test_figures_agree_with_a_slow_count(three: TrainingText) -> None:
    whole = "".join(three.corpus.pieces())
    training, held_out = whole[: three.encoded.split], whole[three.encoded.split :]
    texts = [prose(4, 10) + "Ω" + training[100:300], "short", training[-50:], ""]
    found = measure_novelty(three, texts)
    for n, share in found.sample.new.items():
        assert share == pytest.approx(slow_share(training, texts, n))
    assert found.sample.characters == sum(map(len, texts))
    assert (found.sample.passages, found.sample.longest) == (4, 200)
    assert found.held_out is not None
    assert not found.whole
    lengths = [len(segment) for segment in spread(np.arange(len(held_out)), [len(text) for text in texts])[0]]
    assert found.held_out.characters == sum(lengths) == sum(map(len, texts))
    assert found.training_characters == len(training)


def test_the_whole_held_out_text_is_the_baseline_of_a_longer_one(three: TrainingText) -> None:
    whole = "".join(three.corpus.pieces())
    training, held_out = whole[: three.encoded.split], whole[three.encoded.split :]
    found = measure_novelty(three, [prose(9, 60)])
    assert found.whole
    assert found.held_out is not None
    assert found.held_out.characters == len(held_out)
    for n, share in found.held_out.new.items():
        assert share == pytest.approx(slow_share(training, [held_out], n))


@settings(deadline=None)
@given(st.integers(0, 60), st.lists(st.integers(0, 20), min_size=1, max_size=5))
def test_segments_of_the_held_out_text_do_not_overlap(length: int, wanted: list[int]) -> None:
    segments, whole = spread(np.arange(length), wanted)
    taken = [int(place) for segment in segments for place in segment]
    assert taken == sorted(set(taken))
    assert whole == (sum(wanted) >= length)
    assert [len(segment) for segment in segments] == ([length] * (length > 0) if whole else wanted)


def test_a_text_of_the_same_kind_copies_no_more_than_held_out_text(three: TrainingText) -> None:
    found = measure_novelty(three, [prose(10, 15), prose(11, 15)])
    assert found.excess == 0
    assert "copies no more than the held-out text does" in found.verdict


def test_a_copied_text_has_excess_32_grams(three: TrainingText) -> None:
    copied = "\n".join(prose(1, 40).splitlines()[:30])
    found = measure_novelty(three, [copied])
    assert found.excess == 32
    assert found.verdict.startswith("The text copies: 100.0% of its 32-grams occur in the training text, and ")
    assert found.spans[0].text == copied
    assert found.held_out is not None
    assert found.held_out.longest < 60


def test_a_text_of_short_copies_has_excess_16_grams(three: TrainingText) -> None:
    lines = prose(1, 40).splitlines()
    pieces = "".join(f"{lines[n][5:27]}Ω" for n in range(40))
    found = measure_novelty(three, [pieces])
    assert (found.excess, "copies short passages" in found.verdict) == (16, True)


def test_too_little_text_has_no_verdict(three: TrainingText, tmp_path: Path) -> None:
    little = measure_novelty(three, [prose(5, 4)])
    assert (little.excess, little.verdict.startswith("There is too little text")) == (None, True)
    tiny = measure_novelty(three, ["sea"])
    assert tiny.sample.new == {8: None, 16: None, 32: None}
    assert tiny.verdict == "The text is too short to tell whether it copies."
    alone = measure_novelty(open_text(write_files(tmp_path / "more", a=prose(1, 40)), validation=0.0), [prose(1, 40)])
    assert (alone.held_out, alone.excess) == (None, None)
    assert alone.verdict == "There is no held-out text to compare with; 0.0% of the text's 32-grams are new."
    short_pieces = measure_novelty(three, ["the sea the gull"] * 60)
    assert short_pieces.sample.new[32] is None
    assert short_pieces.excess is not None


def test_an_empty_text_is_an_error(three: TrainingText) -> None:
    for texts in ([], [""], ["", ""]):
        with pytest.raises(CorpusError, match="nothing to judge"):
            measure_novelty(three, texts)


def test_a_run_writes_the_samples_that_its_seed_brings(three: TrainingText) -> None:
    writer = writer_of(three)
    heard: list[str] = []
    found = novelty(
        writer,
        count=3,
        max_new_tokens=150,
        temperature=0.7,
        seed=5,
        spans=2,
        progress=lambda stage, *_: heard.append(stage),
    )
    texts = [each.text for each in writer.generate_many(count=3, max_new_tokens=150, temperature=0.7, seed=5)]
    again = novelty(writer, texts, spans=2)
    assert (found.written, found.seed, found.temperature, again.written, again.seed) == (True, 5, 0.7, False, None)
    assert (found.sample, found.held_out, found.spans) == (again.sample, again.held_out, again.spans)
    assert found.sample.characters == 450
    assert set(heard) == {"reading", "sorting"}


def test_the_report_as_json(three: TrainingText) -> None:
    found = novelty(writer_of(three), prose(1, 30))
    values = json.loads(json.dumps(found.to_json()))
    assert values["sample"]["new"] == {"8": 0.0, "16": 0.0, "32": 0.0}
    assert values["held_out"]["whole"] is True or values["held_out"]["characters"] == values["sample"]["characters"]
    assert (values["excess"], values["verdict"]) == (32, found.verdict)
    span = values["spans"][0]
    assert (span["line"], span["offset"], span["occurrences"], span["sample"], span["start"]) == (1, 0, 1, 0, 0)
    assert span["length"] == len(span["text"]) > 1000
    with pytest.raises(AttributeError):
        found.run = "other"  # type: ignore[misc]


def test_settings_out_of_range_are_refused(three: TrainingText) -> None:
    for bad in ({"count": 0}, {"max_new_tokens": 0}, {"spans": -1}):
        with pytest.raises(ConfigError, match=next(iter(bad))):
            novelty(writer_of(three), **bad)


def test_a_text_given_to_a_run_is_normalised_as_its_own_was(tmp_path: Path) -> None:
    text = open_text(write_files(tmp_path / "files", a="Un café à la plage.\n" * 8), normalize="nfc", validation=0.0)
    found = novelty(writer_of(text), "Un cafe\u0301 a\u0300 la plage.")
    assert [span.text for span in found.spans] == ["Un café à la plage."]


def test_a_missing_or_changed_text_is_an_error_with_a_remedy(three: TrainingText, tmp_path: Path) -> None:
    writer, folder = writer_of(three), Path(three.encoded.sources[0]).parent
    moved = folder.rename(tmp_path / "moved")
    with pytest.raises(RunError, match=r"not there any more: .*a\.txt.*--corpus"):
        novelty(writer, "the sea and the sea")
    assert novelty(writer, "the sea and the sea", corpus=moved).sample.characters == 19
    (moved / "a.txt").write_text("another text", encoding="utf-8")
    with pytest.raises(RunError, match=r"changed since .*--corpus"):
        novelty(writer, "the sea and the sea", corpus=[moved])
    described = CorpusDescription.of(three.encoded)
    writer.metadata = replace(writer.metadata, corpus=replace(described, sources=("-",)))
    with pytest.raises(RunError, match=r"standard input, which is gone\. .*--corpus"):
        novelty(writer, "the sea")
    writer.metadata = replace(writer.metadata, corpus=CorpusDescription())
    with pytest.raises(RunError, match="does not say what text"):
        novelty(writer, "the sea")


def test_a_model_of_another_vocabulary_is_not_compared(three: TrainingText) -> None:
    with pytest.raises(RunError, match="vocabulary is not that"):
        read_training_text(CorpusDescription.of(three.encoded), None, CharTokenizer("abc"))


def test_without_the_library_it_says_what_to_install(three: TrainingText, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydivsufsort", None)
    for call in (lambda: novelty(writer_of(three), "the sea"), lambda: find_spans(three, ["the sea"], count=1)):
        with pytest.raises(TextgenError, match=r"pip install 'textgen-chars\[novelty\]'"):
            call()
    with pytest.raises(TextgenError):
        suffixes.check_installed()


def test_it_is_exported_without_tensorflow_and_the_library_is_imported_late() -> None:
    program = "import sys, textgen; textgen.novelty; print({'tensorflow', 'keras', 'pydivsufsort'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert textgen.novelty is novelty


def test_matching_statistics_of_a_real_text(bundled_corpus: Path) -> None:
    text = np.frombuffer((bundled_corpus / "marrow_haven.txt").read_bytes(), np.uint8)
    training, query = text[:60_000], np.concatenate([text[60_000:61_000], text[30_000:30_300]])
    found = find_matches(training, query, chunk=10_000)
    again = find_matches(training, query)
    assert isinstance(found, Matches)
    assert found.lengths.tolist() == again.lengths.tolist()
    data = training.tobytes()
    for start in range(0, len(query), 37):
        length = int(found.lengths[start])
        assert query[start : start + length].tobytes() in data
        assert start + length == len(query) or query[start : start + length + 1].tobytes() not in data
