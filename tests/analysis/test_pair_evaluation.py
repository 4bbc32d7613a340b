"""How well texts are turned into others, against counts and losses computed by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from front_door import judge, run
from pages import data_of, unpacked
from small_pairs import SOURCES, TARGETS, random_rewriter, slow_logprob

import textgen
from textgen.analysis.evaluation.pairs import evaluate_pairs
from textgen.config import CorpusConfig, RewriteConfig
from textgen.corpus import encode_corpus, open_corpus
from textgen.corpus.pairs import EncodedPairs
from textgen.errors import ConfigError, RunError
from textgen.runs.run import Run

REPORT = ["character errors", "  of the sources as they are", "texts not exactly right", "nats per character"]


def test_rates_are_those_counted_by_hand() -> None:
    rewriter = random_rewriter(SOURCES, TARGETS, seed=3)
    sources = ["abcd", "a", "ddca"]
    first, second, third = (found[0].text for found in rewriter.stream(sources))
    pairs = [("abcd", first), ("a", second + "w"), ("a", second + "wx"), ("ddca", third + "zzz")]
    found = evaluate_pairs(rewriter, pairs, title="given")
    targets = [first, second + "w", third + "zzz"]
    assert found.error_rate.value == pytest.approx(4 / sum(map(len, targets)))
    assert found.wrong.value == pytest.approx(2 / 3)
    # No character of a source is in a target.
    longest = [max(map(len, each)) for each in zip(sources, targets, strict=True)]
    assert found.unchanged_error_rate.value == pytest.approx(sum(longest) / sum(map(len, targets)))
    losses = [-slow_logprob(rewriter, source, target) for source, target in pairs]
    assert found.nats.value == pytest.approx(sum(losses) / sum(len(t) + 1 for _, t in pairs), abs=1e-5)
    assert (found.sources, found.of, found.pairs, found.wrong.interval) == (3, 3, 4, None)
    assert [(each.source, each.errors, each.target) for each in found.worst] == [
        ("ddca", 3, third + "zzz"),
        ("a", 1, second + "w"),
    ]
    assert [each.probability for each in found.certain] == sorted((e.probability for e in found.certain), reverse=True)
    with pytest.raises(ConfigError, match="sample must be False"):
        evaluate_pairs(rewriter, pairs, config=RewriteConfig(sample=True))
    with pytest.raises(ConfigError, match="pairs must be at least one"):
        evaluate_pairs(rewriter, [])


def test_without_pairs_those_held_out_are_judged(
    pairs_run: Run, bundled_corpus: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    encoded = encode_corpus(open_corpus(bundled_corpus / "old_spelling.tsv", config=CorpusConfig(pairs=True)))
    assert isinstance(encoded, EncodedPairs)
    held_out = [encoded.pair(n) for n in range(encoded.pairs.training, len(encoded.pairs))]
    rewriter = textgen.load_rewriter(pairs_run.path)
    found = json.loads(judge(run("eval", str(pairs_run.path), "--json"), 0).out)
    assert (found["split"], found["pairs"]) == ("held-out", len(held_out))
    (tmp_path / "given.tsv").write_text("".join(f"{one}\t{other}\n" for one, other in held_out), encoding="utf-8")
    given = json.loads(judge(run("eval", str(pairs_run.path), "given.tsv", "--json"), 0).out)
    assert {**given, "split": "held-out", "title": found["title"]} == found
    low, high = found["error_rate"]["interval"]
    assert low < found["error_rate"]["value"] < high
    lines = judge(run("eval", str(pairs_run.path), "given.tsv"), 0).out.splitlines()
    assert [line[:28].rstrip() for line in lines[5:9]] == REPORT
    assert "The most certain wrong ones:" in lines
    (tmp_path / "long.tsv").write_text(f"{'a' * 90}\t{'b' * 71}\n", encoding="utf-8")
    shown = judge(run("eval", str(pairs_run.path), "long.tsv"), 0).out
    assert f"  {'a' * 70} ..." in shown and f"  {'b' * 70} ...\n" in shown and "a" * 71 not in shown
    assert "--windows has no meaning" in judge(run("eval", str(pairs_run.path), "--windows", "3"), 2).err
    (tmp_path / "empty.tsv").write_text("a\t\n")
    assert "has no pair with a target" in judge(run("eval", str(pairs_run.path), "empty.tsv"), 1).err
    with pytest.raises(RunError, match=r"Name the place of its pairs with corpus, or give other pairs\."):
        evaluate_pairs(rewriter, corpus=tmp_path / "given.tsv")


def test_a_page_shows_where_the_model_looked(
    pairs_run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    judge(run("eval", str(pairs_run.path), "--html", "page.html"), 0)
    rewriter = textgen.load_rewriter(pairs_run.path)
    shown = data_of((tmp_path / "page.html").read_text(encoding="utf-8"))["pairs"]
    assert 10 <= len(shown) <= 20
    for each in shown[:3]:
        (looked,) = rewriter.read([each["source"]], [each["text"]])
        weights = unpacked(each["weights"]).reshape(len(each["text"]) + 1, len(each["source"]) + 1)
        np.testing.assert_allclose(weights / 255, looked.attention, atol=0.003)
    refused = run("eval", str(home / "checkpoints" / "tiny"), "--html", "page.html")
    assert "--html needs a run on pairs" in judge(refused, 2).err
