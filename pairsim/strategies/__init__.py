"""Strategies: the class a user writes, the signals it returns, and the compiler behind it."""

from pairsim.strategies.compiler import StrategyCode, load, prepare
from pairsim.strategies.declaration import param, state
from pairsim.strategies.pairs_spread import PairsSpread
from pairsim.strategies.shipped import RSI, HeikinAshiMomentum, Simple
from pairsim.strategies.signal import SIGNAL, Signal, buy, cancel, close, hold, sell, target
from pairsim.strategies.strategy import Strategy, fields_of, retuned

__all__ = [
    "RSI",
    "SIGNAL",
    "HeikinAshiMomentum",
    "PairsSpread",
    "Signal",
    "Simple",
    "Strategy",
    "StrategyCode",
    "buy",
    "cancel",
    "close",
    "fields_of",
    "hold",
    "load",
    "param",
    "prepare",
    "retuned",
    "sell",
    "state",
    "target",
]
