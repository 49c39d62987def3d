"""What a run came to, printed once at its end: at most 80 columns, so that a log reads as well as a terminal. Pure."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from pairsim.cli import formats
from pairsim.cli.demo import LATENCY_MS, Options
from pairsim.cli.observation import Observation
from pairsim.cli.screen import Column, gain, labelled, table

WIDTH = 80


def summary(seen: Observation, elapsed: float, options: Options, feed_seconds: float) -> Iterator[RenderableType]:
    """The run as a whole, each trader, latencies, channels."""
    yield Text.assemble(
        ("pairsim demo", "bold"), f": {formats.span(elapsed)} at speed {formats.factor(options.speed)}, ",
        f"{formats.span(feed_seconds)} of feed time, seed {options.seed}, ",
        (str(seen.state), "bold red" if seen.error else "bold green"),
    )  # fmt: skip
    if seen.error:
        yield Text(seen.error, "red")
    yield _line(
        ("candles", f"{seen.candles:,}"), ("evaluations", f"{seen.evaluations:,}"), ("orders", f"{seen.orders:,}"),
        ("fills", f"{seen.fills:,}"),
    )  # fmt: skip
    yield _line(
        ("cash", formats.money(seen.cash)),
        ("equity", f"{formats.money(seen.equity)} {seen.currency}"),
        ("PnL", Text(f"{formats.signed(seen.pnl)} ({formats.percent(seen.pnl / seen.opening)})", gain(seen.pnl))),
    )
    yield _line(("fees", formats.money(seen.fees)), ("PnL before fees", formats.signed(seen.pnl + seen.fees)))
    yield Text()
    yield _traders(seen)
    yield Text()
    yield _latencies(seen)
    yield Text()
    yield from _machine(seen, options)


def _traders(seen: Observation) -> RenderableType:
    columns = (
        Column("trader", False), Column("strategy", False), Column("evaluations"), Column("orders"),
        Column("fills"), Column("position", rank=1), Column("fees", rank=2), Column("PnL"),
    )  # fmt: skip
    rows = [
        (
            Text(row.name, "bold"),
            Text(f"{row.strategy} {row.every}"),
            Text(f"{row.evaluations:,}"),
            Text(f"{row.orders:,}"),
            Text(f"{row.fills:,}"),
            Text(formats.amount_of(row.quantity) if row.quantity else "flat"),
            Text(formats.money(row.fees)),
            Text(formats.signed(row.pnl), gain(row.pnl)),
        )
        for row in seen.traders
    ]
    return table(columns, rows, WIDTH)


def _latencies(seen: Observation) -> RenderableType:
    columns = (Column("latency", right=False), Column("p50"), Column("p99"), Column("samples"))
    rows = [
        (Text(name), Text(formats.microseconds(x.p50_us)), Text(formats.microseconds(x.p99_us)), Text(f"{x.samples:,}"))
        for name, x in seen.latencies
    ]
    return table(columns, rows, WIDTH)


def _machine(seen: Observation, options: Options) -> Iterator[RenderableType]:
    """Channels, restarts, failures, and where the journal is."""
    metrics = seen.metrics
    if seen.channels:
        fullest = max(seen.channels, key=lambda c: c.high_water / c.capacity)
        stalls, blocked = sum(c.stalls for c in seen.channels), sum(c.blocked_ns for c in seen.channels)
        yield Text(
            f"channels: fullest was {fullest.name} with {fullest.high_water:,} of {fullest.capacity:,}; "
            f"{formats.count_of(stalls, 'stall')}{f' ({formats.microseconds(blocked / 1e3)})' if stalls else ''}"
        )
    yield _line(
        ("worker restarts", f"{metrics.worker_restarts:,}"),
        ("denied orders", f"{metrics.denied:,}"),
        ("strategy failures", f"{metrics.failures:,}"),
    )
    if metrics.late:
        yield Text(f"late fills: {metrics.late:,} of {seen.fills:,}{_why_late(options)}")
    for row in seen.traders:
        if row.message:
            yield Text(f"{row.name} is {row.state}: {row.message}", "red")
    if options.store is not None:
        yield Text(f"journal: {options.store}")


def _why_late(options: Options) -> str:
    """At a high speed the broker's latency passes before an order can be on disk; then a later candle fills it."""
    if options.speed is None or options.speed <= 1:
        return ""
    shortest = formats.microseconds(LATENCY_MS * 1e3 / options.speed)
    return f" (at this speed the broker's {LATENCY_MS} ms pass in {shortest})"


def _line(*pairs: tuple[str, str | Text]) -> Text:
    return Text("   ").join([labelled(label, value) for label, value in pairs])
