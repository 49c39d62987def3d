"""What is seen of a run at one moment: plain values, so that drawing needs no engine and a test none either.

An observer only reads. What lies in shared memory is read at every look; what costs a query of the journal or a
question to the host is asked for less often.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pairsim import clock
from pairsim.engine.metrics import Latency, Metrics
from pairsim.engine.status import RunState, Trading
from pairsim.errors import PairsimError
from pairsim.market.interval import format_interval

if TYPE_CHECKING:
    from pairsim.engine.engine import Engine
    from pairsim.engine.trader import Trader

LAST_ORDERS = 60  # more than a terminal has rows for
SLOW_EVERY_NS = 250_000_000
SLOW_SHARE = 10  # what is slow may take one in so many nanoseconds,
SLOW_LATEST_NS = 2_000_000_000  # but is never older than this
RATE_NS = 2_000_000_000  # rates are of the last two seconds
PATH_POINTS = 1_024


@dataclass(frozen=True, slots=True)
class TraderRow:
    """A trader. ``pnl`` is after ``fees``; ``state`` is active, paused or failed."""

    name: str
    strategy: str
    every: str
    state: str = "active"
    message: str = ""
    quantity: float = 0.0
    average_price: float = 0.0
    last_price: float = float("nan")
    value: float = 0.0
    evaluations: int = 0
    orders: int = 0
    fills: int = 0
    fees: float = 0.0
    pnl: float = 0.0


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order. ``price`` is the mean of its fills, NaN before the first; ``time_ns`` the feed time of its decision."""

    time_ns: int
    trader: str
    side: str
    kind: str
    quantity: float
    price: float
    status: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """A channel: what waits in it, the most that did, its capacity, how often and how long its sender waited."""

    name: str
    depth: int
    high_water: int
    capacity: int
    stalls: int
    blocked_ns: int


@dataclass(frozen=True, slots=True)
class Observation:
    """A run at one moment. Money is in ``currency``; ``equity_path`` holds equity at each look, oldest first."""

    state: RunState = RunState.CREATED
    trading: Trading = Trading.ACTIVE
    error: str = ""
    elapsed: float = 0.0
    feed_time_ns: int = 0
    feed_speed: float = float("nan")
    candle_rate: float = float("nan")
    candles: int = 0
    evaluations: int = 0
    orders: int = 0
    fills: int = 0
    open_orders: int = 0
    cash: float = 0.0
    equity: float = 0.0
    opening: float = 0.0
    currency: str = ""
    fees: float = 0.0
    equity_path: tuple[float, ...] = ()
    traders: tuple[TraderRow, ...] = ()
    last_orders: tuple[OrderRow, ...] = ()
    channels: tuple[ChannelRow, ...] = ()
    metrics: Metrics = field(default_factory=Metrics)

    @property
    def pnl(self) -> float:
        """What was won since the start, after fees."""
        return self.equity - self.opening

    @property
    def latencies(self) -> tuple[tuple[str, Latency], ...]:
        """Name and quantiles of each stage an order passes."""
        m = self.metrics
        return (
            ("tick to order", m.tick_to_order),
            ("order to durable", m.order_to_durable),
            ("order to fill", m.order_to_fill),
        )


class Path:
    """A value at evenly spaced looks since the start, in bounded memory: when full, every second one is let go."""

    def __init__(self) -> None:
        self._kept: list[float] = []
        self._stride, self._count = 1, 0
        self._newest = float("nan")

    def add(self, value: float) -> None:
        """The value at the next look."""
        if self._count % self._stride == 0:
            self._kept.append(value)
        self._count += 1
        self._newest = value
        if len(self._kept) == PATH_POINTS:
            self._kept = self._kept[::2]
            self._stride *= 2

    def values(self) -> tuple[float, ...]:
        """Oldest first; the newest is always among them."""
        return (*self._kept, self._newest)


