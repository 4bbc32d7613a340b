"""Training on a GPU: the CPU's losses, the speed beside cuDNN in PyTorch and in Keras, what a budget affords.

    python -m benchmarks.gpu --out gpu.json
    python -m benchmarks.gpu --part speed --sizes medium,2x1024 --batches 32,256
    python -m benchmarks.gpu --part losses --only cpu --out gpu.json      # the CPU's runs, on any machine
    python -m benchmarks.gpu --part losses --jobs 8 --out gpu.json        # those that gpu.json lacks, eight at once
    python -m benchmarks.gpu --device cpu --smoke     # all of it on a CPU, to see that it runs

Three tables:

1. **Losses.** Every cell is trained on a text for as many steps on the CPU, in textgen's kernels, as on the GPU, in
   Keras's layers, with the recipe's settings and each of the seeds. The loss is the held-out text's, carried. It counts
   as the same where the means differ by no more than the CPU's seeds do (their standard deviation).
2. **Speed.** Characters a second in training for each size and batch, beside stock Keras's `fit` and PyTorch's
   `nn.LSTM`; and every cell at one size, through Keras's layers and through textgen's kernels, with whether the graph
   has cuDNN's fused layer.
3. **Budgets.** From the speed at the recipe's batch, what `recommend` chooses for texts of several lengths within their
   default times.

On Ampere and later, TensorFlow multiplies float32 in TF32 by default, and so does textgen there. Without a GPU the
program says so and ends with exit code 1. Each contender runs in a process of its own, with nothing else on the GPU.
With `--out` the losses and parts that FILE already holds are kept, and only what it lacks is trained.
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness, train_speed
from benchmarks.harness import DEFAULT_CELL, EMBEDDING, VOCAB
from textgen.config import CELLS as ALL_CELLS
from textgen.config import SIZES, ModelConfig, TrainingConfig
from textgen.training.recipe import SPEED, STEP_OVERHEAD, default_time, recommend, step_seconds

CELLS: Sequence[str] = ALL_CELLS
PARTS = ("losses", "speed", "budgets")
LENGTHS = (50_000, 250_000, 1_000_000, 5_000_000, 50_000_000)


def shape_of(size: str) -> dict[str, int]:
    """The shape of a preset, or of one such as 2x1024."""
    if size in SIZES:
        return dict(SIZES[size])
    layers, units = map(int, size.split("x"))
    return {"layers": layers, "units": units, "embedding": EMBEDDING}


@contextmanager
def placed(settings: Mapping[str, Any]) -> Iterator[Any]:
    """The place for training, which `train` gets, too; on "keras" it is the GPU's, but on a CPU."""
    from textgen.training import placement

    chosen = placement.place("gpu" if settings["device"] == "gpu" else "cpu", "float32")
    if settings["device"] == "keras":
        chosen = dataclasses.replace(chosen, name="CPU, Keras's own layers", kernels=False, threads=1)
    if "kernels" in settings:
        chosen = dataclasses.replace(chosen, kernels=settings["kernels"])
    before = placement.place
    placement.place = lambda *_, **__: chosen
    try:
        yield chosen
    finally:
        placement.place = before


