"""How many errors are found, and how many alarms are false, by threshold: on a text into which errors were put."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from textgen.analysis.passage import open_writer
from textgen.analysis.proofreading.distance import edit_distance
from textgen.analysis.proofreading.finding import Finding, fixed
from textgen.analysis.proofreading.noise import Error, add_noise
from textgen.analysis.proofreading.search import SURE, Search
from textgen.config import ProofConfig, Unknown
from textgen.errors import CorpusError, RunError
from textgen.runs.provenance import read_run_text
from textgen.runs.run import CHECKPOINTS
from textgen.sampling.labels import as_given, labels_of
from textgen.sampling.mixing import common_source
from textgen.sampling.writer import Writer
from textgen.system import PathLike

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)

_DEFAULT = ProofConfig()


@dataclass(frozen=True, kw_only=True)
class AtThreshold:
    """What a threshold comes to.

    Args:
        threshold: the probability from which on a place counts.
        found: how many places count.
        right: how many of these are errors, at this position or one beside it.
        corrected: how many of them are corrected rightly.
        precision: the share of the found places that are errors; 1 where none is found.
        recall: the share of the errors that are found.
        error_after: the character error rate of the text once all that counts is corrected.
    """

    threshold: float
    found: int
    right: int
    corrected: int
    precision: float
    recall: float
    error_after: float


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Precision and recall of proofreading a text with errors.

    Args:
        model: the run's name.
        characters: how long the text is.
        errors: how many errors were put into it.
        noise: how probable one was at each character.
        seed: of the errors.
        error_before: the character error rate: the Levenshtein distance to the text without errors, per character.
        rows: for each threshold, ascending.
    """

    model: str
    characters: int
    errors: int
    noise: float
    seed: int
    error_before: float
    rows: tuple[AtThreshold, ...]

    def to_json(self) -> dict[str, Any]:
        """The figures as plain JSON values."""
        return dataclasses.asdict(self)


def calibrate(
    run: PathLike | Writer | None,
    text: str | None = None,
    *,
    checkpoints: PathLike = CHECKPOINTS,
    limit: int = _DEFAULT.limit,
    seed: int = _DEFAULT.seed,
    thresholds: Sequence[float] = THRESHOLDS,
    noise: float = _DEFAULT.noise,
    reach: int = _DEFAULT.reach,
    candidates: int = _DEFAULT.candidates,
    passes: int = _DEFAULT.passes,
    unknown: Unknown = _DEFAULT.unknown,
    label: str | Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Puts errors into a text, proofreads it, and compares.

    Args:
        run: a run's name, a run's folder, a `.keras` file, or a writer; None takes the newest run.
        text: a text without errors; None takes the run's held-out text.
        checkpoints: the folder of the run folders.
        limit: the characters that are taken from the text's start, in [1, 10,000,000].
        seed: of the errors.
        thresholds: probabilities, in [0.05, 1]. With several passes each above 0.5 costs a reading of its own, since
            only what reaches the threshold is corrected before.
        noise: how probable an error is at each character, in (0, 1); the same is expected of the text.
        reach: as for `proofread`, like `candidates`, `passes` and `unknown`.
        candidates: as for `proofread`.
        passes: as for `proofread`.
        unknown: as for `proofread`.
        label: as for `proofread`.
        progress: called with the work done and the total.

    Raises:
        RunError: there is no such run, or its text cannot be read.
        CorpusError: the text is empty.
        ConfigError: a setting is out of its range.
    """
    config = ProofConfig(
        noise=noise, reach=reach, candidates=candidates, passes=passes, unknown=unknown, limit=limit, seed=seed
    )
    for each in thresholds:
        config.replace(threshold=each)
    writer = open_writer(run, checkpoints)
    clean = (_held_out(writer) if text is None else writer.as_trained(text))[: config.limit]
    if not clean:
        raise CorpusError("There is nothing to proofread: the text is empty.")
    noisy, errors = add_noise(clean, config.noise, characters=writer.tokenizer.characters, seed=config.seed)
    levels = dict.fromkeys(max(each, SURE) for each in thresholds)
    search = Search(writer, config, labels_of(writer, as_given(label)), progress, levels=len(levels))
    noted = {each: search.findings(noisy, each) for each in levels}
    rows = tuple(
        _at(each, [found for found in noted[max(each, SURE)] if found.probability >= each], errors, noisy, clean)
        for each in sorted(thresholds)
    )
    return Calibration(
        model=writer.name,
        characters=len(clean),
        errors=len(errors),
        noise=config.noise,
        seed=config.seed,
        error_before=edit_distance(noisy, clean) / len(clean),
        rows=rows,
    )


def _at(threshold: float, found: list[Finding], errors: list[Error], noisy: str, clean: str) -> AtThreshold:
    right, corrected = match(found, errors)
    return AtThreshold(
        threshold=threshold,
        found=len(found),
        right=right,
        corrected=corrected,
        precision=right / len(found) if found else 1.0,
        recall=right / len(errors) if errors else 1.0,
        error_after=edit_distance(fixed(noisy, found), clean) / len(clean),
    )


def match(found: Sequence[Finding], errors: Sequence[Error]) -> tuple[int, int]:
    """How many findings are at an error or one character beside it, each error counted once; and how many correct it.

    >>> error = Error(4, "deletion", "", "e")
    >>> near = Finding(start=5, stands="", expected="e", kind="deletion", probability=0.9, line=1, column=6)
    >>> match([near, near], [error])
    (1, 1)
    """
    right = corrected = 0
    left = sorted(errors, key=lambda error: error.start)
    first = 0
    for each in sorted(found, key=lambda finding: finding.start):
        while first < len(left) and left[first].start < each.start - 1:
            first += 1
        if first < len(left) and left[first].start <= each.start + 1:
            right += 1
            corrected += (left[first].stands, left[first].expected) == (each.stands, each.expected)
            first += 1
    return right, corrected


def _held_out(writer: Writer) -> str:
    """The text that a run held out."""
    remedy = "Give a text without errors as FILE."
    try:
        source = common_source(writer.members)
        text = read_run_text(source.metadata.corpus, source.path, keep=1).held_out
    except RunError as error:
        raise RunError(f"{error} {remedy}") from error
    if not text:
        raise RunError(f"The run {writer.name!r} has no held-out text: it was trained on its whole text. {remedy}")
    return text
