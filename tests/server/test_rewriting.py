"""A run on pairs answers completions with what `textgen rewrite` makes of the prompt, beside the texts of others."""

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from served import Served, served
from small_models import random_writer
from small_pairs import TARGETS, random_rewriter

from textgen.config import CorpusConfig, RewriteConfig, ServerConfig
from textgen.corpus.tokenizer import CharTokenizer
from textgen.sampling.rewriting.piece_writer import PieceWriter
from textgen.sampling.rewriting.rewriter import Rewriter
from textgen.server.loaded import PairModel
from textgen.server.metrics import Metrics
from textgen.server.request import parse
from textgen.server.rewriting import RewriteJob, RewriteQueue
from textgen.server.sources import begin_rewriting

LONG = "abc d. dab. bad bcd. ddd."


@pytest.fixture(scope="module")
def rewriter() -> Rewriter:
    """A model that learned from sentences, so that each is a piece."""
    return random_rewriter(CharTokenizer(" .abcd", has_end=True), corpus=CorpusConfig(task="case"), bias={4: 1.0})


@pytest.fixture(scope="module")
def pairs(rewriter: Rewriter) -> Iterator[Served]:
    with served({"pairs": rewriter, "prose": random_writer(seed=2), "spaced": spaced()}) as made:
        yield made


def spaced() -> Rewriter:
    """One that writes the white space, too, which stands between sentences."""
    tokenizer = CharTokenizer(" .abcd", has_end=True)
    return random_rewriter(tokenizer, tokenizer, seed=1, corpus=CorpusConfig(task="case"))


def test_an_answer_is_the_best_text_that_rewrite_finds(pairs: Served, rewriter: Rewriter) -> None:
    answer = pairs.post(model="pairs", prompt=LONG)
    (best,) = rewriter.rewrite(LONG)
    assert best.finish_reason == "end" and len(best.text) > 4
    assert answer["choices"] == [{"index": 0, "text": best.text, "logprobs": None, "finish_reason": "stop"}]
    written = len(best.text)
    assert answer["usage"] == {
        "prompt_tokens": len(LONG), "completion_tokens": written, "total_tokens": len(LONG) + written,
    }  # fmt: skip
    assert answer["seed"] is None and answer["model"] == "pairs"
    assert pairs.post(model="pairs", prompt=" .\n", unknown="skip")["choices"][0]["text"]
    assert pairs.post(model="pairs", prompt="  ")["choices"][0] == {
        "index": 0, "text": "  ", "logprobs": None, "finish_reason": "stop",
    }  # fmt: skip


def test_alternatives_of_several_prompts_come_the_best_first(pairs: Served, rewriter: Rewriter) -> None:
    answer = pairs.post(prompt=["abc", LONG], n=3, beam=4, length_penalty=0.5)
    found = rewriter.stream(["abc", LONG], count=3, beam=4, length_penalty=0.5)
    assert [each["text"] for each in answer["choices"]] == [each.text for some in found for each in some]
    assert [each["index"] for each in answer["choices"]] == list(range(6))
    events = pairs.events(prompt="abc", n=3)
    assert {c["index"]: c["text"] for event in events for c in event["choices"]} == {
        n: each.text for n, each in enumerate(rewriter.rewrite("abc", count=3))
    }
    fewer = pairs.post(prompt="abc", n=3, match="w|xyz")["choices"]
    assert [each["text"] for each in fewer] == [each.text for each in rewriter.rewrite("abc", count=3, match="w|xyz")]
    assert len(fewer) == 2


@pytest.mark.parametrize("settings", [{}, {"n": 3, "beam": 3}, {"n": 2, "temperature": 1.3, "seed": 5}], ids=str)
def test_all_sentences_of_an_answer_match_together(pairs: Served, settings: dict[str, Any]) -> None:
    match, prompt = r"[^a]{0,9}(a[^a]{0,3}){3}", "abc. dab."
    asked = {"model": "spaced", "prompt": [prompt, "ab."], "match": match, **settings}
    texts = [each["text"] for each in pairs.post(**asked)["choices"]]
    same = {"count" if name == "n" else name: value for name, value in settings.items()}
    drawn = {"sample": True} if "seed" in settings else {}
    found = spaced().stream([prompt, "ab."], match=match, **same, **drawn)
    assert texts == [each.text for some in found for each in some]
    assert all(re.fullmatch(match, text) for text in texts)
    events = pairs.events(**{**asked, "prompt": prompt})
    told = ["".join(c["text"] for event in events for c in event["choices"] if c["index"] == n) for n in range(3)]
    assert told[: settings.get("n", 1)] == texts[: settings.get("n", 1)]
    refused = pairs.refused(**{**asked, "match": "[abc]+"})
    assert "white space" in refused["message"] and refused["param"] == "match"


