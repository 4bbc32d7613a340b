"""Whole runs of both sides: the forward half is a run of its own, and the others learn beside it."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from recording import Killed, Recorder
from small_checkpoints import CONFIG, metadata
from tiny_runs import TINY, WHOLE, everything

import textgen
from textgen.cli import cli
from textgen.config import CELLS, CorpusConfig, ModelConfig, TrainingConfig, WorkersConfig
from textgen.corpus.batch import Batch
from textgen.corpus.context import context_ids
from textgen.engine import Engine
from textgen.engine.sides import JointHead, read_sides, score_sides
from textgen.errors import ConfigError
from textgen.model.keras_file import layer_arrays
from textgen.model.read import read_checkpoint, read_training_state
from textgen.model.weights import BACKWARD, ModelWeights
from textgen.model.write import write_checkpoint
from textgen.runs.run import Run
from textgen.training.calibration import HIGHEST, LOWEST
from textgen.training.keras_model import build_model
from textgen.training.network import Network
from textgen.training.two_sided import HEADS, TwoSidedTrainer

LINES = CorpusConfig(records="lines")


@pytest.fixture(scope="module")
def both(uncut: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run as `uncut`, of both sides."""
    folder = tmp_path_factory.mktemp("both")
    return textgen.train(uncut.path.parent / "haven.txt", name="both", checkpoints=folder, sides="both", **WHOLE)


def test_the_forward_half_is_a_run_of_its_own_bit_for_bit(both: Run, uncut: Run) -> None:
    for path, other in ((both.best, uncut.best), (both.last, uncut.last)):
        mine, alone = read_checkpoint(path).weights, read_checkpoint(other).weights
        for one, two in zip(mine.forwards.arrays(), alone.arrays(), strict=True):
            np.testing.assert_array_equal(one, two)
    assert [row.val_loss for row in both.history] == [row.val_loss for row in uncut.history]
    assert both.metadata.metrics.logit_scale == uncut.metadata.metrics.logit_scale
    assert textgen.load(both.path).generate("A", seed=3).text == textgen.load(uncut.path).generate("A", seed=3).text


def test_every_validation_scores_all_three_heads(both: Run) -> None:
    first, last = both.history[0], both.history[-1]
    assert first.val_backward_loss > last.val_backward_loss
    assert first.val_joint_loss > last.val_joint_loss
    assert (last.val_backward_loss, last.val_joint_loss) == (
        both.metadata.metrics.val_backward_loss,
        both.metadata.metrics.val_joint_loss,
    )
    header = both.metrics.read_text().partition("\n")[0]
    assert header.endswith("learning_rate,val_backward_loss,val_joint_loss")
    both.best.rename(both.best.with_suffix(".aside"))
    both.last.rename(both.last.with_suffix(".aside"))
    try:
        assert both.history[-1].val_joint_loss == pytest.approx(last.val_joint_loss)
    finally:
        for path in (both.best, both.last):
            path.with_suffix(".aside").rename(path)


def test_a_run_of_one_side_says_nothing_of_the_other(uncut: Run) -> None:
    found = read_checkpoint(uncut.last).metadata.to_json()
    assert "sides" not in found["model"]
    assert not {"right_context", "joint_weight"} & set(found["training"])
    for values in (found["metrics"], found["history"][-1]):
        assert not {"val_backward_loss", "val_joint_loss"} & set(values)
    assert all(not name.startswith(("backward", "joint")) for name in read_training_state(uncut.last))
    assert "val_joint_loss" not in uncut.metrics.read_text()


@pytest.mark.slow
def test_a_run_of_both_sides_cut_at_a_step_continues_bit_for_bit(both: Run, uncut: Run, tmp_path: Path) -> None:
    def on_step(step: int) -> None:
        if step == 20:
            raise Killed

    text, settings = uncut.path.parent / "haven.txt", {**WHOLE, "sides": "both", "save_every": 0.0}
    with pytest.raises(Killed):
        textgen.train(text, name="both", checkpoints=tmp_path, reporter=Recorder(on_step), **settings)
    got, expected = everything(textgen.resume("both", checkpoints=tmp_path)), everything(both)
    assert [name for name in expected if got[name] != expected[name]] == []
    assert any(name.startswith("joint_loss") for name in expected)


