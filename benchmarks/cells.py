"""Which cell to take: every cell at equal weights and equal time on the same texts.

    python -m benchmarks.cells TEXT [TEXT ...] --time 1m
    python -m benchmarks.cells TEXT --time 3m --shape 2x384 --seeds 1,2,3 --cells lstm,coupled --runs FOLDER

Each run is `textgen train TEXT --time T --cell C --units U ...`. The LSTM has the shape that the recipe chooses for the
text and the time (or `--shape`); every other cell has as many units as bring its number of learned weights, embedding
and head included, within 1 % of the LSTM's. Dropout, rate and batch are the LSTM's, too. The loss is the validation's,
nats per character over the last 10 % of the text with carried state, at its best; the speed is all of training's,
validations and saves included. Cells take turns, so that a machine that grows slower is unfair to none.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import harness
from textgen.cli.options import Duration
from textgen.config import CELLS, Cell, CorpusConfig, ModelConfig
from textgen.corpus import encode_corpus, open_corpus
from textgen.model.read import read_metadata
from textgen.runs.run import Run
from textgen.training.recipe import Recipe, recommend

_CLOSE = 0.01
"""How far a cell's weights may be from the LSTM's, as a share of them."""


def equal(lstm: ModelConfig, cell: Cell) -> ModelConfig:
    """The model of `cell` with the number of units that brings its weights nearest to the LSTM's.

    Raises:
        SystemExit: none comes within 1 %; the model is too small.
    """

    def distance(units: int) -> int:
        return abs(lstm.replace(cell=cell, units=units).weights - lstm.weights)

    model = lstm.replace(cell=cell, units=min(range(1, 4 * lstm.units), key=distance))
    if distance(model.units) > _CLOSE * lstm.weights:
        raise SystemExit(f"No {cell} has within 1 % of {lstm.weights:,} weights; choose a larger --shape.")
    return model


def recipe_for(text: str, seconds: float, shape: str | None) -> Recipe:
    """The LSTM and the training for a text and a time."""
    encoded = encode_corpus(open_corpus([text], config=CorpusConfig()))
    wanted: dict[str, Any] = {"cell": "lstm"}
    if shape is not None:
        wanted["layers"], wanted["units"] = map(int, shape.split("x"))
    return recommend(len(encoded.training), encoded.tokenizer.vocab_size, model=wanted, training={"time": seconds})


def train(
    text: str, folder: str, name: str, recipe: Recipe, model: ModelConfig, *, time: str, seed: int, smoke: bool
) -> Run:
    """Runs the command."""
    training = recipe.training
    options = {
        "time": time, "seed": seed, "name": name, "checkpoints": folder, "cell": model.cell, "layers": model.layers,
        "units": model.units, "embedding": model.embedding, "dropout": model.dropout,
        "input-dropout": model.input_dropout, "batch-size": training.batch_size,
        "sequence-length": training.sequence_length, "learning-rate": training.learning_rate,
        "weight-drop": training.weight_drop,
    }  # fmt: skip
    harness.command("train", text, *(f"--{key}={value}" for key, value in options.items()), smoke=smoke)
    return Run(Path(folder) / name)


def outcome(run: Run, model: ModelConfig) -> dict[str, Any]:
    """What a run came to."""
    metadata = read_metadata(run.last)
    metrics, training = metadata.metrics, metadata.training
    characters = metrics.step * training["batch_size"] * training["sequence_length"]
    return {
        "cell": model.cell,
        "layers": model.layers,
        "units": model.units,
        "weights": model.weights,
        "steps": metrics.step,
        "characters/s": characters / metrics.seconds,
        "loss": metrics.best_val_loss,
        "precision": training["precision"],
    }


def rows(results: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """A row for each text and cell, the best first; several seeds are one row of means."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for result in results:
        groups.setdefault((result["text"], result["cell"]), []).append(result)
    means = {
        key: {field: statistics.mean(r[field] for r in group) for field in ("loss", "steps", "characters/s")}
        for key, group in groups.items()
    }
    texts = list(dict.fromkeys(text for text, _ in groups))
    order = sorted(groups, key=lambda key: (texts.index(key[0]), means[key]["loss"]))
    table = []
    for key in order:
        losses = [result["loss"] for result in groups[key]]
        spread = f" ({min(losses):.4f} to {max(losses):.4f})" if len(losses) > 1 else ""
        first, mean = groups[key][0], means[key]
        table.append([
            Path(key[0]).stem, key[1], f"{mean['loss']:.4f}{spread}", f"{mean['steps']:,.0f}",
            f"{mean['characters/s']:,.0f}", f"{first['weights']:,}", f"{first['layers']} x {first['units']}",
        ])  # fmt: skip
    return table


def main(line: list[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("texts", nargs="+", metavar="TEXT")
    parser.add_argument("--time", default="1m", help="each run's budget, such as 90s or 3m")
    parser.add_argument("--shape", help="the LSTM's layers x units, such as 2x384  [default: the recipe's]")
    parser.add_argument("--cells", default=",".join(CELLS))
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--runs", help="keep the runs in this folder")
    arguments = parser.parse_args(line)
    if arguments.smoke:
        arguments.time, arguments.shape, arguments.seeds = "1s", "1x64", "1"
    seconds = Duration().convert(arguments.time, None, None)
    results: list[dict[str, Any]] = []
    recipes = {text: recipe_for(text, seconds, arguments.shape) for text in arguments.texts}
    contenders = {
        text: [equal(recipe.model, cell) for cell in arguments.cells.split(",")] for text, recipe in recipes.items()
    }
    with tempfile.TemporaryDirectory() as scratch:
        for text, models in contenders.items():
            for seed in map(int, arguments.seeds.split(",")):
                for model in models:
                    name = f"{Path(text).stem}-{model.cell}-{arguments.time}-{seed}"
                    folder = arguments.runs or scratch
                    run = train(
                        text, folder, name, recipes[text], model, time=arguments.time, seed=seed, smoke=arguments.smoke
                    )
                    results.append({"text": text, "seed": seed, **outcome(run, model)})
    headings = ["text", "cell", "validation loss", "steps", "characters/s", "weights", "layers x units"]
    text = harness.table(headings, rows(results)) + f"\n\n{arguments.time} each, seeds {arguments.seeds}."
    harness.report("cells", text, {"time": arguments.time, "runs": results}, arguments.out)


if __name__ == "__main__":
    main()
