"""Training on Keras and TensorFlow, which are imported here and nowhere else but where a checkpoint is written.

    start, resume   `train`: a text and settings to a run; `resume`: a run's last state to a longer one
    recipe          the settings that suit a text and a budget
    session         one process's part of a run
    loop            rounds of training steps, each with a validation at its end
    time_budget, recovery, saving, tensorboard    callbacks: what happens between the steps
    trainer         a training step, a validation step, and the state that must survive
    network         logits over time, through `kernels` on a CPU or Keras's own layers

Importing the package imports none of them.
"""
