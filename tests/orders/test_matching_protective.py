"""Stop-loss and take-profit: when they arm, which of two wins, and when they end. Lots of 1, no fees."""

import pytest

SL, TP = "a.stop_loss", "a.take_profit"


def entered(world, **options):
    """A world with a position of 10 at 100, stop-loss 90 and take-profit 110, both armed."""
    w = world(**options)
    w.buy("a", 10, stop_loss=90.0, take_profit=110.0)
    assert w.candle(100.0, 101.0, 99.0) == ["a bought 10 @ 100 taker", f"{SL} armed 10 @ 90", f"{TP} armed 10 @ 110"]
    return w


def test_a_stop_loss_closes_the_position_and_cancels_its_twin(world):
    w = entered(world)
    assert w.candle(95.0, 96.0, 89.0) == [f"{SL} sold 10 @ 90 taker", f"{TP} canceled: position closed"]
    assert (w.held(), w.cash, w.working) == (0.0, 9_900.0, 0)


def test_a_take_profit_closes_the_position_and_cancels_its_twin(world):
    w = entered(world)
    assert w.candle(105.0, 111.0, 104.0) == [f"{TP} sold 10 @ 110 maker", f"{SL} canceled: position closed"]
    assert (w.held(), w.cash, w.working) == (0.0, 10_100.0, 0)


def test_when_a_candle_touches_both_the_loss_wins(world):
    w = entered(world)
    assert w.candle(100.0, 115.0, 85.0)[0] == f"{SL} sold 10 @ 90 taker"


def test_an_open_beyond_the_take_profit_fills_there_before_the_candle_falls(world):
    w = entered(world)
    assert w.candle(112.0, 113.0, 85.0) == [f"{TP} sold 10 @ 112 maker", f"{SL} canceled: position closed"]


def test_an_open_beyond_the_stop_loss_fills_at_the_open(world):
    w = entered(world)
    assert w.candle(80.0, 120.0, 79.0)[0] == f"{SL} sold 10 @ 80 taker"


def test_orders_armed_at_the_open_work_inside_the_same_candle(world):
    w = world()
    w.buy("a", 10, stop_loss=90.0, take_profit=110.0)
    assert w.candle(100.0, 112.0, 95.0)[3:] == [f"{TP} sold 10 @ 110 maker", f"{SL} canceled: position closed"]
    w.buy("a", 10, stop_loss=90.0, take_profit=110.0)
    assert w.candle(100.0, 112.0, 88.0)[3:] == [f"{SL} sold 10 @ 90 taker", f"{TP} canceled: position closed"]


def test_a_protective_order_beyond_the_open_of_its_entry_fills_there_as_taker(world):
    w = world()
    w.buy("a", 10, stop_loss=90.0)
    assert w.candle(85.0, 86.0, 84.0)[2:] == [f"{SL} sold 10 @ 85 taker"]
    w.buy("a", 10, take_profit=110.0)
    assert w.candle(115.0, 116.0, 114.0)[2:] == [f"{TP} sold 10 @ 115 taker"]
    assert w.working == 0


def test_a_stop_armed_by_an_entry_inside_the_candle_can_fill_in_it(world):
    w = world()
    w.buy("a", 10, limit=95.0, stop_loss=90.0, take_profit=105.0)
    # the low of 89 came after the entry at 95; the high of 106 may have come before it
    assert w.candle(100.0, 106.0, 89.0) == [
        "a bought 10 @ 95 maker",
        f"{SL} armed 10 @ 90",
        f"{TP} armed 10 @ 105",
        f"{SL} sold 10 @ 90 taker",
        f"{TP} canceled: position closed",
    ]


def test_a_take_profit_armed_inside_the_candle_waits_for_the_next(world):
    w = world()
    w.buy("a", 10, limit=95.0, take_profit=105.0)
    assert w.candle(100.0, 106.0, 94.0) == ["a bought 10 @ 95 maker", f"{TP} armed 10 @ 105"]
    assert w.candle(100.0, 105.0, 99.0) == [f"{TP} sold 10 @ 105 maker"]


