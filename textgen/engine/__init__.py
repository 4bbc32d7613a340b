"""Runs a trained network in NumPy: ids and a state in, logits and the next state out.

    from textgen.engine import Engine
    engine = Engine(config, weights)
    logits, state = engine.step([id], engine.initial_state(1))

`engine` is the stack of layers, `matrix` the matrix products, `cells` one step of each recurrent cell, `state` the
hidden and cell states, and `trace` the activations of one layer over time. `mixture` is the weighted mean of several
engines, and `network` what sampling and scoring ask of either. Reading files and sampling are elsewhere.
"""

from textgen.engine.engine import Engine
from textgen.engine.mixture import Mixture
from textgen.engine.network import Network
from textgen.engine.state import State
from textgen.engine.trace import Trace

__all__ = ["Engine", "Mixture", "Network", "State", "Trace"]
