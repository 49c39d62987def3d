"""The verdict on an order before it is sent, and the cash that approved buys hold. Lots of 1, a fee of 1 %."""

import numpy as np
import pytest
from orders.venue_world import NAN

from pairsim.orders import checks
from pairsim.orders.checks import (
    ACTIVE,
    BELOW_MINIMUM,
    GROSS_LIMIT,
    HALT,
    HALTED,
    NO_CASH,
    NO_LOT,
    NO_POSITION,
    NO_PRICE,
    PASSED,
    REASONS,
    REDUCE,
    REDUCE_ONLY,
    TOO_LARGE,
    UNKNOWN_SYMBOL,
    reservation_words,
)
from pairsim.orders.order import O_LIMIT, O_PAIR, O_QUANTITY, O_SIDE, O_STOP, ORDER_WORDS
from pairsim.portfolio import accounting
from pairsim.portfolio.layout import A_CASH

PAIRS = ((0, 0), (1, 0), (2, 1))


class Gate:
    """Checks and reserves as the gate and the backtest do: every order is checked, then its money reserved."""

    def __init__(self, w, rows=16):
        self.w, self.table = w, np.zeros(reservation_words(rows), np.int64)

    def check(self, side, quantity, *, pair=0, number=1, limit=NAN, stop=NAN, trading=ACTIVE, last=100.0):
        order = np.zeros(ORDER_WORDS, np.int64)
        floats = order.view(np.float64)
        order[O_PAIR], order[O_SIDE], order[O_QUANTITY] = pair, side, self.w.units(quantity)
        floats[O_LIMIT], floats[O_STOP] = limit, stop
        verdict, money = checks.check_order(
            self.w.mem, self.w.memf, 0, self.table, order, floats, 0, number, trading, last
        )
        checks.reserve(self.table, pair, number, money)
        return int(verdict), int(money) / self.w.quote_scale

    def held_back(self):
        """Reserved money by (pair, number)."""
        rows = self.table[1 : 1 + 3 * self.table[0]].reshape(-1, 3)
        return [(int(p), int(n), int(m) / self.w.quote_scale) for p, n, m in rows]


@pytest.fixture
def gate(world):
    return lambda rows=16, **options: Gate(world(**{"fee_bps": 100.0, "pairs": PAIRS, "cash": 1_000.0} | options), rows)


def position(gate, quantity, pair=0):
    """Give a pair a position for nothing, so that cash stays as it is."""
    side = 1 if quantity > 0 else -1
    accounting.book(gate.w.mem, gate.w.memf, 0, pair, side, gate.w.units(abs(quantity)), 0, 0)


# --- verdicts ------------------------------------------------------------------------------------------------------


def test_a_buy_that_cash_pays_passes_and_reserves_its_cost_with_fee(gate):
    assert gate().check(1, 5) == (PASSED, 505.0)


def test_a_buy_beyond_all_cash_passes_and_reserves_what_there_is_because_the_fill_trims(gate):
    assert gate().check(1, 50) == (PASSED, 1_000.0)


def test_a_buy_that_cash_pays_no_lot_of_is_refused(gate):
    assert gate(cash=100.99).check(1, 1) == (NO_CASH, 0.0)
    assert gate(cash=101.0).check(1, 1) == (PASSED, 101.0)


def test_a_buy_that_sizing_cut_to_nothing_for_want_of_cash_says_so(gate):
    assert gate(cash=50.0).check(1, 0) == (NO_CASH, 0.0)
    assert gate(cash=500.0).check(1, 0) == (NO_LOT, 0.0)


def test_less_than_a_lot_is_refused(gate):
    assert gate().check(1, 0.5) == (NO_LOT, 0.0)


def test_a_position_of_less_than_a_lot_can_be_closed(gate):
    g = gate()
    position(g, 0.5)
    assert g.check(-1, 0.4)[0] == NO_LOT
    assert g.check(-1, 0.5)[0] == PASSED


@pytest.mark.parametrize("pair", [-1, 3, 10**9])
def test_an_unknown_pair_is_refused(gate, pair):
    assert gate().check(1, 1, pair=pair) == (UNKNOWN_SYMBOL, 0.0)


@pytest.mark.parametrize("last", [NAN, 0.0, -1.0])
def test_a_market_order_needs_a_price(gate, last):
    assert gate().check(1, 1, last=last) == (NO_PRICE, 0.0)
    assert gate().check(1, 1, last=last, limit=100.0)[0] == PASSED


