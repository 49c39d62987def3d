"""The simulated broker: the options of a simulated venue, and the venue itself over the matching kernel.

The venue keeps a ledger of its own, as a real one does: fills are trimmed to what it holds, and the engine's portfolio
follows from the fills it reports. The backtest uses the same kernel on the same options.
"""

import re
from datetime import timedelta
from numbers import Integral, Real
from typing import Any

import numpy as np

from pairsim.brokers.broker import Order
from pairsim.errors import InputError
from pairsim.market.interval import YEAR_NS, Interval, format_interval, parse_interval
from pairsim.orders.match_batch import match_candles
from pairsim.orders.matching import (
    EVENT,
    arrival_of,
    cancel_pair,
    end_orders,
    grow_book,
    match_candle,
    new_book,
    submit,
)
from pairsim.portfolio.layout import Costs


class SimBroker:
    """A simulated venue.

    Parameters
    ----------
    latency : from decision to the venue, in feed time, "50ms".
    fee_bps : taker fee in basis points of the notional; rounded up to the money unit.
    maker_fee_bps : fee of resting limit orders; the taker fee unless given.
    slippage_bps : how much worse than the candle says a taking order is filled.
    participation : share of a candle's volume that may be taken, above 0 to 1; None fills whole orders.
    jitter : further latency of each order, drawn evenly from 0 to this, by ``seed``.
    seed : of the jitter: the same orders get the same delays.
    short : whether positions below zero are allowed.

    Notes
    -----
    Fill rule: an order is first matched with the first base candle that opens at or after decision + latency, at that
    open. See ``orders.matching`` for limits, stops, gaps and protective orders.
    """

    def __init__(
        self,
        *,
        latency: Interval = "0s",
        fee_bps: float = 10.0,
        maker_fee_bps: float | None = None,
        slippage_bps: float = 0.0,
        participation: float | None = None,
        jitter: Interval = "0s",
        seed: int = 0,
        short: bool = False,
    ) -> None:
        self.latency_ns = _duration("latency", latency)
        self.jitter_ns = _duration("jitter", jitter)
        self.fee_bps = _basis_points("fee_bps", fee_bps)
        self.maker_fee_bps = self.fee_bps if maker_fee_bps is None else _basis_points("maker_fee_bps", maker_fee_bps)
        self.slippage_bps = _basis_points("slippage_bps", slippage_bps)
        if participation is not None and not (_is_number(participation) and 0 < participation <= 1):
            raise InputError(
                f"participation={participation!r} must be above 0 and at most 1, or None to fill whole orders"
            )
        self.participation = None if participation is None else float(participation)
        if isinstance(seed, bool) or not isinstance(seed, Integral) or not -(2**63) <= seed < 2**63:
            raise InputError(f"seed={seed!r} must be a whole number of 64 bits, such as 7")
        self.seed: int = int(seed)
        if not isinstance(short, (bool, np.bool_)):
            raise InputError(f"short={short!r} must be True (positions below zero are allowed) or False")
        self.short: bool = bool(short)

    @property
    def costs(self) -> Costs:
        """What sizes, checks and fills go by."""
        return Costs(self.fee_bps, self.maker_fee_bps, self.slippage_bps, self.short)

    def __repr__(self) -> str:
        shown = [f"fee_bps={self.fee_bps:g}"]
        if self.latency_ns:
            shown.insert(0, f"latency={format_interval(self.latency_ns)!r}")
        if self.maker_fee_bps != self.fee_bps:
            shown.append(f"maker_fee_bps={self.maker_fee_bps:g}")
        if self.slippage_bps:
            shown.append(f"slippage_bps={self.slippage_bps:g}")
        if self.participation is not None:
            shown.append(f"participation={self.participation:g}")
        if self.jitter_ns:
            shown.append(f"jitter={format_interval(self.jitter_ns)!r}, seed={self.seed}")
        if self.short:
            shown.append("short=True")
        return f"SimBroker({', '.join(shown)})"

    def arrival(self, timestamp: int, order_id: int) -> int:
        """Feed time at which an order reaches the venue."""
        return int(arrival_of(timestamp, order_id, self.latency_ns, self.jitter_ns, self.seed))


