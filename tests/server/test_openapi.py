"""The OpenAPI document is what the server does: answers have its shapes, and what it rules out is refused."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from served import Served, listening_server

from textgen.config import SamplingConfig
from textgen.sampling.writer import Writer

schemathesis = pytest.importorskip(
    "schemathesis", reason="the tests of the OpenAPI document need schemathesis (group dev)"
)

MANY = 40


def judge(writers: dict[str, Writer], count: int) -> None:
    """Sends requests that the document describes, and ones that it rules out, to each endpoint."""
    with listening_server(writers, total_length=2000, rows=16) as (address, _):
        schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
        # A request may be of the right types and still ask for what cannot be, such as more than the server allows.
        unfit = [schemathesis.checks.positive_data_acceptance]
        for operation in schema.get_all_operations():
            for mode in schemathesis.GenerationMode:
                if mode.is_negative and operation.ok().method == "get":
                    # It takes nothing that could be wrong.
                    continue
                cases = operation.ok().as_strategy(generation_mode=mode)

                @settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), database=None)
                @given(cases)
                def attack(case: Any) -> None:
                    case.call_and_validate(excluded_checks=unfit)

                attack()


@pytest.mark.slow
def test_the_server_does_what_the_document_says(writers: dict[str, Writer]) -> None:
    judge(writers, MANY)


def test_the_document_names_every_field(here: Served) -> None:
    document = here.client.get("/openapi.json").json()
    body = document["paths"]["/v1/completions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    known = set(SamplingConfig.declared) - {"max_new_tokens"} | {"max_tokens", "prompt", "n", "echo", "logprobs"}
    assert known <= set(body["properties"])
    assert body["properties"]["top_p"]["description"].startswith(SamplingConfig.declared["top_p"].help.rstrip("."))


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions"])
def test_what_is_ignored_may_be_anything_and_is_described_so(here: Served, path: str) -> None:
    document = here.client.get("/openapi.json").json()
    content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    ignored = {
        name: each for name, each in content["schema"]["properties"].items() if each["description"] == "Ignored."
    }
    assert "store" in ignored and all(set(each) == {"description"} for each in ignored.values())
    text = {"prompt": "a"} if path == "/v1/completions" else {"messages": [{"role": "user", "content": "a"}]}
    for value in (0.5, "yes", [1], {"a": 1}):
        assert here.post(path, **text, max_tokens=1, **dict.fromkeys(ignored, value))["usage"]["completion_tokens"] == 1
