"""Training on a GPU: the CPU's losses, the speed beside cuDNN in PyTorch and in Keras, what a budget affords.

    python -m benchmarks.gpu --out gpu.json
    python -m benchmarks.gpu --part speed --sizes medium,2x1024 --batches 32,256
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
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks import harness, train_speed
from benchmarks.harness import DEFAULT_CELL, EMBEDDING, VOCAB
from textgen.config import CELLS as ALL_CELLS
from textgen.config import SIZES, ModelConfig, TrainingConfig
from textgen.training.recipe import SPEED, STEP_OVERHEAD, default_time, recommend, step_seconds

CELLS: Sequence[str] = ALL_CELLS
PARTS = ("losses", "speed", "budgets")
CONTENDERS = (f"textgen {DEFAULT_CELL}", "textgen lstm", "keras lstm", "torch lstm")
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
    """A figure of "device", "loss CELL", or, as "textgen CELL", "keras lstm" and "torch lstm", of speed."""
    program, _, cell = name.partition(" ")
    if program == "device":
        return device()
    if program == "loss":
        return loss(cell, settings)
    if program == "textgen":
        return speed(cell, settings)
    run = train_speed.run_keras(settings) if program == "keras" else train_speed.run_torch(settings, bfloat16=False)
    return {"characters/s": run * settings["batch"] * settings["time"]}


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


def speed(cell: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Characters a second of training steps, and whether they run cuDNN's fused layers."""
    import tensorflow as tf

    from textgen.corpus.batch import Batch
    from textgen.training.keras_model import build_model
    from textgen.training.network import Network
    from textgen.training.trainer import Trainer

    shape = {name: settings[name] for name in ("layers", "units", "embedding")}
    config = ModelConfig(vocab_size=VOCAB, cell=cell, dropout=0.1, input_dropout=0.05, **shape)  # type: ignore[arg-type]
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
    print(f"  {name} {settings.get('device')} {settings.get('size', '')} {settings.get('seed', '')}", file=sys.stderr)
    return harness.child(__file__, contender, name, settings)


def losses(arguments: Any, there: str) -> tuple[str, list[dict[str, Any]]]:
    """The first table, and its runs."""
    results, rows = [], []
    train = {"epochs": arguments.epochs, "size": arguments.size}
    if arguments.smoke:
        train = {"epochs": 1e-3, "layers": 1, "units": 8, "embedding": 4, "batch_size": 4, "sequence_length": 16}
        train["validation_characters"] = 500
    for cell in CELLS:
        for seed in map(int, arguments.seeds.split(",")):
            for where in ("cpu", there):
                settings = {"device": where, "seed": seed, "text": arguments.text, "train": train}
                found = run(f"loss {cell}", {**settings, "smoke": arguments.smoke})
                results.append({"cell": cell, "seed": seed, "device": where, **(found or {})})
        cpu, gpu = ([r for r in results if r["cell"] == cell and r["device"] == where] for where in ("cpu", there))
        values = [[each["loss"] for each in group] for group in (cpu, gpu)]
        noise = statistics.stdev(values[0]) if len(values[0]) > 1 else 0.0
        difference = statistics.mean(values[1]) - statistics.mean(values[0])
        pairs = max(abs(one - other) for one, other in zip(*values, strict=True))
        rows.append([
            cell, f"{cpu[0]['steps']:,}", *(f"{statistics.mean(v):.4f} ({min(v):.4f} to {max(v):.4f})" for v in values),
            f"{difference:+.4f}", f"{noise:.4f}", f"{pairs:.4f}", "yes" if abs(difference) <= noise else "no",
        ])  # fmt: skip
    headings = [
        "cell",
        "steps",
        "CPU",
        there.upper(),
        "difference of means",
        "deviation of seeds",
        "largest of a seed",
        "the same",
    ]
    return harness.table(headings, rows), results


