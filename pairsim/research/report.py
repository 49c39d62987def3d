"""A result as one HTML file: everything inside, plotly's script too, so it opens without a network."""

import os
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pairsim.research.result import Result

_TRADES: Final = 500

_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 14px/1.5 system-ui, sans-serif; max-width: 1200px; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; margin: 1em 0; }
td, th { padding: 2px 12px 2px 0; text-align: right; border-bottom: 1px solid #8884; }
"""


def write_report(result: "Result", path: "str | os.PathLike[str]") -> None:
    """See ``Result.report``."""
    trades = result.trades
    shown = trades.head(_TRADES)
    head = "".join(f"<th>{escape(name)}</th>" for name in shown.columns)
    rows = "".join("<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row) + "</tr>" for row in shown.rows())
    more = f"<p>The first {_TRADES:,} of {len(trades):,} trades.</p>" if len(trades) > _TRADES else ""
    chart = result.plot().to_html(full_html=False, include_plotlyjs=True)
    Path(path).write_text(
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f"<title>pairsim: {escape(result._title[:80])}</title><style>{_STYLE}</style></head>"
        f"<body>{result._repr_html_()}{chart}"
        f"<h2>Trades</h2>{more}<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></body></html>",
        encoding="utf-8",
    )


def _cell(value: object) -> str:
    if value is None:
        return ""
    return escape(f"{value:,.8g}" if isinstance(value, float) else str(value))
