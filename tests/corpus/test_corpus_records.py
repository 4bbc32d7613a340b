"""Corpora of records: how they are encoded, split, fingerprinted and cached, against a slow reading of each record."""

import json
import random
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgen.config import CorpusConfig
from textgen.corpus import EncodedCorpus, encode_corpus, open_corpus, open_texts
from textgen.corpus.records import Records, is_held_out, record_hashes
from textgen.errors import ConfigError, CorpusError
from textgen.model.description import CorpusDescription

WORDS = ["sea", "séa", "Nan", "the sea, the sea", "诗", "\U0001f30a wave", 'a "b"', "x", "ﬁn", "cafe\u0301", "tab\tbed"]
LABELS = ["poe", "keats", "sea", ""]


def rows(count: int = 400, seed: int = 1) -> list[tuple[str, tuple[str, ...]]]:
    """Texts, some of them twice, some of several lines, with none to two labels."""
    draw = random.Random(seed)
    return [
        (
            draw.choice((" ", "\n")).join(draw.choices(WORDS, k=draw.randint(1, 6))),
            tuple(sorted({draw.choice(LABELS), draw.choice(LABELS)} - {""})),
        )
        for _ in range(count)
    ]


def write_jsonl(path: Path, found: list[tuple[str, tuple[str, ...]]]) -> Path:
    path.write_text("".join(json.dumps({"by": list(by), "text": text}) + "\n" for text, by in found), encoding="utf-8")
    return path


TABLE = CorpusConfig(text_field="text", label_field="by", validation=0.3)


def encode(path: Path, config: CorpusConfig = TABLE, *, seed: int = 3, **options: Any) -> EncodedCorpus:
    return encode_corpus(open_corpus(path, config=config), seed=seed, **options)


def records_of(encoded: EncodedCorpus) -> Records:
    assert encoded.records is not None
    return encoded.records


def read_back(encoded: EncodedCorpus) -> tuple[list[tuple[str, tuple[str, ...]]], int]:
    """The texts and labels of the records, one at a time, and how many of them train."""
    records, end = records_of(encoded), encoded.tokenizer.end_id
    found = []
    for number, (start, stop) in enumerate(zip(records.starts[:-1], records.starts[1:], strict=True)):
        assert encoded.ids[stop - 1] == end
        assert not (encoded.ids[start : stop - 1] == end).any()
        members = records.label_sets[records.label_of[number]]
        text = encoded.tokenizer.decode(encoded.ids[start : stop - 1])
        found.append((text, tuple(records.labels[member] for member in members)))
    return found, records.training


def test_records_are_encoded_with_their_ends_and_labels_those_that_train_first(tmp_path: Path) -> None:
    given = rows()
    encoded = encode(write_jsonl(tmp_path / "a.jsonl", given))
    found, training = read_back(encoded)
    held = is_held_out(record_hashes([text.encode() for text, _ in given], seed=3), validation=0.3).tolist()
    expected = [row for row, out in zip(given, held, strict=True) if not out]
    assert training == len(expected)
    assert found == expected + [row for row, out in zip(given, held, strict=True) if out]
    records = records_of(encoded)
    assert records.labels == ("keats", "poe", "sea")
    assert records.label_sets[0] == ()
    assert sorted(records.label_sets) == list(records.label_sets)
    assert {label: sum(label in by for _, by in given) for label in records.labels} == records.label_counts()
    assert records.duplicates == len(given) - len({text for text, _ in given})
    assert (encoded.training.tolist(), encoded.held_out.tolist()) == (
        encoded.ids[: records.starts[training]].tolist(),
        encoded.ids[records.starts[training] :].tolist(),
    )
    assert encoded.bytes == sum(len(text.encode()) + 1 for text, _ in given)
    assert records.lengths.tolist() == [len(text) for text, _ in found]


