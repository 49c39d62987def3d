"""From signals to orders: whole lots, sides and types; nothing is rounded up, and bad amounts are named."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orders.venue_world import NAN, World

from pairsim.orders import matching, sizing
from pairsim.orders.order import (
    O_EXPIRES,
    O_LIMIT,
    O_PAIR,
    O_QUANTITY,
    O_SIDE,
    O_STOP,
    O_STOP_LOSS,
    O_TAKE_PROFIT,
    O_TYPE,
    ORDER_WORDS,
)
from pairsim.orders.sizing import (
    BAD_AMOUNT,
    BAD_KIND,
    BAD_PRICE,
    BAD_WEIGHT,
    BUY,
    CANCEL,
    CLOSE,
    LIMIT,
    MARKET,
    NOTHING,
    NOTIONAL,
    PROBLEMS,
    QUANTITY,
    SELL,
    SIZED,
    STOP,
    TARGET,
    TOO_LARGE,
    WEIGHT,
)
from pairsim.portfolio.accounting import affordable, cost_of, lots_of
from pairsim.portfolio.layout import A_CASH, market_cell

INFINITY = float("inf")


def size(
    w, kind, unit=QUANTITY, amount=NAN, *, price=100.0, held=0.0, equity=None, limit=NAN, stop=NAN, stop_loss=NAN,
    take_profit=NAN, expires=0,
):  # fmt: skip
    """(answer, signed quantity, order words as ints, as floats)."""
    out = np.zeros(ORDER_WORDS, np.int64)
    cash = int(w.mem[A_CASH])
    answer = sizing.size_signal(
        w.mem, w.memf, 0, market_cell(0, 0), out, out.view(np.float64), 0, 0, kind, unit, amount, limit, stop,
        stop_loss, take_profit, expires, price, w.units(held), cash, cash / w.quote_scale if equity is None else equity,
    )  # fmt: skip
    return answer, int(out[O_SIDE] * out[O_QUANTITY]) / w.base_scale, out, out.view(np.float64)


def quantity(*args, **options):
    """The signed quantity of a signal that can be sized."""
    answer, signed, _, _ = size(*args, **options)
    assert answer == SIZED
    return signed


# --- amounts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "amount", "expected"),
    [
        (QUANTITY, 3.0, 3.0),
        (QUANTITY, 3.999, 3.0),
        (NOTIONAL, 350.0, 3.0),
        (NOTIONAL, 99.0, 0.0),
        (WEIGHT, 0.25, 25.0),
        (WEIGHT, 0.257, 25.0),
        (WEIGHT, 1.0, 100.0),
    ],
)
def test_a_buy_is_whole_lots_rounded_down(world, unit, amount, expected):
    assert quantity(world(cash=10_000.0), BUY, unit, amount) == expected


def test_a_buy_by_weight_or_notional_is_cut_to_what_cash_pays_with_fee_and_slippage(world):
    w = world(cash=1_000.0, fee_bps=100.0, slippage_bps=100.0)
    # a lot costs 101 * 1.01 = 102.01
    assert quantity(w, BUY, WEIGHT, 1.0) == 9.0
    assert quantity(w, BUY, NOTIONAL, 5_000.0) == 9.0
    assert quantity(w, BUY, WEIGHT, 1.0, equity=50_000.0) == 9.0


def test_an_exact_quantity_is_left_to_the_check(world):
    assert quantity(world(cash=1_000.0), BUY, QUANTITY, 50.0) == 50.0
    assert quantity(world(), SELL, QUANTITY, 50.0) == -50.0


def test_a_limit_buy_is_cut_to_what_cash_pays_at_its_limit(world):
    w = world(cash=1_000.0, slippage_bps=100.0)
    assert quantity(w, BUY, NOTIONAL, 1_000.0, limit=200.0) == 5.0
    assert quantity(w, BUY, NOTIONAL, 1_000.0, limit=100.0) == 10.0


def test_a_sell_by_weight_is_cut_to_the_position_unless_shorts_are_allowed(world):
    assert quantity(world(), SELL, WEIGHT, 0.5, held=7.0) == -7.0
    assert quantity(world(), SELL, WEIGHT, 0.05, held=7.0) == -5.0
    assert quantity(world(short=True), SELL, WEIGHT, 0.5) == -50.0


def test_a_buy_that_covers_a_short_needs_no_cash_for_it(world):
    w = world(cash=100.0, short=True)
    assert quantity(w, BUY, NOTIONAL, 2_000.0, held=-20.0) == 20.0
    assert quantity(w, BUY, NOTIONAL, 5_000.0, held=-20.0) == 20.0


@pytest.mark.parametrize(
    ("unit", "amount", "held", "expected"),
    [
        (QUANTITY, 10.0, 0.0, 10.0),
        (QUANTITY, 10.0, 4.0, 6.0),
        (QUANTITY, 4.0, 10.0, -6.0),
        (QUANTITY, 0.0, 10.0, -10.0),
        (QUANTITY, -5.0, 10.0, -15.0),
        (QUANTITY, -5.0, -8.0, 3.0),
        (WEIGHT, 0.5, 10.0, 40.0),
        (WEIGHT, -0.5, 10.0, -60.0),
        (NOTIONAL, -1_000.0, 0.0, -10.0),
    ],
)
def test_a_target_is_the_way_from_the_position_to_the_amount(world, unit, amount, held, expected):
    assert quantity(world(short=True), TARGET, unit, amount, held=held) == expected


@pytest.mark.parametrize("held", [9.5, 10.0, 10.9])
def test_a_target_less_than_a_lot_away_needs_no_order(world, held):
    assert size(world(), TARGET, QUANTITY, 10.0, held=held)[0] == NOTHING


def test_a_target_that_no_cash_is_left_for_needs_no_order(world):
    assert size(world(cash=50.0), TARGET, WEIGHT, 1.0, held=100.0, equity=10_150.0)[0] == NOTHING


def test_a_target_of_a_bankrupt_account_closes(world):
    assert quantity(world(short=True), TARGET, WEIGHT, 0.5, held=-10.0, equity=-50.0) == 10.0


def test_closing_takes_the_whole_position_and_nothing_when_flat(world):
    assert quantity(world(), CLOSE, held=7.0) == -7.0
    assert quantity(world(short=True), CLOSE, held=-7.0) == 7.0
    assert size(world(), CLOSE)[0] == NOTHING


def test_a_cancel_is_an_order_without_side_or_quantity(world):
    answer, signed, out, _ = size(world(), CANCEL)
    assert (answer, signed, out[O_SIDE]) == (SIZED, 0.0, 0)


# --- the record ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prices", "type_"),
    [({}, MARKET), ({"limit": 95.0}, LIMIT), ({"stop": 105.0}, STOP), ({"stop": 105.0, "limit": 106.0}, STOP)],
)
def test_prices_make_the_type(world, prices, type_):
    answer, _, out, outf = size(world(), BUY, QUANTITY, 1.0, stop_loss=90.0, take_profit=110.0, expires=77, **prices)
    assert (answer, out[O_TYPE], out[O_PAIR], out[O_EXPIRES]) == (SIZED, type_, 0, 77)
    np.testing.assert_equal(outf[[O_LIMIT, O_STOP]], [prices.get("limit", NAN), prices.get("stop", NAN)])
    assert (outf[O_STOP_LOSS], outf[O_TAKE_PROFIT]) == (90.0, 110.0)


# --- what cannot be sized ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [BUY, SELL])
@pytest.mark.parametrize("unit", [QUANTITY, NOTIONAL, WEIGHT])
@pytest.mark.parametrize("amount", [0.0, -1.0, NAN, INFINITY, -INFINITY])
def test_amounts_that_are_no_number_above_zero_are_a_problem(world, kind, unit, amount):
    assert size(world(), kind, unit, amount)[0] == BAD_AMOUNT


@pytest.mark.parametrize("amount", [NAN, INFINITY, -INFINITY])
def test_a_target_may_be_zero_or_negative_but_must_be_a_number(world, amount):
    assert size(world(), TARGET, QUANTITY, amount)[0] == BAD_AMOUNT
    assert size(world(), TARGET, QUANTITY, -1.0)[0] == SIZED


@pytest.mark.parametrize(("kind", "amount"), [(BUY, 1.0000001), (SELL, 2.0), (TARGET, 1.5), (TARGET, -1.5)])
def test_a_weight_beyond_one_is_a_problem(world, kind, amount):
    assert size(world(), kind, WEIGHT, amount)[0] == BAD_WEIGHT


@pytest.mark.parametrize("name", ["limit", "stop", "stop_loss", "take_profit"])
@pytest.mark.parametrize("price", [0.0, -1.0, INFINITY, -INFINITY])
def test_prices_that_no_order_can_carry_are_a_problem(world, name, price):
    assert size(world(), BUY, QUANTITY, 1.0, **{name: price})[0] == BAD_PRICE


@pytest.mark.parametrize("kind", [-1, 0, 6, 10**12])
def test_an_unknown_kind_is_a_problem(world, kind):
    assert size(world(), kind, QUANTITY, 1.0)[0] == BAD_KIND


@pytest.mark.parametrize(
    ("unit", "amount", "price"),
    [
        (QUANTITY, 9.3e10, 100.0),
        (QUANTITY, 1e300, 100.0),
        (NOTIONAL, 9.3e10, 100.0),
        (NOTIONAL, 1e300, 100.0),
        (NOTIONAL, 1e6, 1e-5),
        (WEIGHT, 1.0, 1e-8),
    ],
)
def test_what_cannot_be_counted_is_a_problem(world, unit, amount, price):
    assert size(world(cash=10_000.0), BUY, unit, amount, price=price)[0] == TOO_LARGE


def test_equity_that_is_no_number_is_a_problem(world):
    assert size(world(), BUY, WEIGHT, 0.5, equity=NAN)[0] == TOO_LARGE


def test_every_problem_has_a_text_that_shows_the_value():
    values = {"kind": 17, "amount": 2.5, "limit": 3.5, "stop": 4.5, "stop_loss": 5.5, "take_profit": 6.5}
    texts = {problem: text.format(**values) for problem, text in PROBLEMS.items()}
    assert set(texts) == {BAD_AMOUNT, BAD_WEIGHT, BAD_PRICE, TOO_LARGE, BAD_KIND}
    for problem, text in texts.items():
        shown = ["17"] if problem == BAD_KIND else (["3.5", "4.5", "5.5", "6.5"] if problem == BAD_PRICE else ["2.5"])
        assert all(value in text for value in shown)


# --- lots ----------------------------------------------------------------------------------------------------------

LOTS = ("1", "0.1", "0.01", "0.001", "1e-4", "1e-5", "1e-6", "1e-8", "0.5", "0.25", "0.005", "0.003", "25", "100")


@given(st.sampled_from(LOTS), st.integers(0, 10**9), st.sampled_from(["decimal", "product", "sum"]))
@settings(max_examples=500)
def test_an_exact_number_of_lots_stays_exact(lot, k, made):
    unit = int(Decimal(lot).scaleb(8))
    exact = Decimal(lot) * k
    written = {
        "decimal": float(exact),
        "product": k * float(lot),
        "sum": float(Decimal(lot) * (k // 2)) + float(exact - Decimal(lot) * (k // 2)),
    }[made]
    assert lots_of(written, 1e8, unit) == k * unit


@given(st.sampled_from(LOTS), st.floats(0.0, 9e10, exclude_max=True))
@settings(max_examples=500)
def test_a_quantity_is_never_rounded_up_and_never_loses_a_lot(lot, amount):
    unit = int(Decimal(lot).scaleb(8))
    lots = Fraction(amount) * 10**8 / unit
    blur = max(Fraction(1, 10**9), lots * Fraction(3, 2**52))  # the roundings of a float that meant a whole lot
    got = Fraction(int(lots_of(amount, 1e8, unit)), unit)
    assert got.denominator == 1
    assert lots - 1 - blur < got <= lots + blur


def test_a_quantity_just_below_a_lot_is_rounded_down_however_many_lots_there_are():
    assert lots_of(12.345678907, 1e8, 1) == 1_234_567_890
    assert lots_of(98_765.432109879, 1e8, 1) == 9_876_543_210_987


@pytest.mark.parametrize("amount", [9.1e10, 1e19, 1e300, INFINITY, NAN])
def test_a_quantity_beyond_int64_is_said_not_wrapped(amount):
    assert lots_of(amount, 1e8, 1) == -1


# --- what money buys -----------------------------------------------------------------------------------------------

PRICES = st.floats(1e-7, 1e6)
RATES = st.integers(0, 50_000_000)
UNITS = st.sampled_from([int(Decimal(lot).scaleb(8)) for lot in LOTS])


@given(st.integers(1, 9 * 10**18 - 1), PRICES, RATES, UNITS, st.sampled_from([1.0, 0.01, 1e-6, 100.0]))
@settings(max_examples=500)
def test_what_is_affordable_is_the_most_that_is_and_can_be_counted(money, price, rate, lot, to_quote):
    most = affordable(money, price, to_quote, rate, lot)
    assert most % lot == 0 and 0 <= most <= 9 * 10**18
    assert 0 <= cost_of(price, most, to_quote, rate) <= money
    if most + lot <= 9 * 10**18:
        more = cost_of(price, most + lot, to_quote, rate)
        assert more < 0 or more > money


@pytest.mark.parametrize(("money", "price"), [(0, 1.0), (-5, 1.0), (5, 0.0), (5, NAN), (5, -1.0)])
def test_nothing_is_affordable_without_money_or_price(money, price):
    assert affordable(money, price, 1.0, 0, 1) == 0


@given(
    cash=st.integers(1, 9 * 10**15).map(lambda units: units / 1e8),
    price=st.floats(0.01, 1e6),
    fee=st.sampled_from([0.0, 0.1, 10.0, 37.5, 100.0]),
    slippage=st.sampled_from([0.0, 1.0, 25.0]),
    lot=st.sampled_from(["1e-8", "1e-5", "0.001", "0.1", "1"]),
)
@settings(max_examples=300)
def test_weight_one_spends_all_cash_fee_included_and_never_more(cash, price, fee, slippage, lot):
    w = World(
        cash=cash,
        fee_bps=fee,
        maker_fee_bps=fee,
        slippage_bps=slippage,
        instrument={"lot_size": float(lot)},
        capacity=4,
    )
    answer, _, out, _ = size(w, BUY, WEIGHT, 1.0, price=price)
    assert answer == SIZED
    at = price * (1.0 + slippage / 1e4)
    if out[O_QUANTITY] > 0:
        matching.submit(
            w.orders, w.links, 4, 0, 0, 1, MARKET, out[O_QUANTITY], NAN, NAN, NAN, NAN, 0, 0
        )  # fmt: skip
        [fill] = w.match(price, price, price)
        assert fill.quantity == out[O_QUANTITY] and fill.reason == matching.REASONS.index("")
    left = int(w.mem[A_CASH])
    lot_units = int(w.instruments[0].lot_units)
    one_more = cost_of(at, out[O_QUANTITY] + lot_units, 1.0, round(fee * 10_000))
    assert left >= 0 and one_more > round(cash * 1e8)
