"""Deflated Sharpe ratio against the numbers printed in the paper, overfitting against a naive twin and by hand; and
what both say of a search over noise."""

import itertools
import math

import numpy as np
import pytest
from research.workload import MINUTE, START

import pairsim as ps
from pairsim.market.candle import Columns
from pairsim.research.door import Bars
from pairsim.research.judgement import Judgement, blocks_for
from pairsim.research.overfitting import deflated_sharpe, expected_maximum, overfitting, probabilistic_sharpe

DAILY = 1.0 / 250.0  # the paper's example has 250 observations a year


def test_the_deflated_sharpe_ratio_is_the_papers_example() -> None:
    """Bailey and López de Prado (2014), "A numerical example": 2.5 a year over five years, skew -3, kurtosis 10."""
    ratio = 2.5 * math.sqrt(DAILY)
    assert expected_maximum(100, 0.5 * DAILY) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(ratio, 100, 0.5 * DAILY, 1250, -3.0, 10.0) == pytest.approx(0.9004, abs=5e-5)
    assert deflated_sharpe(ratio, 46, 0.5 * DAILY, 1250, -3.0, 10.0) == pytest.approx(0.9505, abs=5e-5)
    assert deflated_sharpe(ratio, 88, 0.5 * DAILY, 1250) == pytest.approx(0.9505, abs=5e-5)


def test_the_expected_maximum_is_what_many_searches_without_skill_find() -> None:
    found = np.random.default_rng(5).normal(0.0, 0.2, (4_000, 100)).max(axis=1).mean()
    assert expected_maximum(100, 0.04) == pytest.approx(found, rel=0.02)


def test_one_trial_is_not_deflated_and_nothing_to_judge_is_nan() -> None:
    assert expected_maximum(1, 0.1) == 0.0
    assert deflated_sharpe(0.1, 1, 0.0, 101) == probabilistic_sharpe(0.1, 0.0, 101, 0.0, 3.0)
    assert probabilistic_sharpe(0.0, 0.0, 50, 0.0, 3.0) == 0.5
    assert math.isnan(probabilistic_sharpe(0.1, 0.0, 1, 0.0, 3.0))
    assert math.isnan(overfitting(np.ones((1, 4)), np.ones((1, 4)), np.ones(4)))


