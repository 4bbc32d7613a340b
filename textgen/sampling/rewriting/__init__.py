"""Turns one text into another with a model of pairs.

    writable      which ids may be written next
    restoring     what may be written where a task took something away
    matching      what the pieces of a text may be, so that all of it fits a pattern
    pieces        a long text in pieces
    rewritten     a text that was written
    search        beam search, of many sources at once
    drawing       draws targets at random
    chain         a text whose pieces are written one after the other
    copying       copies unknown characters from the source
    piece_writer  writes what a model makes of pieces
    rewriter      the public API: `load_rewriter` and `Rewriter`

Importing the package imports none of them.
"""