def test_a_temperature_draws_what_rewrite_draws(pairs: Served, rewriter: Rewriter) -> None:
    answer = pairs.post(prompt=["abc", LONG], n=2, temperature=1.3, seed=5)
    found = list(rewriter.stream(["abc", LONG], count=2, sample=True, temperature=1.3, seed=5))
    assert [each["text"] for each in answer["choices"]] == [each.text for some in found for each in some]
    assert answer["seed"] == 5
    events = pairs.events(prompt=LONG, n=2, temperature=1.3, seed=5)
    drawn = rewriter.rewrite(LONG, count=2, sample=True, temperature=1.3, seed=5)
    told = [[c["text"] for event in events for c in event["choices"] if c["index"] == n] for n in (0, 1)]
    assert ["".join(each) for each in told] == [each.text for each in drawn]
    assert isinstance(pairs.post(prompt="abc", temperature=1)["seed"], int)


def test_a_stream_is_the_text(pairs: Served, rewriter: Rewriter) -> None:
    events = pairs.events(prompt=LONG, stream_options={"include_usage": True})
    choices = [event["choices"][0] for event in events[:-1]]
    text = rewriter.rewrite(LONG)[0].text
    assert "".join(each["text"] for each in choices) == text
    assert [each["finish_reason"] for each in choices] == [*[None] * (len(choices) - 1), "stop"]
    assert events[-1]["usage"]["completion_tokens"] == len(text)


def test_max_tokens_cuts_the_text_off(pairs: Served, rewriter: Rewriter) -> None:
    whole = rewriter.rewrite(LONG)[0].text
    for most in (1, 4, len(whole) - 1):
        (choice,) = pairs.post(prompt=LONG, max_tokens=most)["choices"]
        assert (choice["text"], choice["finish_reason"]) == (whole[:most], "length")
    assert pairs.post(prompt=LONG, max_tokens=len(whole))["choices"][0]["finish_reason"] == "stop"
    answer = pairs.post(prompt=LONG, n=2, max_tokens=3)
    assert [len(each["text"]) for each in answer["choices"]] == [3, 3]
    assert answer["usage"]["completion_tokens"] == 6


@pytest.mark.parametrize(
    "given",
    [
        {"echo": True},
        {"logprobs": 2},
        {"suffix": "x"},
        {"best_of": 2},
        {"top_p": 0.5},
        {"stop": "w"},
        {"logit_bias": {"w": 3}},
        {"temperature": [0.1, 0.9]},
        {"max_tokens": 0},
        {"prompt": [1, 2]},
        {"beam": 0},
        {"beam": "wide"},
        {"match": "(w"},
        {"match": "[pq]"},
        {"temperature": 0.5, "copy_unknown": "yes"},
    ],
)
def test_what_makes_no_sense_is_refused_with_its_name(pairs: Served, given: dict[str, Any]) -> None:
    error = pairs.refused(**{"prompt": "abc", **given})
    (name,) = {*given} - {"temperature"} or {*given}
    assert name in error["message"] and error["param"] == name


def test_fields_that_say_what_leaving_them_out_says_are_taken(pairs: Served, rewriter: Rewriter) -> None:
    usual = {"top_p": 1, "presence_penalty": 0, "frequency_penalty": 0, "best_of": 1, "temperature": 0, "stop": []}
    answer = pairs.post(prompt="abc", echo=False, logit_bias={}, suffix="", **usual)
    assert answer["choices"][0]["text"] == rewriter.rewrite("abc")[0].text


def test_each_kind_of_model_refuses_what_only_the_other_can(pairs: Served) -> None:
    assert "does not turn one text into another" in pairs.refused(model="prose", prompt="abc", beam=3)["message"]
    messages = [{"role": "user", "content": "abc"}]
    error = pairs.refused(path="/v1/chat/completions", messages=messages)
    assert "/v1/completions" in error["message"] and error["param"] == "model"
    assert "'e'" in pairs.refused(prompt="abe")["message"]


