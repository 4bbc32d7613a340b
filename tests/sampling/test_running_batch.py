"""Texts that join and leave one running batch must be those that they would be alone."""

from typing import Any

import numpy as np
import pytest
from drifting import Drifting
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_models import labelled_writer, write_words
from many_controls import CONTROLS
from small_models import ALPHABET, random_writer

from textgen.config import ModelConfig, SamplingConfig
from textgen.engine import Mixture, Network
from textgen.errors import ConfigError, UnknownCharacterError
from textgen.sampling.labels import labels_of
from textgen.sampling.prompt import Prompt, Text
from textgen.sampling.prompt_states import PromptStates
from textgen.sampling.running_batch import RunningBatch
from textgen.sampling.sampler import write_samples

SHAPE = ModelConfig(vocab_size=ALPHABET.vocab_size, layers=1, units=16, embedding=8)


def write_beside(network: Network, prompts: list[Prompt], rng: np.random.Generator) -> list[list[Text]]:
    """Writes all texts in one batch, which they join at random times; some of others leave early."""
    batch, unread, texts, states = RunningBatch(network), list(prompts), [[] for _ in prompts], PromptStates(2)
    while unread or len(batch):
        if unread and rng.random() < 0.3:
            prompt = unread[rng.integers(len(unread))]
            prompt.read(16, states)
            if not prompt.left:
                unread.remove(prompt)
                place = next(n for n, each in enumerate(prompts) if each is prompt)
                texts[place] = prompt.texts()
                batch.join(texts[place])
        batch.step()
        batch.recall(int(rng.integers(1, 9)))
    return texts


@settings(max_examples=12)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_a_text_is_the_one_it_would_be_alone_whatever_runs_beside_it(seed: int, mixed: bool) -> None:
    network: Network = Drifting(SHAPE, seed)
    if mixed:
        network = Mixture([network, Drifting(SHAPE.replace(units=9), seed + 1)], [0.7, 0.3])
    rng = np.random.default_rng(seed)
    configs = [
        SamplingConfig(**CONTROLS[rng.integers(len(CONTROLS))], max_new_tokens=int(rng.integers(40, 60)), seed=n)
        for n in range(6)
    ]
    begins = ["", "abc", "the sea " * 9, "abc", "the sea " * 9, "a" * 40]
    counts = rng.integers(1, 4, 6).tolist()
    prompts = [
        Prompt(network, ALPHABET, begin, config, count=count, logprobs=2)
        for begin, config, count in zip(begins, configs, counts, strict=True)
    ]
    for begin, config, count, written in zip(begins, configs, counts, write_beside(network, prompts, rng), strict=True):
        alone = write_samples(network, ALPHABET, begin, config, count=count, logprobs=2)
        for text, sample in zip(written, alone, strict=True):
            assert text.draft.sample.text == sample.text
            assert text.draft.sample.finish_reason == sample.finish_reason
            assert sample.logprobs is not None
            for noted, each in zip(text.logprobs, sample.logprobs, strict=False):
                assert noted.character == each.character
                assert noted.logprob == pytest.approx(each.logprob, abs=1e-4)


def test_texts_that_leave_change_nothing_for_the_others() -> None:
    network = Drifting(SHAPE, 5)
    config = SamplingConfig(max_new_tokens=80, seed=3)
    prompt = Prompt(network, ALPHABET, "abc", config, count=9)
    prompt.read(100)
    texts = prompt.texts()
    batch = RunningBatch(network)
    batch.join(texts)
    rng = np.random.default_rng(0)
    for gone in (1, 8, 4, 0):
        for _ in range(15):
            batch.step()
            batch.recall(int(rng.integers(1, 5)))
        batch.leave([texts[gone]])
    while len(batch):
        batch.step()
        batch.recall(3)
    alone = write_samples(network, ALPHABET, "abc", config, count=9)
    for index in (2, 3, 5, 6, 7):
        assert texts[index].draft.sample == alone[index]


