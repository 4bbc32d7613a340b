"""Telling the kind of a single word: `textgen classify` beside naive Bayes, on words of six languages and names.

    python -m benchmarks.classify --time 2m --seeds 1,2,3

The set is made of seven public texts of `benchmarks/texts.py`, whose files make the labels: a novel in English, one in
French, one in Spanish, a story in German, an epic in Finnish, sentences in Turkish, and a list of names given in the
USA. A record is a word of at least three letters, in lower case and without its diacritics (so that no letter tells the
language), no two of a label alike, 5,000 of each, drawn from the text's words by the seed. A tenth of the words is held
out by a hash, so that a word that several labels have is held out of all of them or of none.

- textgen: `textgen train SET --text-field text --label-field label --time T`, then `Writer.classify`, which is
  `textgen classify`, with the labels' frequencies as the prior. It keeps a tenth of its records for its validations.
- naive Bayes: scikit-learn's multinomial one on the counts of 1- to 5-grams of characters, as in `textgen eval`, its
  smoothing chosen by cross-validation. It learns from all records that are not held out.
- majority class: the label that is most frequent.

Below the table stands how many words either of the two tells right that the other tells wrong.
"""

from __future__ import annotations

import csv
import os
import re
import statistics
import tempfile
import unicodedata
import zlib
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import textgen
from benchmarks import harness
from benchmarks.texts import TEXTS, Text
from textgen.analysis.evaluation.classification import Confusion, confuse
from textgen.analysis.evaluation.naive_bayes import has_naive_bayes, naive_bayes
from textgen.runs.run import Run

LABELS = {
    "English": "middlemarch.txt",
    "French": "bovary_fr.txt",
    "Spanish": "quijote_es.txt",
    "German": "verwandlung_de.txt",
    "Finnish": "kalevala_fi.txt",
    "Turkish": "sentences_tr.txt",
    "name": "names.txt",
}
"""The file of each label's words."""

_SMOKE = {"prose": "marrow_haven.txt", "tunes": "tunes.abc"}
_LETTERS = str.maketrans({"ß": "ss", "ı": "i", "œ": "oe", "æ": "ae"})
_HELD_OUT = 10

Rows = list[tuple[str, str]]
"""Words with their labels."""


def words(text: str) -> list[str]:
    """The distinct words of a text, of three letters and more, in lower case and without diacritics, sorted.

    >>> words("Œuvre, l'été: Straße IĞDIR; no été")
    ['ete', 'igdir', 'oeuvre', 'strasse']
    """
    plain = unicodedata.normalize("NFD", text.lower().translate(_LETTERS))
    letters = "".join(each for each in plain if not unicodedata.combining(each))
    return sorted(set(re.findall(r"(?<![a-z])[a-z]{3,}(?![a-z])", letters)))


def split(found: dict[str, Sequence[str]], *, most: int, seed: int) -> tuple[Rows, Rows]:
    """At most so many words of each label, drawn by the seed: those that train and those that are held out."""
    drawn = Random(seed)
    rows = [(word, label) for label, known in found.items() for word in drawn.sample(known, min(most, len(known)))]
    drawn.shuffle(rows)
    held_out = [zlib.crc32(word.encode()) % _HELD_OUT == 0 for word, _ in rows]
    return (
        [row for row, out in zip(rows, held_out, strict=True) if not out],
        [row for row, out in zip(rows, held_out, strict=True) if out],
    )


def _read(folders: Sequence[str], *, smoke: bool) -> dict[str, Sequence[str]]:
    """The words of each label."""
    suite = {text.file: text for text in TEXTS}
    found: dict[str, Sequence[str]] = {}
    for label, file in (_SMOKE if smoke else LABELS).items():
        path = (Text(file, chooses=False) if smoke else suite[file]).find(folders)
        if path is None:
            raise SystemExit(f"{file} is in none of the folders. Make it as benchmarks/texts.py says.")
        found[label] = words(path.read_text(encoding="utf-8"))
    return found


