"""What a trained model sees in a text, character by character. No TensorFlow.

    run, text -> surprise -> Surprise: the probability of each character, and what was likelier
    run, text -> neurons  -> Neurons:  the state of each unit, what it follows, how far the gates are open

Both read the same way (`passage`) and show themselves as a page (`textgen.pages`).
"""

from textgen.insight.activity import GateUse, Neurons, Unit, neurons
from textgen.insight.features import Feature, find_features
from textgen.insight.foretelling import Surprise, surprise

__all__ = ["Feature", "GateUse", "Neurons", "Surprise", "Unit", "find_features", "neurons", "surprise"]
