"""Statistics against naive twins: quantstats' formulas written out over the same daily returns."""

import math

import numpy as np
import pytest

from pairsim.research.statistics import (
    daily_marks,
    daily_returns,
    days_a_year,
    drawdown,
    statistics,
)
from pairsim.research.summary import Tally, walk_marks

DAY = 86_400_000_000_000
HOUR = DAY // 24


def _hours(days: int, start: int = 18_262 * DAY) -> np.ndarray:
    """Close times of hourly candles."""
    return start + HOUR * np.arange(1, 24 * days + 1)


def _walk(n: int, seed: int = 1) -> np.ndarray:
    return 1_000.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0001, 0.01, n)))


def _all(times, equity, cash=1_000.0, **tally):
    return statistics(times, equity, cash, Tally(**tally), int(times[0]) - HOUR)


def test_a_days_mark_is_the_last_one_up_to_midnight() -> None:
    times = 18_262 * DAY + HOUR * np.array([1, 24, 25, 47, 96])
    days, marks = daily_marks(times, np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert days.tolist() == [18_262, 18_263, 18_265]  # no candle on the third day
    assert marks.tolist() == [2.0, 4.0, 5.0]


def test_daily_returns_begin_with_the_opening_cash_and_compound_to_the_total() -> None:
    times, equity = _hours(30), _walk(720)
    _, returns = daily_returns(times, equity, 990.0)
    assert len(returns) == 30
    assert np.prod(1.0 + returns) == pytest.approx(equity[-1] / 990.0, rel=1e-12)


@pytest.mark.parametrize(("without", "year"), [((), 365), ((5, 6), 252), ((6,), 365)])
def test_a_year_has_365_days_where_saturdays_trade(without: tuple[int, ...], year: int) -> None:
    days = np.arange(18_262, 18_262 + 60)
    weekday = (days + 3) % 7  # 1970-01-01 was a Thursday; Monday is 0
    assert days_a_year(days[~np.isin(weekday, without)]) == year


@pytest.mark.parametrize("seed", range(4))
def test_ratios_are_those_of_quantstats(seed: int) -> None:
    times, equity = _hours(90), _walk(90 * 24, seed)
    found = _all(times, equity)
    marks = np.concatenate([[1_000.0], equity[23::24]])
    r = marks[1:] / marks[:-1] - 1.0
    n = len(r)
    assert found.days == n == 90
    assert found.total_return == pytest.approx(np.prod(1.0 + r) - 1.0)
    assert found.cagr == pytest.approx(abs(np.prod(1.0 + r)) ** (1.0 / (n / 365)) - 1.0)
    assert found.volatility == pytest.approx(np.std(r, ddof=1) * math.sqrt(365))
    assert found.sharpe == pytest.approx(np.mean(r) / np.std(r, ddof=1) * math.sqrt(365))
    assert found.sortino == pytest.approx(np.mean(r) / math.sqrt(np.sum(r[r < 0] ** 2) / n) * math.sqrt(365))
    levels = np.concatenate([[1_000.0], equity])
    lowest = min(levels[i] / max(levels[: i + 1]) - 1.0 for i in range(len(levels)))
    assert found.max_drawdown == pytest.approx(lowest)
    assert found.calmar == pytest.approx(found.cagr / abs(lowest))


def test_the_longest_time_below_a_high_is_found_by_walking() -> None:
    times, equity = _hours(60), _walk(60 * 24, 9)
    high, since, longest = 1_000.0, int(times[0]) - HOUR, 0
    for time, level in zip(times.tolist(), equity.tolist(), strict=True):
        if level >= high:
            longest = max(longest, time - since) if level > high or since != time else longest
            high, since = level, time
        else:
            longest = max(longest, time - since)
    marks = walk_marks(times, equity, 1_000.0, int(times[0]) - HOUR)
    assert marks.longest_ns == longest
    assert marks.deepest == drawdown(equity, 1_000.0).min()
    assert marks.mean == pytest.approx(equity.mean())


def test_the_standard_error_of_sharpe_is_what_many_samples_show() -> None:
    random = np.random.default_rng(3)
    times = 18_262 * DAY + DAY * np.arange(1, 401)
    found = [_all(times, 1_000.0 * np.cumprod(1.0 + random.normal(0.0005, 0.01, 400))) for _ in range(1_000)]
    assert np.mean([each.sharpe_error for each in found]) == pytest.approx(
        np.std([each.sharpe for each in found]), rel=0.05
    )


def test_trades_are_counted_by_their_profit() -> None:
    found = _all(_hours(5), _walk(120), won=5.0, lost=1.0, wins=2, trades=4, notional=5_000.0, held=60, fees=1.5)
    assert (found.trades, found.win_rate, found.profit_factor) == (4, 0.5, 5.0)
    assert found.expectancy == 1.0
    assert (found.exposure, found.fees) == (0.5, 1.5)
    assert found.turnover == pytest.approx(5_000.0 / _walk(120).mean())


def test_what_has_no_value_says_why_and_warns_nobody() -> None:
    flat = _all(_hours(10), np.full(240, 1_000.0))
    assert math.isnan(flat.sharpe)
    assert flat.reasons["sharpe"] == "daily returns do not vary"
    assert flat.reasons["win_rate"] == "no closed trade"
    assert flat.reasons["calmar"] == "no drawdown"
    assert (flat.volatility, flat.max_drawdown, flat.max_drawdown_days) == (0.0, 0.0, 0.0)
    short = _all(_hours(1)[:3], np.array([1_000.0, 990.0, 1_010.0]))
    assert math.isnan(short.volatility)
    assert short.reasons["sharpe"] == "needs 2 daily returns, there are 1"
    ruin = _all(_hours(3), np.concatenate([np.full(24, 500.0), np.zeros(48)]))
    assert ruin.total_return == ruin.cagr == -1.0
    assert ruin.reasons["sharpe"] == "the account lost everything"
    assert _all(_hours(3), _walk(72), won=1.0, wins=1, trades=1).reasons["profit_factor"] == "no losing trade"


def test_every_number_has_a_definition_and_stands_in_the_frame() -> None:
    found = _all(_hours(30), _walk(720))
    assert found.frame.columns == ["statistic", "value", "definition"]
    assert len(found.frame) == len(list(found))
    assert all(found.frame["definition"])
    assert all(name in repr(found) and name in found._repr_html_() for name in found)
