"""`textgen rewrite`: lines in, lines out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from front_door import Outcome, judge, run
from small_checkpoints import forge, setting

import textgen
from textgen.runs.run import Run
from textgen.sampling.rewriting.rewriter import Rewriter

LINES = ["a little ſwelle", "", "and ſat tighte", "a little ſwelle", "x" * 30]


@pytest.fixture
def rewriter(pairs_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rewriter:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints").symlink_to(pairs_run.path.parent, target_is_directory=True)
    (tmp_path / "lines.txt").write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return textgen.load_rewriter("old_spelling")


def rewrite(*arguments: str, stdin: bytes = b"", code: int = 0) -> Outcome:
    return judge(run("rewrite", "old_spelling", *arguments, stdin=stdin), code)


def test_each_line_becomes_a_line_in_its_place(rewriter: Rewriter) -> None:
    texts = [each[0].text for each in rewriter.stream(LINES)]
    assert texts[1] == ""
    for done in (rewrite("lines.txt"), rewrite(stdin="\n".join(LINES).encode())):
        assert (done.out.splitlines(), done.err) == (texts, "")
    greedy = [each[0].text for each in rewriter.stream(LINES, beam=1, longest=4)]
    assert rewrite("lines.txt", "--beam", "1", "--longest", "4").out.splitlines() == greedy


def test_alternatives_have_a_line_each(rewriter: Rewriter) -> None:
    expected = [
        f"{each.source}\t{each.probability:.4f}\t{each.text}"
        for some in rewriter.stream(LINES, count=2, match="[a-z ]{0,9}")
        for each in some
    ]
    assert rewrite("lines.txt", "--count", "2", "--match", "[a-z ]{0,9}").out.splitlines() == expected


def test_samples_are_json_and_their_seed_is_said(rewriter: Rewriter) -> None:
    done = rewrite("lines.txt", "--sample", "--temperature", "0.8", "--json", "--count", "2", "--longest", "9")
    found = [json.loads(line) for line in done.out.splitlines()]
    seed = found[0]["seed"]
    assert done.err == f"(old_spelling, --seed {seed})\n"
    again = rewriter.stream(LINES, sample=True, temperature=0.8, count=2, longest=9, seed=seed)
    assert found == [{**each.to_json(), "run": "old_spelling"} for some in again for each in some]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--seed", "3"), 2, "--seed needs --sample."),
        (("--sample", "--beam", "3"), 2, "--beam and --sample cannot be given together."),
        (("--match", "(q"), 1, "--match"),
        (("--match", "a", "--copy-unknown"), 1, "--copy-unknown must be left out with --match;"),
        (("--beam", "0"), 1, "--beam must be"),
        (("missing.txt",), 1, "missing.txt"),
    ],
)
def test_what_cannot_be_done_is_refused(
    rewriter: Rewriter, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = rewrite(*arguments, stdin=b"a\n", code=code)
    assert message in done.err
    assert not done.out


def test_unknown_characters_are_refused_or_copied(rewriter: Rewriter) -> None:
    done = rewrite(stdin="a ☃ b\n".encode(), code=1)
    assert "never saw: '☃'" in done.err
    advice = (
        "Remove it, or pass --copy-unknown to copy it, --unknown skip to drop it or --unknown replace to replace it."
    )
    assert advice in done.err
    (found,) = rewriter.rewrite("a ☃ b", copy_unknown=True)
    assert rewrite("--copy-unknown", stdin="a ☃ b\n".encode()).out == f"{found.text}\n"


def test_runs_on_pairs_are_marked_with_their_task(rewriter: Rewriter, tmp_path: Path) -> None:
    written = tmp_path / "checkpoints" / "old_spelling" / "best.keras"
    (tmp_path / "runs" / "spaced").mkdir(parents=True)
    forge(
        written,
        tmp_path / "runs" / "spaced" / "best.keras",
        change=setting("corpus", "settings", value={"task": "noise", "noise_rate": 0.2, "strip": "none"}),
    )
    for folder, shape, task in (("checkpoints", "coupled LSTM, pairs", None), ("runs", "LSTM, pairs (noise)", "noise")):
        listed = judge(run("runs", "--checkpoints", folder), 0).out
        assert f"{shape}  " in listed
        told = json.loads(judge(run("runs", "--checkpoints", folder, "--json"), 0).out)
        assert (told["pairs"], told["task"]) == (True, task)
    shown = judge(run("info", "--checkpoints", "runs"), 0).out
    assert "LSTM, pairs (noise), embedding 8" in shown
    assert "encoder layers" in shown and "0.2" in shown


def test_a_run_on_one_text_is_refused_and_others_name_the_command(rewriter: Rewriter, home: Path) -> None:
    done = judge(run("rewrite", str(home / "checkpoints" / "tiny"), stdin=b"a\n"), 1)
    assert "does not turn one text into another" in done.err
    assert "which textgen rewrite does" in judge(run("sample", "--run", "old_spelling"), 1).err
    assert "export it as onnx or keras" in judge(run("export", "old_spelling", "--to", "html"), 1).err
