"""How good a model is: figures that can be compared, with what they rest on. No TensorFlow.

run, text -> evaluate -> Evaluation: Protocol (carried, windows, ...), Calibration, Yardstick (xz, unigram, ...)
"""

from textgen.analysis.evaluation.baselines import Yardstick, compress, uniform, unigram
from textgen.analysis.evaluation.bootstrap import Interval, block_bootstrap
from textgen.analysis.evaluation.calibration import Calibration, Thermometer
from textgen.analysis.evaluation.evaluating import evaluate
from textgen.analysis.evaluation.evaluation import Evaluation, Protocol

__all__ = [
    "Calibration",
    "Evaluation",
    "Interval",
    "Protocol",
    "Thermometer",
    "Yardstick",
    "block_bootstrap",
    "compress",
    "evaluate",
    "uniform",
    "unigram",
]
