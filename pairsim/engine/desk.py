"""What the order engine needs of who takes its orders: the desk of the simulated venue or of a broker of one's own."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from pairsim.brokers.broker import Order
from pairsim.orders.order import Status

Halted = Callable[[Order], bool]  # whether the kill switch came after an order's verdict; then it has been withdrawn


class Cancel(NamedTuple):
    """A strategy takes back what works of its in a market; it goes out in its place among the orders."""

    pair: int
    market: int
    time: int
    number: int  # the simulated venue draws the delay from it


class Desk(Protocol):
    """Lives in the order engine's loop."""

    protects: bool  # whether it takes stop_loss and take_profit

    async def open(self) -> None:
        """Before the first order."""

    async def close(self) -> None:
        """After the last one; raises nothing."""

    async def execute(self, ready: Sequence[Order | Cancel]) -> None:
        """Send durable orders, and take back what is canceled, in this order."""

    async def end_all(self, status: Status, reason: int, time: int) -> None:
        """Take every working order out of the market."""

    def match(self, candles: np.ndarray) -> None:
        """Candles have come, records int64[n, 8]."""

    def say_what_works(self) -> None:
        """Ten times a second: write down what has not been worth a row of its own."""
