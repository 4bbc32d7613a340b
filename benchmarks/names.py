"""Learning a list: `textgen train names.txt --records lines` beside makemore's transformer, on one split, for as long.

    python -m benchmarks.names --time 3m --seeds 1,2,3 --makemore makemore.py

The list is names.txt of `benchmarks/texts.py`, or `--list FILE`, a record a line. 1,000 of its lines, drawn at random
by the seed, are held out, as makemore does: a name that stands in the list twice can be on both sides, which "seen"
counts.

- textgen: `textgen train LIST --records lines --time T`. It keeps a tenth of what it is given for its validations, or
  the share that `--validation` says; makemore keeps nothing.
- makemore: `--makemore` names makemore.py of github.com/karpathy/makemore. Its `Transformer` with its defaults (4
  layers, 4 heads, 64 wide, AdamW at 5e-4 with a decay of 0.01, batches of 32 drawn with replacement) learns all that is
  not held out, for as many seconds as textgen's whole command took. Its batches are cut from one array, which is faster
  than its own data loader. Like makemore it is judged by the held-out names every 500 steps: "best" is the lowest loss.

The loss is in nats per character: of every character of the held-out names and of each name's end, given those before
it in its name. Then each writes 1,000 names from its own probabilities (temperature 1):

- new: the share of them that are not in the list;
- in order: the share that comes after the one before it in the alphabet, 50 % where they have nothing to do with each
  other;
- alike: the share whose first two letters are those of the one before it, and the same of held-out names in random
  order.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import sys
import tempfile
import time
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import textgen
from benchmarks import harness
from benchmarks.texts import TEXTS, Text
from textgen.runs.run import Run

HELD_OUT = 1_000
_BATCH, _EVERY, _JUDGED = 32, 500, 250


def split(names: Sequence[str], *, held_out: int, seed: int) -> tuple[list[str], list[str]]:
    """The names that train, and so many that are held out, drawn at random; both in the order of the list."""
    drawn = set(Random(seed).sample(range(len(names)), held_out))
    return (
        [name for place, name in enumerate(names) if place not in drawn],
        [name for place, name in enumerate(names) if place in drawn],
    )


def judged(samples: Sequence[str], listed: Sequence[str]) -> dict[str, float]:
    """What names that were written one after the other have to do with the list and with each other, as shares."""
    known, pairs = set(listed), list(itertools.pairwise(samples))
    return {
        "new": sum(name not in known for name in samples) / len(samples),
        "in order": sum(after > before for before, after in pairs) / len(pairs),
        "alike": alike(samples),
    }


def alike(names: Sequence[str]) -> float:
    """The share of names that begin with the two letters that the one before begins with."""
    pairs = list(itertools.pairwise(names))
    return sum(before[:2] == after[:2] for before, after in pairs) / len(pairs)


def textgen_names(
    settings: Mapping[str, Any], training: Sequence[str], held_out: Sequence[str], folder: Path
) -> dict[str, Any]:
    """Trains and judges textgen's run."""
    path = folder / "list.txt"
    path.write_text("".join(f"{name}\n" for name in training), encoding="utf-8")
    start = time.monotonic()
    harness.command(
        "train", path, "--records", "lines", "--time", settings["time"], "--seed", settings["seed"], "--name",
        f"run-{settings['seed']}", "--checkpoints", folder, "--validation", settings["validation"], "--quiet",
        smoke=settings["smoke"],
    )  # fmt: skip
    seconds = time.monotonic() - start
    run = Run(folder / f"run-{settings['seed']}")
    summary, writer = run.summary(), textgen.load(run.path)
    written = writer.generate_records(settings["count"], temperature=1.0, seed=settings["seed"])
    return {
        "seconds": seconds,
        "model": f"{summary['layers']} x {summary['units']} {summary['cell']}",
        "steps": summary["steps"],
        "passes": summary["epochs"],
        "nats": writer.score(held_out, streams=16).nats_per_character,
        "samples": [sample.text for sample in written],
    }


def makemore_names(
    settings: Mapping[str, Any], training: Sequence[str], held_out: Sequence[str], program: Path
) -> dict[str, Any]:
    """Trains and judges makemore's transformer, in a process of its own."""
    import torch

    makemore = _loaded(program)
    torch.manual_seed(settings["seed"])
    characters = sorted(set("".join([*training, *held_out])))
    longest = max(map(len, [*training, *held_out]))
    tables = [makemore.CharDataset(names, characters, longest) for names in (training, held_out)]
    known, asked = (
        [torch.stack(side) for side in zip(*(table[n] for n in range(len(table))), strict=True)] for table in tables
    )
    model = makemore.Transformer(
        makemore.ModelConfig(vocab_size=tables[0].get_vocab_size(), block_size=tables[0].get_output_length())
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4, weight_decay=0.01, betas=(0.9, 0.99), eps=1e-8)

    def loss() -> float:
        # Names are padded with -1, which the loss leaves out: its sum over all characters and ends, by their number.
        model.eval()
        with torch.inference_mode():
            batches = zip(*(side.split(_JUDGED) for side in asked), strict=True)
            parts = [(model(x, y)[1].item(), int((y >= 0).sum())) for x, y in batches]
        model.train()
        return float(sum(nats * count for nats, count in parts) / sum(count for _, count in parts))

    end, steps, losses = time.monotonic() + settings["seconds"], 0, []
    while time.monotonic() < end:
        rows = torch.randint(len(training), (_BATCH,))
        _, nats = model(known[0][rows], known[1][rows])
        model.zero_grad(set_to_none=True)
        nats.backward()
        optimizer.step()
        steps += 1
        if steps % _EVERY == 0:
            losses.append(loss())
    losses.append(loss())
    begun = torch.zeros(settings["count"], 1, dtype=torch.long)
    ids = makemore.generate(model.eval(), begun, longest, do_sample=True)[:, 1:].tolist()
    ended = [row[: row.index(0)] if 0 in row else row for row in ids]
    return {
        "model": f"transformer of {sum(each.numel() for each in model.parameters()):,} weights",
        "steps": steps,
        "passes": steps * _BATCH / len(training),
        "nats": losses[-1],
        "best": min(losses),
        "samples": [tables[0].decode(row) for row in ended],
    }


