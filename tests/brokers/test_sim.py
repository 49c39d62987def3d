"""Options of the simulated broker, its repr, and the venue behind it: orders in, candles through, events out."""

from datetime import timedelta
from decimal import Decimal
from math import nan

import numpy as np
import pytest

from pairsim.brokers import SimBroker
from pairsim.brokers.broker import Order
from pairsim.brokers.sim import Venue
from pairsim.errors import InputError
from pairsim.market.instrument import Instrument
from pairsim.orders import matching
from pairsim.portfolio.layout import A_CASH, Costs, init_portfolio, portfolio_words

# --- options --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fee_bps", "maker_fee_bps", "slippage_bps"])
@pytest.mark.parametrize("value", [-0.1, 5_000.1, float("nan"), float("inf"), "10", [10], True, 1j])
def test_bad_basis_points_are_named_with_their_limits(name, value):
    with pytest.raises(InputError, match=r"must be from 0 to 5,000 basis points \(10 is 0.1 %\)") as error:
        SimBroker(**{name: value})
    assert str(error.value).startswith(f"{name}={value!r} ")


@pytest.mark.parametrize("name", ["fee_bps", "slippage_bps"])
def test_only_the_maker_fee_may_be_left_to_another(name):
    with pytest.raises(InputError, match=f"{name}=None must be"):
        SimBroker(**{name: None})
    assert SimBroker(fee_bps=7.0, maker_fee_bps=None).maker_fee_bps == 7.0


@pytest.mark.parametrize("value", [0, 0.0, -0.5, 1.01, float("nan"), "0.1", True, Decimal("0.5")])
def test_a_bad_participation_is_named_with_its_limits(value):
    with pytest.raises(InputError, match="must be above 0 and at most 1, or None to fill whole orders") as error:
        SimBroker(participation=value)
    assert f"participation={value!r}" in str(error.value)


@pytest.mark.parametrize("name", ["latency", "jitter"])
@pytest.mark.parametrize(
    "value", ["fast", "50", "-5ms", "", -1, 1.5, None, True, timedelta(-1), "5 parsecs", "366d", 10**18, [1], 10**400]
)
def test_a_bad_delay_is_named_with_what_would_do(name, value):
    with pytest.raises(
        InputError, match=r'write 0 or more with a unit \(such as "50ms" or "0s"\).*at most 365d'
    ) as error:
        SimBroker(**{name: value})
    assert str(error.value).startswith(f"{name}={value!r} ")


@pytest.mark.parametrize("value", [1.5, "7", None, True, 2**63, -(2**63) - 1, nan])
def test_a_bad_seed_is_named(value):
    with pytest.raises(InputError, match="must be a whole number of 64 bits, such as 7") as error:
        SimBroker(seed=value)
    assert f"seed={value!r}" in str(error.value)


@pytest.mark.parametrize("value", [1, 0, None, "no"])
def test_a_bad_short_is_named(value):
    with pytest.raises(InputError, match=f"short={value!r} must be True"):
        SimBroker(short=value)


@pytest.mark.parametrize("value", [0, "0", "0s", "0ms", " 0 m ", "0.0h", timedelta(0), 0.0])
def test_no_delay_can_be_written_in_any_way(value):
    assert SimBroker(latency=value, jitter=value).latency_ns == SimBroker(jitter=value).jitter_ns == 0


@pytest.mark.parametrize(
    ("value", "ns"), [("50ms", 50_000_000), (7, 7), (timedelta(seconds=1), 10**9), ("365d", 31_536 * 10**12)]
)
def test_delays_are_nanoseconds(value, ns):
    broker = SimBroker(latency=value)
    assert (broker.latency_ns, broker.arrival(1_000, 4)) == (ns, 1_000 + ns)


def test_numbers_of_numpy_are_numbers():
    broker = SimBroker(
        fee_bps=np.float64(3.0), slippage_bps=np.int64(2), participation=np.float64(0.5), seed=np.int64(3)
    )
    assert (broker.fee_bps, broker.slippage_bps, broker.participation, broker.seed) == (3.0, 2.0, 0.5, 3)
    assert repr(broker) == "SimBroker(fee_bps=3, slippage_bps=2, participation=0.5)"


# --- repr and costs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "SimBroker(fee_bps=10)"),
        ({"latency": "50ms"}, "SimBroker(latency='50ms', fee_bps=10)"),
        ({"maker_fee_bps": 0.0}, "SimBroker(fee_bps=10, maker_fee_bps=0)"),
        ({"jitter": "1500us", "seed": 7}, "SimBroker(fee_bps=10, jitter='1500us', seed=7)"),
        ({"seed": 7}, "SimBroker(fee_bps=10)"),
        (
            {"latency": "1m", "fee_bps": 2.5, "slippage_bps": 1, "participation": 0.1, "short": True},
            "SimBroker(latency='1m', fee_bps=2.5, slippage_bps=1, participation=0.1, short=True)",
        ),
    ],
)
def test_the_repr_shows_what_differs_and_makes_the_same_broker(options, text):
    broker = SimBroker(**options)
    assert repr(broker) == text
    assert repr(eval(text)) == text
    assert eval(text).costs == broker.costs


