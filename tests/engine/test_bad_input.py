"""What an engine cannot run it refuses at the door: the value, the limit and the next step."""

import threading
from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from engine.examples import Counting, Spread
from engine.running import finish

import pairsim as ps

BARS = ps.synthetic(["BTC/USDT", "ETH/USDT"], "1m", n=50, seed=1)


def trader(**options) -> ps.Trader:
    return ps.Trader("BTC/USDT", Counting(), **options)


def replay() -> ps.ReplayFeed:
    return ps.ReplayFeed(BARS, speed=None, lockstep=True)


def endless() -> ps.RandomFeed:
    return ps.RandomFeed("100ms", seed=1, speed=10.0, start="2025-01-01")


def refused(message: str, *arguments, kind: type[Exception] = ps.errors.InputError, **options) -> None:
    with pytest.raises(kind, match=message):
        ps.Engine(*arguments, **options)


# --- traders and markets ---------------------------------------------------------------------------------------------


def test_a_market_the_replay_does_not_have():
    message = r"has no market 'XRP/USDT': it has BTC/USDT, ETH/USDT"
    refused(message, ps.Trader("XRP/USDT", Counting()), replay(), kind=ps.errors.FeedError)


def test_an_interval_below_the_feeds():
    refused(
        "decides every 30s, the feed's candles are 1m long; every= must be a whole multiple",
        trader(every="30s"),
        replay(),
    )


def test_an_interval_that_is_no_multiple_of_the_feeds():
    refused(
        "decides every 90s, the feed's candles are 1m long; every= must be a whole multiple",
        trader(every="90s"),
        replay(),
    )


@pytest.mark.parametrize("every", ["0s", "-1m", "1 fortnight", "", 2.5, True])
def test_an_interval_that_is_none(every):
    with pytest.raises(ps.errors.InputError, match="interval"):
        trader(every=every)


def test_two_traders_of_one_name():
    refused('2 traders are called "BTC/USDT"; give each one a name=', [trader(), trader()], replay())


@pytest.mark.parametrize("name", ["", 7])
def test_a_name_that_is_none(name):
    with pytest.raises(ps.errors.InputError, match="give a text, or leave it out"):
        trader(name=name)


def test_no_traders():
    refused("give a ps.Trader or a list of them", [], replay())


def test_a_strategy_where_a_trader_belongs():
    refused("give a ps.Trader or a list of them", Counting(), replay())


def test_a_class_where_an_instance_belongs():
    with pytest.raises(ps.errors.InputError, match=r"strategy=Counting is a class; pass an instance: Counting\(\)"):
        ps.Trader("BTC/USDT", Counting)


def test_something_that_is_no_strategy():
    with pytest.raises(ps.errors.InputError, match=r"is no ps\.Strategy; write a class with generate_signal"):
        ps.Trader("BTC/USDT", lambda ctx: None)


def test_a_strategy_without_the_method():
    class Nothing(ps.Strategy):
        pass

    refused(
        "Nothing has no method generate_signal",
        ps.Trader("BTC/USDT", Nothing()),
        replay(),
        kind=ps.errors.StrategyError,
    )


@pytest.mark.parametrize("markets", ["", [], ["BTC/USDT", ""], 5, None])
def test_markets_that_are_none(markets):
    with pytest.raises(ps.errors.InputError, match="give a symbol"):
        ps.Trader(markets, Counting())


def test_a_market_twice():
    with pytest.raises(ps.errors.InputError, match="names a market twice"):
        ps.Trader(["BTC/USDT", "BTC/USDT"], Spread())


def test_more_markets_than_the_strategy_trades():
    with pytest.raises(ps.errors.InputError, match=r"Counting trades 1 market\(s\), 2 given.*set `markets = 2`"):
        ps.Trader(["BTC/USDT", "ETH/USDT"], Counting())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ps.strategies.RSI(period=1), r"RSI.period=1 is outside its limits; it must be from 2 to 1000"),
        (lambda: ps.strategies.RSI(period=14.5), r"RSI.period is an int \(64 bits\), got 14.5 \(float\)"),
        (lambda: ps.strategies.RSI(weight=0), "RSI.weight=0.0 is outside its limits; it must be above 0.0 and at"),
        (lambda: ps.strategies.RSI(low=float("nan")), r"RSI.low=nan is outside its limits"),
        (lambda: ps.strategies.RSI(low="30"), r"RSI.low is a float, got '30' \(str\)"),
        (lambda: ps.strategies.RSI(length=3), r"RSI has no parameter 'length' \(got 3\); it has: period, low"),
    ],
)  # fmt: skip
def test_parameters_outside_their_range_or_of_another_type(make, message):
    with pytest.raises(ps.errors.StrategyError, match=message):
        make()


