"""Limits on what an account may risk: written into the portfolio's account cell, obeyed wherever orders are checked.

Rule: a limit stops what enlarges a position; what reduces one always passes. So a limit never traps anybody.
"""

from dataclasses import dataclass, fields

import numpy as np

from pairsim.errors import InputError
from pairsim.portfolio.layout import A_MAX_GROSS, A_MAX_ORDER, A_MAX_POSITION, A_QUOTE_SCALE, MONEY_LIMIT

__all__ = ["RiskLimits", "write_limits"]


@dataclass(frozen=True, kw_only=True)
class RiskLimits:
    """What one account may risk, in the quote currency; None is no limit. An order beyond one is DENIED and says why.

    Attributes
    ----------
    max_order_notional : quantity times limit, stop or last price of one order.
    max_position_notional : what the account would hold in the order's market, at that price.
    max_gross_exposure : the same plus all other positions at their marks and the cash of approved buys in flight. (Of
        short sales in flight nothing is counted until they are filled.)

    Examples
    --------
    >>> RiskLimits(max_order_notional=30_000)
    RiskLimits(max_order_notional=30000)
    """

    max_order_notional: float | None = None
    max_position_notional: float | None = None
    max_gross_exposure: float | None = None

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
                raise InputError(f"{each.name}={value!r} must be a number above 0, or None for no limit")

    def __repr__(self) -> str:
        given = [f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if getattr(self, each.name)]
        return f"{type(self).__name__}({', '.join(given)})"


def write_limits(mem: np.ndarray, base: int, limits: RiskLimits | None) -> None:
    """Put limits into the portfolio at ``base``, which `init_portfolio` has made without any.

    Raises
    ------
    InputError : ``limits`` is something else.
    """
    if limits is None:
        return
    if not isinstance(limits, RiskLimits):
        raise InputError(f"risk={limits!r} must be ps.RiskLimits(max_order_notional=…, …) or None")
    scale = float(mem.view(np.float64)[base + A_QUOTE_SCALE])
    words = (A_MAX_ORDER, A_MAX_POSITION, A_MAX_GROSS)
    for word, each in zip(words, fields(limits), strict=True):
        value = getattr(limits, each.name)
        if value is not None:
            mem[base + word] = int(min(float(value) * scale, MONEY_LIMIT - 1024.0))
