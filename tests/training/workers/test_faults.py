"""A worker is killed: the other ends in a sentence that names it, and the run is saved and whole."""

import random

import pytest

from benchmarks import workers


@pytest.mark.slow
def test_a_killed_worker_is_named_and_what_was_saved_is_whole() -> None:
    found = workers.fault("kill", random.Random(113))
    assert (found["hangs"], found["tracebacks"], found["torn"]) == (0, 0, False)
    words, (before, after) = found["last words"][1 - found["victim"]], found["saved"]
    assert words.startswith(f"Error: Worker {found['victim']} (127.0.0.1:")
    assert before is not None and after >= before
    assert found["victim"] == 1, "the seed decides which, and that it is soon"
    assert f"Everything up to step {after:,} is saved." in words and "--resume" in words
