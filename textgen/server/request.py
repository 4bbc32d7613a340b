"""A request for completions, read from the fields of its body, and how it becomes prompts with controls."""

from __future__ import annotations

import difflib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from textgen.config import SamplingConfig
from textgen.corpus.characters import name_characters
from textgen.sampling.labels import as_given, labels_of
from textgen.sampling.prompt import Prompt
from textgen.sampling.writer import Writer
from textgen.server.errors import NAMES, RequestError
from textgen.server.fields import (
    CONTROLS,
    FIELDS,
    LENGTH,
    LONGEST_LABEL,
    LONGEST_PATTERN,
    LONGEST_STOP,
    MOST_LOGPROBS,
    MOST_STOPS,
    MOST_TEXTS,
    REWRITING,
    SHARED,
)

_SEEDS = 2**63


@dataclass(frozen=True, kw_only=True)
class CompletionRequest:
    """A request for completions, checked as far as that goes without a model.

    Args:
        model: a run's name; None for the first run.
        prompts: the texts to continue, or their ids.
        controls: those given, by the names of `SamplingConfig`'s fields.
        bias: what is added to logits, by characters and ids.
        rewriting: the settings given that only a model which turns one text into another has.
        n: texts to return for each prompt.
        best_of: texts to write for each prompt.
        echo: whether prompts are returned before their texts.
        logprobs: number of likeliest characters to return; None for no log-probabilities.
        suffix: what follows the gap after the prompt; empty for none.
        stream: whether texts are sent as they are written.
        include_usage: whether a stream ends with the usage.
    """

    model: str | None
    prompts: Sequence[str | Sequence[int]]
    controls: Mapping[str, Any]
    bias: Mapping[str, float]
    rewriting: Mapping[str, Any]
    n: int
    best_of: int
    echo: bool
    logprobs: int | None
    suffix: str
    stream: bool
    include_usage: bool

    def begin(self, writer: Writer) -> list[Prompt]:
        """The prompts, for a model.

        Raises:
            TextgenError: a value is out of its range, or the model cannot do what is asked.
        """
        biases = {"logit_bias": _biases(self.bias, writer)} if self.bias else {}
        controls = {**self.controls, **biases}
        if controls.get("seed") is None:
            controls["seed"] = secrets.randbits(32)
        config = writer.sampling(controls)
        labels = labels_of(writer, config.label)
        noted = 0 if self.logprobs is None and self.best_of > self.n else self.logprobs
        return [
            Prompt(
                writer.engine,
                writer.tokenizer,
                writer.as_trained(prompt) if isinstance(prompt, str) else prompt,
                config,
                count=self.best_of,
                logprobs=noted,
                scored=self.echo and self.logprobs is not None,
                labels=labels,
            )
            for prompt in self.prompts
        ]

    @property
    def length(self) -> int:
        """Characters of the prompts."""
        return sum(map(len, self.prompts)) + len(self.suffix)

    @property
    def rows(self) -> int:
        """Texts to write."""
        return self.best_of * len(self.prompts)

    @property
    def entries(self) -> int:
        """The most log-probabilities to return."""
        if self.logprobs is None:
            return 0
        return (self.logprobs + 1) * (self.most + (self.length * self.n if self.echo else 0))

    @property
    def most(self) -> int:
        """The most characters to write."""
        longest = self.controls.get("max_new_tokens", LENGTH.default)
        return self.rows * longest if isinstance(longest, int) else 0


def parse_json(body: bytes) -> dict[str, Any]:
    """The fields of a request's body.

    Raises:
        RequestError: it is not a JSON object.
    """

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    try:
        values = json.loads(body.decode("utf-8"), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]
        raise RequestError(400, f"The body must be JSON in UTF-8: {why}.", code="invalid_json") from None
    if not isinstance(values, dict):
        raise RequestError(400, 'The body must be a JSON object such as {"prompt": "The sea "}.', code="invalid_json")
    return values


def parse(values: Mapping[str, Any], *, prompts: Sequence[str | Sequence[int]] | None = None) -> CompletionRequest:
    """A request for completions from the fields of its body.

    Args:
        values: the fields; those that are None count as left out.
        prompts: the prompts, where they are not one of the fields.

    Raises:
        RequestError: a field is unknown, or of a wrong type or out of its range.
    """
    refuse_unknown(values, [*SHARED, *FIELDS, *CONTROLS, *REWRITING])
    values = {name: value for name, value in values.items() if value is not None}
    n = _integer(values, "n", 1, 1, MOST_TEXTS)
    best_of = _integer(values, "best_of", n, 1, MOST_TEXTS)
    if best_of < n:
        raise _wrong("best_of", f"at least n, {n}", best_of)
    stream = _boolean(values, "stream")
    if stream and best_of > n:
        raise RequestError(
            400,
            "best_of texts cannot be streamed before they are compared. Leave stream or best_of out.",
            param="best_of",
        )
    options = values.get("stream_options", {})
    if not isinstance(options, dict):
        raise _wrong("stream_options", 'an object such as {"include_usage": true}', options)
    logprobs = _integer(values, "logprobs", None, 0, MOST_LOGPROBS) if "logprobs" in values else None
    return CompletionRequest(
        model=_text(values, "model"),
        prompts=_prompts(values.get("prompt", "")) if prompts is None else prompts,
        controls=_controls(values),
        bias=_bias(values.get("logit_bias", {})),
        rewriting={name: values[name] for name in REWRITING if name in values},
        n=n,
        best_of=best_of,
        echo=_boolean(values, "echo"),
        logprobs=logprobs,
        suffix=_text(values, "suffix") or "",
        stream=stream,
        include_usage=_boolean({k: v for k, v in options.items() if v is not None}, "include_usage"),
    )


