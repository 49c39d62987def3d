"""Loading: every kind of table gives the same frame, and no bad candle passes unnoticed."""

import datetime as dt
import logging

import numpy as np
import polars as pl
import pytest

from pairsim.errors import DataError, InputError
from pairsim.market import Columns, from_columns, load, quality, to_columns
from pairsim.market.synthetic import synthetic
from pairsim.market.validation import NO_TIME, Reason, judge, price_reason

SCHEMA = {
    "symbol": pl.String,
    "timestamp": pl.Datetime("ns", "UTC"),
    **dict.fromkeys(("open", "high", "low", "close", "volume"), pl.Float64),
}


@pytest.fixture
def bars():
    return synthetic("BTC/USDT", "1m", n=50, seed=1)


def plain(bars):
    return bars.drop("symbol")


def with_cell(bars, row, **cells):
    """The frame with single cells changed."""
    for name, value in cells.items():
        column = bars[name].to_list()
        column[row] = value
        bars = bars.with_columns(pl.Series(name, column, dtype=bars[name].dtype))
    return bars


# ---- kinds of source


def test_a_standard_frame_passes_unchanged(bars):
    assert load(bars).equals(bars)
    assert dict(load(bars).schema) == SCHEMA


def test_every_kind_of_table_gives_the_same_frame(bars, tmp_path):
    table = plain(bars)
    table.write_parquet(tmp_path / "x.parquet")
    table.write_csv(tmp_path / "x.csv")
    table.write_ipc(tmp_path / "x.arrow")
    pandas = table.to_pandas()
    sources = {
        "parquet": tmp_path / "x.parquet",
        "text path": str(tmp_path / "x.parquet"),
        "csv": tmp_path / "x.csv",
        "arrow file": tmp_path / "x.arrow",
        "polars": table,
        "lazy": table.lazy(),
        "pyarrow": table.to_arrow(),
        "pandas": pandas,
        "pandas index": pandas.set_index("timestamp"),
        "pandas unnamed index": pandas.set_index("timestamp").rename_axis(None),
        "pandas naive": pandas.assign(timestamp=pandas["timestamp"].dt.tz_localize(None)),
        "pandas text": pandas.assign(timestamp=pandas["timestamp"].astype(str)),
        "dict": table.to_dict(as_series=False),
        "records": pandas.assign(timestamp=pandas["timestamp"].astype("int64")).to_records(index=False),
    }
    for kind, source in sources.items():
        assert load(source, "BTC/USDT").equals(bars), kind


@pytest.mark.parametrize(
    "names", ["date Open High Low Close Volume", "Timestamp o h l c v", "open_time OPEN HIGH LOW CLOSE vol"]
)
def test_usual_column_names_are_understood(bars, names):
    table = plain(bars).rename(dict(zip(plain(bars).columns, names.split(), strict=True)))
    assert load(table.with_columns(close_time=1, extra=2.0), "BTC/USDT").equals(bars)


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_datetimes_of_any_unit_and_zone_are_understood(bars, unit, zone):
    times = plain(bars)["timestamp"].dt.cast_time_unit(unit)
    times = times.dt.replace_time_zone(None) if zone is None else times.dt.convert_time_zone(zone)
    assert load(plain(bars).with_columns(timestamp=times), "BTC/USDT").equals(bars)


def test_a_time_beyond_what_nanoseconds_can_hold_is_missing(bars):
    far = plain(bars).with_columns(timestamp=pl.lit(dt.date(2900, 1, 1)))
    with pytest.raises(DataError, match=r"row 0 .*its time is missing or not readable"):
        load(far)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("form", ["int", "float", "text"])
def test_whole_times_in_any_unit_are_understood(bars, unit, form):
    divisor = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[unit]
    times = plain(bars)["timestamp"].to_physical() // divisor
    times = times.cast({"int": pl.Int64, "float": pl.Float64, "text": pl.String}[form])
    assert load(plain(bars).with_columns(timestamp=times), "BTC/USDT").equals(bars)


@pytest.mark.parametrize(
    "text",
    [
        "2025-01-01T00:01:00Z",
        "2025-01-01 00:01:00",
        "2025-01-01 02:01:00+02:00",
        "2025-01-01 00:01",
        "2025/01/01 00:01:00.000",
        "2025-01-01 00:01:00 UTC",
    ],
)
def test_written_times_are_understood_with_and_without_an_offset(text):
    row = {"time": [text], "open": [1.0], "high": [1.0], "low": [1.0], "close": [1.0], "volume": [0.0]}
    assert load(row)["timestamp"][0] == dt.datetime(2025, 1, 1, 0, 1, tzinfo=dt.UTC)


