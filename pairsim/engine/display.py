"""How engines and traders look: a line of text, and a card of HTML. No state."""

from typing import TYPE_CHECKING

from pairsim.market.interval import format_interval
from pairsim.markup import Html, amount, card, facts, folded, line, money, table, toned

if TYPE_CHECKING:
    import polars as pl

    from pairsim.engine.engine import Engine
    from pairsim.engine.handle import TraderHandle
    from pairsim.engine.snapshot import Portfolio
    from pairsim.engine.trader import Trader


def text(engine: "Engine") -> str:
    """An engine in a line."""
    names = [t.name for t in engine._traders]
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    failed = [handle.name for handle in engine.traders if handle.counters.state == "failed"]
    more = " …" if len(failed) > 4 else ""
    wrong = f"; failed: {', '.join(failed[:4])}{more}, see engine[{failed[0]!r}].health" if failed else ""
    return f"Engine({shown}; {ports(engine)}): {engine.status}{wrong}"


def ports(engine: "Engine") -> str:
    """Feed and broker."""
    return f"{port(engine._feed)}, {port(engine._broker)}"


def port(given: object) -> str:
    """A feed or broker: its repr if its class has one, else the name of the class, which says more than an address."""
    kind = type(given)
    return kind.__name__ if kind.__repr__ is object.__repr__ else repr(given)


def html(engine: "Engine") -> str:
    """An engine: what it does, what it is worth, its traders, and how to see more."""
    status, portfolio = engine.status, engine.portfolio
    told = facts(
        ("state", toned(status.state)),
        ("trading", toned(status.trading)),
        ("equity", amount(portfolio.equity)),
        ("PnL", money(portfolio.equity - engine._cash)),
        ("cash", amount(portfolio.cash)),
        ("candles", status.candles),
        ("orders", status.orders),
        ("fills", status.fills),
    )
    head = ("trader", "strategy", "every", "runs as", "state", "evaluations", "decisions", "errors")
    rows = []
    for handle in engine.traders:
        health = handle.counters
        every = format_interval(engine._traders[handle._index].every_ns or engine._plan.base_ns)
        rows.append(
            (handle.name, repr(handle.strategy), every, "machine code" if handle.compiled else "plain Python",
             toned(health.state), health.evaluations, health.decisions, health.errors)
        )  # fmt: skip
    wrong = line(status.error, "bad") if status.error else Html()
    hint = line("engine.dashboard() shows it live", "muted")
    return card("Engine", told, wrong, table(head, rows, of="traders"), hint, about=ports(engine))


def trader_html(handle: "TraderHandle") -> str:
    """A trader with its health; the traceback of a failed one folded away."""
    health = handle.health
    told = facts(
        ("state", toned(health.state)),
        *((name, getattr(health, name)) for name in ("evaluations", "decisions", "skipped", "errors")),
    )
    wrong = folded(health.message, health.traceback, tone="bad") if health.message else Html()
    runs = "machine code" if handle.compiled else "plain Python"
    hint = line(f"engine[{handle.name!r}].tune(…), .swap(…), .pause(), .resume()", "muted")
    return card(handle.name, told, wrong, hint, about=f"{handle.strategy!r}, {runs}")


def plain_trader_html(trader: "Trader") -> str:
    """A trader before it trades: markets, interval, parameters."""
    every = "every candle of the feed" if trader.every_ns is None else f"every {format_interval(trader.every_ns)}"
    body = Html(trader.strategy._repr_html_())
    return card(f"Trader {trader.name}", facts(("markets", ", ".join(trader.markets)), ("decides", every)), body)


def portfolio_html(portfolio: "Portfolio") -> str:
    """Cash, equity and the positions that are not flat."""
    frame = portfolio.positions
    held = frame.filter(frame["quantity"] != 0)
    told = facts(("cash", amount(portfolio.cash)), ("equity", amount(portfolio.equity)))
    return card("Portfolio", told, positions(held) if len(held) else line("no positions", "muted"))


def positions(frame: "pl.DataFrame", most: int = 50) -> Html:
    """Positions as a table."""
    look = {"value": amount, "unrealised": money, "realised": money, "fees": amount}
    rows = [
        [look[name](x) if name in look else x for name, x in zip(frame.columns, row, strict=True)]
        for row in frame.rows()
    ]
    return table(frame.columns, rows, most=most, of="positions")
