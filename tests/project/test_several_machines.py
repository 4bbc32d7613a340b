"""The scripts of `examples/several-machines/`: their form, and the commands in them; not Ray Train's."""

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from textgen.cli import cli
from textgen.config import WorkersConfig
from textgen.training.workers.cluster import Cluster

FOLDER = Path(__file__).parents[2] / "examples" / "several-machines"


def settings(words: list[str]) -> dict[str, Any]:
    """What a command line of `textgen train` sets."""
    assert words[0] == "textgen"
    ctx = cli.make_context("textgen", words[1:])
    command = cli.get_command(ctx, words[1])
    assert command is not None
    return command.make_context(words[1], words[2:], parent=ctx).params


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    """The manifest's objects by their kind."""
    return {each["kind"]: each for each in yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text())}


def test_the_job_of_kubernetes_has_a_pod_for_each_worker_under_its_address(manifest: dict[str, Any]) -> None:
    service, job = manifest.pop("Service"), manifest.pop("Job")
    assert not manifest and (service["apiVersion"], job["apiVersion"]) == ("v1", "batch/v1")
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"] == ["sh", "-c"] and pod["restartPolicy"] == "Never"
    assert spec["completionMode"] == "Indexed" and spec["backoffLimit"] == 0
    (line,) = container["args"]
    # An Indexed Job's pods have the names JOB-INDEX, and under a headless Service those are names of hosts.
    for index in range(spec["completions"]):
        chosen = settings(shlex.split(line.replace("$JOB_COMPLETION_INDEX", str(index))))
        workers = WorkersConfig(**WorkersConfig.among({k: v for k, v in chosen.items() if v is not None}))
        hosts = [f"{job['metadata']['name']}-{n}.{service['metadata']['name']}" for n in range(spec["completions"])]
        assert workers.worker == index and [each.rpartition(":")[0] for each in workers.addresses] == hosts
    assert spec["parallelism"] == spec["completions"], "all are needed at once"
    assert pod["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None" and service["spec"]["publishNotReadyAddresses"] is True
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    cluster = Cluster(workers.addresses, 0)
    assert [each["containerPort"] for each in container["ports"]] == [cluster.port, cluster.control[1]]
    assert [each["name"] for each in container["volumeMounts"]] == [each["name"] for each in pod["volumes"]]
    (mount,) = container["volumeMounts"]
    assert {Path(chosen["checkpoints"]).parent, Path(chosen["sources"][0]).parent} == {Path(mount["mountPath"])}


@pytest.mark.parametrize("name", ["namespaces.sh", "slurm.sh"])
def test_a_script_is_one_that_the_shell_can_read(name: str) -> None:
    done = subprocess.run(["sh", "-n", FOLDER / name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_script_for_slurm_starts_the_command_in_each_task(tmp_path: Path) -> None:
    srun = tmp_path / "srun"
    srun.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    srun.chmod(0o755)
    words = ["my poems.txt", "--time", "3m"]
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", FOLDER / "slurm.sh", *words], env=environment, capture_output=True, text=True, check=True
    )
    started = done.stdout.splitlines()
    assert started == ["textgen", "train", *words, "--workers", "slurm"]
    assert settings(started)["workers"] == "slurm"
