"""Ids and a state go in, logits and the next state come out: the trained network in NumPy alone.

    from textgen.engine import Engine
    engine = Engine(config, weights)
    logits, state = engine.step([id], engine.initial_state(1))

`matrix` makes the products, `cells` the arithmetic of the gates, `state` carries what the network remembers,
and `engine` is the stack of layers. None of them knows a file, a character or how one is chosen.
"""

from textgen.engine.engine import Engine
from textgen.engine.state import State

__all__ = ["Engine", "State"]
