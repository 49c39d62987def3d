"""A broker of one's own: it fills, rejects, cuts the line, fills late or in parts, says nonsense or nothing."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
from engine import own_ports
from engine.own_ports import Ladder, Once, Sawtooth, Steady, Withdrawing
from engine.running import finish, until

import pairsim as ps
from pairsim.store.reader import Reader

CASH = 100_000.0


def ran(
    broker: own_ports.Instant, strategy: ps.Strategy | None = None, n: int = 60, store: Path | None = None
) -> ps.Engine:
    """A lockstep run to its end, stopped."""
    feed = Sawtooth(n=n, lockstep=True)
    with ps.Engine(ps.Trader("A/USDT", strategy or Steady()), feed, broker, store=store) as engine:
        finish(engine)
    return engine


def sent(ledger: Path, what: str = "submit") -> list[str]:
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    return [line.split()[1] for line in lines if line.startswith(what)]


def check_accounts(engine: ps.Engine) -> None:
    sign = pl.when(pl.col("side") == "BUY").then(1.0).otherwise(-1.0)
    spent = engine.fills.select((sign * pl.col("notional") + pl.col("fee")).sum()).item()
    held = engine.fills.select((sign * pl.col("quantity")).sum()).item()
    assert engine.portfolio.cash == pytest.approx(CASH - spent, abs=1e-6)
    assert engine.portfolio.positions["quantity"].sum() == pytest.approx(held, abs=1e-9)


def test_it_fills_at_once(tmp_path):
    engine = ran(own_ports.Instant(tmp_path / "ledger"))
    orders, fills = engine.orders, engine.fills
    assert sent(tmp_path / "ledger") == orders["client_order_id"].to_list()
    assert orders["status"].unique().to_list() == ["FILLED"]
    assert orders["side"].to_list()[:4] == ["BUY", "SELL", "BUY", "SELL"]
    assert fills["price"].to_list()[:3] == [101.0, 102.0, 103.0]
    assert fills["fee"][0] == pytest.approx(0.303)
    assert sent(tmp_path / "ledger", "close") == ["-"]
    check_accounts(engine)


def test_it_rejects(tmp_path):
    engine = ran(own_ports.Rejecting(tmp_path / "ledger"))
    assert engine.orders["status"].unique().to_list() == ["REJECTED"]
    assert engine.orders["reason"].unique().to_list() == ["insufficient balance at the venue"]
    assert engine.fills.height == 0
    assert engine.orders.height == 30  # a rejected order is settled: the strategy tries again
    assert (engine.portfolio.cash, engine.status.open_orders) == (CASH, 0)


def test_what_it_cut_off_is_unknown_and_never_sent_again(tmp_path):
    engine = ran(own_ports.Raising(tmp_path / "ledger"))
    orders = engine.orders
    unknown = orders.filter(pl.col("status") == "UNKNOWN")
    assert unknown.height >= 1
    assert unknown["reason"][0] == "submit failed: TimeoutError: no answer from the venue"
    names = sent(tmp_path / "ledger")
    assert len(names) == len(set(names)) == orders.height
    # it may live: the trader waits for it rather than deciding on
    assert unknown["client_order_id"][0] == names[-1] == names[2]
    assert engine["A/USDT"].health.skipped > 0
    assert "trader A/USDT waits until the broker reports what became of it" in engine.status.error
    told = Reader(engine._path).health().filter(pl.col("kind") == "orders")["message"].to_list()
    assert told == [engine.status.error.removeprefix("orders: ")]
    check_accounts(engine)


def test_it_fills_in_parts_and_a_trade_told_twice_counts_once(tmp_path):
    engine = ran(own_ports.Partial(tmp_path / "ledger"), n=20)
    fills, orders = engine.fills, engine.orders
    assert orders["status"].unique().to_list() == ["FILLED"]
    assert fills.height == 3 * orders.height
    assert fills["liquidity"].to_list()[:3] == ["TAKER", "TAKER", "MAKER"]
    assert fills["price"].to_list()[:3] == [101.0, 102.0, 103.0]
    assert orders["average_price"][0] == pytest.approx(102.0)
    assert fills["trade_id"][2] == f"venue-{orders['client_order_id'][0]}"
    assert fills["timestamp"].to_physical()[2] == 77
    check_accounts(engine)


def test_a_fill_told_after_the_cancel_is_booked(tmp_path):
    engine = ran(own_ports.Late(tmp_path / "ledger"), Steady(limit=True), n=20)
    orders = engine.orders
    assert orders["status"].unique().to_list() == ["CANCELED"]
    assert orders["filled_quantity"].unique().to_list() == [1.0]
    assert sent(tmp_path / "ledger", "cancel") == sent(tmp_path / "ledger")
    assert engine.portfolio.positions["quantity"].to_list() == [float(orders.height)]
    check_accounts(engine)
    assert engine.status.state == "stopped"


def test_fills_that_cannot_be_are_refused_and_said(tmp_path):
    """The fault is the broker's; its order may live, so it is UNKNOWN, and nothing of it is booked."""
    engine = ran(own_ports.Nonsense(tmp_path / "ledger"), n=40)
    assert engine.status.state == "stopped"
    unknown = engine.orders.filter(pl.col("status") == "UNKNOWN")
    assert unknown.height == engine.orders.height == 1
    assert "cannot be booked" in unknown["reason"][0]
    assert engine.fills.height == 0
    check_accounts(engine)