@pytest.mark.parametrize(
    "cell", ["coupled", *(pytest.param(c, marks=pytest.mark.slow) for c in CELLS if c != "coupled")]
)
def test_the_archive_opens_in_plain_keras_with_the_three_predictions_of_the_engine(cell: str, tmp_path: Path) -> None:
    config = CONFIG.replace(cell=cell, sides="both")
    model = build_model(config, seed=4, frequencies=np.arange(config.vocab_size))
    for variable in model.trainable_variables:
        if "bias" in variable.name and config.cell != "coupled":
            variable.assign(np.random.default_rng(1).standard_normal(variable.shape) * 0.3)
    write_checkpoint(tmp_path / "both.keras", model, metadata=metadata(config))
    checkpoint = read_checkpoint(tmp_path / "both.keras")
    weights, half = checkpoint.weights, config.forwards
    ids = np.random.default_rng(0).integers(0, config.vocab_size, 9)
    outputs = keras.saving.load_model(tmp_path / "both.keras")(ids[None].astype("int32"))
    found = {name: np.log(np.asarray(value)[0]) for name, value in outputs.items()}
    assert {name: len(value) for name, value in found.items()} == {"forwards": 9, "backwards": 9, "joint": 7}
    assert weights.backward is not None
    assert weights.joint is not None
    three = Engine(half, weights.forwards), Engine(half, weights.backward), JointHead(weights.joint)
    sides = read_sides(*three, ids[1:-1], before=ids[:1], after=ids[-1:])
    np.testing.assert_allclose(sides.forwards, found["forwards"][:-2], atol=1e-5)
    np.testing.assert_allclose(sides.backwards, found["backwards"][2:], atol=1e-5)
    np.testing.assert_allclose(sides.joint, found["joint"], atol=1e-5)


def test_a_model_with_labels_opens_in_plain_keras_too(tmp_path: Path) -> None:
    config = CONFIG.replace(sides="both", labels=2)
    model = build_model(config, seed=4)
    ids, labels = np.array([[1, 2, 3, 4]], "int32"), np.zeros((1, 4, 2), "float32")
    labels[..., 1] = 1.0
    weights = ModelWeights.from_arrays(layer_arrays(model, config), labelled=True, both=True)
    three = (
        Engine(config.forwards, weights.forwards),
        Engine(config.forwards, weights.backward),
        JointHead(weights.joint),
    )
    sides = read_sides(*three, ids[0, 1:-1], before=ids[0, :1], after=ids[0, -1:], labels=labels[0, 0])
    np.testing.assert_allclose(np.exp(sides.joint), np.asarray(model([ids, labels])["joint"])[0], atol=1e-5)
    np.testing.assert_allclose(np.exp(sides.backwards), np.asarray(model([ids, labels])["backwards"])[0, 2:], atol=1e-5)


def trainer_of(
    cell: str,
    *,
    layers: int = 2,
    shards: int = 1,
    kernels: bool = True,
    end_id: int | None = None,
    **changes: object,
):
    shape = ModelConfig(
        vocab_size=7, cell=cell, layers=layers, units=5, embedding=3, dropout=0.3, input_dropout=0.1, sides="both"
    )
    model = build_model(shape, seed=2)
    config = TrainingConfig(batch_size=4, sequence_length=6, learning_rate=0.01, right_context=3, **changes)
    forward, backward = (
        Network(model, shape, kernels=kernels, weight_drop=0.2, seed=seed, end_id=end_id, prefix=prefix)
        for seed, prefix in ((1, ""), (9, BACKWARD))
    )
    return TwoSidedTrainer(forward, model, config, backward=backward, shards=shards, validation_streams=4)


def batch_of(seed: int, *, ends: bool = False, reset: bool = True) -> Batch:
    ids = np.random.default_rng(seed).integers(0, 7 if ends else 6, (4, 6 + 1 + 1 + 3)).astype("int32")
    return Batch(ids[:, :6], ids[:, 1:7], np.asarray(reset), np.ones((4, 6), np.float32), following=ids[:, 2:])


