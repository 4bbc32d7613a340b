"""The public API of a trained model: what a user of the library calls."""

import copy
import dataclasses
import inspect
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import ALPHABET, random_weights, random_writer

import textgen
from textgen.config import CELLS, ModelConfig, SamplingConfig
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import ConfigError, UnknownCharacterError
from textgen.model.description import CorpusDescription
from textgen.model.metadata import Metadata
from textgen.sampling.loading import load
from textgen.sampling.writer import Writer

WRITER = random_writer()


def test_the_methods_take_every_setting_with_its_default() -> None:
    config = SamplingConfig()
    for method in (Writer.generate, Writer.generate_many, Writer.stream):
        parameters = inspect.signature(method).parameters
        for name in SamplingConfig.__dataclass_fields__:
            assert parameters[name].default == getattr(config, name)
            assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY


CONSTRAINED: dict[str, Any] = {
    "match": "[a-zé ]+",
    "starts_with": "the ",
    "ends_with": "a",
    "contains": ("sea",),
    "min_length": 12,
    "max_length": 30,
}
EVERYTHING: dict[str, Any] = {
    "label": (),  # A label needs a model that has it: tests/sampling/test_labels.py
    "ban": "xyzÉ",
    "allow": "abcdefghijklmnopqrstuvwxyz \n",
    "logit_bias": ("e:-1.5",),
    "presence_penalty": 0.25,
    "frequency_penalty": -0.125,
    "repetition_penalty": 1.5,
    "repetition_window": 7,
    "temperature": (0.5, 1.2),
    "top_k": 20,
    "top_p": 0.99,
    "min_p": 0.001,
    "typical_p": 0.98,
    "max_new_tokens": 33,
    "stop": ("qqq",),
    "include_stop": True,
    "until": "line",
    "trim": "sentence",
    "seed": 11,
    "unknown": "skip",
}


def test_every_setting_has_its_turn_here() -> None:
    assert {*EVERYTHING, *CONSTRAINED} == set(SamplingConfig.__dataclass_fields__)


ENDS = {"stop", "include_stop", "until", "trim"}


@pytest.mark.parametrize(
    "chosen", [EVERYTHING, {**{k: v for k, v in EVERYTHING.items() if k not in ENDS}, **CONSTRAINED}]
)
def test_every_setting_reaches_the_sample(chosen: dict[str, Any]) -> None:
    config = SamplingConfig(**chosen)
    sample = WRITER.generate("aÉ", **chosen)
    assert sample.config == config
    assert WRITER.generate_many("aÉ", count=2, **chosen)[0] == sample
    stream = WRITER.stream("aÉ", **chosen)
    assert "".join(stream) == sample.text
    assert stream.sample == sample


def test_generate_generate_many_and_stream_write_the_same_text() -> None:
    text = WRITER.generate("the sea ", max_new_tokens=70, temperature=0.8, seed=7).text
    assert len(text) == 70
    many = WRITER.generate_many("the sea ", count=5, max_new_tokens=70, temperature=0.8, seed=7)
    assert many[0].text == text
    assert len({sample.text for sample in many}) == 5
    assert "".join(WRITER.stream("the sea ", max_new_tokens=70, temperature=0.8, seed=7)) == text


