"""Market, limit and stop orders against candles, each example computed by hand. Lots of 1, no fees unless given."""

import pytest

from pairsim.orders import matching

# --- market orders and latency --------------------------------------------------------------------------------------


def test_a_market_order_fills_at_the_next_open(world):
    w = world(fee_bps=10.0, cash=10_000.0)
    w.buy("a", 10)
    assert w.candle(100.0, 110.0, 90.0) == ["a bought 10 @ 100 taker"]
    # 10 * 100 = 1,000 and 0.1 % of it
    assert (w.cash, w.fees, w.held(), w.average(), w.cost()) == (8_999.0, 1.0, 10.0, 100.0, 1_000.0)
    w.sell("b", 10)
    assert w.candle(105.0, 106.0, 104.0) == ["b sold 10 @ 105 taker"]
    # 8,999 + 1,050 - 1.05; the profit of 50 is told apart from the fees
    assert (w.cash, w.held(), w.average(), w.cost(), w.realised) == (10_047.95, 0.0, 0.0, 0.0, 50.0)
    assert w.working == 0


def test_an_order_waits_for_the_first_candle_that_opens_at_or_after_its_arrival(world):
    w = world()
    w.buy("a", 1, arrival=121)
    assert w.candle(100.0, 101.0, 99.0, time=60) == []
    assert w.candle(100.0, 101.0, 99.0, time=120) == []
    assert w.candle(102.0, 103.0, 101.0, time=180) == ["a bought 1 @ 102 taker"]


def test_an_order_that_arrives_with_the_open_takes_part(world):
    w = world()
    w.buy("a", 1, arrival=60)
    assert w.candle(100.0, 101.0, 99.0, time=60) == ["a bought 1 @ 100 taker"]


def test_candles_before_1970_fill_orders_too(world):
    w = world()
    w.buy("a", 1, arrival=-(10**18))
    assert w.candle(100.0, 101.0, 99.0, time=-(10**18)) == ["a bought 1 @ 100 taker"]


def test_slippage_is_paid_by_takers_in_both_directions(world):
    w = world(slippage_bps=50.0)
    w.buy("a", 10)
    assert w.candle(100.0, 100.0, 100.0) == ["a bought 10 @ 100.49999999999999 taker"]
    w.sell("b", 10)
    assert w.candle(200.0, 200.0, 200.0) == ["b sold 10 @ 199 taker"]


def test_makers_and_takers_pay_their_own_fee(world):
    w = world(fee_bps=20.0, maker_fee_bps=5.0)
    w.buy("a", 10)
    w.candle(100.0, 100.0, 100.0)
    assert w.fees == 2.0
    w.sell("b", 10, limit=120.0)
    assert w.candle(100.0, 125.0, 95.0) == ["b sold 10 @ 120 maker"]
    assert w.fees == pytest.approx(2.0 + 0.6)


# --- limits --------------------------------------------------------------------------------------------------------


def test_a_limit_that_is_touched_fills_at_its_price_as_maker(world):
    w = world(slippage_bps=100.0)
    w.buy("a", 10, limit=95.0)
    assert w.candle(100.0, 101.0, 95.5) == []
    assert w.candle(100.0, 101.0, 95.0) == ["a bought 10 @ 95 maker"]
    w.sell("b", 10, limit=105.0)
    assert w.candle(100.0, 104.5, 95.0) == []
    assert w.candle(100.0, 105.0, 95.0) == ["b sold 10 @ 105 maker"]


def test_a_resting_limit_that_the_open_passes_fills_at_the_better_open_as_maker(world):
    w = world(slippage_bps=100.0)
    w.buy("a", 10, limit=95.0)
    w.candle(100.0, 101.0, 96.0)
    assert w.candle(92.0, 93.0, 91.0) == ["a bought 10 @ 92 maker"]


@pytest.mark.parametrize("arrival", [60, 31], ids=["no latency", "latency"])
def test_a_limit_that_is_marketable_when_it_comes_takes(world, arrival):
    w = world(fee_bps=10.0)
    w.buy("a", 10, limit=105.0, arrival=arrival)
    assert w.candle(100.0, 101.0, 99.0, time=60) == ["a bought 10 @ 100 taker"]
    assert w.fees == 1.0