def test_protective_orders_are_denied_where_the_broker_has_none(tmp_path):
    engine = ran(own_ports.Instant(tmp_path / "ledger"), Steady(protect=True), n=20)
    assert engine.orders["status"].unique().to_list() == ["DENIED"]
    assert "takes no stop_loss or take_profit" in engine.orders["reason"][0]


def test_working_orders_are_canceled_at_the_end(tmp_path):
    """A market that has ended matches nothing any more: what works at the broker is taken back."""
    ledger = tmp_path / "ledger"
    engine = ran(own_ports.Late(ledger), Steady(limit=True), n=20)
    assert engine.status.open_orders == 0
    assert sent(ledger)[-1] == sent(ledger, "cancel")[-1]


def test_halt_takes_back_what_works_at_the_broker(tmp_path):
    ledger = tmp_path / "ledger"
    feed = Sawtooth(n=100_000, speed=20.0)
    with ps.Engine(ps.Trader("A/USDT", Steady(limit=True)), feed, own_ports.Late(ledger)) as engine:
        engine.wait(0)
        until(lambda: sent(ledger), "a working order")
        engine.halt()
        until(lambda: engine.status.open_orders == 0, "the cancels")
        count = len(sent(ledger))

        def statuses() -> list[str]:
            return engine.orders["status"].to_list()

        until(lambda: statuses().count("DENIED") > 5, "further decisions")
        assert len(sent(ledger)) == count
        told = statuses()
        # the newest decision may just have been written down and not yet be answered
        assert set(told[told.index("DENIED") :]) <= {"DENIED", "INITIALIZED"}


def test_one_that_never_answers_does_not_hold_up_the_stop(tmp_path):
    feed = Sawtooth(n=100_000, speed=20.0)
    engine = ps.Engine(ps.Trader("A/USDT", Steady()), feed, own_ports.Silent(tmp_path / "ledger"))
    engine.start()
    until(lambda: engine.status.orders == 1, "its order")
    engine.stop()
    assert engine.status.state == "stopped"
    assert engine.orders["status"].to_list() == ["UNKNOWN"]
    assert engine.orders["reason"][0] == "the broker has not answered the cancel within 3 s"
    assert len(sent(tmp_path / "ledger")) == 1
    assert sent(tmp_path / "ledger", "cancel") == sent(tmp_path / "ledger")  # it may live: it is asked for all the same


