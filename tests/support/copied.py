"""Texts to look for copies in."""

import random
from pathlib import Path
from typing import Any

from textgen.analysis.memorisation import TrainingText
from textgen.config import CorpusConfig
from textgen.corpus import encode_corpus, open_corpus

WORDS = (
    "sea",
    "gull",
    "harbour",
    "lamp",
    "tide",
    "wind",
    "rope",
    "salt",
    "net",
    "boat",
    "light",
    "stone",
    "wave",
    "oar",
)


def prose(seed: int, lines: int) -> str:
    """Lines of words drawn at random: no two spans of some length are the same."""
    rng = random.Random(seed)
    return "".join(" ".join(rng.choices(WORDS, k=8)) + "\n" for _ in range(lines))


def write_files(folder: Path, **contents: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in contents.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8", newline="")
    return folder


def open_text(path: Path, **config: Any) -> TrainingText:
    corpus = open_corpus(path, config=CorpusConfig(**config))
    return TrainingText(corpus, encode_corpus(corpus))
