"""Learning while reading: a trained model takes on the names and the manner of a text, in NumPy alone.

    weights, ids -> gather_statistics -> GradientStatistics
    weights, statistics, ids -> Learner -> log-probabilities of what it reads, and new weights
    model, text -> adapt_weights -> new weights, Adaptation

`parameters` lays the weights in a row, `cells` and `gradient` find the way back through the network, `statistics` tells
what a large gradient is, `rule` makes a step of it, `learner` reads, and `adapting` joins them for a text and a run.
"""

from textgen.adaptation.adapting import Adaptation, adapt_weights, training_statistics
from textgen.adaptation.learner import Learner, score_dynamic
from textgen.adaptation.statistics import GradientStatistics, gather_statistics

__all__ = [
    "Adaptation",
    "GradientStatistics",
    "Learner",
    "adapt_weights",
    "gather_statistics",
    "score_dynamic",
    "training_statistics",
]
