"""The commands of `textgen`, one per file; `textgen.cli` imports them lazily."""
