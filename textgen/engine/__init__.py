"""Ids and a state go in, logits and the next state come out: the trained network in NumPy alone.

    from textgen.engine import Engine
    engine = Engine(config, weights)
    logits, state = engine.step([id], engine.initial_state(1))

`matrix` makes the products, `cells` the arithmetic of the gates, `state` carries what the network remembers,
`engine` is the stack of layers, and a `trace` tells what went on in one of them. None of them knows a file, a
character or how one is chosen.
"""

from textgen.engine.engine import Engine
from textgen.engine.state import State
from textgen.engine.trace import Trace

__all__ = ["Engine", "State", "Trace"]
