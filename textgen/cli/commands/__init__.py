"""The commands of `textgen`, a file each; `textgen.cli` imports one when it is asked for."""
