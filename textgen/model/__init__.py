"""The artefact: one `.keras` file with a model, its vocabulary and where both came from.

    weights      a model's arrays by name and shape
    transfer     the same for another vocabulary
    archive      a zip read as data from a stranger
    keras_file   Keras's members of it
    checkpoint   what all members mean together: reading and writing

Keras is imported where a file is written, and nowhere else here.
"""
