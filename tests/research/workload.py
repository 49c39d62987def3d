"""The synthetic workload on which backtesters are compared, and naive loops that trade it in plain Python."""

import math

import numpy as np

import pairsim as ps
from pairsim.market.candle import Columns
from pairsim.research.door import Bars

MINUTE = 60_000_000_000
START = 1_600_000_020_000_000_000 // MINUTE * MINUTE


def candles(n: int, seed: int = 42) -> tuple[np.ndarray, ...]:
    """One-minute bars of a geometric random walk: open, high, low, close, volume."""
    steps = np.random.default_rng([seed, 0]).normal(0.0, 0.0005, n)
    close = np.round(100.0 * np.exp(np.cumsum(steps)), 4)
    opened = np.concatenate([[100.0], close[:-1]])
    return opened, np.maximum(opened, close), np.minimum(opened, close), close, np.ones(n)


def bars(n: int, seed: int = 42) -> Bars:
    """The same as what the door makes of a frame."""
    times = START + np.arange(n) * MINUTE
    return Bars(Columns(("BTC/USDT",), np.zeros(n, np.int64), times, *candles(n, seed)), MINUTE)


class Cross(ps.Strategy):
    """Crossover of two averages, quantity 1: the first workload."""

    fast: int = ps.param(10, 2, 1000)
    slow: int = ps.param(30, 2, 1000)

    def indicators(self):
        return {"fast": ps.SMA(self.fast), "slow": ps.SMA(self.slow)}

    def generate_signal(self, ctx):
        if ctx.fast > ctx.slow and ctx.position.quantity == 0:
            return ps.buy(1.0)
        if ctx.slow > ctx.fast and ctx.position.quantity > 0:
            return ps.close()
        return None


class Account:
    """Cash, a position in whole lots of 1e-8, and what was filled."""

    def __init__(self, cash: float, fee: float) -> None:
        self.cash, self.fee, self.quantity = cash, fee, 0.0
        self.fills: list[tuple[int, int, float, float]] = []
        self.equity: list[float] = []

    def buy(self, i: int, price: float, quantity: float) -> None:
        most = math.floor(self.cash / (price * (1.0 + self.fee)) * 1e8) / 1e8
        quantity = min(quantity, most)
        self.cash -= quantity * price * (1.0 + self.fee)
        self.quantity += quantity
        self.fills.append((i, 1, quantity, price))

    def close(self, i: int, price: float) -> None:
        self.cash += self.quantity * price * (1.0 - self.fee)
        self.fills.append((i, -1, self.quantity, price))
        self.quantity = 0.0


def naive_cross(data: tuple[np.ndarray, ...], fast: int, slow: int, cash: float) -> Account:
    """Crossover with quantity 1, decided at a close, filled at the next open.

    Averages come from exact sums of whole ticks of 1e-4: ties between them are ties.
    """
    opened, close = data[0].tolist(), data[3].tolist()
    ticks = np.concatenate([[0], np.cumsum(np.rint(data[3] * 1e4).astype(np.int64))]).tolist()
    account, wanted = Account(cash, 0.001), 0
    for i, price in enumerate(close):
        if wanted > 0:
            account.buy(i, opened[i], 1.0)
        elif wanted < 0:
            account.close(i, opened[i])
        wanted = 0
        account.equity.append(account.cash + account.quantity * price)
        if i >= slow - 1:
            a, b = (ticks[i + 1] - ticks[i + 1 - fast]) * slow, (ticks[i + 1] - ticks[i + 1 - slow]) * fast
            if a > b and account.quantity == 0.0:
                wanted = 1
            elif b > a and account.quantity > 0.0:
                wanted = -1
    return account


def naive_rsi(data: tuple[np.ndarray, ...], period: int, low: float, high: float, cash: float) -> Account:
    """Wilder's RSI, all in below ``low``, all out above ``high``."""
    opened, close = data[0].tolist(), data[3].tolist()
    account, wanted = Account(cash, 0.001), 0
    up = down = 0.0
    for i, price in enumerate(close):
        if wanted > 0:
            account.buy(i, opened[i], math.inf)
        elif wanted < 0:
            account.close(i, opened[i])
        wanted = 0
        account.equity.append(account.cash + account.quantity * price)
        if i == 0:
            continue
        change = price - close[i - 1]
        gain, loss = max(change, 0.0), max(-change, 0.0)
        if i <= period:
            up, down = up + gain / period, down + loss / period
        else:
            up, down = up + (gain - up) / period, down + (loss - down) / period
        if i >= period and up + down > 0.0:
            value = 100.0 * up / (up + down)
            if value < low and account.quantity == 0.0:
                wanted = 1
            elif value > high and account.quantity > 0.0:
                wanted = -1
    return account