def speeds(arguments: Any, there: str) -> tuple[str, list[dict[str, Any]]]:
    """The second table and that of the cells, and their runs."""
    results, rows, cells = [], [], []
    base = {"device": there, "time": arguments.time_steps, "seconds": arguments.seconds, "smoke": arguments.smoke}
    for size in arguments.sizes.split(","):
        for batch in map(int, arguments.batches.split(",")):
            settings = {**base, "size": size, "batch": batch, **shape_of(size)}
            found = {name: run(name, settings) for name in CONTENDERS}
            results += [{"contender": name, **settings, **(each or {})} for name, each in found.items()]
            ours = (found.get("textgen lstm") or found[CONTENDERS[0]] or {})["characters/s"]
            for name, each in found.items():
                figure = f"{each['characters/s']:,.0f}" if each else "not here"
                ratio = f"{ours / each['characters/s']:.2f}x" if each else ""
                rows.append([size, batch, *name.split(), figure, ratio])
    size, batch = arguments.sizes.split(",")[0], int(arguments.batches.split(",")[0])
    for cell in CELLS:
        line = [cell]
        for kernels in (False, True):
            settings = {**base, "size": size, "batch": batch, "kernels": kernels, **shape_of(size)}
            each = run(f"textgen {cell}", settings) or {}
            results.append({"contender": f"textgen {cell}", **settings, **each})
            line.append(f"{each['characters/s']:,.0f}")
            if not kernels:
                line.append("yes" if each["fused"] else "no")
        cells.append(line)
    text = harness.table(["size", "batch", "contender", "cell", "characters/s", "textgen lstm is"], rows)
    text += f"\n\n{size}, batch {batch}, characters/s:\n\n"
    text += harness.table(["cell", "Keras's layers", "fused by cuDNN", "textgen's kernels"], cells)
    return text, results


def measured_speed(arguments: Any, there: str) -> tuple[float, float]:
    """Operations a second and overhead of a time step, as `step_seconds` has them, by the steps of several sizes."""
    default = TrainingConfig()
    sizes = ["1x8", "1x16", "2x8"] if arguments.smoke else ["small", "medium", "large", "huge"]
    table, seconds = [], []
    for size in sizes:
        settings = {
            "device": there, "size": size, "batch": default.batch_size, "time": default.sequence_length,
            "seconds": arguments.seconds, "smoke": arguments.smoke, **shape_of(size),
        }  # fmt: skip
        found = run(f"textgen {DEFAULT_CELL}", settings) or {}
        model = ModelConfig(vocab_size=VOCAB, **shape_of(size))  # type: ignore[arg-type]
        sequence = (model, default.batch_size, default.sequence_length)
        operations = step_seconds(*sequence, speed=1.0, overhead=0.0)
        table.append([operations, model.layers * default.sequence_length])
        seconds.append(found["seconds"])
    # Of each error the share counts; neither constant may fall below zero.
    scaled = np.array(table) / np.array(seconds)[:, None]
    (each, overhead), *_ = np.linalg.lstsq(scaled, np.ones(len(seconds)), rcond=None)
    if each <= 0.0:
        each, overhead = 1e-15, float(np.mean(1.0 / scaled[:, 1]))
    elif overhead < 0.0:
        each, overhead = float(np.mean(1.0 / scaled[:, 0])), 0.0
    return 1.0 / float(each), float(overhead)


def budgets(arguments: Any, there: str) -> tuple[str, dict[str, Any]]:
    """The third table, and the speed that it follows from."""
    pace, overhead = measured_speed(arguments, there)
    rows = []
    for characters in LENGTHS:
        row: list[Any] = [f"{characters:,}", f"{default_time(characters):.0f} s"]
        for one, other in ((SPEED, STEP_OVERHEAD), (pace, overhead)):
            recipe = recommend(characters, VOCAB, speed=one, overhead=other)
            model, training = recipe.model, recipe.training
            shape = (model, training.batch_size, training.sequence_length)
            steps = default_time(characters) / step_seconds(*shape, speed=one, overhead=other)
            passes = steps * training.batch_size * training.sequence_length / characters
            row.append(f"{model.layers} x {model.units}, {passes:.1f} passes")
        rows.append(row)
    headings = ["characters", "default time", "as assumed of a CPU", f"as measured here ({there})"]
    text = harness.table(headings, rows)
    text += (
        f"\n\n{DEFAULT_CELL} cell. Measured: {pace:.3g} operations/s and {1e6 * overhead:.1f} us a layer's time step."
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
    if there == "gpu" and not found["gpus"]:
        raise SystemExit(
            "TensorFlow sees no GPU here: run this where it does (pip install 'textgen-chars[gpu]'), or see with "
            "--device cpu --smoke that it runs."
        )
    parts = {"losses": losses, "speed": speeds, "budgets": budgets}
    texts, results = [], {"device": found}
    for name in arguments.part or PARTS:
        table, results[name] = parts[name](arguments, there)
        texts.append(table)
    about = ", ".join(f"{key} {value}" for key, value in found.items())
    harness.report("gpu", f"{about}\n\n" + "\n\n".join(texts), results, arguments.out)


if __name__ == "__main__":
    main()
