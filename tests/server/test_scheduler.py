"""Many requests at once: each gets the text that it would get alone; queues, limits, clients that leave."""

import asyncio
import contextlib
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from many_controls import CONTROLS
from served import Served, listening_server, served
from small_models import random_writer

from textgen.config import ServerConfig
from textgen.sampling.prompt import Prompt
from textgen.sampling.running_batch import RunningBatch
from textgen.sampling.writer import Writer
from textgen.server.job import Job
from textgen.server.metrics import Metrics
from textgen.server.models import Model
from textgen.server.scheduler import Scheduler


def given(seed: int) -> dict[str, Any]:
    """A request that depends on the seed in all that may differ."""
    rng = np.random.default_rng(seed)
    chosen = {k: v for k, v in CONTROLS[rng.integers(len(CONTROLS))].items() if k != "logit_bias"}
    prompt = "the sea and the wind "[: rng.integers(22)] * int(rng.integers(1, 4))
    return {
        "prompt": prompt,
        "max_tokens": int(rng.integers(40, 90)),
        "seed": seed,
        "n": int(rng.integers(1, 4)),
        **chosen,
    }


def texts(writer: Writer, asked: dict[str, Any]) -> list[str]:
    """What `textgen sample` writes for a request."""
    controls = {k: v for k, v in asked.items() if k not in ("prompt", "n", "max_tokens", "model")}
    samples = writer.generate_many(asked["prompt"], count=asked["n"], max_new_tokens=asked["max_tokens"], **controls)
    return [each.text for each in samples]


async def stream(client: httpx.AsyncClient, asked: dict[str, Any], *, leave_after: int | None = None) -> list[str]:
    """The texts of a streamed request; the client leaves after some events."""
    found = [""] * asked["n"]
    async with client.stream("POST", "/v1/completions", json={**asked, "stream": True}) as response:
        assert response.status_code == 200
        count = 0
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                for choice in json.loads(line[6:])["choices"]:
                    found[choice["index"]] += choice["text"]
                count += 1
                if leave_after is not None and count >= leave_after:
                    return []
            elif line == "data: [DONE]":
                return found
    raise AssertionError("the stream ended without [DONE]")


def test_texts_are_those_they_would_be_alone_among_many_requests(address: str, writers: dict[str, Writer]) -> None:
    asked = [given(seed) for seed in range(14)]

    async def ask() -> list[Any]:
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(base_url=address, timeout=60, limits=limits) as client:
            leavers = [stream(client, {**each, "max_tokens": 5000, "n": 2}, leave_after=3) for each in asked[:6]]
            return await asyncio.gather(*(stream(client, each) for each in asked), *leavers)

    found = asyncio.run(ask())
    for each, wanted in zip(found, asked, strict=False):
        assert each == texts(writers["prose"], wanted)


def test_models_write_side_by_side(here: Served, writers: dict[str, Writer]) -> None:
    def ask(seed: int) -> tuple[int, str]:
        model = ("prose", "rare", "words")[seed % 3]
        return seed, here.post(model=model, prompt="ab", seed=seed, max_tokens=200)["choices"][0]["text"]

    with ThreadPoolExecutor(9) as pool:
        for seed, text in pool.map(ask, range(18)):
            writer = writers[("prose", "rare", "words")[seed % 3]]
            assert text == writer.generate("ab", seed=seed, max_new_tokens=200).text


def wait_for(condition: Any, seconds: float = 20.0) -> None:
    """Waits until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def gauge(made: Served, name: str) -> float:
    (line,) = [line for line in made.metrics.text().splitlines() if line.startswith(f"textgen_{name} ")]
    return float(line.split()[1])


@contextlib.contextmanager
def asking(made: Served, **values: Any) -> Any:
    """A long request that is being answered meanwhile, in a thread."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(made.client.post("/v1/completions", json=values)))
    thread.start()
    try:
        yield results
    finally:
        thread.join(60)
        assert not thread.is_alive()


def test_a_full_queue_is_429_with_a_time_to_come_back(writers: dict[str, Writer]) -> None:
    with served(writers, rows=1, queue=1, time_limit=3.0) as made:
        long = {"prompt": "abc", "max_tokens": 150_000}
        with asking(made, **long) as first:
            wait_for(lambda: gauge(made, "running_texts") == 1)
            with asking(made, **long) as second:
                wait_for(lambda: gauge(made, "waiting_requests") == 1)
                response = made.client.post("/v1/completions", json=long)
                assert response.status_code == 429 and int(response.headers["retry-after"]) > 0
                assert response.json()["error"]["code"] == "queue_full"
        # The first one was cut by the limit of time, as by its length; the second had no turn in time.
        (answer,) = first
        assert answer.status_code == 200 and answer.json()["choices"][0]["finish_reason"] == "length"
        assert 0 < answer.json()["usage"]["completion_tokens"] < 150_000
        (answer,) = second
        assert answer.status_code in (200, 503)