def test_one_stop_and_a_list_of_temperatures_are_taken_as_they_come() -> None:
    assert WRITER.generate(stop="ab", seed=1, max_new_tokens=5).config.stop == ("ab",)
    assert WRITER.generate(stop=["a", "b"], seed=1, max_new_tokens=5).config.stop == ("a", "b")
    assert WRITER.generate(temperature=[0.5, 1.0], seed=1, max_new_tokens=5).config.temperature == (0.5, 1.0)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"temperature": -1.0}, "temperature must be in [0, 1e+06]; got -1.0. Use 0 for the likeliest"),
        ({"temperature": ()}, "temperature must be a number or several; got ()"),
        ({"top_k": -1}, "top_k must be a whole number in [0, 1000000000]; got -1. Use 0 to switch it off."),
        ({"top_p": 1.5}, "top_p must be in (0, 1]; got 1.5. Use 1.0 to switch it off."),
        ({"min_p": 2}, "min_p must be in [0, 1]; got 2. Use 0 to switch it off."),
        ({"typical_p": 0.0}, "typical_p must be in (0, 1]; got 0.0. Use 1.0 to switch it off."),
        ({"repetition_penalty": 0.5}, "repetition_penalty must be in [1, 100]; got 0.5. Use 1.0 to switch it off."),
        ({"max_new_tokens": -5}, "max_new_tokens must be a whole number"),
        ({"temperature": None}, "temperature must be in [0, 1e+06]; got None. Use 0 for the likeliest"),
        ({"temperature": "0.5"}, "temperature must be in [0, 1e+06]; got '0.5'. Use 0 for the likeliest"),
        ({"stop": None}, "stop must be a tuple of texts; got None"),
        ({"stop": b"x"}, "stop must be a tuple of texts; got b'x'"),
        ({"stop": [""]}, "stop must be a text of at least one character; got ''"),
        ({"match": 3}, "match must be a regular expression; got 3"),
        ({"contains": ["a", ""]}, "contains must be a text of 1 to 1,000 characters; got ''"),
        ({"contains": None}, "contains must be a tuple of texts; got None"),
        ({"starts_with": "a" * 1001}, "starts_with must be a text of at most 1,000 characters; got 'aaa"),
        ({"min_length": -1}, "min_length must be a whole number in [0, 100000]; got -1. Use 0 to switch it off."),
        ({"max_length": 0}, "max_length must be a whole number in [1, 1000000000000]; got 0."),
        ({"min_length": 9, "max_length": 8}, "min_length must be at most max_length, 8; got 9."),
        ({"min_length": 501}, "min_length must be at most max_new_tokens, 500; got 501."),
        ({"match": "a", "stop": "b"}, "stop must be left out where match is given, which says where the text ends."),
        ({"max_length": 9, "until": "line"}, "until must be left out where max_length is given"),
        ({"ends_with": "z", "trim": "sentence"}, "trim must be left out where ends_with is given"),
        ({"include_stop": "yes"}, "include_stop must be true or false; got 'yes'"),
        ({"until": "chapter"}, "until must be one of length, line, paragraph; got 'chapter'"),
        ({"trim": "word"}, "trim must be one of none, sentence; got 'word'"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"logprobs": -1}, "logprobs must be a whole number of at least 0; got -1. Use 0 to switch it off."),
    ],
)
def test_every_value_is_checked_with_a_sentence(wrong: dict[str, Any], sentence: str) -> None:
    for method in (WRITER.generate, WRITER.stream):
        with pytest.raises(ConfigError) as caught:
            method("a", **wrong)
        assert str(caught.value).startswith(sentence)


def test_numbers_of_numpy_are_taken_as_pythons_own() -> None:
    plain = WRITER.generate("a", seed=3, max_new_tokens=20, temperature=0.5, top_k=9, min_p=0.25, logprobs=2)
    numpys = WRITER.generate(
        "a", seed=np.int64(3), max_new_tokens=np.uint8(20), temperature=np.float32(0.5), top_k=np.int16(9),
        min_p=np.float16(0.25), logprobs=np.int64(2),
    )  # fmt: skip
    assert numpys == plain
    json.dumps(dataclasses.asdict(numpys.config))
    assert WRITER.generate("a", temperature=np.array([0.5, 1.0]), seed=1).config.temperature == (0.5, 1.0)
    assert len(WRITER.generate_many("a", count=np.int64(2), max_new_tokens=1, seed=1)) == 2
    assert WRITER.suggest("a", n=np.int64(2)) == WRITER.suggest("a", n=2)
    assert (
        WRITER.score("abcd", streams=np.int64(2)).nats_per_character
        == WRITER.score("abcd", streams=2).nats_per_character
    )


@pytest.mark.parametrize("wrong", [None, b"abc", 3, ["a"], Path("a")])
def test_a_text_that_is_no_string_is_refused_with_a_sentence(wrong: Any) -> None:
    for method in (WRITER.generate, WRITER.stream, WRITER.suggest, WRITER.score, WRITER.adapt):
        with pytest.raises(ConfigError, match=r"^text must be a string; got "):
            method(wrong)


def test_a_prompt_with_characters_the_model_never_saw_is_an_error_that_names_them() -> None:
    with pytest.raises(UnknownCharacterError, match="É"):
        WRITER.stream("É")


