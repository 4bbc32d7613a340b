"""Fills the gaps of a text: what fits both what stands before them and what stands after.

    markers         a text with marks of gaps, as its parts
    encoding        those parts as ids, with the ends of records
    drafts          unfinished fillings side by side: their ids, scores and states
    search          beam search over a gap, and drawing at random, weighed by the text behind it
    watched         a network whose searches can be ended
    sides           judges fillings by networks of both sides
    towards         a text that comes to a given ending
    filling         all gaps of a text, one after the other: `fill`

Importing the package imports none of them.
"""
