"""ReplayFeed: the file's candles in order of time, bad ones quarantined, in memory that does not grow with the file."""

import os
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from pairsim.errors import DataError, FeedError, InputError
from pairsim.feeds import ReplayFeed, tables
from pairsim.market import load, to_columns
from pairsim.market.synthetic import synthetic
from pairsim.market.validation import Reason

NAMES = ("open", "high", "low", "close", "volume")


def whole(feed, symbols=None):
    return np.concatenate(list(feed.candles(symbols or feed.symbols)))


def assert_same(records, frame, symbols):
    columns = to_columns(frame, symbols)
    assert np.array_equal(records["kind_market"], columns.market)
    assert np.array_equal(records["open_time"], columns.open_time)
    for name in NAMES:
        assert np.array_equal(records[name], getattr(columns, name))


@pytest.fixture
def small_slices(monkeypatch):
    """Slices of a few rows, so that every seam of the merge is met."""
    monkeypatch.setattr("pairsim.feeds.replay.SLICE_ROWS", 7)
    monkeypatch.setattr("pairsim.feeds.replay._SMALLEST_SLICE", 1)


@pytest.fixture
def ragged():
    """Three markets with holes, of different beginnings and ends."""
    frame = synthetic(["A/B", "C/D", "E/F"], "1m", n=400, seed=9)
    rng = np.random.default_rng(1)
    keep = rng.random(len(frame)) < 0.7
    keep &= ~((frame["symbol"] == "C/D") & pl.Series(np.arange(len(frame)) < 500)).to_numpy()
    keep &= ~((frame["symbol"] == "E/F") & pl.Series(np.arange(len(frame)) > 900)).to_numpy()
    return frame.filter(keep)


@pytest.mark.parametrize(
    "layout", ["sorted", "grouped", "grouped, shuffled markets", "frame", "grouped frame", "files"]
)
def test_any_layout_gives_every_candle_once_in_order_of_time(ragged, layout, tmp_path, small_slices):
    symbols = ("C/D", "E/F", "A/B")
    path = tmp_path / "x.parquet"
    source = path
    if layout == "sorted":
        ragged.write_parquet(path, row_group_size=50)
    elif layout.startswith("grouped,"):
        pl.concat([ragged.filter(pl.col("symbol") == name) for name in symbols]).write_parquet(path)
    elif layout == "grouped":
        ragged.sort("symbol", maintain_order=True).write_parquet(path, row_group_size=50)
    elif layout == "frame":
        source = ragged
    elif layout == "grouped frame":
        source = ragged.sort("symbol", maintain_order=True)
    else:
        source = {name: ragged.filter(pl.col("symbol") == name).drop("symbol") for name in symbols}
        source["A/B"].write_parquet(tmp_path / "a.parquet")
        source["C/D"].write_csv(tmp_path / "c.csv")
        source |= {"A/B": tmp_path / "a.parquet", "C/D": tmp_path / "c.csv"}
    feed = ReplayFeed(source, interval="1m")
    assert set(feed.symbols) == set(symbols)
    assert_same(whole(feed, symbols), ragged, symbols)
    assert_same(whole(feed, ["E/F"]), ragged, ["E/F"])
    assert feed.quarantined.rows == 0


def test_gaps_are_counted_while_it_plays(shared_data):
    feed = ReplayFeed(shared_data / "ADA_BTC-5m.parquet")
    assert feed.gaps == (0, 0)
    assert len(whole(feed)) == 5_720 and feed.gaps == (5, 40)
    assert len(whole(feed)) == 5_720 and feed.gaps == (5, 40)


def test_real_files_of_several_markets_are_merged(shared_data):
    names = ("ADA", "ETC", "DASH")
    feed = ReplayFeed({name: shared_data / f"{name}_BTC-5m.parquet" for name in names})
    frame = pl.concat([load(shared_data / f"{name}_BTC-5m.parquet", name) for name in names])
    assert feed.interval == 300 * 10**9
    assert_same(whole(feed, names), frame, names)


def test_the_symbol_names_renames_or_picks(ragged, tmp_path):
    ragged.write_parquet(tmp_path / "x.parquet")
    ragged.filter(pl.col("symbol") == "A/B").drop("symbol").write_parquet(tmp_path / "BTC_PERP-1m.parquet")
    assert ReplayFeed(tmp_path / "BTC_PERP-1m.parquet").symbols == ("BTC_PERP",)
    assert ReplayFeed(tmp_path / "BTC_PERP-1m.parquet", symbol="BTC/USD").symbols == ("BTC/USD",)
    picked = ReplayFeed(tmp_path / "x.parquet", symbol="E/F")
    assert picked.symbols == ("E/F",)
    assert_same(whole(picked), ragged, ["E/F"])
    renamed = ReplayFeed({"Z/Z": ragged.filter(pl.col("symbol") == "E/F")}, interval="1m")
    assert renamed.symbols == ("Z/Z",) and len(whole(renamed)) == len(whole(picked))
    with pytest.raises(DataError, match="no market 'X/Y': choose one of"):
        _ = ReplayFeed(ragged, symbol="X/Y").symbols
    with pytest.raises(FeedError, match="no market 'X/Y': it has"):
        whole(ReplayFeed(ragged), ["X/Y"])