def test_real_data_loads_with_its_gaps_counted(shared_data):
    assert len(load(shared_data / "BTC_PERP-1m.parquet", symbol="BTC/USD")) == 45_031
    report = quality(shared_data / "ADA_BTC-5m.parquet")
    assert (report.interval_ns, report.bad, report.gaps, report.missing) == (300 * 10**9, 0, 5, 40)
    assert report.longest_gap.missing == 33 and report.first_gap.missing == 1
    assert quality(shared_data / "BTC_PERP-1m.parquet").gaps == 0


# ---- symbols


def test_a_symbol_names_the_market_renames_the_only_one_or_picks_one_of_several(tmp_path):
    both = synthetic(["A/B", "C/D"], "1m", n=10)
    assert load(both)["symbol"].unique().sort().to_list() == ["A/B", "C/D"]
    assert load(both, "C/D").equals(both.filter(pl.col("symbol") == "C/D"))
    assert load(load(both, "C/D"), "E/F")["symbol"].unique().to_list() == ["E/F"]
    with pytest.raises(DataError, match="no market 'X/Y': choose one of A/B, C/D"):
        load(both, "X/Y")


def test_without_a_symbol_a_file_gives_its_name_and_a_table_a_stand_in(bars, tmp_path):
    plain(bars).write_parquet(tmp_path / "BTC_PERP-1m.parquet")
    assert load(tmp_path / "BTC_PERP-1m.parquet")["symbol"][0] == "BTC_PERP"
    assert load(plain(bars))["symbol"][0] == "MARKET"


# ---- bad candles

BAD = [
    ({"open": float("nan")}, Reason.NOT_A_NUMBER),
    ({"high": float("inf")}, Reason.NOT_A_NUMBER),
    ({"volume": None}, Reason.NOT_A_NUMBER),
    ({"low": 0.0}, Reason.NOT_POSITIVE),
    ({"close": -1.0}, Reason.NOT_POSITIVE),
    ({"high": 1.0}, Reason.CROSSED),
    ({"low": 1e9}, Reason.CROSSED),
    ({"volume": -0.5}, Reason.NEGATIVE_VOLUME),
    ({"timestamp": None}, Reason.NO_TIME),
    ({"timestamp": dt.datetime(2025, 1, 1, 0, 16, tzinfo=dt.UTC)}, Reason.DUPLICATE),
    ({"timestamp": dt.datetime(2025, 1, 1, 0, 3, tzinfo=dt.UTC)}, Reason.OUT_OF_ORDER),
]


@pytest.mark.parametrize(("cells", "reason"), BAD)
def test_a_bad_candle_is_named_by_row_and_reason(bars, cells, reason):
    broken = with_cell(bars, 17, **cells)
    with pytest.raises(DataError) as error:
        load(broken)
    assert "row 17 " in str(error.value) and reason.text in str(error.value)
    assert "1 of 50 rows are bad" in str(error.value) and 'on_bad="drop"' in str(error.value)


@pytest.mark.parametrize(("cells", "reason"), BAD)
def test_dropping_leaves_out_that_row_alone_and_counts_it(bars, cells, reason, caplog):
    broken = with_cell(bars, 17, **cells)
    with caplog.at_level(logging.INFO, "pairsim"):
        kept = load(broken, on_bad="drop")
    assert kept.equals(pl.concat([bars[:17], bars[18:]]))
    assert "1 of 50 rows dropped" in caplog.text
    report = quality(kept)
    assert (report.dropped, report.bad, report.reasons, report.first_bad.row) == (1, 0, {reason: 1}, 17)
    assert (report.gaps, report.missing) == (1, 1)
    assert (quality(broken).dropped, quality(broken).bad, quality(broken).reasons) == (0, 1, {reason: 1})


def test_a_row_that_is_bad_does_not_decide_whether_later_rows_are_in_order(bars):
    future = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    broken = with_cell(bars, 17, timestamp=future, open=float("nan"))
    assert len(load(broken, on_bad="drop")) == 49


