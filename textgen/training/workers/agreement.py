"""What the workers of a run must have in common, compared before the first step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textgen.config import WorkersConfig
from textgen.corpus import EncodedCorpus
from textgen.errors import TrainingError
from textgen.system.versions import VERSION, loaded_versions
from textgen.training.workers.team import Team

Print = dict[str, Any]

_OWN = ("workers", "worker", "start_timeout", "rejoin")
"""Settings in which workers may differ."""
_MACHINE = ("device", "shards", "precision", "epochs", "time", "save_every", "save_every_steps", "patience")
"""Settings that only worker 0's count of, in which others may differ."""


def fingerprint(
    encoded: EncodedCorpus, given: Mapping[str, Any], config: WorkersConfig, *, seed: int, gpu: bool
) -> Print:
    """What one worker has, to be compared with worker 0's.

    Args:
        encoded: its text.
        given: the settings of model and training that its user gave.
        config: its settings as a worker.
        seed: the seed.
        gpu: whether it trains on a GPU.
    """
    versions = loaded_versions()
    return {
        "versions": {"textgen": VERSION, "TensorFlow": versions.get("tensorflow"), "Keras": versions.get("keras")},
        "seed": seed,
        "device": "a GPU" if gpu else "a CPU",
        # Of parts, the vocabulary is made of what all have, and nothing is compared.
        "text": "" if config.text_part else encoded.sha256,
        "corpus": {
            name: value
            for name, value in encoded.config.to_json().items()
            if not (config.text_part and name == "min_count")
        },
        "vocabulary": None if config.text_part else encoded.tokenizer.to_json(),
        "given": {name: value for name, value in given.items() if name not in _MACHINE},
        "exchange": {name: value for name, value in config.to_json().items() if name not in _OWN},
    }


def agree(team: Team, own: Print, *, started: bool) -> None:
    """Compares the fingerprints of all workers.

    Args:
        team: the workers.
        own: this worker's fingerprint.
        started: whether worker 0 continues a run; its settings are then the run's, and others need not give them.

    Raises:
        TrainingError: one differs from worker 0's; all workers raise it.
    """

    def judge(prints: list[Print]) -> str | None:
        for index, other in enumerate(prints[1:], start=1):
            problem = difference(prints[0], other, started=started)
            if problem is not None:
                return f"{team.cluster.name(index)} has {problem}"
        return None

    problem = team.agree("agreement", own, judge)
    if problem is not None:
        raise TrainingError(problem)


def difference(first: Print, other: Print, *, started: bool = False) -> str | None:
    """How a worker differs from worker 0, as the end of a sentence and what to do; None where it does not.

    >>> same = {"versions": {"textgen": "1"}, "text": "ab", "seed": 0, "corpus": {}, "vocabulary": {},
    ...         "device": "a CPU", "given": {"units": 32}, "exchange": {}}
    >>> difference(same, same), difference(same, {**same, "seed": 1})
    (None, 'seed 1 where worker 0 has seed 0. Give all workers the same --seed.')
    >>> difference(same, {**same, "given": {}})
    'no units where worker 0 has units 32. Give all workers the same settings.'
    """
    for name, value in first["versions"].items():
        if other["versions"].get(name) != value:
            return f"{name} {other['versions'].get(name)} where worker 0 has {value}. Install the same on all machines."
    if other["device"] != first["device"]:
        return f"{other['device']} where worker 0 has {first['device']}. Give all workers the same --device."
    if other["seed"] != first["seed"]:
        return f"seed {other['seed']} where worker 0 has seed {first['seed']}. Give all workers the same --seed."
    for part, advice in (("corpus", "settings of the text"), ("given", "settings"), ("exchange", "settings")):
        known, there = first[part], other[part]
        for name in [*known, *(each for each in there if each not in known)]:
            if known.get(name) == there.get(name) or (started and _left_out(part, name, known, there)):
                continue
            mine = f"{name} {there[name]}" if there.get(name) is not None else f"no {name}"
            theirs = f"{name} {known[name]}" if known.get(name) is not None else f"no {name}"
            return f"{mine} where worker 0 has {theirs}. Give all workers the same {advice}."
    if other["text"] != first["text"]:
        return (
            f"another text (sha256 {other['text'][:12]}) than worker 0 ({first['text'][:12]}). Give all workers the "
            "same text."
        )
    if other["vocabulary"] != first["vocabulary"]:
        return "another vocabulary than worker 0. Give all workers the same text and settings."
    return None


def _left_out(part: str, name: str, known: Mapping[str, Any], there: Mapping[str, Any]) -> bool:
    """Whether a setting of a run that goes on was not given to a worker, or not to worker 0."""
    if part == "exchange":
        return name != "text_part" and there.get(name) == WorkersConfig.declared[name].default
    return part == "given" and not (name in there and name in known)
