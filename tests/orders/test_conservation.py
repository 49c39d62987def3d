"""Random orders against random candles: money, quantities, lives of orders and rows of the book are conserved, exactly.

The twin of the ledger is Python's own integers, fed with nothing but the events; a rule broken anywhere in submit,
match or book shows as a difference.
"""

from dataclasses import dataclass
from fractions import Fraction

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from orders.test_order_book import check_book
from orders.venue_world import NAN, STEP, Event, World

from pairsim.orders import matching
from pairsim.orders.order import TERMINAL, Liquidity, OrderType, Status, may_follow
from pairsim.orders.venue_event import NONE
from pairsim.portfolio.accounting import mark_equity
from pairsim.portfolio.layout import (
    A_CASH,
    A_FEES,
    A_FILLS,
    A_MAKER,
    A_OPENING,
    A_REALISED,
    A_TAKER,
    M_MARK,
    M_QUANTITY,
    P_AVERAGE,
    P_COST,
    P_FEES,
    P_FILLS,
    P_QUANTITY,
    P_QUANTITY_F,
    P_REALISED,
    RATE_SCALE,
    market_cell,
)

PAIRS = ((0, 0), (1, 0), (2, 1))
STATUS = {
    matching.CANCELED: Status.CANCELED,
    matching.EXPIRED: Status.EXPIRED,
    matching.REJECTED: Status.REJECTED,
}
PROTECTIVE = (matching.STOP_LOSS, matching.TAKE_PROFIT)
PRICES = st.integers(80, 120).map(lambda p: p / 1.6)  # 50.0 to 75.0 in steps of 0.625: some on a tick of 0.25, some off
OPTIONAL_PRICES = st.one_of(st.just(NAN), PRICES)


@dataclass
class Life:
    """What the events said of one order."""

    side: int
    pair: int
    type: int
    quantity: int
    limit: float
    arrival: int
    status: Status = Status.ACCEPTED
    filled: int = 0


