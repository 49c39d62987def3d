"""Research on the kernels of the live machine: backtest, sweep and what is built on them."""

from pairsim.research.backtesting import backtest, backtest_engine
from pairsim.research.door import Bars, read_bars
from pairsim.research.history import History
from pairsim.research.result import Result
from pairsim.research.simulate import Prepared, Simulation, simulate
from pairsim.research.statistics import Statistics
from pairsim.research.sweep_table import Sweep
from pairsim.research.sweeping import sweep
from pairsim.research.walk_forward import WalkForward, WalkForwardResult

__all__ = [
    "Bars",
    "History",
    "Prepared",
    "Result",
    "Simulation",
    "Statistics",
    "Sweep",
    "WalkForward",
    "WalkForwardResult",
    "backtest",
    "backtest_engine",
    "read_bars",
    "simulate",
    "sweep",
]
