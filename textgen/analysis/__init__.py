"""Analysis of trained models, without TensorFlow.

    evaluation      loss by protocol, confidence intervals, calibration, baselines
    memorisation    how much of a model's output is copied from its training text
    surprisal       the surprisal of each character of a text, and the most likely alternatives
    neurons         each unit's state over a text, its correlation with text features, gate saturation
    curves          learning curves

Importing the package imports none of these modules.
"""
