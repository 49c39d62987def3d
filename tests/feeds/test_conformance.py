"""Every feed keeps the promises of conformance.py: those shipped and one of ten lines; and broken ones are caught."""

import numpy as np
import polars as pl
import pytest
from feeds.conformance import check_feed

from pairsim.feeds import RandomFeed, ReplayFeed
from pairsim.market import CANDLE, Candle
from pairsim.market.synthetic import synthetic

SYMBOLS = ("BTC/USDT", "ETH/USDT", "XYZ/USDT")


class Sawtooth:
    interval = "1s"
    speed = 1.0

    def candles(self, symbols):
        for k in range(3_000):
            for symbol in symbols:
                price = len(symbol) + 100.0 + k % 50
                yield Candle(symbol, k * 10**9, price, price + 1, price, price + 1, 5.0)


class Live:
    """The same without a pace, and as arrays of one candle."""

    interval = 10**9

    def candles(self, symbols):
        for k in range(500):
            for market, symbol in enumerate(symbols):
                price = ord(symbol[0]) + 100.0 + k % 50
                yield np.array([(market, 0, k * 10**9, price, price + 1, price, price + 1, 5.0)], CANDLE)


def bars():
    return synthetic(SYMBOLS, "1m", n=4_000, seed=3)


@pytest.fixture
def files(tmp_path):
    frame = bars()
    frame.write_parquet(tmp_path / "sorted.parquet", row_group_size=1_000)
    frame.sort("symbol", maintain_order=True).write_parquet(tmp_path / "grouped.parquet", row_group_size=1_000)
    for symbol in SYMBOLS:
        frame.filter(pl.col("symbol") == symbol).drop("symbol").write_parquet(tmp_path / f"{symbol[:3]}.parquet")
    return tmp_path


FEEDS = {
    "random": lambda _: RandomFeed("100ms", seed=7, start="2025-01-01"),
    "random that ends": lambda _: RandomFeed("1s", seed=7, start=0, n=1_000),
    "random of long candles": lambda _: RandomFeed("1d", seed=7, start=0, n=1_000),
    "replayed frame": lambda _: ReplayFeed(bars()),
    "replayed frame, grouped": lambda _: ReplayFeed(bars().sort("symbol", maintain_order=True)),
    "replayed file": lambda files: ReplayFeed(files / "sorted.parquet"),
    "replayed file, grouped": lambda files: ReplayFeed(files / "grouped.parquet"),
    "replayed files": lambda files: ReplayFeed({symbol: files / f"{symbol[:3]}.parquet" for symbol in SYMBOLS}),
    "replay from a start": lambda files: ReplayFeed(files / "sorted.parquet", start="2025-01-02"),
    "ten lines of one's own": lambda _: Sawtooth(),
    "live arrays": lambda _: Live(),
}


@pytest.mark.parametrize("name", FEEDS)
def test_the_feed_keeps_every_promise(name, files):
    check_feed(lambda: FEEDS[name](files), SYMBOLS)


# ---- the suite itself: each broken feed is caught


class Unstable(RandomFeed):
    def candles(self, symbols):
        self.seed += 1
        return super().candles(symbols)


class EntangledPrices(RandomFeed):
    def candles(self, symbols):
        for part in super().candles(symbols):
            for name in ("open", "high", "low", "close"):
                part[name] *= len(symbols)
            yield part


class TornSlices(RandomFeed):
    def candles(self, symbols):
        for part in super().candles(symbols):
            yield part[:100]
            yield part[100:]


class OffTheGrid(RandomFeed):
    def candles(self, symbols):
        for part in super().candles(symbols):
            part["open_time"] += 1
            yield part


class Crossed(RandomFeed):
    def candles(self, symbols):
        for part in super().candles(symbols):
            part["high"][5] = part["low"][5] / 2
            yield part


class DetachedHistory(RandomFeed):
    def history(self, symbols, until_ns, candles):
        return super().history(symbols, self.start_time - self.interval, candles)


class UnlikelyHistory(RandomFeed):
    def history(self, symbols, until_ns, candles):
        past = super().history(symbols, until_ns, candles)
        past["volume"] += 1
        return past


@pytest.mark.parametrize(
    ("broken", "promise"),
    [
        (Unstable, "begins anew"),
        (EntangledPrices, "other markets change no price"),
        (TornSlices, "whole slices"),
        (OffTheGrid, "multiples of the interval"),
        (Crossed, "not crossed"),
        (DetachedHistory, "right before the start"),
        (UnlikelyHistory, "what was delivered"),
    ],
)
def test_a_broken_feed_is_caught_by_the_promise_it_breaks(broken, promise):
    with pytest.raises(AssertionError, match=promise):
        check_feed(lambda: broken("1s", start=0, n=5_000), SYMBOLS)
