"""Streams: what comes in pieces is what comes at once, and no part of a stop text is among it."""

import pytest
from served import Served, served
from small_models import script

from textgen.config import ModelConfig
from textgen.model.metadata import Metadata
from textgen.sampling.writer import Writer


class Scripted(Writer):
    """Writes a text, whatever is asked."""

    def __init__(self, text: str) -> None:
        self.engine = engine = script(text)
        self.tokenizer = engine.tokenizer
        self.config = ModelConfig(vocab_size=engine.tokenizer.vocab_size, layers=1, units=8, embedding=4)
        self.metadata = Metadata(model=self.config, tokenizer=self.tokenizer)
        self.path, self.adaptation, self._mixed = None, None, ()


def test_the_pieces_are_those_of_the_whole_text(here: Served) -> None:
    given = {"prompt": "the sea ", "max_tokens": 60, "seed": 7, "n": 3, "logprobs": 2, "echo": True}
    whole = here.post(**given)
    events = here.events(**given)
    for index, choice in enumerate(whole["choices"]):
        own = [each for event in events for each in event["choices"] if each["index"] == index]
        assert "".join(each["text"] for each in own) == choice["text"]
        assert [each["finish_reason"] for each in own] == [None] * (len(own) - 1) + ["length"]
        for name, values in choice["logprobs"].items():
            parts = [entry for each in own for entry in each["logprobs"][name]]
            assert len(parts) == len(values)
            if name in ("tokens", "text_offset"):
                assert parts == values
            elif name == "token_logprobs":
                assert parts == pytest.approx(values, abs=1e-5)
    assert len({event["id"] for event in events}) == 1
    assert all("usage" not in event for event in events)


def test_the_usage_comes_last_where_it_is_asked_for(here: Served) -> None:
    events = here.events(prompt="abc", max_tokens=5, stream_options={"include_usage": True})
    assert [event["usage"] for event in events[:-1]] == [None] * (len(events) - 1)
    assert events[-1]["choices"] == []
    assert events[-1]["usage"] == {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


def test_an_echo_without_any_text_is_a_stream_too(here: Served) -> None:
    (event,) = here.events(prompt="abc", max_tokens=0, echo=True)
    assert (event["choices"][0]["text"], event["choices"][0]["finish_reason"]) == ("abc", "length")


@pytest.mark.parametrize(
    ("stop", "text"),
    [("stop", "go on stostop here"), ("abab", "xaabababz"), ("aaab", "aaaaaab"), ("zz", "a z zz")],
)
def test_no_part_of_a_stop_text_leaks_at_any_cut(monkeypatch: pytest.MonkeyPatch, stop: str, text: str) -> None:
    """Each character is handed over at once, and the text may end after any of them."""
    for name in ("_FLUSH", "_MORE"):
        monkeypatch.setattr(f"textgen.server.outbox.{name}", 0.0)
    place = text.index(stop)
    written = text + "zzzz"
    with served({"script": Scripted(text)}) as made:
        for length in range(1, len(written)):
            for given in (stop, [stop, "qqqq"]):
                events = made.events(max_tokens=length, stop=given)
                shown = "".join(event["choices"][0]["text"] for event in events)
                if length >= place + len(stop):
                    assert (shown, events[-1]["choices"][0]["finish_reason"]) == (text[:place], "stop")
                else:
                    assert (shown, events[-1]["choices"][0]["finish_reason"]) == (written[:length], "length")
                so_far = ""
                for event in events[:-1]:
                    # Whether or not the text gets that far, what would begin the stop text is not shown before it ends.
                    so_far += event["choices"][0]["text"]
                    assert len(so_far) <= place


def test_a_stop_text_that_is_kept_comes_whole() -> None:
    with served({"script": Scripted("the end of it")}) as made:
        events = made.events(max_tokens=40, stop="end", include_stop=True)
        assert "".join(event["choices"][0]["text"] for event in events) == "the end"


def test_a_chat_streams_its_role_its_text_and_its_reason(here: Served) -> None:
    given = {"messages": [{"role": "user", "content": "the sea "}], "max_tokens": 30, "seed": 2}
    whole = here.post("/v1/chat/completions", **given)
    events = here.events("/v1/chat/completions", **given)
    deltas = [event["choices"][0]["delta"] for event in events]
    assert deltas[0] == {"role": "assistant", "content": ""} and deltas[-1] == {}
    assert "".join(each.get("content", "") for each in deltas) == whole["choices"][0]["message"]["content"]
    assert [event["choices"][0]["finish_reason"] for event in events][-1] == "length"
    assert {event["object"] for event in events} == {"chat.completion.chunk"}
