"""Tunes in ABC notation: a strict reader, and figures of how good tunes are."""

from textgen.analysis.tunes.measuring import TuneFigures, measure_tunes
from textgen.analysis.tunes.page import tunes_page
from textgen.analysis.tunes.reading import read_tune
from textgen.analysis.tunes.tune import Bar, Note, Tune

__all__ = ["Bar", "Note", "Tune", "TuneFigures", "measure_tunes", "read_tune", "tunes_page"]
