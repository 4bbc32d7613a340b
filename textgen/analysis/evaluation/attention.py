"""The page that shows where a model looked in each source as it wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from textgen.analysis.evaluation.pairs import PairEvaluation, WrongText
from textgen.display.pages import packed, page
from textgen.sampling.rewriting.rewriter import Rewriter


@dataclass(frozen=True, eq=False)
class AttentionPage:
    """What a model wrote for some sources, and its attention.

    Args:
        rewriter: the model.
        found: the evaluation whose texts are shown: the worst, then the most certain wrong ones, each once.
    """

    rewriter: Rewriter
    found: PairEvaluation

    @property
    def shown(self) -> list[WrongText]:
        """The texts that are shown."""
        return list(dict.fromkeys([*self.found.worst, *self.found.certain]))

    def to_html(self, *, title: str) -> str:
        """An HTML page of one file: point at a character to see the weights of the other side's."""
        found = self.found
        facts = [
            ("Run", found.run),
            ("Pairs", found.title),
            ("Character errors", f"{100 * found.error_rate.value:.2f} %"),
            ("Texts not exactly right", f"{100 * found.wrong.value:.2f} %"),
        ]
        return page("attention", title=title, facts=facts, data={"pairs": self._pairs(self.shown)})

    def _pairs(self, shown: Sequence[WrongText]) -> list[dict[str, Any]]:
        read = self.rewriter.read([e.source for e in shown], [e.text for e in shown], unknown="replace")
        found = []
        for each, looked in zip(shown, read, strict=True):
            if looked.attention.shape != (len(each.text) + 1, len(each.source) + 1):
                # A character was dropped, so that the weights belong to others.
                continue
            note = f"{each.errors:,} error{'s' if each.errors != 1 else ''}, probability {each.probability:.4f}"
            values = {"source": each.source, "text": each.text, "target": each.target, "note": note}
            weights = np.rint(255 * looked.attention).astype(np.uint8)
            found.append({**values, "weights": packed(weights)})
        return found