def _blocks(returns: np.ndarray, blocks: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums, sums of squares and lengths of the blocks of float64[trials, periods]."""
    cut = np.arange(blocks + 1) * returns.shape[1] // blocks
    parts = [returns[:, a:b] for a, b in itertools.pairwise(cut)]
    sums, squares = (np.stack([(p**k).sum(axis=1) for p in parts], axis=1) for k in (1, 2))
    return sums, squares, np.diff(cut).astype(float)


def test_overfitting_by_hand() -> None:
    good, bad = [0.02, 0.04], [-0.01, 0.01]
    swaps = np.array([good + bad, bad + good])  # whoever is best in one half is worst in the other
    stays = np.array([good + good, bad + bad])
    assert overfitting(*_blocks(swaps, 2)) == 1.0
    assert overfitting(*_blocks(stays, 2)) == 0.0
    middling = np.array([[0.05, 0.06, 0.0, 0.01], [0.0, 0.01, 0.05, 0.06], [-0.05, -0.04, -0.05, -0.04]])
    assert overfitting(*_blocks(middling, 2)) == 1.0  # the best of one half is the median of the other: not above it
    # Four blocks, A is good in the first three of them. The winner falls below the other in the splits {0,3|1,2} …
    a, b = good * 3 + [-0.3, -0.5], [0.005, 0.006] * 4
    ratio = lambda x: np.mean(x) / np.std(x, ddof=1)  # noqa: E731
    below = 0
    for half in itertools.combinations(range(4), 2):
        inside = [k for k in range(8) if k // 2 in half]
        outside = [k for k in range(8) if k // 2 not in half]
        first, second = (ratio(np.array(a)[at]) - ratio(np.array(b)[at]) for at in (inside, outside))
        below += first * second < 0
    assert overfitting(*_blocks(np.array([a, b]), 4)) == below / 6


@pytest.mark.parametrize(("trials", "blocks", "seed"), [(5, 4, 1), (11, 6, 2), (40, 8, 3)])
def test_overfitting_equals_a_naive_twin(trials: int, blocks: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    returns = random.normal(0.0, 0.01, (trials, 50)) + random.normal(0.0, 0.004, (trials, 1))
    cut = np.arange(blocks + 1) * 50 // blocks
    below = []
    for half in itertools.combinations(range(blocks), blocks // 2):
        inside = np.concatenate([np.arange(cut[b], cut[b + 1]) for b in half])
        outside = np.setdiff1d(np.arange(50), inside)
        here, there = (returns[:, at].mean(axis=1) / returns[:, at].std(axis=1, ddof=1) for at in (inside, outside))
        rank = 1 + int((there < there[here.argmax()]).sum())
        share = rank / (trials + 1)
        below.append(math.log(share / (1.0 - share)) <= 0.0)
    assert overfitting(*_blocks(returns, blocks)) == np.mean(below)


def test_time_is_cut_into_an_even_number_of_blocks_that_have_returns() -> None:
    assert blocks_for(100, 256) == 16
    assert blocks_for(10_000, 256) == 12
    assert blocks_for(100, 20) == 10
    assert blocks_for(100, 3) == 0


def test_a_verdict_needs_both() -> None:
    verdicts = [Judgement(10, 256, False, d, o).verdict for d, o in ((0.96, 0.2), (0.94, 0.2), (0.96, 0.5))]
    assert verdicts == ["significant", "not significant", "not significant"]
    assert Judgement(1, 256, False, 0.99, math.nan).significant
    assert not Judgement(1, 256, False, math.nan, math.nan).significant


# --- a search over noise --------------------------------------------------------------------------------------------


class Dice(ps.Strategy):
    """Trades on numbers that have nothing to do with the market."""

    seed: int = ps.param(0, 0, 1_000_000)

    def generate_signal(self, ctx):
        drawn = math.sin(12.9898 * (self.seed + 1.0) + 78.233 * ctx.index) * 43_758.5453
        drawn -= math.floor(drawn)
        if drawn < 0.1 and ctx.position.quantity == 0:
            return ps.buy(weight=0.9)
        if drawn > 0.9 and ctx.position.quantity > 0:
            return ps.close()
        return None


def noise(n: int, seed: int, drift: float = 0.0) -> Bars:
    """Hourly candles of a walk whose mean return is ``drift``."""
    hour = 60 * MINUTE
    steps = np.random.default_rng(seed).normal(drift, 0.004, n)
    close = 100.0 * np.exp(np.cumsum(steps))
    opened = np.concatenate([[100.0], close[:-1]])
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    times = START // hour * hour + np.arange(n) * hour
    return Bars(Columns(("NOISE",), np.zeros(n, np.int64), times, opened, high, low, close, np.ones(n)), hour)


def _significant(seeds: range, candles: int) -> int:
    """In how many searches a thousand strategies without skill are said to have some."""
    found = tempting = 0
    for seed in seeds:
        dice = range(1_000 * seed, 1_000 * seed + 1_000)
        table = ps.sweep(Dice, noise(candles, seed), {"seed": dice}, fee_bps=0, progress=False)
        assert table.trials == 1_000
        tempting += table.values().max() > 1.0
        found += table.best.verdict == "significant"
    assert tempting > 0.8 * len(seeds)  # the best of a thousand looks good, but where the market fell
    return found


def test_the_best_of_a_thousand_random_strategies_is_not_significant() -> None:
    assert _significant(range(8), 2_000) == 0


@pytest.mark.soak
def test_noise_is_called_significant_in_at_most_five_of_a_hundred_searches() -> None:
    assert _significant(range(100), 6_000) <= 5


class Knows(Dice):
    """Dice, but for one who sees a trend that is there: long all the time."""

    def generate_signal(self, ctx):
        if self.seed == 7:
            return ps.buy(weight=0.9) if ctx.position.quantity == 0 else None
        drawn = math.sin(12.9898 * (self.seed + 1.0) + 78.233 * ctx.index) * 43_758.5453
        drawn -= math.floor(drawn)
        if drawn < 0.02 and ctx.position.quantity == 0:
            return ps.buy(weight=0.1)
        if drawn > 0.5 and ctx.position.quantity > 0:
            return ps.close()
        return None


def test_what_is_really_there_is_found_significant() -> None:
    table = ps.sweep(Knows, noise(6_000, 3, drift=0.0006), {"seed": range(50)}, fee_bps=0)
    assert table.best.parameters == {"seed": 7}
    assert table.best.verdict == "significant", table.best