def test_costs_are_what_sizes_checks_and_fills_go_by():
    assert SimBroker(fee_bps=5, slippage_bps=3, short=True).costs == Costs(5.0, 5.0, 3.0, True)


# --- jitter --------------------------------------------------------------------------------------------------------


def test_the_same_orders_get_the_same_delays_by_seed():
    ids = range(4, 400, 4)
    first = [SimBroker(jitter="1s", latency="2s", seed=7).arrival(0, k) for k in ids]
    again = [SimBroker(jitter="1s", latency="2s", seed=7).arrival(0, k) for k in reversed(ids)][::-1]
    other = [SimBroker(jitter="1s", latency="2s", seed=8).arrival(0, k) for k in ids]
    assert first == again != other
    assert min(first) >= 2 * 10**9 and max(first) <= 3 * 10**9 and len(set(first)) > 90


def test_an_arrival_at_the_longest_delays_does_not_wrap():
    broker = SimBroker(latency="365d", jitter="365d")
    assert broker.arrival(4 * 10**18, 4) > 4 * 10**18


# --- the venue -----------------------------------------------------------------------------------------------------


def order(k, *, side=1, units=10**8, market=0, kind=0, limit=nan, stop=nan, stop_loss=nan, take_profit=nan, expires=0):
    return Order(
        k, f"run-{k}", 0, "A/B", "t", "BUY" if side > 0 else "SELL", "MARKET", units / 1e8, limit, stop, stop_loss,
        take_profit, expires, 100.0, matching.ID_STEP * k, market, market, side, kind, units,
    )  # fmt: skip


def venue(broker=None, markets=1, cash=1e6):
    broker = broker or SimBroker(fee_bps=0.0)
    instruments = [Instrument(f"{k}/USD") for k in range(markets)]
    pairs = tuple((0, k) for k in range(markets))
    ledger = np.zeros(portfolio_words(markets, markets), np.int64)
    init_portfolio(ledger, 0, instruments, pairs, cash, broker.costs)
    return Venue(broker, ledger, markets)


FLAT = (100.0, 101.0, 99.0, 100.0, 1e6)


def test_a_venue_fills_what_was_submitted_and_keeps_its_own_ledger():
    v = venue()
    v.submit(order(1), arrival=60)
    assert v.working == 1
    assert v.match(0, 0, FLAT) == []
    [row] = v.match(0, 60, FLAT)
    assert row == (matching.FILL, 4, 0, 0, 1, 0, 60, 10**8, 10**10, 0, 0, 1, 0, 100.0, 0)
    assert (v.working, int(v.ledger[A_CASH])) == (0, 10**14 - 10**10)


def test_a_venue_takes_any_number_of_working_orders():
    v = venue(markets=2)
    n = 1_500
    for k in range(1, n + 1):
        v.submit(order(k, kind=1, limit=90.0 - k % 7, market=k % 2, stop_loss=50.0, take_profit=150.0), arrival=0)
    assert v.working == n
    assert v.match(0, 60, FLAT) == v.match(1, 60, FLAT) == []
    fills = [r for m in (0, 1) for r in v.match(m, 120, (80.0, 81.0, 79.0, 80.0, 1e6)) if r[0] == matching.FILL]
    assert sorted(r[1] for r in fills) == [4 * k for k in range(1, n + 1)]
    assert v.working == 4  # the protective orders of the last entry of each market


def test_a_venue_ends_what_works_however_much_it_is():
    v = venue()
    for k in range(1, 6_001):
        v.submit(order(k, kind=1, limit=90.0), arrival=0)
    rows = v.end(matching.CANCELED, matching.STOPPED, 60)
    assert [r[1] for r in rows] == [4 * k for k in range(1, 6_001)]
    assert {r[12] for r in rows} == {matching.STOPPED} and v.working == 0


def test_a_cancel_of_a_pair_reaches_its_entries_only():
    v = venue(markets=2)
    for k, (market, kind) in enumerate([(0, 0), (0, 1), (0, 2), (1, 1)], start=1):
        v.submit(
            order(k, kind=kind, market=market, limit=50.0 if kind == 1 else nan, stop=200.0 if kind == 2 else nan), 300
        )
    v.cancel_working(0, 0, 60, matching.REPLACED)
    assert [(r[0], r[1]) for r in v.match(0, 60, FLAT)] == [(matching.CANCELED, 8), (matching.CANCELED, 12)]
    assert v.match(1, 60, FLAT) == [] and v.working == 2


def test_a_venue_obeys_the_options_of_its_broker():
    v = venue(SimBroker(fee_bps=10.0, slippage_bps=100.0, participation=0.1))
    v.submit(order(1, units=10 * 10**8), 0)
    [row] = v.match(0, 60, (100.0, 101.0, 99.0, 100.0, 40.0))
    # four of ten at 101: a notional of 404 and a fee of 0.404
    assert (row[7], row[8], row[9], row[11], row[13]) == (4 * 10**8, 404 * 10**8, 40_400_000, 0, 101.0)
