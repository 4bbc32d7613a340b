"""From a network's logits to texts: controls, drawing, where a text ends.

    margin          how close the decisions of the controls and of a draw were
    logits          the controls, pure functions on `(batch, vocab)`
    referee         a sample's logits as if it were drawn alone
    batch_sampler   draws ids for one or several samples
    ending          where a text ends
    sample          a text that was written
    sampler         all of them together: prompt to samples, at once or piece by piece

Importing the package imports none of them.
"""
