"""`Writer.mix`: a writer of several models, which must do whatever a writer of one does."""

import copy
import dataclasses
import math
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import ALPHABET, random_writer

from textgen.config import AdaptationConfig
from textgen.corpus.tokenizer import CharTokenizer
from textgen.engine.adaptation import Learner, gather_statistics
from textgen.errors import ConfigError, RunError
from textgen.model.description import CorpusDescription
from textgen.sampling.logits import log_softmax
from textgen.sampling.mixing import common_source
from textgen.sampling.writer import Writer

ONE = random_writer(seed=1)
TWO = random_writer(seed=2, units=17, layers=1, cell="lstm")
MIXED = Writer.mix([ONE, TWO], [0.7, 0.3])


def described(writer: Writer, **corpus: Any) -> Writer:
    """A copy of a writer with another description of its training text."""
    metadata = dataclasses.replace(writer.metadata, corpus=CorpusDescription(**corpus))
    return Writer(config=writer.config, weights=writer.weights, tokenizer=writer.tokenizer, metadata=metadata)


def mean_probabilities(text: str) -> np.ndarray:
    """Those of each character of a text, after a line break, from the two writers' own scores."""
    return 0.7 * np.exp(ONE.score(text).logprobs) + 0.3 * np.exp(TWO.score(text).logprobs)


def test_a_text_s_probability_is_the_weighted_mean_at_every_character() -> None:
    text = "the sea and the ship"
    np.testing.assert_allclose(np.exp(MIXED.score(text).logprobs), mean_probabilities(text), rtol=1e-5)


def test_what_it_records_of_a_sample_are_the_mixed_probabilities() -> None:
    sample = MIXED.generate("the ", max_new_tokens=30, seed=5, logprobs=28)
    assert sample.logprobs is not None
    prompt = "the " + sample.text
    for n, noted in enumerate(sample.logprobs):
        expected = {}
        for writer, weight in ((ONE, 0.7), (TWO, 0.3)):
            ids = ALPHABET.encode(prompt[: 4 + n])
            logits, _ = writer.engine.read(ids[None], writer.engine.initial_state(1), last=True)
            for character, logprob in zip(ALPHABET.characters, log_softmax(logits.astype(float))[0], strict=True):
                expected[character] = expected.get(character, 0.0) + weight * math.exp(logprob)
        assert math.exp(noted.logprob) == pytest.approx(expected[noted.character], rel=1e-4)
        assert {c: math.exp(p) for c, p in noted.top} == pytest.approx(expected, rel=1e-4)


def test_texts_do_not_depend_on_how_many_are_written_and_how() -> None:
    control: dict[str, Any] = {"max_new_tokens": 70, "temperature": 0.8, "top_p": 0.95, "seed": 7}
    text = MIXED.generate("the sea ", **control).text
    assert text not in {writer.generate("the sea ", **control).text for writer in (ONE, TWO)}
    many = MIXED.generate_many("the sea ", count=40, **control)
    assert many[0].text == text
    assert MIXED.generate_many("the sea ", count=3, **control) == many[:3]
    assert "".join(MIXED.stream("the sea ", **control)) == text
    streams = MIXED.stream_many("the sea ", count=40, **control)
    assert ["".join(pieces) for pieces in zip(*streams, strict=True)] == [each.text for each in many]


def test_suggestions_have_the_mixed_probabilities() -> None:
    found = MIXED.suggest("the s", n=20)
    assert found
    for each in found[:5]:
        ends = sum(
            float(np.prod(mean_ends(each.text + character)))
            for character in ALPHABET.characters
            if not character.isalpha()
        )
        assert each.probability == pytest.approx(ends, rel=1e-3)


def mean_ends(text: str) -> np.ndarray:
    """The mixed probabilities of the characters of `text` after "the s"."""
    parts = []
    for writer in (ONE, TWO):
        ids = ALPHABET.encode("the s" + text)
        logits, _ = writer.engine.read(ids[None, :-1], writer.engine.initial_state(1))
        logs = log_softmax(logits[0].astype(float))
        parts.append(np.exp(logs[np.arange(len(logs)), ids[1:]])[-len(text) :])
    return 0.7 * parts[0] + 0.3 * parts[1]


def test_a_mixture_of_one_writer_is_that_writer() -> None:
    assert Writer.mix([ONE]) is ONE
    assert Writer.mix([MIXED], [5]) is MIXED


def test_without_weights_all_count_the_same_and_only_their_ratio_matters() -> None:
    text = "the sea and the ship"
    equal = Writer.mix([ONE, TWO])
    assert [weight for _, weight in equal.members] == [0.5, 0.5]
    assert equal.score(text).logprobs.tolist() == Writer.mix([ONE, TWO], [3, 3]).score(text).logprobs.tolist()
    assert Writer.mix([ONE, TWO], [7, 3]).score(text).logprobs.tolist() == MIXED.score(text).logprobs.tolist()


