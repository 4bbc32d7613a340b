"""Sampling controls as callers give them, and with their texts as the training text was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from textgen.config import CorpusConfig, SamplingConfig, plain
from textgen.corpus.normalization import as_read, composed
from textgen.sampling.labels import as_given

_SEVERAL = ("stop", "contains", "logit_bias")
_TEXTS = ("ban", "allow", "starts_with", "ends_with")


def controls_of(given: Mapping[str, object]) -> SamplingConfig:
    """The controls as a configuration, from the fields of `SamplingConfig` in any form that `Writer.generate` takes.

    Raises:
        TypeError: there is no control of that name.
        ConfigError: a value is out of its range.

    >>> controls = controls_of({"stop": ".", "logit_bias": {"e": -2}, "temperature": [0.5, 1]})
    >>> controls.stop, controls.logit_bias, controls.temperature
    (('.',), ('e:-2',), (0.5, 1))
    """
    values: dict[str, Any] = {name: plain(value) for name, value in given.items()}
    if isinstance(values.get("logit_bias"), Mapping):
        values["logit_bias"] = tuple(f"{each}:{number}" for each, number in values["logit_bias"].items())
    for name in ("temperature", *_SEVERAL):
        if isinstance(values.get(name), Iterable) and not isinstance(values[name], (str, bytes)):
            values[name] = tuple(values[name])
    if "label" in values:
        values["label"] = as_given(values["label"])
    for name in _SEVERAL:
        if isinstance(values.get(name), str):
            values[name] = (values[name],)
    return SamplingConfig(**values)


def controls_as_read(config: SamplingConfig, reading: CorpusConfig) -> SamplingConfig:
    """The controls with their texts normalised as by `as_read`; `match` has a syntax, and is only composed."""
    found: dict[str, Any] = {
        "match": composed(config.match, reading),
        "stop": tuple(as_read(each, reading) for each in config.stop),
        "contains": tuple(as_read(each, reading) for each in config.contains),
        **{name: as_read(getattr(config, name), reading) for name in _TEXTS},
    }
    changed = {name: value for name, value in found.items() if value != getattr(config, name)}
    return config.replace(**changed) if changed else config