def contender(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of "device" or of "loss CELL"; or of "textgen", "keras" and "torch" the speed of each of "shapes"."""
    program, _, cell = name.partition(" ")
    if program == "device":
        return device()
    if program == "loss":
        return loss(cell, settings)
    figures = []
    for each in settings["shapes"]:
        if program == "textgen":
            figures.append({**each, **speed({**settings, **each})})
            continue
        one = {**settings, **each}
        rate = train_speed.run_keras(one) if program == "keras" else train_speed.run_torch(one, bfloat16=False)
        figures.append({**each, "characters/s": rate * each["batch"] * settings["time"]})
    return {"figures": figures}


def device() -> dict[str, Any]:
    """How many GPUs TensorFlow sees, and the name of the first."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    details = tf.config.experimental.get_device_details(gpus[0]) if gpus else {}
    build = tf.sysconfig.get_build_info()
    return {
        "gpus": len(gpus),
        "name": details.get("device_name", "no GPU"),
        "tensorflow": tf.__version__,
        "cuDNN": build.get("cudnn_version", "none"),
        "TF32": tf.config.experimental.tensor_float_32_execution_enabled(),
    }


def loss(cell: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Trains on the text; its steps, and its last losses."""
    from textgen.training.framework import default_framework
    from textgen.training.start import train

    with tempfile.TemporaryDirectory() as folder, default_framework(), placed(settings):
        run = train(settings["text"], cell=cell, seed=settings["seed"], checkpoints=folder, **settings["train"])
        row = run.history[-1]
        return {"steps": row.step, "loss": row.val_loss, "training loss": row.loss}


def speed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Characters a second of training steps, and whether they run cuDNN's fused layers."""
    import tensorflow as tf

    from textgen.corpus.batch import Batch
    from textgen.training.keras_model import build_model
    from textgen.training.network import Network
    from textgen.training.trainer import Trainer

    shape = {name: settings[name] for name in ("layers", "units", "embedding")}
    cell = settings.get("cell", DEFAULT_CELL)
    config = ModelConfig(vocab_size=VOCAB, cell=cell, dropout=0.1, input_dropout=0.05, **shape)
    training = TrainingConfig(batch_size=settings["batch"], sequence_length=settings["time"], cautious=True)
    with placed(settings) as placement, tf.device(placement.device):
        model = build_model(config)
        network = Network(model, config, kernels=placement.kernels)
        trainer = Trainer(network, model, training, shards=1, validation_streams=1)
        step = tf.function(trainer.train_step, autograph=False)
        data = Batch(*map(tf.constant, train_speed.batch(settings)), tf.constant(False))
        rate = train_speed.steps_per_second(lambda: float(step(data)["loss"]), seconds=settings["seconds"])
        graph = step.get_concrete_function(data).graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return {
        "characters/s": rate * settings["batch"] * settings["time"],
        "seconds": 1.0 / rate,
        "fused": any(node.op.startswith("CudnnRNN") for node in nodes),
    }


def run(name: str, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """One contender's figures; None where it is not installed."""
    print(f"  {name} {settings.get('device')} {settings.get('seed', '')}", file=sys.stderr)
    return harness.child(__file__, contender, name, settings)


def losses(arguments: Any, there: str, former: Any) -> tuple[str, list[dict[str, Any]]]:
    """The first table, and its runs."""
    train = {"epochs": arguments.epochs, "size": arguments.size}
    if arguments.smoke:
        train = {"epochs": 1e-3, "layers": 1, "units": 8, "embedding": 4, "batch_size": 4, "sequence_length": 16}
        train["validation_characters"] = 500
    common = {"text": Path(arguments.text).name, "train": train}
    places = ["cpu", there] if arguments.only is None else [{"cpu": "cpu", "gpu": there}[arguments.only]]
    seeds = list(map(int, arguments.seeds.split(",")))
    results = [each for each in former or [] if {name: each.get(name) for name in common} == common]
    known = {(each["cell"], each["seed"], each["device"]) for each in results}
    wanted = [(cell, seed, where) for cell in CELLS for seed in seeds for where in places]

    def trained(each: tuple[str, int, str]) -> dict[str, Any]:
        cell, seed, where = each
        settings = {"device": where, "seed": seed, "smoke": arguments.smoke, **common, "text": arguments.text}
        return {"cell": cell, "seed": seed, "device": where, **common, **(run(f"loss {cell}", settings) or {})}

    with ThreadPoolExecutor(arguments.jobs) as pool:
        results += pool.map(trained, [each for each in wanted if each not in known])
    rows = []
    for cell in CELLS:
        found = {where: [r for r in results if (r["cell"], r["device"]) == (cell, where)] for where in ("cpu", there)}
        values = [[each["loss"] for each in sorted(group, key=lambda r: r["seed"])] for group in found.values()]
        row = [cell, ", ".join(sorted({f"{each['steps']:,}" for group in found.values() for each in group}))]
        row += [f"{statistics.mean(v):.4f} ({min(v):.4f} to {max(v):.4f})" if v else "" for v in values]
        if all(values):
            noise = statistics.stdev(values[0]) if len(values[0]) > 1 else 0.0
            difference = statistics.mean(values[1]) - statistics.mean(values[0])
            row += [f"{difference:+.4f}", f"{noise:.4f}", "yes" if abs(difference) <= noise else "no"]
        rows.append([*row, *[""] * (7 - len(row))])
    headings = ["cell", "steps", "CPU", there.upper(), "difference of means", "deviation of seeds", "the same"]
    return harness.table(headings, rows), results


def speeds(arguments: Any, there: str, _: Any) -> tuple[str, list[dict[str, Any]]]:
    """The second table and that of the cells, and their runs."""
    common = {"device": there, "time": arguments.time_steps, "seconds": arguments.seconds, "smoke": arguments.smoke}
    shapes = [
        {"size": size, "batch": batch, **shape_of(size)}
        for size in arguments.sizes.split(",")
        for batch in map(int, arguments.batches.split(","))
    ]
    ours = [{"cell": cell, **shape} for shape in shapes for cell in dict.fromkeys((DEFAULT_CELL, "lstm"))]
    kernels = [{"cell": cell, **shapes[0], "kernels": chosen} for cell in CELLS for chosen in (False, True)]
    asked = {"textgen": [*ours, *kernels], "keras": shapes, "torch": shapes}
    results, rows, cells = [], [], []
    for name, each in asked.items():
        found = run(name, {**common, "shapes": each}) or {"figures": []}
        results += [{"contender": name, "cell": "lstm", **figure} for figure in found["figures"]]
    whole = [each for each in results if "kernels" not in each]
    for shape in shapes:
        group = [each for each in whole if (each["size"], each["batch"]) == (shape["size"], shape["batch"])]
        base = next(each["characters/s"] for each in group if each["cell"] == "lstm")
        for each in group:
            figure = each["characters/s"]
            rows.append([
                each["size"], each["batch"], each["contender"], each["cell"], f"{figure:,.0f}", f"{base / figure:.2f}x"
            ])  # fmt: skip
    for cell in CELLS:
        layers, own = (each for each in results if each["cell"] == cell and "kernels" in each)
        fused = "yes" if layers["fused"] else "no"
        cells.append([cell, f"{layers['characters/s']:,.0f}", fused, f"{own['characters/s']:,.0f}"])
    text = harness.table(["size", "batch", "contender", "cell", "characters/s", "textgen lstm is"], rows)
    text += f"\n\n{shapes[0]['size']}, batch {shapes[0]['batch']}, characters/s:\n\n"
    text += harness.table(["cell", "Keras's layers", "fused by cuDNN", "textgen's kernels"], cells)
    return text, results


def measured_speed(arguments: Any, there: str) -> tuple[float, float]:
    """Operations a second and overhead of a time step, as `step_seconds` has them, by the steps of several sizes."""
    default = TrainingConfig()
    sizes = ["1x8", "1x16", "2x8"] if arguments.smoke else ["small", "medium", "large", "huge"]
    shapes = [{"size": size, "batch": default.batch_size, **shape_of(size)} for size in sizes]
    common = {"time": default.sequence_length, "seconds": arguments.seconds, "smoke": arguments.smoke}
    found = run("textgen", {"device": there, "cell": arguments.cell, "shapes": shapes, **common}) or {}
    table, seconds = [], [each["seconds"] for each in found["figures"]]
    for size in sizes:
        model = ModelConfig(vocab_size=VOCAB, cell=arguments.cell, **shape_of(size))
        sequence = (model, default.batch_size, default.sequence_length)
        operations = step_seconds(*sequence, speed=1.0, overhead=0.0)
        table.append([operations, model.layers * default.sequence_length])
    # Of each error the share counts; neither constant may fall below zero.
    scaled = np.array(table) / np.array(seconds)[:, None]
    (each, overhead), *_ = np.linalg.lstsq(scaled, np.ones(len(seconds)), rcond=None)
    if each <= 0.0:
        each, overhead = 1e-15, float(np.mean(1.0 / scaled[:, 1]))
    elif overhead < 0.0:
        each, overhead = float(np.mean(1.0 / scaled[:, 0])), 0.0
    return 1.0 / float(each), float(overhead)


def budgets(arguments: Any, there: str, _: Any) -> tuple[str, dict[str, Any]]:
    """The third table, and the speed that it follows from."""
    pace, overhead = measured_speed(arguments, there)
    rows = []
    for characters in LENGTHS:
        row: list[Any] = [f"{characters:,}", f"{default_time(characters):.0f} s"]
        for one, other in ((SPEED, STEP_OVERHEAD), (pace, overhead)):
            recipe = recommend(characters, VOCAB, model={"cell": arguments.cell}, speed=one, overhead=other)
            model, training = recipe.model, recipe.training
            shape = (model, training.batch_size, training.sequence_length)
            steps = default_time(characters) / step_seconds(*shape, speed=one, overhead=other)
            passes = steps * training.batch_size * training.sequence_length / characters
            row.append(f"{model.layers} x {model.units}, {passes:.1f} passes")
        rows.append(row)
    headings = ["characters", "default time", "as assumed of a CPU", f"as measured here ({there})"]
    text = harness.table(headings, rows)
    text += (
        f"\n\n{arguments.cell} cell. Measured: {pace:.3g} operations/s and {1e6 * overhead:.1f} us a layer's time step."
    )
    return text, {"speed": pace, "overhead": overhead}


def main(line: list[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--device", choices=["gpu", "cpu"], default="gpu", help="cpu: the GPU's way, on a CPU")
    parser.add_argument("--part", action="append", choices=PARTS, help="one of the tables; repeatable  [default: all]")
    parser.add_argument("--text", default=str(harness.ROOT / "corpora" / "marrow_haven.txt"))
    parser.add_argument("--size", default="small", help="of the losses")
    parser.add_argument("--epochs", type=float, default=4.0, help="of the losses")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--only", choices=["cpu", "gpu"], help="train for the losses there alone")
    parser.add_argument("--jobs", type=int, default=1, help="losses trained at once")
    parser.add_argument("--cell", choices=CELLS, default=DEFAULT_CELL, help="of the budgets")
    parser.add_argument("--sizes", default="small,medium,large,huge,2x1024", help="of the speeds")
    parser.add_argument("--batches", default="32,64,128,256")
    parser.add_argument("--time-steps", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=3.0, help="of measuring, for each speed")
    arguments = parser.parse_args(line)
    if harness.answer(arguments, contender):
        return
    if arguments.smoke:
        arguments.device, arguments.seeds, arguments.seconds = "cpu", "1", 0.0
        arguments.sizes, arguments.batches, arguments.time_steps = "1x8", "4", 8
    there = "gpu" if arguments.device == "gpu" else "keras"
    found = harness.child(__file__, contender, "device", {"device": arguments.device, "smoke": arguments.smoke}) or {}
    elsewhere = arguments.part == ["losses"] and arguments.only == "cpu"
    if there == "gpu" and not found["gpus"] and not elsewhere:
        raise SystemExit(
            "TensorFlow sees no GPU here: run this where it does (pip install 'textgen-chars[gpu]'), or see with "
            "--device cpu --smoke that it runs."
        )
    parts = {"losses": losses, "speed": speeds, "budgets": budgets}
    texts, results = [], {**harness.written("gpu", arguments.out), "device": found}
    for name in arguments.part or PARTS:
        table, results[name] = parts[name](arguments, there, results.get(name))
        texts.append(table)
    about = ", ".join(f"{key} {value}" for key, value in found.items())
    harness.report("gpu", f"{about}\n\n" + "\n\n".join(texts), results, arguments.out)


if __name__ == "__main__":
    main()