def test_one_that_cannot_connect_fails_the_run(tmp_path):
    engine = ps.Engine(
        ps.Trader("A/USDT", Steady()), Sawtooth(n=100_000, speed=20.0), own_ports.Closed(tmp_path / "ledger")
    )
    with engine:
        assert engine.wait(60) == "failed"
        assert "ConnectionError: wrong key" in engine.status.error
        assert engine.status.trading == "halted"
    assert engine.status.state == "failed"
    assert engine.orders.height == engine.status.orders
    assert "wrong key" in Reader(engine._path).health()["message"].str.join(" ").item()


# --- the order of things ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lockstep", [False, True], ids=["fast", "lockstep"])
@pytest.mark.parametrize("both", [False, True], ids=["a candle later", "in the same decision"])
def test_a_cancel_never_overtakes_the_order_it_takes_back(tmp_path, both, lockstep):
    """The venue is slower than the candles: a cancel waits until it has the order, and in its market for its turn. One
    in the same decision takes back what worked before: there an order is canceled by the next.
    """
    ledger = tmp_path / "ledger"
    feed = Sawtooth(n=60, lockstep=lockstep)
    with ps.Engine(ps.Trader("A/USDT", Withdrawing(both=both)), feed, own_ports.Far(ledger)) as engine:
        finish(engine)
        assert engine.status.open_orders == 0
    assert sent(ledger, "unknown") == []
    assert engine.orders.height == (60 if both else 30)
    assert engine.orders["status"].unique().to_list() == ["CANCELED"]
    assert engine.orders["reason"].unique().to_list() == ["as asked"]
    # each before the next was sent
    names = engine.orders["client_order_id"].to_list()
    lines = [line.split() for line in ledger.read_text().splitlines()]
    assert lines[:-1] == [[what, name] for name in names for what in ("taken", "cancel")]


def test_an_order_that_ends_while_another_is_being_canceled_is_not_canceled(tmp_path):
    ledger = tmp_path / "ledger"
    engine = ran(own_ports.Crossing(ledger), Ladder(), n=5)
    assert engine.orders["status"].to_list() == ["CANCELED", "FILLED"]
    assert sent(ledger, "cancel") == engine.orders["client_order_id"].to_list()[:1]
    assert engine.status.error == ""
    check_accounts(engine)


def test_an_order_that_waits_for_a_cancel_is_not_sent_after_a_halt(tmp_path):
    ledger = tmp_path / "ledger"
    feed = Sawtooth(n=100_000, speed=20.0)
    with ps.Engine(ps.Trader("A/USDT", Steady(limit=True)), feed, own_ports.Patient(ledger)) as engine:
        engine.wait(0)
        until(lambda: sent(ledger, "cancel"), "an order that is being replaced")
        with ThreadPoolExecutor(1) as thread:
            halted = thread.submit(engine.halt)
            until(lambda: engine.status.trading == "halted", "halted")
            ledger.with_suffix(".go").touch()
            halted.result(60)
        until(lambda: engine.status.open_orders == 0, "the end of what was on its way")
    second = engine.orders.row(1, named=True)
    assert (second["status"], second["reason"]) == ("CANCELED", "halted")
    assert len(sent(ledger)) == 1


def test_what_is_being_closed_is_not_closed_again(tmp_path):
    ledger = tmp_path / "ledger"
    broker = own_ports.Patient(ledger)
    broker.short = True
    feed = Sawtooth(n=100_000, speed=20.0)
    with ps.Engine(ps.Trader("A/USDT", Once()), feed, broker) as engine:
        engine.wait(0)
        until(lambda: engine.portfolio.positions["quantity"].to_list() == [3.0], "a position")
        assert [engine.flatten(), engine.flatten()] == [1, 0]
        ledger.with_suffix(".go").touch()
        until(lambda: engine.status.open_orders == 0, "the fill")
        until(lambda: engine.portfolio.positions["quantity"].to_list() == [0.0], "its booking")
        assert engine.flatten() == 0
    assert engine.orders["side"].to_list() == ["BUY", "SELL"]


