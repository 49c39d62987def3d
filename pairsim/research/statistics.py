"""Statistics of a run, each with its definition. Pure: arrays in, numbers out; NaN where there is nothing to divide by.

Rule: where quantstats has a formula, it is this one, on the same daily returns. A day's mark is the last equity up to
the 00:00 UTC that ends it; a day without a candle has none; the opening cash comes before the first. A year has 365 of
these days where the market trades on Saturdays, else 252. The first and the last day may be shorter than a day.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pairsim.market.interval import DAY_NS
from pairsim.markup import Html, Number, card, table
from pairsim.research.summary import Z_RUINED, Tally, summary

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]

_SATURDAY: Final = 2  # days since 1970-01-01, a Thursday, modulo 7


def _statistic(definition: str, form: str) -> Any:
    return field(metadata={"definition": definition, "form": form})


@dataclass(frozen=True)
class Statistics:
    """What a run came to. ``reasons`` says why a number is NaN; ``frame`` shows all of them with their definitions."""

    total_return: float = _statistic("last equity / opening cash - 1", "%")
    cagr: float = _statistic("(1 + return) ** (days of a year / days) - 1", "%")
    volatility: float = _statistic("standard deviation (ddof 1) of daily returns, a year", "%")
    sharpe: float = _statistic("mean / standard deviation of daily returns, a year; no risk-free rate", "2")
    sharpe_error: float = _statistic(
        "standard error of sharpe (Mertens 2002; Bailey, López de Prado 2012): "
        "sqrt((1 - skew * s + (kurtosis - 1) / 4 * s²) / (days - 1)) of the daily ratio s, a year",
        "2",
    )
    sortino: float = _statistic("mean / sqrt(mean of squared negative daily returns), a year", "2")
    calmar: float = _statistic("cagr / |max_drawdown|", "2")
    max_drawdown: float = _statistic(
        "lowest equity / highest before it - 1, over all marks (quantstats sees daily ones only)", "%"
    )
    max_drawdown_days: float = _statistic(
        "longest time from a high to the next one or the end (quantstats: from the day after), in days of 24 hours", "1"
    )
    exposure: float = _statistic("share of closes at which a position was held", "%")
    turnover: float = _statistic("notional of all fills / mean equity of the closes", "2")
    fees: float = _statistic("all fees, in the quote currency", "2")
    trades: int = _statistic("round trips, flat to flat, that were closed", "0")
    win_rate: float = _statistic("closed trades with a profit after fees / closed trades", "%")
    profit_factor: float = _statistic("profits / losses of closed trades, after fees", "2")
    expectancy: float = _statistic("mean profit of a closed trade after fees, in the quote currency", "2")
    days: int = _statistic("daily returns there are", "0")
    days_a_year: int = _statistic("365 where a Saturday has candles, else 252", "0")
    reasons: dict[str, str] = field(default_factory=dict, repr=False)

    def __iter__(self) -> Iterator[str]:
        return (each.name for each in fields(self) if each.metadata)

    def lines(self) -> list[tuple[str, str, str]]:
        """(name, value, definition or why there is no value)."""
        told = []
        for each in fields(self):
            if each.metadata:
                value = getattr(self, each.name)
                why = self.reasons.get(each.name) if value != value else None
                told.append((each.name, _shown(value, each.metadata["form"]), why or each.metadata["definition"]))
        return told

    @property
    def frame(self) -> "pl.DataFrame":
        """Columns ``statistic``, ``value``, ``definition``."""
        import polars as pl

        rows = [
            (each.name, float(getattr(self, each.name)), each.metadata["definition"])
            for each in fields(self)
            if each.metadata
        ]
        return pl.DataFrame(rows, schema=["statistic", "value", "definition"], orient="row")

    def __repr__(self) -> str:
        return "\n".join(f"{name:<18} {value:>14}" for name, value, _ in self.lines())

    def _repr_html_(self) -> str:
        rows = [(name, Number(f"<b>{escape(value)}</b>"), why) for name, value, why in self.lines()]
        return card("Statistics", table(("", "", "how it is counted"), rows))


def shown(name: str, value: object) -> object:
    """A value of a table of statistics as a statistic shows it, by the name of its column; what is none as it is, but a
    number with six digits at most.

    >>> shown("total_return", 0.02833), shown("sharpe_in_sample", 3.8207), shown("low", 30.0)
    ('2.83 %', '3.82', 30.0)
    """
    if not isinstance(value, float | int) or value != value:
        return value
    each = Statistics.__dataclass_fields__.get(name.removesuffix("_in_sample").removesuffix("_out_of_sample"))
    if each is not None and each.metadata:
        return Number(_shown(value, each.metadata["form"]))
    if name == "final_equity":
        return Number(f"{value:,.2f}")
    return float(f"{value:.6g}") if isinstance(value, float) else value


def table_of(frame: "pl.DataFrame", most: int = 50) -> Html:
    """A frame with columns of statistics as HTML."""
    rows = [[shown(name, value) for name, value in zip(frame.columns, row, strict=True)] for row in frame.rows()]
    return table(frame.columns, rows, most=most)


def _shown(value: float, form: str) -> str:
    if value != value:
        return "–"
    if form == "%":
        return f"{100 * value:,.2f} %"
    return f"{value:,.{int(form)}f}"


def daily_marks(times: NDArray[np.int64], equity: Floats) -> tuple[NDArray[np.int64], Floats]:
    """(days since 1970 that have a mark, the last equity of each). ``times`` are close times, rising."""
    days, ends = day_ends(times)
    return days, equity[ends]


def daily_returns(times: NDArray[np.int64], equity: Floats, cash: float) -> tuple[NDArray[np.int64], Floats]:
    """(days, return of each against the mark before it, the first against the opening cash)."""
    days, marks = daily_marks(times, equity)
    before = np.concatenate([[cash], marks[:-1]]) if len(marks) else marks
    with np.errstate(divide="ignore", invalid="ignore"):  # an account that has lost everything
        return days, np.where(before > 0, marks / before - 1.0, np.nan)


def days_a_year(days: NDArray[np.int64]) -> int:
    """365 where the market trades on Saturdays, else 252."""
    return 365 if np.any(days % 7 == _SATURDAY) else 252


def drawdown(equity: Floats, cash: float) -> Floats:
    """Equity / its highest so far (the opening cash included) - 1, at each mark."""
    level: Floats = np.maximum.accumulate(equity)
    np.maximum(level, cash, out=level)
    np.divide(equity, level, out=level)
    level -= 1.0
    return level


def day_ends(times: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(days since 1970 that have a mark, the index of the last one of each). ``times`` are close times, rising."""
    if not len(times):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    first, last = ((int(time) - 1) // DAY_NS for time in (times[0], times[-1]))
    ends = np.searchsorted(times, (np.arange(first, last + 1) + 1) * DAY_NS, side="right")
    has = np.diff(ends, prepend=0) > 0
    return np.arange(first, last + 1)[has], ends[has] - 1


def statistics(times: NDArray[np.int64], equity: Floats, cash: float, tally: Tally, start: int) -> Statistics:
    """All of them.

    Parameters
    ----------
    times, equity : the close and equity of each slice. cash : the opening equity, at ``start``. tally : of the fills.
    """
    days, ends = day_ends(times)
    return from_summary(summary(times, equity, cash, start, ends, days_a_year(days), tally))


def from_summary(words: Floats) -> Statistics:
    """Statistics of the words of a summary (see ``summary``), with reasons for what is NaN."""
    names = [each.name for each in fields(Statistics) if each.metadata]
    values: dict[str, Any] = dict(zip(names, words.tolist(), strict=False))
    for name in ("trades", "days", "days_a_year"):
        values[name] = int(values[name])
    return Statistics(**values, reasons=_reasons(values, bool(words[Z_RUINED])))


def _reasons(values: dict[str, Any], ruined: bool) -> dict[str, str]:
    """Why numbers are NaN."""
    reasons: dict[str, str] = {}
    n, still = values["days"], values["volatility"] == 0.0
    for name, needed in (("volatility", 2), ("sharpe", 2), ("sharpe_error", 3)):
        if n < needed:
            reasons[name] = f"needs {needed} daily returns, there are {n}"
        elif ruined:
            reasons[name] = "the account lost everything"
        elif still and name != "volatility":
            reasons[name] = "daily returns do not vary"
    if "sharpe" in reasons and not still:
        reasons["sortino"] = reasons["sharpe"]
    elif math.isnan(values["sortino"]):
        reasons["sortino"] = "no day lost"
    if values["max_drawdown"] == 0.0:
        reasons["calmar"] = "no drawdown"
    if values["trades"] == 0:
        reasons |= dict.fromkeys(("win_rate", "profit_factor", "expectancy"), "no closed trade")
    elif math.isnan(values["profit_factor"]):
        reasons["profit_factor"] = "no losing trade"
    return reasons
