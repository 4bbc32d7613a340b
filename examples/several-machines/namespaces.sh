#!/bin/sh
# Two workers in two network namespaces, as on two machines (Linux, as root):
#
#     examples/several-machines/namespaces.sh corpora/marrow_haven.txt --time 3m
#
# The link between them has 100 Mbit/s (tc's token bucket).
set -eu
a=textgen-one b=textgen-two
remove() { ip netns del $a 2>/dev/null || true; ip netns del $b 2>/dev/null || true; }
remove
trap remove EXIT
ip netns add $a
ip netns add $b
ip link add tg-one type veth peer name tg-two
ip link set tg-one netns $a
ip link set tg-two netns $b
ip -n $a addr add 10.78.0.1/24 dev tg-one
ip -n $b addr add 10.78.0.2/24 dev tg-two
for name in $a $b; do ip -n $name link set lo up; done
ip -n $a link set tg-one up
ip -n $b link set tg-two up
ip netns exec $a tc qdisc add dev tg-one root tbf rate 100mbit burst 256kb latency 200ms
ip netns exec $b tc qdisc add dev tg-two root tbf rate 100mbit burst 256kb latency 200ms
workers=10.78.0.1:4001,10.78.0.2:4001
ip netns exec $b textgen train "$@" --workers $workers --worker 1 &
ip netns exec $a textgen train "$@" --workers $workers --worker 0
wait $!
