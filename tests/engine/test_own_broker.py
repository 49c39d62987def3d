"""A broker of one's own: it fills, rejects, cuts the line, fills late or in parts, says nonsense or nothing."""

from pathlib import Path

import polars as pl
import pytest
from engine import own_ports
from engine.own_ports import Sawtooth, Steady
from engine.running import finish, until

import pairsim as ps
from pairsim.store.reader import Reader

CASH = 100_000.0


def ran(broker: own_ports.Instant, strategy: ps.Strategy | None = None, n: int = 60) -> ps.Engine:
    """A lockstep run to its end, stopped."""
    with ps.Engine(ps.Trader("A/USDT", strategy or Steady()), Sawtooth(n=n, lockstep=True), broker) as engine:
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
