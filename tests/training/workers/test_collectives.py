"""The sums over the workers, as the operations of a graph."""

from typing import Any

import pytest
import tensorflow as tf

from textgen.errors import TrainingError
from textgen.training.workers.collectives import Collectives


def reduction(*, gpu: bool) -> Any:
    """The operation that sums gradients, built where another device is in force."""
    with tf.Graph().as_default() as graph, tf.device("/CPU:0"):
        Collectives(2, timeout=60.0, gpu=gpu).sum_gradients([tf.zeros((2, 3))], tf.zeros(()))
    (found,) = (each for each in graph.get_operations() if each.type == "CollectiveReduceV2")
    return found


def test_gpus_have_a_group_of_their_own_since_tensorflow_refuses_one_of_two_kinds() -> None:
    cpu, gpu = reduction(gpu=False), reduction(gpu=True)
    assert [each.get_attr("communication_hint") for each in (cpu, gpu)] == [b"ring", b"nccl"]
    assert [each.device for each in (cpu, gpu)] == ["/device:CPU:0", "/device:GPU:0"]
    keys = [[int(tf.get_static_value(each.inputs[n])) for n in (1, 2, 3)] for each in (cpu, gpu)]
    sizes, groups, instances = zip(*keys, strict=True)
    assert sizes == (2, 2) and instances[0] == instances[1] and groups[0] != groups[1]


@pytest.mark.parametrize("gpu", [False, True])
def test_a_first_sum_that_fails_is_told_and_on_gpus_what_to_do_instead(
    gpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: Any) -> None:
        raise tf.errors.InvalidArgumentError(None, None, "joining a group with incompatible device type")

    monkeypatch.setattr(tf.raw_ops, "CollectiveReduceV2", fail)
    with pytest.raises(TrainingError, match=r"cannot exchange with one another \(joining a group") as told:
        Collectives(2, timeout=60.0, gpu=gpu).check()
    assert ("--device cpu" in str(told.value)) == gpu
