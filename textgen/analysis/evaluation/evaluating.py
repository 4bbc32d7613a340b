"""Evaluates a model: scores a text by each protocol, fits the temperature and computes the baselines."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.analysis.evaluation.baselines import MOST_TRAINING, Baseline, compress, uniform, unigram
from textgen.analysis.evaluation.bootstrap import block_bootstrap
from textgen.analysis.evaluation.calibration import TemperatureScaling
from textgen.analysis.evaluation.classifying import classify_records
from textgen.analysis.evaluation.composing import judge_tunes
from textgen.analysis.evaluation.evaluation import Evaluation, Protocol
from textgen.analysis.evaluation.record_text import given_records, held_out_records, own_records
from textgen.analysis.evaluation.remarks import notes_on, warnings_on
from textgen.analysis.evaluation.scored_text import ScoredText, given, held_out, utf8
from textgen.analysis.evaluation.sides import score_record_sides, score_text_sides
from textgen.analysis.passage import open_writer
from textgen.config import AdaptationConfig, EvaluationConfig, Unknown, require
from textgen.corpus.tokenizer import CharTokenizer
from textgen.engine.label_scoring import score_labelled
from textgen.engine.mixture import mix_logprobs
from textgen.engine.scoring import score_ids, score_records, score_windows
from textgen.errors import RunError
from textgen.runs.provenance import RunText, read_run_text
from textgen.runs.run import CHECKPOINTS
from textgen.sampling.mixing import common_source
from textgen.sampling.writer import Writer
from textgen.system import PathLike, path_list

Progress = Callable[[str, int, int], None]

_DEFAULT = EvaluationConfig()
_PART = 125_000
_MOST_STREAMS = 64


def evaluate(
    run: PathLike | Writer | None = None,
    text: str | Sequence[str] | None = None,
    *,
    labels: Sequence[Sequence[str]] | None = None,
    corpus: PathLike | Sequence[PathLike] = (),
    checkpoints: PathLike = CHECKPOINTS,
    name: str = "a given text",
    windows: int = _DEFAULT.windows,
    streams: int | None = _DEFAULT.streams,
    dynamic: bool = _DEFAULT.dynamic,
    seed: int = _DEFAULT.seed,
    unknown: Unknown = _DEFAULT.unknown,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluates how well a model predicts a text, in standard, comparable metrics.

    Args:
        run: a run's name, a run's folder, a `.keras` file, or a writer; None takes the newest run.
        text: the text to score. None takes the run's held-out text, which is read again from its sources; a mixture's
            models must have the same one. Newlines and characters are normalised as the training text's were. For a
            run on records it may also be a list of records.
        labels: the labels of each record of such a list, given which it is scored; those that the model does not know
            are ignored.
        corpus: where the run's own text is now: files or folders; empty takes the recorded places.
        checkpoints: the folder of the run folders.
        name: what to call a given text.
        windows: the length in characters of the windows that are scored without context, in [1, 1,000,000].
        streams: in how many parts the text is scored with carried state; None follows its length. See
            `EvaluationConfig`.
        dynamic: whether to run dynamic evaluation, too.
        seed: the bootstrap's.
        unknown: how to treat characters of a given text outside the vocabulary: see `CharTokenizer.encode`.
        progress: called with the stage ("reading", "carried", "windows", "statistics", "dynamic", "sides",
            "classifying", "tunes" or "compressing"), the amount done and the total.

    Raises:
        RunError: there is no such run, or no text is given and its own is missing, has changed, or was not held out.
        CheckpointError: the checkpoint is missing, damaged or not one of textgen's.
        UnknownCharacterError: the text contains characters outside the vocabulary, and `unknown` refuses them.
        CorpusError: the text is empty, or no character of it can be scored.
        ConfigError: a setting is out of its range.
        TrainingError: dynamic evaluation diverged.

    Example:
        found = textgen.evaluate("shakespeare")
        print(found.carried.bits, found.carried.interval, found.verdict)
    """
    config = EvaluationConfig(windows=windows, streams=streams, dynamic=dynamic, seed=seed, unknown=unknown)
    writer = open_writer(run, checkpoints)
    report = progress or (lambda *_: None)
    by_record = writer.tokenizer.has_end
    own, counts, classification, records, tunes = None, None, None, None, None
    if by_record:
        require(not config.dynamic, "dynamic", "off for a run on records", config.dynamic)
        records, problem = own_records(
            writer, corpus, keep=MOST_TRAINING, progress=functools.partial(report, "reading")
        )
        if records is not None:
            own, counts = records.text, records.counts
        scored = (
            held_out_records(writer, records, problem)
            if text is None
            else given_records(writer, text, labels, name, unknown)
        )
    else:
        require(text is None or isinstance(text, str), "text", "a string", text, "Lists are for runs on records.")
        assert text is None or isinstance(text, str)
        own, problem = _own_text(writer, corpus, functools.partial(report, "reading"))
        scored = held_out(writer, own, problem) if text is None else given(writer, own, text, name, unknown)
        counts = None if own is None else _id_counts(writer.tokenizer, own.counts.to_dict())
    scaling = TemperatureScaling()
    score = _score_records if by_record else _score_text
    protocols = score(writer, own, scored, config, scaling, report)
    if by_record and scored.label_of is not None:
        classification = classify_records(
            writer, records, scored, seed=config.seed, progress=functools.partial(report, "classifying")
        )
    if writer.reading.records == "tunes":
        tunes = judge_tunes(writer, records, scored, seed=config.seed, progress=functools.partial(report, "tunes"))
    baselines = _baselines(writer, own, scored, counts, functools.partial(report, "compressing"))
    return Evaluation(
        run=writer.name,
        members=tuple((each.name, share) for each, share in writer.members) if len(writer.members) > 1 else (),
        checkpoint=None if writer.path is None else str(writer.path),
        split=scored.split,
        source=scored.source,
        characters=len(scored.ids),
        sha256=scored.sha256,
        unknown=scored.unknown,
        dropped=scored.dropped,
        vocab_size=writer.tokenizer.vocab_size,
        protocols=tuple(protocols),
        calibration=scaling.best(),
        baselines=tuple(baselines),
        seed=config.seed,
        notes=notes_on(writer, own, problem, scored),
        warnings=() if text is None else warnings_on(writer, own, scored, records),
        classification=classification,
        tunes=tunes,
    )