def test_the_unknown_id_of_a_run_stands_for_characters_outside_its_vocabulary() -> None:
    writer = random_writer(CharTokenizer(" abc", has_unknown=True))
    control = {"seed": 1, "max_new_tokens": 20}
    expected = writer.generate("aÉ", unknown="replace", **control).text
    assert expected != writer.generate("a", **control).text
    assert writer.generate("aÉ", **control).text == expected
    assert writer.generate_many("aÉ", count=2, **control)[0].text == expected
    assert "".join(writer.stream("aÉ", **control)) == expected
    assert writer.score("aÉ").logprobs.tolist() == writer.score("aÉ", unknown="replace").logprobs.tolist()
    adapted, replaced = writer.adapt("aÉb" * 20), writer.adapt("aÉb" * 20, unknown="replace")
    assert adapted.adaptation == replaced.adaptation
    for refused in (writer.generate, writer.score, writer.adapt):
        with pytest.raises(UnknownCharacterError, match="É"):
            refused("aÉ", unknown="error")


@pytest.mark.parametrize("control", [{}, {"temperature": 0.0}, {"top_k": 3, "typical_p": 0.9}, {"temperature": 5.0}])
def test_only_allowed_characters_that_are_not_banned_are_written(control: dict[str, Any]) -> None:
    control = {**control, "seed": 4, "max_new_tokens": 150}
    free = WRITER.generate("sea ", **control).text
    for ban, allow, left in (
        ("e", "", set(ALPHABET.characters) - {"e"}),
        ("", "ab ", set("ab ")),
        ("b☃", "abc", set("ac")),
    ):
        sample = WRITER.generate("sea ", ban=ban, allow=allow, **control)
        assert set(sample.text) <= left
        assert WRITER.generate_many("sea ", count=4, ban=ban, allow=allow, **control)[0] == sample
        assert "".join(WRITER.stream("sea ", ban=ban, allow=allow, **control)) == sample.text
    assert WRITER.generate("sea ", ban="☃", **control).text == free
    assert WRITER.generate("sea ", allow=ALPHABET.characters, **control).text == free


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        (
            {"allow": "aé☃"},
            "allow must be made of characters of the model's vocabulary, which lacks 'é' .* Leave them out",
        ),
        ({"ban": ALPHABET.characters}, "ban and allow must leave at least one character"),
        ({"ban": "abc", "allow": "ab"}, "ban and allow must leave at least one character"),
        ({"ban": 3}, "ban must be a text; got 3"),
    ],
)
def test_impossible_limits_are_refused_before_anything_is_written(limits: dict[str, Any], sentence: str) -> None:
    for method in (WRITER.generate, WRITER.stream, WRITER.suggest):
        with pytest.raises(ConfigError, match=sentence):
            method("a", **limits)


def test_the_characters_to_ban_and_to_allow_are_brought_into_the_runs_form() -> None:
    metadata = Metadata(
        model=ModelConfig(vocab_size=4, layers=2, units=24, embedding=8),
        tokenizer=CharTokenizer(" aeé"),
        corpus=CorpusDescription(settings={"normalize": "nfc"}),
    )
    writer = random_writer(CharTokenizer(" aeé"), metadata=metadata)
    assert set(writer.generate(allow="e\N{COMBINING ACUTE ACCENT}", max_new_tokens=20).text) == {"é"}
    assert "e" in writer.generate(ban="e\N{COMBINING ACUTE ACCENT}", max_new_tokens=300, temperature=3.0).text


def test_suggestions_hold_no_banned_characters_and_keep_their_probabilities() -> None:
    free = {each.text: each.probability for each in WRITER.suggest("sea ", n=100)}
    limited = WRITER.suggest("sea ", n=100, ban="e", allow="abcdefgh ")
    assert limited
    for each in limited:
        assert set(each.text) <= set("abcdfgh ")
        assert each.probability == pytest.approx(free.get(each.text, each.probability))
    assert {each.text for each in limited} & set(free)


def test_samples_that_older_versions_described_still_load() -> None:
    for value in ("error", "skip", "replace"):
        assert SamplingConfig.from_json({"unknown": value}).unknown == value


def test_a_writer_tells_what_it_is() -> None:
    assert repr(WRITER) == "Writer(2 x 24 coupled, 28 characters)"


