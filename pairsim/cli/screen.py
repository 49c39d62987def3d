"""The live view: an observation and the size of a terminal in, something rich can print out. Pure.

What does not fit is left out by its weight: a narrow terminal loses columns, a short one loses rows of what is long,
then whole sections. Nothing wraps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from pairsim.cli import formats
from pairsim.cli.demo import Options
from pairsim.cli.observation import Observation, TraderRow
from pairsim.engine.status import RunState, Trading

WIDE = 150  # from here on channels and latencies stand beside traders and orders
RIGHT = 62
GAP = 2

_STATE_STYLES = {
    RunState.RUNNING: "bold green",
    RunState.PAUSED: "bold yellow",
    RunState.FAILED: "bold red",
}
_TRADING_STYLES = {Trading.ACTIVE: "green", Trading.REDUCE_ONLY: "yellow", Trading.HALTED: "bold red"}
_ORDER_STYLES = {"FILLED": "", "DENIED": "yellow", "REJECTED": "yellow", "UNKNOWN": "bold red"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. Where not all fit, those of the highest ``rank`` go first; rank 0 always stays."""

    head: str
    right: bool = True
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Section:
    """A titled table. It asks for ``least`` rows below its head, and may use up to as many as it has."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Text, ...], ...]
    least: int
    newest_last: bool = False  # cut at the top, not at the bottom
    empty: str = ""

    @property
    def most(self) -> int:
        """Rows it can fill."""
        return max(1, len(self.rows))


def screen(seen: Observation, options: Options, width: int, height: int, *, ascii_only: bool = False) -> RenderableType:
    """The whole view, at most ``width`` wide and ``height`` high."""
    top = header(seen, options, width)
    top += equity_chart(seen, options, width, 1 if height < 30 else 3 if height < 45 else 5, ascii_only=ascii_only)
    room = height - len(top)
    left, right = [traders(seen), orders(seen)], [channels(seen), latencies(seen)]
    if width < WIDE:
        short = [traders(seen), orders(seen), channels(seen), short_latencies(seen)]
        return Group(*top, *stacked(short, width, room))
    grid = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
    grid.add_column(width=width - RIGHT - GAP)
    grid.add_column(width=RIGHT)
    grid.add_row(Group(*stacked(left, width - RIGHT - GAP, room)), Group(*stacked(right, RIGHT, room)))
    return Group(*top, grid)


def header(seen: Observation, options: Options, width: int) -> list[Text]:
    """State, time and portfolio; with an error a row more."""
    short = width < 100
    measured = seen.feed_speed == seen.feed_speed  # NaN before the second look
    lines = [
        fitted(
            [
                Text("pairsim" if short else "pairsim demo", "bold"),
                Text.assemble(
                    (str(seen.state), _STATE_STYLES.get(seen.state, "bold")),
                    f" {seen.elapsed:.1f} of {options.seconds:g} s",
                ),
                labelled("trading", Text(str(seen.trading), _TRADING_STYLES[seen.trading])),
                labelled("feed", formats.moment(seen.feed_time_ns)[11 if short else 0 :] or formats.NONE),
                labelled("speed", formats.factor(seen.feed_speed if measured else options.speed)),
                labelled("candles", formats.rate(seen.candle_rate) if measured else formats.NONE),
            ],
            width,
        ),
        fitted(
            [
                labelled("equity", Text(f"{formats.money(seen.equity)} {seen.currency}", "bold")),
                labelled(
                    "PnL",
                    Text(f"{formats.signed(seen.pnl)} ({formats.percent(seen.pnl / seen.opening)})", gain(seen.pnl)),
                ),
                labelled("cash", formats.money(seen.cash)),
                labelled("fees", formats.money(seen.fees)),
                labelled("open orders", f"{seen.open_orders:,}"),
                labelled("seed", f"{options.seed}"),
            ],
            width,
        ),
    ]
    if seen.error:
        lines.append(Text(shortened(seen.error, width), "bold red", no_wrap=True))
    return lines


def equity_chart(seen: Observation, options: Options, width: int, rows: int, *, ascii_only: bool = False) -> list[Text]:
    """Equity since the start, over as much of the width as of the time has passed; its range stands to the right."""
    known = [v for v in seen.equity_path if v == v] or [seen.opening]
    labels = [formats.money(max(known)), formats.money(min(known))] if rows > 1 else []
    room = width - (max(map(len, labels)) + 1 if labels else 0)
    bars = max(1, round(room * min(1.0, seen.elapsed / options.seconds)))
    lines = formats.chart(seen.equity_path, bars, rows, ascii_only=ascii_only)
    margin = [*labels[:1], *[""] * (rows - 2), *labels[1:]] if labels else [""]
    return [
        Text.assemble(
            (f"{line:<{room}}" if label else line, gain(seen.pnl)), (f" {label}" if label else "", "dim"), no_wrap=True
        )
        for line, label in zip(lines, margin, strict=True)
    ]


def traders(seen: Observation) -> Section:
    """A row a trader."""
    columns = (
        Column("trader", False), Column("strategy", False), Column("every", rank=3), Column("state", False, 6),
        Column("position"), Column("entry", rank=8), Column("last", rank=7), Column("value", rank=9),
        Column("evals", rank=5), Column("orders", rank=4), Column("fills", rank=2), Column("fees", rank=10),
        Column("PnL"),
    )  # fmt: skip
    return Section(
        "traders", columns, tuple(_trader(row) for row in seen.traders), least=min(3, max(1, len(seen.traders)))
    )


def _trader(row: TraderRow) -> tuple[Text, ...]:
    state = f"{row.state}: {row.message}" if row.message else row.state
    return (
        Text(row.name, "bold"),
        Text(row.strategy),
        Text(row.every),
        Text(
            shortened(state, 40),
            "bold red" if row.state == "failed" else "yellow" if row.state == "paused" else "green",
        ),
        Text("flat", "dim") if row.quantity == 0 else Text(formats.amount_of(row.quantity)),
        Text(formats.price(row.average_price) if row.quantity else formats.NONE, "" if row.quantity else "dim"),
        Text(formats.price(row.last_price)),
        Text(formats.money(row.value)),
        Text(f"{row.evaluations:,}"),
        Text(f"{row.orders:,}"),
        Text(f"{row.fills:,}"),
        Text(formats.money(row.fees)),
        Text(formats.signed(row.pnl), gain(row.pnl)),
    )


def orders(seen: Observation) -> Section:
    """The last orders, newest at the bottom."""
    columns = (
        Column("decided", False), Column("trader", False), Column("side", False), Column("type", False, 2),
        Column("quantity"), Column("price", rank=1), Column("status", False), Column("reason", False, 3),
    )  # fmt: skip
    rows = tuple(
        (
            Text(formats.time_of_day(o.time_ns), "dim"),
            Text(o.trader),
            Text(o.side, "green" if o.side == "BUY" else "red"),
            Text(o.kind),
            Text(formats.amount_of(o.quantity)),
            Text(formats.price(o.price)),
            Text(o.status, _ORDER_STYLES.get(o.status, "dim")),
            Text(shortened(o.reason, 40), "dim"),
        )
        for o in seen.last_orders
    )
    return Section("last orders", columns, rows, least=3, newest_last=True, empty="none yet")


def channels(seen: Observation) -> Section:
    """A row a channel."""
    columns = (
        Column("channel", False), Column("depth"), Column("high"), Column("capacity"), Column("stalls"),
        Column("waited", rank=1),
    )  # fmt: skip
    rows = tuple(
        (
            Text(c.name),
            Text(f"{c.depth:,}", "yellow" if 2 * c.depth > c.capacity else ""),
            Text(f"{c.high_water:,}"),
            Text(f"{c.capacity:,}"),
            Text(f"{c.stalls:,}", "yellow" if c.stalls else ""),
            Text(formats.microseconds(c.blocked_ns / 1e3) if c.blocked_ns else formats.NONE),
        )
        for c in seen.channels
    )
    return Section("channels", columns, rows, least=min(3, max(1, len(rows))), empty="not measured yet")


def latencies(seen: Observation) -> Section:
    """A row a stage."""
    columns = (Column("stage", right=False), Column("p50"), Column("p99"), Column("samples", rank=1))
    rows = tuple(
        (Text(name), Text(formats.microseconds(x.p50_us)), Text(formats.microseconds(x.p99_us)), Text(f"{x.samples:,}"))
        for name, x in seen.latencies
    )
    return Section("latencies", columns, rows, least=3)


def short_latencies(seen: Observation) -> Section:
    """All stages in one row, p50 / p99."""
    columns = tuple(Column(name, rank=k) for k, (name, _) in enumerate(seen.latencies))
    row = tuple(
        Text(f"{formats.microseconds(x.p50_us)} / {formats.microseconds(x.p99_us)}" if x.samples else formats.NONE)
        for _, x in seen.latencies
    )
    return Section("latencies, p50 / p99", columns, (row,), least=1)


# --- fitting -------------------------------------------------------------------------------------------------------


def stacked(sections: Sequence[Section], width: int, room: int) -> list[RenderableType]:
    """Sections one below the other in ``room`` rows: each its least, in order; the rest to those that can use it."""
    given: dict[int, int] = {}
    for i, section in enumerate(sections):
        if room >= 3:
            given[i] = min(section.least, room - 2, section.most)
            room -= given[i] + 2
    # Traders first, then channels and latencies, which have an end; orders, which have none, get the rest.
    for i in sorted(given, key=lambda i: sections[i].newest_last):
        more = min(room, sections[i].most - given[i])
        given[i], room = given[i] + more, room - more
    out: list[RenderableType] = []
    for i, rows in given.items():
        out += drawn(sections[i], width, rows)
    return out


def drawn(section: Section, width: int, count: int) -> list[RenderableType]:
    """A section of ``count`` rows below its rule and its head."""
    rows, hidden = section.rows, len(section.rows) - count
    title = section.title
    if hidden > 0:
        rows = rows[-count:] if section.newest_last else rows[:count]
        title += "" if section.newest_last else f", {count} of {len(section.rows)}"
    rule = Rule(Text(title, "bold cyan"), align="left", style="dim cyan")
    if not rows:
        return [rule, Text(section.empty, "dim")]
    return [rule, table(section.columns, rows, width)]


def table(columns: Sequence[Column], rows: Sequence[tuple[Text, ...]], width: int) -> Table:
    """Rows under heads, in columns as wide as they need; without those that do not fit, and without what is empty."""
    wide = [max(len(c.head), *(row[i].cell_len for row in rows)) for i, c in enumerate(columns)]
    kept = [i for i, c in enumerate(columns) if c.rank == 0 or any(row[i].plain for row in rows)]
    while sum(wide[i] + GAP for i in kept) - GAP > width:
        least = max(kept, key=lambda i: (columns[i].rank, i))
        if columns[least].rank == 0:
            break
        kept.remove(least)
    out = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="")
    for i in kept:
        c = columns[i]
        out.add_column(
            Text(c.head, "dim"),
            justify="right" if c.right else "left",
            no_wrap=True,
            overflow="crop",
            min_width=min(wide[i], 3),
        )
    for row in rows:
        out.add_row(*(row[i] for i in kept))
    return out


def fitted(parts: Sequence[Text], width: int) -> Text:
    """Parts in a line, the last ones left out where they do not fit."""
    line = parts[0].copy()
    for part in parts[1:]:
        if line.cell_len + 3 + part.cell_len > width:
            break
        line = Text.assemble(line, "   ", part)
    line.no_wrap, line.overflow = True, "crop"
    return line


def labelled(label: str, value: str | Text) -> Text:
    """A dim label before a value."""
    return Text.assemble((f"{label} ", "dim"), value)


def gain(amount: float) -> str:
    """The colour of a gain or loss; none of what rounds to nothing."""
    return "green" if amount >= 0.005 else "red" if amount <= -0.005 else ""


def shortened(text: str, width: int) -> str:
    """The first line of a text, at most ``width`` long."""
    line = text.partition("\n")[0]
    return line if len(line) <= width else line[: width - 3] + "..."
