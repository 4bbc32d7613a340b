"""Records that are written: each ends where the model ends it; no two alike, or only new ones, where that is asked."""

import re
from pathlib import Path

import numpy as np
import pytest
from small_models import Scripted, random_writer
from tiny_runs import TINY

import textgen
from textgen.config import CorpusConfig, SamplingConfig
from textgen.corpus.known_records import hash_record
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import CheckpointError, ConfigError, RunError
from textgen.model.read import RECORDS, read_record_hashes
from textgen.sampling import records
from textgen.sampling.sampler import Stream, write_samples
from textgen.sampling.writer import Writer

RECORDS_ABC = CharTokenizer("abc", has_end=True)
END = "\n"
"""How a script names the end, since it decodes to a newline."""


class Records(Scripted):
    """A script over records, in which a newline stands for their end."""

    def _logits(self, text: str) -> np.ndarray:
        logits = np.full(self.tokenizer.vocab_size, -1e4, np.float32)
        ending = next(ending for ending in self.odds if text.endswith(ending))
        for character, odds in self.odds[ending].items():
            place = self.tokenizer.end_id if character == END else self.tokenizer.characters.index(character)
            logits[place] = np.log(odds)
        return logits


ODDS = {"\n": {"a": 1.0, END: 5.0}, "a": {"b": 1.0, "c": 1.0}, "b": {END: 1.0}, "c": {"a": 1.0, END: 3.0}}


def engine(odds: dict[str, dict[str, float]] = ODDS) -> Records:
    return Records(odds, tokenizer=RECORDS_ABC)


def test_a_record_ends_where_its_end_is_drawn_which_is_never_shown() -> None:
    samples = write_samples(engine(), RECORDS_ABC, "", SamplingConfig(temperature=1.0, seed=1), count=200)
    for sample in samples:
        assert re.fullmatch(r"(ac)*(ab|ac)", sample.text)
        assert sample.finish_reason == "record"
    assert len({sample.text for sample in samples}) > 4
    # Drawn first, the end has most of the probability; but no record is empty.
    assert sum(sample.text == "ab" for sample in samples) == pytest.approx(100, abs=30)


def test_a_prompt_may_be_a_whole_record_and_the_length_ends_one() -> None:
    config = SamplingConfig(temperature=1.0, seed=3)
    assert {s.text for s in write_samples(engine(), RECORDS_ABC, "ab", config, count=9)} == {""}
    short = write_samples(engine(), RECORDS_ABC, "", config.replace(max_new_tokens=1), count=9)
    assert {(s.text, s.finish_reason) for s in short} == {("a", "length")}


def test_what_a_stop_text_held_back_is_shown_at_the_end_of_a_record() -> None:
    odds = {"\n": {"a": 1.0}, "a": {"b": 1.0}, "b": {END: 1.0}}
    stream = Stream(engine(odds), RECORDS_ABC, "", SamplingConfig(stop=("bb",), seed=1))
    assert "".join(stream) == "ab"
    assert stream.sample.finish_reason == "record"
    trimmed = Stream(engine(odds), RECORDS_ABC, "", SamplingConfig(trim="sentence", seed=1))
    assert "".join(trimmed) == "ab"


def test_log_probabilities_name_the_end_as_an_empty_text() -> None:
    (sample,) = write_samples(engine(), RECORDS_ABC, "", SamplingConfig(temperature=0.0, seed=1), logprobs=2)
    assert sample.text == "ab"
    assert sample.logprobs is not None
    assert len(sample.logprobs) == 2
    assert [character for character, _ in sample.logprobs[0].top] == ["", "a"]
    assert sample.logprobs[0].character == "a"


@pytest.fixture(scope="module")
def writer() -> Writer:
    return random_writer(RECORDS_ABC, seed=3)


def test_records_are_the_first_of_their_seed_and_of_those_the_wanted_ones(writer: Writer) -> None:
    controls = {"temperature": 1.0, "seed": 5, "max_new_tokens": 6}
    many = [sample.text for sample in writer.generate_many(count=300, **controls)]
    assert [sample.text for sample in writer.generate_records(40, **controls)] == many[:40]
    unique = [sample.text for sample in writer.generate_records(40, unique=True, **controls)]
    assert unique == list(dict.fromkeys(many))[:40]
    assert len(set(many[:40])) < 40


