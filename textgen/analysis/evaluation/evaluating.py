"""The examination itself: which text, read how, beside what.

A run and maybe a text go in, an `Evaluation` comes out. The parts know their own business; here is only their order.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.analysis.evaluation.baselines import MOST_TRAINING, Yardstick, compress, uniform, unigram
from textgen.analysis.evaluation.bootstrap import LEAST, block_bootstrap
from textgen.analysis.evaluation.calibration import Thermometer
from textgen.analysis.evaluation.evaluation import Evaluation, Protocol
from textgen.analysis.evaluation.subject import Subject, given, held_out, model_name, utf8
from textgen.config import AdaptationConfig, EvaluationConfig, Unknown
from textgen.corpus.tokenizer import CharTokenizer
from textgen.engine.scoring import score_ids, score_windows
from textgen.errors import RunError
from textgen.runs.find import resolve_checkpoint
from textgen.runs.provenance import RunText, read_run_text
from textgen.runs.run import BEST, CHECKPOINTS
from textgen.sampling.writer import Writer, load
from textgen.system import PathLike

Progress = Callable[[str, int, int], None]

_DEFAULT = EvaluationConfig()
_PART = 125_000
_MOST_STREAMS = 64
_TELLING = 200
"""Characters from which on a text does not stand in another by chance."""

_GZIP_SEES, _BZ2_SEES = 32 << 10, 900_000


def evaluate(
    run: PathLike | Writer | None = None,
    text: str | None = None,
    *,
    corpus: PathLike | Sequence[PathLike] = (),
    checkpoints: PathLike = CHECKPOINTS,
    name: str = "a text of one's own",
    windows: int = _DEFAULT.windows,
    streams: int | None = _DEFAULT.streams,
    dynamic: bool = _DEFAULT.dynamic,
    seed: int = _DEFAULT.seed,
    unknown: Unknown = _DEFAULT.unknown,
    progress: Progress | None = None,
) -> Evaluation:
    """Judges a model by how well it foretells a text, in numbers that can be compared with others'.

    Args:
        run: a run's name, a run's folder, a `.keras` file, or a writer; None takes the newest run.
        text: what to score, all of it. None takes the text that the run held out from its own, which is read again
            from where it was. Newlines and characters are normalised as the training text's were.
        corpus: where the run's own text is now: files or folders; empty takes the places where it was.
        checkpoints: the folder of the run folders.
        name: what to call a given text.
        windows: characters of a window that is read without context, in [1, 1,000,000].
        streams: in how many parts the text is read with carried state; None follows its length. See
            `EvaluationConfig`.
        dynamic: also score it with a model that learns from what it has read.
        seed: the bootstrap's.
        unknown: what becomes of characters of a given text that the model never saw: see `CharTokenizer.encode`.
        progress: called with what is being done ("reading", "carried", "windows", "statistics", "dynamic" or
            "compressing"), how much of it is done, and how much there is to do.

    Raises:
        RunError: there is no such run, or no text is given and its own is gone, has changed, or was not held out.
        CheckpointError: the checkpoint is missing, damaged or foreign.
        UnknownCharacterError: the text holds characters that the model never saw, and `unknown` is "error".
        CorpusError: the text is empty, or nothing of it is left to score.
        ConfigError: a setting is out of its range.
        TrainingError: the model came apart while it learned from what it read.

    Example:
        found = textgen.evaluate("shakespeare")
        print(found.carried.bits, found.carried.interval, found.verdict)
    """
    config = EvaluationConfig(windows=windows, streams=streams, dynamic=dynamic, seed=seed, unknown=unknown)
    writer = run if isinstance(run, Writer) else load(resolve_checkpoint(run, checkpoints=checkpoints))
    report = progress or (lambda *_: None)
    own, problem = _own_text(writer, corpus, functools.partial(report, "reading"))
    subject = held_out(writer, own, problem) if text is None else given(writer, own, text, name, unknown)
    ids = np.concatenate([subject.before, subject.ids])

    count = len(subject.ids)
    parts = _parts(count, streams)
    thermometer = Thermometer()
    carried = score_ids(
        writer.engine,
        ids,
        streams=parts,
        progress=functools.partial(report, "carried"),
        observe=thermometer,
    )
    apart = score_windows(writer.engine, ids, length=windows, progress=functools.partial(report, "windows"))
    protocols = [
        _protocol("carried", f"state carried, {_streams(parts)}", carried, config, streams=parts),
        _protocol("windows", f"windows of {windows:,}", apart, config, length=windows),
    ]
    if dynamic:
        protocols.append(_dynamic(writer, own, ids, config, report))
    yardsticks = _yardsticks(writer, own, subject, functools.partial(report, "compressing"))
    return Evaluation(
        run=model_name(writer),
        checkpoint=None if writer.path is None else str(writer.path),
        split=subject.split,
        source=subject.source,
        characters=count,
        sha256=subject.sha256,
        unknown=subject.unknown,
        dropped=subject.dropped,
        vocab_size=writer.config.vocab_size,
        protocols=tuple(protocols),
        calibration=thermometer.best(),
        yardsticks=tuple(yardsticks),
        seed=seed,
        notes=tuple(_notes(writer, own, problem, subject)),
        warnings=tuple(_warnings(writer, own, subject)) if text is not None else (),
    )


def _own_text(
    writer: Writer, corpus: PathLike | Sequence[PathLike], progress: Callable[[int, int], None]
) -> tuple[RunText | None, str]:
    """The text that a model was trained on, or why it is not to be had; what is named must be it."""
    sources = [corpus] if isinstance(corpus, (str, os.PathLike)) else list(corpus)
    try:
        paths = [os.fspath(source) for source in sources]
        own = read_run_text(writer.metadata.corpus, writer.path, keep=MOST_TRAINING, sources=paths, progress=progress)
        return own, ""
    except RunError as error:
        if sources:
            raise
        return None, str(error)


def _parts(characters: int, streams: int | None) -> int:
    """In how many parts a text is read: as many as asked for, or one for every 125,000 characters.

    >>> _parts(111_540, None), _parts(1_000_000, None), _parts(10**9, None), _parts(10, 7)
    (1, 8, 64, 5)
    """
    wanted = max(1, min(_MOST_STREAMS, characters // _PART)) if streams is None else min(streams, characters)
    return -(-characters // -(-characters // wanted))


def _streams(count: int) -> str:
    return f"{count} stream{'s' if count > 1 else ''}"


def _protocol(
    name: str, title: str, logprobs: NDArray[np.float64], config: EvaluationConfig, **settings: Any
) -> Protocol:
    interval = block_bootstrap(-logprobs, seed=config.seed)
    return Protocol(name=name, title=title, nats=-float(logprobs.mean()), interval=interval, settings=settings)


def _dynamic(
    writer: Writer, own: RunText | None, ids: NDArray[Any], config: EvaluationConfig, report: Progress
) -> Protocol:
    """The figures of a model that learns from what it has read.

    How large its gradients usually are is measured on the training text; where that is gone, on what has been read.
    """
    from textgen.engine.adaptation import score_dynamic
    from textgen.sampling.adapting import training_statistics

    settings = AdaptationConfig()
    statistics = training_statistics(writer.config, writer.weights, writer.tokenizer, own, settings, progress=report)
    logprobs = score_dynamic(
        writer.config,
        writer.weights,
        ids,
        settings,
        statistics=statistics,
        progress=functools.partial(report, "dynamic"),
    )
    values = settings.to_json()
    return _protocol(
        "dynamic",
        "dynamic, 1 stream",
        logprobs,
        config,
        streams=1,
        gradients="the text, as read" if statistics is None else "training text",
        **{name: values[name] for name in ("segment", "learning_rate", "decay", "epsilon", "sample")},
    )


def _yardsticks(
    writer: Writer, own: RunText | None, subject: Subject, progress: Callable[[int, int], None]
) -> list[Yardstick]:
    training = own.training if own is not None and own.training else None
    found = compress(utf8(subject.text), characters=len(subject.ids), training=training, progress=progress)
    if own is not None and own.training:
        found.append(unigram(subject.ids, _id_counts(writer.tokenizer, own.counts.to_dict())))
    return [*found, uniform(writer.config.vocab_size)]


def _id_counts(tokenizer: CharTokenizer, counts: Mapping[str, int]) -> NDArray[np.int64]:
    """How often each id occurs, `(vocab,)`, from how often each character does."""
    result = np.zeros(tokenizer.vocab_size, np.int64)
    places = {character: place for place, character in enumerate(tokenizer.characters)}
    for character, count in counts.items():
        place = places.get(character, tokenizer.unknown_id)
        if place is not None:
            result[place] += count
    return result


def _notes(writer: Writer, own: RunText | None, problem: str, subject: Subject) -> list[str]:
    notes = []
    if subject.split == "held-out" and writer.path is not None and writer.path.name == BEST:
        notes.append("The run never trained on this text, but chose by it which of its states to keep as the best.")
    if writer.adaptation is not None:
        notes.append(f"The model had learned from {writer.adaptation.characters:,} characters of another text before.")
    if len(subject.ids) < LEAST:
        notes.append(f"The text is too short for an interval: that takes {LEAST} characters.")
    if subject.unknown:
        notes.append(
            f"{subject.unknown:,} of the characters are ones that the model never saw; a stand-in was scored in their "
            "place, which is easier than to tell them apart, as the compressors must."
        )
    if subject.dropped:
        notes.append(f"{subject.dropped:,} characters that the model never saw were left out.")
    if own is None:
        notes.append(f"{problem} So the compressors had seen nothing before, and there is no unigram.")
    elif not own.training:
        notes.append("The run has no training text, so the compressors had seen nothing before.")
    elif len(own.training) < own.training_bytes:
        notes.append(
            f"The compressors saw the last {len(own.training):,} of the training text's {own.training_bytes:,} bytes."
        )
    if own is not None and own.training_bytes > _GZIP_SEES:
        blocks = ", bz2 over a block of 900 KB" if own.training_bytes > _BZ2_SEES else ""
        notes.append(f"gzip looks back over 32 KB{blocks}, xz over all that it saw.")
    return notes


def _warnings(writer: Writer, own: RunText | None, subject: Subject) -> list[str]:
    """Whether the model was trained on what it is asked to foretell."""
    flattered = "so the figures flatter it. Leave the file out to score the part that was held out."
    if subject.sha256 == writer.metadata.corpus.sha256:
        return [f"This is the very text that the model was trained on, with the part held out, {flattered}"]
    if own is None or len(subject.text) < _TELLING:
        return []
    data = utf8(subject.text)
    if data in own.training:
        return [f"This text stands word for word in the text that the model was trained on, {flattered}"]
    if own.training and len(own.training) == own.training_bytes and own.training in data:
        return [f"This text holds the whole text that the model was trained on, {flattered}"]
    return []
