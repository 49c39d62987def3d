"""Choosing one of many by name: a drop-down, or, where there are too many to look through, a field that searches."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import ipywidgets

MOST_LISTED: Final = 20


def chooser(label: str, names: Sequence[str], chosen: str, on_choice: Callable[[str], None]) -> "ipywidgets.Widget":
    """A widget that calls ``on_choice`` with another one of ``names``."""
    import ipywidgets

    layout = ipywidgets.Layout(width="280px")
    style = {"description_width": "60px"}
    widget: Any
    if len(names) <= MOST_LISTED:
        widget = ipywidgets.Dropdown(options=list(names), value=chosen, description=label, layout=layout, style=style)
        widget.observe(lambda change: on_choice(change["new"]), "value")
        return widget
    # The field is empty so that its list is whole; what is chosen stands in it as a hint.
    widget = ipywidgets.Combobox(
        options=list(names), placeholder=f"{chosen}  (type to search {len(names)})", description=label,
        layout=layout, style=style, continuous_update=False,
    )  # fmt: skip

    def chose(change: dict[str, Any]) -> None:
        typed = change["new"]
        found = typed if typed in names else _first(names, typed)
        if found is None:
            return
        widget.value, widget.placeholder = "", f"{found}  (type to search {len(names)})"
        on_choice(found)

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
