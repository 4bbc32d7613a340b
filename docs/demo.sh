#!/usr/bin/env bash
# Trains on the bundled text for a time (2m unless given) and writes samples: bash docs/demo.sh 5m
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
    printf '\n%s\n\n' "---- textgen sample --run $name $*"
    textgen sample --run "$name" "$@"
}
write --seed 1 --length 600 --until paragraph
write --seed 2 --length 300 --until line --temperature 0.6 --prompt "Captain Thrupp "
write --seed 3 --length 300 --until line --temperature 1 --prompt "The harbour-master said "

printf '\n%s\n' "What the model wrote while it learned: checkpoints/$name/samples.txt"
printf '%s\n' "Write more: textgen sample --run $name"
