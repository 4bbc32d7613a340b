"""Proofreads a text: what stands where, what was expected, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from textgen.analysis.passage import open_writer
from textgen.analysis.proofreading.finding import Finding
from textgen.analysis.proofreading.page import Verdict, write_page
from textgen.analysis.proofreading.search import Search
from textgen.config import ProofConfig, Unknown
from textgen.corpus.alignment import AlignedText, align
from textgen.corpus.tokenizer import CharTokenizer
from textgen.runs.run import CHECKPOINTS
from textgen.sampling.labels import as_given, labels_of
from textgen.sampling.writer import Writer
from textgen.system import PathLike

_DEFAULT = ProofConfig()

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False, kw_only=True)
class Proof:
    """What was found in a text.

    Args:
        model: the run's name.
        source: the text, as it was given and normalised as the training text was.
        noted: all that is at least as probable as `LEAST`, in the order of the text; no two touch each other.
        threshold: the probability from which on a place counts.
        verdicts: what each side says about each character.
        tokenizer: the vocabulary.
        limit: how many characters a page shows, from the text's start.
    """

    model: str
    source: AlignedText
    noted: tuple[Finding, ...]
    threshold: float
    verdicts: tuple[Verdict, ...]
    tokenizer: CharTokenizer
    limit: int = _DEFAULT.limit

    @property
    def text(self) -> str:
        """The text, normalised as the training text was, in which findings have their positions."""
        return self.source.text

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Those that reach the threshold."""
        return tuple(each for each in self.noted if each.probability >= self.threshold)

    @property
    def fixed(self) -> str:
        """The text as it was given, with all findings corrected: newlines and all that no finding touches stay."""
        return self.source.replaced(
            (each.start, each.start + len(each.stands), each.expected) for each in self.findings
        )

    def to_json(self) -> dict[str, Any]:
        """The findings as plain JSON values."""
        return {
            "run": self.model,
            "characters": len(self.text),
            "threshold": self.threshold,
            "findings": [each.to_json() for each in self.findings],
        }

    def to_html(self, *, title: str = "A text") -> str:
        """A self-contained HTML page: the text coloured by surprisal, findings underlined, tooltips.

        Args:
            title: the page's title, such as the text's name.
        """
        shown = self.text[: self.limit]
        found = [each for each in self.findings if each.start < len(shown)]
        extent = f"{len(shown):,} of {len(self.text):,} characters"
        facts = [("model", self.model), ("text", extent), ("findings", f"{len(found):,}")]
        values = [each.to_json() for each in found]
        return write_page(shown, self.verdicts, values, self.tokenizer, title=title, facts=facts)


def proofread(
    run: PathLike | Writer | None,
    text: str,
    *,
    checkpoints: PathLike = CHECKPOINTS,
    threshold: float = _DEFAULT.threshold,
    noise: float = _DEFAULT.noise,
    reach: int = _DEFAULT.reach,
    candidates: int = _DEFAULT.candidates,
    passes: int = _DEFAULT.passes,
    limit: int = _DEFAULT.limit,
    unknown: Unknown = _DEFAULT.unknown,
    label: str | Sequence[str] = (),
    progress: Progress | None = None,
) -> Proof:
    """Finds the places of a text where something else should stand.

    Args:
        run: a run's name, a run's folder, a `.keras` file, or a writer; None takes the newest run.
        text: the text; for a run on records it is read as records.
        checkpoints: the folder of the run folders.
        threshold: the probability from which on a place counts, in [0.05, 1].
        noise: the share of characters expected to be wrong, in (0, 1).
        reach: how many characters around an error count, in [1, 1000].
        candidates: how many of the likeliest characters are tried in each place, in [1, 1000].
        passes: how often the text is read, in [1, 10]; each time with what was found before corrected.
        limit: how many characters a page of it shows, in [1, 10,000,000].
        unknown: how to treat characters outside the vocabulary: see `CharTokenizer.encode`.
        label: for a run on records with labels, the label of all of them, or several.
        progress: called with the work done and the total.

    Raises:
        RunError: there is no such run.
        CheckpointError: the checkpoint is missing, damaged or not one of textgen's.
        CorpusError: the text is empty, or all its characters are outside the vocabulary.
        UnknownCharacterError: the text holds characters outside the vocabulary, and `unknown` refuses them.
        ConfigError: a setting is out of its range.

    Example:
        for found in textgen.proofread("poems", "The sea was claim.").findings:
            print(found.line, found.column, found.stands, found.expected, found.probability)
    """
    config = ProofConfig(
        threshold=threshold,
        noise=noise,
        reach=reach,
        candidates=candidates,
        passes=passes,
        limit=limit,
        unknown=unknown,
    )
    writer = open_writer(run, checkpoints)
    source = align(text, writer.reading)
    search = Search(writer, config, labels_of(writer, as_given(label)), progress)
    found = search.findings(source.text, config.threshold)
    return Proof(
        model=writer.name,
        source=source,
        noted=tuple(found),
        threshold=config.threshold,
        verdicts=search.verdicts,
        tokenizer=writer.tokenizer,
        limit=config.limit,
    )
