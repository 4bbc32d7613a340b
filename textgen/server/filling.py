"""`suffix`: the gap between a prompt and what follows it, filled as `textgen fill` does."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from textgen.config import FillConfig
from textgen.sampling.gaps.filling import fill
from textgen.sampling.labels import as_given
from textgen.sampling.prompt import Prompt
from textgen.sampling.writer import Writer
from textgen.server.errors import RequestError
from textgen.server.job import Piece
from textgen.server.request import CompletionRequest

LONGEST = 200
"""The most characters of a gap: a search, unlike writing, does not take turns with other requests."""

_KNOWN = ("label", "ban", "allow", "seed", "unknown", "temperature")
"""The controls that filling knows."""


def check_suffix(request: CompletionRequest) -> None:
    """Refuses what cannot be asked for together with a suffix.

    Raises:
        RequestError: with its reason.
    """
    given: Mapping[str, Any] = {
        **dict.fromkeys(request.controls, True),
        "logit_bias": request.bias,
        "logprobs": request.logprobs is not None,
        "best_of": request.best_of > request.n,
    }
    for name, value in given.items():
        if value and name not in (*_KNOWN, "max_new_tokens"):
            known = ", ".join(("n", "max_tokens", "echo", "stream", *_KNOWN))
            raise RequestError(400, f"{name} cannot be given with suffix, which takes {known}.", param=name)
    if len(request.prompts) != 1 or not isinstance(request.prompts[0], str):
        raise RequestError(400, "prompt must be a single text where suffix is given.", param="prompt")
    if not isinstance(request.controls.get("temperature", 0.0), (int, float)):
        raise RequestError(400, "temperature must be a single number where suffix is given.", param="temperature")
    if not 1 <= request.controls.get("max_new_tokens", 1) <= LONGEST:
        raise RequestError(400, f"max_tokens must be in [1, {LONGEST}] where suffix is given.", param="max_tokens")


def fill_gap(
    writer: Writer, request: CompletionRequest, watch: Callable[[], object]
) -> tuple[CompletionRequest, Prompt, list[Piece]]:
    """Fills the gap of a request.

    Args:
        writer: the model.
        request: what was asked for.
        watch: called before each step of the search; an exception of it ends the search.

    Returns:
        The request with as many texts as there are, its prompt (with the suffix, as far as its length goes), and the
        texts, the most probable first.

    Raises:
        TextgenError: a value is out of its range, or a text holds characters that the model never saw.
    """
    (before,) = request.prompts
    assert isinstance(before, str)
    mark = _unused(before + request.suffix)
    settings = {name: request.controls[name] for name in _KNOWN if name in request.controls}
    if "label" in settings:
        settings["label"] = as_given(settings["label"])
    drawn = settings.get("temperature", 0.0) > 0.0
    if not drawn:
        settings.pop("temperature", None)
    longest = request.controls.get("max_new_tokens", FillConfig().longest)
    config = FillConfig(**settings, sample=drawn, gap_open=mark, gap_close=mark)
    text = f"{before}{mark}1-{longest}{mark}{request.suffix}"
    found = fill(writer, text, config, count=request.n, watch=watch)
    alone = dataclasses.replace(request, controls={"max_new_tokens": 0, **_only(settings, "unknown", "seed")})
    (prompt,) = alone.begin(writer)
    pieces = [Piece(0, n, each.gaps[0], (), "match", len(each.gaps[0])) for n, each in enumerate(found)]
    return dataclasses.replace(request, n=len(pieces), best_of=len(pieces)), prompt, pieces


def _only(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}


def _unused(text: str) -> str:
    """A mark that is not in a text."""
    while (mark := f"<{secrets.token_hex(8)}>") in text:
        pass
    return mark
