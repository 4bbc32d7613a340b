"""Memorisation: passages of the training text that a model copies. No TensorFlow.

    texts -> ids -> matches in the training text's suffix arrays -> copied spans, shares of novel n-grams -> Novelty

The suffix arrays are built in chunks of bounded memory by the library pydivsufsort, the extra "novelty".
"""

from textgen.analysis.memorisation.report import Figures, Novelty, measure_novelty, novelty
from textgen.analysis.memorisation.spans import Span, find_spans
from textgen.analysis.memorisation.suffixes import check_installed
from textgen.analysis.memorisation.training_text import TrainingText, read_training_text

__all__ = [
    "Figures",
    "Novelty",
    "Span",
    "TrainingText",
    "check_installed",
    "find_spans",
    "measure_novelty",
    "novelty",
    "read_training_text",
]
