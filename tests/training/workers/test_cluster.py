"""The workers follow from the settings, from TF_CONFIG or from Slurm's variables."""

import json

import pytest

from textgen.config import WorkersConfig
from textgen.errors import ConfigError
from textgen.training.workers.cluster import Cluster, find_cluster

TWO = ["a:4001", "b:4001"]


def test_addresses_and_index_are_taken_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": ["x:1", "y:1"]}, "task": {}}))
    assert find_cluster(WorkersConfig(workers="a:4001,b:4001", worker=1)) == Cluster(("a:4001", "b:4001"), 1)
    assert find_cluster(WorkersConfig(workers="none")) is None


def test_without_workers_there_is_one_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setenv("SLURM_PROCID", "1")
    assert find_cluster(WorkersConfig()) is None
    monkeypatch.setenv(
        "TF_CONFIG", json.dumps({"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}})
    )
    assert find_cluster(WorkersConfig()) is None


@pytest.mark.parametrize(
    ("cluster", "task", "expected"),
    [
        ({"worker": TWO}, {"type": "worker", "index": 1}, Cluster(("a:4001", "b:4001"), 1)),
        ({"chief": ["c:1"], "worker": TWO}, {"type": "chief", "index": 0}, Cluster(("c:1", "a:4001", "b:4001"), 0)),
        ({"chief": ["c:1"], "worker": TWO}, {"type": "worker", "index": "1"}, Cluster(("c:1", "a:4001", "b:4001"), 2)),
    ],
)
def test_tf_config_names_the_workers(
    cluster: dict[str, list[str]], task: dict[str, object], expected: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    assert find_cluster(WorkersConfig()) == expected
    assert find_cluster(WorkersConfig(worker=expected.index)) == expected
    with pytest.raises(ConfigError, match="worker must be left out"):
        find_cluster(WorkersConfig(worker=expected.index + 1))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"cluster": {"worker": ["a:1", "b:1"]}}',
        '{"cluster": {"worker": ["a:1", "b:1"], "ps": ["c:1"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
        '{"cluster": {"worker": ["a", "b"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "evaluator", "index": 0}}',
    ],
)
def test_a_tf_config_that_makes_no_sense_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ConfigError, match="TF_CONFIG must be as TensorFlow has it"):
        find_cluster(WorkersConfig())


def test_slurms_variables_name_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_PROCID", "2")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "3")
    monkeypatch.setenv("SLURM_STEP_NODELIST", "node[07-08]")
    monkeypatch.setenv("SLURM_STEP_TASKS_PER_NODE", "2,1")
    expected = ("node07:8888", "node07:8889", "node08:8888")
    assert find_cluster(WorkersConfig(workers="slurm")) == Cluster(expected, 2)
    monkeypatch.delenv("SLURM_STEP_NODELIST")
    with pytest.raises(ConfigError, match="only in a job step of Slurm"):
        find_cluster(WorkersConfig(workers="slurm"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"workers": "a:4001,b:4001"}, "worker must be given on each machine"),
        ({"workers": "a:4001,b:4001", "worker": 2}, r"worker must be in \[0, 1\]"),
        ({"workers": "a:4001,a:4001", "worker": 0}, "workers must be different addresses"),
        ({"workers": "a,b", "worker": 0}, "workers must be host:port of each worker"),
        ({"worker": 1}, "worker must be left out"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, object], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ConfigError, match=words):
        find_cluster(WorkersConfig(**settings))
