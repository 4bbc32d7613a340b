"""Runs of the version before the package was laid out anew: they load, write, go on, and end where they ended then."""

import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

import textgen
from textgen.model.read import read_checkpoint
from textgen.training.resume import resume

FORMER = Path(__file__).resolve().parents[1] / "data" / "former"
CHARACTERS = 6000
WRITTEN = json.loads((FORMER / "written.json").read_text(encoding="utf-8"))


@pytest.fixture
def run(request: pytest.FixtureRequest, tmp_path: Path, bundled_corpus: Path) -> Path:
    """The folder of a run that was stopped in its middle, and its text beside the runs."""
    (tmp_path / "haven.txt").write_bytes((bundled_corpus / "marrow_haven.txt").read_bytes()[:CHARACTERS])
    return Path(shutil.copytree(FORMER / request.param, tmp_path / "checkpoints" / request.param))


@pytest.mark.parametrize("run", sorted(WRITTEN), indirect=True)
def test_a_former_run_writes_what_it_wrote(run: Path) -> None:
    writer = textgen.load(run)
    assert writer.generate("The ", max_new_tokens=80, seed=7).text == WRITTEN[run.name]["text"]
    assert writer.score("The sea was calm.").nats == pytest.approx(WRITTEN[run.name]["nats"], rel=1e-6)


@pytest.mark.parametrize("run", sorted(WRITTEN), indirect=True)
def test_a_former_run_goes_on_to_the_end_that_it_had(run: Path) -> None:
    resume(run, sources=run.parent.parent / "haven.txt")
    ended, former = read_checkpoint(run / "last.keras"), read_checkpoint(FORMER / f"{run.name}_finished.keras")
    # On the kind of machine that made them the two are equal bit for bit; other processors round products otherwise.
    for now, then in zip(ended.weights.arrays(), former.weights.arrays(), strict=True):
        np.testing.assert_allclose(now, then, rtol=0, atol=1e-4)
    for now, then in zip(states(run / "last.keras"), states(FORMER / f"{run.name}_finished.keras"), strict=True):
        assert now == then


def states(path: Path) -> list[tuple[str, tuple[int, ...], str]]:
    """Name, shape and type of each array that a continuation needs."""
    with zipfile.ZipFile(path) as archive, np.load(io.BytesIO(archive.read("training_state.npz"))) as arrays:
        return [(name, arrays[name].shape, str(arrays[name].dtype)) for name in sorted(arrays)]