@pytest.mark.parametrize(("prices", "cost"), [({"limit": 50.0}, 101.0), ({"stop": 200.0}, 404.0)])
def test_a_buy_reserves_at_its_own_price(gate, prices, cost):
    assert gate().check(1, 2, **prices) == (PASSED, cost)


def test_a_stop_limit_reserves_at_its_limit(gate):
    assert gate().check(1, 2, stop=200.0, limit=210.0) == (PASSED, 424.2)


def test_an_order_below_the_minimum_notional_is_refused_unless_it_closes(gate):
    g = gate(instrument={"lot_size": 1.0, "minimum_notional": 150.0})
    assert g.check(1, 1) == (BELOW_MINIMUM, 0.0)
    assert g.check(1, 2)[0] == PASSED
    position(g, 1)
    assert g.check(-1, 1) == (PASSED, 0.0)


def test_a_cash_account_sells_its_own_position_and_no_more(gate):
    g = gate()
    assert g.check(-1, 1) == (NO_POSITION, 0.0)
    assert g.check(-1, 0) == (NO_POSITION, 0.0)  # a sell by weight, cut to nothing
    position(g, 5)
    assert g.check(-1, 5) == (PASSED, 0.0)
    assert g.check(-1, 6) == (NO_POSITION, 0.0)
    assert g.check(-1, 5, pair=1) == (NO_POSITION, 0.0)  # another trader of the market


def test_a_short_account_sells_what_it_does_not_have(gate):
    assert gate(short=True).check(-1, 5) == (PASSED, 0.0)


def test_buying_back_a_short_position_needs_no_cash_but_what_goes_beyond_does(gate):
    g = gate(short=True, cash=0.0)
    position(g, -5)
    assert g.check(1, 5) == (PASSED, 0.0)
    assert g.check(1, 6) == (NO_CASH, 0.0)
    rich = gate(short=True, cash=1_000.0)
    position(rich, -5)
    assert rich.check(1, 7) == (PASSED, 202.0)


@pytest.mark.parametrize(("quantity", "last"), [(9e10, 1e6), (8e10, 100.0)])
def test_an_order_whose_money_cannot_be_counted_is_refused(gate, quantity, last):
    assert gate(short=True).check(-1, quantity, last=last)[0] == TOO_LARGE


def test_a_position_that_could_not_be_counted_is_refused(gate):
    g = gate(cash=1e6)
    position(g, 8e10)
    assert g.check(1, 2e10, last=1e-6)[0] == TOO_LARGE
    assert g.check(1, 2e10, last=1e-6, pair=1)[0] == TOO_LARGE  # the market's account is one
    assert g.check(1, 2e10, last=1e-6, pair=2)[0] == PASSED
    assert g.check(-1, 8e10, last=1e-6)[0] == PASSED


def test_a_rich_account_may_buy_a_little_of_a_very_cheap_asset(gate):
    assert gate(cash=1e6, instrument={"lot_size": 1e-8}).check(1, 1_000, last=1e-5)[0] == PASSED


@pytest.mark.parametrize("side", [1, -1])
def test_a_halt_refuses_everything_but_cancels(gate, side):
    g = gate()
    position(g, 5)
    assert g.check(side, 1, trading=HALT) == (HALTED, 0.0)
    assert g.check(0, 0, trading=HALT) == (PASSED, 0.0)


def test_reduce_only_lets_positions_shrink_to_nothing_and_no_further(gate):
    g = gate(short=True)
    assert g.check(1, 1, trading=REDUCE) == (REDUCE_ONLY, 0.0)
    assert g.check(-1, 1, trading=REDUCE) == (REDUCE_ONLY, 0.0)
    position(g, 5)
    assert g.check(1, 1, trading=REDUCE)[0] == REDUCE_ONLY
    assert g.check(-1, 6, trading=REDUCE)[0] == REDUCE_ONLY
    assert g.check(-1, 5, trading=REDUCE)[0] == PASSED
    position(g, -10)
    assert g.check(-1, 1, trading=REDUCE)[0] == REDUCE_ONLY
    assert g.check(1, 5, trading=REDUCE)[0] == PASSED


def test_every_verdict_has_its_reason():
    assert len(REASONS) == len(set(REASONS)) == GROSS_LIMIT + 1 == 14
    assert REASONS[PASSED] == "" and all(REASONS[1:])


