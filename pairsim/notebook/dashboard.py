"""A live dashboard of an engine, and its panels one by one.

Rule: any number of them may look at one engine, opened and closed at any time, without it noticing.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ipywidgets

from pairsim.engine.cells import when_rerun
from pairsim.errors import InputError
from pairsim.notebook import panels
from pairsim.notebook.candles_panel import CandlesPanel
from pairsim.notebook.controls import ControlsPanel
from pairsim.notebook.orders_panel import OrdersPanel
from pairsim.notebook.panels import ViewPanel
from pairsim.notebook.source import Panel, Source
from pairsim.notebook.views import View

if TYPE_CHECKING:
    from pairsim.engine.engine import Engine
    from pairsim.market.interval import Interval

GAP: Final = "8px"  # between parts


class Views:
    """Panels of an engine one by one, ``engine.view``: each streams by itself; ``close()`` ends it.

    All but the controls save what they show: ``to_csv(path)`` and ``to_parquet(path)`` its data, ``to_png(path)`` its
    picture as the page has it, ``to_svg()`` one that needs no page; ``frame()`` is the data as polars has it.
    """

    def __init__(self, engine: "Engine") -> None:
        self.source = Source(engine)

    def summary(self) -> Any:
        """State, equity, PnL, cash, rates and counts."""
        return self._shown(panels.SummaryPanel(self.source))

    def equity(self) -> Any:
        """Equity of the account over feed time."""
        return self._shown(panels.EquityPanel(self.source))

    def pnl(self) -> Any:
        """PnL in total and of each trader, after fees."""
        return self._shown(panels.PnlPanel(self.source))

    def candles(self, market: str | None = None, every: "Interval | None" = None) -> Any:
        """Candles of a market with fills and the indicators of its traders; the first market unless given."""
        return self._shown(CandlesPanel(self.source, market, every))

    def positions(self) -> Any:
        """What each trader holds."""
        return self._shown(panels.PositionsPanel(self.source))

    def orders(self) -> Any:
        """The last orders; a row that is opened tells its story."""
        return self._shown(OrdersPanel(self.source))

    def channels(self) -> Any:
        """How full the channels between the processes are."""
        return self._shown(panels.ChannelsPanel(self.source))

    def latency(self) -> Any:
        """How long orders take."""
        return self._shown(panels.LatencyPanel(self.source))

    def health(self) -> Any:
        """How each trader is, with the traceback of one that failed."""
        return self._shown(panels.HealthPanel(self.source))

    def controls(self) -> Any:
        """Buttons and sliders."""
        return self._shown(ControlsPanel(self.source))

    def _shown(self, panel: Any) -> Any:
        self.source.add(panel)
        when_rerun(lambda: self._close(panel))
        return panel.widget

    def _close(self, panel: Any) -> None:
        self.source.remove(panel)
        close_all(panel.widget)

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.startswith("_")]


class Dashboard(ipywidgets.VBox):
    """Everything of one engine in a cell, live. Made by ``engine.dashboard()``.

    Closing it, or the page, never touches trading; asking for it again shows it whole.

    Attributes
    ----------
    views : its views by name: summary, equity, pnl, candles, orders, positions, health, channels, latency. Each saves
        what it shows, as those of ``engine.view`` do.
    """

    def __init__(self, source: Source, market: str | None = None) -> None:
        self._source = source
        self.panels: dict[str, Any] = {
            "summary": panels.SummaryPanel(source),
            "equity": panels.EquityPanel(source),
            "pnl": panels.PnlPanel(source),
            "candles": CandlesPanel(source, market),
            "orders": OrdersPanel(source),
            "positions": panels.PositionsPanel(source),
            "health": panels.HealthPanel(source),
            "channels": panels.ChannelsPanel(source),
            "latency": panels.LatencyPanel(source),
            "controls": ControlsPanel(source),
        }
        w = {name: panel.widget for name, panel in self.panels.items()}
        columns = "repeat(auto-fit, minmax(min(420px, 100%), 1fr))"  # side by side where there is room
        charts = ipywidgets.GridBox(
            [w["equity"], w["pnl"]],
            layout=ipywidgets.Layout(grid_template_columns=columns, width="100%", grid_gap=GAP),
        )
        self.tabs = ipywidgets.Tab(
            [w["orders"], w["positions"], w["health"], _below(w["channels"], w["latency"])],
            titles=["Orders", "Positions", "Traders", "Channels"],
        )
        parts = [w["summary"], w["controls"], charts, w["candles"], self.tabs]
        super().__init__(parts, layout=ipywidgets.Layout(grid_gap=GAP))
        self.add_class("pairsim-dashboard")
        for panel in self.panels.values():
            if isinstance(panel, ViewPanel):
                panel.alone = False  # the controls say it, and say it once
            source.add(panel)

    @property
    def views(self) -> dict[str, View]:
        return {name: panel.view for name, panel in self.panels.items() if isinstance(panel, ViewPanel)}

    def to_csv(self, folder: str | Path) -> None:
        """Write the data of each view to a CSV file of its name in a folder, which is made if need be."""
        self._save(folder, "csv", View.to_csv)

    def to_parquet(self, folder: str | Path) -> None:
        """Write the data of each view to a Parquet file of its name in a folder, which is made if need be."""
        self._save(folder, "parquet", View.to_parquet)

    def to_png(self, folder: str | Path) -> None:
        """Ask the page for a picture of each view, into a folder that is made if need be; see ``View.to_png``.

        Views in tabs that are not open have no picture.
        """
        self._save(folder, "png", View.to_png)

    def _save(self, folder: str | Path, suffix: str, save: Callable[[View, Path], None]) -> None:
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        for name, view in self.views.items():
            save(view, target / f"{name}.{suffix}")

    def close(self) -> None:
        """Take it away; the run goes on."""
        for panel in self.panels.values():
            self._source.remove(panel)
        close_all(*self.children, self.layout)
        super().close()


def open_dashboard(engine: "Engine", market: str | None = None) -> Dashboard:
    """See ``Engine.dashboard``."""
    made = Dashboard(source_of(engine), market)
    when_rerun(made.close)
    return made


def source_of(engine: "Engine") -> Source:
    """The one source of an engine."""
    return views_of(engine).source


def views_of(engine: "Engine") -> Views:
    """See ``Engine.view``."""
    if engine._views is None:
        engine._views = Views(engine)
    views: Views = engine._views
    return views


def dashboard(run: "Engine", market: str | None = None) -> Dashboard:
    """A live dashboard of a run, started or not, running or ended.

    Parameters
    ----------
    run : an `Engine`.
    market : whose candles are shown first; the first one of the engine unless given.
    """
    from pairsim.engine.engine import Engine

    if not isinstance(run, Engine):
        raise InputError(f"dashboard({type(run).__name__}): give it an Engine; a Result shows itself by result.plot()")
    return open_dashboard(run, market)


def _below(*widgets: Any) -> Any:
    return ipywidgets.VBox(widgets, layout=ipywidgets.Layout(grid_gap=GAP))


def close_all(*widgets: Any) -> None:
    """Close widgets and what they hold, here and in every page; layouts and styles are widgets that nobody closes."""
    for widget in widgets:
        parts = [getattr(widget, name, None) for name in ("layout", "style")]
        close_all(*getattr(widget, "children", ()), *(part for part in parts if part is not None))
        widget.close()


__all__ = ["Dashboard", "Panel", "Views", "dashboard", "open_dashboard", "views_of"]
