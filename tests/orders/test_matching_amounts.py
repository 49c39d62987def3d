"""How much of an order fills, and at which tick: participation, trims, short accounts, ticks, the end of int64."""

import pytest

FREE = {"lot_size": 1e-8}

# --- participation --------------------------------------------------------------------------------------------------


def test_participation_fills_an_order_in_parts_candle_by_candle(world):
    w = world(participation=0.1)
    w.buy("a", 10)
    assert w.candle(100.0, 101.0, 99.0, volume=45.0) == ["a partly bought 4 @ 100 taker"]  # 4.5: whole lots only
    assert w.candle(102.0, 103.0, 101.0, volume=0.0) == []
    assert w.candle(104.0, 105.0, 103.0, volume=200.0) == ["a bought 6 @ 104 taker"]
    assert w.cash == 10_000.0 - 400.0 - 624.0


def test_the_orders_of_a_candle_share_what_may_be_taken_of_its_volume(world):
    w = world(participation=0.5, pairs=((0, 0), (1, 0)))
    w.buy("a", 4)
    w.buy("b", 4, limit=95.0, pair=1)
    w.buy("c", 4, limit=94.0)
    # 12 * 0.5 = 6: four at the open, two of the four below it, none for the last
    assert w.candle(100.0, 101.0, 94.0, volume=12.0) == ["a bought 4 @ 100 taker", "b partly bought 2 @ 95 maker"]


def test_a_share_of_volume_that_is_a_whole_lot_is_not_lost_to_a_float(world):
    w = world(participation=0.29)
    w.buy("a", 29)
    # 0.29 * 100 is 28.999999999999996 in binary
    assert w.candle(100.0, 101.0, 99.0, volume=100.0) == ["a bought 29 @ 100 taker"]


def test_less_than_a_lot_of_volume_leaves_the_order_working(world):
    w = world(participation=0.1)
    w.buy("a", 2, expires=400)
    for _ in range(5):
        assert w.candle(100.0, 101.0, 99.0, volume=9.0) == []
    assert w.candle(100.0, 101.0, 99.0, volume=9.0, time=400) == ["a expired: expired"]


def test_a_stop_that_finds_no_volume_goes_on_as_a_market_order(world):
    w = world(participation=0.1)
    w.buy("a", 10, stop=105.0)
    assert w.candle(100.0, 106.0, 99.0, volume=40.0) == ["a partly bought 4 @ 105 taker"]
    assert w.candle(90.0, 91.0, 89.0, volume=100.0) == ["a bought 6 @ 90 taker"]


def test_the_rest_of_a_limit_order_that_took_rests_and_makes(world):
    w = world(participation=0.1)
    w.buy("a", 10, limit=100.0)
    assert w.candle(99.0, 101.0, 98.0, volume=40.0) == ["a partly bought 4 @ 99 taker"]
    assert w.candle(101.0, 101.0, 100.0, volume=100.0) == ["a bought 6 @ 100 maker"]


# --- trims ---------------------------------------------------------------------------------------------------------


def test_a_buy_is_trimmed_to_what_cash_pays_with_fee(world):
    w = world(cash=1_000.0, fee_bps=100.0)
    w.buy("a", 10)
    # ten cost 1,010, nine 909
    assert w.candle(100.0, 100.0, 100.0) == ["a bought 9 @ 100 taker: trimmed to cash"]
    assert (w.cash, w.held()) == (91.0, 9.0)


def test_a_buy_that_cash_pays_no_lot_of_is_rejected(world):
    w = world(cash=99.0)
    w.buy("a", 1)
    assert w.candle(100.0, 100.0, 100.0) == ["a rejected: not enough cash at the fill"]
    assert w.cash == 99.0


def test_what_has_been_filled_in_part_is_canceled_not_rejected_when_the_cash_is_gone(world):
    w = world(cash=1_000.0, participation=0.1, pairs=((0, 0), (1, 0)))
    w.buy("a", 8)
    assert w.candle(100.0, 100.0, 100.0, volume=40.0) == ["a partly bought 4 @ 100 taker"]
    assert w.candle(700.0, 700.0, 700.0, volume=40.0) == ["a canceled: not enough cash at the fill"]
    assert (w.cash, w.held(), w.working) == (600.0, 4.0, 0)


def test_an_order_trimmed_to_cash_takes_its_share_of_volume_first_and_the_rest_later(world):
    w = world(cash=1_000.0, participation=0.1)
    w.buy("a", 20)
    assert w.candle(100.0, 100.0, 100.0, volume=40.0) == ["a partly bought 4 @ 100 taker"]
    assert w.candle(100.0, 100.0, 100.0, volume=900.0) == ["a bought 6 @ 100 taker: trimmed to cash"]
    assert (w.cash, w.held()) == (0.0, 10.0)


def test_a_sell_of_a_cash_account_is_trimmed_to_the_position_and_canceled_without_one(world):
    w = world()
    w.buy("a", 5)
    w.candle(100.0, 100.0, 100.0)
    w.sell("b", 8)
    w.sell("c", 1)
    assert w.candle(100.0, 100.0, 100.0) == [
        "b sold 5 @ 100 taker: trimmed to the position",
        "c canceled: position closed",
    ]
    assert (w.held(), w.cash, w.working) == (0.0, 10_000.0, 0)


def test_a_trader_cannot_sell_what_another_trader_holds(world):
    w = world(pairs=((0, 0), (1, 0)))
    w.buy("a", 5)
    w.candle(100.0, 100.0, 100.0)
    w.sell("b", 5, pair=1)
    assert w.candle(100.0, 100.0, 100.0) == ["b canceled: position closed"]


# --- short accounts ------------------------------------------------------------------------------------------------


