"""Training with Keras and TensorFlow, which are imported only here and where a checkpoint is written.

    start, resume   `train` starts a run; `resume` continues one from its last state
    recipe          chooses the model and the hyperparameters for a text and a budget
    session         the part of a run that one process trains
    joint           the part of a run that one of several workers trains
    loop            the training loop, with a validation at the end of each round of steps
    time_budget, recovery, saving, tensorboard    Keras callbacks
    best_model      keeps the best model
    trainer         training and validation steps, and the state that a checkpoint keeps
    workers         what several workers need: connections, agreement, exchange
    network         the model's logits over time, by `kernels` on a CPU or by Keras's own layers

Importing the package imports none of them.
"""