def _score_text(
    writer: Writer,
    own: RunText | None,
    scored: ScoredText,
    config: EvaluationConfig,
    scaling: TemperatureScaling,
    report: Progress,
) -> list[Protocol]:
    """Scores a running text by each protocol."""
    ids = np.concatenate([scored.before, scored.ids])
    parts = _parts(len(scored.ids), config.streams)
    carried = score_ids(
        writer.engine, ids, streams=parts, progress=functools.partial(report, "carried"), observe=scaling
    )
    windowed = score_windows(writer.engine, ids, length=config.windows, progress=functools.partial(report, "windows"))
    protocols = [
        _protocol("carried", f"state carried, {_streams(parts)}", carried, config, streams=parts),
        _protocol("windows", f"windows of {config.windows:,}", windowed, config, length=config.windows),
    ]
    if config.dynamic:
        protocols.append(_dynamic(writer, own, ids, config, report))
    if len(writer.members) == 1 and writer.config.both:
        progress = functools.partial(report, "sides")
        backwards, joint = score_text_sides(writer, scored, streams=parts, progress=progress)
        protocols += [
            _protocol("backwards", f"from the right, {_streams(parts)}", backwards, config, streams=parts),
            _protocol("joint", f"from both sides, {_streams(parts)}", joint, config, streams=parts),
        ]
    return protocols


