"""The weights of both sides: their arrays, their transfer to another vocabulary, and what of them is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_checkpoints import CONFIG, forge, metadata, refusal, setting
from small_models import random_weights

from textgen.config import CELLS, ModelConfig
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import ConfigError
from textgen.model.read import read_checkpoint, read_metadata
from textgen.model.transfer import transfer
from textgen.model.weights import ModelWeights
from textgen.model.write import write_checkpoint

BOTH = CONFIG.replace(sides="both")


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("labels", [0, 3])
def test_arrays_in_order_make_the_same_weights_again(cell: str, labels: int) -> None:
    config = BOTH.replace(cell=cell, labels=labels)
    weights = random_weights(config)
    weights.validate(config)
    assert [array.shape for array in weights.arrays()] == list(ModelWeights.shapes(config).values())
    assert sum(array.size for array in weights.arrays()) == config.stored
    again = ModelWeights.from_arrays(weights.arrays(), labelled=labels > 0, both=True)
    assert all(map(np.array_equal, weights.arrays(), again.arrays()))
    half = config.forwards
    weights.forwards.validate(half)
    assert config.weights == 2 * half.weights + sum(array.size for array in weights.joint.arrays())


def test_weights_of_other_sides_than_the_configuration_are_refused() -> None:
    weights = random_weights(BOTH)
    for wrong, config in (
        (weights.forwards, BOTH),
        (weights, CONFIG),
        (replace(weights, joint=None), BOTH),
        (replace(weights, backward=None), BOTH),
    ):
        with pytest.raises(ConfigError, match=config.sides):
            wrong.validate(config)
    with pytest.raises(ConfigError, match="two equal stacks"):
        ModelWeights.from_arrays(weights.arrays()[:-1], both=True)
    with pytest.raises(ConfigError, match="coupled"):
        replace(weights, backward=random_weights(CONFIG)).validate(BOTH.replace(cell="coupled"))


def test_a_sides_setting_that_is_no_side_is_refused() -> None:
    with pytest.raises(ConfigError, match="sides must be"):
        ModelConfig(vocab_size=3, sides="backwards")


def test_shared_characters_take_their_weights_to_another_vocabulary() -> None:
    known, tokenizer = CharTokenizer("abc"), CharTokenizer("bcd")
    config = BOTH.replace(vocab_size=3)
    old, fresh = random_weights(config, seed=1), random_weights(config, seed=2)
    found = transfer(old, known, fresh, tokenizer)
    # b is 1 and becomes 0; d is new.
    np.testing.assert_array_equal(found.joint.kernel[:, 0], old.joint.kernel[:, 1])
    np.testing.assert_array_equal(found.joint.kernel[:, 2], fresh.joint.kernel[:, 2])
    np.testing.assert_array_equal(found.joint.bias[:2], old.joint.bias[1:])
    np.testing.assert_array_equal(found.joint.hidden_kernel, old.joint.hidden_kernel)
    np.testing.assert_array_equal(found.backward.embedding[0], old.backward.embedding[1])
    np.testing.assert_array_equal(found.backward.head_kernel[:, 2], fresh.backward.head_kernel[:, 2])
    assert found.backward.layers[0] is old.backward.layers[0]
    half = transfer(old, known, fresh.forwards, tokenizer)
    assert (half.backward, half.joint) == (None, None)
    np.testing.assert_array_equal(half.head_bias[:2], old.head_bias[1:])
    more = transfer(old.forwards, known, fresh, tokenizer)
    np.testing.assert_array_equal(more.joint.kernel, fresh.joint.kernel)
    np.testing.assert_array_equal(more.layers[0].kernel, old.layers[0].kernel)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from textgen.training.keras_model import build_model

    path = tmp_path_factory.mktemp("both") / "both.keras"
    write_checkpoint(path, build_model(BOTH, seed=1), metadata=metadata(BOTH))
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (setting("model", "sides", value="sideways"), "its model is not one that textgen knows"),
        (setting("model", "sides", value=["both"]), "its model is not one that textgen knows"),
        (lambda values: values["weights"].pop("joint/kernel"), "does not say where joint/kernel lies"),
        (setting("weights", "backward_recurrent_1/bias", value=10**12), "where backward_recurrent_1/bias lies"),
        (setting("weights", "joint_hidden/kernel", value="0"), "does not say where joint_hidden/kernel lies"),
    ],
)
def test_a_checkpoint_of_both_sides_that_was_changed_is_refused(
    change: Any, said: str, both: Path, tmp_path: Path
) -> None:
    assert said in refusal(lambda: read_checkpoint(forge(both, tmp_path / "forged.keras", change=change)))


def test_a_checkpoint_of_one_side_that_claims_both_is_refused(good: Path, tmp_path: Path) -> None:
    forged = forge(good, tmp_path / "forged.keras", change=setting("model", "sides", value="both"))
    told = refusal(lambda: read_checkpoint(forged))
    assert "bytes of weights" in told or "where backward_embedding/embeddings lies" in told
    assert read_metadata(forged).model.both


def test_a_checkpoint_of_both_sides_that_claims_one_has_its_forward_half(both: Path, tmp_path: Path) -> None:
    forged = forge(both, tmp_path / "forged.keras", change=lambda values: values["model"].pop("sides"))
    found, whole = read_checkpoint(forged).weights, read_checkpoint(both).weights
    assert all(map(np.array_equal, found.arrays(), whole.forwards.arrays()))


def test_a_model_of_one_side_is_not_written_as_one_of_both(keras_model: Any, tmp_path: Path) -> None:
    told = refusal(lambda: write_checkpoint(tmp_path / "x.keras", keras_model, metadata=metadata(BOTH)))
    assert "The Keras model has no backward_embedding/embeddings" in told
    assert not (tmp_path / "x.keras").exists()
