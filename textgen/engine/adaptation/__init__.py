"""Learning while reading: a trained model takes on the names and the manner of a text, in NumPy alone.

    weights, ids -> gather_statistics -> GradientStatistics
    weights, statistics, ids -> Learner -> log-probabilities of what it reads, and new weights

`parameters` lays the weights in a row, `gradient` finds the way back through the network with the steps of
`textgen.engine.cells`, `statistics` tells what a large gradient is, `rule` makes a step of it, and `learner` reads.
`textgen.sampling.adapting` joins them for a text and a run.
"""

from textgen.engine.adaptation.learner import Learner, score_dynamic
from textgen.engine.adaptation.statistics import GradientStatistics, gather_statistics

__all__ = [
    "GradientStatistics",
    "Learner",
    "gather_statistics",
    "score_dynamic",
]
