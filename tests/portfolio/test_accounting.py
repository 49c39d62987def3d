"""The ledger to the last unit: fills are booked in integers, fees rounded up, and every unit is found again."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairsim.market.instrument import Instrument
from pairsim.portfolio import accounting
from pairsim.portfolio.accounting import (
    book,
    cost_of,
    countable,
    fee_of,
    is_whole,
    mark_equity,
    notional_of,
    pair_cell,
    to_grid,
)
from pairsim.portfolio.layout import (
    A_CASH,
    A_CASH_F,
    A_EQUITY,
    A_FEES,
    A_FILLS,
    A_MARK_TIME,
    A_REALISED,
    M_MARK,
    M_QUANTITY,
    MONEY_LIMIT,
    P_AVERAGE,
    P_COST,
    P_FEES,
    P_FILLS,
    P_QUANTITY,
    P_QUANTITY_F,
    P_REALISED,
    RATE_SCALE,
    Costs,
    init_portfolio,
    market_cell,
    portfolio_words,
)

UNIT = 10**8


def plain(kernel):
    """The Python a kernel was compiled from."""
    return getattr(kernel, "py_func", kernel)


def portfolio(cash=0.0, pairs=((0, 0),), **rules):
    """An opened portfolio: (words, the same as floats)."""
    markets = 1 + max(m for _, m in pairs)
    mem = np.zeros(portfolio_words(markets, len(pairs)), np.int64)
    instruments = [Instrument(f"M{k}/USD", **rules) for k in range(markets)]
    init_portfolio(mem, 0, instruments, pairs, cash, Costs(short=True))
    return mem, mem.view(np.float64)


def fill(mem, memf, side, quantity, price, *, fee=0.0, pair=0):
    """Book a fill written as people write it."""
    book(mem, memf, 0, pair, side, round(quantity * UNIT), round(quantity * price * UNIT), round(fee * UNIT))


WORDS = {"quantity": P_QUANTITY, "cost": P_COST, "realised": P_REALISED, "fees": P_FEES, "fills": P_FILLS}


def cell_of(mem, pair=0):
    """The counted words of a pair, by name."""
    cell = int(pair_cell(mem, 0, pair))
    return {name: int(mem[cell + word]) for name, word in WORDS.items()}


# --- a fill --------------------------------------------------------------------------------------------------------


def test_a_fill_touches_account_market_and_pair_alike():
    mem, memf = portfolio(1_000.0, ((0, 0), (1, 0), (0, 1)))
    fill(mem, memf, 1, 2.5, 100.0, fee=0.25, pair=1)
    assert (int(mem[A_CASH]), memf[A_CASH_F]) == (749_75 * UNIT // 100, 749.75)
    assert (int(mem[A_FEES]), int(mem[A_REALISED]), int(mem[A_FILLS])) == (UNIT // 4, 0, 1)
    assert [int(mem[market_cell(0, m) + M_QUANTITY]) for m in (0, 1)] == [5 * UNIT // 2, 0]
    assert cell_of(mem, 1) == {
        "quantity": 5 * UNIT // 2,
        "cost": 250 * UNIT,
        "realised": 0,
        "fees": UNIT // 4,
        "fills": 1,
    }
    assert cell_of(mem, 0) == cell_of(mem, 2) == {"quantity": 0, "cost": 0, "realised": 0, "fees": 0, "fills": 0}
    cell = pair_cell(mem, 0, 1)
    assert (memf[cell + P_QUANTITY_F], memf[cell + P_AVERAGE]) == (2.5, 100.0)


def test_the_average_price_is_the_cost_of_a_unit():
    mem, memf = portfolio(1_000.0)
    fill(mem, memf, 1, 2.0, 100.0)
    fill(mem, memf, 1, 1.0, 130.0)
    cell = pair_cell(mem, 0, 0)
    assert memf[cell + P_AVERAGE] == 110.0
    fill(mem, memf, -1, 1.0, 150.0)  # selling part leaves the average
    assert (memf[cell + P_AVERAGE], cell_of(mem)["realised"]) == (110.0, 40 * UNIT)


@pytest.mark.parametrize(
    ("side", "price", "profit"), [(1, 120.0, 20), (-1, 120.0, -20), (1, 80.0, -20), (-1, 80.0, 20)]
)
def test_closing_realises_the_difference_either_way_round(side, price, profit):
    mem, memf = portfolio(1_000.0)
    fill(mem, memf, side, 1.0, 100.0)
    fill(mem, memf, -side, 1.0, price)
    assert cell_of(mem) == {"quantity": 0, "cost": 0, "realised": profit * UNIT, "fees": 0, "fills": 2}
    assert memf[pair_cell(mem, 0, 0) + P_AVERAGE] == 0.0
    assert int(mem[A_CASH]) == (1_000 + profit) * UNIT


@pytest.mark.parametrize("side", [1, -1])
def test_a_fill_through_flat_closes_all_and_opens_the_rest_at_its_own_price(side):
    mem, memf = portfolio(1_000.0)
    fill(mem, memf, side, 2.0, 100.0)
    fill(mem, memf, -side, 5.0, 110.0)
    assert cell_of(mem)["quantity"] == -side * 3 * UNIT
    assert cell_of(mem)["cost"] == -side * 330 * UNIT
    assert cell_of(mem)["realised"] == side * 20 * UNIT
    assert memf[pair_cell(mem, 0, 0) + P_AVERAGE] == 110.0


def test_other_scales_count_in_their_own_units():
    mem, memf = portfolio(1_000.0, base_scale=3, quote_scale=2, lot_size=0.001)
    # 1.5 at 19.99 is 29.985, to the cent 29.98 (half to even), bought with a fee of a cent
    notional = notional_of(19.99, 1_500, 10.0**2 / 10.0**3)
    book(mem, memf, 0, 0, 1, 1_500, notional, 1)
    assert (int(notional), int(mem[A_CASH]), memf[A_CASH_F]) == (2_998, 97_001, 970.01)
    cell = pair_cell(mem, 0, 0)
    assert memf[cell + P_QUANTITY_F] == 1.5
    assert memf[cell + P_AVERAGE] == pytest.approx(29.98 / 1.5, rel=1e-15)


QUANTITIES = st.one_of(st.integers(1, 10**6), st.integers(1, 4 * 10**18))
MONEY = st.one_of(st.integers(0, 10**6), st.integers(0, 4 * 10**18))
FILLS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([1, -1]), QUANTITIES, MONEY, st.integers(0, 10**12)), max_size=25
)


@pytest.mark.parametrize("kernel", [book, plain(book)], ids=["compiled", "plain"])
def test_random_fills_of_any_size_are_conserved_to_the_unit(kernel):
    @given(FILLS)
    @settings(max_examples=200)
    def check(fills):
        mem, memf = portfolio(1_000.0, ((0, 0), (1, 0), (2, 1)))
        cash, held, fees = int(mem[A_CASH]), [0, 0, 0], 0
        for pair, side, quantity, notional, fee in fills:
            if not countable(mem, 0, pair, side, quantity, notional, fee):
                continue
            before = cell_of(mem, pair)
            kernel(mem, memf, 0, pair, side, np.int64(quantity), np.int64(notional), np.int64(fee))
            cash, fees = cash - side * notional - fee, fees + fee
            held[pair] += side * quantity
            after = cell_of(mem, pair)
            assert int(mem[A_CASH]) == cash and int(mem[A_FEES]) == fees
            assert after["quantity"] == held[pair]
            assert (after["cost"] == 0) if held[pair] == 0 else (after["cost"] * held[pair] >= 0)
            if before["quantity"] * side >= 0:
                assert after["realised"] == before["realised"] and after["cost"] == before["cost"] + side * notional
            elif quantity < abs(before["quantity"]):  # the cost goes in proportion, as near as floats tell
                share = Fraction(before["cost"] * (abs(before["quantity"]) - quantity), abs(before["quantity"]))
                assert abs(after["cost"] - share) <= 1 + abs(Fraction(before["cost"])) / 2**50
            cost = sum(cell_of(mem, p)["cost"] for p in range(3))
            assert cash + cost == 1_000 * UNIT + int(mem[A_REALISED]) - fees
            assert [int(mem[market_cell(0, m) + M_QUANTITY]) for m in (0, 1)] == [held[0] + held[1], held[2]]

    check()


def test_a_cost_of_more_digits_than_a_float_never_changes_its_sign():
    mem, memf = portfolio()
    book(mem, memf, 0, 0, 1, 2**60, 2**62 + 255, 0)
    book(mem, memf, 0, 0, -1, 2**60 - 1, 2**61, 0)
    assert cell_of(mem)["quantity"] == 1 and cell_of(mem)["cost"] >= 0


# --- notional and fee ----------------------------------------------------------------------------------------------


@given(st.integers(0, MONEY_LIMIT), st.integers(0, RATE_SCALE // 2))
@settings(max_examples=500)
def test_a_fee_is_the_exact_share_rounded_up(notional, rate):
    assert fee_of(notional, rate) == -(-notional * rate // RATE_SCALE)


def test_any_fee_on_anything_is_at_least_a_unit():
    assert (fee_of(1, 1), fee_of(0, 1), fee_of(1, 0)) == (1, 0, 0)


@given(st.floats(1e-9, 1e9), st.integers(0, 10**18), st.sampled_from([1.0, 0.01, 1e-6, 1e4]))
@settings(max_examples=500)
def test_a_notional_is_the_nearest_unit_or_cannot_be_counted(price, quantity, to_quote):
    exact = Fraction(price) * quantity * Fraction(to_quote)
    got = int(notional_of(price, quantity, to_quote))
    if got < 0:
        assert exact >= MONEY_LIMIT * (1 - Fraction(1, 2**50))
    else:
        assert abs(got - exact) <= Fraction(1, 2) + exact / 2**51


@pytest.mark.parametrize("price", [float("nan"), float("inf"), 1e300])
def test_a_price_that_is_no_price_gives_no_notional(price):
    assert notional_of(price, UNIT, 1.0) == -1


def test_a_cost_whose_fee_passes_the_limit_cannot_be_counted():
    assert cost_of(8e10, UNIT, 1.0, 0) == 8 * 10**18
    assert cost_of(8e10, UNIT, 1.0, 10_000_000) == 8_800_000_000_000_000_000
    assert cost_of(8e10, UNIT, 1.0, 20_000_000) == -1
    assert cost_of(1e11, UNIT, 1.0, 0) == -1


# --- what can be counted -------------------------------------------------------------------------------------------

BIG = 8 * 10**18


@pytest.mark.parametrize(
    ("before", "fill_", "fits"),
    [
        ([], (1, MONEY_LIMIT, 0, 0), True),
        ([], (1, MONEY_LIMIT + 1, 0, 0), False),
        ([], (1, 1, -1, 0), False),
        ([(1, BIG, 0)], (1, BIG, 0, 0), False),
        ([(-1, BIG, 0)], (-1, BIG, 0, 0), False),
        ([(1, BIG, 0)], (-1, BIG, 0, 0), True),
        ([(1, BIG, 0)], (-1, MONEY_LIMIT, 0, 0), True),
        ([], (-1, 1, BIG, 0), True),
        ([(-1, 1, BIG)], (-1, 1, BIG, 0), False),
        ([(-1, 1, BIG)], (1, 1, BIG, 0), True),
        ([(1, 1, BIG)], (1, 1, 2 * 10**18, 0), False),
        ([(1, 1, BIG)], (1, 1, 5 * 10**17, 4 * 10**18), False),
        ([(1, 1, BIG)], (1, 1, 5 * 10**17, 10**17), True),
    ],
)
@pytest.mark.parametrize("kernel", [countable, plain(countable)], ids=["compiled", "plain"])
def test_a_fill_is_countable_where_position_cost_and_cash_stay_in_range(kernel, before, fill_, fits):
    mem, memf = portfolio()
    for side, quantity, notional in before:
        book(mem, memf, 0, 0, side, quantity, notional, 0)
    side, quantity, notional, fee = fill_
    assert bool(kernel(mem, 0, 0, side, np.int64(quantity), np.int64(notional), np.int64(fee))) is fits


def test_a_cost_that_cash_no_longer_shows_is_counted_too():
    mem, memf = portfolio(pairs=((0, 0), (0, 1)))
    book(mem, memf, 0, 0, -1, 1, BIG, 0)  # short for a fortune,
    book(mem, memf, 0, 1, 1, 1, BIG, 0)  # all of it spent
    assert not countable(mem, 0, 0, -1, 1, BIG, 0)


# --- marks ---------------------------------------------------------------------------------------------------------


def test_equity_is_cash_and_positions_at_their_marks_and_needs_no_mark_without_a_position():
    mem, memf = portfolio(1_000.0, ((0, 0), (0, 1)))
    assert mark_equity(mem, memf, 0, 5) == 1_000.0  # no candle yet: marks are NaN
    fill(mem, memf, 1, 2.0, 100.0)
    memf[market_cell(0, 0) + M_MARK] = 130.0
    assert mark_equity(mem, memf, 0, 7) == 1_060.0
    assert (memf[A_EQUITY], int(mem[A_MARK_TIME])) == (1_060.0, 7)
    fill(mem, memf, -1, 5.0, 130.0)  # short 3
    memf[market_cell(0, 0) + M_MARK] = 140.0
    assert mark_equity(mem, memf, 0, 8) == 1_030.0


# --- grids ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "tick", "up", "down"),
    [
        (100.06, 0.05, 100.1, 100.05),
        (100.05, 0.05, 100.05, 100.05),
        (0.123, 0.0, 0.123, 0.123),
        (7.0, 2.5, 7.5, 5.0),
        (1_234.5, 5.0, 1_235.0, 1_230.0),
        (0.30000000000000004, 0.1, 0.30000000000000004, 0.30000000000000004),
        (0.31, 0.1, 0.4, 0.3),
        (0.004, 0.01, 0.01, 0.0),
        (98_765.432109876, 1e-8, 98_765.43210988, 98_765.43210987),
    ],
)
def test_a_price_goes_to_the_tick_asked_for_and_is_that_decimal(price, tick, up, down):
    assert to_grid(price, tick, 1) == up and to_grid(price, tick, -1) == down
    assert plain(to_grid)(price, tick, 1) == up and plain(to_grid)(price, tick, -1) == down


@given(st.integers(1, 10**9), st.sampled_from([0.01, 0.05, 0.1, 0.5, 1e-4, 1e-8, 2.5]))
@settings(max_examples=300)
def test_a_decimal_on_the_grid_is_left_alone(k, tick):
    for price in (k * tick, float(Fraction(k) * Fraction(str(tick)))):
        assert to_grid(price, tick, 1) == to_grid(price, tick, -1) == price


def test_what_is_clearly_between_whole_numbers_is_not_whole():
    assert is_whole(3.0) and is_whole(3.0000000001) and is_whole(0.0) and is_whole(1e15 + 0.25)
    assert not is_whole(3.001) and not is_whole(1e12 + 0.25) and not is_whole(float("nan"))


def test_kernels_touch_no_more_than_the_cells_of_their_pair():
    mem, _ = portfolio(1_000.0, ((0, 0), (1, 1)))
    before = mem.copy()
    accounting.begin_order(mem, 0, 1, 3, True)
    accounting.end_order(mem, 0, 1, True)
    changed = np.flatnonzero(mem != before)
    cell = pair_cell(mem, 0, 1)
    assert len(changed) > 0 and np.all(changed >= cell)