def spoil(frame):
    """Bad rows of each kind, at known places, in a market's own rows."""
    price = pl.col("open")
    row = pl.int_range(pl.len())
    frame = frame.with_columns(
        open=pl.when(row == 3).then(float("nan")).otherwise(price),
        low=pl.when(row == 40).then(0.0).otherwise("low"),
        high=pl.when(row == 41).then(1.0).otherwise("high"),
        volume=pl.when(row == 77).then(-1.0).otherwise("volume"),
    )
    moved = pl.when(row == 50).then(pl.col("timestamp").shift(1)).when(row == 60).then(pl.col("timestamp").shift(5))
    off = moved.when(row == 70).then(pl.col("timestamp").dt.offset_by("1s")).otherwise("timestamp")
    return frame.with_columns(timestamp=off)


SPOILT = {
    3: Reason.NOT_A_NUMBER,
    40: Reason.NOT_POSITIVE,
    41: Reason.CROSSED,
    50: Reason.DUPLICATE,
    60: Reason.OUT_OF_ORDER,
    70: Reason.OFF_GRID,
    77: Reason.NEGATIVE_VOLUME,
}


@pytest.mark.parametrize("kind", ["file", "frame"])
def test_bad_candles_are_quarantined_with_row_and_reason_and_all_others_delivered(kind, tmp_path, small_slices):
    good = synthetic("A/B", "1m", n=300)
    spoilt = spoil(good)
    spoilt.write_parquet(tmp_path / "x.parquet")
    feed = ReplayFeed(tmp_path / "x.parquet" if kind == "file" else spoilt)
    for _ in range(2):  # counted anew by each run
        assert_same(whole(feed), good.filter(~pl.int_range(pl.len()).is_in(list(SPOILT))), ["A/B"])
        assert feed.quarantined.rows == len(SPOILT)
        assert feed.quarantined.reasons == dict.fromkeys(SPOILT.values(), 1)
        assert {bad.row: bad.reason for bad in feed.quarantined.first} == SPOILT
    assert feed.gaps == (6, 7)  # what is left out is missing: rows 40 and 41 are one gap


def test_a_row_number_counts_in_the_file_even_where_one_market_is_read(tmp_path):
    frame = synthetic(["A/B", "C/D"], "1m", n=100)
    frame = frame.with_columns(low=pl.when(pl.int_range(pl.len()) == 51).then(-1.0).otherwise("low"))
    frame.write_parquet(tmp_path / "x.parquet")
    feed = ReplayFeed(tmp_path / "x.parquet")
    assert len(whole(feed, ["C/D"])) == 99
    assert [bad.row for bad in feed.quarantined.first] == [51]


def test_a_table_that_is_misunderstood_as_a_whole_is_an_error_not_a_quarantine(tmp_path):
    bars = synthetic("A/B", "1h", n=200)
    with pytest.raises(DataError, match=r"out of order: sort it once, .*sort\(\"timestamp\"\)"):
        whole(ReplayFeed(bars.reverse()))
    with pytest.raises(DataError, match=r"off the grid of 1h, such as 2025-01-01 00:25:00: give the length"):
        whole(ReplayFeed(bars.with_columns(pl.col("timestamp").dt.offset_by("25m"))))
    with pytest.raises(DataError, match=r"no candle can be replayed, 200 candles quarantined \(200 not positive\)"):
        whole(ReplayFeed(bars.with_columns(open=-pl.col("open"))))
    days = synthetic(["A/B", "C/D"], "1h", n=200).sort(pl.col("timestamp").dt.date(), "symbol", maintain_order=True)
    days.write_parquet(tmp_path / "days.parquet")
    with pytest.raises(DataError, match="sort it once"):
        whole(ReplayFeed(tmp_path / "days.parquet"))
    assert len(whole(ReplayFeed(days))) == 400  # in memory any order across markets will do


def test_the_interval_is_the_most_common_distance_or_the_one_given():
    bars = synthetic("A/B", "5m", n=50).filter(pl.int_range(pl.len()) % 7 != 3)
    assert ReplayFeed(bars).interval == 300 * 10**9
    assert ReplayFeed(bars, interval="1m").interval == 60 * 10**9
    with pytest.raises(DataError, match=r'no two candles .* interval="1m"'):
        _ = ReplayFeed(bars[:1]).interval
    with pytest.raises(DataError, match="nothing to replay"):
        _ = ReplayFeed(bars[:0]).interval
    with pytest.raises(DataError, match=r"candles of 5m in .* and of 1m in"):
        _ = ReplayFeed({"A/B": bars, "C/D": synthetic("C/D", "1m", n=9)}).interval


