"""Restoring a text: gaps filled, errors found, by what reads it from one side, from both, and by others.

    python -m benchmarks.restore TEXT --seeds 1,2,3 --time 10m --runs FOLDER
    python -m benchmarks.restore TEXT --forward RUN --both RUN --places 100 --characters 5000 --no-peer
    python -m benchmarks.restore TEXT --forward half --both RUN     # no run of one side: the forward half alone

For each seed `textgen train TEXT --time T` and the same with `--sides both` are trained, on all but the last tenth,
from which all places come that are filled. A gap is of 1, 3, 5 or 10 characters, or of 1 to 10, nobody knows how
many (0). The rows:

- forward greedy: the likeliest character after the other, of the forward network; it has no row for gaps of unknown
  length, whose end it cannot tell;
- forward: beam search by the forward network, rescored by what stands behind the gap, `textgen fill`;
- backward: the same by the backward network of the run with both sides, rescored by what stands before the gap;
- forward half: as forward, by that half of the run with both sides, which is a run of one side of the same steps;
- both: `textgen fill` with the run with both sides;
- n-gram: interpolated 6-grams (Witten and Bell) read from both sides, beam search from both, the mean of both scores;
- masked: a bidirectional LSTM in plain Keras, of as many layers and units, trained for as long to predict masked spans
  of 1 to 10 characters; filled from left to right, each character seen by the next, by a beam of 20; of lengths that
  with the highest mean log-probability.

Exact is the share of gaps whose best filling is the true one, top 20 that of those where it is among the best 20, error
the edit distance of the best filling to the true one per character.

Noise: 1, 2 and 5 % of the first characters of the last tenth are spoilt in four ways (`textgen proofread --calibrate`);
precision and recall at the threshold 0.5, recall at the lowest threshold whose precision is 0.8, the character error
before and after, and the characters that `textgen proofread` reads in a second. With `--out` the JSON is written after
each measurement.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import textgen
from benchmarks import harness
from benchmarks.restoring.masked import MaskedPeer
from benchmarks.restoring.ngrams import NGrams, fill_with_ngrams
from textgen.analysis.proofreading.distance import edit_distance
from textgen.analysis.proofreading.noise import add_noise
from textgen.corpus import encode_corpus, open_corpus
from textgen.sampling.gaps.drafts import Drafts
from textgen.sampling.gaps.markers import Gap
from textgen.sampling.gaps.search import search

SIDE = 300
"""Characters on each side of a gap that are read."""

REACH = 30
TOP = 20

Filler = Callable[[np.ndarray, Gap, np.ndarray], list[tuple[int, ...]]]
"""From the ids before a gap, the gap and the ids behind it to the best fillings, the best first."""


def main(line: list[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("text")
    parser.add_argument("--time", default="10m", help="budget of each run")
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--size", default="small", help="of the runs, a preset of textgen train")
    parser.add_argument("--runs", help="keep the runs in this folder")
    parser.add_argument("--forward", help="a run of one side, instead of training one; half: none")
    parser.add_argument("--both", help="a run of both sides, instead of training one")
    parser.add_argument("--places", type=int, default=500, help="gaps of each length")
    parser.add_argument("--lengths", default="1,3,5,10,0", help="of gaps; 0 is unknown, up to 10")
    parser.add_argument("--noise", default="0.01,0.02,0.05", help="shares of characters that are spoilt")
    parser.add_argument("--characters", type=int, default=50_000, help="how many are proofread; 0 leaves that out")
    parser.add_argument("--rows", help="only these, such as forward,both")
    parser.add_argument("--no-peer", action="store_true", help="leave out the masked model")
    arguments = parser.parse_args(line)
    if arguments.smoke:
        arguments.time, arguments.size, arguments.places, arguments.characters = "1s", "tiny", 1, 200
        arguments.seeds, arguments.lengths, arguments.noise = "1", "1,0", "0.05"
    filled: list[dict[str, Any]] = []
    proofed: list[dict[str, Any]] = []
    results = {"text": arguments.text, "filled": filled, "proofread": proofed}
    shapes: set[str] = set()
    with tempfile.TemporaryDirectory() as scratch:
        for seed in map(int, arguments.seeds.split(",")):
            runs = _runs(arguments, arguments.runs or scratch, seed)
            shapes |= {f"{name}: {_shape(each)}" for name, each in runs.items()}
            for found, measured in ((filled, _fill), (proofed, _proofread)):
                for each in measured(arguments, runs, seed):
                    found.append(each)
                    harness.write("restore", results, arguments.out)
    rows = _fill_rows(filled)
    harness.report(
        "restore",
        "; ".join(sorted(shapes))
        + "\n\n"
        + harness.table(["gap", "by", "exact", "top 20", "error", "seconds a gap"], rows)
        + "\n"
        + harness.table(
            ["noise", "by", "precision", "recall", "recall at 0.8", "error before", "after", "characters a second"],
            _proof_rows(proofed),
        ),
        results,
        arguments.out,
    )


def _shape(writer: textgen.Writer) -> str:
    return f"{writer.config.layers} x {writer.config.units} {writer.config.cell}"


def _runs(arguments: Any, folder: str, seed: int) -> dict[str, textgen.Writer]:
    """The runs of a seed, trained unless they are given or there."""
    writers = {}
    for name, sides in (("forward", "forwards"), ("both", "both")):
        given = getattr(arguments, name)
        if given == "half":
            continue
        if given is None:
            path = Path(folder) / f"{name}-{arguments.time}-{seed}"
            if not path.exists():
                options = ["--time", arguments.time, "--seed", seed, "--size", arguments.size, "--sides", sides]
                places = ["--name", path.name, "--checkpoints", folder]
                harness.command("train", arguments.text, *options, *places, smoke=arguments.smoke)
            given = path
        writers[name] = textgen.load(given)
    both = writers["both"]
    writers["forward half"] = textgen.Writer(
        config=both.config.forwards, weights=both.weights.forwards, tokenizer=both.tokenizer
    )
    return writers


def _fill(arguments: Any, runs: dict[str, textgen.Writer], seed: int) -> Iterator[dict[str, Any]]:
    encoded = encode_corpus(open_corpus([arguments.text]), tokenizer=runs["both"].tokenizer)
    ids = encoded.held_out.astype(np.intp)
    side = min(SIDE, (len(ids) - 20) // 2)
    training = encoded.training.astype(np.intp)
    both = runs["both"]
    left = runs.get("forward", runs["forward half"])
    fillers: dict[str, Filler] = {"forward greedy": lambda *place: _greedy(left, *place)}
    for name in (each for each in ("forward", "forward half") if each in runs):
        fillers[name] = lambda *place, writer=runs[name]: _by_writer(writer, *place)  # type: ignore[misc]
    fillers["backward"] = lambda *place: _backward(both, *place)
    fillers["both"] = lambda *place: _by_writer(both, *place)
    grams = [NGrams(each, both.tokenizer.vocab_size, order=6) for each in (training, training[::-1])]
    fillers["n-gram"] = lambda *place: fill_with_ngrams(*grams, *place, reach=REACH, width=32)
    wanted = arguments.rows.split(",") if arguments.rows else [*fillers, "masked"]
    if "masked" in wanted and not arguments.no_peer:
        peer = MaskedPeer(training, both, budget=arguments.time, seed=seed, smoke=arguments.smoke)
        fillers["masked"] = peer.fill
    for length in map(int, arguments.lengths.split(",")):
        generator = np.random.default_rng((seed, length))
        places = generator.integers(side, len(ids) - side - 10, arguments.places).tolist()
        sizes = [length or int(generator.integers(1, 11)) for _ in places]
        gap = Gap(length, length) if length else Gap(1, 10)
        for name, fill in fillers.items():
            if name not in wanted or (name == "forward greedy" and not length):
                continue
            start = time.monotonic()
            results = [
                fill(ids[place - side : place], gap, ids[place + size : place + size + side])
                for place, size in zip(places, sizes, strict=True)
            ]
            seconds = (time.monotonic() - start) / len(places)
            truths = [tuple(ids[place : place + size].tolist()) for place, size in zip(places, sizes, strict=True)]
            yield {"seed": seed, "length": length, "by": name, "seconds": seconds, **_judge(results, truths)}


def _judge(results: Sequence[Sequence[tuple[int, ...]]], truths: Sequence[tuple[int, ...]]) -> dict[str, float]:
    def text(ids: tuple[int, ...]) -> str:
        return "".join(map(chr, ids))

    pairs = list(zip(results, truths, strict=True))
    return {
        "exact": statistics.mean(found[0] == truth for found, truth in pairs),
        "top": statistics.mean(truth in found[:TOP] for found, truth in pairs),
        "error": sum(edit_distance(text(found[0]), text(truth)) for found, truth in pairs) / sum(map(len, truths)),
    }


def _greedy(writer: textgen.Writer, before: np.ndarray, gap: Gap, behind: np.ndarray) -> list[tuple[int, ...]]:
    del behind
    allowed = np.ones(writer.tokenizer.vocab_size, np.bool_)
    drafts = Drafts.begin(writer.engine, before).opened()
    for _ in range(gap.most):
        drafts = drafts.grown(writer.engine, allowed, 1)
    return [drafts.fills[0][-1]]


def _by_writer(writer: textgen.Writer, before: np.ndarray, gap: Gap, behind: np.ndarray) -> list[tuple[int, ...]]:
    decode = writer.tokenizer.decode
    marks = {"gap_open": "\ue000", "gap_close": "\ue001", "reach": REACH}
    text = f"{decode(before)}\ue000{gap.least}-{gap.most}\ue001{decode(behind)}"
    found = writer.fill(text, count=TOP, **marks)  # type: ignore[arg-type]
    return [tuple(writer.tokenizer.encode(each.gaps[0]).tolist()) for each in found]


def _backward(writer: textgen.Writer, before: np.ndarray, gap: Gap, behind: np.ndarray) -> list[tuple[int, ...]]:
    assert writer.backward is not None
    allowed = np.ones(writer.tokenizer.vocab_size, np.bool_)
    begun = Drafts.begin(writer.backward, behind[::-1])
    found = search(writer.backward, begun, gap, before[::-1][:REACH], allowed=allowed, width=32)
    return [fills[-1][::-1] for fills in found.fills]


def _proofread(arguments: Any, runs: dict[str, textgen.Writer], seed: int) -> Iterator[dict[str, Any]]:
    text = runs["both"].tokenizer.decode(encode_corpus(open_corpus([arguments.text])).held_out)
    for rate in map(float, arguments.noise.split(",")) if arguments.characters else ():
        for name, writer in runs.items():
            if arguments.rows and name not in arguments.rows.split(","):
                continue
            curve = textgen.calibrate(writer, text, limit=arguments.characters, noise=rate, seed=seed)
            spoilt, _ = add_noise(text[: arguments.characters], rate, characters=writer.tokenizer.characters, seed=seed)
            start = time.monotonic()
            textgen.proofread(writer, spoilt, noise=rate)
            seconds = time.monotonic() - start
            half = next(row for row in curve.rows if row.threshold == 0.5)
            good = [row.recall for row in curve.rows if row.precision >= 0.8]
            yield {
                "seed": seed,
                "noise": rate,
                "by": name,
                "precision": half.precision,
                "recall": half.recall,
                "recall_at_0.8": max(good, default=0.0),
                "before": curve.error_before,
                "after": half.error_after,
                "speed": curve.characters / seconds,
            }


def _fill_rows(found: Sequence[dict[str, Any]]) -> list[list[Any]]:
    keys = dict.fromkeys((each["length"], each["by"]) for each in found)
    measures = ("exact", "top", "error", "seconds")
    return [
        [str(length or "unknown"), by, *(f"{_mean(found, key, length=length, by=by):.3f}" for key in measures)]
        for length, by in keys
    ]


def _proof_rows(found: Sequence[dict[str, Any]]) -> list[list[Any]]:
    keys = dict.fromkeys((each["noise"], each["by"]) for each in found)
    rows = []
    for noise, by in keys:
        means = {
            key: _mean(found, key, noise=noise, by=by)
            for key in ("precision", "recall", "recall_at_0.8", "before", "after", "speed")
        }
        rows.append(
            [
                f"{100 * noise:g} %",
                by,
                *(f"{means[key]:.3f}" for key in ("precision", "recall", "recall_at_0.8")),
                *(f"{100 * means[key]:.2f} %" for key in ("before", "after")),
                f"{means['speed']:.0f}",
            ]
        )
    return rows


def _mean(found: Sequence[dict[str, Any]], key: str, **chosen: Any) -> float:
    return statistics.mean(each[key] for each in found if all(each[name] == value for name, value in chosen.items()))


if __name__ == "__main__":
    main()