def test_other_texts_are_written_while_a_source_takes_its_time(
    pairs: Served, rewriter: Rewriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, goes_on, write = threading.Event(), threading.Event(), PieceWriter.write

    def slow(self: PieceWriter, *given: Any, **options: Any) -> Any:
        begun.set()
        assert goes_on.wait(30)
        return write(self, *given, **options)

    monkeypatch.setattr(PieceWriter, "write", slow)
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(pairs.post, prompt=LONG)
        assert begun.wait(30)
        # They would wait for ever in one thread.
        assert len(pairs.post(model="prose", prompt="the ", max_tokens=30)["choices"][0]["text"]) == 30
        assert not asked.done()
        goes_on.set()
        assert asked.result(30)["choices"][0]["text"] == rewriter.rewrite(LONG)[0].text


def test_many_at_once_get_what_they_would_get_alone(pairs: Served, rewriter: Rewriter) -> None:
    def ask(n: int) -> tuple[str, str]:
        prompt, settings = LONG[n % 7 :], {"beam": 1 + n % 3}
        return pairs.post(prompt=prompt, **settings)["choices"][0]["text"], rewriter.rewrite(prompt, **settings)[0].text

    with ThreadPoolExecutor(12) as pool:
        for found, expected in pool.map(ask, range(24)):
            assert found == expected


def queue_of(
    rewriter: Rewriter, *given: dict[str, Any], seconds: float = 60.0
) -> tuple[RewriteQueue, list[RewriteJob]]:
    """A queue whose thread does not run, with a job for each request."""
    queue, model = RewriteQueue(ServerConfig(), Metrics()), PairModel("pairs", rewriter, ("", 0, 0, 0))
    jobs = [RewriteJob(model, begin_rewriting(model, parse(each)), seconds=60.0) for each in given]
    queue._jobs.extend(jobs)
    return queue, jobs


def test_a_long_source_shares_the_rows_and_the_turns(rewriter: Rewriter) -> None:
    long, short, other = {"prompt": "abc. " * 500}, {"prompt": "dab. abc."}, {"prompt": "abc.", "beam": 2}
    queue, jobs = queue_of(rewriter, long, short, other)
    # 64 rows are 12 pieces of 5; the short one has alike settings.
    for expected in ([10, 2, 0], [0, 0, 1], [12, 0, 0]):
        taken = [each[0] for each in queue._take()]
        assert [taken.count(job) for job in jobs] == expected


def told_by(queue: RewriteQueue, jobs: list[RewriteJob], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What jobs are given from now on: the job, the pieces, whether it has ended, and its error."""
    told: list[Any] = []
    monkeypatch.setattr(queue, "_call", lambda function, *given, **named: function(*given, **named))
    for job in jobs:

        def give(pieces: Any, *, ended: bool = False, error: Any = None, job: RewriteJob = job) -> None:
            told.append((job, list(pieces), ended, error))

        monkeypatch.setattr(job, "give", give)
    return told


def test_each_sentence_is_handed_over_when_it_is_written(rewriter: Rewriter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textgen.server.rewriting._ROWS", 1)
    queue, jobs = queue_of(rewriter, {"prompt": LONG})
    told = told_by(queue, jobs, monkeypatch)
    while queue._jobs:
        queue._advance(jobs)
    pieces = [piece for _, some, _, _ in told for piece in some]
    assert [len(some) for _, some, _, _ in told] == [1, 1, 1, 1, 0]
    assert "".join(piece.text for piece in pieces) == rewriter.rewrite(LONG)[0].text
    assert [piece.reason for piece in pieces] == [None, None, None, "record"]


def test_jobs_that_nobody_waits_for_or_that_are_late_end(rewriter: Rewriter, monkeypatch: pytest.MonkeyPatch) -> None:
    queue, jobs = queue_of(rewriter, {"prompt": "abc."}, {"prompt": "abc."}, {"prompt": LONG})
    left, late, partly = jobs
    partly.sources[0].piece(0, "wx")
    left.cancelled, late.deadline, partly.deadline = True, 0.0, 0.0
    told = told_by(queue, jobs, monkeypatch)
    queue._advance(jobs)
    assert not queue._jobs
    assert told[0] == (left, [], True, None)
    assert told[1][0] is late and told[1][3].status == 503
    (piece,) = told[2][1]
    assert (piece.text, piece.reason, piece.drawn) == ("", "length", 2)
    assert [each[2] for each in told] == [True, True, False, True]


def test_a_full_queue_is_429_and_a_defect_500_after_which_it_goes_on(
    rewriter: Rewriter, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with served({"pairs": rewriter}, queue=1) as made:
        begun, goes_on = threading.Event(), threading.Event()

        def broken(self: PieceWriter, *given: Any, **options: Any) -> Any:
            begun.set()
            assert goes_on.wait(30)
            raise ZeroDivisionError

        with monkeypatch.context() as patched, ThreadPoolExecutor() as pool:
            patched.setattr(PieceWriter, "write", broken)
            asked = pool.submit(made.refused, 500, prompt="abc")
            assert begun.wait(30)
            assert made.refused(429, prompt="abc")["code"] == "queue_full"
            goes_on.set()
            assert "ZeroDivisionError" in asked.result(30)["message"]
        assert "ZeroDivisionError" in capsys.readouterr().err
        assert made.post(prompt="abc")["choices"][0]["text"] == rewriter.rewrite("abc")[0].text


def test_a_source_is_begun_with_the_settings_of_rewrite(rewriter: Rewriter) -> None:
    model = PairModel("pairs", rewriter, ("", 0, 0, 0))
    (source,) = begin_rewriting(model, parse({"prompt": "abc", "temperature": 0.7, "seed": -1, "match": "w+"}))
    assert source.writer.config == RewriteConfig(sample=True, temperature=0.7, seed=2**63 - 1, match="w+")
    assert source.writer.tokenizer == TARGETS
