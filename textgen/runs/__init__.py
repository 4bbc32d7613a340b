"""Run folders and what stands in them. No TensorFlow.

run          finds, makes, lists and locks them
naming       their names
history      the table of a run's validations
provenance   the text that a run was trained on
events       what a run that trains tells whoever shows it
"""
