"""Pairs of a source and a target: how they are read, made, split and laid into batches."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgen.config import CorpusConfig
from textgen.corpus import encode_corpus, open_corpus
from textgen.corpus.pair_batches import HeldOutPairs, PairBatches
from textgen.corpus.pair_reading import read_pairs
from textgen.corpus.pair_tasks import cut_sentences, damage
from textgen.corpus.pairs import LONGEST, EncodedPairs
from textgen.errors import ConfigError, CorpusError

PAIRS = CorpusConfig(pairs=True)
FIELDS = CorpusConfig(source_field="old", target_field="new")


def encoded(path: Path, text: str, config: CorpusConfig = PAIRS, *, seed: int = 0) -> EncodedPairs:
    path.write_text(text, encoding="utf-8")
    found = encode_corpus(open_corpus(path, config=config), seed=seed)
    assert isinstance(found, EncodedPairs)
    return found


@pytest.mark.parametrize(
    ("name", "text", "config"),
    [
        ("a.tsv", "haue\thave\nvp, on\tup\n", PAIRS),
        ("a.csv", 'haue,have\n"vp, on",up\n', PAIRS),
        ("a.csv", "haue;have\nvp, on;up\n", PAIRS),
        ("a.tsv", "Source\tTarget\nhaue\thave\nvp, on\tup\n", PAIRS),
        ("a.jsonl", '{"source": "haue", "target": "have"}\n{"source": "vp, on", "target": "up"}\n', PAIRS),
        ("a.jsonl", '{"target": "have", "id": 1, "source": "haue"}\n{"source": "vp, on", "target": "up"}\n', PAIRS),
        ("a.tsv", "Target\tSource\nhave\thaue\nup\tvp, on\n", PAIRS),
        ("a.csv", 'id,source,target\n1,haue,have\n2,"vp, on",up\n', PAIRS),
        ("a.csv", 'id,new,old\n1,have,haue\n2,up,"vp, on"\n', FIELDS),
        ("a.jsonl", '{"new": "have", "old": "haue"}\n\n{"old": "vp, on", "new": "up", "id": 3}\n', FIELDS),
    ],
)
def test_pairs_are_read_from_tables_of_every_kind(tmp_path: Path, name: str, text: str, config: CorpusConfig) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    read = [
        pair for block in read_pairs(open_corpus(tmp_path / name, config=config)) for pair in zip(*block, strict=True)
    ]
    assert read == [("haue", "have"), ("vp, on", "up")]


@pytest.mark.parametrize(
    ("name", "text", "config", "message"),
    [
        (
            "a.tsv",
            "one\ttwo\tthree\n",
            PAIRS,
            "has the fields 'one', 'two' and 'three', not two columns, or 'source' and 'target'. Call the two",
        ),
        ("a.tsv", "one\n", PAIRS, "has the field 'one', not"),
        ("a.jsonl", '{"old": "haue", "new": "have"}\n', PAIRS, "has the fields 'old' and 'new', not"),
        ("a.tsv", "one\ttwo\none\n", PAIRS, "Row 2 of .* has 1 field, but there must be 2"),
        (
            "a.csv",
            "old,now\na,b\n",
            FIELDS,
            "no field 'new'; it has 'old' and 'now'. Name one of them with --target-field",
        ),
        ("a.csv", "olden,new\na,b\n", FIELDS, "Name one of them with --source-field"),
        ("a.jsonl", '{"old": "a"}\n', FIELDS, "has no field 'new'.* name another one with --target-field"),
        ("a.jsonl", '{"source": 1, "target": "one"}\n', PAIRS, "name another field with --source-field"),
        ("a.jsonl", '["one", "1"]\n', PAIRS, "Line 1 of .* is no JSON object"),
        (
            "a.txt",
            "The sea.\n",
            CorpusConfig(task="diacritics"),
            r"task diacritics changes nothing in .*a\.txt: each source is",
        ),
        ("a.txt", "haue have\n", PAIRS, "is not named as a table"),
        ("a.tsv", "a\tb\n", CorpusConfig(task="case"), "is a table, but --task makes pairs from a plain text"),
        ("a.tsv", "a\t\n", PAIRS, "has no pair with a target"),
        ("a.tsv", f"a\t{'b' * (LONGEST + 1)}\n", PAIRS, "are longer than 500 characters"),
        ("a.tsv", "the sea\tsea\n" * 3, CorpusConfig(pairs=True, validation=0.5), "fall to validation"),
    ],
)
def test_what_cannot_be_read_as_pairs_is_named(
    tmp_path: Path, name: str, text: str, config: CorpusConfig, message: str
) -> None:
    with pytest.raises(CorpusError, match=message):
        encoded(tmp_path / name, text, config)


def test_a_folder_without_texts_is_told_what_it_has(tmp_path: Path) -> None:
    for name in ("a.tsv", "b.tsv", "c.log"):
        (tmp_path / name).write_text("a\tb\n")
    with pytest.raises(CorpusError, match=r"for instance --glob '\*\.tsv'"):
        open_corpus(tmp_path, config=PAIRS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source_field": "a"}, "source_field must be given with target_field"),
        ({"task": "case", "pairs": True}, "task must be given without pairs"),
        ({"pairs": True, "records": "lines"}, "records must be given without pairs"),
        ({"task": "case", "text_field": "text"}, "text_field must be given without task"),
        ({"task": "case", "noise_rate": 0.0}, "noise_rate must be in"),
        (
            {"task": "case", "noise_rate": 0.3},
            "noise_rate must be given with task noise; got 0.3. Nothing else is damaged.",
        ),
        ({"pairs": True, "noise_rate": 0.3}, "noise_rate must be given with task noise"),
        ({"noise_rate": 0.3}, "noise_rate must be given with task noise"),
        ({"source_field": "a", "target_field": "a"}, "target_field must be another one than source_field; got 'a'"),
        ({"pairs": True, "unwrap": True}, "unwrap must be given without pairs"),
        ({"source_field": "a", "target_field": "b", "strip": "gutenberg"}, "strip must be given without pairs"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CorpusConfig(**settings)


def test_a_rate_of_noise_that_was_ignored_once_is_read_as_none() -> None:
    written = {**CorpusConfig(task="case").to_json(), "noise_rate": 0.3}
    assert CorpusConfig.from_json(written) == CorpusConfig(task="case")
    assert CorpusConfig.from_json({**written, "task": "noise"}).noise_rate == 0.3


def test_no_source_trains_and_validates_and_several_targets_stay_together(tmp_path: Path) -> None:
    rows = [f"word {n % 60}\tword {n}\n" for n in range(180)]
    found = encoded(tmp_path / "a.tsv", "".join(rows), CorpusConfig(pairs=True, validation=0.3))
    pairs, training = [found.pair(n) for n in range(180)], found.pairs.training
    assert sorted(pairs) == sorted(tuple(row.rstrip("\n").split("\t")) for row in rows)
    sides = [{source for source, _ in part} for part in (pairs[:training], pairs[training:])]
    assert not sides[0] & sides[1]
    assert 6 <= len(sides[1]) <= 30
    again = encoded(tmp_path / "a.tsv", "".join(rows), CorpusConfig(pairs=True, validation=0.3), seed=1)
    assert [again.pair(n) for n in range(180)] != pairs


def test_duplicates_and_pairs_left_out_are_counted(tmp_path: Path) -> None:
    text = "a\tb\na\tb\na\tc\nlost\t\n" + f"{'x' * 501}\tb\n" + "\td\n"
    found = encoded(tmp_path / "a.tsv", text, CorpusConfig(pairs=True, validation=0.0))
    assert (len(found.pairs), found.pairs.duplicates, found.pairs.dropped, found.too_long) == (4, 1, 1, 1)
    assert found.pair(3) == ("", "d")


def test_sides_with_the_same_characters_share_a_vocabulary(tmp_path: Path) -> None:
    shared = encoded(tmp_path / "a.tsv", "haue\thave\n", CorpusConfig(pairs=True, validation=0.0))
    assert shared.source_tokenizer == shared.tokenizer
    assert shared.vocabulary == "5 characters, of both sides"
    apart = encoded(tmp_path / "b.tsv", "one\t1\n", CorpusConfig(pairs=True, validation=0.0))
    assert (apart.source_tokenizer.characters, apart.tokenizer.characters) == ("eno", "1")
    assert apart.vocabulary == "3 characters of the sources, 1 of the targets"
    assert encoded(tmp_path / "c.tsv", "o\t1\n", CorpusConfig(pairs=True, validation=0.0)).vocabulary.startswith(
        "1 character of the sources, "
    )


def test_a_task_makes_pairs_of_sentences(tmp_path: Path) -> None:
    text = "Él salió. ¿Adónde?\n\nMañana no\n"
    found = encoded(tmp_path / "a.txt", text, CorpusConfig(task="diacritics", validation=0.0))
    assert [found.pair(n) for n in range(3)] == [
        ("El salio.", "Él salió."),
        ("¿Adonde?", "¿Adónde?"),
        ("Manana no", "Mañana no"),
    ]


@given(st.text(max_size=80), st.integers(1, 20))
def test_sentences_joined_are_the_text(text: str, longest: int) -> None:
    pieces = cut_sentences(text, longest=longest)
    assert "".join(pieces) == text
    assert all(0 < len(piece) <= longest for piece in pieces)


def test_noise_damages_the_share_that_is_asked_for_and_the_same_each_time() -> None:
    text = "".join(chr(0x4E00 + n) for n in range(4000))
    noisy = damage(text, "noise", rate=0.2, seed=3)
    assert noisy == damage(text, "noise", rate=0.2, seed=3)
    assert noisy != damage(text, "noise", rate=0.2, seed=4)
    # A quarter of the damaged characters each: dropped, doubled, swapped, replaced.
    lacking = sum(each not in noisy for each in text) / 4000
    doubled = sum(one == other for one, other in pairwise(noisy)) / 4000
    swapped = sum(ord(one) - 1 == ord(other) for one, other in pairwise(noisy)) / 4000
    assert lacking == pytest.approx(0.1, abs=0.015)
    assert doubled == pytest.approx(0.05, abs=0.01)
    assert swapped == pytest.approx(0.05, abs=0.01)


def some_pairs(count: int = 50) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    drawn, sides = np.random.default_rng(2), []
    for _ in range(2):
        lengths = drawn.integers(1, 12, count)
        starts = np.concatenate([[0], np.cumsum(lengths + 1)])
        ids = drawn.integers(0, 9, starts[-1])
        ids[starts[1:] - 1] = 9
        sides += [ids, starts]
    return sides[0], sides[1], sides[2], sides[3]


def test_a_batch_of_pairs_depends_on_its_step_alone_and_a_pass_has_every_pair() -> None:
    sides = some_pairs()
    batches = PairBatches(*sides, batch_size=8, seed=5)
    assert batches.batches_per_epoch == 7
    seen = [batches.batch(step) for step in range(14)]
    fresh = PairBatches(*sides, batch_size=8, seed=5).batch(9)
    assert all(np.array_equal(one, other) for one, other in zip(seen[9], fresh, strict=True))
    expected = {tuple(sides[2][start:stop]) for start, stop in zip(sides[3], sides[3][1:], strict=False)}
    for number in range(2):
        found = set()
        for batch in seen[7 * number : 7 * number + 7]:
            rows = zip(batch.targets, batch.weights, strict=True)
            found |= {tuple(targets[weights > 0]) for targets, weights in rows}
        assert found == expected
    orders = [[tuple(batch.lengths) for batch in seen[start : start + 7]] for start in (0, 7)]
    assert orders[0] != orders[1]


def test_batches_hold_sources_of_like_lengths_with_padding_at_their_ends() -> None:
    batches = PairBatches(*some_pairs(400), batch_size=8, seed=5)
    for step in range(batches.batches_per_epoch):
        batch = batches.batch(step)
        assert np.ptp(batch.lengths) <= 4
        assert np.array_equal(batch.sources > 0, np.arange(batch.sources.shape[1]) < batch.lengths[:, None])
        assert np.array_equal(batch.inputs[:, 1:] * batch.weights[:, 1:], batch.targets[:, :-1] * batch.weights[:, 1:])
        assert (batch.inputs[:, 0] == 9).all()


@pytest.mark.parametrize("most", [None, 60])
def test_held_out_pairs_are_scored_once_each(most: int | None) -> None:
    sides = some_pairs()
    held_out = HeldOutPairs(*sides, batch_size=8, most=most)
    batches = list(held_out)
    assert len(batches) == len(held_out)
    assert sum(batch.weights.sum() for batch in batches) == held_out.targets
    assert sum((batch.weights.sum(1) > 0).sum() for batch in batches) == held_out.records
    assert held_out.records == 50 if most is None else held_out.records < 15
