"""A result as one HTML file: everything inside, plotly's script too, so it opens without a network."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pairsim.markup import Number, amount, line, money, page, table
from pairsim.palette import INK_STYLE

if TYPE_CHECKING:
    from pairsim.research.result import Result

_TRADES: Final = 500
_TRADERS: Final = 6  # that are drawn


def write_report(result: "Result", path: "str | os.PathLike[str]") -> None:
    """See ``Result.report``."""
    names = [trader.name for trader in result._simulation.plan.traders]
    charts = [
        result.plot(name).to_html(full_html=False, include_plotlyjs=not k) for k, name in enumerate(names[:_TRADERS])
    ]
    left_out = f"The first {_TRADERS} of {len(names):,} traders are drawn." if len(names) > _TRADERS else ""
    sections = [("", result._repr_html_()), *(("", chart) for chart in charts), ("", line(left_out, "muted"))]
    Path(path).write_text(
        page(result._title[:80], *sections, ("Trades", _trades(result)), style=INK_STYLE), encoding="utf-8"
    )


def _trades(result: "Result") -> str:
    frame = result.trades
    rows = [
        [_cell(name, value) for name, value in zip(frame.columns, row, strict=True)]
        for row in frame.head(_TRADES).rows()
    ]
    more = f"The first {_TRADES:,} of {len(frame):,} trades." if len(frame) > _TRADES else ""
    return line(more, "muted") + table(frame.columns, rows, most=_TRADES)


def _cell(name: str, value: object) -> object:
    if not isinstance(value, float):
        return value
    if name in ("profit", "fees"):
        return money(value) if name == "profit" else amount(value)
    return Number(f"{100 * value:,.2f} %") if name == "profit_share" else float(f"{value:.8g}")