def _score_records(
    writer: Writer,
    own: RunText | None,
    scored: ScoredText,
    config: EvaluationConfig,
    scaling: TemperatureScaling,
    report: Progress,
) -> list[Protocol]:
    """Scores records, each by itself and given its labels, its end included.

    A window of one would have no meaning of its own.
    """
    del own
    end = writer.tokenizer.end_id
    assert end is not None
    records = int(np.count_nonzero(scored.ids == end))
    shared: Any = {
        "end_id": end,
        "streams": config.streams or _MOST_STREAMS,
        "progress": functools.partial(report, "carried"),
        "observe": scaling,
    }
    if scored.label_of is None:
        found = score_records(writer.engine, scored.ids, **shared)
    else:
        found = score_labelled(
            writer.engine,
            scored.ids,
            label_of=scored.label_of,
            label_sets=scored.label_sets,
            labels=len(writer.labels),
            **shared,
        )
    title = "each record, with its end" if scored.label_of is None else "each record, by its labels"
    protocols = [_protocol("carried", title, found, config, records=records)]
    if len(writer.members) == 1 and writer.config.both:
        backwards, joint = score_record_sides(
            writer, scored, streams=shared["streams"], progress=functools.partial(report, "sides")
        )
        protocols.append(
            _protocol("backwards", "from the right, with its beginning", backwards, config, records=records)
        )
        if len(joint):
            protocols.append(_protocol("joint", "from both sides, without its end", joint, config, records=records))
    return protocols


def _own_text(
    writer: Writer, corpus: PathLike | Sequence[PathLike], progress: Callable[[int, int], None]
) -> tuple[RunText | None, str]:
    """The text that a model was trained on, or why it cannot be read; an error if `corpus` is given and is not it."""
    sources = path_list(corpus)
    try:
        source = common_source(writer.members)
        own = read_run_text(source.metadata.corpus, source.path, keep=MOST_TRAINING, sources=sources, progress=progress)
        return own, ""
    except RunError as error:
        if sources:
            raise
        return None, str(error)


def _parts(characters: int, streams: int | None) -> int:
    """In how many parts to score a text: as many as asked for, or one for every 125,000 characters.

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
    return Protocol(name=name, title=title, nats=0.0 - float(logprobs.mean()), interval=interval, settings=settings)


def _dynamic(
    writer: Writer, own: RunText | None, ids: NDArray[Any], config: EvaluationConfig, report: Progress
) -> Protocol:
    """Scores the text by dynamic evaluation; each model of a mixture learns for itself.

    The gradient statistics are measured on the training text or, if that is missing, on the text scored so far.
    """
    from textgen.engine.adaptation import score_dynamic
    from textgen.sampling.adapting import training_statistics

    settings = AdaptationConfig()
    progress = functools.partial(report, "dynamic")
    found = []
    for each, _ in writer.members:
        config_of, weights = each.config.forwards, each.weights.forwards
        usual = training_statistics(
            config_of, weights, each.tokenizer, own, settings, progress=functools.partial(report, "statistics")
        )
        found.append(score_dynamic(config_of, weights, ids, settings, statistics=usual, progress=progress))
    logprobs = mix_logprobs(found, np.log([share for _, share in writer.members]))
    values = settings.to_json()
    return _protocol(
        "dynamic",
        "dynamic, 1 stream",
        logprobs,
        config,
        streams=1,
        gradients="the text, as read" if usual is None else "training text",
        **{name: values[name] for name in ("segment", "learning_rate", "decay", "epsilon", "sample")},
    )


def _baselines(
    writer: Writer,
    own: RunText | None,
    scored: ScoredText,
    counts: NDArray[np.int64] | None,
    progress: Callable[[int, int], None],
) -> list[Baseline]:
    training = own.training if own is not None and own.training else None
    found = compress(utf8(scored.text), characters=len(scored.ids), training=training, progress=progress)
    if own is not None and own.training and counts is not None:
        found.append(unigram(scored.ids, counts))
    return [*found, uniform(writer.tokenizer.vocab_size)]


def _id_counts(tokenizer: CharTokenizer, counts: Mapping[str, int]) -> NDArray[np.int64]:
    """How often each id occurs, `(vocab,)`, from how often each character does."""
    result = np.zeros(tokenizer.vocab_size, np.int64)
    places = {character: place for place, character in enumerate(tokenizer.characters)}
    for character, count in counts.items():
        place = places.get(character, tokenizer.unknown_id)
        if place is not None:
            result[place] += count
    return result