def refuse_unknown(values: Mapping[str, Any], known: Sequence[str]) -> None:
    """Refuses fields that have no meaning.

    Raises:
        RequestError: with the closest one that has.
    """
    for name in values:
        if name not in known:
            close = difflib.get_close_matches(name[:100], known, n=1)
            remedy = f"Did you mean {close[0]!r}?" if close else "Leave it out; /openapi.json lists what there is."
            message = f"{name[:100]!r} is not known here. {remedy}"
            raise RequestError(400, message, param=name[:100], code="unknown_field")


def _controls(values: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: values[name] for name in CONTROLS if name in values}
    for name, value in found.items():
        declared = SamplingConfig.declared[name]
        if isinstance(value, (list, dict)) and not (declared.several or (name == "label" and isinstance(value, dict))):
            raise _wrong(name, declared.allowed, value)
        if isinstance(value, list) and len(value) > 64:
            raise _wrong(name, "a list of at most 64", f"{len(value):,}")
        if declared.kind is str and not declared.choices:
            _check_texts(name, value)
    if "label" in found:
        found["label"] = _labels(found["label"])
    if "max_tokens" in values:
        found["max_new_tokens"] = _integer(values, "max_tokens", 0, 0, 10**12)
    if found.get("top_p") == 0:
        # OpenAI's range holds 0, which keeps the likeliest character.
        found["top_p"] = 1e-9
    seed = found.get("seed")
    if isinstance(seed, int) and -_SEEDS <= seed < 0:
        found["seed"] = seed + _SEEDS
    return found


def _check_texts(name: str, value: Any) -> None:
    """Refuses what is no text, or too many or too long ones."""
    texts = value if isinstance(value, list) else list(value) if isinstance(value, dict) else [value]
    if not all(isinstance(each, str) for each in texts):
        raise _wrong(name, SamplingConfig.declared[name].allowed, value)
    if name in ("stop", "contains") and len(texts) > MOST_STOPS:
        raise _wrong(name, f"at most {MOST_STOPS} texts", f"{len(texts):,}")
    longest = {"stop": LONGEST_STOP, "match": LONGEST_PATTERN, "label": LONGEST_LABEL}.get(name)
    if longest is not None and any(len(each) > longest for each in texts):
        raise _wrong(name, f"of at most {longest:,} characters", f"{max(map(len, texts)):,}")


def _labels(given: Any) -> tuple[Any, ...]:
    if isinstance(given, dict) and not all(_is_number(each) for each in given.values()):
        raise _wrong("label", "a name, a list of names, or an object of names and weights", given)
    return as_given(given)


def _bias(given: Any) -> dict[str, float]:
    if not isinstance(given, dict) or not all(_is_number(each) and -100 <= each <= 100 for each in given.values()):
        raise _wrong("logit_bias", "an object of characters or ids and numbers in [-100, 100]", given)
    if len(given) > 4096:
        raise _wrong("logit_bias", "of at most 4,096 characters", f"{len(given):,}")
    return given


def _biases(given: Mapping[str, float], writer: Writer) -> tuple[str, ...]:
    """Biases by character, as `SamplingConfig` takes them; a number of several digits, or one, is an id."""
    characters, found = writer.tokenizer.characters, []
    for key, number in given.items():
        if key.isascii() and key.isdigit():
            place = int(key) if len(key) < 9 else len(characters)
            if place >= len(characters):
                raise _wrong("logit_bias", f"for ids in [0, {len(characters)})", key)
            found.append(f"{characters[place]}:{number!r}")
        elif len(key) != 1:
            raise _wrong("logit_bias", "for single characters, or ids of characters", key)
        elif key not in characters:
            message = f"logit_bias is for characters of the model's vocabulary, which lacks {name_characters(key)}."
            raise RequestError(400, f"{message} Leave it out.", param="logit_bias", code="unknown_characters")
        else:
            found.append(f"{key}:{number!r}")
    return tuple(found)


def _prompts(given: Any) -> list[str | list[int]]:
    if isinstance(given, str):
        return [given]
    if isinstance(given, list) and given:
        if all(isinstance(each, str) for each in given):
            return list(given)
        if _are_ids(given):
            return [given]
        if all(isinstance(each, list) and _are_ids(each) for each in given):
            return list(given)
    raise _wrong("prompt", "a text, a list of texts, a list of ids, or a list of lists of ids", given)


def _are_ids(given: list[Any]) -> bool:
    return all(isinstance(each, int) and not isinstance(each, bool) for each in given)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _integer(values: Mapping[str, Any], name: str, otherwise: Any, least: int, most: int) -> int:
    value = values.get(name, otherwise)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise _wrong(name, f"a whole number in [{least}, {most}]", value)
    return value


def _boolean(values: Mapping[str, Any], name: str) -> bool:
    value = values.get(name, False)
    if not isinstance(value, bool):
        raise _wrong(name, "true or false", value)
    return value


def _text(values: Mapping[str, Any], name: str) -> str | None:
    value = values.get(name)
    if value is not None and not isinstance(value, str):
        raise _wrong(name, "a text", value)
    return value


def _wrong(name: str, expected: str, got: Any) -> RequestError:
    try:
        shown = repr(got) if isinstance(got, (str, int, float, bool)) else json.dumps(got)
    except ValueError:
        shown = "a number of too many digits"
    shown = shown if len(shown) <= 100 else f"{shown[:100]} ..."
    return RequestError(
        400, f"{NAMES.get(name, name)} must be {expected}; got {shown}.", param=name, code="invalid_value"
    )
