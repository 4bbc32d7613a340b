"""What `POST /v1/completions` answers is what `textgen sample` and `textgen score` say, in OpenAI's shapes."""

import math
from typing import Any

import pytest
from many_controls import CONTROLS
from served import Served

from textgen.sampling.writer import Writer


def test_an_answer_has_openais_shape_and_the_text_of_sample(here: Served, writers: dict[str, Writer]) -> None:
    answer = here.post(model="prose", prompt="the sea ", max_tokens=40, seed=7)
    text = writers["prose"].generate("the sea ", max_new_tokens=40, seed=7).text
    assert answer["choices"] == [{"index": 0, "text": text, "logprobs": None, "finish_reason": "length"}]
    assert (answer["object"], answer["model"], answer["seed"]) == ("text_completion", "prose", 7)
    assert answer["id"].startswith("cmpl-") and isinstance(answer["created"], int)
    assert answer["usage"] == {"prompt_tokens": 8, "completion_tokens": 40, "total_tokens": 48}


@pytest.mark.parametrize("chosen", CONTROLS)
def test_every_control_is_that_of_sample(here: Served, writers: dict[str, Writer], chosen: dict[str, Any]) -> None:
    given = {name: list(value) if isinstance(value, tuple) else value for name, value in chosen.items()}
    if "logit_bias" in given:
        given["logit_bias"] = {each[0]: float(each[2:]) for each in given["logit_bias"]}
    answer = here.post(prompt="abc", max_tokens=60, seed=3, n=2, **given)
    samples = writers["prose"].generate_many("abc", count=2, max_new_tokens=60, seed=3, **chosen)
    assert [each["text"] for each in answer["choices"]] == [each.text for each in samples]


def test_defaults_are_those_of_sample(here: Served, writers: dict[str, Writer]) -> None:
    answer = here.post(seed=1)
    assert answer["choices"][0]["text"] == writers["prose"].generate("", seed=1).text
    assert answer["usage"]["prompt_tokens"] == 0


def test_prompts_are_texts_lists_of_texts_and_ids(here: Served, writers: dict[str, Writer]) -> None:
    writer = writers["prose"]
    ids, other = (writer.tokenizer.encode(each).tolist() for each in ("the sea ", "abc"))
    texts = [
        each.text
        for prompt in ("the sea ", "abc")
        for each in writer.generate_many(prompt, count=2, max_new_tokens=20, seed=5)
    ]
    for prompt in (["the sea ", "abc"], [ids, other]):
        answer = here.post(prompt=prompt, max_tokens=20, seed=5, n=2)
        assert [each["index"] for each in answer["choices"]] == [0, 1, 2, 3]
        assert [each["text"] for each in answer["choices"]] == texts
        assert answer["usage"] == {"prompt_tokens": 11, "completion_tokens": 80, "total_tokens": 91}
    assert here.post(prompt=ids, max_tokens=20, seed=5)["choices"][0]["text"] == texts[0]


def test_log_probabilities_are_the_models_with_the_likeliest_beside_them(
    here: Served, writers: dict[str, Writer]
) -> None:
    answer = here.post(prompt="the sea ", max_tokens=15, seed=2, logprobs=3, temperature=1.5, top_k=5)
    sample = writers["prose"].generate("the sea ", logprobs=3, max_new_tokens=15, seed=2, temperature=1.5, top_k=5)
    (choice,) = answer["choices"]
    assert sample.logprobs is not None
    assert choice["logprobs"]["tokens"] == list(choice["text"]) == list(sample.text)
    assert choice["logprobs"]["text_offset"] == list(range(8, 23))
    for number, top, entry in zip(
        choice["logprobs"]["token_logprobs"], choice["logprobs"]["top_logprobs"], sample.logprobs, strict=True
    ):
        assert number == pytest.approx(entry.logprob, abs=1e-5)
        assert top == pytest.approx({**dict(entry.top), entry.character: entry.logprob}, abs=1e-5)


def test_echo_returns_the_prompt_with_the_log_probabilities_of_score(here: Served, writers: dict[str, Writer]) -> None:
    prompt = "the quick brown fox"
    (choice,) = here.post(prompt=prompt, max_tokens=5, seed=1, echo=True, logprobs=2)["choices"]
    assert choice["text"].startswith(prompt) and len(choice["text"]) == len(prompt) + 5
    found = choice["logprobs"]
    assert found["tokens"] == list(choice["text"]) and found["text_offset"] == list(range(len(prompt) + 5))
    scored = writers["prose"].score(prompt).logprobs
    assert found["token_logprobs"][: len(prompt)] == pytest.approx(scored.tolist(), abs=1e-5)
    assert all(len(top) in (2, 3) for top in found["top_logprobs"])