class Observer:
    """Looks at an engine. ``traders`` and ``cash`` are what it was made with."""

    def __init__(self, engine: "Engine", traders: "list[Trader]", cash: float) -> None:
        self._engine, self._traders, self._cash = engine, traders, cash
        self._currency = traders[0].markets[0].partition("/")[2]
        self._began_ns: int | None = None
        self._path = Path()
        self._seen: deque[tuple[int, int, int]] = deque()  # (monotonic ns, feed time, candles) of the last two seconds
        self._slow_at_ns = 0
        self._metrics = Metrics()
        self._counts: dict[str, tuple[int, int]] = {}  # orders and fills of a trader
        self._orders: tuple[OrderRow, ...] = ()

    def look(self, *, everything: bool = False) -> Observation:
        """The run now; the first look begins the count of ``elapsed``. ``everything`` reads the slow parts as well."""
        if self._began_ns is None:
            self._look_slowly()  # the first one loads much, and is not counted
            self._began_ns = clock.monotonic_ns()
        now = clock.monotonic_ns()
        if everything or now >= self._slow_at_ns:
            self._look_slowly()
            took = clock.monotonic_ns() - now
            self._slow_at_ns = now + min(max(SLOW_EVERY_NS, SLOW_SHARE * took), SLOW_LATEST_NS)
        status, portfolio = self._engine.status, self._engine.portfolio
        self._path.add(portfolio.equity)
        speed, rate = self._rates(now, status.feed_time, status.candles)
        rows = self._trader_rows(portfolio.positions.rows(named=True))
        return Observation(
            state=status.state,
            trading=status.trading,
            error=status.error,
            elapsed=(now - self._began_ns) / 1e9,
            feed_time_ns=status.feed_time,
            feed_speed=speed,
            candle_rate=rate,
            candles=status.candles,
            evaluations=sum(row.evaluations for row in rows),
            orders=status.orders,
            fills=status.fills,
            open_orders=status.open_orders,
            cash=portfolio.cash,
            equity=portfolio.equity,
            opening=self._cash,
            currency=self._currency,
            fees=sum(row.fees for row in rows),
            equity_path=self._path.values(),
            traders=rows,
            last_orders=self._orders,
            channels=tuple(
                ChannelRow(name, c["depth"], c["high_water"], c["capacity"], c["stalls"], c["blocked_ns"])
                for name, c in self._metrics.channels.items()
            ),
            metrics=self._metrics,
        )

    def _rates(self, now: int, feed_time: int, candles: int) -> tuple[float, float]:
        self._seen.append((now, feed_time, candles))
        while len(self._seen) > 2 and now - self._seen[0][0] > RATE_NS:
            self._seen.popleft()
        then, was, before = self._seen[0]
        if now == then or not was:
            return float("nan"), float("nan")
        return (feed_time - was) / (now - then), (candles - before) / (now - then) * 1e9

    def _trader_rows(self, positions: list[dict[str, float]]) -> tuple[TraderRow, ...]:
        rows = []
        for trader, p in zip(self._traders, positions, strict=True):  # a demo trader has one market
            health = self._engine[trader.name].health
            orders, fills = self._counts.get(trader.name, (0, 0))
            rows.append(
                TraderRow(
                    name=trader.name,
                    strategy=type(trader.strategy).__name__,
                    every=format_interval(trader.every_ns or 0),
                    state=health.state,
                    message=health.message,
                    quantity=p["quantity"],
                    average_price=p["average_price"],
                    last_price=p["last_price"],
                    value=p["value"],
                    evaluations=health.evaluations,
                    orders=orders,
                    fills=fills,
                    fees=p["fees"],
                    pnl=p["realised"] + p["unrealised"] - p["fees"],
                )
            )
        return tuple(rows)

    def _look_slowly(self) -> None:
        """The host may have died since: what was seen last then stands, and the status says why."""
        try:
            metrics = self._engine.metrics
            if metrics.journal is not None or self._metrics.journal is None:  # the host has answered, or never has
                self._metrics = metrics
            orders, fills = self._engine.orders, self._engine.fills
        except PairsimError:
            return
        ordered, filled = (dict(f.group_by("trader").len().rows()) for f in (orders, fills))
        self._counts = {name: (count, filled.get(name, 0)) for name, count in ordered.items()}
        newest = orders.tail(LAST_ORDERS)
        times = newest["timestamp"].dt.timestamp("ns").to_list()
        self._orders = tuple(
            OrderRow(
                time,
                order["trader"],
                order["side"],
                order["type"],
                order["quantity"],
                float("nan") if order["average_price"] is None else order["average_price"],
                order["status"],
                order["reason"] or "",
            )
            for time, order in zip(times, newest.rows(named=True), strict=True)
        )
