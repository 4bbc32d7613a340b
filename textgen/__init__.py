"""textgen: train a character-level language model on any text, and write more of it.

    import textgen
    run = textgen.train("poems.txt", size="small", epochs=20, seed=1)
    writer = textgen.load("checkpoints/poems")
    print(writer.generate("The sea ", max_new_tokens=300, temperature=0.8, seed=7).text)

Importing the package brings in neither TensorFlow nor Keras; `train` does, when it is called.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textgen.config import CorpusConfig, ModelConfig, SamplingConfig, TrainingConfig
    from textgen.curves import Curves, plot
    from textgen.errors import (
        CheckpointError,
        ConfigError,
        CorpusError,
        RunError,
        TextgenError,
        TrainingError,
        UnknownCharacterError,
    )
    from textgen.evaluation import Evaluation, evaluate
    from textgen.insight import Neurons, Surprise, neurons, surprise
    from textgen.memorisation import Novelty, novelty
    from textgen.runs import Run
    from textgen.tokenizer import CharTokenizer
    from textgen.training import resume, train
    from textgen.writer import Writer, load

__version__ = "0.1.0"

_HOME = {
    "CharTokenizer": "tokenizer",
    "CheckpointError": "errors",
    "ConfigError": "errors",
    "CorpusConfig": "config",
    "CorpusError": "errors",
    "Curves": "curves",
    "Evaluation": "evaluation",
    "ModelConfig": "config",
    "Neurons": "insight",
    "Novelty": "memorisation",
    "Run": "runs",
    "RunError": "errors",
    "SamplingConfig": "config",
    "Surprise": "insight",
    "TextgenError": "errors",
    "TrainingConfig": "config",
    "TrainingError": "errors",
    "UnknownCharacterError": "errors",
    "Writer": "writer",
    "evaluate": "evaluation",
    "load": "writer",
    "neurons": "insight",
    "novelty": "memorisation",
    "plot": "curves",
    "resume": "training",
    "surprise": "insight",
    "train": "training",
}

__all__ = [
    "CharTokenizer",
    "CheckpointError",
    "ConfigError",
    "CorpusConfig",
    "CorpusError",
    "Curves",
    "Evaluation",
    "ModelConfig",
    "Neurons",
    "Novelty",
    "Run",
    "RunError",
    "SamplingConfig",
    "Surprise",
    "TextgenError",
    "TrainingConfig",
    "TrainingError",
    "UnknownCharacterError",
    "Writer",
    "__version__",
    "evaluate",
    "load",
    "neurons",
    "novelty",
    "plot",
    "resume",
    "surprise",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"textgen.{_HOME[name]}"), name)
    raise AttributeError(f"module 'textgen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
