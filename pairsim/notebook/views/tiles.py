"""A row of named numbers: equity, PnL, orders a second, the state of the run."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pairsim.notebook.views import picture, wire
from pairsim.notebook.views.view import Tone, View

if TYPE_CHECKING:
    import polars as pl

Tile = tuple[float | str | None, str, Tone]


class TilesView(View):
    """Named values side by side, in the order they first came.

    A tile is (value, unit, tone). A number is written with as many digits as it needs, a text as it is; the tone
    ``good``, ``bad``, ``warning`` or ``muted`` colours it. A tile with the unit ``"status"`` is a badge; shares (``%``)
    and money (a unit in capitals) have two digits.
    """

    _kind = "tiles"

    def __init__(self, *, title: str = "", stale_after: float = 3.0) -> None:
        self._tiles: dict[str, Tile] = {}
        self._changed: dict[str, None] = {}
        super().__init__(title=title, stale_after=stale_after)

    def update(self, tiles: Mapping[str, Tile]) -> None:
        """Set some tiles: name -> (value, unit, tone)."""
        with self._lock:
            for name, tile in tiles.items():
                # NaN never equals itself: it would count as a change for ever.
                if repr(self._tiles.get(name)) != repr(tile):
                    self._tiles[name] = tile
                    self._changed[name] = None

    def _has_changed(self) -> bool:
        return bool(self._changed)

    def _changes(self) -> tuple[wire.Header, wire.Arrays] | None:
        changed, self._changed = self._changed, {}
        return ({"tiles": self._told(changed)}, {}) if changed else None

    def _whole(self) -> tuple[wire.Header, wire.Arrays]:
        return {"tiles": self._told(self._tiles)}, {}

    def _told(self, names: Mapping[str, object]) -> list[tuple[str, float | str | None, str, Tone]]:
        told = []
        for name in names:
            value, unit, tone = self._tiles[name]
            told.append((name, value if isinstance(value, str) else wire.number(value), unit, tone))
        return told

    def frame(self) -> "pl.DataFrame":
        """Columns ``name``, ``value`` (as text), ``unit``, ``tone``."""
        import polars as pl

        with self._lock:
            rows = [(n, None if v is None else str(v), unit, tone) for n, (v, unit, tone) in self._tiles.items()]
        return pl.DataFrame(rows, schema=dict.fromkeys(("name", "value", "unit", "tone"), pl.String), orient="row")

    def to_svg(self) -> str:
        """The tiles as an SVG picture."""
        with self._lock:
            return picture.tiles([(n, self._text(n), tone) for n, (_, _, tone) in self._tiles.items()])

    def _text(self, name: str) -> str:
        value, unit, _ = self._tiles[name]
        form = ",.2f" if unit == "%" or unit.isupper() else ",.8g"
        text = "–" if value is None else value if isinstance(value, str) else format(value, form)
        return text if unit in ("", "status") else f"{text} {unit}"

    def _summary(self) -> str:
        return ", ".join(f"{name} {self._text(name)}" for name in self._tiles) or "nothing yet"
