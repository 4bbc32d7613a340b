"""The state of each unit over a text, its correlation with features of the text, and the saturation of the gates.

After Karpathy, Johnson and Fei-Fei, Visualizing and Understanding Recurrent Networks (2015).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.analysis.features import Feature, find_features
from textgen.analysis.passage import Passage, open_writer, read_passage
from textgen.config import InsightConfig, Unknown, cell_name
from textgen.display.pages import packed, page, smallest
from textgen.engine import Engine
from textgen.errors import ConfigError
from textgen.runs.run import CHECKPOINTS
from textgen.sampling.writer import Writer
from textgen.system import PathLike

_DEFAULT = InsightConfig()

OPEN, CLOSED = 0.9, 0.1
"""The values above and below which a gate counts as saturated, as in the paper."""

_CHUNK = 512
"""Characters processed at once."""

_VALUES = 8_000_000
"""The maximum number of states on a page, a byte each; beyond it characters are left out first, then units."""

_FEWEST = 2_000
"""The number of characters that a page shows at least before units are left out."""


@dataclass(frozen=True)
class Unit:
    """A unit and its correlation with a feature.

    Args:
        layer: from 1, the lowest.
        unit: in its layer, from 1.
        correlation: Pearson's r, in [-1, 1].
    """

    layer: int
    unit: int
    correlation: float


@dataclass(frozen=True, eq=False)
class GateSaturation:
    """The saturation of one gate of one layer.

    Args:
        layer: from 1, the lowest.
        gate: "input", "forget" or "output" of an LSTM variant, "update" (1 keeps the state) or "reset" of a GRU.
        above: `(units,)`, the share of characters at which each unit's gate is above 0.9.
        below: `(units,)`, the share of characters at which it is below 0.1.
    """

    layer: int
    gate: str
    above: NDArray[np.float64]
    below: NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Neurons:
    """The units of a model over a text.

    Args:
        passage: the text.
        cell: the recurrent cell.
        states: `(layers, units, characters)` float32, in [-1, 1], after each character: the tanh of the cell state of
            an LSTM variant, the output of a GRU or a simple RNN.
        features: the features of the text.
        correlations: `(features, layers, units)`, Pearson's r (for a binary feature the point-biserial correlation); 0
            for a unit whose state is constant.
        gates: the saturation of each gate, layer by layer; none for a simple RNN.
    """

    passage: Passage
    cell: str
    states: NDArray[np.float32]
    features: tuple[Feature, ...]
    correlations: NDArray[np.float64]
    gates: tuple[GateSaturation, ...]

    def state(self, layer: int, unit: int) -> NDArray[np.float32]:
        """A unit's state, `(characters,)`; layer and unit are counted from 1, as in `Unit`."""
        values: NDArray[np.float32] = self.states[layer - 1, unit - 1]
        return values

    def top(self, feature: int, n: int = 3) -> list[Unit]:
        """The `n` units with the highest absolute correlation with a feature, given by its index in `features`."""
        flat = self.correlations[feature].ravel()
        best = np.argsort(-np.abs(flat), kind="stable")[:n]
        units = self.states.shape[1]
        return [Unit(int(each) // units + 1, int(each) % units + 1, float(flat[each])) for each in best]

    def to_json(self, *, top: int = 3) -> dict[str, Any]:
        """Correlations and saturation as plain JSON values.

        Args:
            top: how many units to list for each feature.
        """
        layers, units, _ = self.states.shape
        return {
            "run": self.passage.model,
            "characters": len(self.passage.text),
            "of": self.passage.total,
            "sha256": self.passage.sha256,
            "cell": self.cell,
            "layers": layers,
            "units": units,
            "features": [
                {
                    "name": feature.name,
                    "meaning": feature.meaning,
                    "binary": feature.binary,
                    "share" if feature.binary else "mean": feature.share,
                    "units": [vars(unit) for unit in self.top(n, top)],
                }
                for n, feature in enumerate(self.features)
            ],
            "saturation": [
                {
                    "layer": gate.layer,
                    "gate": gate.gate,
                    "above_0.9": float(gate.above.mean()),
                    "below_0.1": float(gate.below.mean()),
                }
                for gate in self.gates
            ],
        }

    def to_html(self, *, title: str = "A text") -> str:
        """A self-contained HTML page that colours the text by the state of a selected unit.

        The same values make the same page. To stay below about 10 MB it omits the end of a long text and, for a very
        large model, the least correlated units, and says so.

        Args:
            title: the page's title, such as the text's name.
        """
        passage, (layers, units, read) = self.passage, self.states.shape
        shown = min(read, max(_FEWEST, _VALUES // (layers * units)))
        kept = self._most_correlated(max(1, _VALUES // shown))
        facts = [
            ("model", f"{passage.model}, {layers} x {units} {cell_name(self.cell)}"),
            ("text", passage.extent),
            ("sha256", passage.sha256[:12]),
        ]
        if shown < read:
            facts.append(("shown", f"the first {shown:,} characters; the correlations are over all {read:,}"))
        if len(kept) < layers * units:
            facts.append(("units", f"the {len(kept):,} of {layers * units:,} with the highest correlations"))
        states = self.states.reshape(layers * units, read)[kept, :shown]
        data = {
            "text": passage.text[:shown],
            "layers": layers,
            "unitsInLayer": units,
            "units": packed(smallest(kept)),
            "states": packed(np.rint(states * np.float32(127)).astype(np.int8)),
            "features": [
                {
                    "name": feature.name,
                    "meaning": feature.meaning,
                    "binary": feature.binary,
                    "share": round(feature.share, 6),
                    "marks": packed(np.packbits(feature.values[:shown] > 0.5)) if feature.binary else None,
                }
                for feature in self.features
            ],
            "correlations": packed(
                self.correlations.reshape(len(self.features), layers * units)[:, kept].astype(np.float32)
            ),
            "gates": [
                {
                    "layer": gate.layer,
                    "gate": gate.gate,
                    "above": packed(gate.above.astype(np.float32)),
                    "below": packed(gate.below.astype(np.float32)),
                }
                for gate in self.gates
            ],
        }
        return page("neurons", title=title, facts=facts, data=data)

    def _most_correlated(self, most: int) -> NDArray[np.int64]:
        """The indices of at most so many units with the highest correlation with any feature, in ascending order."""
        strength = np.abs(self.correlations).max(axis=0, initial=0.0).ravel()
        return np.sort(np.argsort(-strength, kind="stable")[:most])


def neurons(
    run: PathLike | Writer | None,
    text: str,
    *,
    checkpoints: PathLike = CHECKPOINTS,
    limit: int = _DEFAULT.limit,
    unknown: Unknown = _DEFAULT.unknown,
    progress: Callable[[int, int], None] | None = None,
) -> Neurons:
    """Records the state of every unit of a model over a text, and correlates it with features of the text.

    The states take 4 bytes for each unit and character.

    Args:
        run: a run's name, a run's folder, a `.keras` file, or a writer; None takes the newest run.
        text: the text to read, from its first character, with carried state.
        checkpoints: the folder of the run folders.
        limit: the maximum number of characters to read, in [1, 100,000].
        unknown: how to treat characters outside the vocabulary: see `CharTokenizer.encode`.
        progress: called with the characters done and the total.

    Raises:
        RunError: there is no such run.
        CheckpointError: the checkpoint is missing, damaged or not one of textgen's.
        CorpusError: the text is empty, or all its characters are outside the vocabulary.
        UnknownCharacterError: the text contains characters outside the vocabulary, and `unknown` refuses them.
        ConfigError: a setting is out of its range, or the writer mixes several models.

    Example:
        found = textgen.neurons("poems", Path("letter.txt").read_text())
        for n, feature in enumerate(found.features):
            print(feature.name, found.top(n))
    """
    config = InsightConfig(limit=limit, unknown=unknown)
    writer = open_writer(run, checkpoints)
    if not isinstance(writer.engine, Engine):
        raise ConfigError("A mixture of models has no units of its own. Look at one of its members.")
    engine = writer.engine
    passage = read_passage(writer, text, config)
    layers, units, count = writer.config.layers, writer.config.units, len(passage.ids)
    states = np.empty((layers, units, count), np.float32)
    above: dict[tuple[int, str], NDArray[np.int64]] = {}
    below: dict[tuple[int, str], NDArray[np.int64]] = {}
    _, carried = engine.observe(passage.before[None], engine.initial_state(1))
    for start in range(0, count, _CHUNK):
        part = slice(start, min(start + _CHUNK, count))
        traces, carried = engine.observe(passage.ids[None, part], carried)
        for layer, trace in enumerate(traces):
            states[layer, :, part] = trace.state[0].T
            for gate, values in trace.gates.items():
                key = layer + 1, gate
                above[key] = above.get(key, 0) + (values[0] > OPEN).sum(axis=0)
                below[key] = below.get(key, 0) + (values[0] < CLOSED).sum(axis=0)
        if progress is not None:
            progress(part.stop, count)
    features = find_features(passage.text)
    return Neurons(
        passage=passage,
        cell=writer.config.cell,
        states=states,
        features=features,
        correlations=correlate([feature.values for feature in features], states),
        gates=tuple(GateSaturation(*key, above[key] / count, below[key] / count) for key in above),
    )


def correlate(features: Sequence[NDArray[np.float64]], states: NDArray[np.float32]) -> NDArray[np.float64]:
    """Pearson's correlation of each feature with each unit.

    Args:
        features: each `(characters,)`.
        states: `(layers, units, characters)`.

    Returns:
        `(features, layers, units)`, in [-1, 1]; 0 where a feature or a state is constant.

    >>> correlate([np.array([0.0, 1.0, 0.0])], np.array([[[0.1, 0.9, 0.1], [0.5, -0.5, 0.5], [0.2, 0.2, 0.2]]], "f4"))
    array([[[ 1., -1.,  0.]]])
    """
    layers, units, count = states.shape
    values = np.array([_standardised(feature) for feature in features]).reshape(len(features), count)
    found = np.empty((len(features), layers, units))
    for layer in range(layers):
        found[:, layer] = values @ _standardised(states[layer].astype(np.float64)).T
    return np.clip(found, -1.0, 1.0)


def _standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows scaled to mean 0 and norm 1; constant rows become zeros."""
    moves = (values != values[..., :1]).any(axis=-1, keepdims=True)
    centred = np.where(moves, values - values.mean(axis=-1, keepdims=True), 0.0)
    length = np.sqrt((centred * centred).sum(axis=-1, keepdims=True))
    standard: NDArray[np.float64] = np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)
    return standard