@pytest.mark.parametrize("options", [{}, {"in_memory": 0}, {"in_memory": 0, "cache": "cache"}], ids=str)
@pytest.mark.parametrize("min_count", [1, 200])
def test_files_and_the_cache_hold_what_memory_does(tmp_path: Path, options: dict[str, Any], min_count: int) -> None:
    path, config = write_jsonl(tmp_path / "a.jsonl", rows()), TABLE.replace(min_count=min_count)
    if "cache" in options:
        options = options | {"cache": tmp_path / "cache"}
    expected = encode(path, config)
    for _ in range(2):
        encoded = encode(path, config, **options)
        assert encoded.tokenizer == expected.tokenizer
        assert encoded.tokenizer.has_unknown == (min_count > 1)
        assert encoded.sha256 == expected.sha256
        assert read_back(encoded) == read_back(expected)
        assert CorpusDescription.of(encoded) == CorpusDescription.of(expected)
        assert records_of(encoded).dropped == records_of(expected).dropped


def test_the_cache_is_read_again_only_for_the_same_settings(tmp_path: Path) -> None:
    path, cache = write_jsonl(tmp_path / "a.jsonl", rows()), tmp_path / "cache"
    encode(path, in_memory=0, cache=cache)
    assert len(list(cache.iterdir())) == 1
    encode(path, in_memory=0, cache=cache)
    assert len(list(cache.iterdir())) == 1
    changes = [{"seed": 4}, {"config": TABLE.replace(validation=0.2)}, {"config": TABLE.replace(label_field=None)}]
    for number, change in enumerate(changes, 2):
        other = encode(path, in_memory=0, cache=cache, **change)
        assert len(list(cache.iterdir())) == number
        assert read_back(other) == read_back(encode(path, **change))


def test_equal_records_stand_on_one_side_and_new_ones_move_no_others(tmp_path: Path) -> None:
    given = rows(2000)

    def sides(found: list[tuple[str, tuple[str, ...]]], seed: int = 3) -> tuple[set[str], set[str]]:
        encoded = encode(write_jsonl(tmp_path / "a.jsonl", found), seed=seed)
        texts, training = read_back(encoded)
        return {text for text, _ in texts[:training]}, {text for text, _ in texts[training:]}

    trained, held = sides(given)
    assert not trained & held
    fewer = sides(given[::-1][:700])
    assert fewer[0] <= trained
    assert fewer[1] <= held
    # Other labels change nothing, another seed does.
    assert sides([(text, ()) for text, _ in given]) == (trained, held)
    assert sides(given, seed=4) != (trained, held)


@pytest.mark.parametrize("validation", [0.0, 0.1, 0.5])
def test_the_share_of_different_records_that_is_held_out_is_that_asked_for(validation: float) -> None:
    texts = [f"record {number}".encode() for number in range(20_000)]
    shares = [is_held_out(record_hashes(texts, seed=seed), validation=validation).mean() for seed in (0, 1, 2**63)]
    # Four standard deviations.
    assert shares == pytest.approx([validation] * 3, abs=4 * (validation * (1 - validation) / 20_000) ** 0.5)
    if validation:
        both = [is_held_out(record_hashes(texts, seed=seed), validation=validation) for seed in (0, 1)]
        assert (both[0] & both[1]).mean() == pytest.approx(validation**2, abs=0.01)


def test_the_fingerprint_covers_where_records_end_and_their_labels(tmp_path: Path) -> None:
    kinds: list[list[tuple[str, tuple[str, ...]]]] = [
        [("ab", ()), ("c", ())],
        [("a", ()), ("bc", ())],
        [("ab", ("poe",)), ("c", ())],
        [("ab", ()), ("c", ("poe",))],
        [("ab", ("keats",)), ("c", ())],
        [("c", ()), ("ab", ())],
    ]
    config = TABLE.replace(validation=0.0)
    found = [encode(write_jsonl(tmp_path / "a.jsonl", kind), config).sha256 for kind in kinds]
    assert len(set(found)) == len(kinds)
    assert encode(tmp_path / "a.jsonl", config, seed=9).sha256 == found[-1]


