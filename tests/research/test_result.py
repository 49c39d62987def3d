"""What a result shows: frames as of a live run, a figure that keeps the extremes, a report without a network."""

import re

import numpy as np
import polars as pl
import pytest
from chromium import chromium
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


def test_an_open_trade_is_said_to_be_beside_those_that_are_counted() -> None:
    class Holds(ps.Strategy):
        def generate_signal(self, ctx):
            if ctx.index % 50 == 5:
                return ps.buy(weight=0.1)
            return ps.close() if ctx.index % 50 == 25 else None

    held, flat = ps.backtest(Holds(), bars(120)), ps.backtest(Holds(), bars(90))
    assert held.stats.trades == len(held.trades) - 1 == len(held.trades.drop_nulls("exit_time")) == 2
    said = "1 trade is still open: in result.trades with no exit_time, beside 2 closed trades"
    assert said in repr(held) and said in held._repr_html_()
    assert flat.stats.trades == len(flat.trades) == 2
    assert "still open" not in repr(flat)


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


class Pair(ps.Strategy):
    """Buys one of its markets and sells the other."""

    markets = 2

    def indicators(self):
        return {"rsi": ps.RSI(14)}

    def generate_signal(self, ctx):
        if ctx.index % 100 == 50:
            return ps.target(weight=0.3), ps.target(weight=-0.3, market=1)
        return (ps.close(), ps.close(market=1)) if ctx.index % 100 == 90 else None


def test_a_figure_shows_every_market_of_its_trader_with_its_own_fills() -> None:
    history = ps.synthetic(["BTC/USDT", "ETH/USDT"], "1m", n=400, seed=11)
    figure = ps.backtest(Pair(), history, broker=ps.SimBroker(short=True)).plot()
    titles = [axis.title.text for axis in figure.select_yaxes()]
    assert titles == ["BTC/USDT", "rsi", "ETH/USDT", "rsi", "equity", "drawdown"]
    for k, symbol in ((0, "BTC/USDT"), (2, "ETH/USDT")):
        mine = [trace for trace in figure.data if (trace.yaxis or "y") == f"y{k + 1 if k else ''}"]
        close = history.filter(pl.col("symbol") == symbol)["close"]
        assert mine[0].close[-1] == close[-1]
        assert [trace.name for trace in mine[1:]] == ["buy (4)", "sell (4)"]
        assert close.min() * 0.9 < mine[1].y[0] < close.max() * 1.1


def test_a_figure_says_which_trader_of_how_many_it_shows(result: ps.Result) -> None:
    assert result.plot("ETH/USDT").layout.title.text == "ETH/USDT (trader 2 of 2), candles of 6m"
    figure = result.plot()
    lone = [axis.title.text for axis in figure.select_yaxes()][1:]
    for trace in figure.data[1:]:  # a line that its axis names has no room in a legend
        assert trace.showlegend == (trace.name not in lone), trace.name


# What reads a page: the contrast of each text with what lies behind it, as WCAG counts it.
CONTRASTS = """() => {
    const part = (x) => (x /= 255) <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
    const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
    const pen = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const painted = (...colors) => {
        for (const color of colors) { pen.fillStyle = color; pen.fillRect(0, 0, 1, 1); }
        return [...pen.getImageData(0, 0, 1, 1).data];
    };
    const dark = matchMedia('(prefers-color-scheme: dark)').matches;
    const behind = (el) => {
        const layers = [];
        for (let at = el; at; at = at.parentElement) layers.unshift(getComputedStyle(at).backgroundColor);
        return [dark ? '#121212' : '#ffffff', ...layers];
    };
    const found = [];
    for (const el of document.querySelectorAll('text, td, th, b, span, small, div, h1, h2')) {
        const own = [...el.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
        if (!own && el.tagName !== 'text') continue;
        if (el.closest('.modebar, .hoverlayer, style, script') || !el.getClientRects().length) continue;
        const style = getComputedStyle(el);
        const back = painted(...behind(el));
        const ink = painted(...behind(el), el.tagName === 'text' ? style.fill : style.color);
        const [a, b] = [light(ink), light(back)].sort((x, y) => y - x);
        found.push([(a + 0.05) / (b + 0.05), el.textContent.trim().slice(0, 40), el.tagName]);
    }
    return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_of_a_report_is_readable_on_the_readers_background(result: ps.Result, tmp_path, scheme: str) -> None:
    path = tmp_path / "report.html"
    result.report(path)
    with chromium() as browser:
        page = browser.new_page(color_scheme=scheme)
        page.goto(path.as_uri())
        page.locator(".js-plotly-plot .legend text").first.wait_for(timeout=60_000)
        found = page.evaluate(CONTRASTS)
    assert {"text", "TD", "TH"} <= {tag for _, _, tag in found}
    assert [(round(ratio, 2), text) for ratio, text, _ in found if ratio < 4.5] == []


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
