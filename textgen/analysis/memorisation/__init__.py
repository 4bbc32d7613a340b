"""What a model has by heart: copies of the training text in what it writes.

    texts -> ids -> matches in the sorted training text -> spans in place, shares of new n-grams -> Novelty

The training text is sorted in chunks of bounded memory, by the library pydivsufsort, the extra "novelty". Nothing here
brings in TensorFlow.
"""

from textgen.analysis.memorisation.report import Figures, Novelty, judge, novelty
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
    "judge",
    "novelty",
    "read_training_text",
]