# --- money and processes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cash", [-1.0, 0, float("nan"), float("inf"), "100", True, None])
def test_cash_that_is_none(cash):
    refused("cash=.* must be a number above 0", trader(), replay(), cash=cash)


@pytest.mark.parametrize("cash", [np.int64(1_000), np.float32(1_000.0), Fraction(1_000)])
def test_cash_is_a_number_of_any_kind(cash):
    engine = ps.Engine(trader(), replay(), cash=cash)
    assert engine.portfolio.cash == 1_000.0
    assert ps.backtest(Counting(), BARS.filter(symbol="BTC/USDT"), cash=cash).equity["equity"][0] == 1_000.0


def test_more_cash_than_can_be_counted():
    refused("cash=.* must be from 0 to 90,000,000,000.*smaller quote_scale", trader(), replay(), cash=1e12)


@pytest.mark.parametrize("workers", [0, -1, 1.5, "2", True, 10_000])
def test_workers_that_are_none(workers):
    refused("workers=.* must be a whole number from 1 to 256, or None", trader(), replay(), workers=workers)


@pytest.mark.parametrize("broker", [5, "binance", ps.SimBroker, object()])
def test_a_broker_that_is_none(broker):
    refused("broker=", trader(), replay(), broker)


@pytest.mark.parametrize("feed", [None, 5, "data.parquet", object()])
def test_a_feed_that_is_none(feed):
    refused("feed|interval", trader(), feed, kind=(ps.errors.InputError, ps.errors.FeedError))


def test_a_feed_whose_pace_is_none():
    class Feed:
        interval, speed = "1m", -1.0

        def candles(self, symbols):
            return iter(())

    refused("speed=-1.0: give a factor above 0", trader(), Feed())


def test_a_live_feed_in_lockstep():
    """Without a speed it is live: its candles would be slices of their own."""

    class Feed:
        interval, lockstep = "1m", True

        def candles(self, symbols):
            return iter(())

    refused(r"Feed has lockstep=True and no speed: .* give it speed = None", trader(), Feed())
    Feed.speed = None
    ps.Engine(trader(), Feed())


def test_instruments_that_are_none():
    refused("instruments=", trader(), replay(), instruments=["BTC/USDT"])


def test_instruments_of_two_quote_scales():
    instruments = [ps.Instrument("BTC/USDT", quote_scale=8), ps.Instrument("ETH/USDT", quote_scale=2)]
    traders = [trader(), ps.Trader("ETH/USDT", Counting())]
    refused("share one quote currency", traders, replay(), instruments=instruments)


def test_an_instrument_given_twice():
    refused(
        "BTC/USDT", trader(), replay(), instruments=[ps.Instrument("BTC/USDT"), ps.Instrument("BTC/USDT", tick_size=1)]
    )


def test_a_feed_that_cannot_be_sent_to_the_host():
    class Locked:
        interval, speed = "1m", None

        def __init__(self):
            self.lock = threading.Lock()

        def candles(self, symbols):
            return iter(())

    engine = ps.Engine(trader(), Locked())
    with pytest.raises(ps.errors.InputError, match=r"the feed cannot be sent to the process that runs it \(.*lock"):
        engine.start()
    assert engine.status.state == "created"


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ps.errors.DataError, match=r"nowhere\.parquet"):
        ps.ReplayFeed(tmp_path / "nowhere.parquet")


def test_a_file_that_is_no_parquet(tmp_path):
    path = tmp_path / "broken.parquet"
    path.write_bytes(b"PAR1 but not really")
    with pytest.raises(ps.errors.DataError, match=r"broken\.parquet"):
        ps.Engine(trader(), ps.ReplayFeed(path, symbol="BTC/USDT"))