@pytest.mark.parametrize("as_ids", [False, True])
@pytest.mark.parametrize("max_tokens", [0, 1])
@pytest.mark.parametrize("model", ["prose", "rare", "words"])
def test_lm_evals_way_of_asking_gives_the_likelihoods_of_score(
    here: Served, writers: dict[str, Writer], model: str, max_tokens: int, as_ids: bool
) -> None:
    """As `lm_eval.models.openai_completions` asks, and reads the answer: context and continuation, echoed."""
    writer = writers[model]
    greedy = writer.generate("ab", temperature=0.0, max_new_tokens=4).text
    pairs = [("ab", "cde"), ("a", "bcdaed"), ("abc", "d"), *([("ab", greedy)] if greedy else [])]
    texts = [context + continuation for context, continuation in pairs]
    prompts = [writer.tokenizer.encode(each).tolist() for each in texts] if as_ids else texts
    answer = here.post(
        model=model, prompt=prompts, max_tokens=max_tokens, temperature=0, logprobs=1, echo=True, seed=1234
    )
    for (context, continuation), text, choice in zip(pairs, texts, answer["choices"], strict=True):
        # lm-eval drops the one character that it had to let older servers write.
        end = len(text) if max_tokens == 0 else -1
        logprobs = choice["logprobs"]["token_logprobs"][len(context) : end]
        top = choice["logprobs"]["top_logprobs"][len(context) : end]
        scored = writer.score(text).logprobs[len(context) : len(text)]
        assert sum(logprobs) == pytest.approx(float(scored.sum()), abs=1e-5)
        is_greedy = all(number == max(each.values()) for number, each in zip(logprobs, top, strict=True))
        assert is_greedy or continuation != greedy or model != "words"


def test_best_of_returns_the_likeliest_texts(here: Served, writers: dict[str, Writer]) -> None:
    answer = here.post(prompt="abc", max_tokens=20, seed=4, n=2, best_of=6)
    samples = writers["prose"].generate_many("abc", count=6, logprobs=1, max_new_tokens=20, seed=4)

    def mean(sample: Any) -> float:
        return math.fsum(each.logprob for each in sample.logprobs) / len(sample.logprobs)

    ranked = sorted(samples, key=mean, reverse=True)
    assert [each["text"] for each in answer["choices"]] == [each.text for each in ranked[:2]]
    assert [each["index"] for each in answer["choices"]] == [0, 1]
    assert answer["usage"]["completion_tokens"] == 120
    assert answer["choices"][0]["logprobs"] is None


def test_a_record_ends_by_itself_and_labels_are_asked_for(here: Served, writers: dict[str, Writer]) -> None:
    ends = set()
    for given, label in (("low", ("low",)), (["low", "high"], ("low", "high")), ({"low": 0.25}, ("low:0.25",))):
        answer = here.post(model="words", label=given, n=4, seed=1, logprobs=0, max_tokens=30)
        samples = writers["words"].generate_many(count=4, label=label, seed=1, max_new_tokens=30)
        assert [each["text"] for each in answer["choices"]] == [each.text for each in samples]
        for choice, sample in zip(answer["choices"], samples, strict=True):
            whole = sample.finish_reason == "record"
            assert choice["finish_reason"] == ("stop" if whole else "length")
            # lm-eval counts on an entry for whatever was drawn: a record's end has one of its own.
            assert choice["logprobs"]["tokens"] == [*choice["text"], *([""] if whole else [])]
            ends.add(whole)
    assert True in ends


def test_a_suffix_has_its_gap_filled(here: Served, writers: dict[str, Writer]) -> None:
    answer = here.post(prompt="the s", suffix=" and the", max_tokens=4, n=3, echo=True)
    found = writers["prose"].fill("the s<1-4> and the", gap_open="<", gap_close=">", count=3)
    assert [each["text"] for each in answer["choices"]] == [f"the s{each.gaps[0]}" for each in found]
    assert {each["finish_reason"] for each in answer["choices"]} == {"stop"}
    assert answer["usage"]["completion_tokens"] == sum(len(each.gaps[0]) for each in found)
    given = {"prompt": "the s", "suffix": " and the", "max_tokens": 4, "temperature": 0.9, "seed": 5}
    drawn = writers["prose"].fill("the s[1-4] and the", sample=True, temperature=0.9, seed=5)
    (event,) = here.events(**given)
    assert event["choices"][0]["text"] == drawn[0].gaps[0]
    assert event["seed"] == 5


