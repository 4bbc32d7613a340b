"""Two workers by Ray Train, which sets TF_CONFIG in each.

    pip install 'ray[train]' textgen
    python ray_train.py TEXT

Where the run is there already, it is continued. On a cluster of several machines the text and the checkpoints must be
in a folder that all of them see.
"""

import argparse
import logging
from pathlib import Path
from typing import Any

from ray.train import ScalingConfig, get_context
from ray.train.tensorflow import TensorflowTrainer


def work(settings: dict[str, Any]) -> None:
    """What each worker does, in a process of its own; worker 0 saves the run."""
    import textgen
    from textgen.model.results import Validation
    from textgen.runs.events import Reporter, Summary

    class Log(Reporter):
        """Logs what Ray shows in the terminal where this script was started."""

        def joined(self, *, worker: int, run: str) -> None:
            logging.info("worker %d helps to train %s", worker, run)

        def started(self, summary: Summary) -> None:
            logging.info("workers: %s; run: %s", summary.workers, summary.run)

        def validated(self, row: Validation, *, best: bool) -> None:
            logging.info("step %d: val_loss %s%s", row.step, row.val_loss, " (best)" if best else "")

        def warned(self, message: str) -> None:
            logging.warning(message)

        def finished(self, message: str) -> None:
            logging.info(message)

    text, name, checkpoints, time = (settings[key] for key in ("text", "name", "checkpoints", "time"))
    if get_context().get_world_rank() == 0 and (Path(checkpoints) / name / "last.keras").exists():
        textgen.resume(name, checkpoints=checkpoints, sources=text, time=time, reporter=Log())
    else:
        textgen.train(text, name=name, checkpoints=checkpoints, time=time, seed=1, reporter=Log())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("--name", default="by-ray", help="the run's name")
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints"))
    parser.add_argument("--time", type=float, default=180.0, help="seconds of training")
    given = parser.parse_args()
    # Ray's workers run in folders of their own.
    text, checkpoints = str(given.text.resolve()), str(given.checkpoints.resolve())
    TensorflowTrainer(
        work,
        train_loop_config={"text": text, "name": given.name, "checkpoints": checkpoints, "time": given.time},
        scaling_config=ScalingConfig(num_workers=2),
    ).fit()