# --- reservations --------------------------------------------------------------------------------------------------


def test_two_buys_cannot_reserve_the_same_money(gate):
    g = gate()
    assert g.check(1, 8, pair=0) == (PASSED, 808.0)
    assert g.check(1, 8, pair=1) == (PASSED, 192.0)  # what is left; the fill trims
    assert g.check(1, 1, pair=2) == (NO_CASH, 0.0)
    assert g.held_back() == [(0, 1, 808.0), (1, 1, 192.0)]


def test_two_buys_of_one_decision_do_not_reserve_the_same_money_either(gate):
    g = gate()
    assert g.check(1, 6) == (PASSED, 606.0)
    assert g.check(1, 6) == (PASSED, 394.0)
    assert g.check(1, 1) == (NO_CASH, 0.0)


def test_money_is_free_again_when_the_decision_is_settled(gate):
    g = gate()
    g.check(1, 9)
    accounting.begin_order(g.w.mem, 0, 0, 1, True)
    assert g.check(1, 1, pair=1) == (NO_CASH, 0.0)
    accounting.end_order(g.w.mem, 0, 0, True)
    assert g.check(1, 1, pair=1) == (PASSED, 101.0)
    assert g.held_back() == [(1, 1, 101.0)]


def test_money_stays_reserved_while_one_order_of_the_decision_works(gate):
    g = gate()
    g.check(1, 9)
    for _ in range(2):
        accounting.begin_order(g.w.mem, 0, 0, 1, True)
    accounting.end_order(g.w.mem, 0, 0, True)
    assert g.check(1, 1, pair=1) == (NO_CASH, 0.0)


def test_a_denied_order_beside_it_does_not_release_an_approved_one(gate):
    g = gate()
    # one decision: the first order denied and settled at once, the second approved and begun
    assert g.check(1, 0.5)[0] == NO_LOT
    accounting.settle(g.w.mem, 0, 0, 1)
    g.check(1, 9)
    accounting.begin_order(g.w.mem, 0, 0, 1, True)
    assert g.check(1, 1, pair=1) == (NO_CASH, 0.0)


def test_a_new_decision_of_a_pair_replaces_what_its_old_one_reserved(gate):
    g = gate()
    g.check(1, 9, number=1, limit=100.0)
    assert g.check(1, 5, number=2, limit=100.0) == (PASSED, 505.0)
    assert g.held_back() == [(0, 2, 505.0)]


def test_a_sell_that_replaces_a_buy_frees_its_money_too(gate):
    g = gate()
    position(g, 5)
    g.check(1, 9, number=1, limit=100.0)
    accounting.begin_order(g.w.mem, 0, 0, 1, False)
    assert g.check(-1, 5, number=2, limit=200.0) == (PASSED, 0.0)
    accounting.begin_order(g.w.mem, 0, 0, 2, False)  # it works on: the pair is not settled
    accounting.end_order(g.w.mem, 0, 0, False)
    assert g.check(1, 9, pair=1) == (PASSED, 909.0)


def test_a_refused_decision_replaces_nothing(gate):
    g = gate()
    g.check(1, 9, number=1, limit=100.0)
    assert g.check(1, 0.5, number=2)[0] == NO_LOT
    # the first order still works, and its money is still held
    assert g.check(1, 1, pair=1) == (NO_CASH, 0.0)


def test_a_cancel_frees_nothing_before_it_has_taken_effect(gate):
    g = gate()
    g.check(1, 9, number=1, limit=100.0)
    g.check(0, 0, number=2)
    assert g.check(1, 1, pair=1) == (NO_CASH, 0.0)


def test_a_fee_is_reserved_at_the_rate_of_takers(gate):
    assert gate(maker_fee_bps=0.0).check(1, 1, limit=100.0) == (PASSED, 101.0)


def test_a_full_table_still_judges_and_the_fill_trims(gate):
    g = gate(rows=1)
    assert g.check(1, 2, pair=0)[0] == PASSED
    assert g.check(1, 2, pair=1)[0] == PASSED
    assert len(g.held_back()) == 1


def test_more_reserved_than_there_is_refuses_buys_and_nothing_else(gate):
    g = gate()
    position(g, 5)
    g.check(1, 9, pair=1)
    g.w.mem[A_CASH] = 0
    assert g.check(1, 1) == (NO_CASH, 0.0)
    assert g.check(-1, 5) == (PASSED, 0.0)
