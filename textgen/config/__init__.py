"""The settings, as frozen dataclasses that are validated when they are created.

Each field's default, range, unit and help are declared here and nowhere else: the command line, the signatures and the
docs are generated from them.
"""

from textgen.config.adaptation import Adapt, AdaptationConfig
from textgen.config.analysis import EvaluationConfig, InsightConfig, NoveltyConfig, ProofConfig
from textgen.config.base import Config
from textgen.config.cells import CELLS, Cell, cell_name
from textgen.config.corpus import CorpusConfig, Normalization, Unknown
from textgen.config.fields import Setting, plain, require
from textgen.config.gaps import Fill, FillConfig
from textgen.config.keywords import keywords
from textgen.config.model import SIZES, ModelConfig, Size
from textgen.config.rewriting import Rewrite, RewriteConfig
from textgen.config.sampling import CONSTRAINTS, Controls, SamplingConfig, Until
from textgen.config.server import ServerConfig
from textgen.config.training import Device, Precision, Schedule, TrainingConfig, TrainSettings
from textgen.config.workers import WorkersConfig

__all__ = [
    "CELLS",
    "CONSTRAINTS",
    "SIZES",
    "Adapt",
    "AdaptationConfig",
    "Cell",
    "Config",
    "Controls",
    "CorpusConfig",
    "Device",
    "EvaluationConfig",
    "Fill",
    "FillConfig",
    "InsightConfig",
    "ModelConfig",
    "Normalization",
    "NoveltyConfig",
    "Precision",
    "ProofConfig",
    "Rewrite",
    "RewriteConfig",
    "SamplingConfig",
    "Schedule",
    "ServerConfig",
    "Setting",
    "Size",
    "TrainSettings",
    "TrainingConfig",
    "Unknown",
    "Until",
    "WorkersConfig",
    "cell_name",
    "keywords",
    "plain",
    "require",
]
