"""`POST /v1/chat/completions`: a conversation is the text to continue."""

from typing import Any

import pytest
from served import Served

from textgen.sampling.writer import Writer

CHAT = "/v1/chat/completions"
ASKED = [{"role": "user", "content": "a"}]


def test_the_texts_of_a_conversation_are_one_prompt(here: Served, writers: dict[str, Writer]) -> None:
    messages = [
        {"role": "system", "content": "the "},
        {"role": "user", "content": [{"type": "text", "text": "se"}, {"type": "text", "text": "a"}]},
        {"role": "assistant", "content": " and"},
        {"role": "user", "content": " "},
    ]
    answer = here.post(CHAT, messages=messages, max_completion_tokens=30, seed=9, n=2)
    samples = writers["prose"].generate_many("the sea and ", count=2, max_new_tokens=30, seed=9)
    assert [each["message"]["content"] for each in answer["choices"]] == [each.text for each in samples]
    assert answer["object"] == "chat.completion" and answer["id"].startswith("chatcmpl-")
    assert (answer["usage"]["prompt_tokens"], answer["seed"]) == (12, 9)


def test_log_probabilities_of_a_chat(here: Served, writers: dict[str, Writer]) -> None:
    given = {"messages": [{"role": "user", "content": "the sea "}], "max_tokens": 8, "seed": 9, "logprobs": True}
    sample = writers["prose"].generate("the sea ", max_new_tokens=8, seed=9, logprobs=2)
    (choice,) = here.post(CHAT, top_logprobs=2, **given)["choices"]
    assert sample.logprobs is not None
    for found, entry in zip(choice["logprobs"]["content"], sample.logprobs, strict=True):
        assert (found["token"], bytes(found["bytes"]).decode()) == (entry.character, entry.character)
        assert found["logprob"] == pytest.approx(entry.logprob, abs=1e-5)
        assert [each["token"] for each in found["top_logprobs"]] == [character for character, _ in entry.top]
    (choice,) = here.post(CHAT, **given)["choices"]
    assert choice["logprobs"]["content"][0]["top_logprobs"] == []


def test_what_tools_send_empty_counts_as_left_out(here: Served) -> None:
    empty = {"tools": [], "tool_choice": None, "functions": None, "response_format": None, "parallel_tool_calls": True}
    assert here.post(CHAT, messages=ASKED, max_tokens=3, **empty)["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize(
    ("values", "param"),
    [
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "the sea"}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages"),
        ({"messages": ASKED, "tools": [{}]}, "tools"),
        ({"messages": ASKED, "response_format": {"type": "json_object"}}, "response_format"),
        ({"messages": ASKED, "top_logprobs": 2}, "top_logprobs"),
        ({"messages": ASKED, "logprobs": 2}, "logprobs"),
        ({"messages": ASKED, "echo": True}, "echo"),
    ],
)
def test_what_a_chat_cannot_be_is_refused(here: Served, values: dict[str, Any], param: str) -> None:
    assert here.refused(400, CHAT, **values)["param"] == param
