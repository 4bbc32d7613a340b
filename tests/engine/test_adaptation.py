"""Dynamic evaluation: gradients against slow oracles, the update rule by hand, and how a writer adapts to a text."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import ALPHABET, random_weights, random_writer, slow_logits

import textgen
from textgen.config import CELLS, AdaptationConfig, ModelConfig
from textgen.engine.adaptation import GradientStatistics, Learner, gather_statistics, score_dynamic
from textgen.engine.adaptation.gradient import Network
from textgen.engine.adaptation.parameters import Parameters
from textgen.engine.adaptation.rule import Rule
from textgen.engine.scoring import score_ids
from textgen.errors import ConfigError, RunError, TrainingError, UnknownCharacterError
from textgen.model.weights import ModelWeights
from textgen.runs.provenance import read_run_text
from textgen.sampling.adapting import training_statistics
from textgen.sampling.logits import log_softmax
from textgen.sampling.writer import Writer

STILL = AdaptationConfig(learning_rate=0.0, decay=0.0)
LIVELY = AdaptationConfig(learning_rate=1e-2, decay=1e-3, segment=10, sample=500)
SHAPES = [(1, True), (2, True), (2, False), (3, True)]


def config(cell: Any = "lstm", **changes: Any) -> ModelConfig:
    return ModelConfig(**{"vocab_size": 7, "cell": cell, "layers": 2, "units": 5, "embedding": 3, **changes})


def ids(length: int, *, seed: int = 0, vocab: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, vocab, length)


def calm_writer(cell: Any = "lstm") -> Writer:
    """A writer with small recurrent weights, so that rounding errors do not grow over a text."""
    shape = config(cell, vocab_size=ALPHABET.vocab_size, units=24, embedding=8)
    return Writer(config=shape, weights=random_weights(shape), tokenizer=ALPHABET)


def random_network(shape: ModelConfig, seed: int = 1) -> Network:
    rng = np.random.default_rng(seed)
    return Network(Parameters(shape, 0.6 * rng.normal(size=Parameters.count(shape))))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("layers", "skip"), SHAPES)
def test_every_gradient_equals_finite_differences_in_float64(cell: str, layers: int, skip: bool) -> None:
    network = random_network(config(cell, layers=layers, skip=skip))
    values = network.parameters.values
    text = ids(18).reshape(9, 2)
    state = network.read(text[:3], text[1:4], network.initial_state(2)).state
    inputs, targets = text[3:-1], text[4:]
    segment = network.read(inputs, targets, state)
    deltas = network.backward(segment)
    rng = np.random.default_rng(2)
    for row in (0, 1):
        gradient = network.parameters.like()
        network.gradient(segment, deltas, gradient, text=row)
        # Every array has its turn, and within it chance decides.
        starts = np.cumsum([0, *(array.size for array in arrays_of(gradient))])
        for place in [int(rng.integers(a, b)) for a, b in itertools.pairwise(starts) for _ in range(6)]:
            kept, losses = values[place], []
            for change in (1e-5, -1e-5):
                values[place] = kept + change
                losses.append(-float(network.read(inputs, targets, state).logprobs[:, row].sum()))
            values[place] = kept
            assert gradient.values[place] == pytest.approx((losses[0] - losses[1]) / 2e-5, abs=1e-7)


def arrays_of(parameters: Parameters) -> list[np.ndarray]:
    layers = [
        array
        for layer in parameters.layers
        for array in (layer.kernel, layer.recurrent_kernel, layer.bias, layer.peephole)
        if array is not None
    ]
    return [parameters.embedding, *layers, parameters.head_kernel, parameters.head_bias]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("skip", [True, False])
def test_scores_and_gradients_are_those_of_the_kernels_that_trained(cell: Any, skip: bool) -> None:
    tf = pytest.importorskip("tensorflow")
    from textgen.training.keras_model import build_model
    from textgen.training.network import Network as Trained

    shape = config(cell, skip=skip, layers=3, dropout=0.0, input_dropout=0.0)
    model = build_model(shape, seed=3)
    weights = ModelWeights.from_arrays(model.get_weights())
    network = Network(Parameters.from_weights(shape, weights))
    text = ids(7)
    segment = network.read(text[:-1, None], text[1:, None], network.initial_state(1))
    gradient = network.parameters.like()
    network.gradient(segment, network.backward(segment), gradient)

    trained = Trained(model, shape)
    with tf.GradientTape() as tape:
        logits, _ = trained.logits(tf.constant(text[None, :-1], tf.int32), trained.zero_state(1))
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(text[1:], logits)
        loss = tf.reduce_sum(losses)
    expected = [
        np.asarray(tf.convert_to_tensor(g)) for g in tape.gradient(loss, [v.value for v in model.trainable_variables])
    ]
    np.testing.assert_allclose(segment.logprobs[:, 0], -losses.numpy(), atol=1e-5)
    if cell == "coupled":
        expected = [learned(array) if 0 < n < len(expected) - 2 else array for n, array in enumerate(expected)]
    for one, other in zip(gradient.to_weights().arrays(), expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def learned(gradient: np.ndarray) -> np.ndarray:
    """A gradient with respect to the columns i, f, g, o as one with respect to the trainable columns: f is minus i."""
    i, f, g, o = np.split(gradient, 4, axis=-1)
    return np.concatenate([i - f, f - i, g, o], axis=-1)


@pytest.mark.parametrize("cell", CELLS)
def test_weights_come_back_as_they_were(cell: Any) -> None:
    shape = config(cell)
    weights = random_weights(shape)
    back = Parameters.from_weights(shape, weights).to_weights()
    back.validate(shape)
    for one, other in zip(back.arrays(), weights.arrays(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("cell", CELLS)
def test_without_learning_the_score_is_the_static_one(cell: Any) -> None:
    writer = calm_writer(cell)
    text = ids(333, vocab=ALPHABET.vocab_size)
    static = score_ids(writer.engine, text)
    np.testing.assert_allclose(score_dynamic(writer.config, writer.weights, text, STILL), static, atol=2e-5)
    slow = log_softmax(slow_logits(writer.config, writer.weights, text[:-1]))
    np.testing.assert_allclose(static, slow[np.arange(len(text) - 1), text[1:]], atol=1e-4)


@pytest.mark.parametrize("own", [True, False])
def test_what_comes_later_never_changes_an_earlier_score(own: bool) -> None:
    writer = random_writer()
    text = ids(900, vocab=ALPHABET.vocab_size)
    other = np.concatenate([text[:555], ids(345, seed=9, vocab=ALPHABET.vocab_size)])
    usual = None if own else gather_statistics(writer.config, writer.weights, text[:200], LIVELY)
    one, two = (score_dynamic(writer.config, writer.weights, each, LIVELY, statistics=usual) for each in (text, other))
    np.testing.assert_array_equal(one[:554], two[:554])
    assert (one[554:] != two[554:]).any()
    static = score_ids(writer.engine, text)
    assert np.abs(one[400:] - static[400:]).max() > 1e-3


def test_a_character_is_scored_before_its_segment_is_learned_from() -> None:
    writer = calm_writer()
    text = ids(11, vocab=ALPHABET.vocab_size)
    usual = gather_statistics(writer.config, writer.weights, text, LIVELY)
    learner = Learner(writer.config, writer.weights, LIVELY, statistics=usual)
    np.testing.assert_allclose(learner.read(text), score_ids(writer.engine, text), atol=2e-5)
    assert not np.array_equal(learner.weights.head_kernel, writer.weights.head_kernel)


def test_the_state_is_carried_from_one_reading_to_the_next() -> None:
    writer = random_writer()
    text = ids(101, vocab=ALPHABET.vocab_size)
    usual = gather_statistics(writer.config, writer.weights, text, LIVELY)
    whole = score_dynamic(writer.config, writer.weights, text, LIVELY, statistics=usual)
    learner = Learner(writer.config, writer.weights, LIVELY, statistics=usual)
    parts = [learner.read(text[:51]), learner.read(text[50:])]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_a_repeated_text_is_predicted_better_and_better() -> None:
    writer = random_writer()
    text = np.tile(ids(60, vocab=ALPHABET.vocab_size), 20)
    static = score_ids(writer.engine, text)
    for usual in (None, gather_statistics(writer.config, writer.weights, text[:200], LIVELY)):
        dynamic = score_dynamic(writer.config, writer.weights, text, LIVELY, statistics=usual)
        assert dynamic.mean() > static.mean() + 1.0
        assert dynamic[-60:].mean() > dynamic[-600:-540].mean()


def test_learning_is_the_same_twice_and_leaves_the_weights_alone() -> None:
    writer = random_writer()
    before = [array.copy() for array in writer.weights.arrays()]
    text = ids(300, vocab=ALPHABET.vocab_size)
    one, two = (score_dynamic(writer.config, writer.weights, text, LIVELY) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    for array, kept in zip(writer.weights.arrays(), before, strict=True):
        np.testing.assert_array_equal(array, kept)


@pytest.mark.parametrize("cell", CELLS)
def test_learned_weights_are_a_model_of_the_same_kind(cell: Any) -> None:
    writer = random_writer(cell=cell)
    learner = Learner(writer.config, writer.weights, LIVELY)
    learner.read(ids(900, vocab=ALPHABET.vocab_size))
    learner.weights.validate(writer.config)
    for layer, before in zip(learner.weights.layers, writer.weights.layers, strict=True):
        assert not np.array_equal(layer.kernel, before.kernel)
        if cell == "coupled":
            for array in (layer.kernel, layer.recurrent_kernel, layer.bias):
                i, f, *_ = np.split(array, 4, axis=-1)
                np.testing.assert_array_equal(f, -i)


def rule(weights: np.ndarray, mean_squares: np.ndarray, **settings: float) -> Rule:
    return Rule(weights, GradientStatistics(mean_squares, 1), AdaptationConfig(**{"epsilon": 0.0, **settings}))


def test_the_rule_is_that_of_the_paper() -> None:
    rng = np.random.default_rng(0)
    trained, now, gradient = (rng.normal(size=200_000) for _ in range(3))
    squares = rng.random(200_000)
    got = now.copy()
    rule(trained, squares, learning_rate=1e-2, decay=0.7, epsilon=0.1).apply(got, gradient)
    root = np.sqrt(squares)
    share = np.minimum(0.7 * root / root.mean(), 1.0)
    assert (share == 1.0).any()
    expected = now - 1e-2 * gradient / (root + 0.1 * root.mean()) + share * (trained - now)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


def test_decay_alone_keeps_trained_weights_and_brings_others_back() -> None:
    trained = np.random.default_rng(0).normal(size=100).astype(np.float32)
    squares = np.full(100, 4.0, np.float32)
    gradient = np.ones(100, np.float32)
    weights = trained.copy()
    rule(trained, squares, learning_rate=0.0, decay=0.3).apply(weights, gradient)
    np.testing.assert_array_equal(weights, trained)
    weights = trained + 1.0
    rule(trained, squares, learning_rate=0.0, decay=0.25).apply(weights, gradient)
    np.testing.assert_allclose(weights, trained + 0.75, atol=1e-6)
    rule(trained, squares, learning_rate=0.0, decay=1e6).apply(weights, gradient)
    np.testing.assert_allclose(weights, trained, atol=1e-6)


def test_weights_that_never_had_a_gradient_do_not_leap() -> None:
    weights = np.zeros(2, np.float32)
    squares = np.array([0.0, 1.0], np.float32)
    rule(weights, squares, learning_rate=1e-3, decay=0.0, epsilon=0.1).apply(weights, np.ones(2, np.float32))
    assert np.abs(weights).max() < 0.03


def test_statistics_are_the_mean_squares_of_single_segments() -> None:
    shape = config()
    weights = random_weights(shape)
    text, settings = ids(2000), AdaptationConfig(segment=5, sample=600)
    got = gather_statistics(shape, weights, text, settings)
    streams, apart, count = 32, 1999 // 32, (-(-600 // 32)) // 5
    network = Network(Parameters.from_weights(shape, weights))
    gradient = network.parameters.like()
    squares = []
    for stream in range(streams):
        state = network.initial_state(1)
        for n in range(count):
            part = text[stream * apart + 5 * n :][:6, None]
            segment = network.read(part[:-1], part[1:], state)
            state = segment.state
            network.gradient(segment, network.backward(segment), gradient)
            squares.append(np.square(gradient.values / 5))
    assert got.segments == len(squares)
    np.testing.assert_allclose(got.root_mean_square, np.sqrt(np.mean(squares, axis=0)), rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("length", [2, 3, 20, 21, 22, 500])
def test_short_texts_have_statistics_too(length: int) -> None:
    shape = config()
    statistics = gather_statistics(shape, random_weights(shape), ids(length), AdaptationConfig())
    assert statistics.segments >= 1
    assert np.isfinite(statistics.root_mean_square).all()
    assert statistics.root_mean_square.max() > 0


def test_progress_rises_to_the_whole() -> None:
    shape = config()
    for call in (gather_statistics, score_dynamic):
        seen: list[tuple[int, int]] = []
        call(shape, random_weights(shape), ids(203), LIVELY, progress=lambda *each, seen=seen: seen.append(each))
        assert [done for done, _ in seen] == sorted({done for done, _ in seen})
        assert seen[-1][0] == seen[-1][1]


def test_a_rate_that_is_far_too_high_is_a_sentence() -> None:
    writer = random_writer()
    settings = LIVELY.replace(learning_rate=1.0, epsilon=0.0)
    strong = GradientStatistics(np.zeros(writer.config.weights, np.float32), 1)
    with pytest.raises(TrainingError, match="Choose a learning rate below 1"):
        score_dynamic(writer.config, writer.weights, ids(900, vocab=ALPHABET.vocab_size), settings, statistics=strong)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"segment": 0}, "segment must be a whole number in"),
        ({"learning_rate": -1e-3}, "learning_rate must be in"),
        ({"decay": -1.0}, "decay must be in"),
        ({"epsilon": float("nan")}, "epsilon must be in"),
        ({"sample": 0}, "sample must be a whole number"),
        ({"longest": 3}, "text must be of at most 3 characters; got 4. Adapt to a part of it"),
    ],
)
def test_what_cannot_be_is_a_sentence(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        random_writer().adapt("abcd", **wrong)


def test_nothing_to_read_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match="text must be at least one character"):
        random_writer().adapt("")
    with pytest.raises(UnknownCharacterError):
        random_writer().adapt("ÉÉÉ")
    with pytest.raises(ConfigError, match="at least one character"):
        random_writer().adapt("ÉÉÉ", unknown="skip")


PLAY = "mirabel came in and mirabel said to rosalba\nrosalba went out and mirabel wept\n" * 12


def test_names_of_the_text_become_likelier_and_the_old_writer_stays_as_it_is() -> None:
    writer = random_writer()
    before = writer.generate(seed=1, max_new_tokens=60).text, writer.score("said mirabel").nats
    adapted = writer.adapt(PLAY, learning_rate=1e-2)
    assert adapted.score("said mirabel").nats < before[1] - 5.0
    assert adapted.score("said mirabel").nats < adapted.score("said fernand").nats
    assert (writer.generate(seed=1, max_new_tokens=60).text, writer.score("said mirabel").nats) == before
    assert adapted.generate(seed=1, max_new_tokens=60).text != before[0]


def test_an_adapted_writer_says_what_it_rests_on_and_can_be_adapted_again() -> None:
    writer = random_writer(cell="lstm")
    adapted = writer.adapt(PLAY, learning_rate=1e-2)
    done = adapted.adaptation
    assert done is not None
    assert writer.adaptation is None
    assert done.characters == len(PLAY)
    assert done.nats_per_character < writer.score(PLAY).nats_per_character
    assert done.settings == AdaptationConfig(learning_rate=1e-2)
    assert done.problem == "The model does not say what text it was trained on."
    assert repr(adapted) == f"Writer(2 x 24 lstm, 28 characters, adapted to {len(PLAY):,} characters)"
    again = adapted.adapt(PLAY, learning_rate=1e-2)
    assert again.score(PLAY).nats < adapted.score(PLAY).nats
    same = writer.adapt(PLAY, learning_rate=1e-2)
    np.testing.assert_array_equal(same.weights.head_kernel, adapted.weights.head_kernel)


@pytest.fixture(scope="session")
def trained(home: Path) -> Writer:
    return textgen.load(home / "checkpoints" / "tiny")


def test_the_runs_own_text_tells_how_large_gradients_are(trained: Writer, home: Path) -> None:
    text = "The fox came home.\n" * 20
    adapted = trained.adapt(text)
    assert adapted.adaptation is not None
    assert adapted.adaptation.problem == ""
    # The same, from the library's parts.
    own = read_run_text(trained.metadata.corpus, trained.path, keep=1 << 20)
    settings = AdaptationConfig()
    usual = training_statistics(trained.config, trained.weights, trained.tokenizer, own, settings)
    training = (home / "haven.txt").read_text(encoding="utf-8")[: own.split]
    again = gather_statistics(trained.config, trained.weights, trained.tokenizer.encode(training), settings)
    assert usual is not None
    np.testing.assert_array_equal(usual.total, again.total)
    learner = Learner(trained.config, trained.weights, settings, statistics=usual)
    learner.read(trained.tokenizer.encode("\n" + text))
    np.testing.assert_array_equal(adapted.weights.head_kernel, learner.weights.head_kernel)


def test_both_halves_adapt_each_from_its_side() -> None:
    writer = random_writer(sides="both", units=12)
    adapted = writer.adapt(PLAY)
    assert adapted.backward is not None and adapted.weights.backward is not None and writer.weights.backward is not None
    config = writer.config.forwards
    for found, half, text in (
        (adapted.weights.forwards, writer.weights.forwards, PLAY),
        (adapted.weights.backward, writer.weights.backward, PLAY[::-1]),
    ):
        expected = Writer(config=config, weights=half, tokenizer=writer.tokenizer).adapt(text).weights
        for mine, other in zip(found.arrays(), expected.arrays(), strict=True):
            np.testing.assert_array_equal(mine, other)
    assert adapted.weights.joint is writer.weights.joint
    members = Writer.mix([writer, writer]).adapt(PLAY).members
    assert [each.weights.joint for each, _ in members] == [None, None]


def test_a_backward_half_has_the_statistics_of_the_text_from_right_to_left() -> None:
    writer = random_writer()
    own: Any = type("Own", (), {"training": PLAY.encode()})()
    usual = training_statistics(
        writer.config, writer.weights, writer.tokenizer, own, AdaptationConfig(), backwards=True
    )
    turned = gather_statistics(writer.config, writer.weights, writer.tokenizer.encode(PLAY[::-1]), AdaptationConfig())
    assert usual is not None
    np.testing.assert_array_equal(usual.total, turned.total)


def test_what_is_done_is_reported_for_both_halves_together() -> None:
    said: list[tuple[str, int, int]] = []
    random_writer(sides="both", units=8).adapt(PLAY, progress=lambda *each: said.append(each))
    stages = list(dict.fromkeys(stage for stage, _, _ in said))
    assert stages == ["statistics", "adapting"]
    for stage in stages:
        done = [each for name, each, _ in said if name == stage]
        totals = {total for name, _, total in said if name == stage}
        assert done == sorted(done)
        assert totals == {done[-1]}


def test_a_text_cut_within_a_character_still_gives_statistics() -> None:
    from textgen.corpus.tokenizer import CharTokenizer

    tokenizer = CharTokenizer("\nabé")
    writer = random_writer(tokenizer)
    data = ("éab" * 50).encode()[1:]
    own: Any = type("Own", (), {"training": data})()
    usual = training_statistics(writer.config, writer.weights, tokenizer, own, AdaptationConfig())
    cut = gather_statistics(writer.config, writer.weights, tokenizer.encode("ab" + "éab" * 49), AdaptationConfig())
    assert usual is not None
    np.testing.assert_array_equal(usual.total, cut.total)


def test_a_corpus_that_is_another_text_is_refused(trained: Writer, tmp_path: Path) -> None:
    path = tmp_path / "other.txt"
    path.write_text("quite another text\n")
    with pytest.raises(RunError, match="has changed"):
        trained.adapt("The fox.", corpus=path)
