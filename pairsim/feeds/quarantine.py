"""Candles that were not delivered: how many, why, and the first few as they came."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pairsim.market.candle import Columns
from pairsim.market.report import BadRow, bad_row, count_reasons
from pairsim.market.validation import Reason

KEPT = 20


class Quarantine:
    """Counts of candles a feed refused; one writer, the thread that reads the feed.

    rows : how many in all. reasons : how many for each Reason. first : up to 20 of them, in the order met.
    """

    __slots__ = ("first", "reasons", "rows")

    def __init__(self) -> None:
        self.rows = 0
        self.reasons: dict[Reason, int] = {}
        self.first: list[BadRow] = []

    def add(
        self,
        columns: Columns,
        reasons: npt.NDArray[np.int8],
        first_row: int = 0,
        rows: npt.NDArray[np.int64] | None = None,
    ) -> None:
        """Take up the rows whose reason is not GOOD; they are numbered from ``first_row``, or as ``rows`` says."""
        for reason, count in count_reasons(reasons).items():
            self.reasons[reason] = self.reasons.get(reason, 0) + count
            self.rows += count
        for at in np.flatnonzero(reasons)[: KEPT - len(self.first)]:
            row = first_row + int(at) if rows is None else int(rows[at])
            self.first.append(bad_row(columns, int(at), int(reasons[at]), row))

    def clear(self) -> None:
        """Forget everything: the feed begins anew."""
        self.rows = 0
        self.reasons.clear()
        self.first.clear()

    def __repr__(self) -> str:
        if not self.rows:
            return "no candle quarantined"
        why = ", ".join(f"{count:,} {reason.name.lower().replace('_', ' ')}" for reason, count in self.reasons.items())
        return f"{self.rows:,} candles quarantined ({why}); the first: {self.first[0]}"