def test_candles_before_the_start_are_history(tmp_path, small_slices):
    bars = synthetic(["A/B", "C/D"], "1m", n=300)
    bars.write_parquet(tmp_path / "x.parquet")
    feed = ReplayFeed(tmp_path / "x.parquet", start="2025-01-01 01:40")
    assert feed.start_time == int(bars["timestamp"].to_physical()[200])
    assert_same(whole(feed), bars[200:], ["A/B", "C/D"])
    assert_same(feed.history(["A/B", "C/D"], None, 10), bars[180:200], ["A/B", "C/D"])
    assert_same(feed.history(["A/B", "C/D"], None, 1_000), bars[:200], ["A/B", "C/D"])
    assert_same(feed.history(["A/B", "C/D"], feed.start_time + 5 * 60 * 10**9, 10), bars[190:210], ["A/B", "C/D"])
    assert len(ReplayFeed(bars).history(["A/B"], None, 10)) == 0


def test_a_missing_or_broken_file_is_an_error_when_the_feed_is_made(tmp_path):
    with pytest.raises(DataError, match=r"no file .*nowhere\.parquet.* check the path"):
        ReplayFeed(tmp_path / "nowhere.parquet")
    (tmp_path / "x.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(DataError, match=r"x\.parquet.* cannot be read as parquet.* fetch it again"):
        ReplayFeed(tmp_path / "x.parquet")
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "y.parquet")
    with pytest.raises(DataError, match=r"y\.parquet: no column for timestamp, open"):
        ReplayFeed(tmp_path / "y.parquet")


def test_a_file_that_goes_or_breaks_while_it_is_read_is_named(tmp_path):
    path = tmp_path / "x.parquet"
    synthetic("A/B", "1m", n=100_000).write_parquet(path, row_group_size=10_000)
    feed = ReplayFeed(path)
    assert feed.symbols == ("A/B",) and feed.interval
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 50_000] = b"\xff" * 50_000
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"x\.parquet.* cannot be read"):
        whole(feed)
    path.unlink()
    with pytest.raises(DataError, match=r"x\.parquet.* cannot be read"):
        whole(feed)


def test_wrong_arguments_are_refused_by_name(ragged):
    with pytest.raises(InputError, match="speed=0"):
        ReplayFeed(ragged, speed=0)
    with pytest.raises(InputError, match="names its markets itself"):
        ReplayFeed({"A/B": ragged}, symbol="A/B")
    with pytest.raises(InputError, match="nothing to replay"):
        ReplayFeed({})


def test_a_dict_of_columns_is_a_table_and_not_a_dict_of_markets():
    bars = synthetic("A/B", "1m", n=5)
    assert ReplayFeed(bars.drop("symbol").to_dict(as_series=False), symbol="A/B").symbols == ("A/B",)


def test_a_relative_path_still_works_in_a_process_that_is_elsewhere(tmp_path, monkeypatch):
    synthetic("A/B", "1m", n=5).write_parquet(tmp_path / "x.parquet")
    monkeypatch.chdir(tmp_path)
    feed = ReplayFeed("x.parquet")
    monkeypatch.chdir(os.sep)
    assert len(whole(feed)) == 5


def test_a_file_is_never_read_as_a_whole(tmp_path, monkeypatch):
    """No more than one slice is asked for at a time, and the next only when the one before is used up."""
    synthetic("A/B", "1s", n=600_000).write_parquet(tmp_path / "x.parquet")
    asked = []
    read = tables.Table._slice
    monkeypatch.setattr(tables.Table, "_slice", lambda self, first, rows: asked.append(rows) or read(self, first, rows))
    feed = ReplayFeed(tmp_path / "x.parquet", interval="1s")
    next(feed.candles(["A/B"]))
    assert asked == [tables.SLICE_ROWS]


def test_memory_does_not_grow_with_the_file(tmp_path):
    """A file of 288 MB of candles in a process whose peak stays 160 MB above its start (a slice takes 60 to 120)."""
    path = tmp_path / "x.parquet"
    synthetic("A/B", "1s", n=6_000_000).drop("symbol").write_parquet(path, compression="uncompressed")
    code = (
        "import resource, sys\n"
        "from pairsim.feeds import ReplayFeed\n"
        "from pairsim.market.synthetic import synthetic\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "next(ReplayFeed(synthetic('A/B', '1s', n=1_000)).candles(['A/B'])); before = peak()\n"
        f"feed = ReplayFeed({str(path)!r})\n"
        "assert sum(len(part) for part in feed.candles(feed.symbols)) == 6_000_000\n"
        "assert peak() - before < 160, peak() - before\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100, env={**os.environ, "POLARS_MAX_THREADS": "2"})
