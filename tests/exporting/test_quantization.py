"""Packed weights: what comes back is close, tied gates stay tied, and the bytes are what the description says."""

import base64
import string

import numpy as np
import pytest
from exported import as_stored
from small_models import random_writer

from textgen.config import CELLS, Cell
from textgen.errors import ConfigError
from textgen.exporting.quantization import Kind, PackedMatrix, PackedWeights

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("kind", "most"), [("int8", 0.5 / 127), ("int6", 0.5 / 31), ("float16", 2.0**-11), ("float32", 0.0)]
)
def test_a_row_comes_back_to_within_half_a_step_of_its_own_scale(kind: Kind, most: float) -> None:
    matrix = (RNG.standard_normal((40, 30)) * 10.0 ** RNG.integers(-4, 4, (40, 1))).astype(np.float32)
    restored = PackedMatrix.of(matrix, kind).restored()
    highest = np.abs(matrix).max(axis=1, keepdims=True)
    assert (np.abs(restored - matrix) <= (most + 1e-6) * highest).all()
    assert (restored != matrix).any() == (kind != "float32")


def test_the_highest_of_a_row_is_exact_and_zeros_stay_zero() -> None:
    matrix = np.array([[0.1, -0.3, 0.2], [0.0, 0.0, 0.0]], np.float32)
    restored = PackedMatrix.of(matrix, "int8").restored()
    assert restored[0, 1] == pytest.approx(-0.3, rel=1e-6)
    assert not restored[1].any()


def test_what_float16_cannot_hold_becomes_its_largest_number() -> None:
    assert PackedMatrix.of(np.array([[1e6, -1e6]], np.float32), "float16").restored().tolist() == [[65504.0, -65504.0]]


@pytest.mark.parametrize("cell", CELLS)
def test_float32_weights_come_back_whole_and_rounded_ones_are_a_model_again(cell: Cell) -> None:
    writer = random_writer(cell=cell, units=10)
    for before, after in zip(writer.weights.arrays(), as_stored(writer, "float32").weights.arrays(), strict=True):
        np.testing.assert_array_equal(before, after)
    as_stored(writer).weights.validate(writer.config)


@pytest.mark.parametrize("cell", CELLS)
def test_the_bytes_are_those_of_the_matrices_each_in_groups_of_four(cell: Cell) -> None:
    writer = random_writer(cell=cell, units=9, embedding=3)
    packed = PackedWeights.of(writer.config, writer.weights, "int8")
    data, at, stored = packed.to_bytes(), 0, 0
    for each in packed.described():
        size = each["rows"] * each["columns"]
        scales = np.frombuffer(data, "<f4", each["rows"] if each["kind"] == "int8" else 0, at)
        at += scales.nbytes
        values = np.frombuffer(data, {"int8": "<i1", "float32": "<f4"}[each["kind"]], size, at)
        at += values.nbytes + -values.nbytes % 4
        matrix = values.reshape(each["rows"], each["columns"]) * (scales[:, None] if len(scales) else np.float32(1))
        np.testing.assert_array_equal(matrix, packed.matrices[each["name"]].restored())
        stored += size
    assert (at, stored) == (len(data), writer.config.weights)


def test_six_bits_a_weight_are_a_character_of_base64_a_weight() -> None:
    matrix = PackedMatrix.of(RNG.standard_normal((7, 9)).astype(np.float32), "int6")
    assert matrix.scales is not None
    text = base64.b64encode(matrix.to_bytes()[matrix.scales.nbytes :]).decode()
    digits = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
    assert [digits.index(each) - 32 for each in text[: matrix.values.size]] == matrix.values.ravel().tolist()


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(ConfigError, match="weights must be one of int8, int6, float16, float32; got 'int4'"):
        PackedMatrix.of(np.zeros((1, 1), np.float32), "int4")  # type: ignore[arg-type]
