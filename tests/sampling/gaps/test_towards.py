"""Writing towards an ending: where it comes, what stays as without one, and what is refused."""

from typing import Any

import numpy as np
import pytest
from small_models import Scripted, random_writer, scripted_writer

from textgen.config import SamplingConfig
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import ConfigError, UnknownCharacterError
from textgen.sampling.gaps.towards import TURN, write_towards
from textgen.sampling.writer import Writer

TOKENIZER = CharTokenizer("\n abcdefghij")


@pytest.fixture(scope="module")
def writer() -> Writer:
    return random_writer(TOKENIZER, units=12, seed=3)


@pytest.mark.parametrize("length", [0, 1, 10, 70])
def test_a_text_ends_with_its_ending_after_at_most_so_many_characters(writer: Writer, length: int) -> None:
    for sample in writer.generate_towards("jig", prompt="abc", count=3, max_new_tokens=length, seed=1):
        assert sample.text.endswith("jig")
        assert max(0, length - TURN) <= len(sample.text) - 3 <= length
        assert (sample.finish_reason, sample.prompt) == ("ending", "abc")


def test_it_begins_as_a_text_without_an_ending(writer: Writer) -> None:
    controls: dict[str, Any] = {"max_new_tokens": 90, "seed": 5, "temperature": 0.7, "top_k": 5}
    for with_it, without in zip(
        writer.generate_towards("jig", prompt="abc", count=2, **controls),
        writer.generate_many("abc", count=2, **controls),
        strict=True,
    ):
        assert with_it.text[: 90 - TURN] == without.text[: 90 - TURN]


def test_text_k_depends_on_the_seed_and_k_alone(writer: Writer) -> None:
    two, three = (writer.generate_towards("jig", prompt="a", count=n, seed=4, max_new_tokens=60) for n in (2, 3))
    assert two == three[:2]
    assert three[0].text != three[1].text
    drawn = writer.generate_towards("jig", prompt="a", max_new_tokens=20)[0]
    assert writer.generate_towards("jig", prompt="a", max_new_tokens=20, seed=drawn.seed)[0] == drawn


def test_it_comes_where_it_follows_best() -> None:
    """Of these texts any character may be the next one, but the ending follows only after a c."""
    odds = {"c": {"j": 0.5, "a": 0.25, "b": 0.25}, "": {"a": 0.6, "b": 0.3, "c": 0.1}, "j": {"i": 1.0}}
    writer: Any = scripted_writer(Scripted(odds, tokenizer=TOKENIZER))
    config = SamplingConfig(max_new_tokens=30, seed=2, temperature=1.0, ban="j")
    for sample in write_towards(writer, "ji", config, prompt="a", count=5):
        assert sample.text.endswith("cji")


def test_places_are_drawn_by_how_well_the_ending_follows() -> None:
    """After one or no character: j follows a prompt with 0.2, an a with 0.8 and a b with 0.1."""
    odds = {"x": {"a": 0.4, "b": 0.4, "j": 0.2}, "a": {"j": 0.8, "x": 0.2}, "b": {"j": 0.1, "x": 0.9}, "": {"x": 1.0}}
    writer: Any = scripted_writer(Scripted(odds, tokenizer=CharTokenizer("\nabjx")))
    config = SamplingConfig(max_new_tokens=1, seed=2, temperature=1.0, ban="j")
    found = [each.text for each in write_towards(writer, "j", config, prompt="x", count=400)]
    shares = np.array([found.count(each) / 400 for each in ("j", "aj", "bj")])
    # What is not in the text is the prompt's own place, which stands once, against 64 texts of one character.
    texts = 64 * np.array([0.0, 0.5, 0.5]) + [1.0, 0.0, 0.0]
    expected = texts * [0.2, 0.8, 0.1] / (texts * [0.2, 0.8, 0.1]).sum()
    assert shares == pytest.approx(expected, abs=0.08)


def test_the_controls_hold_to_the_ending(writer: Writer) -> None:
    for sample in writer.generate_towards("jig", prompt="abc", count=3, max_new_tokens=60, seed=1, allow="abc"):
        assert set(sample.text.removesuffix("jig")) <= set("abc")


def test_a_record_does_not_end_before_its_ending() -> None:
    writer = random_writer(CharTokenizer("abcde", has_end=True), units=8)
    for sample in writer.generate_towards("ace", prompt="b", count=4, max_new_tokens=60, seed=1):
        assert len(sample.text) >= 60 - TURN + 3
        assert "\n" not in sample.text


