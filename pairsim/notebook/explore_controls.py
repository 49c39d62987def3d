"""Controls made from a strategy's declared parameters: a slider where both limits are known, else a field or a box.

Rule: what a control shows is what the strategy gets; limits, types and defaults are the declaration's.
"""

import math
from collections.abc import Callable
from typing import Any, Final

import ipywidgets as widgets

from pairsim.strategies.declaration import Field
from pairsim.strategies.strategy import Strategy, fields_of

__all__ = ["Controls", "control", "slider_step", "slider_value"]

_STEPS: Final = 200  # a slider has at least so many places, on a grid of 1, 2 or 5 times a power of ten
_STYLE: Final = {"description_width": "84px"}


class Controls:
    """A control for each parameter of a strategy.

    Parameters
    ----------
    strategy : whose parameters and present values.
    changed : called without arguments when a user has changed one, in whatever thread the kernel does that.
    """

    def __init__(self, strategy: Strategy, changed: Callable[[], None]) -> None:
        self._first = {name: getattr(strategy, name) for name, field in fields_of(strategy).items() if field.is_param}
        fields = fields_of(strategy)
        self.by_name: dict[str, Any] = {name: control(fields[name], value) for name, value in self._first.items()}
        self._changed, self._silent = changed, False
        for each in self.by_name.values():
            each.observe(self._observed, names="value")
        reset = widgets.Button(description="Reset", tooltip="back to the values at the start", disabled=not self._first)
        reset.layout.width = "auto"
        reset.on_click(lambda _: self.reset())
        self.box = widgets.VBox([*self.by_name.values(), reset])

    def values(self) -> dict[str, Any]:
        """The present values by name."""
        return {name: slider_value(each.value) for name, each in self.by_name.items()}

    def reset(self) -> None:
        """Back to the first values, as one change."""
        self._silent = True
        try:
            for name, value in self._first.items():
                self.by_name[name].value = value
        finally:
            self._silent = False
        self._changed()

    def _observed(self, _: object) -> None:
        if not self._silent:
            self._changed()


def control(field: Field[Any], value: Any) -> Any:
    """What one parameter is changed with, standing at a value."""
    layout = widgets.Layout(width="auto")
    shared = {"value": value, "description": field.name, "style": _STYLE, "layout": layout, "tooltip": repr(field)}
    if field.kind is bool:
        return widgets.Checkbox(**{**shared, "indent": True})
    if field.low is None or field.high is None:
        return (widgets.IntText if field.kind is int else widgets.FloatText)(**shared)
    if field.kind is int:
        return widgets.IntSlider(min=field.low, max=field.high, **shared)
    step = slider_step(field.low, field.high)
    low = field.low + step if field.above_low else field.low
    digits = max(0, -math.floor(math.log10(step)))
    return widgets.FloatSlider(min=min(low, value), max=field.high, step=step, readout_format=f".{digits}f", **shared)


def slider_value(value: Any) -> Any:
    """What a page has sent. It counts steps from the lowest value, and 0.25 comes back as 0.24999999999999997."""
    return float(f"{value:.12g}") if isinstance(value, float) else value


def slider_step(low: float, high: float) -> float:
    """The largest of 1, 2 or 5 times a power of ten that makes 200 steps or more of a range; 1 where there is none."""
    span = (high - low) / _STEPS
    if not span > 0.0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(span))
    return float(max(factor * power for factor in (1.0, 2.0, 5.0) if factor * power <= span * (1.0 + 1e-9)))
