"""Dynamic evaluation in NumPy: a trained model goes on learning from the text that it reads.

    weights, ids -> gather_statistics -> GradientStatistics
    weights, statistics, ids -> Learner -> log-probabilities of what it reads, and new weights

`parameters` holds the weights as one flat array, `gradient` backpropagates through the network, `statistics` gathers
the mean squared gradients, `rule` is the update rule, and `learner` scores and learns, segment by segment.
`textgen.sampling.adapting` adapts a run's model to a text with them.
"""

from textgen.engine.adaptation.learner import Learner, score_dynamic
from textgen.engine.adaptation.statistics import GradientStatistics, gather_statistics

__all__ = [
    "GradientStatistics",
    "Learner",
    "gather_statistics",
    "score_dynamic",
]
