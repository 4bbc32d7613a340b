"""Training on Keras and TensorFlow, which are imported here and nowhere else but where a checkpoint is written.

    start        `train` and `resume`: a text and settings to a run
    recipe       the settings that suit a text and a budget
    session      one process's part of a run
    callbacks    what happens between the steps
    trainer      a training step, a validation step, and the state that must survive
    network      logits over time, through `kernels` on a CPU or Keras's own layers

Importing the package imports none of them.
"""
