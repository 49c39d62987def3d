"""How pairsim's objects look in a notebook: a card with a title, facts, tables and folded text. Text in, HTML out.

The colours are JupyterLab's own variables with values for pages that have none, so light and dark follow the page. The
style comes with each card: a saved notebook is looked at in places that know nothing of us. A notebook that is not
trusted loses the style and stays readable.
"""

from collections.abc import Iterable, Sequence
from html import escape

STYLE = """<style>
.pairsim-card{font:13px/1.5 var(--jp-ui-font-family,system-ui,sans-serif);color:var(--jp-ui-font-color1,inherit)}
.pairsim-card>header{margin:0 0 4px}.pairsim-card>header b{font-size:14px}
.pairsim-card small,.pairsim-card .muted{color:var(--jp-ui-font-color2,#777)}
.pairsim-card .facts{display:flex;flex-wrap:wrap;gap:2px 22px;margin:2px 0 6px}
.pairsim-card .facts b{font-weight:400;color:var(--jp-ui-font-color2,#777);margin-right:6px}
.pairsim-card .facts span{font-variant-numeric:tabular-nums}
.pairsim-card table{border-collapse:collapse;margin:4px 0;font-size:12px}
.pairsim-card th{font-weight:600;border-bottom:1px solid var(--jp-border-color1,#bbb)}
.pairsim-card td,.pairsim-card th{padding:2px 12px 2px 4px;text-align:right;vertical-align:top}
.pairsim-card td{font-variant-numeric:tabular-nums}
.pairsim-card td.text,.pairsim-card th.text{text-align:left}
.pairsim-card tbody tr:nth-child(even){background:var(--jp-layout-color2,#8881)}
.pairsim-card .good{color:var(--jp-success-color0,#0a7d4b)}.pairsim-card .bad{color:var(--jp-error-color0,#c62828)}
.pairsim-card .warning{color:var(--jp-warn-color0,#b45309)}
.pairsim-card pre{margin:4px 0;padding:6px 8px;background:var(--jp-layout-color2,#8881);overflow:auto;font-size:12px}
.pairsim-card summary{cursor:pointer}
</style>"""

TONES = {
    "running": "good", "active": "good", "finished": "muted", "stopped": "muted", "created": "muted",
    "starting": "muted", "paused": "warning", "reduce_only": "warning", "halted": "warning", "failed": "bad",
}  # fmt: skip


class Html(str):
    """Text that is HTML already."""


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
    texts = [all(not isinstance(row[k], int | float) for row in rows) for k in range(len(head))]
    sides = [" class='text'" if text else "" for text in texts]
    top = "".join(f"<th{side}>{escape(name)}</th>" for side, name in zip(sides, head, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{side}>{_cell(x)}</td>" for side, x in zip(sides, row, strict=True)) + "</tr>"
        for row in rows[:most]
    )
    more = f"<small>and {len(rows) - most:,} more {escape(of)}</small>" if len(rows) > most else ""
    return Html(f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>{more}")


def rounded(rows: Iterable[Sequence[object]], digits: int = 4) -> list[list[object]]:
    """The same rows with so many digits of each number that is no whole one."""
    return [[float(f"{x:.{digits}g}") if isinstance(x, float) else x for x in row] for row in rows]


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


def money(value: float) -> Html:
    """Profit or loss, coloured."""
    return toned(_cell(round(value, 2)), "good" if value > 0 else "bad" if value < 0 else "muted")


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
    return escape(str(value))
