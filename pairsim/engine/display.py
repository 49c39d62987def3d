"""How engines and traders look: a line of text and a small table of HTML. No state, no styles of its own."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pairsim.engine.engine import Engine
    from pairsim.engine.handle import TraderHandle
    from pairsim.engine.snapshot import Portfolio


def text(engine: "Engine") -> str:
    """An engine in a line."""
    names = [t.name for t in engine._traders]
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return f"Engine({shown}; {engine._feed!r}, {engine._broker!r}): {engine.status}"


def html(engine: "Engine") -> str:
    """An engine as a table of its traders under a line of status."""
    status, portfolio = engine.status, engine.portfolio
    head = f"<b>Engine</b> {escape(str(status))}<br>cash {portfolio.cash:,.2f}, equity {portfolio.equity:,.2f}"
    rows = [
        (
            h.name,
            repr(h.strategy),
            "compiled" if h.compiled else "plain Python",
            h.health.state,
            f"{h.health.evaluations:,}",
            f"{h.health.decisions:,}",
        )
        for h in engine.traders[:50]
    ]
    more = f"<div>and {len(engine._traders) - 50} more traders</div>" if len(engine._traders) > 50 else ""
    return (
        f"<div>{head}</div>{table(('trader', 'strategy', 'runs as', 'state', 'evaluations', 'decisions'), rows)}{more}"
    )


def trader_html(handle: "TraderHandle") -> str:
    """A trader with its health; the traceback of a failed one folded away."""
    health = handle.health
    rows = [(name, f"{getattr(health, name):,}") for name in ("evaluations", "decisions", "skipped", "errors")]
    trace = (
        f"<details><summary>{escape(health.message)}</summary><pre>{escape(health.traceback)}</pre></details>"
        if health.message
        else ""
    )
    return (
        f"<div><b>{escape(handle.name)}</b> {escape(repr(handle.strategy))}: "
        f"{health.state}</div>{table(('', ''), rows)}{trace}"
    )


def portfolio_html(portfolio: "Portfolio") -> str:
    """Cash, equity and the positions that are not flat."""
    frame = portfolio.positions
    held = frame.filter(frame["quantity"] != 0).rows()
    rows = [(row[0], row[1], *(f"{x:,.8g}" for x in row[2:])) for row in held]
    head = f"<div><b>Portfolio</b> cash {portfolio.cash:,.2f}, equity {portfolio.equity:,.2f}</div>"
    return head + (table(frame.columns, rows) if rows else "<div>no positions</div>")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A plain HTML table; the notebook's own style applies."""
    top = "".join(f"<th>{escape(h)}</th>" for h in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(x))}</td>" for x in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