def test_duplicates_and_order_are_judged_within_one_market_only():
    both = synthetic(["A/B", "C/D"], "1m", n=10)
    assert load(both).equals(both)
    grouped = both.sort("symbol", maintain_order=True)
    assert load(grouped).equals(grouped)


def test_a_row_number_counts_in_the_source_even_where_one_market_is_picked():
    both = with_cell(synthetic(["A/B", "C/D"], "1m", n=10), 9, low=-1.0)
    assert len(load(both, "A/B")) == 10
    with pytest.raises(DataError, match="row 9 "):
        load(both, "C/D")


def test_a_dict_has_a_source_for_each_market(bars, tmp_path):
    plain(bars).write_parquet(tmp_path / "eth.parquet")
    plain(bars).write_csv(tmp_path / "ltc.csv")
    both = load({"ETH/BTC": tmp_path / "eth.parquet", "LTC/BTC": str(tmp_path / "ltc.csv"), "A/B": plain(bars)})
    assert both.equals(pl.concat([load(plain(bars), name) for name in ("ETH/BTC", "LTC/BTC", "A/B")]))
    assert quality({"ETH/BTC": tmp_path / "eth.parquet", "A/B": bars}).rows == 2 * len(bars)
    assert load({"A/B": plain(bars).to_dict(as_series=False)})["symbol"].unique().to_list() == ["A/B"]


def test_what_is_wrong_with_one_source_of_a_dict_is_named(bars, tmp_path):
    plain(bars).write_parquet(tmp_path / "eth.parquet")
    there = tmp_path / "eth.parquet"
    with pytest.raises(DataError, match=r"no file '.*eht.parquet'.*did you mean 'eth.parquet'"):
        load({"LTC/BTC": there, "ETH/BTC": tmp_path / "eht.parquet"})
    with pytest.raises(DataError, match="type list is not understood"):
        load({"LTC/BTC": there, "ETH/BTC": [1, 2]})
    with pytest.raises(InputError, match="a dict of sources names its markets itself"):
        load({"LTC/BTC": there}, "LTC/BTC")
    with pytest.raises(DataError, match="no column"):
        load({"a": [1.0], "b": [2.0]})  # one table, though it lacks what a table needs
    broken = plain(with_cell(bars, 17, low=-1.0))
    dropped = load({"ETH/BTC": there, "A/B": broken, "C/D": broken}, on_bad="drop")
    assert (quality(dropped).dropped, quality(dropped).first_bad.row) == (2, 17)


