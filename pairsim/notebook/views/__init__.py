"""Live views of a notebook page: lines, candles, tables and tiles that stream. They know nothing of engines."""

from pairsim.notebook.views.candle import CandleView
from pairsim.notebook.views.line import LineView
from pairsim.notebook.views.table import Column, TableView
from pairsim.notebook.views.tiles import TilesView
from pairsim.notebook.views.view import View, together

__all__ = ["CandleView", "Column", "LineView", "TableView", "TilesView", "View", "together"]