def test_a_stop_loss_above_a_limit_entry_earns_nothing(world):
    w = world()
    w.buy("a", 10, limit=95.0, stop_loss=97.0)
    # at 95 the market is below the stop already: it sells where it bought, not at 97
    assert w.candle(100.0, 101.0, 94.0)[2:] == [f"{SL} sold 10 @ 95 taker"]
    assert w.cash == 10_000.0


def test_a_stop_loss_below_a_short_limit_entry_earns_nothing(world):
    w = world(short=True)
    w.sell("a", 10, limit=105.0, stop_loss=103.0)
    assert w.candle(100.0, 106.0, 99.0)[2:] == [f"{SL} bought 10 @ 105 taker"]
    assert w.cash == 10_000.0


def test_a_short_position_is_protected_the_other_way_round(world):
    w = world(short=True)
    w.sell("a", 10, stop_loss=110.0, take_profit=90.0)
    w.candle(100.0, 101.0, 99.0)
    assert w.candle(100.0, 115.0, 85.0) == [f"{SL} bought 10 @ 110 taker", f"{TP} canceled: position closed"]
    w.sell("a", 10, stop_loss=110.0, take_profit=90.0)
    w.candle(100.0, 101.0, 99.0)
    assert w.candle(88.0, 115.0, 85.0)[0] == f"{TP} bought 10 @ 88 maker"


def test_closing_the_position_by_hand_cancels_both(world):
    w = entered(world)
    w.sell("b", 10)
    assert w.candle(100.0, 120.0, 80.0) == [
        "b sold 10 @ 100 taker",
        f"{SL} canceled: position closed",
        f"{TP} canceled: position closed",
    ]
    assert w.working == 0


def test_a_new_signal_leaves_protective_orders_alone(world):
    w = entered(world)
    w.cancel(at=0)
    assert w.candle(100.0, 101.0, 99.0) == [] and w.working == 2


def test_part_of_the_position_sold_by_hand_is_not_sold_again(world):
    w = entered(world)
    w.sell("b", 4)
    assert w.candle(100.0, 101.0, 99.0) == ["b sold 4 @ 100 taker"]
    assert w.candle(95.0, 96.0, 89.0) == [f"{SL} sold 6 @ 90 taker", f"{TP} canceled: position closed"]
    assert w.held() == 0.0


def test_a_second_entry_with_protective_orders_takes_over_for_the_whole_position(world):
    w = entered(world)
    w.buy("b", 5, stop_loss=95.0)
    assert w.candle(104.0, 105.0, 103.0) == [
        "b bought 5 @ 104 taker",
        f"{SL} canceled: replaced by a new entry",
        f"{TP} canceled: replaced by a new entry",
        "b.stop_loss armed 15 @ 95",
    ]
    assert w.candle(100.0, 101.0, 94.0) == ["b.stop_loss sold 15 @ 95 taker"]


def test_of_two_protective_orders_only_one_executes_when_a_second_entry_has_none(world):
    w = entered(world)
    w.buy("b", 5)
    w.candle(104.0, 105.0, 103.0)
    # ten of fifteen are protected: the stop sells them, and the take-profit must not sell ten more
    assert w.candle(95.0, 96.0, 89.0) == [
        f"{SL} sold 10 @ 90 taker",
        f"{TP} canceled: a protective order of the same entry executed",
    ]
    assert (w.held(), w.working) == (5.0, 0)


def test_what_one_twin_has_filled_in_part_the_other_does_not_fill_again(world):
    w = entered(world, participation=0.1)
    w.buy("b", 5)
    w.candle(104.0, 105.0, 103.0)
    assert w.candle(95.0, 96.0, 89.0, volume=40.0) == [f"{SL} partly sold 4 @ 90 taker"]
    # six are left to either: the stop is a market order now and is served first; the take-profit gets what it leaves
    assert w.candle(111.0, 112.0, 110.5, volume=20.0) == [f"{SL} partly sold 2 @ 111 taker"]
    assert w.candle(111.0, 112.0, 110.5) == [
        f"{SL} sold 4 @ 111 taker",
        f"{TP} canceled: a protective order of the same entry executed",
    ]
    assert w.held() == 5.0


