"""Every benchmark runs, with a second's work: what fails is an error, and what is not installed has no figure."""

import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import (
    against,
    cells,
    classify,
    cores,
    encode,
    exits,
    gpu,
    harness,
    memory,
    names,
    page,
    pairs,
    quality,
    recipe,
    restore,
    sample_speed,
    serve,
    train_speed,
    workers,
)
from benchmarks.texts import TEXTS, Text
from textgen.config import CELLS
from textgen.training.shards import MEASURED

PROGRAMS = {
    module.__name__.split(".")[-1]: module
    for module in (
        cells,
        classify,
        cores,
        encode,
        exits,
        gpu,
        memory,
        names,
        page,
        pairs,
        quality,
        recipe,
        restore,
        sample_speed,
        serve,
        train_speed,
        workers,
    )
}


@pytest.fixture
def text(tmp_path: Path, bundled_corpus: Path) -> str:
    path = tmp_path / "text.txt"
    path.write_text((bundled_corpus / "marrow_haven.txt").read_text()[:20_000])
    return str(path)


def test_no_benchmark_is_left_out() -> None:
    programs = {path.stem for path in (harness.ROOT / "benchmarks").glob("*.py")} - {
        "__init__",
        "costs",
        "faults",
        "harness",
        "links",
        "texts",
    }
    assert programs == {*PROGRAMS, "against"}


@pytest.mark.parametrize("name", [*PROGRAMS, "against"])
def test_every_benchmark_has_its_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        (PROGRAMS | {"against": against})[name].main(["--help"])
    assert ended.value.code == 0 and "--out" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_benchmark_prints_a_figure_or_a_word_in_each_row_and_names_the_default_cell(
    name: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = f"lstm,{harness.DEFAULT_CELL}"
    given = {
        "cells": [text, "--cells", cells],
        "quality": [text],
        "exits": [text],
        "restore": [text],
        "pairs": ["spaces", text],
    }
    out = tmp_path / "out.json"
    PROGRAMS[name].main([*given.get(name, []), "--smoke", "--out", str(out)])
    printed = capsys.readouterr().out
    assert printed.startswith(f"{name}: date ")
    rows = [line for line in printed.splitlines() if line.startswith("| ")]
    assert len(rows) > 1
    # Reading a table takes no model.
    assert name == "encode" or harness.DEFAULT_CELL in printed
    assert "nan" not in printed
    assert json.loads(out.read_text())["benchmark"] == name


@pytest.mark.slow
def test_the_speed_of_pairs_is_that_of_targets_beside_keras(capsys: pytest.CaptureFixture[str]) -> None:
    pairs.main(["speed", "--smoke"])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows[1:]] == [f"| {name}" for name in pairs.CONTENDERS]
    assert rows[-1].endswith("| 1.00x |") and not any("| 0 |" in row for row in rows)


def test_without_a_gpu_its_benchmark_says_so_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "child", lambda *_: {"gpus": 0})
    with pytest.raises(SystemExit, match="sees no GPU") as caught:
        gpu.main([])
    assert isinstance(caught.value.code, str), "a text as exit code: printed on standard error, and the code is 1"


