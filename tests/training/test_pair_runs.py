"""Runs on pairs: what they report and save, that they go on exactly, that they learn, and what they refuse."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from recording import Recorder
from slow_pairs import slow_pair_probabilities

import textgen
from textgen.cli import cli
from textgen.config import SIZES, CorpusConfig, ModelConfig
from textgen.corpus import encode_corpus, open_corpus
from textgen.corpus.pairs import EncodedPairs
from textgen.engine.pairs import PairEngine
from textgen.errors import CheckpointError, ConfigError, RunError
from textgen.model.read import read_checkpoint, read_pair_checkpoint, read_training_state
from textgen.runs.run import Run
from textgen.training import progress as progress_module
from textgen.training.pair_recipe import recommend_pairs
from textgen.training.recipe import default_time, recommend, step_seconds
from textgen.training.summary import summarize

PAIRS = CorpusConfig(pairs=True)
TWO = textgen.WorkersConfig(workers="localhost:4001,localhost:4002", worker=0)
SMALL: dict[str, Any] = {
    "layers": 1,
    "encoder_layers": 1,
    "units": 16,
    "embedding": 8,
    "batch_size": 8,
    "precision": "float32",
    "shards": 1,
    "dropout": 0.1,
    "weight_drop": 0.1,
    "device": "cpu",
    "seed": 5,
    "validate_every": 6,
}


def table(folder: Path, count: int = 90) -> Path:
    """Words of a few letters and the same backwards."""
    drawn = np.random.default_rng(1)
    words = ["".join("abcd"[n] for n in drawn.integers(0, 4, drawn.integers(1, 7))) for _ in range(count)]
    path = folder / "backwards.tsv"
    path.write_text("".join(f"{word}\t{word[::-1]}\n" for word in words), encoding="utf-8")
    return path


def everything(run: Run) -> dict[str, Any]:
    """The weights of both files, the arrays of the training state, and the losses."""
    kept = {}
    for path in (run.best, run.last):
        for number, array in enumerate(read_pair_checkpoint(path).weights.arrays()):
            kept[f"{path.name}/{number}"] = array.tobytes()
    kept |= {name: array.tobytes() for name, array in read_training_state(run.last).items()}
    return kept | {"losses": [(row.step, row.loss, row.val_loss) for row in run.history]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Recorder]:
    folder, reporter = tmp_path_factory.mktemp("pairs"), Recorder()
    path = table(folder)
    run = textgen.train(path, name="whole", checkpoints=folder, corpus=PAIRS, epochs=2.0, reporter=reporter, **SMALL)
    return run, reporter


def test_a_run_on_pairs_says_what_it_learns_from(whole: tuple[Run, Recorder]) -> None:
    summary = whole[1].summary
    assert summary.corpus.startswith("backwards, 90 pairs, sources of ")
    assert "and at most 6, targets of " in summary.corpus
    assert "duplicates, in 1 file" in summary.corpus
    assert summary.vocabulary == "4 characters, of both sides"
    assert " pairs train, " in summary.split
    assert summary.model.startswith("1 bidirectional and 1 x 16 coupled LSTM with attention, ")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"task": "diacritics"}, "diacritics: combining marks are taken from the sources; 25 % of them differ from"),
        ({"task": "case"}, "case: capitals are made small in the sources; 50 % of them"),
        ({"task": "spaces"}, "spaces: white space is taken from the sources; 100 % of them"),
        ({"task": "noise"}, "noise: 10 % of the sources' characters are damaged, on average; "),
        ({"task": "noise", "noise_rate": 0.25}, "noise: 25 % of the sources' characters are damaged, on average; "),
        ({"pairs": True}, ""),
    ],
)
def test_what_a_task_does_to_the_sources_is_said(tmp_path: Path, settings: dict[str, Any], told: str) -> None:
    path = tmp_path / ("a.tsv" if "pairs" in settings else "a.txt")
    path.write_text("The calm\tseá.\nthe ship\tis.\nno sea\tat all\nNo\tno.\n" * 20, encoding="utf-8")
    encoded = encode_corpus(open_corpus(path, config=CorpusConfig(**settings, validation=0)))
    assert isinstance(encoded, EncodedPairs)
    recipe = recommend_pairs(encoded)
    said = summarize(encoded, None, recipe, device="", run="", left=0.0).task
    assert said.startswith(told) and bool(said) == bool(told)


def test_held_out_sources_are_rewritten_at_each_validation(whole: tuple[Run, Recorder]) -> None:
    for row in whole[0].history:
        lines = row.sample.split("\n")
        assert len(lines) == 3
        assert all(" -> " in line for line in lines)
    assert " -> " in whole[0].samples.read_text(encoding="utf-8")


def test_plain_keras_opens_the_archive_and_agrees_with_the_slow_version(whole: tuple[Run, Recorder]) -> None:
    import keras

    checkpoint = read_pair_checkpoint(whole[0].best)
    model = keras.saving.load_model(whole[0].best)
    ids = checkpoint.source_tokenizer.encode("abca")
    source = np.append(ids, checkpoint.source_tokenizer.end_id).astype(np.int32)
    inputs = np.append(checkpoint.tokenizer.end_id, ids).astype(np.int32)
    found = model([source[None] + 1, inputs[None]]).numpy()[0]
    slow = slow_pair_probabilities(checkpoint.weights, checkpoint.model, source, inputs)
    np.testing.assert_allclose(found, slow, atol=1e-5)
    np.testing.assert_allclose(found.sum(1), 1.0, atol=1e-5)
    targets = np.append(ids, checkpoint.tokenizer.end_id).astype(np.intp)
    engine = PairEngine(checkpoint.model, checkpoint.weights)
    (read,) = engine.read([source], [targets], end_id=int(inputs[0]))
    np.testing.assert_allclose(np.exp(read.logprobs), found[np.arange(len(targets)), targets], atol=1e-5)


def test_the_checkpoint_tells_what_it_reads_and_what_it_writes(whole: tuple[Run, Recorder]) -> None:
    checkpoint = read_pair_checkpoint(whole[0].last)
    assert checkpoint.metadata.source_tokenizer is checkpoint.tokenizer
    assert checkpoint.tokenizer.has_end
    assert (checkpoint.model.encoder_layers, checkpoint.model.source_vocab_size) == (1, 5)
    assert checkpoint.metadata.corpus.config.by_pair
    assert sum(array.size for array in checkpoint.weights.arrays()) == checkpoint.model.stored
    shown = CliRunner().invoke(cli, ["info", str(whole[0].path), "--json"])
    assert shown.exit_code == 0, shown.output
    assert '"encoder_layers": 1' in shown.stdout


@pytest.mark.slow
def test_a_run_on_pairs_goes_on_bit_for_bit(whole: tuple[Run, Recorder], tmp_path: Path) -> None:
    path = table(tmp_path)
    stopped: list[int] = []

    class Stop(Recorder):
        def stepped(self, *, step: int, **others: Any) -> None:
            super().stepped(step=step, **others)
            if step == 10 and not stopped:
                stopped.append(step)
                raise KeyboardInterrupt

    settings = {**SMALL, "save_every_steps": 5}
    with pytest.raises(KeyboardInterrupt):
        textgen.train(path, name="cut", checkpoints=tmp_path, corpus=PAIRS, epochs=2.0, reporter=Stop(), **settings)
    run = textgen.resume("cut", checkpoints=tmp_path)
    assert stopped
    assert everything(run) == everything(whole[0])


@pytest.mark.slow
def test_a_run_on_pairs_ends_with_its_time_and_saves_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, now, saved = table(tmp_path, 400), [0.0], set[int]()
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])

    class Clock(Recorder):
        """A step takes a tenth of a second, a validation half of one."""

        def stepped(self, *, step: int, share: float, **others: Any) -> None:
            super().stepped(step=step, **others)
            now[0] += 0.1
            shares.append(share)
            if step % 20 == 0 and (tmp_path / "timed" / "last.keras").exists():
                saved.add(read_pair_checkpoint(tmp_path / "timed" / "last.keras").metadata.metrics.step or 0)

        def validated(self, row: Any, *, best: bool) -> None:
            super().validated(row, best=best)
            now[0] += 0.5

    shares: list[float] = []
    reporter, settings = Clock(), {**SMALL, "validate_every": 40, "save_every": 5.0, "time": 30.0}
    run = textgen.train(path, name="timed", checkpoints=tmp_path, corpus=PAIRS, reporter=reporter, **settings)
    assert 28.0 < now[0] <= 30.5
    assert shares[-1] == pytest.approx(1.0)
    steps = run.history[-1].step
    assert len(shares) == steps and 230 < steps < 290
    assert len(saved) > 3 and max(saved) < steps
    assert read_pair_checkpoint(run.last).metadata.metrics.step == steps
    assert [row.step for row in run.history[:3]] == [40, 80, 120] and all(" -> " in row.sample for row in run.history)
    assert run.history[-1].learning_rate < 0.1 * run.history[0].learning_rate
    # It has come to its end.
    textgen.resume("timed", checkpoints=tmp_path, reporter=reporter)
    assert len(shares) == steps


def test_a_run_on_pairs_goes_on_only_with_the_same_pairs(whole: tuple[Run, Recorder], tmp_path: Path) -> None:
    other = table(tmp_path)
    other.write_text(other.read_text().replace("a\n", "b\n", 1))
    with pytest.raises(RunError, match="has changed since it was trained"):
        textgen.resume("whole", checkpoints=whole[0].path.parent, sources=other, epochs=3.0)


def test_several_workers_do_not_go_on_with_a_run_on_pairs(whole: tuple[Run, Recorder]) -> None:
    with pytest.raises(ConfigError, match="workers must be left out with pairs"):
        textgen.resume("whole", checkpoints=whole[0].path.parent, epochs=3.0, workers=TWO)


def test_what_reads_one_text_refuses_a_run_on_pairs(whole: tuple[Run, Recorder]) -> None:
    with pytest.raises(CheckpointError, match="turns one text into another"):
        textgen.load(whole[0].path)
    for command in (["sample"], ["score", "-"], ["fill", "a[1]"], ["export", "--to", "html"], ["complete"]):
        where = [str(whole[0].path)] if command[0] == "export" else ["--run", str(whole[0].path)]
        shown = CliRunner().invoke(cli, [*command, *where], input="text\n")
        assert shown.exit_code == 1, (command, shown.output)
        assert "turns one text into another" in shown.output
        assert "Traceback" not in shown.output


def test_a_run_on_one_text_is_not_read_as_one_on_pairs(home: Path) -> None:
    with pytest.raises(CheckpointError, match="does not turn one text into another"):
        read_pair_checkpoint(home / "checkpoints" / "tiny" / "best.keras")
    assert read_checkpoint(home / "checkpoints" / "tiny" / "best.keras").model.encoder_layers == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"units": 15}, "units must be even"),
        ({"cell": "peephole"}, "cell must be one of lstm, gru, rnn, coupled where there is an encoder"),
        ({"sequence_length": 32}, "sequence_length has no meaning for pairs"),
        ({"joint_weight": 2.0}, "joint_weight has no meaning for pairs"),
        ({"workers": TWO}, "workers must be left out with pairs, and TF_CONFIG unset: one process trains a run on"),
    ],
)
def test_settings_that_pairs_have_no_use_for_are_refused(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        textgen.train(table(tmp_path), checkpoints=tmp_path, corpus=PAIRS, **{**SMALL, "epochs": 1.0, **settings})
    assert not (tmp_path / "backwards").exists()


def test_a_run_on_pairs_starts_from_another_with_the_rows_of_its_characters(
    whole: tuple[Run, Recorder], tmp_path: Path
) -> None:
    path = tmp_path / "more.tsv"
    path.write_text("".join(f"{word}\t{word[::-1]}\n" for word in ("abe", "bade", "cab", "ebb", "dead") * 4))
    chosen = {name: SMALL[name] for name in ("batch_size", "precision", "shards", "device", "seed")}
    settings = {**chosen, "epochs": 0.01, "learning_rate": 1e-9, "weight_decay": 0.0, "calibrate": False}
    where = {"checkpoints": tmp_path, "corpus": CorpusConfig(pairs=True, validation=0)}
    run = textgen.train(path, start_from=whole[0].best, **where, **settings)
    base, found = read_pair_checkpoint(whole[0].best), read_pair_checkpoint(run.last)
    assert (base.tokenizer.characters, found.tokenizer.characters) == ("abcd", "abcde")
    assert found.model.encoder_layers == 1
    for n, (one, other) in enumerate(zip(base.weights.arrays(), found.weights.arrays(), strict=True)):
        if one.shape == other.shape:
            np.testing.assert_allclose(one, other, atol=1e-7, err_msg=str(n))
    one, other = base.weights, found.weights
    # Padding, the characters and the end; those of a, b, c and d, and the end, which has another id now.
    np.testing.assert_allclose(one.source_embedding, other.source_embedding[[0, 1, 2, 3, 4, 6]], atol=1e-7)
    np.testing.assert_allclose(one.embedding, other.embedding[[0, 1, 2, 3, 5]], atol=1e-7)
    np.testing.assert_allclose(one.head_kernel, other.head_kernel[:, [0, 1, 2, 3, 5]], atol=1e-7)
    np.testing.assert_allclose(one.head_bias, other.head_bias[[0, 1, 2, 3, 5]], atol=1e-7)
    with pytest.raises(ConfigError, match="encoder_layers must be 1 as in the model to start from; got 2"):
        textgen.train(path, start_from=whole[0].best, encoder_layers=2, **where, **settings)


def test_neither_kind_of_run_starts_from_the_other(whole: tuple[Run, Recorder], home: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not turn one text into another: it was trained on one text"):
        textgen.train(
            table(tmp_path), start_from=home / "checkpoints" / "tiny", checkpoints=tmp_path, corpus=PAIRS, epochs=1.0
        )
    (tmp_path / "a.txt").write_text("the calm sea " * 50)
    with pytest.raises(CheckpointError, match="turns one text into another, which textgen rewrite does"):
        textgen.train(tmp_path / "a.txt", start_from=whole[0].path, checkpoints=tmp_path, epochs=1.0)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.txt", "backwards.tsv"]


def test_a_batch_of_long_pairs_has_fewer_of_them(tmp_path: Path) -> None:
    for length, expected in ((6, 64), (70, 32), (400, 16)):
        path = tmp_path / f"{length}.tsv"
        path.write_text("".join(f"{n}\t{'ab' * (length // 2)}{n}\n" for n in range(1000)), encoding="utf-8")
        encoded = encode_corpus(open_corpus(path, config=PAIRS))
        assert isinstance(encoded, EncodedPairs)
        assert recommend_pairs(encoded).training.batch_size == expected


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> EncodedPairs:
    """Pairs whose targets have as many characters as a text that all sizes are measured on."""
    path = tmp_path_factory.mktemp("many") / "many.tsv"
    path.write_text("".join(f"{n}\t{n:06} {'sea' * 6}\n" for n in range(40_000)), encoding="utf-8")
    encoded = encode_corpus(open_corpus(path, config=PAIRS))
    assert isinstance(encoded, EncodedPairs)
    return encoded


def test_pairs_get_a_size_by_their_characters_and_the_time(many: EncodedPairs) -> None:
    assert recommend_pairs(many).training.time == default_time(len(many.training)) == 180.0
    found = [recommend_pairs(many, training={"time": time}) for time in (20.0, 120.0, 900.0, 8 * 3600.0)]
    sizes = [each.model.layers * each.model.units for each in found]
    assert sizes == sorted(sizes) and len(set(sizes)) >= 3
    for each in found:
        assert each.reason.partition(",")[0] in SIZES
        assert f"{len(many.training):,} characters and training passes over them" in each.reason
    # A short text has nothing for the larger ones to learn, whatever the time.
    few = recommend_pairs(many, training={"epochs": 300.0})
    assert few.training.weight_drop > recommend_pairs(many, training={"epochs": 1.0}).training.weight_drop


def test_in_a_short_time_a_model_of_pairs_is_shallow_unless_the_user_says_how_deep(many: EncodedPairs) -> None:
    def layers(**given: Any) -> tuple[int, int]:
        found = recommend_pairs(many, size="small", **given).model
        return found.encoder_layers, found.layers

    short, long = {"time": 60.0}, {"time": 3600.0}
    assert (layers(training=short), layers(training=long)) == ((1, 1), (2, 2))
    # By passes the deeper model is better, however few there are.
    assert layers(training={"epochs": 1.0}) == (2, 2)
    assert layers(training=short, model={"layers": 2}) == (1, 2)
    assert layers(training=short, model={"encoder_layers": 2, "layers": 3}) == (2, 3)
    passes = [
        float(re.search(r"over them ([\d.]+) times", recommend_pairs(many, training=short, model=given).reason)[1])
        for given in ({}, {"encoder_layers": 2, "layers": 2})
    ]
    assert passes[0] > 1.3 * passes[1]


def test_rates_of_pairs_follow_the_passes_and_the_width_as_those_of_a_text(many: EncodedPairs) -> None:
    for epochs, units in ((1.0, 128), (40.0, 256), (40.0, 512)):
        given: dict[str, Any] = {"model": {"layers": 2, "units": units}, "training": {"epochs": epochs}}
        pairs = recommend_pairs(many, **given).training
        text = recommend(len(many.training), many.tokenizer.vocab_size, **given).training
        assert (pairs.learning_rate, pairs.hidden_rate) == (text.learning_rate, text.hidden_rate)
        assert pairs.hidden_rate == min(384 / units, 3.0)
        grown = recommend_pairs(many, **given, fresh=False).training
        assert grown.hidden_rate == 1.0 and grown.learning_rate < pairs.learning_rate
    asked = recommend_pairs(many, training={"epochs": 1.0, "hidden_rate": 0.5, "learning_rate": 0.01}).training
    assert (asked.hidden_rate, asked.learning_rate) == (0.5, 0.01)


def test_a_step_of_pairs_costs_the_encoder_and_the_update_of_all_weights_too() -> None:
    shape = ModelConfig(vocab_size=40, source_vocab_size=27, encoder_layers=2, layers=2, units=256)
    products = 6 * (shape.weights - 40 * shape.embedding) * 64 * 7 / 1e11
    assert step_seconds(shape, 64, 7, speed=1e11, overhead=0.0) == pytest.approx(products + 3e-8 * shape.weights)
    bare = step_seconds(shape, 64, 7, speed=1e30, overhead=1e-4)
    assert bare == pytest.approx(1e-4 * 6 * 7 + 3e-8 * shape.weights)


def test_an_encoder_without_pairs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the calm sea " * 50)
    with pytest.raises(ConfigError, match="encoder_layers must be left out without pairs"):
        textgen.train(tmp_path / "a.txt", checkpoints=tmp_path, encoder_layers=1, epochs=1.0)


@pytest.mark.slow
def test_strings_are_learned_backwards(tmp_path: Path) -> None:
    settings = {**SMALL, "units": 32, "batch_size": 32, "dropout": 0.0, "weight_drop": 0.0, "learning_rate": 0.02}
    settings |= {"validate_every": 100, "shards": 2}
    path = table(tmp_path, 600)
    run = textgen.train(path, checkpoints=tmp_path, corpus=PAIRS, epochs=16.0, **settings)
    losses = [row.val_loss for row in run.history]
    assert losses[0] is not None
    assert losses[-1] is not None
    # A letter of four by chance has a loss of 1.39; what is wrong once in a hundred letters, some 0.05.
    assert losses[-1] < 0.1
