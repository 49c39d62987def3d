"""What trading costs in a backtest, what its account opens with and is limited by: what every door takes, checked."""

from dataclasses import dataclass
from typing import Final

from pairsim.brokers.sim import SimBroker
from pairsim.engine.plan import Plan
from pairsim.errors import InputError
from pairsim.market.interval import Interval
from pairsim.orders.limits import RiskLimits, write_limits
from pairsim.research.history import History
from pairsim.research.simulate import Prepared

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


@dataclass(frozen=True)
class Account:
    """What an account opens with, whom it trades with and what it is limited by."""

    broker: SimBroker
    cash: float
    risk: RiskLimits | None = None

    def prepared(self, plan: Plan, history: History) -> Prepared:
        """A simulation of traders on this account."""
        prepared = Prepared(plan, history, self.broker, self.cash)
        write_limits(prepared.portfolio, 0, self.risk)
        return prepared