def test_weights_of_another_shape_are_refused() -> None:
    config = ModelConfig(vocab_size=ALPHABET.vocab_size, layers=2, units=24, embedding=8)
    with pytest.raises(ConfigError, match="float32 of shape"):
        Writer(config=config, weights=random_weights(config.replace(units=25)), tokenizer=ALPHABET)


def test_a_vocabulary_of_another_size_is_refused() -> None:
    config = ModelConfig(vocab_size=5, layers=1, units=4, embedding=2)
    with pytest.raises(ConfigError, match="vocab_size must be 28, the vocabulary's size; got 5"):
        Writer(config=config, weights=random_weights(config), tokenizer=ALPHABET)


@pytest.mark.parametrize("cell", CELLS)
def test_a_checkpoint_is_loaded_and_writes_what_the_weights_write(cell: Any, tmp_path: Path) -> None:
    pytest.importorskip("keras")
    from textgen.model.weights import ModelWeights
    from textgen.model.write import write_checkpoint
    from textgen.training.keras_model import build_model

    config = ModelConfig(vocab_size=ALPHABET.vocab_size, cell=cell, layers=2, units=16, embedding=8)
    model = build_model(config, seed=3)
    path = tmp_path / "best.keras"
    write_checkpoint(path, model, metadata=Metadata(model=config, tokenizer=ALPHABET))
    writer = load(path)
    assert writer.path == path
    assert writer.metadata.model.cell == cell
    same = Writer(config=config, weights=ModelWeights.from_arrays(model.get_weights()), tokenizer=ALPHABET)
    assert writer.generate("ab", seed=1, max_new_tokens=50) == same.generate("ab", seed=1, max_new_tokens=50)
    assert textgen.load is load


PROGRAM = """
import sys
from small_models import random_writer
writer = random_writer(units=160)
samples = writer.generate_many("the sea ", count=3, max_new_tokens=200, seed=5)
assert samples[0].text == writer.generate("the sea ", max_new_tokens=200, seed=5).text
sys.stdout.buffer.write("|".join(sample.text for sample in samples).encode())
assert "tensorflow" not in sys.modules and "keras" not in sys.modules
"""


def test_a_seed_brings_the_same_text_in_every_process_with_any_threads_locale_and_folder(tmp_path: Path) -> None:
    texts = set()
    here = Path(__file__).parents[1] / "support"
    for threads, locale, folder in (("1", "C", here), ("2", "C.UTF-8", tmp_path), ("3", "C", tmp_path)):
        environment = {
            **os.environ,
            "OPENBLAS_NUM_THREADS": threads,
            "OMP_NUM_THREADS": threads,
            "LC_ALL": locale,
            "PYTHONPATH": os.pathsep.join([str(here), str(here.parents[1])]),
            "PYTHONHASHSEED": threads,
        }
        run = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, cwd=folder, capture_output=True)
        assert run.returncode == 0, run.stderr.decode()
        texts.add(run.stdout)
    assert len(texts) == 1


def test_texts_are_normalised_as_the_training_text_was() -> None:
    config = ModelConfig(vocab_size=3, layers=1, units=4, embedding=2)
    tokenizer = CharTokenizer("a\u00e9\u00ea")
    metadata = Metadata(model=config, tokenizer=tokenizer, corpus=CorpusDescription(settings={"normalize": "nfc"}))
    writer = Writer(config=config, weights=random_weights(config), tokenizer=tokenizer, metadata=metadata)
    for text in ("ae\u0301", "a\u00e9"):
        assert writer.generate(text, max_new_tokens=5, seed=1).prompt == "a\u00e9"
        assert writer.score(text).text == "a\u00e9"
    # CRLF became LF in training, unless the run keeps it.
    assert writer.as_trained("a\r\n\ra") == "a\n\na"
    settings: dict[str, Any] = {"keep_newlines": True}
    metadata = Metadata(model=config, tokenizer=tokenizer, corpus=CorpusDescription(settings=settings))
    keeping = Writer(config=config, weights=random_weights(config), tokenizer=tokenizer, metadata=metadata)
    assert keeping.as_trained("a\r\n\ra") == "a\r\n\ra"
    bare = Writer(config=config, weights=random_weights(config), tokenizer=writer.tokenizer)
    with pytest.raises(UnknownCharacterError):
        bare.generate("ae\u0301")


