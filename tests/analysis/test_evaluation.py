"""Evaluations against slow oracles, on models that need no training."""

import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import ALPHABET, random_weights, random_writer, slow_logits

from textgen.analysis.evaluation import Evaluation, block_bootstrap, compress, evaluate, evaluating, unigram
from textgen.config import AdaptationConfig, CorpusConfig
from textgen.corpus import encode_corpus, open_corpus
from textgen.corpus.tokenizer import CharTokenizer
from textgen.engine.adaptation import gather_statistics, score_dynamic
from textgen.errors import ConfigError, CorpusError, RunError, UnknownCharacterError
from textgen.model.description import CorpusDescription
from textgen.sampling.logits import log_softmax
from textgen.sampling.writer import Writer

WRITER = random_writer()
WORDS = "the sea was out and so were we nan said the boats lay on their sides\n"


def text_of(length: int, seed: int = 0) -> str:
    return ALPHABET.decode(np.random.default_rng(seed).integers(0, ALPHABET.vocab_size, length))


def slow_nats(writer: Writer, weights: Any, before: str, text: str, *, length: int | None = None) -> float:
    """The mean negative log-probability of each character, one step at a time, in parts of `length` without context."""
    ids = writer.tokenizer.encode(before + text)
    count = len(ids) - 1
    costs = []
    for start in range(0, count, length or count):
        part = ids[start : start + (length or count) + 1]
        logs = log_softmax(slow_logits(writer.config, weights, part[:-1]))
        costs += [-logs[n, each] for n, each in enumerate(part[1:])]
    assert len(costs) == len(text)
    return float(np.mean(costs))


def trained_on(path: Path, *, seed: int = 0, **settings: Any) -> Writer:
    """A writer that believes to have been trained on a file."""
    encoded = encode_corpus(open_corpus(path, config=CorpusConfig(**settings)))
    made = random_writer(encoded.tokenizer, seed=seed)
    weights = random_weights(made.config, seed=seed, scale=4.0)
    metadata = replace(made.metadata, corpus=CorpusDescription.of(encoded))
    return Writer(config=made.config, weights=weights, tokenizer=encoded.tokenizer, metadata=metadata)


@pytest.fixture
def words(tmp_path: Path) -> Path:
    path = tmp_path / "words.txt"
    rng = np.random.default_rng(3)
    path.write_text(" ".join(rng.choice(WORDS.split(), 800)) + "\n", encoding="utf-8")
    return path


def by_name(found: Evaluation) -> dict[str, float]:
    return {each.name: each.nats for each in (*found.protocols, *found.baselines)}


def test_both_protocols_agree_with_single_steps() -> None:
    text = text_of(330)
    found = evaluate(WRITER, text, windows=50)
    weights = random_weights(WRITER.config, seed=0, scale=4.0)
    carried, apart = found.protocols
    assert carried.nats == pytest.approx(slow_nats(WRITER, weights, "\n", text), abs=1e-5)
    assert apart.nats == pytest.approx(slow_nats(WRITER, weights, "\n", text, length=50), abs=1e-5)
    assert (carried.settings, apart.settings) == ({"streams": 1}, {"length": 50})
    assert found.characters == 330


def test_streams_are_parts_without_context_and_the_title_says_how_many() -> None:
    text = text_of(100)
    found = evaluate(WRITER, text, streams=3)
    weights = random_weights(WRITER.config, seed=0, scale=4.0)
    assert found.carried.nats == pytest.approx(slow_nats(WRITER, weights, "\n", text, length=34), abs=1e-5)
    assert found.carried.title == "state carried, 3 streams"