def test_text_in_a_number_column_of_a_csv_is_a_bad_row_not_a_failed_read(bars, tmp_path):
    lines = plain(bars).write_csv().splitlines()
    lines[8] = lines[8].replace(lines[8].split(",")[3], "n/a")
    (tmp_path / "x.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match="row 7 "):
        load(tmp_path / "x.csv")


@pytest.mark.parametrize(
    ("candle", "reason"),
    [
        ((5.0, 6.0, 4.0, 5.5, 0.0), Reason.GOOD),
        ((5.0, 5.0, 5.0, 5.0, 0.0), Reason.GOOD),
        ((5.0, 4.9, 4.0, 4.5, 1.0), Reason.CROSSED),
        ((4.5, 4.9, 4.0, 5.0, 1.0), Reason.CROSSED),
        ((5.0, 6.0, 5.1, 5.5, 1.0), Reason.CROSSED),
        ((5.5, 6.0, 5.1, 5.0, 1.0), Reason.CROSSED),
        ((5.0, 6.0, 4.0, float("-inf"), 1.0), Reason.NOT_A_NUMBER),
        ((-0.0, 6.0, 4.0, 5.0, 1.0), Reason.NOT_POSITIVE),
    ],
)
def test_a_candle_is_judged_by_its_own_values(candle, reason):
    assert price_reason(*candle) == price_reason.py_func(*candle) == reason


def test_times_are_judged_to_the_nanosecond():
    times = np.array([10, 11, 11, 10, NO_TIME, 12])
    reasons = judge(np.zeros(6, np.int64), times, *np.ones((5, 6)), np.full(1, NO_TIME))
    want = [Reason.GOOD, Reason.GOOD, Reason.DUPLICATE, Reason.OUT_OF_ORDER, Reason.NO_TIME, Reason.GOOD]
    assert reasons.tolist() == want


def test_judging_in_batches_equals_judging_at_once():
    rng = np.random.default_rng(5)
    n = 2_000
    market, time = rng.integers(0, 3, n), rng.integers(0, 700, n).cumsum() // 300
    prices = np.full((5, n), 2.0)
    prices[rng.integers(0, 5, 60), rng.integers(0, n, 60)] = -1.0
    whole = judge(market, time, *prices, np.full(3, NO_TIME), 2)
    last, parts = np.full(3, NO_TIME), []
    for part in np.array_split(np.arange(n), 13):
        parts.append(judge(market[part], time[part], *prices[:, part], last, 2))
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert set(whole) >= {Reason.GOOD, Reason.NOT_POSITIVE, Reason.NEGATIVE_VOLUME, Reason.DUPLICATE, Reason.OFF_GRID}


# ---- what cannot be read


def test_a_missing_file_names_the_path_and_a_near_one(bars, tmp_path):
    plain(bars).write_parquet(tmp_path / "btc-1m.parquet")
    with pytest.raises(DataError, match=r"no file .*btc-1n\.parquet.* did you mean 'btc-1m\.parquet'"):
        load(tmp_path / "btc-1n.parquet")


def test_a_broken_file_a_folder_and_an_unknown_kind_say_what_to_do(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(DataError, match=r"x\.parquet' cannot be read as parquet: .* fetch it again"):
        load(tmp_path / "x.parquet")
    with pytest.raises(DataError, match="is a folder"):
        load(tmp_path)
    (tmp_path / "x.docx").write_bytes(b"")
    with pytest.raises(DataError, match=r"ends with \.parquet"):
        load(tmp_path / "x.docx")
    (tmp_path / "empty.csv").write_bytes(b"")
    with pytest.raises(DataError, match="cannot be read as csv"):
        load(tmp_path / "empty.csv")
    with pytest.raises(DataError, match="type int is not understood"):
        load(3)


def test_a_missing_column_is_named_with_those_there_are(bars):
    with pytest.raises(DataError, match=r"no column for volume .*'timestamp', 'open'.* volume=0\.0"):
        load(plain(bars).drop("volume"))
    with pytest.raises(DataError, match="too small for s, ms, us or ns"):
        load(plain(bars).with_columns(timestamp=pl.int_range(50)))


def test_wrong_options_are_refused(bars):
    with pytest.raises(InputError, match='choose "raise" or "drop"'):
        load(bars, on_bad="ignore")
    with pytest.raises(InputError, match="not a market's name"):
        load(bars, symbol="")


# ---- columns


def test_columns_are_sorted_by_time_then_market_and_come_back_as_a_frame():
    both = synthetic(["A/B", "C/D"], "1m", n=10)
    columns = to_columns(both.sort("symbol", maintain_order=True))
    assert columns.symbols == ("A/B", "C/D")
    assert columns.market.tolist() == [0, 1] * 10 and np.all(np.diff(columns.open_time) >= 0)
    assert columns.market.dtype == columns.open_time.dtype == np.int64 and columns.close.dtype == np.float64
    assert from_columns(columns).equals(both)


def test_columns_can_be_asked_for_by_market():
    both = synthetic(["A/B", "C/D", "E/F"], "1m", n=10)
    columns = to_columns(both, ["E/F", "A/B"])
    assert columns.symbols == ("E/F", "A/B") and columns.market.tolist() == [0, 1] * 10
    assert columns.close[0] == both.filter(pl.col("symbol") == "E/F")["close"][0]
    with pytest.raises(DataError, match="no candles of 'X/Y'"):
        to_columns(both, ["X/Y"])
    with pytest.raises(DataError, match=r"through pairsim\.load"):
        to_columns(pl.DataFrame({"a": [1]}))


def test_a_frame_without_rows_is_no_error():
    empty = synthetic("A/B", "1m", n=1).clear()
    assert load(empty).equals(empty)
    assert [len(column) for column in to_columns(empty)[1:]] == [0] * 7
    assert isinstance(to_columns(empty, ["A/B"]), Columns)
    assert (quality(empty).rows, quality(empty).interval_ns, quality(empty).gaps) == (0, 0, 0)


def test_the_report_is_told_in_text_and_html(bars):
    report = quality(pl.concat([bars[:10], bars[20:25], bars[26:]]))
    assert (report.gaps, report.missing, report.first_gap.missing, report.longest_gap.missing) == (2, 11, 10, 10)
    assert "2, 11 candles missing" in repr(report) and "2025-01-01 00:10:00" in repr(report)
    assert "<table>" in report._repr_html_()
