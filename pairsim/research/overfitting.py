"""How much of the best result is luck of the search: deflated Sharpe ratio and probability of backtest overfitting.

Rule: pure functions of numbers, in units of one period (not annualised) where nothing else is said; NaN where there is
nothing to judge. Sources: D. Bailey, M. López de Prado, "The Deflated Sharpe Ratio", Journal of Portfolio Management
40(5), 2014; D. Bailey, J. Borwein, M. López de Prado, Q. Zhu, "The Probability of Backtest Overfitting", Journal of
Computational Finance 20(4), 2017 (SSRN 2326253, 2015), which calls the method CSCV.
"""

import itertools
import math
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_EULER: Final = 0.5772156649015329
_NORMAL: Final = NormalDist()
_AT_ONCE: Final = 1 << 19  # Sharpe ratios that are held at a time: 4 MB, several times over


def expected_maximum(trials: int, variance: float) -> float:
    """Sharpe ratio that the best of so many trials without any skill is expected to show.

    Parameters
    ----------
    trials : how many were tried, taken as independent. variance : of the Sharpe ratios over the trials.

    Notes
    -----
    Equation 1 of the 2014 paper with an expectation of 0: sqrt(V) ((1 - γ) Z⁻¹(1 - 1/N) + γ Z⁻¹(1 - 1/(N e))).
    """
    if trials < 2 or not variance >= 0.0:
        return 0.0
    first, second = _NORMAL.inv_cdf(1.0 - 1.0 / trials), _NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(variance) * ((1.0 - _EULER) * first + _EULER * second)


def probabilistic_sharpe(ratio: float, benchmark: float, n: int, skew: float, kurtosis: float) -> float:
    """Probability that the true Sharpe ratio is above ``benchmark``, from ``n`` returns (equation 2 of the paper).

    skew, kurtosis : of the returns, 0 and 3 for normal ones.
    """
    spread = 1.0 - skew * ratio + (kurtosis - 1.0) / 4.0 * ratio * ratio
    if n < 2 or not spread > 0.0:
        return math.nan
    return _NORMAL.cdf((ratio - benchmark) * math.sqrt(n - 1) / math.sqrt(spread))


def deflated_sharpe(
    ratio: float, trials: int, variance: float, n: int, skew: float = 0.0, kurtosis: float = 3.0
) -> float:
    """Probability that the best of ``trials`` has a Sharpe ratio above what luck alone would have shown, 0 to 1.

    Parameters
    ----------
    ratio, n, skew, kurtosis : Sharpe ratio of the best trial, how many returns it is from, and their shape.
    trials, variance : how many were tried, and the variance of their Sharpe ratios.
    """
    return probabilistic_sharpe(ratio, expected_maximum(trials, variance), n, skew, kurtosis)


def overfitting(sums: Floats, squares: Floats, lengths: NDArray[np.int64]) -> float:
    """Probability of backtest overfitting: how often the best of one half of time is below the median in the other.

    Parameters
    ----------
    sums, squares : float64[trials, blocks], of the returns of each block and of their squares; blocks in order of time,
        an even number of them.
    lengths : returns in each block.

    Returns
    -------
    float : over all ways to choose half of the blocks; NaN for fewer than two trials or blocks.

    Notes
    -----
    Section 3 of the paper: the logit of the out-of-sample rank of the trial that is best in sample is at most 0. Trials
    without a Sharpe ratio (no trade) have one of 0. Ties share the mean of their ranks, as does a winner at the median.
    """
    trials, blocks = sums.shape
    if trials < 2 or blocks < 2:
        return math.nan
    half = np.array(list(itertools.combinations(range(blocks), blocks // 2)), np.int64)
    chosen = np.zeros((len(half), blocks))
    np.put_along_axis(chosen, half, 1.0, axis=1)
    below, step = 0, max(1, _AT_ONCE // trials)
    for first in range(0, len(chosen) // 2, step):  # the last half is what the first half leaves: each is both parts
        one = chosen[first : min(first + step, len(chosen) // 2)]
        here, there = (_ratios(part, sums, squares, lengths) for part in (one, 1.0 - one))
        below += _below(here, there) + _below(there, here)
    return below / len(chosen)


def _below(inside: Floats, outside: Floats) -> int:
    """How often the best inside is not above the median outside; float64[choices, trials] each."""
    best = inside.argmax(axis=1)
    reached = outside[np.arange(len(best)), best][:, None]
    # rank from 1 to N; the relative rank is rank / (N + 1), and its logit is at most 0 where rank <= (N + 1) / 2
    rank = (outside < reached).sum(axis=1) + ((outside == reached).sum(axis=1) + 1) / 2.0
    return int((rank <= (outside.shape[1] + 1) / 2.0).sum())


def _ratios(chosen: Floats, sums: Floats, squares: Floats, lengths: NDArray[np.int64]) -> Floats:
    """Sharpe ratios of every trial over each choice of blocks, float64[choices, trials]."""
    n = (chosen @ lengths)[:, None]
    mean = chosen @ sums.T / n
    variance = (chosen @ squares.T - n * mean * mean) / (n - 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = mean / np.sqrt(variance)
    return np.where(variance > 0.0, found, 0.0)