def test_too_much_at_once_is_refused_with_the_limit_and_its_option(writers: dict[str, Writer]) -> None:
    with served(writers, rows=4, total_length=1000, prompt_length=12) as made:
        assert "--rows" in made.refused(n=5, max_tokens=1)["message"]
        assert "--rows" in made.refused(prompt=["a"] * 5, max_tokens=1)["message"]
        assert "--total-length" in made.refused(n=3, max_tokens=400)["message"]
        assert "--prompt-length" in made.refused(prompt=["abcdef", "abcdefg"], max_tokens=1)["message"]
        assert "--total-length" in made.refused(max_tokens=100, logprobs=10)["message"]
        assert "--total-length" in made.refused(max_tokens=1, logprobs=20, echo=True, n=4, prompt="a" * 12)["message"]
        assert made.post(n=4, max_tokens=250, prompt="a" * 10)["usage"]["completion_tokens"] == 1000


def test_a_long_prompt_is_read_between_the_characters_of_others(writers: dict[str, Writer]) -> None:
    """Writers go on while a prompt is read: they get characters before it ends."""
    writer = random_writer(units=192, seed=1)
    with served({"big": writer}, prompt_length=10**6) as made:
        with asking(made, prompt="abc" * 20_000, max_tokens=1) as reader:
            wait_for(lambda: gauge(made, "reading_prompts") == 1 or reader)
            assert (
                made.post(prompt="ab", max_tokens=20, seed=1)["choices"][0]["text"]
                == writer.generate("ab", max_new_tokens=20, seed=1).text
            )
            assert not reader
        assert reader[0].status_code == 200


class Clock:
    """A clock that only advances by what reading and stepping are said to take, in place of the module `time`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.perf_counter = self.monotonic = lambda: self.now


@pytest.mark.parametrize(
    ("character", "step"), [(2e-6, 0.001), (4e-4, 0.001), (4e-4, 0.05), (2e-3, 0.05), (6e-3, 0.05)]
)
def test_the_reading_between_two_characters_of_writers_is_bounded(
    writers: dict[str, Writer], monkeypatch: pytest.MonkeyPatch, step: float, character: float
) -> None:
    """As many as are read in 50 ms, or 16 where those take longer."""
    clock, between, found = Clock(), list[int](), list[list[int]]()
    read, stepped = Prompt.read, RunningBatch.step

    def reading(self: Prompt, *given: Any) -> int:
        count = read(self, *given)
        between.append(count)
        clock.now += count * character
        return count

    def stepping(self: RunningBatch) -> Any:
        found.append(between.copy())
        between.clear()
        clock.now += step
        return stepped(self)

    monkeypatch.setattr("textgen.server.scheduler.time", clock)
    monkeypatch.setattr("textgen.server.job.time", clock)
    monkeypatch.setattr(Prompt, "read", reading)
    monkeypatch.setattr(RunningBatch, "step", stepping)
    writer, config = writers["prose"], ServerConfig()
    scheduler, model = Scheduler(config, Metrics()), Model("prose", writer, ("", 0, 0, 0))

    def submit(text: str, length: int) -> None:
        controls = writer.sampling({"max_new_tokens": length, "seed": 1})
        prompt = Prompt(writer.engine, writer.tokenizer, text, controls)
        scheduler.submit(Job(model, [prompt], seconds=1e6))

    submit("ab", 10**6)
    for _ in range(3):
        scheduler._advance(changed=True)
    for number in range(3):
        submit("the sea and the wind"[number:] * 40, 5)
    found.clear()
    while scheduler._readings or scheduler._queue:
        scheduler._advance(changed=True)
    assert sum(map(sum, found)) + sum(between) == sum(20 - n for n in range(3)) * 40
    for pieces in found:
        assert sum(pieces) * character <= 0.05 or pieces == [16]


def test_a_client_that_leaves_is_noticed(writers: dict[str, Writer]) -> None:
    with listening_server(writers) as (address, made), httpx.Client(base_url=address, timeout=30) as client:
        for streamed in (True, False):
            values = {"prompt": "abc", "max_tokens": 150_000, "stream": streamed}
            if streamed:
                with client.stream("POST", "/v1/completions", json=values) as response:
                    lines = response.iter_lines()
                    next(lines)
                    wait_for(lambda: gauge(made, "running_texts") == 1)
            else:
                with pytest.raises(httpx.ReadTimeout):
                    client.post("/v1/completions", json=values, timeout=0.5)
            wait_for(lambda: gauge(made, "running_texts") == 0)
        assert "textgen_cancelled_total 2" in made.metrics.text()
        # The scheduler's thread has ended the text; the event loop lets its model go a moment later.
        wait_for(lambda: made.models.ready["prose"].users == 0)


def test_a_defect_ends_the_requests_with_500_and_the_server_goes_on(
    writers: dict[str, Writer], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with served(writers) as made:
        with monkeypatch.context() as patch:
            patch.setattr(RunningBatch, "step", lambda self: 1 / 0)
            response = made.client.post("/v1/completions", json={"prompt": "abc"})
        assert response.status_code == 500
        assert "defect" in response.json()["error"]["message"] and "Traceback" not in response.text
        assert made.post(prompt="abc", max_tokens=5)["usage"]["completion_tokens"] == 5
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_a_server_that_shuts_down_ends_its_streams_with_a_reason(writers: dict[str, Writer]) -> None:
    with (
        listening_server(writers) as (address, made),
        httpx.Client(base_url=address, timeout=30) as client,
        client.stream("POST", "/v1/completions", json={"max_tokens": 150_000, "stream": True}) as response,
    ):
        lines = response.iter_lines()
        next(lines)
        made.server.scheduler.close()
        last = [line for line in lines if line][-1]
        assert "shutting down" in json.loads(last.removeprefix("data: "))["error"]["message"]
