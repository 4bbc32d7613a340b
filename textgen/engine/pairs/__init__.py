"""Turns one text into another in NumPy: an encoder that reads both ways, and a decoder with attention.

encoder  sources of any lengths to the encoder's outputs and the decoder's first states
decoder  steps several targets of each source at once
engine   both, as a network
"""

from textgen.engine.pairs.engine import PairEngine

__all__ = ["PairEngine"]
