"""What `textgen train TEXT` makes of several texts by the clock: the settings that it chooses, judged on each.

    python -m benchmarks.recipe --time 4m
    python -m benchmarks.recipe --time 4m --seeds 1,2,3 --texts names.txt,tang_poems.txt
    python -m benchmarks.recipe --time 4m --report
    python -m benchmarks.recipe --time default --out recipe.json

The texts are those of `benchmarks/texts.py`, in the folders that TEXTGEN_CORPORA (with the system's separator of paths)
or `--corpora` (several times) name; one that is in none is left out. Some of them choose settings, the others only
report; the table says which. Settings are chosen on the last tenth of a text's first 90 %: only these 90 % are read at
all. With `--report` the whole text is read, and its last tenth judges. Of the longest text it is the last hundredth.

Each run is `textgen train PART --time T --seed S` and the options that the text is listed with; `--time default` leaves
the budget to the text's length. With `--out` the JSON is written after each run; called again with the same file, time
and `--report`, it does not train again what is in there, so that a suite of hours can be ended and continued.

Losses are in nats per character; beside them the best temperature (1 where the model is as sure of itself as it should
be), the wall clock of the whole command as a share of the budget, xz and bz2 that were given the training text, and
n-grams of order 3 with absolute discounting (Ney et al. 1994), counted in the last ten million characters of the
training text.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import textgen
from benchmarks import harness
from benchmarks.texts import TEXTS, Text
from textgen.corpus import encode_corpus, open_corpus
from textgen.display.format import short_duration
from textgen.runs.run import Run

DEFAULT = "default"
"""The `--time` that leaves the budget to the text's length."""

_DISCOUNT = 0.75
_COUNTED = 10_000_000
"""The characters in which n-grams are counted."""