def test_a_mixture_of_mixtures_is_one_of_all_their_models() -> None:
    three = random_writer(seed=3)
    nested = Writer.mix([MIXED, three], [0.8, 0.2])
    assert [each for each, _ in nested.members] == [ONE, TWO, three]
    assert [weight for _, weight in nested.members] == pytest.approx([0.56, 0.24, 0.2])
    flat = Writer.mix([ONE, TWO, three], [0.56, 0.24, 0.2])
    np.testing.assert_allclose(nested.score("the sea").logprobs, flat.score("the sea").logprobs, rtol=1e-6)


def test_a_writer_tells_what_it_mixes(tmp_path: Path) -> None:
    assert repr(MIXED) == "Writer(model:0.7 + model:0.3, 28 characters)"
    assert (ONE.members, ONE.name) == (((ONE, 1.0),), "model")
    named = [copy.copy(ONE), copy.copy(TWO), copy.copy(ONE)]
    for writer, place in zip(named, ("poems/best.keras", "letters/last.keras", "odes.keras"), strict=True):
        writer.path = tmp_path / place
    made = Writer.mix(named, [2, 1, 3])
    assert (made.name, made.path) == (f"poems:0.3333 + letters:0.1667 + {tmp_path / 'odes.keras'}:0.5", None)


def test_what_only_one_model_has_is_asked_of_the_members() -> None:
    for name in ("config", "weights", "metadata"):
        with pytest.raises(AttributeError, match=f"several models has no {name} of its own; its members have"):
            getattr(MIXED, name)
        assert hasattr(MIXED.members[0][0], name)
    with pytest.raises(AttributeError, match="no attribute 'generat'"):
        MIXED.generat  # noqa: B018


@pytest.mark.parametrize(
    ("first", "second", "sentence"),
    [
        (
            " abcé",
            " abc",
            r"model 2 lacks a character of model 1, 'é' \(U\+00E9\)\. Mix models of texts with the same characters",
        ),
        (" a", " abcdef", r"model 1 lacks 5 characters of model 2, 'b' \(U\+0062\), .* and 2 more\. Mix"),
    ],
)
def test_models_of_other_characters_are_refused_with_some_of_them(first: str, second: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=f"^The models cannot be mixed: {sentence}"):
        Writer.mix([random_writer(CharTokenizer(first)), random_writer(CharTokenizer(second))])


def test_an_id_for_rare_characters_must_be_that_of_all() -> None:
    plain, rare = random_writer(CharTokenizer(" ab")), random_writer(CharTokenizer(" ab", has_unknown=True))
    for writers, sentence in (([plain, rare], "model 2 has an id that"), ([rare, plain], "model 1 has an id that")):
        with pytest.raises(ConfigError, match=f"{sentence} rare characters share, and .* has none. Mix .* min_count"):
            Writer.mix(writers)
    text = Writer.mix([rare, rare]).generate("aÉ", seed=1, max_new_tokens=9).text
    assert text == rare.generate("aÉ", seed=1, max_new_tokens=9).text


def test_a_model_of_records_is_not_mixed_with_one_of_running_text() -> None:
    running, records = random_writer(CharTokenizer(" ab")), random_writer(CharTokenizer(" ab", has_end=True))
    for writers, number in (([running, records], 2), ([records, running], 1)):
        with pytest.raises(ConfigError, match=f"model {number} was trained on records, and model {3 - number} on"):
            Writer.mix(writers)


@pytest.mark.parametrize("setting", [{"keep_newlines": True}, {"normalize": "nfc"}])
def test_texts_must_have_been_normalised_in_one_way(setting: dict[str, Any]) -> None:
    (field,) = setting
    with pytest.raises(ConfigError, match=f"model 1 was trained with {field}=.*, and model 2 with {field}=.* Mix"):
        Writer.mix([ONE, described(TWO, settings=setting)])
    mixed = Writer.mix([described(ONE, settings=setting), described(TWO, settings=setting)])
    assert mixed.as_trained("e\u0301\r\n") == described(ONE, settings=setting).as_trained("e\u0301\r\n")


def test_files_are_read_strictly_unless_all_models_agree_how_else() -> None:
    skipping = described(TWO, settings={"errors": "skip"})
    assert Writer.mix([skipping, skipping]).reading.errors == "skip"
    for writers in ([skipping, ONE], [ONE, skipping]):
        assert Writer.mix(writers).reading.errors == "strict"


