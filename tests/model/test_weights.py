"""A model's arrays by name and shape."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_checkpoints import CONFIG, forge, metadata, refusal, setting
from small_models import random_weights

from textgen.config import CELLS
from textgen.corpus.tokenizer import CharTokenizer
from textgen.model.read import read_checkpoint
from textgen.model.transfer import transfer
from textgen.model.weights import ModelWeights
from textgen.model.write import write_checkpoint


class TestWeights:
    def test_arrays_and_back(self, good: Path) -> None:
        weights = read_checkpoint(good).weights
        again = ModelWeights.from_arrays(weights.arrays())
        assert all(a is b for a, b in zip(weights.arrays(), again.arrays(), strict=True))
        assert [array.shape for array in weights.arrays()] == list(ModelWeights.shapes(CONFIG).values())
        assert sum(array.size for array in weights.arrays()) == CONFIG.weights

    @pytest.mark.parametrize("count", [0, 5, 7, 8])
    def test_another_number_of_arrays_is_an_error(self, count: int) -> None:
        with pytest.raises(ValueError, match=f"3 arrays and 3 for each layer; got {count}"):
            ModelWeights.from_arrays([np.zeros(1, np.float32)] * count)

    @pytest.mark.parametrize("cell", CELLS)
    @pytest.mark.parametrize("layers", [1, 2, 3, 4])
    @pytest.mark.parametrize("units", [1, 3, 4, 12])
    def test_every_cell_s_arrays_are_told_apart(self, cell: Any, layers: int, units: int) -> None:
        config = CONFIG.replace(cell=cell, layers=layers, units=units)
        weights = random_weights(config)
        assert len(weights.layers) == layers
        weights.validate(config)
        assert sum(array.size for array in weights.arrays()) == config.stored

    def test_a_coupled_cell_with_a_forget_gate_of_its_own_is_refused(
        self, keras_models: dict[str, Any], tmp_path: Path
    ) -> None:
        path = tmp_path / "best.keras"
        write_checkpoint(path, keras_models["lstm"], metadata=metadata(CONFIG))
        change = setting("model", "cell", value="coupled")
        said = refusal(lambda: read_checkpoint(forge(path, tmp_path / "forged.keras", change=change)))
        assert "recurrent_1/kernel of a coupled cell must hold a forget gate that is minus its input gate" in said

    def test_peepholes_belong_to_their_cell(self) -> None:
        lstm, peephole = (CONFIG.replace(cell=cell) for cell in ("lstm", "peephole"))
        with pytest.raises(ValueError, match="must hold peepholes for cell peephole"):
            random_weights(lstm).validate(peephole)
        with pytest.raises(ValueError, match="must hold no peepholes for cell lstm"):
            random_weights(peephole).validate(lstm)

    def test_validate_names_what_does_not_fit(self, good: Path) -> None:
        arrays = [array.copy() for array in read_checkpoint(good).weights.arrays()]
        ModelWeights.from_arrays(arrays).validate(CONFIG)
        with pytest.raises(ValueError, match="must have 3 recurrent layers; got 2"):
            ModelWeights.from_arrays(arrays).validate(CONFIG.replace(layers=3))
        for n, name in enumerate(ModelWeights.shapes(CONFIG)):
            for wrong in (arrays[n].astype(np.float64), arrays[n][:-1], np.full_like(arrays[n], np.inf)):
                changed = [*copy.copy(arrays)[:n], wrong, *arrays[n + 1 :]]
                with pytest.raises(ValueError, match=f"{name} must"):
                    ModelWeights.from_arrays(changed).validate(CONFIG)


@pytest.mark.parametrize("known_end", [True, False])
def test_the_end_of_a_record_keeps_its_weights_in_another_vocabulary(known_end: bool) -> None:
    known = CharTokenizer("ab", has_unknown=True, has_end=known_end)
    wanted = CharTokenizer("abc", has_unknown=True, has_end=True)
    weights, fresh = (random_weights(CONFIG.replace(vocab_size=each.vocab_size)) for each in (known, wanted))
    moved = transfer(weights, known, fresh, wanted)
    # a, b, then what is new, the unknown id, and the end.
    sources = [weights, weights, fresh, weights, weights if known_end else fresh]
    for new, (source, old) in enumerate(zip(sources, [0, 1, 2, 2, 3 if known_end else 4], strict=True)):
        np.testing.assert_array_equal(moved.embedding[new], source.embedding[old])
        np.testing.assert_array_equal(moved.head_kernel[:, new], source.head_kernel[:, old])
        assert moved.head_bias[new] == source.head_bias[old]
