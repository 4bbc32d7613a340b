"""Run folders and what stands in them. No TensorFlow.

run          a run's folder and its files
find         the run that a name means; all runs
create       folders for new runs
naming       names that can be a folder's
history      the table of a run's validations
provenance   the text that a run was trained on
events       what a run that trains tells whoever shows it
"""
