"""Choosing one of many by name: a drop-down, or, where there are too many to look through, a field that searches."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ipywidgets

if TYPE_CHECKING:
    import polars as pl

    from pairsim.notebook.views import View

MOST_LISTED: Final = 20


class Chosen(ipywidgets.VBox):
    """A view under the field that chooses what it shows; it saves what the view does.

    Attributes
    ----------
    view : the view alone.
    """

    def __init__(self, field: ipywidgets.Widget, view: "View") -> None:
        self.view = view
        super().__init__([field, view])

    def frame(self) -> "pl.DataFrame":
        """The data on view, see the view's own ``frame``."""
        return self.view.frame()

    def to_csv(self, path: str | Path) -> None:
        """Write the data on view to a CSV file."""
        self.view.to_csv(path)

    def to_parquet(self, path: str | Path) -> None:
        """Write the data on view to a Parquet file."""
        self.view.to_parquet(path)

    def to_png(self, path: str | Path) -> None:
        """Ask the page for a picture of the view; see ``View.to_png`` for when the file is written."""
        self.view.to_png(path)

    def to_svg(self) -> str:
        """A picture of the data on view, made without a page."""
        return self.view.to_svg()


def chooser(label: str, names: Sequence[str], chosen: str, on_choice: Callable[[str], None]) -> ipywidgets.Widget:
    """A widget that calls ``on_choice`` with another one of ``names``."""
    listed = len(names) <= MOST_LISTED
    layout = ipywidgets.Layout(width="230px" if listed else "360px", max_width="100%")
    shared = {"options": list(names), "description": label, "layout": layout, "style": {"description_width": "initial"}}
    widget: Any
    if listed:
        widget = ipywidgets.Dropdown(value=chosen, **shared)
        widget.add_class("pairsim-chooser")
        widget.observe(lambda change: on_choice(change["new"]), "value")
        return widget
    # The field is empty so that its list is whole; what is chosen stands in it as a hint, written like a value.
    hint = f"{chosen}  (type to search {len(names)})"
    widget = ipywidgets.Combobox(placeholder=hint, continuous_update=False, **shared)

    def chose(change: dict[str, Any]) -> None:
        typed = change["new"]
        found = typed if typed in names else _first(names, typed)
        if found is None:
            return
        widget.value, widget.placeholder = "", f"{found}  (type to search {len(names)})"
        on_choice(found)

    widget.add_class("pairsim-chooser")
    widget.observe(chose, "value")
    return widget


def _first(names: Sequence[str], typed: str) -> str | None:
    """The first name that begins with what was typed, else that holds it."""
    if not typed.strip():
        return None
    low = typed.strip().lower()
    for found in ([n for n in names if n.lower().startswith(low)], [n for n in names if low in n.lower()]):
        if found:
            return found[0]
    return None
