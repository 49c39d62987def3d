"""Signals computed elsewhere trade as the same signals of a class would, and a wrong table is refused by its row."""

import polars as pl
import pytest

import pairsim as ps


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    return ps.synthetic(["BTC/USDT", "ETH/USDT"], "1m", n=2_000, seed=3)


class Above(ps.Strategy):
    def indicators(self):
        return {"mean": ps.SMA(20)}

    def generate_signal(self, ctx):
        if ctx.close > ctx.mean and ctx.position.quantity == 0:
            return ps.buy(weight=0.4)
        if ctx.close < ctx.mean and ctx.position.quantity > 0:
            return ps.close()
        return None


def _crossings(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows on which `Above` wants something: positions follow from the signals alone."""
    mean = pl.Series(ps.sma(frame["close"].to_numpy(), 20))
    above = frame.with_columns(above=pl.col("close") > mean, known=mean.is_not_nan()).filter("known")
    turns = above.filter(pl.col("above") != pl.col("above").shift(1, fill_value=False))
    side = pl.when("above").then(pl.lit("buy")).otherwise(pl.lit("close"))
    weight = pl.when("above").then(0.4)
    return turns.select("timestamp", "symbol", side=side, weight=weight)


def test_a_table_trades_as_the_class_it_was_made_by(bars: pl.DataFrame) -> None:
    one = bars.filter(pl.col("symbol") == "BTC/USDT")
    by_table, by_class = ps.backtest(_crossings(one), one), ps.backtest(Above(), one)
    assert len(by_class.fills) > 20
    assert by_table.fills.equals(by_class.fills)
    assert by_table.equity.equals(by_class.equity)


def test_a_table_of_several_markets_shares_one_account(bars: pl.DataFrame) -> None:
    parts = [_crossings(frame) for frame in bars.partition_by("symbol")]
    by_table, by_class = ps.backtest(pl.concat(parts), bars), ps.backtest(Above(), bars)
    assert by_table.equity.equals(by_class.equity)
    assert ps.backtest(pl.concat(parts[::-1]), bars).digest == by_table.digest  # rows in any order


def test_a_signal_is_acted_on_at_the_close_of_its_candle_and_filled_at_the_next_open(bars: pl.DataFrame) -> None:
    one = bars.filter(pl.col("symbol") == "ETH/USDT")
    row = pl.DataFrame({"timestamp": one["timestamp"][100:101], "symbol": "ETH/USDT", "side": "BUY", "weight": 1.0})
    result = ps.backtest(row, one)
    assert result.orders["timestamp"][0] == one["timestamp"][101]
    assert result.fills["timestamp"][0] == one["timestamp"][101]
    assert result.fills["price"][0] == one["open"][101]


def _table(bars: pl.DataFrame, **changed: object) -> pl.DataFrame:
    base = {"timestamp": bars["timestamp"][10], "symbol": "BTC/USDT", "side": "buy", "weight": 0.5}
    return pl.DataFrame([base | changed])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"symbol": "XMR/USDT"}, "row 0: no market 'XMR/USDT'"),
        ({"side": "hold"}, "row 0: side 'hold' must be one of buy, sell, target, close"),
        ({"weight": 1.5}, r"row 0: .* has weight 1.5"),
        ({"weight": None}, r"row 0: .* has weight nan"),
        ({"timestamp": 5}, "timestamp is Int64; give datetimes"),
        ({"timestamp": None}, "row 0: it has no timestamp|timestamp is Null"),
    ],
)
def test_a_wrong_row_is_named(changed: dict[str, object], message: str, bars: pl.DataFrame) -> None:
    with pytest.raises(ps.InputError, match=message):
        ps.backtest(_table(bars, **changed), bars)


def test_a_stamp_that_is_no_candle_is_an_error(bars: pl.DataFrame) -> None:
    shifted = _table(bars).with_columns(pl.col("timestamp").dt.offset_by("30s"))
    with pytest.raises(ps.InputError, match=r"row 0: .* is no candle of BTC/USDT"):
        ps.backtest(shifted, bars)
    with pytest.raises(ps.InputError, match=r"row 1: .* has a second signal"):
        ps.backtest(pl.concat([_table(bars), _table(bars)]), bars)


def test_a_missing_column_is_named(bars: pl.DataFrame) -> None:
    with pytest.raises(ps.InputError, match="signals lack weight"):
        ps.backtest(_table(bars).drop("weight"), bars)
    one = bars.filter(pl.col("symbol") == "BTC/USDT")
    assert len(ps.backtest(_table(bars).drop("symbol"), one).fills) == 1  # one market needs no name


def test_every_does_not_go_with_a_table(bars: pl.DataFrame) -> None:
    with pytest.raises(ps.InputError, match="every='5m'"):
        ps.backtest(_table(bars), bars, every="5m")


def test_a_function_that_raises_says_what(bars: pl.DataFrame) -> None:
    with pytest.raises(ps.InputError, match="the signal function raised KeyError: 'nope'"):
        ps.backtest(lambda frame: {}["nope"], bars)


def test_a_table_of_another_library_is_named(bars: pl.DataFrame) -> None:
    with pytest.raises(ps.InputError, match=r"a polars frame of timestamp, symbol, side, weight, got pandas\."):
        ps.backtest(_crossings(bars).to_pandas(), bars)
