"""What can be said about the rows of a table: which must not be traded on and why, and where candles are missing.

A gap is no error: exchanges pause, shares do not trade at night. It is counted and shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from pairsim.market.candle import Columns
from pairsim.market.interval import format_interval, format_time
from pairsim.market.validation import NO_TIME, Reason, judge


@dataclass(frozen=True, slots=True)
class Gap:
    """Candles missing in a row: how many, the time of the first, and of the next candle there is."""

    symbol: str
    start_ns: int
    end_ns: int
    missing: int

    def __str__(self) -> str:
        return f"{self.missing:,} of {self.symbol} from {format_time(self.start_ns)} to {format_time(self.end_ns)}"


@dataclass(frozen=True, slots=True)
class BadRow:
    """A candle that must not be traded on; ``row`` counts from 0 in the table it came in."""

    row: int
    symbol: str
    time_ns: int
    reason: Reason
    values: tuple[float, float, float, float, float]

    def __str__(self) -> str:
        when = "no time" if self.time_ns == NO_TIME else format_time(self.time_ns)
        numbers = ", ".join(f"{n} {v:g}" for n, v in zip(("open", "high", "low", "close", "volume"), self.values))
        return f"row {self.row} ({self.symbol}, {when}): {self.reason.text} ({numbers})"


@dataclass(frozen=True, slots=True)
class Quality:
    """The state of a table of candles.

    rows : rows in the table; ``bad`` of them must not be traded on.
    dropped : rows that ``load(on_bad="drop")`` left out of this very frame before.
    reasons : how many bad or dropped rows for each reason; ``first_bad`` is the first of them.
    interval_ns : the most common distance of two candles of a market; 0 where no market has two.
    off_grid : good rows whose time is no multiple of the interval.
    gaps, missing : how many gaps, and how many candles they miss in all; ``first_gap``, ``longest_gap``.
    """

    rows: int
    bad: int
    dropped: int
    reasons: Mapping[Reason, int]
    first_bad: BadRow | None
    symbols: tuple[str, ...]
    interval_ns: int
    off_grid: int
    gaps: int
    missing: int
    first_gap: Gap | None = None
    longest_gap: Gap | None = None

    def lines(self) -> list[tuple[str, str]]:
        """The report as pairs of a name and a text."""
        names = ", ".join(self.symbols[:5]) + (f" and {len(self.symbols) - 5} more" if len(self.symbols) > 5 else "")
        told = [("rows", f"{self.rows:,}"), ("markets", names or "none")]
        told.append(("interval", format_interval(self.interval_ns) if self.interval_ns else "unknown"))
        if self.dropped:
            told.append(("dropped", f"{self.dropped:,}"))
        told.append(("bad rows", f"{self.bad:,}"))
        told += [(f"  {reason.name.lower()}", f"{count:,}: {reason.text}") for reason, count in self.reasons.items()]
        if self.first_bad:
            told.append(("first bad", str(self.first_bad)))
        if self.off_grid:
            told.append(("off the grid", f"{self.off_grid:,}"))
        told.append(("gaps", f"{self.gaps:,}" + (f", {self.missing:,} candles missing" if self.gaps else "")))
        if self.first_gap and self.longest_gap:
            told += [("first gap", str(self.first_gap)), ("longest gap", str(self.longest_gap))]
        return told

    def __repr__(self) -> str:
        return "\n".join(f"{name:<14} {text}" for name, text in self.lines())

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th><td style='text-align:left'>{escape(text)}</td></tr>"
            for name, text in self.lines()
        )
        return f"<table>{rows}</table>"


def reasons_of(columns: Columns) -> npt.NDArray[np.int8]:
    """The Reason of every row, each market by itself, in the order given."""
    last_time = np.full(len(columns.symbols), NO_TIME, np.int64)
    return judge(*columns[1:], last_time)


def bad_row(columns: Columns, at: int, reason: int, row: int) -> BadRow:
    """Row ``at`` of the arrays, which is row ``row`` of the table, as it is told to a person."""
    values = tuple(float(column[at]) for column in columns[3:])
    symbol = columns.symbols[int(columns.market[at])]
    return BadRow(row, symbol, int(columns.open_time[at]), Reason(int(reason)), values)  # type: ignore[arg-type]


def count_reasons(reasons: npt.NDArray[np.int8]) -> dict[Reason, int]:
    """How many rows for each reason, without the good ones."""
    counts = np.bincount(reasons, minlength=len(Reason))
    return {reason: int(counts[reason]) for reason in Reason if reason is not Reason.GOOD and counts[reason]}


def common_interval(market: npt.NDArray[np.int64], open_time: npt.NDArray[np.int64]) -> int:
    """The most common distance above zero of two neighbouring candles of one market; 0 where there is none.

    Of two distances equally common it is the shorter.
    """
    order = np.lexsort((open_time, market))
    steps = np.diff(open_time[order])[np.diff(market[order]) == 0]
    lengths, counts = np.unique(steps[steps > 0], return_counts=True)
    return int(lengths[np.argmax(counts)]) if len(lengths) else 0


def find_gaps(columns: Columns, interval_ns: int) -> list[Gap]:
    """Every gap of every market, in order of time; the candles are good and each market's are in order."""
    order = np.argsort(columns.market, kind="stable")
    market, times = columns.market[order], columns.open_time[order]
    steps = np.diff(times)
    gaps = []
    for i in np.flatnonzero((steps > interval_ns) & (np.diff(market) == 0)):
        start = int(times[i]) + interval_ns
        missing = -(-int(steps[i]) // interval_ns) - 1
        gaps.append(Gap(columns.symbols[market[i]], start, int(times[i + 1]), missing))
    return sorted(gaps, key=lambda gap: (gap.start_ns, gap.symbol))


def assess(columns: Columns, dropped: Mapping[Reason, int], first_dropped: BadRow | None) -> Quality:
    """The Quality of rows in the order given, of which ``dropped`` were left out before."""
    reasons = reasons_of(columns)
    good = reasons == Reason.GOOD
    found = count_reasons(reasons)
    first = first_dropped
    if first is None and found:
        at = int(np.argmin(good))
        first = bad_row(columns, at, int(reasons[at]), at)
    kept = Columns(columns.symbols, *(column[good] for column in columns[1:]))
    interval_ns = common_interval(kept.market, kept.open_time)
    gaps = find_gaps(kept, interval_ns) if interval_ns else []
    return Quality(
        rows=len(reasons),
        bad=sum(found.values()),
        dropped=sum(dropped.values()),
        reasons={
            reason: found.get(reason, 0) + dropped.get(reason, 0) for reason in Reason if reason in {*found, *dropped}
        },
        first_bad=first,
        symbols=columns.symbols,
        interval_ns=interval_ns,
        off_grid=int(np.count_nonzero(kept.open_time % interval_ns)) if interval_ns else 0,
        gaps=len(gaps),
        missing=sum(gap.missing for gap in gaps),
        first_gap=gaps[0] if gaps else None,
        longest_gap=max(gaps, key=lambda gap: gap.missing) if gaps else None,
    )
