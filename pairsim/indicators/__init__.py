"""Indicators: descriptions that compute a whole column at once or one candle at a time, with the same bits.

``RSI(14)`` describes; ``rsi(close, 14)`` computes over numpy arrays and polars series. Values are TA-Lib's where TA-Lib
has the indicator.
"""

from pairsim.indicators.abi import COLUMNS
from pairsim.indicators.exponential_average import EMA, ema
from pairsim.indicators.heikin_ashi_candles import HeikinAshi, heikin_ashi
from pairsim.indicators.indicator import Indicator
from pairsim.indicators.relative_strength import RSI, rsi
from pairsim.indicators.simple_average import SMA, sma

__all__ = ["COLUMNS", "EMA", "RSI", "SMA", "HeikinAshi", "Indicator", "ema", "heikin_ashi", "rsi", "sma"]
