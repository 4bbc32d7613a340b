"""Cores, and their hardware threads."""

import os
from pathlib import Path

import pytest

from textgen.system import cores, processor, whole_cores


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four cores with two threads each, of which the process may use the first six processors."""
    for number in range(8):
        folder = tmp_path / f"cpu{number}" / "topology"
        folder.mkdir(parents=True)
        first = number // 2 * 2
        (folder / "thread_siblings_list").write_text(f"{first}-{first + 1}\n")
    monkeypatch.setattr(processor, "_CORES", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)), raising=False)
    return tmp_path


def test_a_core_with_two_threads_counts_twice_or_once(machine: Path) -> None:
    assert (cores(), whole_cores()) == (6, 3)


def test_what_the_system_does_not_say_is_none(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "_CORES", machine / "elsewhere")
    assert whole_cores() is None
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert (cores(), whole_cores()) == (5, None)
