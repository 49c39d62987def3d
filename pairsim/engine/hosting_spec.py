"""What an engine sends its host: plain values, made by the one and read by the other."""

from dataclasses import dataclass
from typing import Any

from pairsim.brokers.broker import Broker
from pairsim.brokers.sim import SimBroker
from pairsim.engine.arena import Sizes
from pairsim.engine.trader import Trader
from pairsim.feeds.feed import Feed
from pairsim.market.instrument import Instrument
from pairsim.orders.limits import RiskLimits
from pairsim.strategies.compiler import StrategyCode


@dataclass(frozen=True)
class Spec:
    """A run to be hosted."""

    traders: tuple[Trader, ...]
    codes: tuple[StrategyCode, ...]
    feed: Feed
    broker: Broker | SimBroker
    cash: float
    risk: RiskLimits | None
    instruments: tuple[Instrument, ...]
    workers: int
    store: str
    sizes: Sizes
    config: dict[str, Any]
