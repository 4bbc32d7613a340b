"""The clients that people have: openai for Python and curl, against a server at a socket."""

import asyncio
import json
import shutil
import subprocess
from typing import Any

import pytest

from textgen.sampling.writer import Writer

openai = pytest.importorskip("openai", reason="the tests with OpenAI's client need openai (group dev)")


@pytest.fixture(scope="module")
def client(address: str) -> Any:
    with openai.OpenAI(base_url=f"{address}/v1", api_key="unused", max_retries=0) as made:
        yield made


def test_completions(client: Any, writers: dict[str, Writer]) -> None:
    found = client.completions.create(model="prose", prompt="the sea ", max_tokens=30, seed=4, n=2, logprobs=2)
    samples = writers["prose"].generate_many("the sea ", count=2, max_new_tokens=30, seed=4)
    assert [each.text for each in found.choices] == [each.text for each in samples]
    assert found.choices[0].finish_reason == "length"
    assert found.usage.total_tokens == 68
    assert len(found.choices[0].logprobs.token_logprobs) == 30
    assert len(found.choices[0].logprobs.top_logprobs[0]) in (2, 3)


def test_a_stream_with_a_stop_text_and_its_usage(client: Any, writers: dict[str, Writer]) -> None:
    stop = writers["prose"].generate("the sea ", max_new_tokens=80, seed=4).text[40:42]
    sample = writers["prose"].generate("the sea ", max_new_tokens=200, seed=4, stop=stop)
    chunks = list(
        client.completions.create(
            model="prose", prompt="the sea ", max_tokens=200, seed=4, stop=stop, stream=True,
            stream_options={"include_usage": True},
        )
    )  # fmt: skip
    assert "".join(each.text for chunk in chunks for each in chunk.choices) == sample.text
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.completion_tokens == len(sample.text) + len(stop)


def test_our_own_settings_go_in_the_extra_body(client: Any, writers: dict[str, Writer]) -> None:
    found = client.completions.create(
        model="words", prompt="", seed=2, max_tokens=20, extra_body={"label": "low", "top_k": 3, "match": "[a-e]{2,5}"}
    )
    sample = writers["words"].generate(seed=2, max_new_tokens=20, label="low", top_k=3, match="[a-e]{2,5}")
    assert found.choices[0].text == sample.text


def test_chats(client: Any, writers: dict[str, Writer]) -> None:
    messages = [{"role": "user", "content": "the sea "}]
    text = writers["prose"].generate("the sea ", max_new_tokens=30, seed=4).text
    found = client.chat.completions.create(model="prose", messages=messages, max_tokens=30, seed=4)
    assert found.choices[0].message.content == text
    chunks = client.chat.completions.create(model="prose", messages=messages, max_tokens=30, seed=4, stream=True)
    assert "".join(each.delta.content or "" for chunk in chunks for each in chunk.choices) == text


def test_models(client: Any) -> None:
    assert [each.id for each in client.models.list()] == ["prose", "rare", "words"]
    assert client.models.retrieve("prose").owned_by == "textgen"


def test_errors_are_those_that_the_client_knows(client: Any) -> None:
    with pytest.raises(openai.NotFoundError, match="There is no model 'nobody'"):
        client.completions.create(model="nobody", prompt="a")
    with pytest.raises(openai.BadRequestError, match="temperature must be") as caught:
        client.completions.create(model="prose", prompt="a", temperature=-1)
    assert (caught.value.param, caught.value.code) == ("temperature", "invalid_value")


def test_the_asynchronous_client(address: str, writers: dict[str, Writer]) -> None:
    async def ask() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="unused", max_retries=0) as client:

            async def stream(seed: int) -> str:
                chunks = await client.completions.create(
                    model="prose", prompt="ab", max_tokens=40, seed=seed, stream=True
                )
                return "".join([each.text async for chunk in chunks for each in chunk.choices])

            whole = client.completions.create(model="prose", prompt="ab", max_tokens=40, seed=9)
            *streams, last = await asyncio.gather(*map(stream, range(5)), whole)
            return [*streams, last.choices[0].text]

    wanted = [writers["prose"].generate("ab", max_new_tokens=40, seed=seed).text for seed in (0, 1, 2, 3, 4, 9)]
    assert asyncio.run(ask()) == wanted


@pytest.mark.skipif(shutil.which("curl") is None, reason="the tests with curl need curl")
def test_curl(address: str, writers: dict[str, Writer]) -> None:
    body = json.dumps({"model": "prose", "prompt": "the sea ", "max_tokens": 30, "seed": 4})
    line = ["curl", "-sS", f"{address}/v1/completions", "-H", "Content-Type: application/json", "-d"]
    found = subprocess.run([*line, body], capture_output=True, check=True, timeout=60)
    text = writers["prose"].generate("the sea ", max_new_tokens=30, seed=4).text
    assert json.loads(found.stdout)["choices"][0]["text"] == text
    streamed = subprocess.run(
        [*line, body[:-1] + ', "stream": true}', "-N"], capture_output=True, check=True, timeout=60
    )
    events = [json.loads(each[6:]) for each in streamed.stdout.decode().split("\n\n") if each.startswith("data: {")]
    assert "".join(each["choices"][0]["text"] for each in events) == text
