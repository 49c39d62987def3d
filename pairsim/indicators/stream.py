"""Candle by candle over whole columns: how a step without a kernel of its own computes its history.

The rule: this is exactly what a live worker does, so whatever has only a step gives the same bits in both.
"""

from collections.abc import Sequence

import numpy as np
from numba import njit

from pairsim.channels.native import address_of, call
from pairsim.indicators.abi import JIT, RAISED, FloatArray
from pairsim.indicators.indicator import Indicator

__all__ = ["run_steps", "stream_into"]


@njit(**JIT)
def run_steps(step, index, constants, state, window, columns, out):
    """Handle the candles ``columns[5, n]`` from number `index` on; the position of one that raised, else n."""
    candle = np.empty(5)
    values = np.empty(out.shape[1])
    for i in range(out.shape[0]):
        for k in range(5):
            candle[k] = columns[k, i]
        returned = call(
            step,
            index + i,
            address_of(constants, 0),
            address_of(state, 0),
            address_of(window, 0),
            address_of(candle, 0),
            address_of(values, 0),
        )
        for k in range(values.size):
            out[i, k] = values[k]
        if returned == RAISED:
            return i
    return out.shape[0]


def stream_into(indicator: Indicator, columns: Sequence[FloatArray], out: FloatArray) -> int:
    """Run the step of `indicator` from its initial state over `columns`; see `run_steps`."""
    table = np.ascontiguousarray(columns, dtype=np.float64)
    window = np.zeros(indicator.window_words)
    values = np.empty(out.shape)
    state = indicator.initial_state()
    handled = run_steps(indicator.step_address(), 0, indicator.constants, state, window, table, values)
    out[:] = values
    return int(handled)
