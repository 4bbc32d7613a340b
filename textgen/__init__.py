"""textgen: trains a character-level language model on any text, and generates more of it.

    import textgen
    run = textgen.train("poems.txt", size="small", epochs=20, seed=1)
    writer = textgen.load("checkpoints/poems")
    print(writer.generate("The sea ", max_new_tokens=300, temperature=0.8, seed=7).text)

Importing the package imports neither TensorFlow nor Keras; `train` does, when it is called.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textgen.analysis.curves import Curves, plot
    from textgen.analysis.evaluation import Evaluation, evaluate
    from textgen.analysis.memorisation import Novelty, novelty
    from textgen.analysis.neurons import Neurons, neurons
    from textgen.analysis.proofreading import Calibration, Proof, calibrate, proofread
    from textgen.analysis.surprisal import Surprise, surprise
    from textgen.config import CorpusConfig, ModelConfig, SamplingConfig, TrainingConfig, WorkersConfig
    from textgen.corpus.named import named_corpus
    from textgen.corpus.tokenizer import CharTokenizer
    from textgen.errors import (
        CheckpointError,
        ConfigError,
        CorpusError,
        RunError,
        TextgenError,
        TrainingError,
        UnknownCharacterError,
        WorkerLostError,
    )
    from textgen.exporting.formats import export
    from textgen.runs.run import Run
    from textgen.sampling.loading import load
    from textgen.sampling.rewriting.rewriter import Rewriter, load_rewriter
    from textgen.sampling.rewriting.rewritten import Rewritten
    from textgen.sampling.writer import Writer
    from textgen.system.versions import VERSION as __version__  # noqa: N811
    from textgen.training.resume import resume
    from textgen.training.start import train


_HOME = {
    "Calibration": "analysis.proofreading",
    "CharTokenizer": "corpus.tokenizer",
    "CheckpointError": "errors",
    "ConfigError": "errors",
    "CorpusConfig": "config",
    "CorpusError": "errors",
    "Curves": "analysis.curves",
    "Evaluation": "analysis.evaluation",
    "ModelConfig": "config",
    "Neurons": "analysis.neurons",
    "Novelty": "analysis.memorisation",
    "Proof": "analysis.proofreading",
    "Rewriter": "sampling.rewriting.rewriter",
    "Rewritten": "sampling.rewriting.rewritten",
    "Run": "runs.run",
    "RunError": "errors",
    "SamplingConfig": "config",
    "Surprise": "analysis.surprisal",
    "TextgenError": "errors",
    "TrainingConfig": "config",
    "TrainingError": "errors",
    "UnknownCharacterError": "errors",
    "WorkerLostError": "errors",
    "WorkersConfig": "config",
    "Writer": "sampling.writer",
    "calibrate": "analysis.proofreading",
    "evaluate": "analysis.evaluation",
    "export": "exporting.formats",
    "load": "sampling.loading",
    "load_rewriter": "sampling.rewriting.rewriter",
    "named_corpus": "corpus.named",
    "neurons": "analysis.neurons",
    "novelty": "analysis.memorisation",
    "plot": "analysis.curves",
    "proofread": "analysis.proofreading",
    "resume": "training.resume",
    "surprise": "analysis.surprisal",
    "train": "training.start",
}

__all__ = [
    "Calibration",
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
    "Proof",
    "Rewriter",
    "Rewritten",
    "Run",
    "RunError",
    "SamplingConfig",
    "Surprise",
    "TextgenError",
    "TrainingConfig",
    "TrainingError",
    "UnknownCharacterError",
    "WorkerLostError",
    "WorkersConfig",
    "Writer",
    "__version__",
    "calibrate",
    "evaluate",
    "export",
    "load",
    "load_rewriter",
    "named_corpus",
    "neurons",
    "novelty",
    "plot",
    "proofread",
    "resume",
    "surprise",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("textgen.system.versions").VERSION
    if name in _HOME:
        return getattr(import_module(f"textgen.{_HOME[name]}"), name)
    raise AttributeError(f"module 'textgen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
