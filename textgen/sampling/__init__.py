"""Sampling: turns a network's logits into texts.

    margin          how far logits may move before a control or a draw decides otherwise
    logits          the controls, pure functions on `(batch, vocab)`
    referee         makes a sample independent of the others in its batch
    batch_sampler   draws ids for one or several samples
    ending          where a text ends
    sample          a text that was written
    sampler         the sampling loop: a prompt to samples, at once or as a stream
    suggestions     the likeliest continuations to the end of a word
    mixing          what models must have in common to be mixed
    adapting        adapts a model's weights to a text
    gaps            fills the gaps of a text
    drafts          the text that a user and a model write together
    trained_model   a model or a mixture: networks, vocabulary, how its text was read
    writer          the public API: `Writer`, what a trained model can be asked for
    loading         `load`, the writer of a run or of a checkpoint file

Importing the package imports none of them.
"""
