"""Training speed beside stock Keras and PyTorch: the same shapes, in turn, on the same machine.

    python -m benchmarks.train_speed
    python -m benchmarks.train_speed --shape 2x384 --batch 32 --time-steps 64 --runs 3

textgen trains its default cell and the LSTM that the others have. A step is forward, backward, global-norm clipping and
Adam, for a next-character loss over a vocabulary of 65, an embedding of 64 and no dropout. Every contender keeps its
own defaults otherwise. The ceiling is the rate of a large matrix product in TensorFlow on all cores; a character costs
6 operations a weight (without the embedding's table).
"""

from __future__ import annotations

import time

import numpy as np

from benchmarks import harness
from benchmarks.harness import DEFAULT_CELL, EMBEDDING, VOCAB
from textgen.config import ModelConfig, TrainingConfig

CELLS = tuple(dict.fromkeys((DEFAULT_CELL, "lstm")))
CONTENDERS = (
    *(f"textgen {cell} float32" for cell in CELLS), "keras lstm float32", "torch lstm float32",
    *(f"textgen {cell} bfloat16" for cell in CELLS), "torch lstm bfloat16",
)  # fmt: skip


def steps_per_second(step, *, seconds: float) -> float:
    """Median rate of calls of `step`, after two that are not counted, over at least `seconds`."""
    step()
    step()
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return 1.0 / float(np.median(times))


def batch(settings):
    shape = (settings["batch"], settings["time"] + 1)
    ids = np.random.default_rng(0).integers(0, VOCAB, shape).astype("int32")
    return ids[:, :-1], ids[:, 1:]


def model_config(cell: str, layers: int, units: int) -> ModelConfig:
    return ModelConfig(
        vocab_size=VOCAB, cell=cell, layers=layers, units=units, embedding=EMBEDDING, dropout=0.0, input_dropout=0.0,
        skip=False,
    )  # fmt: skip


def run_textgen(settings, cell: str, precision: str) -> float:
    import tensorflow as tf

    from textgen.corpus.batch import Batch
    from textgen.training.keras_model import build_model
    from textgen.training.network import Network
    from textgen.training.placement import place
    from textgen.training.trainer import Trainer

    shape = model_config(cell, settings["layers"], settings["units"])
    config = TrainingConfig(batch_size=settings["batch"], sequence_length=settings["time"], weight_decay=0.0)
    placement = place("cpu", precision)
    model = build_model(shape)
    network = Network(model, shape, compute_dtype=placement.compute_dtype, kernels=placement.kernels)
    trainer = Trainer(network, model, config, shards=placement.shards(shape, config), validation_streams=1)
    step = tf.function(trainer.train_step)
    data = Batch(*map(tf.constant, batch(settings)), tf.constant(False))
    return steps_per_second(lambda: float(step(data)["loss"]), seconds=settings["seconds"])


