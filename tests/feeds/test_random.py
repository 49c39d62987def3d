"""RandomFeed: one path, however it is looked at."""

import numpy as np
import pytest

from pairsim import clock
from pairsim.errors import InputError
from pairsim.feeds import RandomFeed
from pairsim.market.synthetic import synthetic

S = 10**9


def whole(feed, symbols):
    return np.concatenate(list(feed.candles(symbols)))


def test_its_candles_are_those_of_synthetic_of_the_same_seed():
    feed = RandomFeed("1m", seed=7, start="2025-01-01", n=3_000)
    frame = synthetic(["A/B", "C/D"], "1m", n=3_000, seed=7)
    candles = whole(feed, ["A/B", "C/D"])
    for name in ("open", "high", "low", "close", "volume"):
        assert np.array_equal(candles[name], frame[name].to_numpy())


def test_batches_hold_whole_slices_of_about_8192_candles():
    sizes = [len(part) for _, part in zip(range(3), RandomFeed(start=0).candles([f"S{k}/USDT" for k in range(100)]))]
    assert sizes == [8_100, 8_100, 8_100]
    many = [f"S{k}/USDT" for k in range(10_000)]
    assert len(next(RandomFeed(start=0).candles(many))) == 10_000


def test_n_candles_of_each_market_and_no_more():
    assert len(whole(RandomFeed(n=5_001, start=0), ["A/B", "C/D"])) == 10_002


def test_history_and_candles_are_one_path_wherever_it_is_cut():
    feed = RandomFeed("1s", seed=5, start=1_000 * S, n=20_000)
    symbols = ["A/B", "C/D"]
    path = np.concatenate([feed.history(symbols, None, 400), whole(feed, symbols)])
    assert np.array_equal(path["open"][2:], path["close"][:-2]) and (np.diff(path["open_time"])[1::2] == S).all()
    for until in (700, 999, 1_000, 1_001, 1_200, 9_000, 21_000):
        past = feed.history(symbols, until * S, 100)
        end = 2 * (until - 600)
        assert np.array_equal(past, path[end - 200 : end]), until
    assert np.array_equal(feed.history(symbols, 30_000 * S, 100), path[-200:])  # the feed ended at 21,000
    assert len(feed.history(symbols, 1_000 * S + 1, 3)) == 6 and len(feed.history(symbols, None, 0)) == 0


def test_the_start_is_the_current_time_floored_to_the_tick_and_stays_once_looked_at(monkeypatch):
    times = iter([1_234_567_890, 9_999_999_999])
    monkeypatch.setattr(clock, "wall_ns", lambda: next(times))
    feed = RandomFeed("100ms")
    assert feed.start_time == 1_200_000_000 == feed.start_time
    assert next(feed.candles(["A/B"]))["open_time"][0] == 1_200_000_000
    assert RandomFeed("1m", start="2025-01-01 00:00:59").start_time == RandomFeed("1m", start="2025-01-01").start_time


def test_volatility_is_per_square_root_of_a_year_for_any_tick():
    for tick, per_year in (("1s", 31_536_000), ("1h", 8_760)):
        candles = whole(RandomFeed(tick, volatility=0.8, start=0, n=50_000, seed=2), ["A/B"])
        moves = np.log(candles["close"] / candles["open"])
        assert moves.std() * np.sqrt(per_year) == pytest.approx(0.8, rel=0.02)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"tick": "fast"}, "fast"),
        ({"speed": 0}, "speed=0"),
        ({"seed": "x"}, "seed='x'"),
        ({"volatility": -1}, "volatility=-1"),
        ({"n": 0}, "n=0"),
        ({"start": "soon"}, "soon"),
    ],
)
def test_wrong_arguments_are_refused_by_name(wrong, named):
    with pytest.raises(InputError, match=named):
        RandomFeed(**wrong)


def test_no_market_or_one_twice_is_refused():
    for symbols in ([], ["A/B", "A/B"]):
        with pytest.raises(InputError, match="symbols"):
            next(RandomFeed().candles(symbols))


def test_the_repr_says_what_was_asked_for():
    assert repr(RandomFeed(seed=7)) == "RandomFeed('100ms', speed=1.0, seed=7, volatility=0.6)"
    assert "start='2025-01-01 00:00:00', n=3, lockstep=True" in repr(
        RandomFeed(start="2025-01-01", n=3, lockstep=True, speed=None)
    )
