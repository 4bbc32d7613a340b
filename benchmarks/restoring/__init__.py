"""What the benchmark of restoring compares with: n-grams, and a masked model in plain Keras."""
