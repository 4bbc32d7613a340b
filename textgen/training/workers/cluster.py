"""Which workers train a run: from the settings, from TF_CONFIG or from Slurm's variables."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from textgen.config import WorkersConfig
from textgen.config.workers import ALONE, SLURM, is_address
from textgen.errors import ConfigError
from textgen.training.framework import load_framework

_SLURM_PORT = 8888
"""The port of a node's first worker under Slurm, as TensorFlow's resolver has it by default."""

_MOST = 1024
"""Tasks of a node: the resolver has as many as GPUs, real or not."""


@dataclass(frozen=True)
class Cluster:
    """The workers of a run.

    Args:
        addresses: host:port of each.
        index: which of them this process is.

    Example:
        >>> cluster = Cluster(("a:4001", "a:4002", "b:4001"), 1)
        >>> cluster.port, cluster.control, cluster.name(2)
        (4002, ('a', 4003), 'Worker 2 (b:4001)')
    """

    addresses: tuple[str, ...]
    index: int

    @property
    def size(self) -> int:
        """The number of workers."""
        return len(self.addresses)

    @property
    def port(self) -> int:
        """The port of this worker's TensorFlow server."""
        return int(self.addresses[self.index].rpartition(":")[2])

    @property
    def control(self) -> tuple[str, int]:
        """Where worker 0 listens for messages: on the port after the last one on its host."""
        host = _host(self.addresses[0])
        last = max(int(each.rpartition(":")[2]) for each in self.addresses if _host(each) == host)
        return host.strip("[]"), last + 1 if last < 65535 else last - self.size

    def name(self, index: int) -> str:
        """A worker in words."""
        return f"Worker {index} ({self.addresses[index]})"


def find_cluster(config: WorkersConfig) -> Cluster | None:
    """The workers of this run; None for one machine.

    Args:
        config: `workers`, where it is given, goes before TF_CONFIG in the environment.

    Raises:
        ConfigError: the workers are given but not which of them this is, or the environment's variables make no sense.
    """
    if config.workers == ALONE:
        return None
    found: Cluster | None = None
    if config.workers == SLURM:
        found = _from_slurm()
    elif config.addresses:
        if config.worker is None:
            raise ConfigError(
                f"worker must be given on each machine, with the same workers: 0 on {config.addresses[0]}, which "
                f"saves the run, up to {len(config.addresses) - 1} on {config.addresses[-1]}.",
                field="worker",
                others=("workers",),
            )
        found = Cluster(config.addresses, config.worker)
    elif os.environ.get("TF_CONFIG", "").strip():
        found = _from_tf_config(os.environ["TF_CONFIG"])
    if config.worker is not None and (found is None or found.index != config.worker):
        raise ConfigError(
            "worker must be left out where workers is, or be the one that the environment says.",
            field="worker",
            others=("workers",),
        )
    return found if found is not None and found.size > 1 else None


def _from_tf_config(text: str) -> Cluster | None:
    """The cluster that TensorFlow's TF_CONFIG describes: "chief", if there is one, is worker 0."""
    try:
        values: Any = json.loads(text)
        jobs = {name: list(each) for name, each in dict(values.get("cluster") or {}).items()}
        if not jobs:
            return None
        task = dict(values["task"])
        kind, number = str(task["type"]), int(task["index"])
        addresses = [*jobs.pop("chief", []), *jobs.pop("worker", [])]
        before = len(addresses) - len(values["cluster"].get("worker", [])) if kind == "worker" else 0
        fits = all(isinstance(each, str) and is_address(each) for each in addresses)
        if jobs or kind not in ("chief", "worker") or not fits or not 0 <= before + number < len(addresses):
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ConfigError(
            'TF_CONFIG must be as TensorFlow has it, with workers only: {"cluster": {"worker": ["host1:4001", '
            f'"host2:4001"]}}, "task": {{"type": "worker", "index": 0}}}}; got {text[:200]!r}. Set it so on each '
            "machine, or name the workers."
        ) from None
    return Cluster(tuple(addresses), before + number)


def _from_slurm() -> Cluster:
    """The tasks of this Slurm job step, by TensorFlow's resolver."""
    load_framework()
    import tensorflow as tf

    try:
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=_SLURM_PORT, gpus_per_node=_MOST, gpus_per_task=1, auto_set_gpu=False
        )
        addresses = resolver.cluster_spec().job_tasks("worker")
        index = int(resolver.get_task_info()[1])
    except (RuntimeError, ValueError, KeyError) as error:
        raise ConfigError(
            f"workers can be slurm only in a job step of Slurm, and its variables are not complete here ({error}). "
            "Start the workers with srun.",
            field="workers",
        ) from None
    return Cluster(tuple(addresses), index)


def _host(address: str) -> str:
    return address.rpartition(":")[0]