def test_nats_bits_and_perplexity_are_the_same_figure() -> None:
    values = evaluate(WRITER, text_of(400)).to_json()
    figures = [*values["protocols"], values["calibration"], *values["baselines"]]
    assert len(figures) == 7
    for each in figures:
        nats = each["nats_per_character"]
        assert each["bits_per_character"] == pytest.approx(nats / math.log(2))
        assert each["perplexity"] == pytest.approx(math.exp(nats))
    for each in values["protocols"]:
        bounds = each["interval"]
        low, high = bounds["nats_per_character"]
        assert low < each["nats_per_character"] < high
        assert bounds["bits_per_character"] == pytest.approx([low / math.log(2), high / math.log(2)])
        assert bounds["perplexity"] == pytest.approx([math.exp(low), math.exp(high)])
        assert (bounds["level"], bounds["block"], bounds["replicates"], bounds["seed"]) == (0.95, 20, 2000, 0)


def test_the_best_temperature_is_that_of_a_dense_grid() -> None:
    text = text_of(300)
    found = evaluate(WRITER, text)
    ids = ALPHABET.encode("\n" + text)
    logits = slow_logits(WRITER.config, random_weights(WRITER.config, seed=0, scale=4.0), ids[:-1])
    grid = np.arange(0.3, 4.0, 0.005)
    costs = [-log_softmax(logits / each)[np.arange(len(text)), ids[1:]].mean() for each in grid]
    best = int(np.argmin(costs))
    if found.calibration.inside:
        assert found.calibration.temperature == pytest.approx(grid[best], abs=0.01)
    else:
        assert best == len(grid) - 1
    assert found.calibration.nats == pytest.approx(costs[best], abs=2e-3)
    assert found.calibration.nats < found.carried.nats


def test_sha256_is_of_the_text_normalised_as_in_training() -> None:
    plain = evaluate(WRITER, "the sea\nwas out\n")
    assert plain.sha256 == hashlib.sha256(b"the sea\nwas out\n").hexdigest()
    assert evaluate(WRITER, "the sea\r\nwas out\r") == plain


def test_the_same_seed_brings_the_same_intervals() -> None:
    text = text_of(400)
    assert evaluate(WRITER, text, seed=5) == evaluate(WRITER, text, seed=5)
    assert evaluate(WRITER, text, seed=6).carried.interval != evaluate(WRITER, text, seed=5).carried.interval
    assert evaluate(WRITER, text, seed=6).carried.nats == evaluate(WRITER, text, seed=5).carried.nats


def test_numbers_of_numpy_are_taken_as_pythons_own() -> None:
    numpys = evaluate(WRITER, text_of(400), windows=np.int64(32), streams=np.uint8(2), seed=np.int32(1))
    plain = evaluate(WRITER, text_of(400), windows=32, streams=2, seed=1)
    assert json.dumps(numpys.to_json()) == json.dumps(plain.to_json())


