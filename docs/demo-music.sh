#!/usr/bin/env bash
# Trains on the bundled book of tunes (default time budget: 2m) and writes a page of tunes: bash docs/demo-music.sh 5m
set -euo pipefail
cd "$(dirname "$0")/.."

time="${1:-2m}"
name=tunes
number=1
while [ -e "checkpoints/$name" ]; do
    number=$((number + 1))
    name="tunes-$number"
done
page="checkpoints/$name/tunes.html"

textgen train corpora/tunes.abc --records tunes --label-field M --name "$name" --time "$time"
textgen sample --run "$name" --any-label --count 8 --temperature 0.6 --seed 1 --html "$page"

printf '\n%s\n' "Open it in a browser to see and hear the tunes: $page"
printf '%s\n' "How good they are: textgen eval $name"
