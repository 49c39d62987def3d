"""An observer reads the candles of a run from shared memory: the feed's own, resampled as the traders have them."""

import polars as pl
import pytest
from engine.examples import Counting
from engine.running import finish
from polars.testing import assert_frame_equal

import pairsim as ps
from pairsim.engine.candles import forming_candle
from pairsim.market.interval import parse_interval


def resampled(bars: pl.DataFrame, every: str) -> pl.DataFrame:
    frame = bars.group_by_dynamic("timestamp", every=every).agg(
        pl.col("symbol").first(), pl.col("open").first(), pl.col("high").max(), pl.col("low").min(),
        pl.col("close").last(), pl.col("volume").sum(),
    )  # fmt: skip
    return frame.select(bars.columns)


def test_candles_are_the_feeds_at_each_interval_a_trader_decides_on():
    bars = ps.synthetic("A/USDT", "1m", n=12_347, seed=5)
    traders = [ps.Trader("A/USDT", Counting(), every=every, name=every) for every in ("5m", "1m")]
    with ps.Engine(traders, ps.ReplayFeed(bars, speed=None)) as engine:
        assert engine.candles("A/USDT").is_empty() or engine.status.candles
        finish(engine)
        assert_frame_equal(engine.candles("A/USDT"), bars.tail(2047))
        five = resampled(bars, "5m")
        assert_frame_equal(engine.candles("A/USDT", "5m"), five.head(-1).tail(2047), rel_tol=1e-12)
        assert engine._mem is not None and engine._arena is not None
        forming = forming_candle(engine._mem, engine._arena, 0, parse_interval("5m"))
        assert forming is not None and forming[1].tolist() == pytest.approx(list(five.row(-1)[2:]))
        assert forming_candle(engine._mem, engine._arena, 0, parse_interval("1m")) is None
        with pytest.raises(ps.InputError, match="kept at 1m, 5m"):
            engine.candles("A/USDT", "2m")
        with pytest.raises(ps.InputError, match="its markets: A/USDT"):
            engine.candles("B/USDT")


def test_no_candle_before_the_run():
    engine = ps.Engine(ps.Trader("A/USDT", Counting()), ps.RandomFeed("1s"))
    assert engine.candles("A/USDT").columns == ["symbol", "timestamp", "open", "high", "low", "close", "volume"]