@pytest.mark.parametrize("kind", ["lines", "paragraphs", "files"])
def test_lines_paragraphs_and_files_are_records(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf The sea \r\nthe sea\r\n\r\n \r\nNan\r\n\r\n")
    (tmp_path / "b.txt").write_bytes(b"Jem")
    (tmp_path / "c.txt").write_bytes(b"\n \n")
    config = CorpusConfig(records=kind, validation=0.0)  # type: ignore[arg-type]
    encoded = encode(tmp_path, config)
    assert [text for text, _ in read_back(encoded)[0]] == {
        "lines": [" The sea ", "the sea", "Nan", "Jem"],
        "paragraphs": [" The sea \nthe sea", "Nan", "Jem"],
        "files": [" The sea \nthe sea\n\n \nNan", "Jem"],
    }[kind]
    assert records_of(encoded).dropped == (kind == "files")


@given(
    texts=st.lists(st.text("ab \n\r\t\x0b\u2028", max_size=12), min_size=1, max_size=6),
    size=st.integers(1, 5),
)
def test_pieces_are_cut_into_lines_and_paragraphs_wherever_they_end(texts: list[str], size: int) -> None:
    from textgen.corpus.lists import lines, paragraphs

    text = "".join(texts)
    plain = text.replace("\r\n", "\n").replace("\r", "\n")

    def cut(whole: str) -> list[str]:
        return [whole[start : start + size] for start in range(0, len(whole), size)]

    found = [line for block in lines(cut(plain)) for line in block]
    assert [line for line in found if line] == [line for line in plain.split("\n") if line]
    expected, open_paragraph = [], list[str]()
    for line in [*plain.split("\n"), ""]:
        if line.strip():
            open_paragraph.append(line)
        elif open_paragraph:
            expected.append("\n".join(open_paragraph))
            open_paragraph = []
    got = [each for block in paragraphs(cut(plain)) for each in block if each.strip()]
    assert got == expected
    kept = [each for block in paragraphs(cut(text)) for each in block if each.strip()]
    assert [each.replace("\r\n", "\n").replace("\r", "\n") for each in kept] == got


@pytest.mark.parametrize("form", ["nfc", "nfkc"])
def test_each_record_is_normalised_as_if_it_stood_alone(tmp_path: Path, form: Any) -> None:
    texts = ["e", "\u0301a", "ﬁn\r\nal", "cafe\u0301", "".join(map(chr, range(32)))]
    path = write_jsonl(tmp_path / "a.jsonl", [(text, ("e\u0301",)) for text in texts])
    encoded = encode(path, TABLE.replace(normalize=form, validation=0.0))
    expected = [unicodedata.normalize(form.upper(), text.replace("\r\n", "\n").replace("\r", "\n")) for text in texts]
    assert [text for text, _ in read_back(encoded)[0]] == expected
    assert records_of(encoded).labels == ("é",)
    kept = encode(path, TABLE.replace(keep_newlines=True, validation=0.0))
    assert [text for text, _ in read_back(kept)[0]] == texts


def test_strings_are_records_with_their_labels() -> None:
    texts = [("The sea\n", "nan"), "Jem", ("the\nsea", ["jem", "nan"]), "", ("\ufeffx", ())]
    config = CorpusConfig(records="files", validation=0.0)
    encoded = encode_corpus(open_texts(texts, config=config))
    assert read_back(encoded)[0] == [("The sea", ("nan",)), ("Jem", ()), ("the\nsea", ("jem", "nan")), ("x", ())]
    lines = encode_corpus(open_texts(["a\nb", "c"], config=config.replace(records="lines")))
    assert [text for text, _ in read_back(lines)[0]] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("texts", "kind", "words"),
    [
        ([("a", "b")], "lines", r'texts\[0\] must be a string; got \'tuple\'. Pass records="files"'),
        (["a", ("b", 3)], "files", r"texts\[1\] must be a string, or a pair of one and its label"),
        ([("a", "b", "c")], "files", r"texts\[0\] must be a string, or a pair"),
        ([3], "files", r"texts\[0\] must be a string, or a pair"),
    ],
)
def test_what_is_no_string_nor_a_pair_is_refused(texts: list[Any], kind: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        open_texts(texts, config=CorpusConfig(records=kind))


def test_halves_of_surrogate_pairs_among_strings_are_refused() -> None:
    for texts in (["a", "\ud800"], ["a", ("b", "\udfff")]):
        with pytest.raises(CorpusError, match=r"texts\[1\] holds half of a surrogate pair"):
            open_texts(texts, config=CorpusConfig(records="files"))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"text_field": "a", "records": "lines"}, "text_field must be given without records; got 'lines'"),
        ({"label_field": "a"}, "label_field must be given with text_field; got 'a'"),
        ({"text_field": ""}, "text_field must be a field's name"),
        ({"records": "words"}, "records must be one of none, lines, paragraphs, files, tunes; got 'words'"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        CorpusConfig(**config)


def test_the_settings_of_running_text_are_stored_as_before() -> None:
    assert not {"records", "text_field", "label_field"} & set(CorpusConfig().to_json())
    for config in (CorpusConfig(records="none"), CorpusConfig(records="lines"), TABLE):
        assert CorpusConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    assert [CorpusConfig(records=kind).by_record for kind in (None, "none", "lines")] == [False, False, True]


def test_a_description_of_records_is_read_as_it_was_written(tmp_path: Path) -> None:
    described = CorpusDescription.of(encode(write_jsonl(tmp_path / "a.jsonl", rows())))
    assert described.seed == 3
    assert described.records is not None
    assert described.records.labels == ("keats", "poe", "sea")
    assert CorpusDescription.from_json(json.loads(json.dumps(described.to_json()))) == described
    assert "records" not in CorpusDescription(name="a").to_json()
    for bad in (7, {"labels": 7}, {"labels": ["a", "a"]}, {"labels": [1]}):
        with pytest.raises(ValueError, match="corpus"):
            CorpusDescription.from_json({"records": bad})


def test_a_corpus_without_a_record_and_one_whose_records_all_validate_are_refused(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [("", ()), (" \n", ())])
    with pytest.raises(CorpusError, match="has no record that is not empty"):
        encode(path)
    texts = (f"text {number}" for number in range(100))
    held = next(text for text in texts if is_held_out(record_hashes([text.encode()], seed=3), validation=0.3)[0])
    with pytest.raises(CorpusError, match=r"All records .* fall to validation.*--validation 0"):
        encode(write_jsonl(path, [(held, ())]))


def test_a_corpus_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from textgen.corpus.reading import Corpus

    path = write_jsonl(tmp_path / "a.jsonl", rows())
    read = Corpus.read

    def and_then_change(self: Corpus, on_read: Any) -> None:
        read(self, on_read)
        path.write_text(path.read_text().replace("sea", "see"))

    monkeypatch.setattr(Corpus, "read", and_then_change)
    with pytest.raises(CorpusError, match="changed while it was read"):
        encode(path, in_memory=0, cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*"))


def test_the_bundled_table_has_six_hundred_different_texts_of_six_kinds(bundled_corpus: Path) -> None:
    config = CorpusConfig(text_field="text", label_field="kind")
    records = records_of(encode(bundled_corpus / "short_texts.csv", config))
    assert (len(records), records.duplicates, records.dropped) == (600, 0, 0)
    kinds = ("diary", "headline", "proverb", "recipe", "riddle", "weather")
    assert records.label_counts() == dict.fromkeys(kinds, 100)
    assert np.abs(records.training - 540) < 30
