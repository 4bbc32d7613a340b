"""From a network's logits to texts: controls, drawing, where a text ends.

    context     what a network reads first
    logits      the controls, pure functions on `(batch, vocab)`
    referee     which draws no last bit could change
    pen         draws ids for one or several samples
    ending      where a text ends
    sample      a text that was written
    sampler     all of them together: prompt to samples, at once or piece by piece

Importing the package imports none of them.
"""