def test_the_likeliest_text_is_the_same_for_every_seed(writer: Writer) -> None:
    texts = {
        writer.generate_towards("jig", prompt="abc", temperature=0, seed=seed, max_new_tokens=50)[0].text
        for seed in range(3)
    }
    assert len(texts) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"ending": ""}, "ending must be a text of at least one character"),
        ({"prompt": ""}, "Give a prompt, too, or train a run with textgen train --sides both"),
        ({"count": 0}, r"count must be a whole number in \[1, 65536\]"),
        ({"stop": "a"}, "stop must be left out where a text is written towards an ending"),
        ({"match": "a+"}, "match must be left out"),
        ({"until": "line"}, "until must be left out"),
        ({"ending": "Q"}, "'Q'"),
    ],
)
def test_what_is_not_possible_is_refused(writer: Writer, arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises((ConfigError, UnknownCharacterError), match=sentence):
        writer.generate_towards(**{"ending": "jig", "prompt": "abc", **arguments})


def test_without_a_prompt_a_model_of_both_sides_writes_backwards() -> None:
    writer = random_writer(TOKENIZER, units=12, seed=3, sides="both")
    assert writer.backward is not None and writer.weights.backward is not None
    turned = Writer(config=writer.config.forwards, weights=writer.weights.backward, tokenizer=TOKENIZER)
    controls: dict[str, Any] = {"max_new_tokens": 40, "seed": 3, "top_k": 6}
    found = writer.generate_towards("jig", count=2, **controls)
    expected = turned.generate_many("\ngij", count=2, **controls)
    assert [each.text for each in found] == [each.text[::-1] + "jig" for each in expected]
    assert {(each.prompt, each.finish_reason, each.seed) for each in found} == {("", "ending", 3)}
    for until, end in (("line", "\n"), ("paragraph", "\n\n")):
        # The line break before the first line is what ends the writing, and no part of the text.
        (part,) = writer.generate_towards("jig", until=until, max_new_tokens=0, seed=1, logit_bias=("\n:4",))
        (turned_part,) = turned.generate_many(
            "\ngij", count=1, until=until, max_new_tokens=0, seed=1, logit_bias=("\n:4",)
        )
        assert turned_part.finish_reason == until
        assert f"{end}{part.text}" == turned_part.text[::-1] + "jig"


@pytest.mark.parametrize(
    ("given", "turned_given"),
    [
        ({"stop": ("ei", "c\n")}, {"stop": ("ie", "\nc")}),
        ({"stop": ("ab", "cd"), "include_stop": True}, {"stop": ("ba", "dc"), "include_stop": True}),
        ({"starts_with": "abc", "max_length": 30}, {"ends_with": "cba", "max_length": 30}),
        ({"contains": ("ab", "hd"), "min_length": 20}, {"contains": ("ba", "dh"), "min_length": 20}),
    ],
)
def test_backwards_what_a_text_is_and_where_it_begins_can_be_said(
    given: dict[str, Any], turned_given: dict[str, Any]
) -> None:
    writer = random_writer(TOKENIZER, units=12, seed=3, sides="both")
    turned = Writer(config=writer.config.forwards, weights=writer.weights.backward, tokenizer=TOKENIZER)  # type: ignore[arg-type]
    more: dict[str, Any] = {"max_new_tokens": 60, "seed": 3, "temperature": 1.5}
    found = writer.generate_towards("jig", count=3, **more, **given)
    expected = turned.generate_many("\ngij", count=3, **more, **turned_given)
    assert [each.text for each in found] == [each.text[::-1] + "jig" for each in expected]
    plain = writer.generate_towards("jig", count=3, **more)
    assert [each.text for each in found] != [each.text for each in plain]
    for each in found:
        assert each.config == SamplingConfig(**more, **given)
        before = each.text.removesuffix("jig")
        assert before.startswith(given.get("starts_with", ""))
        assert all(part in before for part in given.get("contains", ()))
        assert given.get("min_length", 0) <= len(before) <= given.get("max_length", 60)
        if "include_stop" in given and len(before) < 60:
            assert before.startswith(("ab", "cd"))


@pytest.mark.parametrize(
    ("controls", "sentence"),
    [
        ({"match": "a+"}, "match must be left out"),
        ({"ends_with": "a"}, "ends_with must be left out"),
        ({"trim": "sentence"}, "trim must be left out"),
        ({"starts_with": "aQ"}, "^starts_with must .*'Q'"),
    ],
)
def test_what_is_not_possible_backwards_is_refused(controls: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        random_writer(TOKENIZER, units=12, seed=3, sides="both").generate_towards("jig", **controls)


def test_a_mixture_is_said_to_write_forwards_only() -> None:
    writer = random_writer(TOKENIZER, units=12, seed=3, sides="both")
    with pytest.raises(
        ConfigError, match=r"several that are mixed write forwards only\. Give a prompt, too, or a single"
    ):
        Writer.mix([writer, writer]).generate_towards("jig")


def test_a_record_is_written_backwards_to_its_beginning() -> None:
    tokenizer = CharTokenizer("abcde", has_end=True)
    writer = random_writer(tokenizer, units=8, sides="both")
    assert writer.weights.backward is not None
    turned = Writer(config=writer.config.forwards, weights=writer.weights.backward, tokenizer=tokenizer)
    found = writer.generate_towards("ace", count=5, seed=2, max_new_tokens=300)
    expected = turned.generate_many("eca", count=5, seed=2, max_new_tokens=300)
    assert [each.text for each in found] == [each.text[::-1] + "ace" for each in expected]
