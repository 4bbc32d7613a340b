"""How good a model is: figures that can be compared, with what they rest on. No TensorFlow.

run, text -> evaluate -> Evaluation: Protocol (carried, windows, ...), Calibration, Yardstick (xz, unigram, ...)
"""

from textgen.evaluation.bootstrap import Interval, block_bootstrap
from textgen.evaluation.calibration import Calibration, Thermometer
from textgen.evaluation.evaluating import evaluate
from textgen.evaluation.evaluation import Evaluation, Protocol
from textgen.evaluation.yardsticks import Yardstick, compress, uniform, unigram

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
