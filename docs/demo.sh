#!/usr/bin/env bash
# Trains on the bundled text (default time budget: 2m) and writes samples: bash docs/demo.sh 5m
set -euo pipefail
cd "$(dirname "$0")/.."

time="${1:-2m}"
name=demo
number=1
while [ -e "checkpoints/$name" ]; do
    number=$((number + 1))
    name="demo-$number"
done

textgen train corpora/marrow_haven.txt --name "$name" --time "$time"

write() {
    printf '\n---- textgen sample --run %s%s\n\n' "$name" "$(printf ' %q' "$@")"
    textgen sample --run "$name" "$@"
}
write --seed 1 --until paragraph
write --seed 2 --until line --length 300 --temperature 0.6 --prompt "CAPTAIN THRUPP:"
write --seed 3 --until line --length 300 --temperature 1 --prompt "My dear Keziah,"

printf '\n%s\n' "Samples during training: checkpoints/$name/samples.txt"
printf '%s\n' "More samples: textgen sample --run $name"
printf '%s\n' "The README's images from this run: make pictures RUN=$name"
