"""What a network expects in each place of a text, and the page that shows it beside what was found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.tokenizer import CharTokenizer
from textgen.display.pages import packed, page, smallest
from textgen.display.shades import THRESHOLDS, legend

_STEPS = 1024
"""Steps per bit in which a page stores surprisal."""

_SHOWN = 6
"""How many of the likeliest characters a page shows for each place."""

_HIGH = 6.0
"""Surprisal in bits from which the page's keys stop at a character where nothing was found."""


@dataclass(frozen=True, eq=False)
class Verdict:
    """What one side of a text says about each of its characters.

    Args:
        title: which side, in words.
        logprobs: `(characters,)`, the log-probability of each; 0 for those that the network did not read.
        likeliest: `(characters, n)`, the ids of the likeliest, in descending order.
        likeliest_logprobs: `(characters, n)`.
    """

    title: str
    logprobs: NDArray[np.float64]
    likeliest: NDArray[Any]
    likeliest_logprobs: NDArray[np.float64]


def write_page(
    text: str,
    verdicts: Sequence[Verdict],
    findings: Sequence[Mapping[str, Any]],
    tokenizer: CharTokenizer,
    *,
    title: str,
    facts: Sequence[tuple[str, str]],
) -> str:
    """The HTML page: each character coloured by its surprisal, findings marked, what was expected in a tooltip.

    Args:
        text: what is shown.
        verdicts: at least one; the first one colours the text.
        findings: those in the text, as JSON values.
        tokenizer: the vocabulary of the verdicts.
        title: the page's heading.
        facts: labels and values under it.
    """
    size, unknown = len(text), tokenizer.unknown_id
    ends = "\ufffd" * (unknown is not None) + "\n" if tokenizer.has_end else ""
    sides = [
        {
            "title": each.title,
            "bits": packed(_quantised(each.logprobs[:size])),
            "alternatives": packed(smallest(each.likeliest[:size, :_SHOWN])),
            "alternativeBits": packed(_quantised(each.likeliest_logprobs[:size, :_SHOWN])),
        }
        for each in verdicts
    ]
    data = {
        "text": text,
        "vocabulary": tokenizer.characters + ends,
        "unknown": unknown,
        "sides": sides,
        "findings": list(findings),
        "steps": _STEPS,
        "thresholds": THRESHOLDS,
        "legend": legend(),
        "high": _HIGH,
    }
    return page("surprise", title=title, facts=facts, data=data, kind="Proof")


def _quantised(logprobs: NDArray[np.float64]) -> NDArray[np.uint16]:
    steps = np.rint(-logprobs * (_STEPS / math.log(2.0)))
    return np.clip(steps, 0, 65_535).astype(np.uint16)
