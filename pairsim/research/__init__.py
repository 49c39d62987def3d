"""Research on the kernels of the live machine: backtest and what is built on it."""

from pairsim.research.backtesting import backtest, backtest_engine
from pairsim.research.door import Bars, read_bars
from pairsim.research.history import History
from pairsim.research.result import Result
from pairsim.research.simulate import Prepared, Simulation, simulate
from pairsim.research.statistics import Statistics

__all__ = [
    "Bars",
    "History",
    "Prepared",
    "Result",
    "Simulation",
    "Statistics",
    "backtest",
    "backtest_engine",
    "read_bars",
    "simulate",
]
