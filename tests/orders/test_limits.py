"""Limits of an account: what enlarges a position beyond one is denied with the limit's name, what reduces never is."""

import pytest

import pairsim as ps
from pairsim.orders import checks
from pairsim.orders.limits import write_limits

BARS = ps.synthetic(["A/USD", "B/USD"], "1m", n=395, seed=5)


class Ladder(ps.Strategy):
    """Buys for 100 at every tenth candle, closes all at every hundredth."""

    def generate_signal(self, ctx):
        if ctx.index % 100 == 99:
            return ps.close()
        if ctx.index % 10 == 5:
            return ps.buy(notional=100.0)
        return None


def _run(**limits: float) -> ps.Result:
    return ps.backtest(Ladder(), BARS, cash=10_000, fee_bps=0, risk=ps.RiskLimits(**limits))


def _denied(result: ps.Result) -> set[str]:
    return set(result.orders["reason"].drop_nulls()) & set(checks.REASONS)


def test_an_order_beyond_its_limit_is_denied_and_says_so() -> None:
    assert _denied(_run(max_order_notional=99)) == {"above max_order_notional"}
    assert len(_run(max_order_notional=99).fills) == 0
    assert _denied(_run(max_order_notional=101)) == set()


def test_a_position_grows_up_to_its_limit_in_each_market() -> None:
    result = _run(max_position_notional=450)
    assert _denied(result) == {"above max_position_notional"}
    first = result.fills.head(8)
    assert sorted(first["symbol"]) == ["A/USD"] * 4 + ["B/USD"] * 4
    assert len(result.orders.filter(status="DENIED")) > 10


def test_gross_exposure_counts_all_markets_and_orders_in_flight() -> None:
    result = _run(max_gross_exposure=450)
    assert _denied(result) == {"above max_gross_exposure"}
    assert sorted(result.fills.head(4)["symbol"]) == ["A/USD", "A/USD", "B/USD", "B/USD"]
    once = ps.backtest(Ladder(), BARS, cash=10_000, fee_bps=0, risk=ps.RiskLimits(max_gross_exposure=150))
    assert len(once.fills.head(2).filter(symbol="B/USD")) == 0  # the other market's buy of the same candle is in flight


def test_what_reduces_a_position_always_passes() -> None:
    result = _run(max_order_notional=101, max_position_notional=950)
    closed = result.orders.filter(side="SELL")
    assert len(closed) >= 6
    assert set(closed["status"]) == {"FILLED"}  # of 900 and more, above max_order_notional


def test_without_limits_nothing_changes() -> None:
    assert _run().digest == ps.backtest(Ladder(), BARS, cash=10_000, fee_bps=0).digest
    assert "risk: RiskLimits(max_order_notional=101)" in repr(_run(max_order_notional=101))


def test_an_engines_limits_are_those_of_its_backtest_and_of_its_gate() -> None:
    traders = [ps.Trader("A/USD", Ladder()), ps.Trader("B/USD", Ladder())]
    risk = ps.RiskLimits(max_gross_exposure=450)
    feed = ps.ReplayFeed(BARS, speed=None, lockstep=True)
    with ps.Engine(traders, feed, ps.SimBroker(fee_bps=0), risk=risk, cash=10_000) as engine:
        assert engine.wait(100) == "finished"
        live = engine.orders
    expected = engine.backtest(BARS)
    assert _denied(expected) == {"above max_gross_exposure"}
    assert live["status"].to_list() == expected.orders["status"].to_list()
    assert live["reason"].to_list() == expected.orders["reason"].to_list()


@pytest.mark.parametrize("value", [0, -1, float("nan"), "many", True])
def test_a_limit_is_a_number_above_zero(value: object) -> None:
    with pytest.raises(ps.InputError, match="max_order_notional="):
        ps.RiskLimits(max_order_notional=value)  # type: ignore[arg-type]


def test_risk_is_limits_and_nothing_else() -> None:
    with pytest.raises(ps.InputError, match=r"risk=7 must be ps\.RiskLimits"):
        ps.backtest(Ladder(), BARS, risk=7)  # type: ignore[arg-type]
    write_limits(ps.backtest(Ladder(), BARS)._simulation.portfolio, 0, ps.RiskLimits(max_order_notional=1e30))
