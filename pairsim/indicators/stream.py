"""Candle by candle over whole columns: how a step without a kernel of its own computes its history.

The rule: this is exactly what a live worker does, so whatever has only a step gives the same bits in both.
"""

from collections.abc import Sequence

import numpy as np
from numba import njit

from pairsim.channels.native import address_of, call
from pairsim.errors import InputError, StrategyError
from pairsim.indicators.abi import COLUMNS, JIT, RAISED, FloatArray
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


def stream_into(indicator: Indicator, columns: Sequence[FloatArray], out: FloatArray) -> None:
    """Run the step of `indicator` from its initial state over five `columns` into ``out[n, len(fields)]``."""
    table = np.ascontiguousarray(columns, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] != len(COLUMNS):
        raise InputError(f"{indicator!r}: columns are {list(table.shape)}, must be {len(COLUMNS)} of one length")
    if out.shape != (table.shape[1], len(indicator.fields)) or out.dtype != np.float64:
        wanted = [table.shape[1], len(indicator.fields)]
        raise InputError(f"{indicator!r}: out is {out.dtype}{list(out.shape)}, must be float64{wanted}")
    constants, state, window = indicator.constants, indicator.initial_state(), np.zeros(indicator.window_words)
    values = np.empty(out.shape)
    handled = run_steps(indicator.step_address(), 0, constants, state, window, table, values)
    out[:] = values
    if handled < table.shape[1]:
        _explain(indicator, handled, table)


def _explain(indicator: Indicator, failed: int, table: FloatArray) -> None:
    """Raise what the step raised at candle `failed`: run there once more, and then that candle in plain Python."""
    constants, state, window = indicator.constants, indicator.initial_state(), np.zeros(indicator.window_words)
    values = np.empty((failed, len(indicator.fields)))
    run_steps(indicator.step_address(), 0, constants, state, window, table, values)
    candle, one = np.ascontiguousarray(table[:, failed]), np.empty(len(indicator.fields))
    step = indicator.plain_step()
    step(failed, constants.ctypes.data, state.ctypes.data, window.ctypes.data, candle.ctypes.data, one.ctypes.data)
    raised = step.error
    what = f"{type(raised).__name__}: {raised}" if raised else "only the compiled step fails, plain Python does not"
    raise StrategyError(f"{indicator!r}: step raised at candle {failed:,}: {what}") from raised
