"""What a run learns of characters that only its held-out text has."""

from pathlib import Path

import numpy as np
import pytest
from tiny_runs import TINY, everything

import textgen
from textgen.config import CorpusConfig, TrainingConfig
from textgen.corpus import encode_corpus, open_corpus
from textgen.corpus.record_batches import RecordStreams
from textgen.corpus.unseen import RarePermuted
from textgen.engine import Engine
from textgen.engine.scoring import score_ids
from textgen.errors import ConfigError
from textgen.model.read import read_checkpoint
from textgen.runs.run import Run
from textgen.training.data import count_ids, permuted
from textgen.training.pair_recipe import recommend_pairs
from textgen.training.recipe import recommend

FLAT = {"decay_fraction": 0.0, "halved_fraction": 0.0, "warmup_steps": 0, "logit_scale": 1.0}
"""Settings that do not depend on the end, so that a run in two parts is the run in one."""


def write(folder: Path, *, new: str) -> Path:
    """A text of lines that begin with a character each: twelve that occur once, and then `new` ones, held out."""
    line = " the rain in spain\n"
    often = "".join(f"{'ab'[n % 2]}{line}" for n in range(100))
    once = "".join(f"{chr(0x3B1 + n)}{line}" for n in range(12))
    held_out = "".join(f"{each}{line}" for each in new)
    path = folder / "lines.txt"
    path.write_text(often[:900] + once + often[900:] + held_out, encoding="utf-8")
    return path


def train(text: Path, folder: Path, **settings: object) -> Run:
    return textgen.train(text, name="run", checkpoints=folder, **{**TINY, "epochs": 12.0, "seed": 1, **settings})


def loss_of_new(run: Run, text: Path, new: str) -> float:
    """The mean loss at the held-out characters that the training text lacks."""
    best, encoded = read_checkpoint(run.best), encode_corpus(open_corpus(text))
    scores = score_ids(Engine(best.model, best.weights), encoded.held_out)
    characters = encoded.tokenizer.decode(encoded.held_out)[-len(scores) :]
    return -float(np.mean([score for score, each in zip(scores, characters, strict=True) if each in new]))


def test_new_characters_are_expected_where_rare_ones_stand(tmp_path: Path) -> None:
    new = "ABCDEFGHIJKL"
    text = write(tmp_path, new=new)
    encoded = encode_corpus(open_corpus(text))
    assert not set(new) & set(encoded.tokenizer.decode(encoded.training))
    with_it, without = (train(text, tmp_path / str(each), permute_rare=each) for each in (True, False))
    assert loss_of_new(with_it, text, new) < loss_of_new(without, text, new) - 1.0


def test_a_text_without_new_characters_is_trained_as_ever(tmp_path: Path) -> None:
    text = write(tmp_path, new="abababab")
    with_it, without = (train(text, tmp_path / str(each), permute_rare=each) for each in (True, False))
    weights = [read_checkpoint(run.last).weights.arrays() for run in (with_it, without)]
    assert all(map(np.array_equal, *weights))


@pytest.mark.slow
def test_a_continued_run_is_the_run_in_one(tmp_path: Path) -> None:
    text = write(tmp_path, new="ABCDEFGHIJKL")
    whole = train(text, tmp_path / "whole", **FLAT, epochs=4.0, permute_rare=True)
    train(text, tmp_path / "parts", **FLAT, epochs=2.0, permute_rare=True)
    parts = textgen.resume("run", checkpoints=tmp_path / "parts", epochs=4.0)
    got, expected = everything(parts), everything(whole)
    weights = [name for name in expected if name.startswith("last.keras")]
    assert weights
    assert [name for name in weights if got[name] != expected[name]] == []


def test_the_recipe_has_it_but_for_weights_that_know_another_text() -> None:
    assert recommend(1_000_000, 65).training.permute_rare
    assert not recommend(1_000_000, 65, fresh=False).training.permute_rare
    assert not recommend(1_000_000, 65, training={"permute_rare": False}).training.permute_rare


def test_it_is_refused_where_each_worker_has_its_own_part(tmp_path: Path) -> None:
    parts = textgen.WorkersConfig(workers="a:1,b:1", worker=0, text_part=True)
    with pytest.raises(ConfigError, match="permute_rare must be off with text_part"):
        textgen.train(write(tmp_path, new="AB"), checkpoints=tmp_path, workers=parts, permute_rare=True)


def test_the_end_of_a_record_is_no_rare_character(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("".join(f"{each}aab\n" for each in "cdefghij") + "aab\n" * 9, encoding="utf-8")
    encoded = encode_corpus(open_corpus(path, config=CorpusConfig(records="lines", validation=0.4)))
    counts = count_ids(encoded)
    counts[encoded.tokenizer.end_id] = 1
    streams = RecordStreams(
        encoded.ids, encoded.records.starts[: encoded.records.training + 1], batch_size=1, sequence_length=60, seed=0
    )
    changed = permuted(streams, counts, encoded, TrainingConfig(permute_rare=True))
    assert isinstance(changed, RarePermuted)
    for step in range(4):
        ends = [batch.targets == encoded.tokenizer.end_id for batch in (streams.batch(step), changed.batch(step))]
        np.testing.assert_array_equal(*ends)


@pytest.mark.parametrize(("given", "refused"), [(None, False), (False, False), (True, True)])
def test_pairs_have_no_use_for_it(tmp_path: Path, given: bool | None, refused: bool) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("".join(f"ab{n},ba{n}\n" for n in range(200)), encoding="utf-8")
    encoded = encode_corpus(open_corpus(path, config=CorpusConfig(pairs=True)))
    training = {} if given is None else {"permute_rare": given}
    if refused:
        with pytest.raises(ConfigError, match="permute_rare has no meaning for pairs"):
            recommend_pairs(encoded, training=training)
    else:
        assert not recommend_pairs(encoded, training=training).training.permute_rare
