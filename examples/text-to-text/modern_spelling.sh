#!/bin/sh
# Learns in two minutes to write old spelling as today's, from the bundled pairs, and tries it:
#
#     examples/text-to-text/modern_spelling.sh
#     examples/text-to-text/modern_spelling.sh --time 10m
#
# Options are those of textgen train. The run is trained once, in the folder checkpoints.
set -eu
pairs="$(dirname "$0")/../../corpora/old_spelling.tsv"
[ $# -gt 0 ] || set -- --time 2m
[ -d checkpoints/modern_spelling ] || textgen train "$pairs" --pairs --name modern_spelling --seed 1 "$@"

# A line of the output for each line of the input. The pairs are phrases in small letters, and so are these.
textgen rewrite modern_spelling <<END
ſhe laide vp the olde boate
and ſo we ſate by the harbour
END

# Three alternatives with their probabilities; then only what is made of today's letters.
echo "a little ſwelle" | textgen rewrite modern_spelling --count 3
echo "a little ſwelle" | textgen rewrite modern_spelling --match "[a-z ]+"

# How often it is right on pairs that it has not seen, and a page that shows where it looked.
textgen eval modern_spelling --corpus "$pairs" --html modern_spelling.html