def _loaded(program: Path) -> Any:
    """makemore.py as a module; it asks for TensorBoard's writer, which is not used here and need not be installed."""
    unused = types.ModuleType("torch.utils.tensorboard")
    unused.SummaryWriter = None  # type: ignore[attr-defined]
    sys.modules.setdefault(unused.__name__, unused)
    spec = importlib.util.spec_from_file_location("makemore", program)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{program} is no Python program: --makemore names makemore.py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules["makemore"] = module
    spec.loader.exec_module(module)
    return module


def contender(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of makemore, for `harness.child`: PyTorch stays out of the process that TensorFlow is in."""
    assert name.startswith("torch")
    training, held_out = json.loads(Path(settings["names"]).read_text(encoding="utf-8"))
    return makemore_names(settings, training, held_out, Path(settings["makemore"]))


def main(line: list[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--list", help="a list; by default names.txt of the folders of texts")
    parser.add_argument("--time", default="3m", help="each run's budget")
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--validation", type=float, default=0.1, help="share of its names that textgen validates on")
    parser.add_argument("--makemore", metavar="FILE", help="makemore.py, of which the transformer is trained, too")
    parser.add_argument(
        "--corpora", action="append", help="a folder of texts; may be repeated; by default those of TEXTGEN_CORPORA"
    )
    arguments = parser.parse_args(line)
    if harness.answer(arguments, contender):
        return
    names, count = _names(arguments), HELD_OUT
    if arguments.smoke:
        arguments.time, count, names = "1s", 20, names[:200]
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for seed in map(int, arguments.seeds.split(",")):
            training, held_out = split(names, held_out=count, seed=seed)
            known = set(training)
            seen = sum(name in known for name in held_out) / len(held_out)
            settings = {
                "time": arguments.time,
                "seed": seed,
                "validation": arguments.validation,
                "count": count,
                "smoke": arguments.smoke,
            }
            found = textgen_names(settings, training, held_out, Path(scratch))
            rows = {"textgen": found}
            if arguments.makemore:
                both = Path(scratch) / "names.json"
                both.write_text(json.dumps([training, held_out]), encoding="utf-8")
                asked = {"makemore": arguments.makemore, "names": str(both), "seconds": found["seconds"]}
                peer = harness.child(__file__, contender, "torch makemore", {**settings, **asked})
                if peer is not None:
                    rows["makemore"] = {"seconds": found["seconds"], **peer}
            apart = alike(Random(seed).sample(held_out, len(held_out)))
            for name, row in rows.items():
                shares = judged(row.pop("samples"), names)
                results.append({"seed": seed, "program": name, **row, **shares, "seen": seen, "apart": apart})
                print(f"  seed {seed}, {name}: {row['nats']:.4f} nats", file=sys.stderr)
    table = [_row(each) for each in results]
    headings = ["seed", "model", "wall clock", "steps", "nats per character", "new", "in order", "alike", "seen"]
    harness.report(
        "names", harness.table(headings, table), {"validation": arguments.validation, "rows": results}, arguments.out
    )


def _row(found: Mapping[str, Any]) -> list[str]:
    """A row of the table."""
    best = f" (best {found['best']:.4f})" if "best" in found else ""
    return [
        str(found["seed"]),
        f"{found['program']}, {found['model']}",
        f"{found['seconds']:.0f} s",
        f"{found['steps']:,} ({found['passes']:.1f} passes)",
        f"{found['nats']:.4f}{best}",
        f"{found['new']:.1%}",
        f"{found['in order']:.1%}",
        f"{found['alike']:.1%} ({found['apart']:.1%})",
        f"{found['seen']:.1%}",
    ]


def _names(arguments: Any) -> list[str]:
    """The list's names."""
    if arguments.smoke:
        text = (harness.ROOT / "corpora" / "marrow_haven.txt").read_text(encoding="utf-8")
        return [word.lower() for word in text.split() if word.isalpha()]
    folders = arguments.corpora or [each for each in os.environ.get("TEXTGEN_CORPORA", "").split(os.pathsep) if each]
    suite: Text = next(text for text in TEXTS if text.file == "names.txt")
    path = Path(arguments.list) if arguments.list else suite.find(folders)
    if path is None:
        raise SystemExit("Name the list with --list, or the folder of names.txt with --corpora.")
    return [name for name in (line.strip() for line in path.read_text(encoding="utf-8").splitlines()) if name]


if __name__ == "__main__":
    main()