def test_of_too_few_different_records_all_are_written(writer: Writer) -> None:
    same = writer.generate_records(5, unique=True, temperature=0.0, seed=1)
    assert len(same) == 1
    draws = records.draw_records(writer, SamplingConfig(max_new_tokens=1, seed=1), 9, unique=True)
    draws.run()
    assert sorted(sample.text for sample in draws.samples) == ["a", "b", "c"]
    assert not draws.finished
    assert draws.tried >= 1000


def test_an_interruption_leaves_the_whole_records(writer: Writer) -> None:
    draws = records.draw_records(writer, SamplingConfig(temperature=1.0, seed=2), 70, unique=True)
    steps = 0

    def step(ids: object, state: object, own: object = writer.engine.step) -> object:
        nonlocal steps
        steps += 1
        if steps == 8:
            raise KeyboardInterrupt
        return own(ids, state)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer.engine, "step", step)
        with pytest.raises(KeyboardInterrupt):
            draws.run()
    assert draws.samples
    assert {sample.finish_reason for sample in draws.samples} == {"record"}


def test_running_text_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^generate_records needs a run on records, and 'model' was trained on runn"):
        random_writer().generate_records(3)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Writer:
    folder = tmp_path_factory.mktemp("run")
    words = sorted({a + b + c for a in "abcd" for b in "ab" for c in ("", "a", "d")})
    (folder / "words.txt").write_text("\n".join(words * 3) + "\n")
    textgen.train(
        folder / "words.txt", name="words", checkpoints=folder, corpus=CorpusConfig(records="lines"),
        **{**TINY, "epochs": 20.0, "dropout": 0.0, "learning_rate": 0.02},
    )  # fmt: skip
    return textgen.load(folder / "words")


def words_of(run: Writer) -> set[str]:
    assert run.path is not None
    return set((run.path.parent.parent / "words.txt").read_text().split())


def test_new_records_are_in_no_line_of_the_text(run: Writer) -> None:
    known = words_of(run)
    assert any(sample.text in known for sample in run.generate_records(60, seed=1))
    new = run.generate_records(60, new=True, unique=True, seed=1, temperature=1.5)
    assert len(new) == len({sample.text for sample in new}) == 60
    assert not known & {sample.text for sample in new}
    # The prompt belongs to the record.
    begun = run.generate_records(30, new=True, prompt="a", seed=1)
    assert not known & {"a" + sample.text for sample in begun}
    mixed = Writer.mix([run, run])
    assert not known & {sample.text for sample in mixed.generate_records(30, new=True, seed=2)}


def test_the_hashes_are_in_the_checkpoints_or_computed_from_the_text(
    run: Writer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert run.path is not None
    stored = read_record_hashes(run.path)
    assert stored is not None
    assert stored.tolist() == sorted(hash_record(word) for word in words_of(run))
    assert read_record_hashes(run.path.with_name("last.keras")) is not None
    monkeypatch.setattr("textgen.model.read.RECORDS", "none.npz")
    assert read_record_hashes(run.path) is None
    (computed,) = records.known_hashes(run)
    np.testing.assert_array_equal(computed, stored)
    alone = Writer(config=run.config, weights=run.weights, tokenizer=run.tokenizer)
    with pytest.raises(RunError, match="leave --new out"):
        alone.generate_records(1, new=True)


def test_hashes_that_are_not_as_written_are_refused(run: Writer, tmp_path: Path) -> None:
    from small_checkpoints import forge

    from textgen.model.archive import npz

    assert run.path is not None
    for array in (np.array([3, 1], np.uint64), np.array([1.0]), np.array([[1]], np.uint64)):
        forged = forge(run.path, tmp_path / "forged.keras", members={RECORDS: npz({"hashes": array})})
        with pytest.raises(CheckpointError, match=r"records\.npz in it is not as textgen writes it"):
            read_record_hashes(forged)


def test_constraints_hold_for_whole_records(writer: Writer) -> None:
    controls = {"temperature": 1.0, "seed": 5, "max_new_tokens": 30}
    for sample in writer.generate_records(60, match="[ab]{2,5}c", **controls):
        assert re.fullmatch("[ab]{2,5}c", sample.text)
    new = writer.generate_records(20, unique=True, starts_with="ab", min_length=3, max_length=8, **controls)
    assert len({sample.text for sample in new}) == 20
    assert all(sample.text.startswith("ab") and 3 <= len(sample.text) <= 8 for sample in new)
