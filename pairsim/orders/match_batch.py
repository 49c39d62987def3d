"""Many candles through the matching kernel in one call: what a venue does with a batch that came over its channel."""

from numba import njit

from pairsim.market.candle import HIGH, KIND_MARKET, LOW, MARKET_MASK, OPEN, OPEN_TIME, VOLUME
from pairsim.orders.matching import COUNT, match_candle
from pairsim.portfolio.accounting import JIT

EVENTS_PER_ORDER = 8  # what one candle can do to an order and its protective orders, at most


@njit(**JIT)
def match_candles(orders, links, mem, memf, base, candles, candlesf, first, participation, events):
    """Match ``candles[first:]``, int64[n, 8] records and their float view, in order.

    Returns (index reached, events written): less than all where events or book have no room for what the next candle
    could bring about; make room and call again.
    """
    n, i = 0, first
    while i < len(candles):
        working = links[COUNT]
        if len(events) - n < EVENTS_PER_ORDER * (working + 2) or len(orders) - working < 2 * working + 4:
            break
        n = match_candle(
            orders, links, mem, memf, base, candles[i, KIND_MARKET] & MARKET_MASK, candles[i, OPEN_TIME],
            candlesf[i, OPEN], candlesf[i, HIGH], candlesf[i, LOW], candlesf[i, VOLUME], participation, events, n,
        )  # fmt: skip
        i += 1
    return i, n
