"""What a trained model is worth and what it sees. No TensorFlow.

    evaluation      how good it is: protocols, intervals, baselines
    memorisation    what it copies from its training text
    surprisal       the probability of each character of a text, and what was likelier
    neurons         the state of each unit over a text, and what it follows
    curves          how the loss fell

Importing the package imports none of them.
"""
