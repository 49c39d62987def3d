"""Is the winner of a search more than luck? What stands beside the best row of a sweep, and its definition.

Rule: every combination that was tried counts as a trial, whether it traded or not; nothing is left out after the fact.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pairsim.research.overfitting import deflated_sharpe, overfitting
from pairsim.research.sweep_layout import (
    X_DEVIATION,
    X_KURTOSIS,
    X_MEAN,
    X_SKEW,
    X_SUMS,
)

Floats = NDArray[np.float64]

CONFIDENCE: Final = 0.95
_EVEN: Final = 0.5

# How many blocks time is cut into, by the number of trials up to which: 12,870, 924, 252, 70 ways to choose half.
_BLOCKS: Final = ((1_000, 16), (20_000, 12), (100_000, 10), (math.inf, 8))


@dataclass(frozen=True)
class Judgement:
    """How far the best of a search can be believed.

    Attributes
    ----------
    trials : combinations tried.
    periods : returns of each that were judged; ``daily`` says whether they are days.
    deflated_sharpe : probability that the winner's true Sharpe ratio is above what the best of so many trials without
        skill would show (Bailey, López de Prado 2014).
    overfitting : probability that the best of one half of time is below the median in the other (Bailey et al. 2015);
        NaN for a single trial, too few periods, or symbols whose candles are of different times.
    """

    trials: int
    periods: int
    daily: bool
    deflated_sharpe: float
    overfitting: float

    @property
    def significant(self) -> bool:
        """Deflated Sharpe at least 0.95, and overfitting below one half where it can be computed."""
        return self.deflated_sharpe >= CONFIDENCE and not self.overfitting >= _EVEN

    @property
    def verdict(self) -> str:
        """ "significant" or "not significant"."""
        return "significant" if self.significant else "not significant"

    def __repr__(self) -> str:
        unit = "days" if self.daily else "periods"
        return (
            f"{self.verdict}: deflated Sharpe {self.deflated_sharpe:.3f} (at least {CONFIDENCE} is asked for), "
            f"probability of overfitting {self.overfitting:.2f} (below {_EVEN}); {self.trials:,} trials, "
            f"{self.periods:,} {unit}"
        )


def blocks_for(trials: int, periods: int) -> int:
    """Into how many blocks time is cut: an even number, of at least two periods each; 0 where there are too few."""
    wanted = next(blocks for most, blocks in _BLOCKS if trials <= most)
    return min(wanted, periods // 4 * 2)


def judge(rows: Floats, best: int, trials: int, periods: int, daily: bool, blocks: int) -> Judgement:
    """Judge a row among the rows of a search.

    rows : float64[n, ROW_WORDS] of all that was tried and finished. best : the row of the winner. blocks : into how
    many the rows are cut.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = rows[:, X_MEAN] / rows[:, X_DEVIATION]
    defined = ratios[np.isfinite(ratios)]
    variance = float(defined.var(ddof=1)) if len(defined) > 1 else 0.0
    ratio, skew, kurtosis = float(ratios[best]), float(rows[best, X_SKEW]), float(rows[best, X_KURTOSIS])
    deflated = deflated_sharpe(ratio, trials, variance, periods, skew, kurtosis) if math.isfinite(ratio) else math.nan
    cut = np.arange(blocks + 1) * periods // max(blocks, 1)
    sums = np.nan_to_num(rows[:, X_SUMS : X_SUMS + 2 * blocks : 2])
    squares = np.nan_to_num(rows[:, X_SUMS + 1 : X_SUMS + 1 + 2 * blocks : 2])
    return Judgement(trials, periods, daily, deflated, overfitting(sums, squares, np.diff(cut).astype(np.float64)))
