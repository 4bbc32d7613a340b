"""Writes a text that comes to a given ending: backwards from it, or from a prompt until the ending follows.

A model of both sides writes backwards what comes before an ending, as any model writes what comes after a prompt.

Between a prompt and the ending a text is written forwards. Its last characters are written many times over, and of all
places in all of these one is drawn, by how well the ending follows there (importance sampling).
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from textgen.config import SamplingConfig, plain, require
from textgen.corpus.context import context_ids
from textgen.errors import ConfigError
from textgen.sampling.banned import banned_ids
from textgen.sampling.batch_sampler import BatchSampler
from textgen.sampling.constraint import constraint_of
from textgen.sampling.gaps.drafts import Drafts
from textgen.sampling.gaps.search import follow
from textgen.sampling.labels import labels_of
from textgen.sampling.sample import Sample
from textgen.sampling.sampler import write_samples

if TYPE_CHECKING:
    from textgen.engine import Engine
    from textgen.sampling.trained_model import TrainedModel

Ids = NDArray[Any]

TURN = 40
"""The characters before the ending within which a text comes to it, between a prompt and an ending."""

_WRITTEN = 64
"""How often these characters are written."""

_REACH = 100
"""Characters of the ending that count."""

_WIDTH = 32
"""Places that are compared over all of them."""

_ENDS = ("stop", "until", "trim", "include_stop")
"""Controls that say where a text ends that has no ending."""

_BACKWARDS = ("stop", "until", "include_stop", "starts_with", "contains", "min_length", "max_length")
"""Those of them, and the constraints, that can say where a text begins which is written backwards, and what it is."""


def write_towards(
    writer: TrainedModel, ending: str, config: SamplingConfig, *, prompt: str = "", count: int = 1
) -> list[Sample]:
    """What `Writer.generate_towards` does, with the same errors; the controls are a configuration."""
    count = plain(count)
    require(isinstance(count, int) and 1 <= count <= 65_536, "count", "a whole number in [1, 65536]", count)
    ending, prompt = writer.as_trained(ending), writer.as_trained(prompt)
    require(ending != "", "ending", "a text of at least one character", ending)
    backwards = writer.backward if not prompt else None
    for name in (*config.constraints, *_ENDS):
        possible = backwards is not None and name in _BACKWARDS
        if not possible and getattr(config, name) != config.declared[name].default:
            raise ConfigError(
                f"{name} must be left out where a text is written towards an ending. Choose one of the two.",
                field=name,
            )
    if backwards is not None:
        return _write_backwards(writer, backwards, ending, config, count)
    if not prompt:
        several = len(writer.members) > 1
        raise ConfigError(
            "An ending without a prompt needs a run that writes backwards, and "
            + (
                "several that are mixed write forwards only. Give a prompt, too, or a single run of both sides."
                if several
                else "this one only writes forwards. Give a prompt, too, or train a run with textgen train --sides both"
            )
        )
    config = config.replace(seed=secrets.randbits(32) if config.seed is None else config.seed)
    return _Between(writer, prompt, ending, config).write(count)


def _write_backwards(
    writer: TrainedModel, backward: Engine, ending: str, config: SamplingConfig, count: int
) -> list[Sample]:
    """Texts that are written from the ending to their beginning; the constraints are of what comes before it."""
    # What no text fits is told in the words of the controls as they were given.
    constraint_of(writer.tokenizer, config, banned_ids(writer.tokenizer, config))
    turned = ending[::-1]
    if not writer.tokenizer.has_end:
        # The end of a text is what stands for the beginning of one, too.
        end = writer.tokenizer.decode(context_ids(writer.tokenizer, np.empty(0, writer.tokenizer.dtype)))
        turned = turned if ending.endswith(end) else end + turned
    labels = labels_of(writer, config.label)
    given = {"starts_with": config.starts_with, "contains": config.contains, "stop": config.stop}
    controls = config.replace(
        starts_with="",
        ends_with=config.starts_with[::-1],
        contains=tuple(each[::-1] for each in config.contains),
        stop=tuple(each[::-1] for each in config.stop),
    )
    samples = write_samples(backward, writer.tokenizer, turned, controls, count=count, labels=labels)
    found = []
    for each in samples:
        # The end of the line or paragraph before is where it stops, and not a part of the text.
        before = each.text.removesuffix({"line": "\n", "paragraph": "\n\n"}.get(each.finish_reason, ""))
        controls = each.config.replace(ends_with="", **given)
        text = before[::-1] + ending
        found.append(dataclasses.replace(each, text=text, prompt="", finish_reason="ending", config=controls))
    return found


class _Between:
    """Writes texts from a prompt to an ending."""

    def __init__(self, writer: TrainedModel, prompt: str, ending: str, config: SamplingConfig) -> None:
        tokenizer = writer.tokenizer
        end = [] if tokenizer.end_id is None else [tokenizer.end_id]
        self._engine, self._tokenizer, self._config = writer.engine, tokenizer, config
        self._prompt, self._ending = prompt, ending
        self._ids = tokenizer.encode(prompt, unknown=config.unknown)
        self._behind = np.append(tokenizer.encode(ending, unknown=config.unknown), end)[:_REACH].astype(np.intp)
        # A record must not end before its ending.
        self._banned = np.append(banned_ids(tokenizer, config), end).astype(np.intp)
        self._labels = labels_of(writer, config.label)
        self._turn = min(TURN, config.max_new_tokens)

    def write(self, count: int) -> list[Sample]:
        """Texts 0 to `count - 1` of the seed."""
        free = self._config.max_new_tokens - self._turn
        keys = [(k,) for k in range(count)]
        begun = self._drawn(self._ids, free, keys) if free else [self._ids[:0]] * count
        return [self._finished(k, ids) for k, ids in enumerate(begun)]

    def _drawn(self, before: Ids, length: int, keys: Sequence[tuple[int, ...]]) -> list[Ids]:
        """For each of `keys` some characters after `before`."""
        seed = self._config.seed
        generators = [np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key))) for key in keys]
        sampler = BatchSampler(
            self._engine,
            context_ids(self._tokenizer, before),
            before,
            self._config,
            generators,
            banned=self._banned,
            labels=self._labels,
        )
        drawn = np.stack([sampler.draw() for _ in range(length)], axis=1)
        return list(drawn)

    def _finished(self, k: int, begun: Ids) -> Sample:
        """Text k, of which `begun` has been written."""
        before = np.append(self._ids, begun)
        chosen: Ids = begun[:0]
        if self._turn:
            drawn = np.stack(self._drawn(before, self._turn, [(k, n) for n in range(_WRITTEN)]))
            chosen = self._turned(before, drawn, k)
        text = self._tokenizer.decode(np.append(begun, chosen)) + self._ending
        assert self._config.seed is not None
        return Sample(
            text=text,
            prompt=self._prompt,
            seed=self._config.seed,
            index=k,
            finish_reason="ending",
            config=self._config,
        )

    def _turned(self, before: Ids, drawn: Ids, k: int) -> Ids:
        """One of the beginnings of `drawn`, `(written, characters)`, after which the ending follows well."""
        live = Drafts.begin(self._engine, context_ids(self._tokenizer, before), self._labels)
        live = live.opened()
        ended = [live]
        live = live.take([0] * len(drawn))
        for column in drawn.T:
            live = live.stepped(self._engine, column)
            ended.append(dataclasses.replace(live, scores=np.zeros(live.rows)))
        found = follow(self._engine, ended, self._behind, _WIDTH)
        temperature = self._config.temperatures[0]
        scores = found.scores
        if temperature > 0:
            key = (k, len(drawn))
            generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(self._config.seed, spawn_key=key)))
            scores = scores / temperature + generator.gumbel(size=len(scores))
        return np.array(found.fills[int(np.argmax(scores))][-1], np.intp)