def test_unknown_characters_are_named_or_treated_as_asked(here: Served) -> None:
    error = here.refused(prompt="a€b")
    assert "'€' (U+20AC)" in error["message"] and '"unknown": "skip"' in error["message"]
    assert (error["param"], error["code"]) == ("prompt", "unknown_characters")
    echo = {"max_tokens": 0, "echo": True}
    assert here.post(prompt="a€b", unknown="skip", **echo)["choices"][0]["text"] == "ab"
    assert here.post(prompt="a€b", unknown="replace", **echo)["choices"][0]["text"] == "a b"
    assert here.post(model="rare", prompt="a€b", **echo)["choices"][0]["text"] == "a€b"
    assert here.refused(model="rare", prompt="a€b", unknown="error")["code"] == "unknown_characters"


def test_biases_are_for_characters_and_for_ids(here: Served, writers: dict[str, Writer]) -> None:
    place = str(writers["prose"].tokenizer.characters.index("e"))
    for key in ("e", place):
        assert here.post(prompt="abc", logit_bias={key: 100}, max_tokens=6)["choices"][0]["text"] == "eeeeee"
    assert "'é'" in here.refused(logit_bias={"é": 1})["message"]
    assert "[0, 28)" in here.refused(logit_bias={"99": 1})["message"]
    assert here.refused(logit_bias={"ab": 1})["param"] == "logit_bias"
    assert here.refused(logit_bias={"a": 101})["param"] == "logit_bias"


@pytest.mark.parametrize(
    ("values", "param"),
    [
        ({"n": 0}, "n"),
        ({"n": True}, "n"),
        ({"n": 3, "best_of": 2}, "best_of"),
        ({"best_of": 3, "stream": True}, "best_of"),
        ({"echo": 1}, "echo"),
        ({"logprobs": 21}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_tokens": 10**9}, "max_tokens"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": []}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"top_k": 1.5}, "top_k"),
        ({"seed": 2**70}, "seed"),
        ({"stop": ""}, "stop"),
        ({"stop": [1]}, "stop"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"stop": "a" * 501}, "stop"),
        ({"match": "(?=a)"}, "match"),
        ({"match": "[0-9]+"}, "match"),
        ({"match": ["a"]}, "match"),
        ({"x" * 200_000: 1}, "x" * 100),
        ({"model": "words", "label": "l" * 200_000}, "label"),
        ({"match": "a", "stop": "b"}, "stop"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [[1], "a"]}, "prompt"),
        ({"prompt": [28]}, "prompt"),
        ({"prompt": [-1]}, "prompt"),
        ({"prompt": "a" * 100_001}, "prompt"),
        ({"label": "low"}, "label"),
        ({"model": "words", "label": "lwo"}, "label"),
        ({"suffix": 5}, "suffix"),
        ({"suffix": "the end", "top_k": 5}, "top_k"),
        ({"suffix": "the end", "logprobs": 1}, "logprobs"),
        ({"suffix": "the end", "prompt": ["a", "b"]}, "prompt"),
        ({"suffix": "the end", "max_tokens": 201}, "max_tokens"),
        ({"suffix": "the énd"}, "prompt"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": []}, "stream_options"),
        ({"temprature": 1}, "temprature"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"unknown": "guess"}, "unknown"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence_with_its_field(here: Served, values: dict[str, Any], param: str) -> None:
    assert here.refused(**values)["param"] == param


def test_a_misspelt_field_is_told_its_name(here: Served) -> None:
    assert here.refused(temprature=1)["message"].endswith("Did you mean 'temperature'?")


def test_an_unknown_model_is_404_and_names_those_there_are(here: Served) -> None:
    error = here.refused(404, model="nobody")
    assert error["code"] == "model_not_found" and "prose, rare, words" in error["message"]
    assert here.client.get("/v1/models/nobody").status_code == 404


def test_fields_that_are_null_count_as_left_out(here: Served) -> None:
    given = dict.fromkeys(("stop", "suffix", "logit_bias", "seed", "user", "logprobs", "n", "top_p", "match"))
    assert here.post(prompt="abc", max_tokens=3, **given)["choices"][0]["finish_reason"] == "length"


def test_openais_bounds_are_taken(here: Served, writers: dict[str, Writer]) -> None:
    assert here.post(seed=-1, max_tokens=3)["seed"] == 2**63 - 1
    greedy = writers["prose"].generate("abc", temperature=0.0, max_new_tokens=20).text
    assert here.post(prompt="abc", top_p=0, temperature=1, max_tokens=20)["choices"][0]["text"] == greedy