def test_slippage_never_carries_a_limit_order_beyond_its_limit(world):
    w = world(slippage_bps=100.0)
    w.buy("a", 10, limit=100.5)
    assert w.candle(100.0, 101.0, 99.0) == ["a bought 10 @ 100.5 taker"]  # 101 with slippage
    w.sell("b", 10, limit=99.5)
    assert w.candle(100.0, 101.0, 99.0) == ["b sold 10 @ 99.5 taker"]  # 99 with slippage


# --- stops ---------------------------------------------------------------------------------------------------------


def test_a_stop_that_is_touched_fills_at_its_price_and_slippage(world):
    w = world(slippage_bps=100.0)
    w.buy("a", 10, stop=105.0)
    assert w.candle(100.0, 104.5, 99.0) == []
    assert w.candle(100.0, 105.0, 99.0) == ["a bought 10 @ 106.05 taker"]
    w.sell("b", 10, stop=95.0)
    assert w.candle(100.0, 105.0, 95.5) == []
    assert w.candle(100.0, 105.0, 95.0) == ["b sold 10 @ 94.05 taker"]


def test_a_stop_that_the_open_has_passed_fills_at_the_open(world):
    w = world()
    w.buy("a", 10, stop=105.0)
    assert w.candle(108.0, 109.0, 107.0) == ["a bought 10 @ 108 taker"]
    w.sell("b", 10, stop=95.0)
    assert w.candle(90.0, 91.0, 89.0) == ["b sold 10 @ 90 taker"]


def test_a_stop_limit_touched_inside_is_a_limit_order_from_the_next_candle_on(world):
    w = world()
    w.buy("a", 10, stop=105.0, limit=106.0)
    assert w.candle(100.0, 107.0, 99.0) == []
    assert w.candle(107.0, 108.0, 106.5) == []  # triggered, not marketable: rests
    assert w.candle(107.0, 108.0, 105.5) == ["a bought 10 @ 106 maker"]


def test_a_stop_limit_that_is_marketable_when_it_becomes_a_limit_order_takes(world):
    w = world()
    w.buy("a", 10, stop=105.0, limit=106.0)
    w.candle(100.0, 107.0, 99.0)
    assert w.candle(104.0, 104.0, 103.0) == ["a bought 10 @ 104 taker"]


def test_a_stop_limit_passed_by_the_open_fills_there_if_its_limit_allows(world):
    w = world()
    w.buy("a", 10, stop=105.0, limit=106.0)
    assert w.candle(105.5, 109.0, 105.0) == ["a bought 10 @ 105.5 taker"]
    w.sell("b", 10, stop=95.0, limit=94.0)
    assert w.candle(94.5, 94.5, 94.5) == ["b sold 10 @ 94.5 taker"]


def test_a_stop_limit_gapped_beyond_its_limit_rests_and_fills_when_the_price_comes_back(world):
    w = world()
    w.buy("a", 10, stop=105.0, limit=106.0)
    assert w.candle(108.0, 109.0, 107.0) == []
    w.buy("b", 10, stop=105.0, limit=106.0)
    # a rests since the last candle, b has been triggered by this open: both are limit orders inside it
    assert w.candle(108.0, 109.0, 105.0) == ["a bought 10 @ 106 maker", "b bought 10 @ 106 maker"]


def test_an_untouched_stop_limit_never_fills_by_its_limit_alone(world):
    w = world()
    w.buy("a", 10, stop=105.0, limit=106.0)
    assert w.candle(100.0, 104.0, 90.0) == []


# --- cancels, expiry, the end --------------------------------------------------------------------------------------


def test_an_order_fills_until_its_cancel_arrives(world):
    w = world()
    w.buy("a", 10, limit=95.0)
    w.buy("b", 10, limit=90.0)
    w.cancel(at=121)
    assert w.candle(100.0, 101.0, 99.0, time=60) == []
    assert w.candle(96.0, 97.0, 95.0, time=120) == ["a bought 10 @ 95 maker"]
    # the open of the next candle would fill b: its cancel was first
    assert w.candle(89.0, 90.0, 88.0, time=180) == ["b canceled: canceled by the strategy"]
    assert w.working == 0


