"""pairsim: write a trading strategy as one plain Python class, backtest it, explore it, trade it live.

Everything is imported when it is first used, so that a worker process never loads what only a notebook needs.
"""

import contextlib
import os
import zlib
from importlib import import_module
from pathlib import Path
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "pairsim.brokers": ("Broker", "SimBroker"),
    "pairsim.engine.engine": ("Engine",),
    "pairsim.engine.status": ("Health", "RunState", "Status", "Trading"),
    "pairsim.engine.trader": ("Trader",),
    "pairsim.errors": (
        "BrokerError", "DataError", "EngineDied", "EngineError", "FeedError", "InputError", "PairsimError",
        "StoreError", "StrategyError",
    ),
    "pairsim.feeds": ("Feed", "RandomFeed", "ReplayFeed"),
    "pairsim.indicators": (
        "ATR", "EMA", "MACD", "RSI", "SMA", "Bollinger", "HeikinAshi", "Highest", "Indicator", "Lowest", "StdDev",
        "ZScore", "atr",
        "bollinger", "ema", "heikin_ashi", "highest", "indicator", "lowest", "macd", "rsi", "sma", "stddev", "zscore",
    ),
    "pairsim.market": ("Candle", "Instrument", "load", "quality"),
    "pairsim.market.synthetic": ("synthetic",),
    "pairsim.notebook.dashboard": ("dashboard",),
    "pairsim.notebook.explore": ("explore",),
    "pairsim.orders.limits": ("RiskLimits",),
    "pairsim.research": ("Result", "Statistics", "Sweep", "WalkForward", "backtest", "sweep"),
    "pairsim.strategies": ("Signal", "Strategy", "buy", "cancel", "close", "hold", "param", "sell", "state", "target"),
}  # fmt: skip
_MODULES = ("brokers", "errors", "feeds", "indicators", "market", "research", "strategies")
_WHERE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "__version__", *_MODULES, *_WHERE,
]  # fmt: skip


def _forget_stale_kernels() -> None:
    """Remove numba's cached kernels of this package if any of its sources has changed since they were made.

    numba looks at the file of a kernel only; one that calls a kernel of another, edited file would go on with the old
    code.
    """
    if os.environ.get("NUMBA_CACHE_DIR"):
        return  # whoever chose a folder answers for it
    root = Path(__file__).parent
    sources = sorted((str(p), p.stat().st_mtime_ns, p.stat().st_size) for p in root.rglob("*.py"))
    mark, note = str(zlib.crc32(repr(sources).encode())), root / "__pycache__" / "kernels.made-from"
    with contextlib.suppress(OSError):
        if note.read_text() == mark:
            return
    with contextlib.suppress(OSError):
        for index in root.rglob("__pycache__/*.nbi"):
            index.unlink(missing_ok=True)
        note.parent.mkdir(exist_ok=True)
        note.write_text(mark)


def _offer_methods() -> None:
    """Methods of the engine that are made above it; each is imported when it is called."""

    def backtest(*arguments: Any) -> Any:
        return import_module("pairsim.research").backtest_engine(*arguments)

    def notebook(module: str, name: str) -> Any:
        return lambda *arguments: getattr(import_module(f"pairsim.notebook.{module}"), name)(*arguments)

    offer = import_module("pairsim.engine.doors").offer
    offer("backtest", backtest)
    offer("dashboard", notebook("dashboard", "open_dashboard"))
    offer("view", notebook("dashboard", "views_of"))
    offer("report", notebook("run_report", "write_report"))


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        value = getattr(import_module(_WHERE[name]), name)
        if name == "Engine":
            _offer_methods()
    elif name in _MODULES:
        value = import_module(f"pairsim.{name}")
    else:
        raise AttributeError(f"module 'pairsim' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


_forget_stale_kernels()
