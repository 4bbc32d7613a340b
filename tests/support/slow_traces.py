"""Traces of a network, computed a character at a time by the slow cells."""

import numpy as np
from slow_cells import STATES, STEPS, blocks, sigmoid

from textgen.config import ModelConfig
from textgen.model.weights import LayerWeights, ModelWeights


def slow_gates(cell: str, x: np.ndarray, weights: LayerWeights, state: list[np.ndarray]) -> dict[str, np.ndarray]:
    """The gates of one step before which the layer was in `state`, as the papers write them."""
    kernel, recurrent, bias, *rest = (array.astype(np.float64) for array in weights.arrays())
    h, units = state[0], state[0].shape[-1]
    if cell == "rnn":
        return {}
    if cell == "gru":
        (W_z, W_r, _), (U_z, U_r, _) = blocks(kernel, units), blocks(recurrent, units)
        (b_z, b_r, _), (d_z, d_r, _) = blocks(bias[0], units), blocks(bias[1], units)
        return {"update": sigmoid(x @ W_z + b_z + h @ U_z + d_z), "reset": sigmoid(x @ W_r + b_r + h @ U_r + d_r)}
    W, U, b = blocks(kernel, units), blocks(recurrent, units), blocks(bias, units)
    z = [x @ W[n] + h @ U[n] + b[n] for n in range(4)]
    if cell == "peephole":
        ((p_i, p_f, p_o),) = rest
        after = STEPS[cell](x, [kernel, recurrent, bias, *rest], state)[1]
        z = [z[0] + p_i * state[1], z[1] + p_f * state[1], z[2], z[3] + p_o * after]
    i, f, _, o = (sigmoid(each) for each in z)
    return {"input": i, "forget": 1.0 - i if cell == "coupled" else f, "output": o}


def slow_traces(config: ModelConfig, weights: ModelWeights, ids: np.ndarray) -> list[list[dict[str, np.ndarray]]]:
    """For each layer and character, its state's arrays and its gates: one step at a time, in float64."""
    states = [[np.zeros(config.units) for _ in range(STATES[config.cell])] for _ in weights.layers]
    traces: list[list[dict[str, np.ndarray]]] = [[] for _ in weights.layers]
    for each in ids:
        x = weights.embedding[each].astype(np.float64)
        for n, own in enumerate(weights.layers):
            gates = slow_gates(config.cell, x, own, states[n])
            states[n] = STEPS[config.cell](x, [array.astype(np.float64) for array in own.arrays()], states[n])
            x = states[n][0]
            traces[n].append({"output": x, "cell_state": states[n][-1], **gates})
    return traces
