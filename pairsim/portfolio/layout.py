"""Where the words of a portfolio stand: one account cell, a cell a market, a cell a (trader, market) pair.

The same layout serves the shared region that the order engine publishes under one seqlock (its only writer), the
private ledger of a simulated venue, and a backtest. Units: money in 1/quote_scale, quantities in 1/base_scale, both
int64.
"""

from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal
from numbers import Real
from typing import NamedTuple

import numpy as np

from pairsim.errors import InputError
from pairsim.market.instrument import Instrument

# Account cell. The word at 0 is the sequence of the seqlock that guards the whole region.
(A_SEQUENCE, A_CASH, A_CASH_F, A_EQUITY, A_FEES, A_REALISED, A_MARK_TIME, A_FILLS, A_MARKETS, A_PAIRS, A_QUOTE_SCALE,
 A_SHORT, A_TAKER, A_MAKER, A_SLIPPAGE, A_OPENING, A_MAX_ORDER, A_MAX_POSITION, A_MAX_GROSS) = range(19)  # fmt: skip
ACCOUNT_WORDS = 19

# Market cell: the account's quantity, its mark, and what the kernels need of the instrument.
(M_QUANTITY, M_MARK, M_MARK_TIME, M_BASE_SCALE, M_TO_QUOTE, M_LOT, M_TICK, M_MINIMUM) = range(8)
MARKET_WORDS = 8

# Pair cell: the position of one trader in one market. NUMBER is the last decision taken in; IN_FLIGHT counts its market
# orders that are not final and SETTLED is the last decision that has none; WORKING and RELEASED are the same for orders
# of any type.
(P_QUANTITY, P_COST, P_QUANTITY_F, P_AVERAGE, P_SETTLED, P_IN_FLIGHT, P_RELEASED, P_WORKING, P_NUMBER, P_REALISED,
 P_FEES, P_FILLS, P_MARKET, P_TRADER) = range(14)  # fmt: skip
PAIR_WORDS = 14

RATE_SCALE = 100_000_000  # fee rates are integers of 1e-8: 10 bps = 100,000
BPS = 10_000.0
MONEY_LIMIT = 9_000_000_000_000_000_000  # just under 2**63: more cannot be counted


class Costs(NamedTuple):
    """What trading costs: fees and slippage in basis points, and whether short positions are allowed."""

    fee_bps: float = 10.0
    maker_fee_bps: float = 10.0
    slippage_bps: float = 0.0
    short: bool = False


def portfolio_words(markets: int, pairs: int) -> int:
    """Words of a portfolio region."""
    return ACCOUNT_WORDS + markets * MARKET_WORDS + pairs * PAIR_WORDS


def market_cell(base: int, market: int) -> int:
    """First word of a market's cell."""
    return base + ACCOUNT_WORDS + market * MARKET_WORDS


def init_portfolio(
    mem: np.ndarray,
    base: int,
    instruments: Sequence[Instrument],
    pairs: Sequence[tuple[int, int]],
    cash: float,
    costs: Costs,
) -> None:
    """Write the opening state: all cash, no positions.

    Parameters
    ----------
    mem : int64[n]
    instruments : one a market, in order of market index; all with one quote scale.
    pairs : (trader, market) of each pair cell.
    cash : in the quote currency.

    Raises
    ------
    InputError
        Cash, a lot or a minimum notional is more than int64 units can count, or the markets have several quote scales.
    """
    scales = {i.quote_scale for i in instruments}
    if len(scales) > 1:
        raise InputError(
            f"markets of one engine share one quote currency, these have scales {sorted(scales)}; run one engine each"
        )
    quote_scale = 10.0 ** (scales.pop() if scales else 8)
    if isinstance(cash, bool) or not isinstance(cash, Real) or not 0 <= cash < MONEY_LIMIT / quote_scale:
        raise InputError(
            f"cash={cash!r} must be from 0 to {MONEY_LIMIT / quote_scale:,.0f}: money is counted in int64 "
            f"units of {1 / quote_scale:g}; for more, declare an Instrument with a smaller quote_scale"
        )
    units = round(float(cash) * quote_scale)
    if units == 0 < cash:
        raise InputError(f"cash={cash!r} is less than the smallest unit of money, {1 / quote_scale:g}")
    for instrument in instruments:
        _check_range(instrument, quote_scale)
    f = mem.view(np.float64)
    mem[base : base + portfolio_words(len(instruments), len(pairs))] = 0
    mem[base + A_CASH] = mem[base + A_OPENING] = units
    f[base + A_CASH_F] = f[base + A_EQUITY] = units / quote_scale
    mem[base + A_MARKETS], mem[base + A_PAIRS] = len(instruments), len(pairs)
    f[base + A_QUOTE_SCALE] = quote_scale
    mem[base + A_MAX_ORDER] = mem[base + A_MAX_POSITION] = mem[base + A_MAX_GROSS] = MONEY_LIMIT
    mem[base + A_SHORT] = int(costs.short)
    mem[base + A_TAKER] = rate_units(costs.fee_bps)
    mem[base + A_MAKER] = rate_units(costs.maker_fee_bps)
    f[base + A_SLIPPAGE] = costs.slippage_bps / BPS
    for k, instrument in enumerate(instruments):
        cell = market_cell(base, k)
        base_scale = 10.0**instrument.base_scale
        f[cell + M_BASE_SCALE] = base_scale
        f[cell + M_TO_QUOTE] = quote_scale / base_scale
        mem[cell + M_LOT] = instrument.lot_units
        f[cell + M_TICK] = instrument.tick_size or 0.0
        mem[cell + M_MINIMUM] = round(instrument.minimum_notional * quote_scale)
        f[cell + M_MARK] = np.nan
    for k, (trader, market) in enumerate(pairs):
        cell = base + ACCOUNT_WORDS + len(instruments) * MARKET_WORDS + k * PAIR_WORDS
        mem[cell + P_MARKET], mem[cell + P_TRADER] = market, trader


def rate_units(bps: float) -> int:
    """A fee in basis points as an integer rate of 1e-8, rounded up: a fee is never rounded to nothing."""
    return int((Decimal(repr(float(bps))) * RATE_SCALE / Decimal(BPS)).to_integral_value(ROUND_CEILING))


def _check_range(instrument: Instrument, quote_scale: float) -> None:
    units = 10**instrument.base_scale
    for name, value, most, scale in (
        ("lot_size", instrument.lot_size, MONEY_LIMIT / units, "base_scale"),
        ("minimum_notional", instrument.minimum_notional, MONEY_LIMIT / quote_scale, "quote_scale"),
    ):
        if not value < most:
            raise InputError(
                f"{name}={value!r} of {instrument.symbol} must be below {most:,.0f}: amounts are counted in int64 "
                f"units; for more, declare its Instrument with a smaller {scale}"
            )