def test_losses_of_two_machines_come_together_in_one_file_and_none_is_trained_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained: list[tuple[str, str, int]] = []

    def child(_: str, __: Any, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        if name == "device":
            return {"gpus": int(settings["device"] == "gpu" and has_gpu)}
        trained.append((name, settings["device"], settings["seed"]))
        return {"steps": 9, "loss": 1.5 + 0.1 * settings["seed"] + 0.01 * (settings["device"] == "gpu")}

    monkeypatch.setattr(harness, "child", child)
    out, line = str(tmp_path / "gpu.json"), ["--part", "losses", "--seeds", "1,2", "--jobs", "4"]
    has_gpu = False
    gpu.main([*line, "--only", "cpu", "--out", out])
    assert {device for _, device, _ in trained} == {"cpu"}
    assert len(trained) == 2 * len(CELLS)
    has_gpu = True
    capsys.readouterr()
    gpu.main([*line, "--out", out])
    assert {device for _, device, _ in trained[2 * len(CELLS) :]} == {"gpu"}
    assert len(set(trained)) == len(trained) == 4 * len(CELLS)
    row = "| lstm | 9 | 1.6500 (1.6000 to 1.7000) | 1.6600 (1.6100 to 1.7100) | +0.0100 | 0.0707 | yes |"
    assert row in capsys.readouterr().out
    gpu.main([*line, "--epochs", "2", "--out", out])
    assert len(trained) == 8 * len(CELLS), "other settings are other runs"


def test_the_constants_of_the_costs_are_found_again_in_what_follows_from_them() -> None:
    true = dataclasses.replace(MEASURED, contention=0.05)
    rows = [
        {"size": size, "batch": batch, "cores": count, "shards": shards, "precision": "float32"}
        for size in ("tiny", "small", "large")
        for batch in (32, 64)
        for count in (1, 2, 4)
        for shards in (1, 2, 4, 8)
    ]
    rows = [{**row, "seconds": cores.predicted(row, true)} for row in rows]
    found, error = cores.fit(rows)
    assert error < 0.01
    assert found.contention == pytest.approx(0.05)
    assert found.operation == pytest.approx(true.operation, rel=0.1)
    assert [cores.predicted(row, found) for row in rows] == pytest.approx([row["seconds"] for row in rows], rel=0.02)


def test_the_n_grams_are_those_of_a_slow_count() -> None:
    rng = np.random.default_rng(0)
    training, held_out = (rng.choice(4, size, p=(0.5, 0.3, 0.15, 0.05)) for size in (200, 40))

    def likely(before: tuple[int, ...], each: int) -> float:
        lower = 0.25 if not before else likely(before[1:], each)
        size = len(before)
        grams = [tuple(training[n : n + size + 1]) for n in range(len(training) - size)]
        total = sum(gram[:-1] == before for gram in grams)
        kinds = len({gram for gram in grams if gram[:-1] == before})
        here = max(grams.count((*before, each)) - 0.75, 0.0)
        return (here + 0.75 * kinds * lower) / total if total else lower

    each = [likely((held_out[n - 2], held_out[n - 1]), held_out[n]) for n in range(2, len(held_out))]
    assert recipe.ngrams(training, held_out, 4) == pytest.approx(-np.log(each).mean())


def test_a_list_is_split_at_random_and_what_is_written_is_told_from_it() -> None:
    listed = [f"{first}{second}n" for first in "abcdefgh" for second in "abcdefgh"]
    for seed in (1, 2):
        training, held_out = names.split(listed, held_out=10, seed=seed)
        assert sorted(training + held_out) == listed
        assert len(held_out) == 10
    assert held_out != names.split(listed, held_out=10, seed=1)[1]
    assert names.judged(["aan", "abn", "abx", "aa"], listed) == {"new": 0.5, "in order": 2 / 3, "alike": 1 / 3}


def test_words_that_several_labels_have_are_on_one_side() -> None:
    known = [f"w{n:03}" for n in range(200)]
    training, held_out = classify.split({"x": known, "y": known[50:]}, most=180, seed=3)
    assert not {word for word, _ in training} & {word for word, _ in held_out}
    assert len(training) + len(held_out) == 180 + 150
    assert 15 < len(held_out) < 60
    assert {label for _, label in held_out} == {"x", "y"}


def test_the_large_table_is_read_as_it_is_made(tmp_path: Path) -> None:
    encode.make(tmp_path / "table.jsonl", 50_000)
    lines = (tmp_path / "table.jsonl").read_text(encoding="utf-8").splitlines()
    assert 50_000 <= (tmp_path / "table.jsonl").stat().st_size < 200_000
    assert all(set(json.loads(line)) == {"text", "label", "id"} for line in lines)
    settings = {"file": str(tmp_path / "table.jsonl"), "cache": str(tmp_path / "cache")}
    assert encode.contender("new", settings)["records"] == len(lines)


FIGURES = {
    "vocab_size": 7, "model": "1 x 8", "steps": 1, "epochs": 1.0, "characters/s": 1.0, "budget": 60.0, "clock": 1.0,
    "windows": 1.0, "carried": 1.0, "temperature": 1.0, "xz": 1.0, "bz2": 1.0, "ngrams": 1.0,
}  # fmt: skip


def test_the_suite_s_texts_are_found_in_several_folders_and_a_missing_one_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = {}
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        data = f"{name} " * 10
        (tmp_path / name / f"{name}.txt").write_text(data)
        digests[name] = hashlib.sha256(data.encode()).hexdigest()
    (tmp_path / "second" / "first.txt").write_text("another text of that name, in a later folder")
    suite = [Text(f"{name}.txt", chooses=False, sha256=digests.get(name, "")) for name in ("first", "second", "third")]
    read: dict[str, str] = {}

    def measure(text: Text, path: Path, *_: object, **__: object) -> dict[str, Any]:
        read[text.file] = path.read_text()
        return {**FIGURES, "text": text.file, "seed": 1}

    monkeypatch.setattr(recipe, "TEXTS", tuple(suite))
    monkeypatch.setattr(recipe, "measure", measure)
    recipe.main(["--corpora", str(tmp_path / "first"), "--corpora", str(tmp_path / "second")])
    # Settings are chosen on the first nine tenths.
    expected = {"first.txt": ("first " * 10)[:54], "second.txt": ("second " * 10)[:63]}
    assert read == expected
    assert "third.txt is not in" in capsys.readouterr().err
    read.clear()
    monkeypatch.setenv("TEXTGEN_CORPORA", os.pathsep.join(str(tmp_path / name) for name in ("first", "second")))
    recipe.main([])
    assert read == expected
    (tmp_path / "second" / "second.txt").write_text("not the text")
    with pytest.raises(SystemExit, match=r"second\.txt is not the suite's text: its SHA-256 begins with \w{12}, not "):
        recipe.main([])


SUITE = (Text("first.txt", chooses=False), Text("second.txt", chooses=True))


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The texts and seeds that the suite of two texts was trained on; the third training is interrupted."""
    calls: list[tuple[str, int]] = []

    def measure(text: Text, path: Path, budget: str, seed: int, *_: object, **__: object) -> dict[str, Any]:
        calls.append((text.file, seed))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return {**FIGURES, "text": text.file, "seed": seed, "carried": float(len(calls))}

    for text in SUITE:
        (tmp_path / text.file).write_text("a text " * 10)
    monkeypatch.setattr(recipe, "TEXTS", SUITE)
    monkeypatch.setattr(recipe, "measure", measure)
    return calls


def test_a_suite_that_was_interrupted_goes_on_with_what_is_left(
    tmp_path: Path, trained: list[tuple[str, int]], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    line = ["--corpora", str(tmp_path), "--out", str(out), "--time", "default"]
    with pytest.raises(KeyboardInterrupt):
        recipe.main([*line, "--seeds", "1,2"])
    assert [(each["text"], each["seed"]) for each in json.loads(out.read_text())["runs"]] == trained[:2]
    assert trained == [("first.txt", 1), ("first.txt", 2), ("second.txt", 1)]
    capsys.readouterr()
    recipe.main([*line, "--seeds", "2,3"])
    assert trained[3:] == [("first.txt", 3), ("second.txt", 2), ("second.txt", 3)]
    shown = capsys.readouterr()
    assert f"first.txt, seed 2: is in {out}, not trained again" in shown.err
    # Means of the seeds that were asked for: of the second and fourth training, of the fifth and sixth.
    assert [row.split(" | ")[8] for row in shown.out.splitlines() if ".txt" in row] == ["3.0000", "5.5000"]
    assert len(json.loads(out.read_text())["runs"]) == 5, "what is not asked for is kept"


def test_runs_of_another_time_or_of_another_benchmark_are_not_mixed_with_these(
    tmp_path: Path, trained: list[tuple[str, int]]
) -> None:
    out = tmp_path / "out.json"
    line = ["--corpora", str(tmp_path), "--out", str(out), "--texts", "first.txt"]
    recipe.main([*line, "--time", "1m"])
    kept = out.read_bytes()
    for other in (["--time", "2m"], ["--time", "1m", "--report"]):
        with pytest.raises(SystemExit, match=r"holds other runs .*: name another file"):
            recipe.main([*line, *other])
    assert out.read_bytes() == kept
    for text in ("[]", "no JSON", '{"benchmark": "cells", "runs": []}'):
        out.write_text(text)
        with pytest.raises(SystemExit, match="holds no runs of this benchmark"):
            recipe.main(line)
    assert trained == [("first.txt", 1)]


@pytest.mark.parametrize(("time", "given"), [("default", []), ("90s", ["--time", "90s"])])
def test_the_default_time_is_left_to_the_text(
    time: str, given: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Trained(Exception):
        pass

    def command(*words: object, **_: object) -> None:
        raise Trained(*words)

    monkeypatch.setattr(harness, "command", command)
    with pytest.raises(Trained) as caught:
        recipe.measure(SUITE[0], tmp_path / "first.txt", time, 1, tmp_path, smoke=False)
    assert list(caught.value.args[:-6]) == ["train", tmp_path / "first.txt", *given, "--name"]


def test_both_halves_of_the_suite_have_texts_of_each_kind(shared_corpora: Path) -> None:
    assert len({text.file for text in TEXTS}) == len(TEXTS) >= 15
    for text in TEXTS:
        assert len(text.sha256) == 64 and text.source and text.made and text.language
    for chooses in (True, False):
        languages = {text.language for text in TEXTS if text.chooses is chooses}
        assert languages & {"C", "Python"}
        assert len([each for each in languages if "Chinese" in each or "Korean" in each or "Japanese" in each]) >= 3
    # Those that the tests have, too, are the suite's.
    assert sum(text.find([shared_corpora]) is not None for text in TEXTS) >= 5


@pytest.mark.slow
def test_a_checkout_beside_itself_ends_with_the_same_loss(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    against.main([str(harness.ROOT), "--text", text, "--cells", harness.DEFAULT_CELL, "--smoke"])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| 1x8")]
    assert [row.split(" | ")[2] for row in rows] == ["sampling, 1 stream", "sampling, 64 streams", "training, float32"]
    assert rows[-1].endswith("| the same |")


CONTENDERS = """
from benchmarks import harness

def contender(name, settings):
    if name == "broken":
        raise ValueError("no such shape")
    if name == "peer":
        raise ModuleNotFoundError("No module named 'torch'", name="torch")
    return {"per second": settings["speed"]}

if __name__ == "__main__":
    harness.answer(harness.parser(None).parse_args(), contender)
"""


def _unused(name: str, settings: Mapping[str, Any]) -> dict[str, float]:
    raise AssertionError("a contender runs in a process of its own")


def test_contenders_take_turns_and_a_missing_peer_has_no_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "program.py"
    program.write_text(CONTENDERS)
    settings = {"speed": 5.0}
    found = harness.alternate(str(program), _unused, ["ours", "peer"], settings, runs=2, key="per second")
    assert found == {"ours": [5.0, 5.0], "peer": []}
    assert harness.median(found["peer"]) is None


def test_a_contender_that_fails_ends_the_program_with_its_error(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(CONTENDERS)
    with pytest.raises(SystemExit, match=r"broken failed.*\n(.*\n)*.*no such shape") as caught:
        harness.child(str(program), _unused, "broken", {})
    assert isinstance(caught.value.code, str), "a text as exit code: printed on standard error, and the code is 1"


def test_leaving_is_the_end_of_a_process_and_a_failed_one_is_an_error() -> None:
    found = exits.leave([sys.executable, "-c", "import sys; print('last', file=sys.stderr)"])
    assert 0.0 <= found["leaving"] < found["seconds"]
    with pytest.raises(SystemExit, match="exit code 3"):
        exits.leave([sys.executable, "-c", "raise SystemExit(3)"])