@pytest.mark.parametrize("cell", ["lstm", "gru", "coupled"])
def test_reading_in_pieces_ends_in_the_same_state_bit_for_bit(cell: str) -> None:
    writer = random_writer(cell=cell, units=96, layers=2)
    rng = np.random.default_rng(1)
    text = "".join(rng.choice(list(ALPHABET.characters), 1500))
    whole, last = writer.engine.read(ALPHABET.encode(text)[None], writer.engine.initial_state(1), last=True)
    prompt = Prompt(writer.engine, ALPHABET, text, SamplingConfig(seed=1))
    while prompt.left:
        prompt.read(int(rng.integers(1, 90)))
    (begun,) = prompt.texts()
    assert begun.logits.tobytes() == whole.tobytes()
    state: Any = begun.known[0]
    assert state.hidden.tobytes() == last.hidden.tobytes()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("label", "read"), [(("low",), 0), ((), 4), (("high",), 4)])
def test_a_prompt_that_was_read_before_is_not_read_again(tmp_path: Any, label: tuple[str, ...], read: int) -> None:
    writer, states = labelled_writer(write_words(tmp_path / "words.csv")), PromptStates()

    def begun(label: tuple[str, ...]) -> Prompt:
        config = SamplingConfig(seed=1, max_new_tokens=9, label=label)
        return Prompt(writer.engine, writer.tokenizer, "aab", config, labels=labels_of(writer, label))

    assert begun(("low",)).read(100, states) == 4
    prompt = begun(label)
    assert (prompt.read(100, states), prompt.left) == (read, 0)
    (text,) = write_beside(writer.engine, [prompt], np.random.default_rng(3))[0]
    (alone,) = write_samples(
        writer.engine, writer.tokenizer, "aab", text.prompt.config, labels=labels_of(writer, label)
    )
    assert text.draft.sample == alone


def test_the_prompts_log_probabilities_are_those_of_score() -> None:
    writer = random_writer()
    text = "the quick brown fox jumps over the lazy dog and runs"
    prompt = Prompt(writer.engine, ALPHABET, text, SamplingConfig(max_new_tokens=0), logprobs=3, scored=True)
    while prompt.left:
        prompt.read(16)
    assert [each.character for each in prompt.scores] == list(text)
    assert np.allclose([each.logprob for each in prompt.scores], writer.score(text).logprobs, atol=1e-5)
    assert all(len(each.top) == 3 and each.top[0][1] >= each.logprob for each in prompt.scores)
    (ended,) = prompt.texts()
    assert ended.ended and ended.draft.sample.text == ""


def test_labels_and_the_ends_of_records_are_each_texts_own(tmp_path: Any) -> None:
    writer = labelled_writer(write_words(tmp_path / "words.csv"))
    configs = [SamplingConfig(seed=n, max_new_tokens=30, label=("low",) if n % 2 else ()) for n in range(6)]
    prompts = [
        Prompt(writer.engine, writer.tokenizer, "ab"[: n % 3], config, labels=labels_of(writer, config.label))
        for n, config in enumerate(configs)
    ]
    written = write_beside(writer.engine, prompts, np.random.default_rng(2))
    reasons = set()
    for n, (config, (text,)) in enumerate(zip(configs, written, strict=True)):
        (alone,) = write_samples(
            writer.engine, writer.tokenizer, "ab"[: n % 3], config, labels=labels_of(writer, config.label)
        )
        assert text.draft.sample == alone
        reasons.add(alone.finish_reason)
    assert "record" in reasons


def test_prompts_of_ids_and_unknown_characters() -> None:
    network = Drifting(SHAPE, 1)
    config = SamplingConfig(seed=1, max_new_tokens=5)
    assert Prompt(network, ALPHABET, [2, 3, 4], config).text == "abc"
    with pytest.raises(ConfigError, match=r"ids in \[0, 28\)"):
        Prompt(network, ALPHABET, [2, 28], config)
    with pytest.raises(UnknownCharacterError):
        Prompt(network, ALPHABET, "aé", config)
    assert Prompt(network, ALPHABET, "aéb", config.replace(unknown="skip")).text == "ab"
    assert Prompt(network, ALPHABET, "aéb", config.replace(unknown="replace")).text == "a b"