def test_a_text_of_one_character_has_figures_but_no_interval() -> None:
    found = evaluate(WRITER, "a")
    weights = random_weights(WRITER.config, seed=0, scale=4.0)
    assert found.carried.nats == pytest.approx(slow_nats(WRITER, weights, "\n", "a"), abs=1e-5)
    assert [each.interval for each in found.protocols] == [None, None]
    assert any("too short for a confidence interval" in note for note in found.notes)
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("text", "settings", "error", "message"),
    [
        ("", {}, CorpusError, "There is nothing to score: the text is empty."),
        ("ÉÉ", {"unknown": "skip"}, CorpusError, "There is nothing to score: none of the text's characters"),
        ("aÉ", {}, UnknownCharacterError, "never saw"),
        ("ab", {"windows": 0}, ConfigError, r"windows must be a whole number in \[1, 1000000\]; got 0"),
        ("ab", {"windows": 10**7}, ConfigError, "windows must be"),
        ("ab", {"windows": 2.5}, ConfigError, "windows must be"),
        ("ab", {"streams": 0}, ConfigError, "streams must be"),
        ("ab", {"seed": -1}, ConfigError, "seed must be"),
        ("ab", {"unknown": "maybe"}, ConfigError, "unknown must be one of"),
        (None, {}, RunError, "does not say what text it was trained on. .*textgen eval model FILE"),
    ],
)
def test_invalid_texts_and_settings_raise_errors(
    text: str | None, settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        evaluate(WRITER, text, **settings)


def test_windows_longer_than_the_text_are_the_text() -> None:
    found = evaluate(WRITER, text_of(60), windows=10**6)
    assert found.protocols[0].nats == pytest.approx(found.protocols[1].nats, abs=1e-6)


def test_unknown_characters_are_counted_and_dropped_for_baselines_too() -> None:
    text = text_of(200)
    found = evaluate(WRITER, "É" + text + "É", unknown="skip")
    alone = evaluate(WRITER, text)
    assert (found.characters, found.dropped, found.unknown) == (200, 2, 0)
    assert by_name(found) == by_name(alone)
    assert "2 characters outside the model's vocabulary were dropped." in found.notes

    replaced = evaluate(WRITER, "É" + text, unknown="replace")
    assert (replaced.characters, replaced.dropped, replaced.unknown) == (201, 0, 1)
    assert any(note.startswith("1 of the characters") for note in replaced.notes)


def test_without_a_training_text_compressors_run_alone_and_there_is_no_unigram() -> None:
    text = text_of(300)
    found = evaluate(WRITER, text)
    assert [each.name for each in found.baselines] == ["xz", "bz2", "gzip", "uniform"]
    assert not any(each.after_training for each in found.baselines)
    assert list(found.baselines[:3]) == compress(text.encode(), characters=300, training=None)
    assert by_name(found)["uniform"] == pytest.approx(math.log(28))
    assert "without the training text" in found.verdict
    assert any("So the compressors ran without the training text" in note for note in found.notes)


def test_without_a_text_the_held_out_text_is_scored(words: Path) -> None:
    writer = trained_on(words)
    whole = words.read_text(encoding="utf-8")
    split = int(len(whole) * 0.9)
    found = evaluate(writer, windows=30)
    weights = random_weights(writer.config, seed=0, scale=4.0)
    held_out = whole[split:]
    assert found.split == "held-out"
    assert found.source == f"the last {len(held_out):,} of {len(whole):,} characters of words.txt"
    assert found.characters == len(held_out)
    assert found.sha256 == hashlib.sha256(held_out.encode()).hexdigest()
    # The first one is predicted from the last one trained on.
    assert found.carried.nats == pytest.approx(slow_nats(writer, weights, whole[split - 1], held_out), abs=1e-5)
    apart = slow_nats(writer, weights, whole[split - 1], held_out, length=30)
    assert found.protocols[1].nats == pytest.approx(apart, abs=1e-5)

    assert list(found.baselines[:3]) == compress(
        held_out.encode(), characters=len(held_out), training=whole[:split].encode()
    )
    ids = writer.tokenizer.encode(held_out)
    counts = np.bincount(writer.tokenizer.encode(whole[:split]), minlength=writer.config.vocab_size)
    assert found.baselines[3] == unigram(ids, counts)
    assert found.warnings == ()


def test_compressors_are_given_the_training_text_for_a_given_text(words: Path) -> None:
    writer = trained_on(words)
    whole = words.read_text(encoding="utf-8")
    given = "the boats lay on their sides and nan said so"
    found = evaluate(writer, given, name="given.txt")
    assert (found.split, found.source, found.warnings) == ("given", "given.txt", ())
    training = whole[: int(len(whole) * 0.9)].encode()
    assert list(found.baselines[:3]) == compress(given.encode(), characters=len(given), training=training)


def test_rare_characters_are_scored_as_the_unknown_one(tmp_path: Path) -> None:
    path = tmp_path / "rare.txt"
    path.write_text("ab" * 300 + "xyz" + "ba" * 20 + "q", encoding="utf-8")
    writer = trained_on(path, min_count=2, validation=0.05)
    assert writer.tokenizer.has_unknown
    found = evaluate(writer)
    assert (found.characters, found.unknown, found.dropped) == (33, 1, 0)
    data = path.read_bytes()
    assert list(found.baselines[:3]) == compress(data[-33:], characters=33, training=data[:-33])
    odds = np.array([305.0, 305.0, 4.0]) / (304 + 304 + 3 + 3)
    assert by_name(found)["unigram"] == pytest.approx(-(16 * np.log(odds[:2]).sum() + np.log(odds[2])) / 33)


def test_chinese_is_counted_in_characters_and_compressed_in_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    poems = "".join(map(chr, rng.integers(0x4E00, 0x4E00 + 900, 5000).tolist()))
    path = tmp_path / "poems.txt"
    path.write_text(poems, encoding="utf-8")
    found = evaluate(trained_on(path, validation=0.2))
    assert found.characters == 1000
    figures = by_name(found)
    assert found.vocab_size == len(set(poems))
    assert figures["uniform"] == pytest.approx(math.log(len(set(poems))))
    # Characters drawn at random take at least their entropy, whoever codes them.
    assert min(figures["xz"], figures["bz2"], figures["gzip"], figures["unigram"]) > math.log(900) * 0.99
    assert figures["unigram"] < 1.03 * math.log(900)


def test_a_run_without_held_out_text_is_an_error(words: Path) -> None:
    with pytest.raises(RunError, match=r"has no held-out text: .* Give a text to score: textgen eval model FILE"):
        evaluate(trained_on(words, validation=0.0))


def test_a_missing_or_changed_text_is_an_error_with_a_remedy(words: Path, tmp_path: Path) -> None:
    writer = trained_on(words)
    (tmp_path / "far" / "away").mkdir(parents=True)
    moved = words.rename(tmp_path / "far" / "away" / "moved.txt")
    with pytest.raises(RunError, match=r"is not there any more: .*--corpus .*textgen eval model FILE"):
        evaluate(writer)
    assert evaluate(writer, corpus=moved).split == "held-out"
    assert evaluate(writer, corpus=[moved]).source.endswith("moved.txt")
    words.write_text("another text altogether\n" * 50, encoding="utf-8")
    with pytest.raises(RunError, match=r"has changed since \(sha256 [0-9a-f]{12}, now [0-9a-f]{12}\)"):
        evaluate(writer)
    with pytest.raises(RunError, match="has changed since"):
        evaluate(writer, "the sea", corpus=words)
    found = evaluate(writer, "the sea")
    assert any("has changed since" in note for note in found.notes)
    assert not any(each.after_training for each in found.baselines)


@pytest.mark.parametrize(
    ("cut", "said"),
    [
        (lambda whole, split: whole, "the text that the model was trained on, including"),
        (lambda whole, split: whole[100:900], "occurs verbatim"),
        (lambda whole, split: "said nan\n" + whole[:split] + "sea", "contains the whole text"),
        (lambda whole, split: whole[split:], None),
        (lambda whole, split: whole[100:120], None),
        (lambda whole, split: whole[split - 100 : split + 200], None),
    ],
    ids=["all", "part", "more", "held-out", "short", "across"],
)
def test_a_text_that_was_trained_on_brings_a_warning(words: Path, cut: Any, said: str | None) -> None:
    whole = words.read_text(encoding="utf-8")
    text = cut(whole, int(len(whole) * 0.9))
    found = evaluate(trained_on(words), text)
    assert len(found.warnings) == (said is not None)
    assert said is None or said in found.warnings[0]
    assert (found.split == "held-out") == (text == whole[int(len(whole) * 0.9) :])


def test_compressors_are_given_the_end_of_a_long_training_text_and_a_note_says_so(
    words: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluating, "MOST_TRAINING", 1000)
    whole = words.read_bytes()
    split = int(len(whole) * 0.9)
    found = evaluate(trained_on(words))
    assert list(found.baselines[:3]) == compress(
        whole[split:], characters=len(whole) - split, training=whole[split - 1000 : split]
    )
    assert f"The compressors were given the last 1,000 of the training text's {split:,} bytes." in found.notes


def test_the_verdict_names_the_best_compressor_and_overconfidence(words: Path) -> None:
    found = evaluate(trained_on(words))
    strongest = min(found.baselines[:3], key=lambda each: each.nats)
    ratio = found.carried.nats / strongest.nats
    assert ratio > 2
    assert f"The model needs {ratio:.1f} times the bits of {strongest.name} given the same" in found.verdict
    assert "overconfident" in found.verdict


def test_dynamic_is_a_protocol_of_its_own_that_measures_gradients_on_the_training_text(words: Path) -> None:
    writer = trained_on(words)
    whole = words.read_text(encoding="utf-8")
    split = int(len(whole) * 0.9)
    found = evaluate(writer, dynamic=True)
    assert found.protocols[:2] == evaluate(writer).protocols
    dynamic = found.protocols[2]
    settings = AdaptationConfig()
    statistics = gather_statistics(writer.config, writer.weights, writer.tokenizer.encode(whole[:split]), settings)
    ids = writer.tokenizer.encode(whole[split - 1 :])
    expected = score_dynamic(writer.config, writer.weights, ids, settings, statistics=statistics)
    assert dynamic.nats == pytest.approx(-expected.mean())
    assert (dynamic.name, dynamic.settings["gradients"]) == ("dynamic", "training text")
    assert dynamic.settings["learning_rate"] == settings.learning_rate
    assert dynamic.interval == block_bootstrap(-expected)
    assert "With dynamic evaluation, it needs" in found.verdict

    text = text_of(300)
    unaided = evaluate(WRITER, text, dynamic=True).protocols[2]
    expected = score_dynamic(WRITER.config, WRITER.weights, ALPHABET.encode("\n" + text))
    assert unaided.nats == pytest.approx(-expected.mean())
    assert unaided.settings["gradients"] == "the text, as read"


def test_an_adapted_model_brings_a_note() -> None:
    found = evaluate(WRITER.adapt(text_of(120)), text_of(50))
    assert "The model was adapted to 120 characters of another text first." in found.notes


def test_progress_goes_through_all_that_takes_time(words: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    evaluate(trained_on(words), dynamic=True, progress=lambda *call: calls.append(call))
    stages = ["reading", "carried", "windows", "statistics", "dynamic", "compressing"]
    assert list(dict.fromkeys(stage for stage, _, _ in calls)) == stages
    for stage in {stage for stage, _, _ in calls}:
        done = [call[1] for call in calls if call[0] == stage]
        assert done == sorted(done)
        assert done[-1] == next(call[2] for call in calls if call[0] == stage)


def test_values_of_any_size_are_json() -> None:
    tokenizer = CharTokenizer("\nab")
    writer = random_writer(tokenizer, layers=1, units=4)
    arrays = writer_arrays(writer, bias=[0.0, 5000.0, 0.0])
    found = evaluate(arrays, "b" * 40)
    assert found.carried.nats == pytest.approx(5000.0, rel=0.01)
    assert found.carried.perplexity == math.inf
    assert found.to_json()["protocols"][0]["perplexity"] is None
    assert found.calibration.temperature == 4.0
    assert not found.calibration.inside
    assert "temperature 4.00 or above" in found.verdict
    json.dumps(found.to_json(), allow_nan=False)


def writer_arrays(writer: Writer, *, bias: list[float]) -> Writer:
    """The writer with another head's bias."""
    from textgen.model.weights import ModelWeights

    arrays = random_weights(writer.config, seed=0, scale=4.0).arrays()
    arrays[-1] = np.array(bias, np.float32)
    return Writer(config=writer.config, weights=ModelWeights.from_arrays(arrays), tokenizer=writer.tokenizer)
