"""When a decision is settled, its trader may decide again and its money is free: not too early, and always at last."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from pairsim.market.instrument import Instrument
from pairsim.portfolio.accounting import begin_order, end_order, pair_cell, settle
from pairsim.portfolio.layout import (
    P_IN_FLIGHT,
    P_RELEASED,
    P_SETTLED,
    P_WORKING,
    Costs,
    init_portfolio,
    portfolio_words,
)


def portfolio():
    mem = np.zeros(portfolio_words(1, 2), np.int64)
    init_portfolio(mem, 0, [Instrument("A/B")], ((0, 0), (1, 0)), 0.0, Costs())
    return mem


def words(mem, pair=0):
    cell = pair_cell(mem, 0, pair)
    return {n: int(mem[cell + w]) for n, w in (("settled", P_SETTLED), ("released", P_RELEASED))}


def test_a_market_order_is_settled_by_its_end():
    mem = portfolio()
    begin_order(mem, 0, 0, 1, True)
    assert words(mem) == {"settled": 0, "released": 0}
    end_order(mem, 0, 0, True)
    assert words(mem) == {"settled": 1, "released": 1}


def test_a_limit_order_never_keeps_its_trader_waiting_but_keeps_its_money():
    mem = portfolio()
    begin_order(mem, 0, 0, 1, False)
    settle(mem, 0, 0, 1)
    assert words(mem) == {"settled": 1, "released": 0}
    end_order(mem, 0, 0, False)
    assert words(mem) == {"settled": 1, "released": 1}


def test_a_denied_decision_is_settled_and_stays_so_when_an_older_order_ends():
    mem = portfolio()
    begin_order(mem, 0, 0, 6, False)  # a limit order works
    settle(mem, 0, 0, 7)  # a market order was denied; its trader waits for decision 7
    assert words(mem)["settled"] == 7
    end_order(mem, 0, 0, False)
    assert words(mem) == {"settled": 7, "released": 7}


def test_an_order_denied_before_another_of_its_decision_does_not_settle_it():
    mem = portfolio()
    settle(mem, 0, 0, 3)
    begin_order(mem, 0, 0, 3, True)
    assert words(mem) == {"settled": 2, "released": 2}
    end_order(mem, 0, 0, True)
    assert words(mem) == {"settled": 3, "released": 3}


def test_pairs_settle_on_their_own():
    mem = portfolio()
    begin_order(mem, 0, 0, 1, True)
    settle(mem, 0, 1, 1)
    assert words(mem, 0)["settled"] == 0 and words(mem, 1)["settled"] == 1


class Settling(RuleBasedStateMachine):
    """Decisions of one pair taken in order by number, their orders ended in any order."""

    under_way = Bundle("under_way")

    @initialize()
    def open(self):
        self.mem, self.number = portfolio(), 0
        self.alive: list[tuple[int, bool]] = []  # (decision, market order)

    @rule(
        orders=st.lists(st.sampled_from(["denied", "market", "limit"]), min_size=1, max_size=4),
        skipped=st.integers(0, 3),
    )
    def decide(self, orders, skipped):
        """Numbers are the trader's: some go to its other markets. Taken in as the backtest does, order by order."""
        self.number += 1 + skipped
        for kind in orders:
            if kind == "denied":
                settle(self.mem, 0, 0, self.number)
            else:
                begin_order(self.mem, 0, 0, self.number, kind == "market")
                self.alive.append((self.number, kind == "market"))

    @rule(orders=st.lists(st.sampled_from(["denied", "market", "limit"]), min_size=1, max_size=4))
    def decide_live(self, orders):
        """As the order engine does: all that pass begin, then the denied settle."""
        self.decide(sorted(orders, key=lambda kind: kind == "denied"), 0)

    @rule(which=st.integers(0, 100))
    def end(self, which):
        if self.alive:
            _, market = self.alive.pop(which % len(self.alive))
            end_order(self.mem, 0, 0, market)

    @invariant()
    def nothing_is_settled_too_early_and_everything_at_last(self):
        cell = pair_cell(self.mem, 0, 0)
        now = words(self.mem)
        flying = [n for n, market in self.alive if market]
        assert (self.mem[cell + P_WORKING], self.mem[cell + P_IN_FLIGHT]) == (len(self.alive), len(flying))
        assert now["settled"] < min(flying, default=self.number + 1)
        assert now["released"] < min((n for n, _ in self.alive), default=self.number + 1)
        if not flying and self.number and not self.alive:
            assert now == {"settled": self.number, "released": self.number}


class TestSettling(Settling.TestCase):
    settings = settings(max_examples=100, stateful_step_count=25)
