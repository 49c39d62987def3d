"""What a result shows: frames as of a live run, a figure that keeps the extremes, a report without a network."""

import re

import numpy as np
import polars as pl
import pytest
from research.workload import Cross, bars

import pairsim as ps
from pairsim.research.downsample import extremes, merge_candles
from pairsim.store import frames


class Protected(ps.Strategy):
    """Entries with protective orders, limits and stops among them."""

    def indicators(self):
        return {"rsi": ps.RSI(14), "mean": ps.SMA(30)}

    def generate_signal(self, ctx):
        if ctx.position.quantity == 0 and ctx.rsi < 35:
            if ctx.index % 2 == 0:
                return ps.buy(weight=0.5, stop_loss=ctx.close * 0.995, take_profit=ctx.close * 1.01)
            return ps.buy(weight=0.5, limit=ctx.close * 0.999, expires=5)
        if ctx.rsi > 70:
            return ps.close()
        return None


@pytest.fixture(scope="module")
def result() -> ps.Result:
    return ps.backtest(Protected(), ps.synthetic(["BTC/USDT", "ETH/USDT"], "1m", n=6_000, seed=11))


def test_frames_have_the_columns_and_types_of_a_live_run(result: ps.Result) -> None:
    empty = {name: frames.raw(name, []) for name in ("events", "fills", "orders", "markets", "traders", "equity")}
    orders = frames.orders(*(empty[name] for name in ("events", "fills", "orders", "markets", "traders")))
    fills = frames.fills(*(empty[name] for name in ("fills", "orders", "markets", "traders")))
    assert dict(result.orders.schema) == dict(orders.schema)
    assert dict(result.fills.schema) == dict(fills.schema)
    assert dict(result.equity.schema) == dict(frames.equity(empty["equity"]).schema)


def test_frames_of_a_run_without_orders_have_the_same_columns(result: ps.Result) -> None:
    class Never(ps.Strategy):
        def generate_signal(self, ctx):
            return None

    idle = ps.backtest(Never(), bars(2_000))
    for name in ("orders", "fills", "equity", "trades", "signals"):
        assert dict(getattr(idle, name).schema) == dict(getattr(result, name).schema), name
    assert len(idle.orders) == len(idle.fills) == len(idle.trades) == 0
    assert idle.stats.reasons["win_rate"] == "no closed trade"
    assert idle.plot() is not None


def test_every_order_ends_and_its_fills_are_its_own(result: ps.Result) -> None:
    orders, fills = result.orders, result.fills
    assert {"MARKET", "LIMIT", "STOP_LOSS", "TAKE_PROFIT"} <= set(orders["type"])
    assert set(orders["status"]) <= {"FILLED", "CANCELED", "EXPIRED", "DENIED"}
    assert orders["order_id"].to_list() == list(range(1, len(orders) + 1))
    assert orders["client_order_id"].is_unique().all()
    by_order = fills.group_by("order_id").agg(pl.col("quantity").sum())
    joined = by_order.join(orders, on="order_id")
    assert joined["quantity"].to_list() == pytest.approx(joined["filled_quantity"].to_list(), abs=1e-12)
    children = orders.filter(pl.col("parent_order_id").is_not_null())
    parents = children.join(orders, left_on="parent_order_id", right_on="order_id", suffix="_parent")
    assert len(parents) == len(children) > 10
    assert (parents["timestamp"] >= parents["timestamp_parent"]).all()


def test_an_order_tells_what_its_decision_had_seen(result: ps.Result) -> None:
    decided = result.orders.filter(pl.col("n").is_not_null())
    equity = dict(result.equity.iter_rows())
    assert [equity[t] for t in decided["timestamp"]] == decided["equity"].to_list()
    fills = result.fills
    for row in decided.sample(40, seed=1).iter_rows(named=True):
        before = fills.filter(pl.col("timestamp") < row["timestamp"])
        flow = pl.when(pl.col("side") == "BUY").then(-pl.col("notional")).otherwise(pl.col("notional")) - pl.col("fee")
        signed = pl.when(pl.col("side") == "BUY").then(pl.col("quantity")).otherwise(-pl.col("quantity"))
        mine = before.filter(pl.col("symbol") == row["symbol"])
        assert row["cash"] == pytest.approx(10_000.0 + before.select(flow.sum()).item(), abs=1e-6)
        assert row["position_quantity"] == pytest.approx(mine.select(signed.sum()).item(), abs=1e-9)


def test_trades_are_round_trips_with_their_profit(result: ps.Result) -> None:
    trades, fills = result.trades, result.fills
    closed = trades.drop_nulls("exit_time")
    gains = (closed["exit_price"] - closed["entry_price"]) * closed["quantity"] - closed["fees"]
    np.testing.assert_allclose(closed["profit"], gains, atol=1e-6)
    np.testing.assert_allclose(closed["profit_share"], closed["profit"] / (closed["entry_price"] * closed["quantity"]))
    assert trades["fills"].sum() == len(fills)
    assert (closed["exit_time"] >= closed["entry_time"]).all()
    assert trades["fees"].sum() == pytest.approx(fills["fee"].sum(), abs=1e-9)


