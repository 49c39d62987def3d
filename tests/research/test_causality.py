"""What looks ahead is refused by name and candle; what does not passes."""

import numpy as np
import polars as pl
import pytest

import pairsim as ps
from pairsim.research.causality import prefixes


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    return ps.synthetic("BTC/USDT", "1m", n=6_000, seed=3)


class Given(ps.Indicator):
    """A user's indicator that overrides the whole-history way."""

    def batch_into(self, columns, out):
        out[:, 0] = self.whole(columns[3])

    def step(self, state, candle):
        return candle.close


class NextClose(Given):
    def whole(self, close):
        return np.append(close[1:], np.nan)


class Centred(Given):
    def whole(self, close):
        out = np.full(close.size, np.nan)
        out[10:-10] = np.convolve(close, np.full(21, 1 / 21), "valid")
        return out


class Scaled(Given):
    def whole(self, close):
        return (close - close.mean()) / close.std()


class Causal(Given):
    def whole(self, close):
        return np.cumsum(close) / np.arange(1, close.size + 1)


def _strategy(indicator: ps.Indicator) -> ps.Strategy:
    class Follow(ps.Strategy):
        def indicators(self):
            return {"line": indicator}

        def generate_signal(self, ctx):
            if ctx.line > ctx.close and ctx.position.quantity == 0:
                return ps.buy(weight=0.5)
            if ctx.line < ctx.close and ctx.position.quantity > 0:
                return ps.close()
            return None

    return Follow()


@pytest.mark.parametrize("leak", [NextClose(), Centred(), Scaled()], ids=lambda leak: type(leak).__name__)
def test_an_indicator_that_looks_ahead_is_refused(leak: ps.Indicator, bars: pl.DataFrame) -> None:
    with pytest.raises(ps.InputError, match=r"indicator 'line' = .*BTC/USDT: at 20\d\d-.* it looks ahead"):
        ps.backtest(_strategy(leak), bars)
    assert ps.backtest(_strategy(leak), bars, causality=False).notes[0] == "causality: not checked"


def test_an_indicator_that_does_not_passes(bars: pl.DataFrame) -> None:
    assert "unchanged on shorter histories" in ps.backtest(_strategy(Causal()), bars).notes[0]
    assert "candle by candle" in ps.backtest(ps.strategies.RSI(), bars).notes[0]


def test_a_function_of_the_window_that_looks_ahead_is_refused(bars: pl.DataFrame) -> None:
    ahead = ps.indicator(lambda close: np.append(close[1:], close[-1]), lookback=5)
    with pytest.raises(ps.InputError, match="ahead"):
        ps.backtest(_strategy(ahead), bars)


# --- functions that make signals ------------------------------------------------------------------------------------


def _signals(frame: pl.DataFrame, line: pl.Expr) -> pl.DataFrame:
    wanted = frame.with_columns(line=line).filter(pl.col("line").is_not_null())
    side = pl.when(pl.col("line") > pl.col("close")).then(pl.lit("target")).otherwise(pl.lit("close"))
    return wanted.select("timestamp", "symbol", side=side, weight=pl.lit(0.5))


def next_close(frame: pl.DataFrame) -> pl.DataFrame:
    return _signals(frame, pl.col("close").shift(-1))


def centred_window(frame: pl.DataFrame) -> pl.DataFrame:
    return _signals(frame, pl.col("close").rolling_mean(21, center=True))


def full_sample_scaling(frame: pl.DataFrame) -> pl.DataFrame:
    return _signals(frame, pl.col("close") + (pl.col("close") - pl.col("close").mean()))


def hourly(frame: pl.DataFrame) -> pl.DataFrame:
    grouped = frame.group_by_dynamic("timestamp", every="1h", group_by="symbol")
    return grouped.agg(hour_close=pl.col("close").last())


def resample_joined_on_open_time(frame: pl.DataFrame) -> pl.DataFrame:
    joined = frame.join_asof(hourly(frame), on="timestamp", by="symbol", check_sortedness=False)
    return _signals(joined, pl.col("hour_close"))


def resample_joined_on_close_time(frame: pl.DataFrame) -> pl.DataFrame:
    closed = hourly(frame).with_columns(pl.col("timestamp").dt.offset_by("59m"))
    joined = frame.join_asof(closed, on="timestamp", by="symbol", check_sortedness=False)
    return _signals(joined, pl.col("hour_close"))


def rolling_window(frame: pl.DataFrame) -> pl.DataFrame:
    return _signals(frame, pl.col("close").rolling_mean(21))


@pytest.mark.parametrize("leak", [next_close, centred_window, full_sample_scaling, resample_joined_on_open_time])
def test_a_signal_function_that_looks_ahead_is_refused(leak, bars: pl.DataFrame) -> None:
    with pytest.raises(ps.InputError, match=r"signals: .* BTC/USDT .*at 20\d\d-.* looks ahead"):
        ps.backtest(leak, bars)


@pytest.mark.parametrize("causal", [rolling_window, resample_joined_on_close_time])
def test_a_signal_function_that_does_not_passes(causal, bars: pl.DataFrame) -> None:
    assert "same on shorter histories" in ps.backtest(causal, bars).notes[0]


def test_the_check_looks_at_less_than_a_fifth() -> None:
    for n in (300, 3_000, 20_000, 60_000, 1_000_000):
        lengths = prefixes(n, 30)
        assert lengths
        assert all(30 < length < n for length in lengths)
        assert sum(lengths) <= n * 0.34 if n < 4_000 else sum(lengths) <= n / 5 + 500
    assert prefixes(1_000_000, 0)[-1] == 7_993
