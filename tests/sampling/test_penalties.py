"""`logit_bias`, `presence_penalty` and `frequency_penalty`, against a slow loop that applies them by hand."""

from collections import Counter

import numpy as np
import pytest
from small_models import ALPHABET, random_writer, slow_logits

from textgen.config import SamplingConfig
from textgen.errors import ConfigError

WRITER = random_writer(seed=3)


def slow_greedy(prompt: str, length: int, *, bias: dict[str, float], presence: float, frequency: float) -> str:
    """The likeliest text, from the slow network: a character at a time."""
    text = ""
    for _ in range(length):
        logits = slow_logits(WRITER.config, WRITER.weights, ALPHABET.encode(prompt + text))[-1].copy()
        for character, count in Counter(text).items():
            logits[ALPHABET.characters.index(character)] -= presence + frequency * count
        for character, number in bias.items():
            logits[ALPHABET.characters.index(character)] += number
        text += ALPHABET.characters[int(np.argmax(logits))]
    return text


@pytest.mark.parametrize(
    ("bias", "presence", "frequency"),
    [({}, 1.5, 0.0), ({}, 0.0, 0.7), ({}, -1.0, 0.5), ({"e": 4.0, " ": -2.5}, 0.0, 0.0), ({"q": 3.0}, 0.5, 1.1)],
)
def test_penalties_and_biases_are_those_of_a_slow_loop(
    bias: dict[str, float], presence: float, frequency: float
) -> None:
    found = WRITER.generate(
        "abc",
        max_new_tokens=25,
        temperature=0.0,
        logit_bias=bias,
        presence_penalty=presence,
        frequency_penalty=frequency,
    )
    assert found.text == slow_greedy("abc", 25, bias=bias, presence=presence, frequency=frequency)


def test_texts_with_penalties_do_not_depend_on_their_number() -> None:
    controls = {"frequency_penalty": 0.8, "logit_bias": ("e:2", "z:-100"), "max_new_tokens": 60, "seed": 4}
    many = WRITER.generate_many("abc", count=4, **controls)  # type: ignore[arg-type]
    assert many[0] == WRITER.generate("abc", **controls)  # type: ignore[arg-type]
    assert all("z" not in each.text for each in many)


def test_biases_are_given_in_several_forms() -> None:
    texts = {
        WRITER.generate("abc", max_new_tokens=9, seed=1, logit_bias=each).text
        for each in ("e:100", ["e:100"], ("e:100",), {"e": 100})
    }
    assert texts == {"e" * 9}


@pytest.mark.parametrize("given", ["e", "e:", "e:x", "e:101", "ee:1", ":1", "e:nan"])
def test_what_is_no_bias_is_refused(given: str) -> None:
    with pytest.raises(ConfigError, match="logit_bias must be a character, a colon and a number"):
        SamplingConfig(logit_bias=(given,))


def test_biases_of_characters_that_the_model_lacks_are_refused() -> None:
    with pytest.raises(ConfigError, match="vocabulary, which lacks 'é'"):
        WRITER.generate("abc", logit_bias="é:1")