def run_keras(settings) -> float:
    import keras

    layers = [keras.layers.Embedding(VOCAB, EMBEDDING)]
    layers += [keras.layers.LSTM(settings["units"], return_sequences=True) for _ in range(settings["layers"])]
    model = keras.Sequential([keras.Input((None,), dtype="int32"), *layers, keras.layers.Dense(VOCAB)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(1e-3, global_clipnorm=1.0), loss=loss)
    inputs, targets = batch(settings)
    count = max(3, int(settings["seconds"]))
    data = (np.tile(inputs, (count, 1)), np.tile(targets, (count, 1)))
    model.fit(*data, batch_size=settings["batch"], verbose=0, shuffle=False)
    start = time.perf_counter()
    model.fit(*data, batch_size=settings["batch"], verbose=0, shuffle=False)
    return count / (time.perf_counter() - start)


def run_torch(settings, *, bfloat16: bool) -> float:
    import torch

    torch.set_num_threads(int(harness.machine()["cores"]))
    gpu = settings.get("device") == "gpu"
    if gpu and not torch.cuda.is_available():
        raise ModuleNotFoundError("This PyTorch sees no GPU.", name="torch")
    torch.set_default_device("cuda" if gpu else "cpu")
    embedding = torch.nn.Embedding(VOCAB, EMBEDDING)
    lstm = torch.nn.LSTM(EMBEDDING, settings["units"], settings["layers"], batch_first=True)
    head = torch.nn.Linear(settings["units"], VOCAB)
    parameters = [*embedding.parameters(), *lstm.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, 1e-3)
    inputs, targets = (torch.tensor(a, dtype=torch.long) for a in batch(settings))

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cuda" if gpu else "cpu", torch.bfloat16, enabled=bfloat16):
            logits = head(lstm(embedding(inputs))[0])
        loss = torch.nn.functional.cross_entropy(logits.float().reshape(-1, VOCAB), targets.reshape(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if gpu:
            torch.cuda.synchronize()

    return steps_per_second(step, seconds=settings["seconds"])


def ceiling(dtype_name: str, side: int) -> float:
    """Operations a second of a large matrix product."""
    import tensorflow as tf

    a = tf.cast(tf.ones((side, side)), dtype_name)
    best = 0.0
    for _ in range(12):
        start = time.perf_counter()
        tf.cast(tf.matmul(a, a)[0, 0], tf.float32).numpy()
        best = max(best, 2.0 * side**3 / (time.perf_counter() - start))
    return best


def contender(name: str, settings) -> dict[str, float]:
    """Measures a contender, named as "textgen lstm float32", or the machine's "ceiling any float32"."""
    program, cell, precision = name.split()
    if program == "ceiling":
        return {"operations": ceiling(precision, 64 if settings["smoke"] else 2048)}
    rate = {
        "textgen": lambda: run_textgen(settings, cell, precision),
        "keras": lambda: run_keras(settings),
        "torch": lambda: run_torch(settings, bfloat16=precision == "bfloat16"),
    }[program]()
    return {"characters/s": rate * settings["batch"] * settings["time"], "MB": harness.peak_megabytes()}


def operations(cell: str, layers: int, units: int) -> int:
    """Operations of learning from one character: 6 a weight, but for the embedding's table."""
    return 6 * (model_config(cell, layers, units).weights - VOCAB * EMBEDDING)


def main(line: list[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--shape", action="append", help="layers x units, such as 2x256; repeatable")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--time-steps", type=int, default=100)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0, help="of measuring, for each run")
    arguments = parser.parse_args(line)
    if harness.answer(arguments, contender):
        return
    shapes = arguments.shape or ["2x256", "2x512"]
    if arguments.smoke:
        shapes, arguments.runs, arguments.seconds, arguments.batch, arguments.time_steps = ["1x8"], 1, 0.0, 4, 8
    rows, results, peak = [], {}, {}
    for precision in ("float32", "bfloat16"):
        found = harness.child(__file__, contender, f"ceiling any {precision}", {"smoke": arguments.smoke})
        peak[precision] = found["operations"] if found else 0.0
    for shape in shapes:
        layers, units = map(int, shape.split("x"))
        settings = {
            "layers": layers, "units": units, "batch": arguments.batch, "time": arguments.time_steps,
            "seconds": arguments.seconds, "smoke": arguments.smoke,
        }  # fmt: skip
        values = harness.alternate(__file__, contender, CONTENDERS, settings, runs=arguments.runs, key="characters/s")
        middle = {name: harness.median(found) for name, found in values.items()}
        results[shape] = {"settings": settings, "runs": values, "median": middle}
        for name in CONTENDERS:
            program, cell, precision = name.split()
            value = middle[name]
            if value is None:
                rows.append([shape, program, cell, precision, "not here", "", ""])
                continue
            ratio = middle[f"textgen lstm {precision}"] / value
            share = value * operations(cell, layers, units) / peak[precision]
            rows.append([shape, program, cell, precision, f"{value:,.0f}", f"{ratio:.2f}x", f"{share:.0%}"])
    headings = ["layers x units", "contender", "cell", "products", "characters/s", "textgen lstm is", "of the ceiling"]
    text = harness.table(headings, rows)
    text += f"\n\nCeilings: float32 {peak['float32'] / 1e9:,.0f}, bfloat16 {peak['bfloat16'] / 1e9:,.0f} GFLOP/s."
    text += f" Batch {arguments.batch} x {arguments.time_steps}, medians of {arguments.runs} runs each, in turn."
    harness.report("train_speed", text, {"ceilings": peak, "shapes": results}, arguments.out)


if __name__ == "__main__":
    main()