def test_protective_orders_of_an_entry_filled_in_parts_cover_all_of_it(world):
    w = world(participation=0.1)
    w.buy("a", 10, stop_loss=90.0)
    assert w.candle(100.0, 101.0, 99.0, volume=40.0) == ["a partly bought 4 @ 100 taker", f"{SL} armed 10 @ 90"]
    assert w.candle(100.0, 101.0, 99.0, volume=60.0) == ["a bought 6 @ 100 taker"]
    assert w.candle(95.0, 96.0, 89.0) == [f"{SL} sold 10 @ 90 taker"]


def test_a_stop_loss_ends_what_is_left_of_its_entry(world):
    w = world(participation=0.1)
    w.buy("a", 10, stop_loss=90.0)
    w.candle(100.0, 101.0, 99.0, volume=40.0)
    # without that, the entry would go on buying behind the stop, unprotected
    assert w.candle(100.0, 100.0, 88.0, volume=0.0) == ["a canceled: a protective order of the same entry executed"]
    assert w.candle(85.0, 86.0, 84.0, volume=100.0) == [f"{SL} sold 4 @ 85 taker"]
    assert (w.held(), w.working) == (0.0, 0)


def test_closing_by_hand_ends_what_is_left_of_a_protected_entry(world):
    w = world(participation=0.1)
    w.buy("a", 10, limit=100.0, stop_loss=90.0)
    w.candle(100.0, 101.0, 99.0, volume=40.0)
    w.sell("b", 4, limit=105.0)
    assert w.candle(102.0, 106.0, 101.0) == [
        "b sold 4 @ 105 maker",
        f"{SL} canceled: position closed",
        "a canceled: position closed",
    ]
    assert w.working == 0


def test_a_trimmed_entry_protects_what_it_got(world):
    w = world(cash=550.0)
    w.buy("a", 10, stop_loss=90.0)
    assert w.candle(100.0, 101.0, 99.0) == ["a bought 5 @ 100 taker: trimmed to cash", f"{SL} armed 5 @ 90"]


def test_protective_orders_do_not_outlive_a_reversal(world):
    w = entered(world, short=True)
    w.sell("b", 25)
    assert w.candle(100.0, 101.0, 99.0) == [
        "b sold 25 @ 100 taker",
        f"{SL} canceled: position closed",
        f"{TP} canceled: position closed",
    ]
    w.buy("c", 30)
    w.candle(100.0, 101.0, 99.0)
    # long again: the stop of the first position must not sell it
    assert w.candle(89.0, 90.0, 88.0) == [] and w.held() == 15.0


def test_a_reversal_protects_the_new_side_only(world):
    w = entered(world, short=True)
    w.sell("b", 25, stop_loss=108.0)
    assert w.candle(100.0, 101.0, 99.0) == [
        "b sold 25 @ 100 taker",
        f"{SL} canceled: position closed",
        f"{TP} canceled: position closed",
        "b.stop_loss armed 15 @ 108",
    ]


@pytest.mark.parametrize("name", ["stop_loss", "take_profit"])
def test_a_reducing_order_arms_nothing(world, name):
    w = world(short=True)
    w.buy("a", 10)
    w.candle(100.0, 101.0, 99.0)
    w.sell("b", 4, **{name: 100.0})
    assert w.candle(100.0, 101.0, 99.0) == ["b sold 4 @ 100 taker"]


def test_a_take_profit_off_the_grid_counts_to_the_tick_on_its_own_side(world):
    w = world(instrument={"lot_size": 1.0, "tick_size": 0.5})
    w.buy("a", 10, take_profit=110.2)
    w.candle(100.0, 101.0, 99.0)
    assert w.candle(100.0, 110.3, 99.0) == []
    assert w.candle(100.0, 110.5, 99.0) == [f"{TP} sold 10 @ 110.5 maker"]


def test_at_the_end_of_data_protective_orders_end_too(world):
    w = entered(world)
    assert w.end() == [f"{SL} expired: end of data", f"{TP} expired: end of data"]
