"""Loss against wall clock: what a budget of time brings on a text, by two protocols.

    python -m benchmarks.quality TEXT --time 3m --seeds 1,2,3
    python -m benchmarks.quality TEXT --time 1m,3m,10m --seeds 1 --runs FOLDER

Each run is `textgen train TEXT --time T --seed S`, nothing else, and so of the default cell. The last 10 % of the text
is read when the run is over and the best checkpoint loads through the sampling engine:

- carried: the whole held-out text in 8 contiguous streams, each with its state carried from beginning to end;
- windows: windows of 256 characters side by side without context, nanoGPT's protocol over the whole text
  (nanoGPT draws 200 random batches of them).

Both are nats per character. The wall clock is the whole command's, from process start to end.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import textgen
from benchmarks import harness
from textgen.config import CorpusConfig
from textgen.corpus import encode_corpus, open_corpus
from textgen.engine.scoring import score_ids, score_windows
from textgen.runs.run import Run


def train(text: str, folder: str, name: str, budget: str, seed: int, *, smoke: bool) -> float:
    """Runs the command and returns its seconds."""
    places = ["--name", name, "--checkpoints", folder]
    start = time.monotonic()
    harness.command("train", text, "--time", budget, "--seed", seed, *places, smoke=smoke)
    return time.monotonic() - start


def losses(run: Run, text: str) -> dict[str, float]:
    """Both protocols' losses on the held-out text."""
    encoded = encode_corpus(open_corpus([text], config=CorpusConfig()))
    writer = textgen.load(run.path)
    if encoded.tokenizer != writer.tokenizer:
        raise SystemExit(f"{run.path} was not trained on {text}")
    ids = encoded.held_out
    return {
        "carried": -float(score_ids(writer.engine, ids, streams=8).mean()),
        "windows": -float(score_windows(writer.engine, ids, length=256).mean()),
    }


def main(line: list[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("text")
    parser.add_argument("--time", default="3m", help="budgets, such as 1m,3m,10m")
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--runs", help="keep the runs in this folder")
    arguments = parser.parse_args(line)
    if arguments.smoke:
        arguments.time, arguments.seeds = "1s", "1"
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.runs or scratch
        for budget in arguments.time.split(","):
            for seed in map(int, arguments.seeds.split(",")):
                name = f"{Path(arguments.text).stem}-{budget}-{seed}"
                seconds = train(arguments.text, folder, name, budget, seed, smoke=arguments.smoke)
                run = Run(Path(folder) / name)
                summary = run.summary()
                shape = f"{summary['layers']} x {summary['units']} {summary['cell']}"
                found = losses(run, arguments.text)
                train_loss = run.history[-1].loss
                results.append(
                    {"budget": budget, "seed": seed, "seconds": seconds, "shape": shape, "train": train_loss, **found}
                )
    rows = [
        [r["budget"], r["seed"], r["shape"], f"{r['seconds']:.0f} s", f"{r['train']:.3f}", f"{r['carried']:.4f}",
         f"{r['windows']:.4f}"]
        for r in results
    ]  # fmt: skip
    for budget in arguments.time.split(","):
        group = [r for r in results if r["budget"] == budget]
        if len(group) > 1:
            means = [statistics.mean(r[key] for r in group) for key in ("carried", "windows")]
            rows.append([budget, "mean", "", "", "", *(f"{mean:.4f}" for mean in means)])
    headings = ["budget", "seed", "model", "wall clock", "train", "carried", "windows of 256"]
    harness.report("quality", harness.table(headings, rows), {"text": arguments.text, "runs": results}, arguments.out)


if __name__ == "__main__":
    main()
