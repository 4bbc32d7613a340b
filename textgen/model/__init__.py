"""The artefact: one `.keras` file that holds a model, its vocabulary and where both came from.

Keras writes its own members (`config.json`, `model.weights.h5`), and the file opens with `keras.saving.load_model`
where textgen is not installed (a peephole model's after `import textgen.peephole`). Two members of ours ride along:

    textgen.json         what the model is and where it came from: `metadata.Metadata`
    training_state.npz   what an exact continuation needs besides; only in `last.keras`

The modules:

    weights       a model's arrays by name and shape
    transfer      the same for another vocabulary
    archive       a zip read as data from a stranger
    keras_file    Keras's members of it
    metadata      `textgen.json`, typed; its parts are `description` (the text), `results` (metrics and history) and
                  `progress` (where training stood), made of single `values`
    read, write   what all members mean together

Keras is imported where a file is written, in `write`, and nowhere else here.
"""
