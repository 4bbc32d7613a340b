"""Finds places of a text where something else should stand: wrong, missing, added and exchanged characters.

edits           changes of a single place, as arrays
scoring         how much an edit adds to the log-probability of the text
candidates      the edits that are worth scoring
text            a text as ids, with the position of each
finding         what was found in a text: `proofread`
noise           puts errors into a text
calibration     precision and recall by threshold, on the held-out text with noise: `calibrate`
"""

from textgen.analysis.proofreading.calibration import Calibration, calibrate
from textgen.analysis.proofreading.finding import Finding, Proof, proofread

__all__ = ["Calibration", "Finding", "Proof", "calibrate", "proofread"]