def test_a_reversal_ends_one_trade_and_begins_the_next() -> None:
    class Flip(ps.Strategy):
        def generate_signal(self, ctx):
            if ctx.index % 10 == 5:
                return ps.target(weight=0.5 if ctx.index % 20 == 5 else -0.5)
            return None

    trades = ps.backtest(Flip(), bars(200), broker=ps.SimBroker(short=True)).trades
    assert trades["side"].to_list() == ["LONG", "SHORT"] * 10
    assert trades["exit_time"][:-1].to_list() == trades["entry_time"][1:].to_list()
    assert trades["exit_time"][-1] is None


def test_signals_are_what_the_strategy_said(result: ps.Result) -> None:
    signals = result.signals
    assert set(signals["kind"]) == {"buy", "close"}
    bought = signals.filter(pl.col("kind") == "buy")
    assert set(bought["unit"]) == {"weight"}
    assert set(bought["amount"]) == {0.5}
    assert signals.filter(pl.col("kind") == "close")["amount"].null_count() == len(signals) - len(bought)
    assert set(signals["client_order_id"]) <= set(result.orders["client_order_id"])


def test_two_signals_of_one_evaluation_are_told_apart() -> None:
    class Two(ps.Strategy):
        def generate_signal(self, ctx):
            if ctx.index == 10:
                return ps.hold(), ps.buy(weight=0.25), ps.buy(notional=100.0, limit=ctx.close * 0.99)
            return None

    signals = ps.backtest(Two(), bars(100)).signals
    assert signals["unit"].to_list() == ["weight", "notional"]
    assert signals["amount"].to_list() == [0.25, 100.0]


def test_what_was_assumed_stands_in_the_repr(result: ps.Result) -> None:
    text = repr(ps.backtest(Cross(), bars(3_000), cash=1e6, latency="50ms", slippage_bps=2, fee_bps=7))
    for told in ("next open", "after 50ms", "7 bps", "2 bps of market", "1e-08", "252 days a year", "causality"):
        assert told in text
    short = ps.SimBroker(short=True, participation=0.25, maker_fee_bps=1, jitter="1s", seed=4)
    text = repr(ps.backtest(Cross(), bars(3_000), cash=1e6, broker=short))
    for told in ("short selling allowed", "25.0% of a candle's volume", "makers 1 bps", "up to 1s more (seed 4)"):
        assert told in text
    assert "sharpe" in result._repr_html_()


# --- figures --------------------------------------------------------------------------------------------------------


def test_a_figure_shows_candles_fills_indicators_equity_and_drawdown(result: ps.Result) -> None:
    names = [trace.name for trace in result.plot().data]
    assert names[0] == "candles"
    assert {"mean", "rsi", "equity", "drawdown"} <= set(names)
    assert any(name.startswith("buy") for name in names)
    chosen = result.plot("ETH/USDT", start="2025-01-02", end="2025-01-02 06:00")
    assert len(chosen.data[0].x) == 361
    with pytest.raises(ps.InputError, match="no trader is called 'XMR'"):
        result.plot("XMR")
    with pytest.raises(ps.InputError, match="no candle lies between"):
        result.plot(start="2031-01-01")


def test_a_million_candles_make_a_small_figure() -> None:
    large = ps.backtest(Cross(), bars(1_000_000), cash=1e10)
    figure = large.plot()
    assert sum(len(trace.x) for trace in figure.data) < 20_000


def test_merged_candles_and_lines_keep_the_extremes() -> None:
    history = bars(10_007, 3).columns
    merged = merge_candles(history.open_time, tuple(history[3:]), 500)
    assert len(merged.time) <= 500
    assert merged.high.max() == history.high.max()
    assert merged.low.min() == history.low.min()
    assert (merged.open[0], merged.close[-1]) == (history.open[0], history.close[-1])
    assert merged.volume.sum() == pytest.approx(history.volume.sum())
    line = history.close.copy()
    line[:50] = np.nan
    line[-3] = 1e6
    at = extremes(line, 400)
    assert len(at) <= 410
    assert np.nanmax(line[at]) == 1e6
    assert np.nanmin(line[at]) == np.nanmin(line)
    assert extremes(line[:100], 400).tolist() == list(range(100))


def test_a_report_needs_no_network(result: ps.Result, tmp_path) -> None:
    path = tmp_path / "report.html"
    result.report(path)
    html = path.read_text()
    assert "<h2>Trades</h2>" in html
    assert "sharpe" in html
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)\s*=\s*[\"']?(?:https?:)?//", html)
