"""How the tests themselves are run: what was skipped is told or refused, warnings are errors, in workers too."""

import tomllib
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
TESTS = """
import warnings
import pytest

def test_good(): pass
def test_skipped(): pytest.skip({reason!r})
"""


def outcome(pytester: pytest.Pytester, reason: str, *arguments: str) -> tuple[int, list[str]]:
    """The exit code of two tests with our hooks, the second skipped for a reason, and the last lines said."""
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text(encoding="utf-8"))
    pytester.makepyfile(TESTS.format(reason=reason))
    result = pytester.runpytest_inprocess(*arguments)
    return int(result.ret), result.outlines[-2:]


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_what_was_skipped_is_told_and_can_be_refused(pytester: pytest.Pytester, workers: str) -> None:
    for arguments, expected in (((), 0), (("--no-skips",), 1)):
        code, lines = outcome(pytester, "needs a browser; install one", workers, *arguments)
        assert code == expected
        assert lines[0] == "Skipped 1: needs a browser; install one"
        assert "1 passed, 1 skipped" in lines[1]


def test_the_real_texts_may_be_missing_anywhere(pytester: pytest.Pytester) -> None:
    reason = "the tests on real texts need TEXTGEN_CORPORA to name their folder; /nowhere has none"
    assert outcome(pytester, reason, "-n0", "--no-skips")[0] == 0


def test_a_warning_fails_a_test_in_a_worker_too(pytester: pytest.Pytester) -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    pytester.makeini("[pytest]\nfilterwarnings =\n" + "\n".join(f"    {each}" for each in options["filterwarnings"]))
    pytester.makepyfile("import warnings\ndef test_it(): warnings.warn('a word of warning')")
    pytester.runpytest_inprocess("-n1").assert_outcomes(failed=1)
