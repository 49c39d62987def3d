"""How pairsim's objects look in a notebook: a card with a title, facts, tables and folded text. Text in, HTML out.

Text is of JupyterLab's own colour, or the page's; the other colours have a contrast of 4.5:1 and more and are chosen by
the theme of JupyterLab or VS Code, or, on a page of our own, by the reader's system. The style comes with each card: a
saved notebook is looked at in places that know nothing of us. One that is not trusted loses it and stays readable.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape

_DARK = "--card-soft:#b0b0b0;--card-good:#5cc98f;--card-bad:#ff8a80;--card-warning:#ffb74d"
STYLE = (
    """<style>
.pairsim-card{font:13px/1.5 var(--jp-ui-font-family,system-ui,sans-serif);color:var(--jp-ui-font-color1,inherit);
--card-soft:#666;--card-good:#08693f;--card-bad:#b71c1c;--card-warning:#9a4a00}
[data-jp-theme-light=false] .pairsim-card,.vscode-dark .pairsim-card{"""
    + _DARK
    + """}
.pairsim-card>header{margin:0 0 4px}.pairsim-card>header b{font-size:14px}
.pairsim-card small,.pairsim-card .muted{color:var(--card-soft)}
.pairsim-card .facts{display:flex;flex-wrap:wrap;gap:2px 22px;margin:2px 0 6px}
.pairsim-card .facts b{font-weight:400;color:var(--card-soft);margin-right:6px}
.pairsim-card .facts span{font-variant-numeric:tabular-nums}
.pairsim-card table{border-collapse:collapse;margin:4px 0;font-size:12px}
.pairsim-card th{font-weight:600;border-bottom:1px solid var(--jp-border-color1,#8888)}
.pairsim-card td,.pairsim-card th{padding:2px 12px 2px 4px;text-align:right;vertical-align:top;white-space:nowrap}
.pairsim-card th{vertical-align:bottom;white-space:normal}
.pairsim-card td{font-variant-numeric:tabular-nums}
.pairsim-card td.text,.pairsim-card th.text{text-align:left}
.pairsim-card td.long{white-space:normal}
.pairsim-card tbody tr:nth-child(even){background:#8881}
.pairsim-card .good{color:var(--card-good)}.pairsim-card .bad{color:var(--card-bad)}
.pairsim-card .warning{color:var(--card-warning)}
.pairsim-card pre{margin:4px 0;padding:6px 8px;background:#8881;overflow:auto;font-size:12px}
.pairsim-card summary{cursor:pointer}
</style>"""
)

_PAGE_STYLE = (
    """<style>
:root{color-scheme:light dark}
body{font:14px/1.5 system-ui,sans-serif;max-width:1200px;margin:2em auto;padding:0 1em}
h1{margin-bottom:0}h2{margin:1.6em 0 .2em}section{overflow-x:auto}
@media (prefers-color-scheme:dark){.pairsim-page .pairsim-card{"""
    + _DARK
    + "}}</style>"
)

TONES = {
    "running": "good", "active": "good", "finished": "muted", "stopped": "muted", "created": "muted",
    "starting": "muted", "paused": "warning", "reduce_only": "warning", "halted": "warning", "failed": "bad",
}  # fmt: skip


_LONG = 40  # characters; what is shorter, such as a date, is never broken over lines


class Html(str):
    """Text that is HTML already."""


class Number(Html):
    """A number that is text already: it stands where numbers stand."""


def page(title: str, *sections: tuple[str, str], style: str = "") -> str:
    """A page of our own that needs nothing else, light or dark as the reader's system is.

    ``sections``: heading, which may be empty, and HTML. ``style``: more than that of cards.
    """
    body = "".join(f"<section>{f'<h2>{escape(name)}</h2>' if name else ''}{part}</section>" for name, part in sections)
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>pairsim: {escape(title)}</title>"
        f"{_PAGE_STYLE}{STYLE}{style}</head><body class='pairsim-page'><main class='pairsim-card'>{body}</main>"
        "</body></html>"
    )


def card(title: str, *parts: str, about: str = "") -> str:
    """A titled block; ``parts`` are what the functions below return."""
    said = f" <small>{escape(about)}</small>" if about else ""
    return f"{STYLE}<div class='pairsim-card'><header><b>{escape(title)}</b>{said}</header>{''.join(parts)}</div>"


def facts(*pairs: tuple[str, object]) -> Html:
    """Names and values side by side."""
    told = "".join(f"<div><b>{escape(name)}</b><span>{_cell(value)}</span></div>" for name, value in pairs)
    return Html(f"<div class='facts'>{told}</div>")


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, most: int = 50, of: str = "rows") -> Html:
    """A table of at most so many rows; says how many are left out. Numbers stand to the right, text to the left."""
    rows = list(rows)
    sides = [_side([row[k] for row in rows]) for k in range(len(head))]
    names = [escape(name).replace("_", "_<wbr>") for name in head]
    top = "".join(f"<th{side}>{name}</th>" for side, name in zip(sides, names, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{side}>{_cell(x)}</td>" for side, x in zip(sides, row, strict=True)) + "</tr>"
        for row in rows[:most]
    )
    more = f"<small>and {len(rows) - most:,} more {escape(of)}</small>" if len(rows) > most else ""
    return Html(f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>{more}")


def folded(summary: str, text: str, *, tone: str = "") -> Html:
    """A long text, such as a traceback, behind a line."""
    inside = f"<span class='{tone}'>{escape(summary)}</span>" if tone else escape(summary)
    return Html(f"<details><summary>{inside}</summary><pre>{escape(text)}</pre></details>")


def line(text: str, tone: str = "") -> Html:
    """A line of text."""
    return Html(f"<div class='{tone}'>{escape(text)}</div>")


def toned(text: object, tone: str = "") -> Html:
    """A word in the colour of what it says: a state, or a number above or below zero by ``tone``."""
    chosen = tone or TONES.get(str(text), "")
    return Html(f"<span class='{chosen}'>{escape(str(text))}</span>")


def money(value: float) -> Number:
    """Profit or loss, coloured."""
    cents = round(value, 2) + 0.0  # no minus before zero
    tone = "good" if cents > 0 else "bad" if cents < 0 else "muted"
    return Number(f"<span class='{tone}'>{amount(cents)}</span>")


def amount(value: float) -> Number:
    """An amount of the quote currency."""
    return Number(f"{value:,.2f}" if value == value else "–")


def _side(column: Sequence[object]) -> str:
    """How the cells of a column stand."""
    if any(isinstance(x, int | float | Number) for x in column):
        return ""
    long = any(len(str(x)) > _LONG for x in column if not isinstance(x, Html))
    return f" class='text{' long' if long else ''}'"


def _cell(value: object) -> str:
    if isinstance(value, Html):
        return value
    if value is None or value != value:
        return "–"
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.10g}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}" if not value.second else f"{value:%Y-%m-%d %H:%M:%S}"
    return escape(str(value))