# --- what it tells ---------------------------------------------------------------------------------------------------


def test_the_story_of_an_order_has_each_step(tmp_path):
    engine = ran(own_ports.Instant(tmp_path / "ledger"), Once(), n=3)
    story = Reader(engine._path).events(engine.orders["client_order_id"][0])
    assert story["status"].to_list() == ["INITIALIZED", "SUBMITTED", "ACCEPTED", "FILLED"]
    assert story["reason"].to_list() == [None] * 4


def test_a_reason_may_be_an_exception(tmp_path):
    engine = ran(own_ports.Refusing(tmp_path / "ledger"), n=4)
    assert engine.orders["status"].unique().to_list() == ["REJECTED"]
    assert engine.orders["reason"].unique().to_list() == ["the venue is closed"]


def told(ledger: Path, what: str) -> list[str]:
    """How a broker was answered, order by order."""
    lines = [line.split(" ", 2) for line in ledger.read_text().splitlines()]
    return [line[2] for line in lines if line[0] == what]


WRONG = {
    "fraction": "timestamp is feed time in whole ns",
    "beyond": "timestamp=9223372036854775808 is no moment",
    "letters": "a fill of 'three' at 1.0",
    "huge": "cannot be booked: int too large",
    "elsewhere": "from another thread than the event loop's",
    "ended_elsewhere": "from another thread than the event loop's",
}


def test_reports_that_cannot_be_are_refused_and_the_good_ones_booked(tmp_path):
    """A Decimal and a venue's text are good ones."""
    ledger = tmp_path / "ledger"
    engine = ran(own_ports.Telling(ledger, *WRONG), n=10)
    for name, message in WRONG.items():
        assert len(told(ledger, name)) == 10
        assert all(message in text for text in told(ledger, name)), told(ledger, name)[0]
    assert engine.orders["status"].to_list() == ["FILLED"] * 10
    assert engine.fills["price"].to_list()[:2] == [101.0, 102.0]
    assert engine.fills["fee"].unique().to_list() == [0.25]
    assert engine.status.error == ""
    check_accounts(engine)


def test_a_trade_id_of_another_order_is_refused_by_its_name(tmp_path):
    ledger, store = tmp_path / "ledger", tmp_path / "run.db"
    engine = ran(own_ports.Telling(ledger, "anothers"), n=4, store=store)
    orders = engine.orders
    assert orders["status"].to_list() == ["FILLED"] * 4
    answers = told(ledger, "anothers")
    assert answers[0] == "booked"  # it is the first order, which has told nothing
    for text in answers[1:]:
        assert f"trade id 'trade of A/USDT' was told before, for {orders['client_order_id'][0]};" in text
    check_accounts(engine)
    # and of an earlier run of the same store: the first order of this one has the name again
    again = ran(own_ports.Telling(tmp_path / "second"), n=4, store=store)
    assert again.status.state == "stopped"
    assert again.orders["status"].to_list() == ["UNKNOWN"]
    assert "trade id 'trade of A/USDT' was told before, for an order of an earlier run" in again.orders["reason"][0]
    assert again.fills.height == 0


@pytest.mark.parametrize("where", ["submit", "cancel"])
def test_an_exit_in_a_broker_leaves_the_order_unknown_and_the_run_lives(tmp_path, where):
    ledger = tmp_path / "ledger"
    engine = ran(own_ports.Leaving(ledger, where), Withdrawing(), n=20)
    assert engine.status.state == "stopped"
    assert engine["A/USDT"].health.evaluations == 20
    first = engine.orders.row(0, named=True)
    assert (first["status"], first["reason"]) == ("UNKNOWN", f"{where} failed: SystemExit: no more")
    assert len(sent(ledger)) == engine.orders.height