def scored(three: tuple[Engine, Engine, JointHead], batch: Batch) -> list[np.ndarray]:
    """What the engine makes of each stream."""
    return [
        score_sides(*three, batch.targets[row], before=batch.inputs[row, :1], after=batch.following[row, 5:])
        for row in range(4)
    ]


@pytest.mark.parametrize(
    ("cell", "kernels"),
    [
        ("coupled", True),
        ("coupled", False),
        *(pytest.param(cell, True, marks=pytest.mark.slow) for cell in CELLS if cell != "coupled"),
    ],
)
def test_the_losses_are_those_of_the_engine(cell: str, kernels: bool) -> None:
    trainer = trainer_of(cell, kernels=kernels)
    config = trainer.network.config
    weights = ModelWeights.from_arrays(layer_arrays(trainer.plain, config), both=True)
    three = (
        Engine(config.forwards, weights.forwards),
        Engine(config.forwards, weights.backward),
        JointHead(weights.joint),
    )
    batch = batch_of(0)
    logs = trainer.test_step(batch)
    found = scored(three, batch)
    expected = -np.mean(found, axis=(0, 2))
    assert [float(logs[name]) for name in ("loss", "backward_loss", "joint_loss")] == pytest.approx(expected, rel=1e-5)


def test_the_joint_loss_leaves_out_the_ends_of_records() -> None:
    trainer = trainer_of("gru", end_id=6)
    config = trainer.network.config
    weights = ModelWeights.from_arrays(layer_arrays(trainer.plain, config), both=True)
    engines = (Engine(config.forwards, each, end_id=6) for each in (weights.forwards, weights.backward))
    three = *engines, JointHead(weights.joint)
    batch = batch_of(3, ends=True)
    assert (batch.targets == 6).any()
    logs = trainer.test_step(batch)
    found = scored(three, batch)
    forward, backward, joint = np.swapaxes(found, 0, 1)
    assert float(logs["loss"]) == pytest.approx(-forward.mean(), rel=1e-5)
    assert float(logs["backward_loss"]) == pytest.approx(-backward.mean(), rel=1e-5)
    assert float(logs["joint_loss"]) == pytest.approx(-joint[batch.targets != 6].mean(), rel=1e-5)


def learned(trainer: TwoSidedTrainer, steps: int, *, halves: bool = False) -> list[np.ndarray]:
    for step in range(steps):
        trainer.train_step(batch_of(step, reset=step == 0).map(tf.constant), halves=halves)
    return layer_arrays(trainer.plain, trainer.network.config)


@pytest.mark.slow
@pytest.mark.parametrize("halves", [False, True])
def test_shards_learn_what_a_whole_batch_learns(halves: bool) -> None:
    one, two = (learned(trainer_of("coupled", shards=shards), 1, halves=halves) for shards in (1, 2))
    for whole, sharded in zip(one, two, strict=True):
        np.testing.assert_allclose(whole, sharded, atol=1e-4)


def test_a_trainer_put_back_goes_on_bit_for_bit() -> None:
    whole, other = trainer_of("rnn", layers=1), trainer_of("rnn", layers=1)
    learned(whole, 1)
    for variable, array in zip(other.plain.trainable_variables, whole.plain.trainable_variables, strict=True):
        variable.assign(array)
    other.restore(whole.capture())
    assert {"loss/0000", "backward_loss/0000", "joint_loss/0000"} <= set(whole.capture())
    for one, two in zip(learned(whole, 1), learned(other, 1), strict=True):
        np.testing.assert_array_equal(one, two)
    for name, value in whole.capture().items():
        np.testing.assert_array_equal(value, other.capture()[name], err_msg=name)