def test_the_training_text_of_a_mixture_is_that_of_all_its_models_or_none() -> None:
    one, two = (described(each, sha256="a" * 64, split=90) for each in (ONE, TWO))
    assert common_source(Writer.mix([one, two]).members) is one
    assert common_source(ONE.members) is ONE
    for other in ({"sha256": "b" * 64, "split": 90}, {"sha256": "a" * 64, "split": 80}):
        with pytest.raises(RunError, match="were trained on different texts, or on different parts of one"):
            common_source(Writer.mix([one, described(TWO, **other)]).members)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, -2.0], [1.0, math.nan], [1.0, "x"]])
def test_wrong_weights_are_refused(weights: Any) -> None:
    with pytest.raises(ConfigError, match=r"weights must be (one for each of 2|positive numbers); got "):
        Writer.mix([ONE, TWO], weights)
    with pytest.raises(ConfigError, match="writers must be at least one"):
        Writer.mix([])


def test_each_model_adapts_for_itself_and_the_mixture_scores_the_text_as_it_goes() -> None:
    text = "mirabel said to rosalba that mirabel had wept\n" * 10
    adapted = MIXED.adapt(text)
    own = [writer.adapt(text) for writer in (ONE, TWO)]
    expected = Writer.mix(own, [0.7, 0.3])
    assert adapted.score(text).logprobs.tolist() == expected.score(text).logprobs.tolist()
    assert adapted.generate(seed=1, max_new_tokens=50) == expected.generate(seed=1, max_new_tokens=50)
    assert MIXED.score(text).nats > adapted.score(text).nats
    assert adapted.adaptation is not None
    assert (adapted.adaptation.characters, adapted.adaptation.settings) == (len(text), AdaptationConfig())
    assert adapted.adaptation.problem == "The model does not say what text it was trained on."
    probabilities = 0.0
    ids = ALPHABET.encode("\n" + text)
    settings = AdaptationConfig()
    for writer, weight in ((ONE, 0.7), (TWO, 0.3)):
        usual = gather_statistics(writer.config, writer.weights, ids, settings)
        probabilities += weight * np.exp(Learner(writer.config, writer.weights, settings, statistics=usual).read(ids))
    assert adapted.adaptation.nats_per_character == pytest.approx(-np.log(probabilities).mean(), rel=1e-9)
    assert repr(adapted).endswith("adapted to 460 characters)")


LONG = "the sea and the ship went on to the land " * 20

USES = {
    "score": lambda writer: writer.score(LONG).nats,
    "score in streams": lambda writer: writer.score(LONG, streams=16).nats,
    "generate": lambda writer: writer.generate(LONG, max_new_tokens=5, seed=1).text,
    "generate_many": lambda writer: [each.text for each in writer.generate_many(count=100, max_new_tokens=3, seed=1)],
    "suggest": lambda writer: writer.suggest("the s"),
    "adapt": lambda writer: writer.adapt("the cat sat on the mat " * 6).score("the cat").nats,
}


def all_uses(writer: Writer) -> dict[str, Any]:
    return {name: use(writer) for name, use in USES.items()}


def wide_writer() -> Writer:
    """Of models large enough for their products to be shared out over threads."""
    return Writer.mix([random_writer(units=128, embedding=32, cell="lstm"), random_writer(seed=1, units=120)], [2, 1])


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    return all_uses(wide_writer())


@pytest.mark.parametrize("used", [False, True])
def test_a_copied_or_pickled_mixture_does_what_the_mixture_does(used: bool, expected: dict[str, Any]) -> None:
    writer = wide_writer()
    if used:
        all_uses(writer)
    for copied in (copy.copy(writer), copy.deepcopy(writer), pickle.loads(pickle.dumps(writer))):
        assert all_uses(copied) == expected
    weights = sum(array.nbytes for each, _ in writer.members for array in each.weights.arrays())
    assert len(pickle.dumps(writer)) < weights + 20_000


def test_a_stream_of_a_mixture_is_copied_and_pickled_in_the_middle() -> None:
    stream = wide_writer().stream("the ", max_new_tokens=50, seed=1)
    for _ in range(20):
        next(stream)
    copies = [copy.deepcopy(stream), pickle.loads(pickle.dumps(stream))]
    rest = "".join(stream)
    assert ["".join(each) for each in copies] == [rest, rest]


def test_four_threads_use_one_mixture(expected: dict[str, Any]) -> None:
    writer = wide_writer()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(all_uses, [writer] * 4)) == [expected] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_fork_does_what_the_mixture_does(tmp_path: Path) -> None:
    program = """
import os
from test_mixing import all_uses, wide_writer
writer = wide_writer()
expected = all_uses(writer)
child = os.fork()
found = all_uses(writer)
if child:
    _, status = os.waitpid(child, 0)
    print(status, found == expected)
else:
    os._exit(0 if found == expected else 1)
"""
    here = Path(__file__).parent
    places = [str(here), str(here.parent / "support"), str(here.parents[1])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(places)}
    run = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert run.stdout == "0 True\n", run.stderr