class Venue(RuleBasedStateMachine):
    """Orders in, candles through, events out, and a second ledger that only hears the events."""

    @initialize(
        short=st.booleans(),
        participation=st.sampled_from([0.0, 0.1, 0.37]),
        fee=st.sampled_from([0.0, 7.3, 250.0]),
        slippage=st.sampled_from([0.0, 13.0]),
        lot=st.sampled_from([1e-8, 0.003, 1.0]),
        tick=st.sampled_from([None, 0.25]),
        cash=st.sampled_from([0.0, 431.77, 50_000.0]),
    )
    def open(self, short, participation, fee, slippage, lot, tick, cash):
        self.w = World(
            cash=cash, fee_bps=fee, maker_fee_bps=fee / 2, slippage_bps=slippage, short=short,
            participation=participation, pairs=PAIRS, capacity=16, instrument={"lot_size": lot, "tick_size": tick},
        )  # fmt: skip
        self.short, self.tick, self.lot = short, tick, self.w.instruments[0].lot_units
        self.lives: dict[int, Life] = {}
        self.cash, self.fees, self.fills = int(self.w.mem[A_OPENING]), 0, 0
        self.held = [0] * len(PAIRS)
        self.volume_taken = 0

    # -- what may happen ---------------------------------------------------------------------------------------------

    @rule(
        pair=st.sampled_from(range(len(PAIRS))),
        side=st.sampled_from([1, -1]),
        lots=st.integers(1, 10**6),
        quantity=st.floats(0.01, 30.0),
        limit=OPTIONAL_PRICES,
        stop=OPTIONAL_PRICES,
        stop_loss=OPTIONAL_PRICES,
        take_profit=OPTIONAL_PRICES,
        delay=st.sampled_from([0, 0, 30, 60, 150]),
        life=st.sampled_from([0, 0, 90, 300]),
    )
    def submit(self, pair, side, lots, quantity, limit, stop, stop_loss, take_profit, delay, life):
        w = self.w
        units = max(int(quantity * w.base_scale) // self.lot, 1 + lots % 3) * self.lot
        w.make_room()
        arrival, expires = w.time + delay, w.time + life if life else 0
        order_id = w.submit(
            "x", side, units / w.base_scale, limit=limit, stop=stop, stop_loss=stop_loss, take_profit=take_profit,
            arrival=arrival, expires=expires, pair=pair,
        )  # fmt: skip
        type_ = matching.STOP if stop == stop else (matching.LIMIT if limit == limit else matching.MARKET)
        self.lives[order_id] = Life(side, pair, type_, w.units(units / w.base_scale), limit, arrival)

    @rule(pair=st.sampled_from(range(len(PAIRS))), delay=st.sampled_from([0, 30, 90]))
    def cancel(self, pair, delay):
        self.w.cancel(at=self.w.time + delay, pair=pair)

    @rule(
        market=st.sampled_from([0, 1]),
        prices=st.tuples(PRICES, PRICES, PRICES),
        volume=st.sampled_from([0.0, 3.0, 40.0, 1e6]),
    )
    def candle(self, market, prices, volume):
        opening, working = prices[0], self.w.working
        self.volume_taken = 0
        events = self.w.match(opening, max(prices), min(prices), market=market, volume=volume)
        assert len(events) <= 8 * working
        for e in events:
            assert (e.market, e.time) == (market, self.w.time - STEP)
            self.hear(e, min(prices), max(prices))
        if self.w.participation:
            assert self.volume_taken <= Fraction(self.w.participation) * Fraction(volume) * self.w.base_scale + 1
        for order_id, o in self.lives.items():  # protective orders last as long as the position
            if o.type in PROTECTIVE and o.status not in TERMINAL and PAIRS[o.pair][1] == market:
                assert self.held[o.pair] * o.side < 0, order_id
        self.w.memf[market_cell(0, market) + M_MARK] = prices[2]

    @rule(market=st.sampled_from([0, 1]), prices=st.lists(PRICES, min_size=9, max_size=9))
    def candles(self, market, prices):
        for k in (0, 3, 6):
            self.candle(market, tuple(prices[k : k + 3]), 40.0)

    @rule(pair=st.sampled_from([None] * 9 + [-1, 0, 1]))
    def end(self, pair):
        w = self.w
        if pair is None:
            return
        n = matching.end_orders(w.orders, w.links, 2, matching.CANCELED, matching.HALTED, w.time, pair, w.events, 0)
        for row in w.events[:n].tolist():
            self.hear(Event(*row), 0.0, 0.0)
        left = {o.pair for o in self.lives.values() if o.status not in TERMINAL}
        assert not left if pair < 0 else pair not in left

    # -- what the second ledger hears --------------------------------------------------------------------------------

    def hear(self, e, low, high):
        if e.kind == matching.ARMED:
            parent = self.lives[e.order_id // matching.ID_STEP * matching.ID_STEP]
            assert e.order_id not in self.lives and e.type in PROTECTIVE
            assert (e.side, e.pair) == (-parent.side, parent.pair) and e.quantity > 0
            limit = e.price if e.type == matching.TAKE_PROFIT else NAN
            self.lives[e.order_id] = Life(e.side, e.pair, e.type, e.quantity, limit, e.time)
            return
        o = self.lives[e.order_id]
        assert (e.side, e.pair, e.type) == (o.side, o.pair, o.type)
        if e.kind == matching.FILL:
            following = Status.FILLED if e.final else Status.PARTIALLY_FILLED
            self.hear_fill(e, o, low, high)
        else:
            following = STATUS[e.kind]
            assert e.final and e.reason != NONE
        assert may_follow(o.status, following), (o.status, following)
        o.status = following

    def hear_fill(self, e, o, low, high):
        assert o.status not in TERMINAL and o.arrival <= e.time
        o.filled += e.quantity
        assert e.quantity > 0 and o.filled <= o.quantity
        assert e.quantity % self.lot == 0
        assert e.final or o.filled < o.quantity
        assert not e.final or o.filled == o.quantity or e.reason != NONE or o.type in PROTECTIVE
        # the price: never beyond the limit, on the tick, and a resting order's own or better
        if o.limit == o.limit:
            assert (e.price - o.limit) * e.side <= 0.0
        if self.tick:
            assert e.price % self.tick == 0.0
        exact = Fraction(e.price) * e.quantity * self.w.quote_scale / self.w.base_scale
        assert abs(e.notional - exact) <= Fraction(1, 2) + exact / 2**51
        rate = int(self.w.mem[A_MAKER if e.liquidity == Liquidity.MAKER else A_TAKER])
        assert e.fee == -(-e.notional * rate // RATE_SCALE)
        if e.liquidity == Liquidity.MAKER:
            assert o.type in (OrderType.LIMIT, OrderType.STOP, OrderType.TAKE_PROFIT)
            off = self.tick or 0.0  # candles off the grid: the tick beyond them
            assert low - off < e.price < high + off or low <= e.price <= high
        # the ledger
        self.cash -= e.side * e.notional + e.fee
        self.fees += e.fee
        self.fills += 1
        self.held[e.pair] += e.side * e.quantity
        self.volume_taken += e.quantity
        if not self.short:
            assert self.cash >= 0 and self.held[e.pair] >= 0

    # -- what must hold at any time ----------------------------------------------------------------------------------

    @invariant()
    def money_is_conserved(self):
        mem = self.w.mem
        assert int(mem[A_CASH]) == self.cash
        assert (int(mem[A_FEES]), int(mem[A_FILLS])) == (self.fees, self.fills)
        cells = [self.w.cell(p) for p in range(len(PAIRS))]
        assert sum(int(mem[c + P_FEES]) for c in cells) == self.fees
        assert sum(int(mem[c + P_FILLS]) for c in cells) == self.fills
        assert sum(int(mem[c + P_REALISED]) for c in cells) == int(mem[A_REALISED])
        # what was paid in is in cash, in positions at cost, or lost in fees
        cost = sum(int(mem[c + P_COST]) for c in cells)
        assert int(mem[A_CASH]) + cost == int(mem[A_OPENING]) + int(mem[A_REALISED]) - self.fees

    @invariant()
    def positions_are_the_sum_of_fills(self):
        mem, memf = self.w.mem, self.w.memf
        for p, held in enumerate(self.held):
            cell = self.w.cell(p)
            cost = int(mem[cell + P_COST])
            assert int(mem[cell + P_QUANTITY]) == held
            assert memf[cell + P_QUANTITY_F] == held / self.w.base_scale
            if held == 0:
                assert (cost, memf[cell + P_AVERAGE]) == (0, 0.0)
            else:
                assert cost * held >= 0
                assert memf[cell + P_AVERAGE] == abs(cost / held)
        for market in (0, 1):
            ours = sum(held for p, held in enumerate(self.held) if PAIRS[p][1] == market)
            assert int(mem[market_cell(0, market) + M_QUANTITY]) == ours

    @invariant()
    def equity_is_cash_and_positions_at_their_marks(self):
        memf = self.w.memf
        exact = Fraction(self.cash, self.w.quote_scale)
        for market in (0, 1):
            held = int(self.w.mem[market_cell(0, market) + M_QUANTITY])
            if held:
                exact += Fraction(held, self.w.base_scale) * Fraction(float(memf[market_cell(0, market) + M_MARK]))
        marked = float(mark_equity(self.w.mem, memf, 0, 1))
        assert abs(Fraction(marked) - exact) <= Fraction(1, 10**9) * (1 + abs(exact))

    @invariant()
    def the_book_holds_the_orders_that_are_not_over(self):
        ids = [order_id for market in check_book(self.w.orders, self.w.links) for order_id in market]
        assert sorted(ids) == sorted(k for k, o in self.lives.items() if o.status not in TERMINAL)

    @invariant()
    def protective_orders_of_one_entry_fill_no_more_than_was_armed(self):
        for order_id, o in self.lives.items():
            if o.type == matching.STOP_LOSS and order_id + 1 in self.lives:
                assert o.filled + self.lives[order_id + 1].filled <= o.quantity


class TestVenue(Venue.TestCase):
    settings = settings(max_examples=100, stateful_step_count=30)
