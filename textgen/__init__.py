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
    from textgen.errors import (
        CheckpointError,
        ConfigError,
        CorpusError,
        RunError,
        TextgenError,
        TrainingError,
        UnknownCharacterError,
    )
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
    "ModelConfig": "config",
    "Run": "runs",
    "RunError": "errors",
    "SamplingConfig": "config",
    "TextgenError": "errors",
    "TrainingConfig": "config",
    "TrainingError": "errors",
    "UnknownCharacterError": "errors",
    "Writer": "writer",
    "load": "writer",
    "resume": "training",
    "train": "training",
}

__all__ = [
    "CharTokenizer",
    "CheckpointError",
    "ConfigError",
    "CorpusConfig",
    "CorpusError",
    "ModelConfig",
    "Run",
    "RunError",
    "SamplingConfig",
    "TextgenError",
    "TrainingConfig",
    "TrainingError",
    "UnknownCharacterError",
    "Writer",
    "__version__",
    "load",
    "resume",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"textgen.{_HOME[name]}"), name)
    raise AttributeError(f"module 'textgen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
