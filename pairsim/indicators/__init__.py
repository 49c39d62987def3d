"""Indicators: descriptions that compute a whole column at once or one candle at a time, with the same bits.

``RSI(14)`` describes; ``rsi(close, 14)`` computes over numpy arrays and polars series. Values are TA-Lib's where TA-Lib
has the indicator.
"""

from pairsim.indicators.abi import COLUMNS
from pairsim.indicators.average_true_range import ATR, atr
from pairsim.indicators.convergence_divergence import MACD, MACDLines, macd
from pairsim.indicators.exponential_average import EMA, ema
from pairsim.indicators.heikin_ashi_candles import HeikinAshi, HeikinAshiCandles, heikin_ashi
from pairsim.indicators.indicator import Indicator
from pairsim.indicators.many import batch_many
from pairsim.indicators.relative_strength import RSI, rsi
from pairsim.indicators.rolling_deviation import Bollinger, BollingerBands, StdDev, ZScore, bollinger, stddev, zscore
from pairsim.indicators.rolling_extremes import Highest, Lowest, highest, lowest
from pairsim.indicators.simple_average import SMA, sma
from pairsim.indicators.windowed_function import indicator

__all__ = [
    "ATR",
    "COLUMNS",
    "EMA",
    "MACD",
    "RSI",
    "SMA",
    "Bollinger",
    "BollingerBands",
    "HeikinAshi",
    "HeikinAshiCandles",
    "Highest",
    "Indicator",
    "Lowest",
    "MACDLines",
    "StdDev",
    "ZScore",
    "atr",
    "batch_many",
    "bollinger",
    "ema",
    "heikin_ashi",
    "highest",
    "indicator",
    "lowest",
    "macd",
    "rsi",
    "sma",
    "stddev",
    "zscore",
]
