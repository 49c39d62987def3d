"""Brokers: where orders are executed. The simulated one, and the protocol for one's own."""

from pairsim.brokers.broker import Broker, Order, Reports
from pairsim.brokers.sim import SimBroker

__all__ = ["Broker", "Order", "Reports", "SimBroker"]