def _rows_of(seed: int, answers: dict[str, list[str]], held_out: Rows, shape: str) -> list[dict[str, Any]]:
    """The figures of each classifier."""
    truths = [[label] for _, label in held_out]
    found: dict[str, Confusion] = {name: confuse(truths, given) for name, given in answers.items()}
    return [
        {"seed": seed, "classifier": name, "model": shape if name == "textgen" else "", **each.to_json()}
        for name, each in found.items()
    ]


def main(line: list[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--time", default="2m", help="each run's budget")
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--words", type=int, default=5000, help="words of each label")
    parser.add_argument(
        "--corpora", action="append", help="a folder of texts; may be repeated; by default those of TEXTGEN_CORPORA"
    )
    arguments = parser.parse_args(line)
    folders = arguments.corpora or [each for each in os.environ.get("TEXTGEN_CORPORA", "").split(os.pathsep) if each]
    if arguments.smoke:
        folders, arguments.time, arguments.words = [str(harness.ROOT / "corpora")], "1s", 100
    if not folders:
        raise SystemExit("Name the texts' folder with --corpora.")
    found = _read(folders, smoke=arguments.smoke)
    results: list[dict[str, Any]] = []
    notes = []
    with tempfile.TemporaryDirectory() as scratch:
        for seed in map(int, arguments.seeds.split(",")):
            training, held_out = split(found, most=arguments.words, seed=seed)
            path = Path(scratch) / f"words-{seed}.csv"
            with path.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([("text", "label"), *training])
            harness.command(
                "train", path, "--text-field", "text", "--label-field", "label", "--time", arguments.time,
                "--seed", seed, "--name", f"run-{seed}", "--checkpoints", scratch, "--quiet", smoke=arguments.smoke,
            )  # fmt: skip
            run = Run(Path(scratch) / f"run-{seed}")
            summary, asked = run.summary(), [word for word, _ in held_out]
            shape = f"{summary['layers']} x {summary['units']} {summary['cell']}, {summary['epochs']:.1f} passes"
            answers = {"textgen": [each.label for each in textgen.load(run.path).classify(asked)]}
            known = [label for _, label in training]
            if has_naive_bayes():
                given = [[label] for label in known]
                answers["naive Bayes"] = naive_bayes([word for word, _ in training], given, asked)
                notes.append(_apart(seed, answers, held_out))
            answers["majority class"] = [statistics.mode(known)] * len(held_out)
            results += [
                {"records": f"{len(training):,} + {len(held_out):,}", **each}
                for each in _rows_of(seed, answers, held_out, shape)
            ]
    headings = ("seed", "classifier", "model", "records", "accuracy", "macro_f1")
    shown = [[f"{row[key]:.4f}" if isinstance(row[key], float) else row[key] for key in headings] for row in results]
    for name in dict.fromkeys(row["classifier"] for row in results) if "," in arguments.seeds else ():
        own = [row for row in results if row["classifier"] == name]
        means = [f"{statistics.mean(row[key] for row in own):.4f}" for key in ("accuracy", "macro_f1")]
        shown.append(["mean", name, "", "", *means])
    text = harness.table([each.replace("_", " ") for each in headings], shown)
    harness.report("classify", "\n".join([text, "", *notes]), {"time": arguments.time, "rows": results}, arguments.out)


def _apart(seed: int, answers: dict[str, list[str]], held_out: Rows) -> str:
    """How many words each of the two tells right that the other tells wrong."""
    pairs = list(zip(answers["textgen"], answers["naive Bayes"], (label for _, label in held_out), strict=True))
    ours = sum(own == true != other for own, other, true in pairs)
    theirs = sum(other == true != own for own, other, true in pairs)
    return f"Seed {seed}: {ours:,} words are told by textgen alone, {theirs:,} by naive Bayes alone."


if __name__ == "__main__":
    main()