def test_the_joint_loss_moves_the_backward_stack_and_not_the_forward_one() -> None:
    with_it, without = (
        ModelWeights.from_arrays(learned(trainer_of("lstm", joint_weight=weight), 1), both=True)
        for weight in (1.0, 0.0)
    )
    for one, other in zip(with_it.forwards.arrays(), without.forwards.arrays(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert with_it.backward is not None
    assert without.backward is not None
    assert np.abs(with_it.backward.layers[0].kernel - without.backward.layers[0].kernel).max() > 1e-4


def test_calibration_scales_each_head_by_its_own_factor() -> None:
    trainer = trainer_of("lstm", layers=1)
    # A head that is far too sure wants the smallest factor.
    trainer.plain.get_layer("joint").kernel.assign(10.0 * trainer.plain.get_layer("joint").kernel)
    before = trainer.plain.get_layer("joint").kernel.numpy()
    trainer.start_calibration()
    trainer.test_step(batch_of(0))
    scales, lowest = trainer.end_calibration(24)
    assert list(lowest) == ["loss", "backward_loss", "joint_loss"]
    assert list(scales) == list(HEADS)
    assert all(LOWEST <= scale <= HIGHEST for scale in scales.values())
    with trainer.scaled_logits(scales):
        np.testing.assert_allclose(trainer.plain.get_layer("joint").kernel, np.float32(LOWEST) * before)
        trainer.reset_metrics()
        logs = trainer.test_step(batch_of(0))
        assert {name: float(value) for name, value in logs.items()} == pytest.approx(lowest, rel=1e-5)
    np.testing.assert_array_equal(trainer.plain.get_layer("joint").kernel, before)


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on records of two equal letters around a dash, each of which tells the other."""
    folder = tmp_path_factory.mktemp("twins")
    letters = np.random.default_rng(0).choice(list("abcdefgh"), 600)
    (folder / "twins.txt").write_text("".join(f"{each}-{each}\n" for each in letters), encoding="utf-8")
    settings = {**TINY, "dropout": 0.0, "weight_drop": 0.0, "learning_rate": 0.03, "epochs": 8.0, "seed": 1}
    return textgen.train(folder / "twins.txt", name="twins", checkpoints=folder, corpus=LINES, sides="both", **settings)


@pytest.mark.slow
def test_the_joint_head_knows_what_neither_side_does(twins: Run) -> None:
    found = textgen.evaluate(twins.path, [f"{each}-{each}" for each in "abcdefgh" * 8])
    losses = {each.name: each.nats for each in found.protocols}
    assert list(losses) == ["carried", "backwards", "joint"]
    # Of three characters and an end each side alone has to guess one letter of eight.
    guessed = np.log(8.0) / 4.0
    assert losses["carried"] > 0.9 * guessed
    assert losses["backwards"] > 0.9 * guessed
    assert losses["joint"] < 0.2 * guessed


@pytest.mark.slow
def test_the_first_and_the_last_character_of_a_record_are_told_by_its_other_end(twins: Run) -> None:
    writer = textgen.load(twins.path)
    assert writer.backward is not None
    assert writer.joint is not None
    end = context_ids(writer.tokenizer, np.array([], np.uint8))
    ids = writer.tokenizer.encode("c-c")
    sides = read_sides(writer.engine, writer.backward, writer.joint, ids, before=end, after=end)
    likeliest = [writer.tokenizer.decode(each.argmax(-1)) for each in (sides.forwards, sides.backwards, sides.joint)]
    assert likeliest[0][1:] == "-c"
    assert likeliest[1][:2] == "c-"
    assert likeliest[2] == "c-c"


def test_evaluation_has_a_line_for_each_head(both: Run) -> None:
    metrics = both.metadata.metrics
    result = CliRunner().invoke(cli, ["eval", str(both.path), "--json"], prog_name="textgen")
    losses = {each["protocol"]: each["nats_per_character"] for each in json.loads(result.stdout)["protocols"]}
    assert list(losses) == ["carried", "windows", "backwards", "joint"]
    assert losses["carried"] == pytest.approx(metrics.val_loss, abs=0.02)
    assert losses["backwards"] == pytest.approx(metrics.val_backward_loss, abs=0.02)
    assert losses["joint"] == pytest.approx(metrics.val_joint_loss, abs=0.02)
    table = CliRunner().invoke(cli, ["eval", str(both.path)], prog_name="textgen").stdout
    assert f"from both sides, 1 stream     {losses['joint']:.4f}" in table


def test_lists_and_details_say_that_a_run_has_both_sides(both: Run) -> None:
    listed = CliRunner().invoke(cli, ["runs", "--checkpoints", str(both.path.parent)], prog_name="textgen").stdout
    assert "2 x 16 coupled LSTM, both sides" in listed
    told = CliRunner().invoke(cli, ["info", str(both.path)], prog_name="textgen").stdout
    assert f"{both.metadata.metrics.val_joint_loss:.4f} nats per character" in told


@pytest.mark.slow
def test_labels_tell_both_sides(tmp_path: Path) -> None:
    rows = ["text,kind", *(f"{kind * 3}{n},{kind}" for kind in "ab" for n in range(60))]
    (tmp_path / "kinds.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    corpus = CorpusConfig(text_field="text", label_field="kind")
    settings = {**TINY, "learning_rate": 0.03, "epochs": 3.0, "sides": "both"}
    run = textgen.train(tmp_path / "kinds.csv", checkpoints=tmp_path, corpus=corpus, **settings)
    found = {each.name: each.nats for each in textgen.evaluate(run.path).protocols}
    metrics = run.metadata.metrics
    assert found["carried"] == pytest.approx(metrics.val_loss, abs=1e-3)
    assert found["joint"] == pytest.approx(metrics.val_joint_loss, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("base", "sides"), [("both", None), ("both", "forwards"), ("uncut", "both")])
def test_fine_tuning_may_change_the_sides(
    base: str, sides: str | None, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    run: Run = request.getfixturevalue(base)
    text = tmp_path / "more.txt"
    text.write_text((request.getfixturevalue("uncut").path.parent / "haven.txt").read_text()[:1500], encoding="utf-8")
    settings = {"batch_size": 4, "sequence_length": 16, "epochs": 0.01, "learning_rate": 1e-9, "calibrate": False}
    tuned = textgen.train(text, checkpoints=tmp_path, start_from=run.path, sides=sides, **settings)
    found, old = read_checkpoint(tuned.best), read_checkpoint(run.best)
    assert found.model.sides == (sides or "both")
    np.testing.assert_allclose(found.weights.layers[1].kernel, old.weights.layers[1].kernel, atol=1e-5)
    if sides is None:
        assert found.weights.joint is not None
        np.testing.assert_allclose(found.weights.joint.hidden_kernel, old.weights.joint.hidden_kernel, atol=1e-5)


def test_both_halves_adapt_and_the_joint_head_stays(both: Run) -> None:
    writer = textgen.load(both.path)
    adapted = writer.adapt("The sea was calm, and so was Captain Thrupp.")
    assert adapted.config.sides == "both"
    assert adapted.weights.backward is not None and writer.weights.backward is not None
    for one, other in ((adapted.weights, writer.weights), (adapted.weights.backward, writer.weights.backward)):
        assert not np.array_equal(one.head_bias, other.head_bias)
    assert adapted.weights.joint is not None and writer.weights.joint is not None
    for mine, its in zip(adapted.weights.joint.arrays(), writer.weights.joint.arrays(), strict=True):
        np.testing.assert_array_equal(mine, its)


@pytest.mark.slow
def test_a_large_vocabulary_estimates_the_softmax_of_all_heads(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("".join(chr(0x4E00 + n) for n in np.random.default_rng(0).integers(0, 60, 3000)), encoding="utf-8")
    run = textgen.train(text, checkpoints=tmp_path, sides="both", negatives=8, epochs=0.5, **TINY)
    assert run.history[-1].val_joint_loss < run.history[-1].val_loss + 1.0


def test_several_workers_refuse_both_sides_before_they_connect(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("the sea " * 200)
    workers = WorkersConfig(workers="localhost:4001,localhost:4002", worker=0)
    with pytest.raises(ConfigError, match="sides must be forwards where several workers train; got 'both'"):
        textgen.train(tmp_path / "text.txt", checkpoints=tmp_path, sides="both", workers=workers, **TINY)
