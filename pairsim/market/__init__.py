"""Market data: candles, instruments, intervals, resampling; frames in and out.

Lazy: records come with the package, frames only when first asked for, so a worker never loads polars. ``resample`` and
``synthetic`` are modules of their own names: import the functions from there (``pairsim.synthetic`` is the latter).
"""

from typing import TYPE_CHECKING

from pairsim.market.candle import CANDLE, CANDLE_WORDS, Candle, Columns
from pairsim.market.instrument import Instrument
from pairsim.market.interval import format_interval, format_time, parse_interval, parse_time

if TYPE_CHECKING:
    from pairsim.market.frames import from_columns, load, quality, to_columns
    from pairsim.market.report import Gap, Quality

__all__ = [
    "CANDLE",
    "CANDLE_WORDS",
    "Candle",
    "Columns",
    "Gap",
    "Instrument",
    "Quality",
    "format_interval",
    "format_time",
    "from_columns",
    "load",
    "parse_interval",
    "parse_time",
    "quality",
    "to_columns",
]

_LAZY = {
    "Gap": "report",
    "Quality": "report",
    "from_columns": "frames",
    "load": "frames",
    "quality": "frames",
    "to_columns": "frames",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
