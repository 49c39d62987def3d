"""What other libraries make of the same candles and returns; they are no dependencies: `make bench-peers` installs them
into an environment of their own and runs this."""

import numpy as np
import pytest
from research.workload import Cross, bars

import pairsim as ps
from pairsim.research.statistics import daily_returns

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]  # their warnings are not ours

N = 200_000


@pytest.fixture(scope="module")
def result() -> ps.Result:
    return ps.backtest(Cross(), bars(N), cash=2_000.0, fee_bps=1)


def test_ratios_are_quantstats(result: ps.Result) -> None:
    quantstats = pytest.importorskip("quantstats", reason="quantstats is installed by `make bench-peers`")
    import pandas as pd

    simulation, stats = result._simulation, result.stats
    days, returns = daily_returns(simulation.times, simulation.equity, result.cash)
    series = pd.Series(returns, pd.to_datetime(days, unit="D"))
    year = stats.days_a_year
    of = quantstats.stats
    assert stats.total_return == pytest.approx(of.comp(series), rel=1e-9)
    assert stats.volatility == pytest.approx(of.volatility(series, periods=year), rel=1e-9)
    assert stats.sharpe == pytest.approx(of.sharpe(series, periods=year), rel=1e-9)
    assert stats.sortino == pytest.approx(of.sortino(series, periods=year), rel=1e-9)
    assert stats.cagr == pytest.approx(of.cagr(series, periods=year), rel=1e-9)
    # Ours is the lowest of all marks, theirs that of the daily ones.
    assert stats.max_drawdown <= of.max_drawdown(series) + 1e-12
    daily = result.cash * np.cumprod(np.concatenate([[1.0], 1.0 + returns]))
    assert of.max_drawdown(series) == pytest.approx((daily / np.maximum.accumulate(daily) - 1.0).min(), rel=1e-9)


def test_sharpe_error_is_that_of_the_probabilistic_sharpe_ratio(result: ps.Result) -> None:
    quantstats = pytest.importorskip("quantstats", reason="quantstats is installed by `make bench-peers`")
    import math

    import pandas as pd

    simulation, stats = result._simulation, result.stats
    days, returns = daily_returns(simulation.times, simulation.equity, result.cash)
    series = pd.Series(returns, pd.to_datetime(days, unit="D"))
    theirs = quantstats.stats.probabilistic_sharpe_ratio(series, periods=stats.days_a_year, annualize=False)
    ours = 0.5 * (1.0 + math.erf(stats.sharpe / stats.sharpe_error / math.sqrt(2.0)))
    # They take the sample's unbiased skew and kurtosis, we the moments of the formula: equal but for 1 / days.
    assert ours == pytest.approx(theirs, abs=2.0 / stats.days)


def test_vectorbt_and_backtesting_end_with_the_same_equity() -> None:
    pytest.importorskip("vectorbt", reason="vectorbt is installed by `make bench-peers`")
    pytest.importorskip("backtesting", reason="backtesting.py is installed by `make bench-peers`")
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
    import pandas as pd
    import peers

    data = bars(N).columns
    close = pd.Series(data.close, pd.DatetimeIndex(data.open_time))
    opened = pd.Series(data.open, close.index)
    frame = pd.DataFrame(
        {"Open": data.open, "High": data.high, "Low": data.low, "Close": data.close, "Volume": data.volume}, close.index
    )
    ours = peers.ours(ps.strategies.RSI(weight=1.0), bars(N))
    vectorbt = peers.rsi_by_vectorbt(opened, close)
    backtesting = peers.by_backtesting(peers.RsiPeer, frame)
    assert ours.orders == vectorbt.orders == backtesting.orders > 1_000
    assert ours.equity == pytest.approx(vectorbt.equity, rel=1e-9)
    assert ours.equity == pytest.approx(backtesting.equity, rel=1e-5)
