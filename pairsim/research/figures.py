"""How pairsim's plotly figures look on any page: clear behind, text of the page's own colour, a legend for each row.

Importing this imports plotly: only functions that make a figure do.
"""

from collections.abc import Sequence
from typing import Any, Final

import plotly.graph_objects as go

from pairsim.palette import CLEAR, GRID, INK, INK_STYLE, LINES

_AXIS: Final = {
    "gridcolor": GRID, "zerolinecolor": GRID, "spikecolor": INK, "spikethickness": 1, "title": {"font": {"size": 12}},
}  # fmt: skip
_TEMPLATE: Final = go.layout.Template(
    layout={
        "paper_bgcolor": CLEAR, "plot_bgcolor": CLEAR, "font": {"color": INK, "family": "system-ui, sans-serif"},
        "colorway": LINES, "title": {"x": 0, "xref": "paper", "font": {"size": 15}},
        "xaxis": {**_AXIS, "rangeslider": {"visible": False}}, "yaxis": _AXIS,
        "legend": {"bgcolor": CLEAR}, "modebar": {"bgcolor": CLEAR, "color": INK, "activecolor": LINES[1]},
        # A box over the lines cannot be clear: dark on every page.
        "hoverlabel": {"bgcolor": "#2b2b2b", "bordercolor": INK, "font": {"color": "#f2f2f2"}},
    }
)  # fmt: skip
_UNIT: Final = 100  # pixels of a row of height 1
_GAP: Final = 0.14  # between two rows, in rows of height 1
_MARGIN: Final = {"l": 60, "r": 20, "t": 40, "b": 40}


class Figure(go.Figure):
    """A plotly figure whose text follows the theme of the notebook it is shown in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.update_layout(template=_TEMPLATE, margin=_MARGIN)

    def show(self, *args: Any, **kwargs: Any) -> None:
        """As plotly's."""
        _follow_page()
        super().show(*args, **kwargs)

    def _ipython_display_(self) -> None:
        _follow_page()
        super()._ipython_display_()


def rows_over_time(heights: Sequence[float], title: str = "") -> Figure:
    """A figure of rows over one time axis, of so many times 100 pixels each."""
    figure = Figure()
    figure.set_subplots(
        rows=len(heights), cols=1, shared_xaxes=True, vertical_spacing=_GAP / sum(heights), row_heights=[*heights]
    )
    margin = {**_MARGIN, "t": _MARGIN["t"] if title else 12}
    height = _UNIT * sum(heights) + margin["t"] + margin["b"]
    figure.update_layout(height=height, margin=margin, hovermode="x unified", title=title)
    return figure


def add_legends(figure: Figure) -> Figure:
    """A legend beside each row, which scrolls when it is full; none beside a row of one line that its axis names."""
    for row, axis in enumerate(figure.select_yaxes()):
        name = "" if not row else str(row + 1)
        mine = [trace for trace in figure.data if (trace.yaxis or "y") == f"y{name}"]
        lone = len(mine) == 1 and mine[0].name == axis.title.text
        for trace in mine:
            trace.legend = f"legend{name}"
            trace.showlegend = trace.type != "candlestick" and not lone
        low, high = axis.domain
        place = {"x": 1.01, "y": high, "xanchor": "left", "yanchor": "top", "maxheight": high - low}
        figure.update_layout({f"legend{name}": place})
    return figure


def _follow_page() -> None:
    """Put the style of INK into the notebook: figures come as data, which can bring none along."""
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        return
    if hasattr(get_ipython(), "kernel"):  # no terminal
        display({"text/html": INK_STYLE, "text/plain": ""}, raw=True)
