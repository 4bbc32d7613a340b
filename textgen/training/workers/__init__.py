"""One run trained by several machines.

cluster       which workers there are, from the settings, TF_CONFIG or Slurm
channel       messages between two workers
team          all workers: worker 0 decides, watches the others and is watched
agreement     the workers' fingerprints, compared before the first step
parts         each worker's own part of the text, with one vocabulary
collectives   TensorFlow's cluster, and the sum of a vector over all workers
shares        each worker's share of a batch and of the held-out text
joining       the start: all of that before the first step
exchange      rounds: the workers' changes averaged, with an outer Nesterov step
keeping       where another worker saves the run when worker 0 is lost, and how worker 0 gets it back
together      Keras callback that exchanges, and has all workers do what worker 0 decides
"""
