"""Reads and writes checkpoints: `.keras` files that hold a model, its vocabulary and its provenance.

Keras writes its own members (`config.json`, `model.weights.h5`), and the file opens with `keras.saving.load_model`
where textgen is not installed (a peephole model's after `import textgen.peephole`). textgen adds its own:

    textgen.json         the metadata: `metadata.Metadata`
    training_state.npz   the rest of what `--resume` needs to continue exactly; only in `last.keras`
    records.npz          of a run on records: their hashes, by which `textgen sample --new` knows new ones

The modules:

    weights       a model's arrays by name and shape
    transfer      a model's weights for another vocabulary
    archive       a safe reader of untrusted zip archives
    keras_file    Keras's members of the archive
    metadata      `textgen.json`, typed; its parts are `description` (the text), `results` (metrics and history) and
                  `progress` (the progress of training), made of single `values`
    read, write   read and write a whole checkpoint

Keras is imported only in `write`, when a file is written.
"""
