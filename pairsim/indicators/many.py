"""Several indicators over the same candles: each distinct one is computed once."""

from collections.abc import Iterable, Sequence

import numpy as np

from pairsim.indicators.abi import FloatArray
from pairsim.indicators.indicator import Indicator

__all__ = ["batch_many"]


def batch_many(indicators: Iterable[Indicator], columns: Sequence[FloatArray]) -> dict[Indicator, FloatArray]:
    """The outputs of many indicators, such as all that a sweep needs.

    One after the other: advancing several series side by side would hide the latency of their recursions, which the
    kernels hide within one series already (tried for RSI: no faster). benchmarks/indicators.py has the cost per series.

    Parameters
    ----------
    indicators : iterable of Indicator
        Equal ones are computed once.
    columns : five float64[n]
        open, high, low, close, volume.

    Returns
    -------
    dict of Indicator to float64[n, len(fields)], each output contiguous.

    Examples
    --------
    >>> import numpy as np
    >>> from pairsim.indicators import SMA
    >>> closes = [np.arange(4.0)] * 5
    >>> len(batch_many([SMA(2), SMA(3), SMA(2)], closes))
    2
    """
    results: dict[Indicator, FloatArray] = {}
    for indicator in indicators:
        if indicator not in results:
            out = np.empty((len(indicator.fields), len(columns[0]))).T
            indicator.batch_into(columns, out)
            results[indicator] = out
    return results
