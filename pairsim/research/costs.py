"""What trading costs in a backtest and what its account opens with: the arguments that every door takes, checked."""

from typing import Final

from pairsim.brokers.sim import SimBroker
from pairsim.errors import InputError
from pairsim.market.interval import Interval

# Defaults that can be told from the same value written by a caller: beside broker= they must not be given.
FEE_BPS: Final = float("10")
SLIPPAGE_BPS: Final = float("0")
LATENCY: Final = "".join(("0", "s"))


def broker_of(broker: SimBroker | None, fee_bps: float, slippage_bps: float, latency: Interval) -> SimBroker:
    """The simulated broker: the one given, or one with these costs.

    Raises
    ------
    InputError
        It is no `SimBroker`, or costs were given beside it.
    """
    if broker is None:
        return SimBroker(fee_bps=fee_bps, slippage_bps=slippage_bps, latency=latency)
    if not isinstance(broker, SimBroker):
        raise InputError(f"broker={broker!r}: a backtest fills by ps.SimBroker(...); a real broker has no history")
    if fee_bps is not FEE_BPS or slippage_bps is not SLIPPAGE_BPS or latency is not LATENCY:
        raise InputError("broker= has fees, slippage and latency of its own: give them there, not beside it")
    return broker


def opening_cash(cash: float) -> float:
    """What the account opens with, a finite number above 0."""
    if isinstance(cash, bool) or not isinstance(cash, (int, float)) or not 0 < cash < float("inf"):
        raise InputError(f"cash={cash!r} must be a number above 0: it is what the account opens with")
    return float(cash)
