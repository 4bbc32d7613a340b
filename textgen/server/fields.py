"""The fields that a request may hold, as tables of JSON schemas, for the reader of requests and the OpenAPI document.

The controls are the fields of `SamplingConfig`, by their names; `FIELDS` and `SHARED` add what OpenAI's clients send
besides.
"""

from __future__ import annotations

from typing import Any

from textgen.config import SamplingConfig, Setting

MOST_LOGPROBS, MOST_TEXTS, MOST_STOPS = 20, 128, 16
LONGEST_STOP, LONGEST_PATTERN, LONGEST_LABEL = 500, 2000, 1000
"""Limits of single requests that keep their cost in proportion to their length."""

CONTROLS = tuple(name for name in SamplingConfig.declared if name not in ("max_new_tokens", "logit_bias"))
"""The fields of `SamplingConfig` that a request may hold under their own names."""

REWRITING = ("beam", "length_penalty", "copy_unknown")
"""The fields of `RewriteConfig` that a request may hold besides, for a model that turns one text into another."""


def schema_of(declared: Setting) -> dict[str, Any]:
    """A setting as a JSON schema.

    >>> schema_of(SamplingConfig.declared["top_k"])["maximum"]
    1000000000
    """
    if declared.choices:
        found: dict[str, Any] = {"type": "string", "enum": list(declared.choices)}
    elif declared.kind is bool:
        found = {"type": "boolean"}
    elif declared.kind is str:
        found = {"type": "string"}
    else:
        bounds = {"minimum": declared.ge, "exclusiveMinimum": declared.gt, "exclusiveMaximum": declared.lt}
        found = {"type": "integer" if declared.kind is int else "number"}
        found |= {name: bound for name, bound in bounds.items() if bound is not None}
        if declared.le < 1e300:
            found["maximum"] = declared.le
    if declared.several:
        found = {"anyOf": [found, {"type": "array", "items": found}]}
    if declared.optional:
        found = {"anyOf": [*found.get("anyOf", [found]), {"type": "null"}]}
    described: dict[str, Any] = {"description": f"{declared.line} {declared.details}".strip()}
    if isinstance(declared.default, (bool, int, float, str)):
        described["default"] = declared.default
    return {**found, **described}


def _field(kind: str, description: str, **more: Any) -> dict[str, Any]:
    return {"type": [kind, "null"], "description": description, **more}


IGNORED: dict[str, Any] = {"description": "Ignored."}
"""A field that may hold anything."""

LENGTH = SamplingConfig.declared["max_new_tokens"]
"""The setting that `max_tokens` is."""

SHARED: dict[str, dict[str, Any]] = {
    "model": _field("string", "A run's name; see /v1/models. The first run if it is left out."),
    "n": _field("integer", "Texts for each prompt; text k depends on the seed and k alone.", minimum=1, maximum=128),
    "max_tokens": _field("integer", f"{LENGTH.help} Default: {LENGTH.default}.", minimum=0, maximum=10**12),
    "stream": _field("boolean", "Send the texts as they are written, as server-sent events."),
    "stream_options": _field(
        "object",
        "include_usage: end with an event that has the usage.",
        properties={"include_usage": {"type": "boolean"}},
    ),
    "logit_bias": _field(
        "object",
        "Added to the logits of characters, or of ids (a number is an id); each in [-100, 100].",
        additionalProperties={"type": "number", "minimum": -100, "maximum": 100},
    ),
    "user": IGNORED,
    "metadata": IGNORED,
    "store": IGNORED,
    "service_tier": IGNORED,
    "safety_identifier": IGNORED,
    "prompt_cache_key": IGNORED,
}
"""The fields of both endpoints, besides the controls."""

FIELDS: dict[str, dict[str, Any]] = {
    "prompt": {
        "anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 128},
            {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
            {
                "type": "array",
                "items": {"type": "array", "items": {"type": "integer", "minimum": 0}},
                "minItems": 1,
                "maxItems": 128,
            },
            {"type": "null"},
        ],
        "description": "The text to continue, or several, or ids of characters: see /v1/models/{model}.",
    },
    "best_of": _field("integer", "Write so many texts and return the n likeliest.", minimum=1, maximum=128),
    "echo": _field("boolean", "Return the prompt before each text; with logprobs, also its log-probabilities."),
    "logprobs": _field(
        "integer",
        "Log-probabilities of each character and of so many of the likeliest, in nats, before all controls.",
        minimum=0,
        maximum=MOST_LOGPROBS,
    ),
    "suffix": _field(
        "string", "The text that follows the gap to fill: choices are what fits between it and the prompt."
    ),
}
"""The fields of completions alone."""