def test_a_short_account_sells_below_zero_and_buys_back(world):
    w = world(short=True, cash=1_000.0)
    w.sell("a", 10)
    assert w.candle(100.0, 100.0, 100.0) == ["a sold 10 @ 100 taker"]
    assert (w.held(), w.cash, w.average(), w.cost()) == (-10.0, 2_000.0, 100.0, -1_000.0)
    w.buy("b", 4)
    w.candle(90.0, 90.0, 90.0)
    assert (w.held(), w.average(), w.realised) == (-6.0, 100.0, 40.0)


def test_one_order_goes_through_flat_to_the_other_side(world):
    w = world(short=True, cash=1_000.0)
    w.buy("a", 5)
    w.candle(100.0, 100.0, 100.0)
    w.sell("b", 15)
    assert w.candle(110.0, 110.0, 110.0) == ["b sold 15 @ 110 taker"]
    # 5 of them close with 50 profit, 10 open at 110
    assert (w.held(), w.average(), w.cost(), w.realised) == (-10.0, 110.0, -1_100.0, 50.0)


def test_a_short_position_can_always_be_bought_back_even_into_debt(world):
    w = world(short=True, cash=100.0)
    w.sell("a", 10)
    w.candle(100.0, 100.0, 100.0)  # cash 1,100
    w.buy("b", 25)
    # 25 at 300 is beyond all cash; the ten of the position are not
    assert w.candle(300.0, 300.0, 300.0) == ["b bought 10 @ 300 taker: trimmed to cash"]
    assert (w.cash, w.held(), w.realised) == (-1_900.0, 0.0, -2_000.0)


# --- ticks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "price"), [(1, 100.1), (-1, 99.9)])
def test_slippage_is_rounded_to_the_tick_against_us(world, side, price):
    w = world(slippage_bps=6.0, short=True, instrument={"lot_size": 1.0, "tick_size": 0.05})
    w.submit("a", side, 10)
    [fill] = w.match(100.0, 100.0, 100.0)  # 100.06 or 99.94
    assert fill.price == price


@pytest.mark.parametrize("price", [100.07, 0.29, 1.15, 4_035.3, 99_999.99])
def test_a_price_on_the_grid_stays_exactly_what_it_is(world, price):
    w = world(cash=1e6, instrument={"lot_size": 1.0, "tick_size": 0.01})
    w.buy("a", 1)
    w.buy("b", 1, limit=price)
    assert [e.price for e in w.match(price, price, price)] == [price, price]


def test_a_limit_off_the_grid_never_fills_beyond_itself(world):
    w = world(instrument={"lot_size": 1.0, "tick_size": 0.5})
    w.buy("a", 1, limit=95.3)
    assert w.candle(100.0, 101.0, 95.2) == []  # it counts as 95.0
    assert w.candle(100.0, 101.0, 95.0) == ["a bought 1 @ 95 maker"]
    w.sell("b", 1, limit=104.7)
    assert w.candle(100.0, 104.9, 99.0) == []  # it counts as 105.0
    assert w.candle(100.0, 105.0, 99.0) == ["b sold 1 @ 105 maker"]


def test_a_stop_off_the_grid_fills_at_the_tick_behind_it(world):
    w = world(instrument={"lot_size": 1.0, "tick_size": 0.5})
    w.buy("a", 1, stop=104.6)
    assert w.candle(100.0, 104.6, 99.0) == ["a bought 1 @ 105 taker"]


def test_nothing_is_sold_for_less_than_a_tick(world):
    w = world(slippage_bps=5_000.0, instrument={"lot_size": 1.0, "tick_size": 0.05})
    w.buy("a", 1)
    w.candle(0.05, 0.05, 0.05)
    w.sell("b", 1)
    assert w.candle(0.05, 0.05, 0.05) == ["b sold 1 @ 0.05 taker"]


# --- what cannot be counted ----------------------------------------------------------------------------------------


def test_a_rich_account_can_buy_a_little_of_a_very_cheap_asset(world):
    w = world(cash=1_000_000.0, instrument=FREE)
    w.buy("a", 1_000)
    # all of the cash would buy 1e11, more than int64 counts at 1e-8; the order asks for 1,000
    assert w.candle(1e-5, 1e-5, 1e-5) == ["a bought 1000 @ 1e-05 taker"]
    assert w.cash == 1_000_000.0 - 0.01


def test_a_position_that_cannot_be_counted_is_refused_and_nothing_is_booked(world):
    w = world(cash=1_000_000.0, instrument=FREE)
    w.buy("a", 8e10)
    w.buy("b", 8e10)
    assert w.candle(1e-6, 1e-6, 1e-6) == ["a bought 8e+10 @ 1e-06 taker", "b rejected: too large to count"]
    assert (w.held(), w.cash) == (8e10, 1_000_000.0 - 80_000.0)
    w.sell("c", 8e10)
    assert w.candle(1e-6, 1e-6, 1e-6) == ["c sold 8e+10 @ 1e-06 taker"]


def test_positions_of_several_traders_are_counted_together(world):
    w = world(cash=1_000_000.0, instrument=FREE, pairs=((0, 0), (1, 0)))
    w.buy("a", 8e10)
    w.buy("b", 8e10, pair=1)
    assert w.candle(1e-6, 1e-6, 1e-6)[1] == "b rejected: too large to count"


@pytest.mark.parametrize("quantity", [5e10, 5e9])
def test_a_sale_whose_money_cannot_be_counted_is_refused(world, quantity):
    w = world(cash=8e10, short=True, instrument=FREE)
    w.sell("a", quantity)
    assert w.candle(10.0, 10.0, 10.0) == ["a rejected: too large to count"]
    assert (w.held(), w.cash) == (0.0, 8e10)
