"""Finds places of a text where something else should stand: wrong, missing, added and exchanged characters.

edits           changes of a single place, as arrays
scoring         how much an edit adds to the log-probability of the text
candidates      the edits that are worth scoring
text            a text as ids, with the position of each
sides           the odds of edits by what each side says
joint           what the head on both sides expects in a place
search          the edits that are likely, found in several readings
finding         a place where something else should stand
proof           what was found in a text: `proofread`
noise           puts errors into a text
calibration     precision and recall by threshold, on the held-out text with noise: `calibrate`
"""

from textgen.analysis.proofreading.calibration import Calibration, calibrate
from textgen.analysis.proofreading.finding import Finding
from textgen.analysis.proofreading.proof import Proof, proofread

__all__ = ["Calibration", "Finding", "Proof", "calibrate", "proofread"]