def test_newlines_of_a_prompt_and_of_a_stop_are_those_of_training() -> None:
    config = ModelConfig(vocab_size=3, layers=1, units=4, embedding=2)
    tokenizer = CharTokenizer("\nab")
    writer = Writer(config=config, weights=random_weights(config), tokenizer=tokenizer)
    plain = writer.generate("a\nb", max_new_tokens=200, seed=1, stop=["b\n"])
    for prompt, stop in (("a\r\nb", ["b\r\n"]), ("a\rb", "b\r")):
        found = writer.generate(prompt, max_new_tokens=200, seed=1, stop=stop)
        assert (found.prompt, found.text, found.finish_reason) == (plain.prompt, plain.text, plain.finish_reason)
    assert writer.score("a\r\nb").text == "a\nb"


LONG = "the sea and the ship went on to the land " * 40

USES = {
    "score": lambda writer: writer.score(LONG).nats,
    "score in streams": lambda writer: writer.score(LONG, streams=16).nats,
    "generate": lambda writer: writer.generate(LONG, max_new_tokens=5, seed=1).text,
    "generate_many": lambda writer: [each.text for each in writer.generate_many(count=200, max_new_tokens=3, seed=1)],
    "suggest": lambda writer: writer.suggest("the s"),
    "adapt": lambda writer: writer.adapt("the cat sat on the mat " * 6).weights.head_bias.tolist(),
}


def all_uses(writer: Writer) -> dict[str, Any]:
    return {name: use(writer) for name, use in USES.items()}


def wide_writer() -> Writer:
    """Large enough for its products to be shared out over threads."""
    return random_writer(units=128, embedding=32, cell="lstm")


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    return all_uses(wide_writer())


@pytest.mark.parametrize("used", [False, True])
def test_a_copied_or_pickled_writer_does_what_the_writer_does(used: bool, expected: dict[str, Any]) -> None:
    writer = wide_writer()
    if used:
        all_uses(writer)
    for copied in (copy.copy(writer), copy.deepcopy(writer), pickle.loads(pickle.dumps(writer))):
        assert all_uses(copied) == expected
    assert all_uses(writer) == expected
    weights = sum(array.nbytes for array in writer.weights.arrays())
    assert len(pickle.dumps(writer)) < weights + 20_000


def test_a_stream_is_copied_and_pickled_in_the_middle() -> None:
    stream = wide_writer().stream("the ", max_new_tokens=50, seed=1)
    for _ in range(20):
        next(stream)
    copies = [copy.deepcopy(stream), pickle.loads(pickle.dumps(stream))]
    rest = "".join(stream)
    assert rest
    assert ["".join(each) for each in copies] == [rest, rest]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("used", [False, True])
def test_a_fork_does_what_the_writer_does(used: bool, tmp_path: Path) -> None:
    program = f"""
import os, sys
from test_writer import all_uses, wide_writer
writer = wide_writer()
if {used}:
    expected = all_uses(writer)
child = os.fork()
found = all_uses(writer)
if child:
    _, status = os.waitpid(child, 0)
    if not {used}:
        expected = found
    print(status, found == expected)
else:
    os._exit(0 if not {used} or found == expected else 1)
"""
    here = Path(__file__).parent
    places = [str(here), str(here.parent / "support"), str(here.parents[1])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(places)}
    run = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert run.stdout == "0 True\n", run.stderr


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_pool_of_processes_does_what_the_writer_does(method: str, expected: dict[str, Any]) -> None:
    writer = wide_writer()
    all_uses(writer)
    with warnings.catch_warnings():
        # Python 3.12 and newer warn of any fork of a process with threads.
        warnings.simplefilter("ignore", DeprecationWarning)
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            assert list(pool.map(all_uses, [writer, writer])) == [expected, expected]


def test_eight_threads_use_one_writer(expected: dict[str, Any]) -> None:
    writer = wide_writer()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(all_uses, [writer] * 8)) == [expected] * 8


def test_a_writer_works_at_the_end_of_the_process(tmp_path: Path) -> None:
    program = """
import atexit
from test_writer import all_uses, wide_writer
writer = wide_writer()
expected = all_uses(writer)
atexit.register(lambda: print(all_uses(writer) == expected))
"""
    here = Path(__file__).parent
    places = [str(here), str(here.parent / "support"), str(here.parents[1])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(places)}
    run = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert run.stdout == "True\n", run.stderr