def test_a_file_that_goes_bad_under_the_run(tmp_path):
    """The host meets it first: the run fails with the reason, the handle stays readable."""
    path = tmp_path / "candles.parquet"
    BARS.write_parquet(path)
    engine = ps.Engine(trader(), ps.ReplayFeed(path, speed=None))
    path.write_bytes(b"PAR1 but not really")
    with engine:
        assert engine.wait(60) == "failed"
        assert "candles.parquet" in engine.status.error
        assert engine.status.trading == "halted"
        with pytest.raises(ps.errors.EngineError, match="the run is failed"):
            engine.pause()
    assert engine.status.state == "failed"
    assert engine.fills.height == 0
    assert engine.portfolio.cash == 100_000.0


# --- stores ----------------------------------------------------------------------------------------------------------


def test_a_store_that_another_engine_uses(tmp_path):
    store = tmp_path / "run.db"
    with ps.Engine(trader(), endless(), store=store) as first:
        first.wait(0)
        second = ps.Engine(trader(), endless(), store=store)
        with pytest.raises(ps.errors.StoreError, match=r"run\.db"):
            second.start()
        assert second.status.state == "created"
        assert first.status.state == "running"
    with second:  # now it is free
        second.wait(0)
        assert second.status.state == "running"


@pytest.mark.parametrize(("make", "message"), [
    (lambda folder: folder, "is a folder; give the path of a file in it"),
    (lambda folder: folder / "nowhere" / "run.db", "does not exist; create it or choose another path"),
])  # fmt: skip
def test_a_store_that_cannot_be(tmp_path, make, message):
    with pytest.raises(ps.errors.StoreError, match=message):
        ps.Engine(trader(), endless(), store=make(tmp_path)).start()


def test_a_store_that_is_none(tmp_path):
    refused("store=", trader(), replay(), store=5)


def test_a_store_that_is_no_journal(tmp_path):
    """Refused by the host, which opens it; the file is kept as it is, and the handle says what is wrong."""
    path = tmp_path / "letters.db"
    path.write_text("dear diary" * 1_000)
    engine = ps.Engine(trader(), endless(), store=path)
    engine.start()
    with pytest.raises(ps.errors.StoreError, match=r"letters\.db"):
        engine.wait(60)
    assert engine.status.state == "failed"
    assert "letters.db" in engine.status.error
    engine.stop()
    assert engine.status.state == "failed"
    assert path.read_text() == "dear diary" * 1_000


def test_a_store_goes_on_with_the_next_run(tmp_path):
    """Two runs in one file: each engine shows its own orders, no id comes twice."""
    store = tmp_path / "run.db"
    found = []
    for _ in range(2):
        with ps.Engine(trader(), replay(), store=store) as engine:
            finish(engine)
        found.append(engine.orders)
    first, second = found
    assert first.height == second.height > 10
    same = [c for c in first.columns if c not in ("run", "order_id", "client_order_id", "wall_time", "parent_order_id")]
    assert first.select(same).drop("portfolio_sequence").equals(second.select(same).drop("portfolio_sequence"))
    both = pl.concat(found)
    assert both["client_order_id"].n_unique() == both["order_id"].n_unique() == both.height


# --- while it runs ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def running():
    with ps.Engine(trader(), endless()) as engine:
        engine.wait(0)
        yield engine
        assert engine.status.state == "running"


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda t: t.tune(), ps.errors.InputError, r"tune\(\) was given nothing"),
        (lambda t: t.tune(length=3), ps.errors.StrategyError, "has no parameter 'length'"),
        (lambda t: t.tune(hold=0), ps.errors.StrategyError, "hold=0 is outside its limits"),
        (lambda t: t.tune(hold=2.5), ps.errors.StrategyError, "hold is an int"),
        (lambda t: t.tune(count=3), ps.errors.StrategyError, "count is a state"),
        (lambda t: t.swap(Counting), ps.errors.InputError, "pass an instance of a ps.Strategy"),
        (lambda t: t.swap("RSI"), ps.errors.InputError, "pass an instance of a ps.Strategy"),
        (lambda t: t.swap(Spread()), ps.errors.InputError, r"trades 2 market\(s\), trader 'BTC/USDT' has 1"),
    ],
)
def test_changes_that_cannot_be(running, change, kind, message):
    with pytest.raises(kind, match=message):
        change(running["BTC/USDT"])
    assert running["BTC/USDT"].strategy.hold == 2
    assert running["BTC/USDT"].health.state == "active"