def test_the_first_cancel_of_an_order_counts(world):
    w = world()
    w.buy("a", 10, limit=95.0)
    w.cancel(at=60, reason=matching.REPLACED)
    w.cancel(at=120, reason=matching.BY_STRATEGY)
    assert w.candle(90.0, 91.0, 89.0, time=60) == ["a canceled: replaced by a new signal"]


def test_an_order_canceled_before_it_arrives_never_works(world):
    w = world()
    w.buy("a", 10, arrival=200, limit=95.0)
    w.cancel(at=60)
    assert w.candle(90.0, 91.0, 89.0, time=60) == ["a canceled: canceled by the strategy"]


def test_a_new_signal_replaces_limits_and_stops_but_no_market_order_and_no_other_trader(world):
    w = world(pairs=((0, 0), (1, 0)))
    w.buy("limit", 1, limit=95.0)
    w.buy("stop", 1, stop=105.0)
    w.buy("market", 1, arrival=120)
    w.buy("other", 1, limit=95.0, pair=1)
    w.cancel(at=60, reason=matching.REPLACED)
    w.buy("new", 1, limit=94.0, arrival=60)
    assert w.candle(100.0, 101.0, 99.0, time=60) == [
        "limit canceled: replaced by a new signal",
        "stop canceled: replaced by a new signal",
    ]
    assert w.candle(100.0, 101.0, 94.0, time=120) == [
        "market bought 1 @ 100 taker",
        "other bought 1 @ 95 maker",
        "new bought 1 @ 94 maker",
    ]


def test_an_order_works_until_the_candle_that_opens_at_its_expiry(world):
    w = world()
    w.buy("a", 10, limit=95.0, expires=180)
    w.buy("b", 10, limit=90.0, expires=180)
    assert w.candle(100.0, 101.0, 99.0, time=60) == []
    assert w.candle(96.0, 97.0, 95.0, time=120) == ["a bought 10 @ 95 maker"]
    assert w.candle(85.0, 90.0, 85.0, time=180) == ["b expired: expired"]


def test_at_the_end_of_data_every_order_ends_with_a_reason(world):
    w = world(pairs=((0, 0), (0, 1)))
    w.buy("a", 10, limit=95.0)
    w.buy("b", 10, stop=105.0, pair=1)
    w.buy("c", 10, arrival=10**9)
    assert w.end() == ["a expired: end of data", "c expired: end of data", "b expired: end of data"]
    assert w.working == 0 and w.cash == w.opening


def test_a_halt_can_end_the_orders_of_one_pair(world):
    w = world(pairs=((0, 0), (1, 0)))
    w.buy("a", 10, limit=95.0)
    w.buy("b", 10, limit=95.0, pair=1)
    assert w.end(kind=matching.CANCELED, reason=matching.HALTED, pair=1) == ["b canceled: halted"]
    assert w.candle(95.0, 96.0, 94.0) == ["a bought 10 @ 95 taker"]


# --- two orders ----------------------------------------------------------------------------------------------------


def test_orders_of_a_market_are_served_first_in_first_out_at_the_open(world):
    w = world(cash=1_500.0, pairs=((0, 0), (1, 0)))
    w.buy("a", 10, pair=1)
    w.buy("b", 10)
    # 1,500 pay ten and then five
    assert w.candle(100.0, 100.0, 100.0) == [
        "a bought 10 @ 100 taker",
        "b bought 5 @ 100 taker: trimmed to cash",
    ]


def test_what_the_open_fills_comes_before_what_the_candle_touches(world):
    w = world(cash=1_000.0)
    w.buy("low", 10, limit=95.0)
    w.buy("now", 10)
    assert w.candle(100.0, 101.0, 94.0) == [
        "now bought 10 @ 100 taker",
        "low rejected: not enough cash at the fill",
    ]


def test_markets_do_not_touch_each_other(world):
    w = world(pairs=((0, 0), (0, 1)))
    w.buy("a", 10)
    w.buy("b", 10, pair=1)
    assert w.candle(50.0, 50.0, 50.0, market=1) == ["b bought 10 @ 50 taker"]
    assert w.candle(100.0, 100.0, 100.0, market=0) == ["a bought 10 @ 100 taker"]
    assert (w.held(0), w.held(1), w.cash) == (10.0, 10.0, 8_500.0)
