"""Two workers by Ray Train, which sets TF_CONFIG in each: pip install 'ray[train]', then python ray_train.py TEXT.

Not run by the project's tests, which have no Ray.
"""

import sys

from ray.train import ScalingConfig
from ray.train.tensorflow import TensorflowTrainer


def work(config: dict[str, str]) -> None:
    """What each worker does; worker 0 saves the run."""
    import textgen

    textgen.train(config["text"], name="by-ray", checkpoints=config["checkpoints"], time=180.0, seed=1)


if __name__ == "__main__":
    settings = {"text": sys.argv[1], "checkpoints": "checkpoints"}
    TensorflowTrainer(work, train_loop_config=settings, scaling_config=ScalingConfig(num_workers=2)).fit()
