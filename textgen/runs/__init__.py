"""Run folders and the files in them, without TensorFlow.

run          a run's folder and its files
find         finds a run by name, lists runs
create       creates the folders of new runs
naming       valid run names
history      `metrics.csv` and `samples.txt`
provenance   reads the text that a run was trained on
events       the events of training, for progress displays
"""