_ZERO = re.compile(r"\s*0+(?:\.0+)?\s*(?:ns|us|ms|s|m|h|d|w)?\s*")
_LONGEST = YEAR_NS  # a time with latency and jitter on top stays far from the end of int64


def _duration(name: str, value: Interval) -> int:
    """Nanoseconds, where none at all is meant too: `parse_interval` knows no interval of zero."""
    if isinstance(value, str) and _ZERO.fullmatch(value):
        return 0
    if not isinstance(value, (str, bool)) and value in (0, timedelta(0)):
        return 0
    try:
        length = parse_interval(value)
    except InputError:
        length = -1
    if not 0 < length <= _LONGEST:
        raise InputError(
            f'{name}={value!r} is not understood: write 0 or more with a unit (such as "50ms" or "0s"), a timedelta '
            f"or whole nanoseconds, at most {format_interval(_LONGEST)}"
        )
    return length


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _basis_points(name: str, value: float) -> float:
    if not _is_number(value) or not 0 <= value <= 5_000:
        raise InputError(f"{name}={value!r} must be from 0 to 5,000 basis points (10 is 0.1 %)")
    return float(value)


class Venue:
    """The matching engine of a `SimBroker`: a book and a ledger, driven by the order engine with orders and candles."""

    def __init__(self, broker: SimBroker, ledger: np.ndarray, markets: int) -> None:
        self.broker = broker
        self.ledger = ledger
        self.ledger_floats = ledger.view(np.float64)
        self.markets = markets
        self.orders, self.links = new_book(256, markets)
        self.events = np.zeros(4096, EVENT)

    @property
    def working(self) -> int:
        """Orders in the book, protective ones included."""
        return int(self.links[1])

    def submit(self, order: Order, arrival: int) -> None:
        """Take an order that arrives at feed time ``arrival``."""
        self._make_room()
        submit(
            self.orders, self.links, order.venue_id, order.pair, order.market, order.sign, order.kind, order.units,
            order.limit_price, order.stop_price, order.stop_loss, order.take_profit, arrival, order.expires,
        )  # fmt: skip

    def cancel_working(self, market: int, pair: int, at: int, reason: int) -> None:
        """Cancel a pair's working entries from feed time ``at`` on."""
        cancel_pair(self.orders, self.links, market, pair, at, reason, False)

    def match(self, market: int, time: int, candle: tuple[float, float, float, float, float]) -> list[Any]:
        """Match one candle; the events as EVENT rows."""
        self._make_room()
        opening, high, low, _, volume = candle
        participation = self.broker.participation or 0.0
        count = match_candle(
            self.orders, self.links, self.ledger, self.ledger_floats, 0, market, time, opening, high, low, volume,
            participation, self.events, 0,
        )  # fmt: skip
        return self.events[:count].tolist() if count else []

    def match_all(self, candles: np.ndarray) -> list[Any]:
        """Match candle records, int64[n, 8], in order; the events as EVENT rows."""
        participation = self.broker.participation or 0.0
        happened: list[Any] = []
        reached = 0
        while self.working and reached < len(candles):
            self._make_room()
            reached, count = match_candles(
                self.orders, self.links, self.ledger, self.ledger_floats, 0, candles, candles.view(np.float64), reached,
                participation, self.events,
            )  # fmt: skip
            happened += self.events[:count].tolist()
        return happened

    def end(self, kind: int, reason: int, time: int, pair: int = -1) -> list[Any]:
        """End every working order (of ``pair``, or all) now."""
        self._make_room()
        count = end_orders(self.orders, self.links, self.markets, kind, reason, time, pair, self.events, 0)
        return self.events[:count].tolist()

    def _make_room(self) -> None:
        working = self.working
        while len(self.orders) < 3 * working + 8:
            self.orders = grow_book(self.orders, self.links)
        if len(self.events) < 8 * (working + 2):
            self.events = np.zeros(16 * (working + 2), EVENT)