def ngrams(training: NDArray[Any], held_out: NDArray[Any], vocab_size: int, *, order: int = 3) -> float:
    """The loss of interpolated n-grams with absolute discounting, in nats per character.

    >>> ngrams(np.array([0, 1] * 50), np.array([0, 1] * 5), 2) < 0.1
    True
    """
    ids, read = training.astype(np.int64), held_out.astype(np.int64)
    likely = np.full(len(read) - order + 1, 1.0 / vocab_size)
    for size in range(1, order + 1):
        grams, times = np.unique(_keys(ids, size, vocab_size), return_counts=True)
        contexts, places = np.unique(grams // vocab_size, return_inverse=True)
        wanted = _keys(read, size, vocab_size)[order - size :]
        total = _found(contexts, np.bincount(places, times), wanted // vocab_size)
        varied = _found(contexts, np.bincount(places), wanted // vocab_size)
        here = np.maximum(_found(grams, times, wanted) - _DISCOUNT, 0.0)
        likely = np.where(total > 0, (here + _DISCOUNT * varied * likely) / np.maximum(total, 1), likely)
    return float(-np.log(likely).mean())


def _keys(ids: NDArray[np.int64], length: int, vocab_size: int) -> NDArray[np.int64]:
    """A number for each sequence of `length` ids."""
    keys = np.zeros(len(ids) - length + 1, np.int64)
    for place in range(length):
        keys = keys * vocab_size + ids[place : place + len(keys)]
    return keys


def _found(known: NDArray[np.int64], values: NDArray[Any], wanted: NDArray[np.int64]) -> NDArray[Any]:
    places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[places] == wanted, values[places], 0)


def measure(text: Text, path: Path, budget: str, seed: int, folder: Path, *, smoke: bool) -> dict[str, Any]:
    """Trains and judges one run."""
    name = f"{path.stem}-{seed}"
    start = time.monotonic()
    places = ["--name", name, "--checkpoints", folder, "--seed", seed, "--quiet"]
    time_given = [] if budget == DEFAULT else ["--time", budget]
    harness.command("train", path, *time_given, *text.options, *places, smoke=smoke)
    seconds = time.monotonic() - start
    run = Run(folder / name)
    summary, judged = run.summary(), textgen.evaluate(run.path).to_json()
    nats = {each["protocol"]: each["nats_per_character"] for each in judged["protocols"]}
    baselines = {each["name"]: each["nats_per_character"] for each in judged["baselines"]}
    encoded = encode_corpus(open_corpus([path], config=run.metadata.corpus.config))
    return {
        "text": text.file,
        "seed": seed,
        "model": f"{summary['layers']} x {summary['units']} {summary['cell']}",
        "vocab_size": judged["vocab_size"],
        "steps": summary["steps"],
        "epochs": summary["epochs"],
        "characters/s": run.metadata.metrics.characters_seen / max(summary["seconds"], 0.1),
        "budget": run.metadata.training["time"],
        "clock": seconds / run.metadata.training["time"],
        "temperature": judged["calibration"]["temperature"],
        "ngrams": ngrams(encoded.training[-_COUNTED:], encoded.held_out, judged["vocab_size"]),
        **nats,
        **{compressor: baselines.get(compressor) for compressor in ("xz", "bz2")},
    }


def former(out: str | None, suite: dict[str, Any]) -> list[dict[str, Any]]:
    """The runs that an earlier call has written to `out`; none where there is no such file.

    Raises:
        SystemExit: the file holds something else, or runs of another `suite`: of another time, part or machine.
    """
    found = harness.written("recipe", out)
    if not found:
        return []
    before, runs = found["suite"], list(found["runs"])
    other = [f"{name} {before.get(name)}, not {value}" for name, value in suite.items() if before.get(name) != value]
    if other:
        raise SystemExit(f"{out} holds other runs ({'; '.join(other)}): name another file with --out.")
    return runs


def _row(text: Text, runs: list[dict[str, Any]]) -> list[str]:
    """A text's row of the table: means over the seeds."""

    def mean(name: str, form: str) -> str:
        return format(statistics.mean(each[name] for each in runs), form)

    return [
        " ".join((text.file, *text.options)),
        "chooses" if text.chooses else "reports",
        f"{runs[0]['vocab_size']:,}",
        runs[0]["model"],
        f"{mean('steps', ',.0f')} ({mean('epochs', '.1f')} passes)",
        mean("characters/s", ",.0f"),
        f"{max(each['clock'] for each in runs):.0%} of {short_duration(runs[0]['budget'])}",
        *(mean(name, ".4f") for name in ("windows", "carried")),
        *(mean(name, ".3f") for name in ("temperature", "xz", "bz2", "ngrams")),
    ]


def main(line: list[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--time", default="4m", help="each run's budget; default: that which the text gets")
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--texts", help="files of the suite, such as names.txt,tang_poems.txt; by default all")
    parser.add_argument(
        "--corpora", action="append", help="a folder of texts; may be repeated; by default those of TEXTGEN_CORPORA"
    )
    parser.add_argument(
        "--report", action="store_true", help="train on 90 %% of the whole text, judge on its last tenth"
    )
    arguments = parser.parse_args(line)
    suite = TEXTS
    folders = arguments.corpora or [each for each in os.environ.get("TEXTGEN_CORPORA", "").split(os.pathsep) if each]
    if arguments.smoke:
        suite, folders, arguments.time = (Text("marrow_haven.txt", chooses=False),), [harness.ROOT / "corpora"], "1s"
    elif arguments.texts:
        suite = tuple(text for text in TEXTS if text.file in arguments.texts.split(","))
    if not suite or not folders:
        raise SystemExit("Name the texts' folder with --corpora, and texts of the suite with --texts.")
    wholes = {text: text.find(folders) for text in suite}
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    machine = harness.machine()
    common = {
        "time": arguments.time,
        "report": arguments.report,
        "processor": machine["processor"],
        "cores": machine["cores"],
    }
    results = former(arguments.out, common)
    done = {(each["text"], each["seed"]) for each in results}
    with tempfile.TemporaryDirectory() as scratch:
        for text in suite:
            whole = wholes[text]
            left = [seed for seed in seeds if (text.file, seed) not in done]
            for seed in seeds:
                if seed not in left:
                    print(f"  {text.file}, seed {seed}: is in {arguments.out}, not trained again", file=sys.stderr)
            if not left:
                continue
            if whole is None:
                print(f"  {text.file} is not in {os.pathsep.join(map(str, folders))}: left out", file=sys.stderr)
                continue
            path = Path(scratch) / text.file
            read = whole.read_text(encoding="utf-8")
            path.write_text(read if arguments.report else read[: len(read) * 9 // 10], encoding="utf-8", newline="")
            for seed in left:
                found = measure(text, path, arguments.time, seed, Path(scratch), smoke=arguments.smoke)
                results.append({**found, "chooses": text.chooses, "date": machine["date"]})
                harness.write("recipe", {"suite": common, "runs": results}, arguments.out)
                print(f"  {text.file}, seed {seed}: {found['carried']:.4f} carried", file=sys.stderr)
    rows = [
        _row(text, runs)
        for text in suite
        if (runs := [each for each in results if each["text"] == text.file and each["seed"] in seeds])
    ]
    headings = [
        "text", "it", "vocabulary", "model", "steps", "characters/s", "clock", "windows of 256", "carried",
        "best temperature", "xz", "bz2", "3-grams",
    ]  # fmt: skip
    judged = "the last tenth of the text" if arguments.report else "the last tenth of its first 90 %"
    budget = "Each text's default time" if arguments.time == DEFAULT else arguments.time
    note = f"\n\n{budget} a run, seeds {arguments.seeds}, judged on {judged}; the slowest clock of each text."
    harness.report("recipe", harness.table(headings, rows) + note, {"suite": common, "runs": results}, arguments.out)


if __name__ == "__main__":
    main()
