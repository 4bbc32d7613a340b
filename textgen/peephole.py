"""Registers the peephole LSTM with Keras, so that `keras.saving.load_model` opens a peephole model's archive.

import keras, textgen.peephole
model = keras.saving.load_model("checkpoints/haven/best.keras")
"""

from textgen.training.peephole import PeepholeLSTM

__all__ = ["PeepholeLSTM"]
