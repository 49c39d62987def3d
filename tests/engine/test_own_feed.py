"""A feed of one's own in ten lines: paced, fast, live, in lockstep; and what happens when it goes wrong."""

import pytest
from engine.own_ports import SECOND, Live, Once, Sawtooth, Steady
from engine.running import finish, output_of, python

import pairsim as ps


def trader() -> ps.Trader:
    return ps.Trader("A/USDT", Steady())


@pytest.mark.parametrize(
    "feed",
    [Sawtooth(), Sawtooth(speed=500.0), Live(), Sawtooth(lockstep=True)],
    ids=["fast", "paced", "live", "lockstep"],
)
def test_its_candles_are_traded(feed):
    with ps.Engine(trader(), feed) as engine:
        finish(engine)
        assert engine.status.candles == 200
        assert engine.status.feed_time == 200 * 10**9
        assert engine["A/USDT"].health.evaluations == 200
        assert engine.orders.height > 0
        if feed.n == 200 and getattr(feed, "lockstep", False):
            # bought at the second open, closed at the third, and so on: nothing in flight for longer than a candle
            assert engine.fills["timestamp"].dt.epoch("s").to_list()[:4] == [1, 2, 3, 4]


def test_bad_candles_are_not_traded_but_counted():
    with ps.Engine(trader(), Sawtooth(fault="nan")) as engine:
        finish(engine)
        assert engine.status.candles == 180
        assert engine.metrics.quarantined == 20
        assert engine["A/USDT"].health.evaluations == 180


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("raises", "ConnectionError: the exchange is closed"),
        ("market", "XRP/USDT"),
        ("text", "yielded str: yield Candle(...) tuples"),
        ("exits", "SystemExit: no more candles"),
    ],
)
@pytest.mark.parametrize("kind", [Sawtooth, Live])
def test_a_feed_that_fails_fails_the_run_and_says_why(fault, message, kind):
    with ps.Engine(trader(), kind(fault=fault)) as engine:
        assert engine.wait(240) == "failed"
        assert message in engine.status.error
        assert engine.status.error.startswith("feed: ")
        assert engine.status.trading == "halted"
    assert engine.status.state == "failed"
    assert engine.status.candles <= 100
    assert engine.orders.height == engine.status.orders


class OutOfStep(Live):
    """One market is ten candles ahead of the other."""

    def candles(self, symbols):
        for k in range(50):
            for symbol, ahead in zip(symbols, (10, 0), strict=True):
                yield ps.Candle(symbol, (k + ahead) * SECOND, 1.0, 1.0, 1.0, 1.0, 1.0)


def test_time_does_not_go_back_where_the_markets_of_a_live_feed_are_out_of_step():
    with ps.Engine([ps.Trader(m, Once()) for m in ("A/USDT", "B/USDT")], OutOfStep()) as engine:
        finish(engine)
        assert engine.status.candles == 100
        assert engine.status.feed_time == 60 * SECOND  # the last candle closes at 50


SCRIPT = """
import pairsim as ps

class Sawtooth:
    interval = "1s"
    speed = None
    def candles(self, symbols):
        for k in range(300):
            for symbol in symbols:
                low = 100.0 + k % 50
                yield ps.Candle(symbol, k * 10**9, low, low + 1, low, low + 1, 5.0)

class Instant:
    async def connect(self, reports):
        self.reports = reports
    async def submit(self, order):
        self.reports.accepted(order)
        self.reports.filled(order, order.quantity, order.last_price)
    async def cancel(self, order):
        self.reports.canceled(order)

class Steady(ps.Strategy):
    def generate_signal(self, ctx):
        if ctx.position.quantity == 0:
            return ps.buy(quantity=1)

with ps.Engine(ps.Trader("A/USDT", Steady()), Sawtooth(), Instant()) as engine:
    print(engine.wait(240), engine.fills.height, engine.portfolio.positions["quantity"].to_list())
"""


def test_feed_and_broker_of_a_script(tmp_path):
    """Classes of ``__main__`` reach the host by value."""
    assert output_of(python("-c", SCRIPT, folder=tmp_path)) == "finished 1 [1.0]"
    (tmp_path / "mine.py").write_text(SCRIPT)
    assert output_of(python(str(tmp_path / "mine.py"))) == "finished 1 [1.0]"
