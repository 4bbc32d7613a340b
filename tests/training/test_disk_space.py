"""A run that the disk cannot take is refused before it trains."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny_runs import TINY, WHOLE, everything

from textgen.errors import RunError
from textgen.model.read import read_metadata
from textgen.runs.run import Run
from textgen.training.disk_space import check_disk_space, checkpoint_sizes
from textgen.training.resume import resume
from textgen.training.start import train


def figures(message: str) -> list[float]:
    """The megabytes that a message names."""
    return [float(number.replace(",", "")) for number in re.findall(r"([\d,.]+) MB", message)]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """How many bytes are free, and the folders that were asked about."""
    told = SimpleNamespace(free=0, folders=[])

    def usage(folder: Path) -> Any:
        assert folder.is_dir()
        told.folders.append(folder)
        return SimpleNamespace(free=told.free)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    return told


SHAPES: list[dict[str, Any]] = [
    {"cell": "gru", "units": 64},
    {"cell": "lstm", "layers": 3, "units": 96, "batch_size": 64},
    {"cell": "coupled", "layers": 5, "units": 24},
    {"cell": "peephole", "layers": 2},
    {"cell": "coupled", "layers": 2, "sides": "both"},
]


@pytest.mark.parametrize(
    ("shape", "vocabulary"),
    [
        (SHAPES[0], 3000),
        (SHAPES[1], 60),
        *(
            pytest.param(SHAPES[n], vocabulary, marks=pytest.mark.slow)
            for n, vocabulary in ((0, 60), (1, 3000), (2, 60), (2, 3000), (3, 60), (3, 3000), (4, 60), (4, 3000))
        ),
    ],
)
def test_the_sizes_are_known_beforehand(shape: dict[str, Any], vocabulary: int, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("".join(map(chr, range(0x4E00, 0x4E00 + vocabulary))) * (12000 // vocabulary))
    settings = {**TINY, **shape, "epochs": 0.01, "seed": 1}
    run = train(tmp_path / "text.txt", name="run", checkpoints=tmp_path, **settings)
    expected = checkpoint_sizes(read_metadata(run.last).model, settings["batch_size"])
    for size, path in zip(expected, (run.best, run.last), strict=True):
        there = path.stat().st_size
        assert there <= size + 10_000
        assert size <= 1.1 * there + 15_000


def test_a_full_disk_is_told_before_training_with_what_is_missing(
    bundled_corpus: Path, tmp_path: Path, disk: SimpleNamespace
) -> None:
    disk.free = 123_456
    text, folder = bundled_corpus / "marrow_haven.txt", tmp_path / "deep" / "checkpoints"
    with pytest.raises(RunError) as told:
        train(text, name="run", checkpoints=folder, epochs=0.1, **TINY)
    message = str(told.value)
    needed, free = figures(message)
    assert free == 0.1
    assert message.endswith("Free some space, choose another --checkpoints, or fewer units or layers.")
    assert not (folder / "run").exists()
    disk.free = int(1e6 * needed + 1e5)
    train(text, name="run", checkpoints=folder, epochs=0.01, **TINY)


def test_both_files_and_a_new_copy_beside_them_must_fit(uncut: Run, tmp_path: Path, disk: SimpleNamespace) -> None:
    metadata = read_metadata(uncut.last)
    batch_size = WHOLE["batch_size"]
    best, last = checkpoint_sizes(metadata.model, batch_size)
    fresh = Run(tmp_path / "not" / "there")
    disk.free = best + 2 * last
    with pytest.raises(RunError):
        check_disk_space(fresh, metadata.model, batch_size)
    assert disk.folders == [tmp_path]
    disk.free += 200_000
    check_disk_space(fresh, metadata.model, batch_size)


def test_what_is_there_already_counts_in_a_continuation(uncut: Run, tmp_path: Path, disk: SimpleNamespace) -> None:
    run = Run(shutil.copytree(uncut.path, tmp_path / "whole"))
    before = everything(run)
    _, last = checkpoint_sizes(read_metadata(run.last).model, WHOLE["batch_size"])
    disk.free = last
    with pytest.raises(RunError):
        resume("whole", checkpoints=tmp_path)
    assert everything(run) == before
    disk.free = last + 220_000
    resume("whole", checkpoints=tmp_path)


def test_a_limit_on_the_size_of_files_is_told_before_training(bundled_corpus: Path, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
    try:
        with pytest.raises(RunError, match=r"Raise the limit \(ulimit -f\)") as told:
            train(bundled_corpus / "marrow_haven.txt", name="run", checkpoints=tmp_path, epochs=0.1, **TINY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert figures(str(told.value))[1] == 0.0
