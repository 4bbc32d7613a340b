"""The model of a step's costs, the number of shards that follows from it, and that cores do not change results."""

import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgen.config import CELLS, SIZES, ModelConfig
from textgen.training.shards import MEASURED, Costs, amounts, choose_shards, divisors, sharded_seconds

SMALL = ModelConfig(vocab_size=65, **SIZES["small"])
NOTHING = Costs(**{field.name: 0.0 for field in fields(Costs)})


def model(size: str = "small", cell: str = "coupled") -> ModelConfig:
    return ModelConfig(vocab_size=65, cell=cell, **SIZES[size])


@pytest.mark.parametrize("cell", CELLS)
def test_the_amounts_are_those_of_a_count_by_array(cell: str) -> None:
    shape = ModelConfig(vocab_size=7, cell=cell, layers=3, units=5, embedding=4)
    paid = amounts(shape, 32, 10, 2)
    gates = 5 * shape.free_gates
    products = [(gates, features) for features in (4, 5, 5)] + [(gates, 5)] * 3 + [(7, 5)]
    # Forward, and backward for either factor; a multiplication and an addition; ten steps of sixteen streams.
    assert paid.operation == sum(rows * columns * 3 * 2 * 10 * 16 for rows, columns in products)
    assert (paid.step, paid.value, paid.spill) == (3 * 10, 3 * 10 * 5 * 16, 3 * 10 * 5 * 16**2)
    assert paid.update == paid.copy == shape.stored
    sampled = amounts(shape.replace(vocab_size=5000), 32, 10, 2, negatives=7)
    assert sampled.operation == paid.operation


def test_a_product_of_a_time_step_is_at_least_as_wide_as_a_register() -> None:
    wide, narrow = (amounts(SMALL, 32, 64, shards).operation for shards in (4, 8))
    in_steps = 4 * 2 * SMALL.free_gates * 256**2 * 64 * 8
    assert narrow - in_steps == pytest.approx((wide - in_steps) / 2)


def test_each_cost_is_divided_among_the_cores_or_is_not() -> None:
    def seconds(cost: str, shards: int, cores: int) -> float:
        return sharded_seconds(SMALL, 64, 64, shards=shards, cores=cores, costs=replace(NOTHING, **{cost: 1.0}))

    for cost in ("operation", "value"):
        assert seconds(cost, 2, 1) == seconds(cost, 1, 1) == 2 * seconds(cost, 2, 2) == 4 * seconds(cost, 4, 8)
    for cost in ("copy", "step"):
        assert seconds(cost, 2, 1) == 2 * seconds(cost, 1, 1) == 2 * seconds(cost, 2, 2)
    assert seconds("spill", 1, 1) == 2 * seconds("spill", 2, 1) == 4 * seconds("spill", 2, 2)
    assert seconds("update", 1, 1) == seconds("update", 8, 1) == seconds("update", 8, 8) == SMALL.stored


def test_each_further_busy_core_slows_all() -> None:
    costs = replace(NOTHING, step=1.0, contention=0.1)
    found = [sharded_seconds(SMALL, 32, 64, shards=n, cores=4, costs=costs) for n in (1, 2, 4, 8)]
    assert found == pytest.approx([128, 128 * 1.1, 128 * 1.3, 2 * 128 * 1.3])


@given(batch=st.integers(1, 300), cores=st.integers(1, 4), size=st.sampled_from(list(SIZES)))
def test_up_to_four_cores_the_number_is_what_it_always_was(batch: int, cores: int, size: str) -> None:
    wanted = min(cores, max(1, batch // 8))
    former = max(count for count in range(1, min(wanted, batch) + 1) if batch % count == 0)
    assert choose_shards(model(size), batch, 64, cores) == former


@given(batch=st.integers(1, 128), cores=st.integers(5, 64), size=st.sampled_from(list(SIZES)))
def test_on_more_cores_it_is_nearly_the_quickest_of_all_that_are_allowed(batch: int, cores: int, size: str) -> None:
    def seconds(shards: int) -> float:
        return sharded_seconds(model(size), batch, 64, shards=shards, cores=cores)

    chosen = choose_shards(model(size), batch, 64, cores)
    allowed = [n for n in range(1, cores + 1) if batch % n == 0 and (n == 1 or batch // n >= 4)]
    assert chosen in allowed
    assert seconds(chosen) <= min(map(seconds, allowed)) / 0.9


def test_a_machine_of_which_all_costs_are_twice_as_high_gets_the_same_shards() -> None:
    names = [field.name for field in fields(Costs) if field.name != "contention"]
    slow = replace(MEASURED, **{name: 2 * getattr(MEASURED, name) for name in names})
    for size in SIZES:
        for cores in (6, 8, 16, 64):
            assert choose_shards(model(size), 32, 64, cores, costs=slow) == choose_shards(model(size), 32, 64, cores)


def test_all_cores_are_used_where_that_costs_nothing_and_one_where_it_gains_nothing() -> None:
    assert choose_shards(SMALL, 128, 64, 16, costs=replace(NOTHING, operation=1.0)) == 16
    assert choose_shards(SMALL, 128, 64, 16, costs=replace(NOTHING, update=1.0, operation=1e-9)) == 1


def test_divisors_of_a_prime() -> None:
    assert divisors(31) == [1, 31]


PROGRAM = """
import hashlib, sys
import textgen.training.framework
with textgen.training.framework.default_framework():
    import textgen.training.placement as placement
    placement.cores = lambda: int(sys.argv[1])
import textgen
run = textgen.train("text.txt", name="run" + sys.argv[1], epochs=0.1, shards=4, units=24, layers=2, seed=1,
                    device="cpu", precision="float32", batch_size=8, sequence_length=16, validate_every=1000)
from textgen.model.read import read_checkpoint
digest = hashlib.sha256()
for array in read_checkpoint(run.last).weights.arrays():
    digest.update(array.tobytes())
print(digest.hexdigest())
"""


@pytest.mark.slow
def test_the_same_shards_on_other_cores_give_the_same_weights_to_the_last_bit(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("the sea and the ship went on to the land of the free\n" * 100)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    found = []
    for cores in (1, 8):
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(cores)], cwd=tmp_path, env=environment, capture_output=True, text=True,
            timeout=300, check=False,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        found.append(run.stdout)
    assert len(found[0].strip()) == 64
    assert found[1] == found[0]
