"""The door of ``backtest``: what may be handed in, what is refused, and what the rules of the account are."""

import numpy as np
import polars as pl
import pytest

import pairsim as ps


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    return ps.synthetic(["BTC/USDT", "ETH/USDT"], "1m", n=3_000, seed=3)


@pytest.fixture(scope="module")
def one(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.filter(pl.col("symbol") == "BTC/USDT")


class Often(ps.Strategy):
    """Buys and closes in turns, every ``gap`` candles."""

    gap: int = ps.param(10, 1, 1000)
    weight: float = ps.param(1.0, 0.0, 1.0)

    def generate_signal(self, ctx):
        if ctx.index % self.gap == 0:
            if ctx.position.quantity == 0:
                return ps.buy(weight=self.weight)
            return ps.close()
        return None


# --- who trades what ------------------------------------------------------------------------------------------------


def test_a_strategy_on_several_markets_becomes_a_trader_for_each_on_one_account(bars: pl.DataFrame) -> None:
    result = ps.backtest(ps.strategies.RSI(), bars, cash=5_000)
    traders = [ps.Trader(symbol, ps.strategies.RSI()) for symbol in ("BTC/USDT", "ETH/USDT")]
    assert sorted(result.orders["trader"].unique()) == ["BTC/USDT", "ETH/USDT"]
    assert result.digest == ps.backtest(traders, bars, cash=5_000).digest
    assert result.equity["equity"][0] == 5_000.0


def test_traders_may_decide_at_intervals_of_their_own(bars: pl.DataFrame) -> None:
    traders = [ps.Trader("BTC/USDT", Often(gap=1, weight=0.3), every="15m"), ps.Trader("ETH/USDT", Often(weight=0.3))]
    result = ps.backtest(traders, bars)
    decided = result.orders.filter(pl.col("trader") == "BTC/USDT")["timestamp"]
    assert set(decided.dt.minute().unique()) <= {0, 15, 30, 45}
    assert result.fills.filter(pl.col("trader") == "BTC/USDT")["timestamp"][0] == decided[0]


def test_every_of_a_bare_strategy_is_that_of_its_trader(one: pl.DataFrame) -> None:
    bare = ps.backtest(Often(), one, every="5m")
    assert bare.digest == ps.backtest(ps.Trader("BTC/USDT", Often(), every="5m"), one).digest


def test_a_strategy_of_two_markets_takes_both(shared_data) -> None:
    names = ("ETH_BTC", "LTC_BTC")
    bars = pl.concat([ps.load(shared_data / f"{n}-5m.parquet", symbol=n.replace("_", "/")) for n in names])
    pair = ps.Trader(["ETH/BTC", "LTC/BTC"], ps.strategies.PairsSpread(), every="5m")
    result = ps.backtest(pair, bars, broker=ps.SimBroker(short=True))
    assert result._simulation.plan.codes[0].compiled
    assert result.digest == ps.backtest(ps.strategies.PairsSpread(), bars, broker=ps.SimBroker(short=True)).digest
    sides = result.orders.group_by("timestamp").agg(pl.col("side").n_unique(), pl.len())
    assert sides["side"].to_list() == sides["len"].to_list() == [2] * len(sides)  # always one of each
    assert {"LONG", "SHORT"} == set(result.trades["side"])
    cash_only = ps.backtest(pair, bars)
    assert "DENIED" in cash_only.orders["status"]
    assert cash_only.trades.filter(pl.col("side") == "SHORT").is_empty()


def test_an_engines_traders_broker_and_cash_are_backtested(bars: pl.DataFrame) -> None:
    traders = [ps.Trader("BTC/USDT", Often()), ps.Trader("ETH/USDT", ps.strategies.RSI(), every="5m")]
    broker = ps.SimBroker(fee_bps=3, latency="2m")
    engine = ps.Engine(traders, ps.ReplayFeed(bars, speed=None), broker, cash=7_000)
    assert engine.backtest(bars).digest == ps.backtest(traders, bars, cash=7_000, broker=broker).digest


# --- rules ----------------------------------------------------------------------------------------------------------


def test_decided_at_a_close_and_filled_at_the_next_open(one: pl.DataFrame) -> None:
    result = ps.backtest(Often(gap=10), one)
    opens = dict(zip(one["timestamp"], one["open"], strict=True))
    assert len(result.fills) == 300
    for decided, filled, price in zip(
        result.orders["timestamp"], result.fills["timestamp"], result.fills["price"], strict=True
    ):
        assert filled == decided  # the close of one candle is the open of the next
        assert price == opens[filled]


def test_latency_and_slippage_make_fills_later_and_worse(one: pl.DataFrame) -> None:
    late = ps.backtest(Often(gap=10), one, latency="90s", slippage_bps=5)
    waited = late.fills["timestamp"] - late.orders["timestamp"][: len(late.fills)]
    assert set(waited.dt.total_seconds()) == {120}
    opens = dict(zip(one["timestamp"], one["open"], strict=True))
    for side, time, price in zip(late.fills["side"], late.fills["timestamp"], late.fills["price"], strict=True):
        assert price == pytest.approx(opens[time] * (1.0005 if side == "BUY" else 0.9995), rel=1e-12)


def test_no_signal_comes_before_the_indicators_are_warm(one: pl.DataFrame) -> None:
    class Eager(ps.Strategy):
        first: int = ps.state(-1)

        def indicators(self):
            return {"slow": ps.SMA(50)}

        def generate_signal(self, ctx):
            if self.first < 0:
                self.first = ctx.index
            return ps.buy(quantity=0.001)

    result = ps.backtest(Eager(), one)
    assert result.orders["timestamp"][0] == one["timestamp"][50]  # the close of candle 49, the 50th
    assert result.evaluations == 3_000 - 49


def test_a_cash_account_never_goes_negative_and_never_short(bars: pl.DataFrame) -> None:
    class Greedy(ps.Strategy):
        def generate_signal(self, ctx):
            if ctx.index % 7 == 3:
                return ps.sell(weight=1.0)
            return ps.buy(weight=1.0)

    result = ps.backtest(Greedy(), bars, cash=1_000)
    flow = pl.when(pl.col("side") == "BUY").then(-pl.col("notional")).otherwise(pl.col("notional")) - pl.col("fee")
    fills = result.fills.with_columns(cash=1_000.0 + flow.cum_sum())
    assert fills["cash"].min() >= -1e-9
    signed = pl.when(pl.col("side") == "BUY").then(pl.col("quantity")).otherwise(-pl.col("quantity"))
    assert fills.select(signed.cum_sum().over("symbol").alias("held"))["held"].min() >= -1e-9
    assert set(result.trades["side"]) == {"LONG"}


def test_the_same_run_twice_has_one_digest_and_another_seed_another(one: pl.DataFrame) -> None:
    digests = [
        ps.backtest(Often(), one, broker=ps.SimBroker(latency="30s", jitter="5m", seed=seed)).digest
        for seed in (1, 1, 2)
    ]
    assert digests[0] == digests[1] != digests[2]


def test_money_adds_up(bars: pl.DataFrame) -> None:
    result = ps.backtest(Often(weight=0.3), bars, cash=10_000)
    trades, open_ = result.trades.drop_nulls("exit_time"), result.trades.filter(pl.col("exit_time").is_null())
    assert result.stats.trades == len(trades) > 50
    last = {symbol: frame["close"][-1] for (symbol,), frame in bars.partition_by("symbol", as_dict=True).items()}
    unrealised = sum(
        q * (last[s] - p) - f
        for s, q, p, f in zip(open_["symbol"], open_["quantity"], open_["entry_price"], open_["fees"], strict=True)
    )
    assert result.final_equity == pytest.approx(10_000 + trades["profit"].sum() + unrealised, abs=1e-4)
    assert result.stats.fees == pytest.approx(result.fills["fee"].sum())


# --- input ----------------------------------------------------------------------------------------------------------


def test_a_broker_and_the_three_costs_together_are_an_error(one: pl.DataFrame) -> None:
    for more in ({"fee_bps": 10}, {"slippage_bps": 0}, {"latency": "0s"}):
        with pytest.raises(ps.InputError, match="broker= has fees, slippage and latency of its own"):
            ps.backtest(Often(), one, broker=ps.SimBroker(), **more)
    assert ps.backtest(Often(), one, fee_bps=10).digest == ps.backtest(Often(), one, broker=ps.SimBroker()).digest


@pytest.mark.parametrize(
    ("what", "more", "message"),
    [
        (Often, {}, "Often is a class; pass an instance"),
        (7, {}, r"backtest\(7, …\): give a strategy"),
        ([], {}, r"backtest\(\[\], …\): give a strategy"),
        (Often(), {"cash": 0}, "cash=0 must be a number above 0"),
        (Often(), {"cash": float("nan")}, "cash=nan"),
        (Often(), {"cash": 1e-9}, "cash=1e-09 is less than the smallest unit of money"),
        (Often(), {"instruments": ["BTC/USDT"]}, "give a list of ps.Instrument"),
        (Often(), {"fee_bps": -1}, "fee_bps=-1 must be from 0"),
        (Often(), {"broker": "binance"}, "broker='binance': a backtest fills by ps.SimBroker"),
        (Often(), {"every": "90s"}, "must be a whole multiple"),
        (ps.Trader("BTC/USDT", Often()), {"every": "5m"}, "every='5m' goes with a bare strategy"),
        (ps.Trader("XRP/USDT", Often()), {}, "trades 'XRP/USDT'; the history has 'BTC/USDT'"),
        (ps.strategies.PairsSpread(), {}, "PairsSpread trades 2 markets, the history has 1"),
        ([ps.Trader("BTC/USDT", Often()), ps.Trader("BTC/USDT", Often())], {}, 'called "BTC/USDT"'),
        (ps.strategies.RSI(period=1000), {"every": "1h"}, "need 1,001 candles of 1h, the history has 50"),
    ],
)
def test_what_cannot_run_is_refused_with_the_next_step(what, more, message: str, one: pl.DataFrame) -> None:
    with pytest.raises(ps.InputError, match=message):
        ps.backtest(what, one, **more)


def test_cash_may_be_any_real_number(one: pl.DataFrame) -> None:
    cash = ps.backtest(Often(), one, cash=10_000).digest
    assert ps.backtest(Often(), one, cash=np.int64(10_000)).digest == cash
    assert ps.backtest(Often(), one, cash=np.float32(10_000)).digest == cash


class Shorts(ps.Strategy):
    def generate_signal(self, ctx):
        return ps.sell(weight=0.5) if ctx.index % 50 == 0 else None


def test_who_sees_no_trade_is_told_why_orders_were_denied(one: pl.DataFrame) -> None:
    denied = ps.backtest(Shorts(), one)
    told = f"{len(denied.orders):,} of {len(denied.orders):,} orders were denied, most of them: more than the position"
    assert len(denied.orders) > 1 and len(denied.fills) == 0
    assert told in repr(denied) and told in denied._repr_html_()
    assert "denied" not in repr(ps.backtest(Shorts(), one, broker=ps.SimBroker(short=True)).notes)


def test_bad_candles_are_refused(one: pl.DataFrame) -> None:
    with pytest.raises(ps.DataError, match="no rows"):
        ps.backtest(Often(), one.head(0))
    with pytest.raises(ps.DataError, match="give a longer history"):
        ps.backtest(Often(), one.head(1))
    with pytest.raises(ps.DataError, match="out of order"):
        ps.backtest(Often(), one.reverse())
    with pytest.raises(ps.DataError, match="a candle of the same time already"):
        ps.backtest(Often(), pl.concat([one.head(5), one.slice(4)]))
    with pytest.raises(ps.DataError, match="closer than 1m"):
        late = pl.when(pl.int_range(3_000) == 7).then(pl.duration(seconds=30)).otherwise(pl.duration(seconds=0))
        ps.backtest(Often(), one.with_columns(pl.col("timestamp") + late))
    with pytest.raises(ps.DataError, match="NaN"):
        ps.backtest(Often(), one.with_columns(close=pl.when(pl.int_range(3_000) == 9).then(np.nan).otherwise("close")))


def test_a_market_too_short_to_warm_up_is_told_and_the_others_trade(bars: pl.DataFrame) -> None:
    short = pl.concat(
        [bars.filter(pl.col("symbol") == "BTC/USDT"), bars.filter(pl.col("symbol") == "ETH/USDT").head(9)]
    )
    result = ps.backtest(ps.strategies.RSI(), short)
    assert any("'ETH/USDT' never decides" in note for note in result.notes)
    assert set(result.fills["symbol"]) == {"BTC/USDT"}


def test_a_strategy_that_raises_says_where(one: pl.DataFrame) -> None:
    class Broken(ps.Strategy):
        def generate_signal(self, ctx):
            if ctx.index == 40:
                return ps.buy(weight=1.0 / (ctx.index - 40))
            return None

    class BrokenLater(ps.Strategy):
        seen: int = ps.state(0)

        def generate_signal(self, ctx):
            self.seen += 1  # what a compiled method had changed before it raised is not there when it is explained
            return ps.buy(notional=1.0) if 1.0 / (self.seen - 41) > 0.0 else None

    class BrokenPlain(ps.Strategy):
        def generate_signal(self, ctx):
            if ctx.index == 40:
                return {"a set"}.pop() + 1
            return None

    for strategy, error in ((Broken(), "ZeroDiv"), (BrokenLater(), "ZeroDiv"), (BrokenPlain(), "TypeError")):
        with pytest.raises(ps.StrategyError, match=f"'BTC/USDT' failed at .* 00:40(.|\n)*{error}"):
            ps.backtest(strategy, one)


def test_a_strategy_that_raises_in_the_middle_shows_the_values_it_saw(one: pl.DataFrame) -> None:
    class Broken(ps.Strategy):
        def indicators(self):
            return {"mean": ps.SMA(20)}

        def generate_signal(self, ctx):
            if ctx.index == 40:
                return ps.buy(1.0 / (ctx.position.quantity - 0.0))
            return None

    mean = ps.sma(one["close"].to_numpy(), 20)[40]
    close = one["close"][40]
    with pytest.raises(
        ps.StrategyError, match=rf"00:40:00, with open .*close {close:g}.*mean {mean:g}(.|\n)*ZeroDivision"
    ):
        ps.backtest(Broken(), one)


def test_a_signal_that_cannot_be_traded_says_which(one: pl.DataFrame) -> None:
    class Wrong(ps.Strategy):
        def generate_signal(self, ctx):
            return ps.buy(weight=ctx.close)

    with pytest.raises(ps.StrategyError, match=r"weight .* must be above 0 and at most 1"):
        ps.backtest(Wrong(), one)


def test_plain_python_and_compiled_trade_the_same(one: pl.DataFrame) -> None:
    class Plain(Often):
        def generate_signal(self, ctx):
            _ = {"a", "set"}
            if ctx.index % self.gap == 0:
                if ctx.position.quantity == 0:
                    return ps.buy(weight=self.weight)
                return ps.close()
            return None

    plain, compiled = ps.backtest(Plain(), one), ps.backtest(Often(), one)
    assert not plain._simulation.plan.codes[0].compiled
    assert compiled._simulation.plan.codes[0].compiled
    assert plain.digest == compiled.digest


# --- a frame is checked once ----------------------------------------------------------------------------------------


def test_a_frame_changed_in_place_is_read_anew(one: pl.DataFrame) -> None:
    frame = one.clone()
    first = ps.backtest(Often(), frame)
    assert ps.backtest(Often(), frame).digest == first.digest
    frame[51, "high"] = frame["high"][51] * 1.01
    frame[51, "open"] = frame["open"][51] * 1.0001
    assert ps.backtest(Often(), frame).digest != first.digest
    frame[0, "symbol"] = "ETH/USDT"
    assert set(ps.backtest(Often(gap=1), frame).orders["symbol"]) == {"BTC/USDT", "ETH/USDT"}
