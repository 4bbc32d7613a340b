"""Evaluation of a model on a text: loss by protocol, calibration and baselines. No TensorFlow.

run, text -> evaluate -> Evaluation: Protocol (carried, windows, ...), Calibration, Baseline (xz, unigram, ...)
"""

from textgen.analysis.evaluation.baselines import Baseline, compress, uniform, unigram
from textgen.analysis.evaluation.bootstrap import Interval, block_bootstrap
from textgen.analysis.evaluation.calibration import Calibration, TemperatureScaling
from textgen.analysis.evaluation.classification import Classification, Confusion
from textgen.analysis.evaluation.evaluating import evaluate
from textgen.analysis.evaluation.evaluation import Evaluation, Protocol
from textgen.analysis.evaluation.judged_tunes import Tunes

__all__ = [
    "Baseline",
    "Calibration",
    "Classification",
    "Confusion",
    "Evaluation",
    "Interval",
    "Protocol",
    "TemperatureScaling",
    "Tunes",
    "block_bootstrap",
    "compress",
    "evaluate",
    "uniform",
    "unigram",
]
