"""A sweep over two axes as a plotly figure, readable on white and on black. plotly is imported when one is made."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pairsim.errors import InputError
from pairsim.palette import SELL

if TYPE_CHECKING:
    from pairsim.research.figures import Figure
    from pairsim.research.sweep_table import Sweep

_OTHERS: Final = {"best": np.fmax, "worst": np.fmin, "mean": None}
_AXIS: Final = {True: "linear", False: "category"}


def heatmap(sweep: "Sweep", x: str, y: str, metric: str | None, others: str) -> "Figure":
    """See ``Sweep.heatmap``."""
    from pairsim.research.figures import Figure
    from pairsim.research.sweep_table import scores

    space, name = sweep._job.space, metric or sweep.metric
    for axis in (x, y):
        if axis not in space.axes:
            raise InputError(f"axis {axis!r} is none of this sweep, which has: {', '.join(space.axes)}")
    if x == y:
        raise InputError(f"x and y are both {x!r}; a heatmap has two axes")
    if others not in _OTHERS:
        raise InputError(f'others={others!r} must be "best", "mean" or "worst"')
    values = sweep.values(name)
    sign = -1.0 if scores(np.ones(1), name)[0] < 0 else 1.0
    shown = _gathered(sweep, x, y, sign * values, others) * sign
    chart: Any = Figure()
    labels = {axis: [str(value) for value in space.axes[axis]] for axis in (x, y)}
    numeric = {axis: not any(isinstance(value, str | bool) for value in space.axes[axis]) for axis in (x, y)}
    numeric = {axis: numeric[axis] and _even(space.axes[axis]) for axis in (x, y)}  # else cells of unequal size
    at = {axis: list(space.axes[axis]) if numeric[axis] else labels[axis] for axis in (x, y)}
    chart.add_heatmap(
        x=at[x], y=at[y], z=shown, colorscale="Cividis", reversescale=sign < 0, colorbar={"title": {"text": name}},
        hovertemplate=f"{x} %{{x}}<br>{y} %{{y}}<br>{name} %{{z:.4g}}<extra></extra>",
    )  # fmt: skip
    if np.isfinite(scores(values, name)).any():
        winner = sweep.parameters(int(scores(values, name).argmax()))
        spot = [winner[axis] if numeric[axis] else str(winner[axis]) for axis in (x, y)]
        chart.add_scatter(
            x=[spot[0]], y=[spot[1]], mode="markers", name="best", hoverinfo="skip",
            marker={"symbol": "circle-open", "size": 14, "color": SELL, "line": {"width": 3}},
        )  # fmt: skip
    more = [axis for axis in space.axes if axis not in (x, y)]
    chart.update_layout(
        title=f"{name}" + (f", {others} over {', '.join(more)}" if more else ""), showlegend=False,
        margin={"t": 50, "b": 50},
        xaxis={"title": {"text": x}, "showgrid": False, "zeroline": False, "type": _AXIS[numeric[x]]},
        yaxis={"title": {"text": y}, "showgrid": False, "zeroline": False, "type": _AXIS[numeric[y]]},
    )  # fmt: skip
    return chart


def _even(values: Sequence[Any]) -> bool:
    """Whether the values of an axis are equally far apart."""
    steps = np.diff(np.sort(np.array(values, np.float64)))
    return bool(np.allclose(steps, steps[:1]))


def _gathered(sweep: "Sweep", x: str, y: str, values: np.ndarray, others: str) -> np.ndarray:
    """float64[values of y, values of x], NaN where nothing was tried or nothing has a value; more is better."""
    space = sweep._job.space
    names = list(space.axes)
    columns, rows = (space.positions[sweep._numbers, names.index(axis)] for axis in (x, y))
    shape = len(space.axes[y]), len(space.axes[x])
    defined = np.isfinite(values)
    at, kept = (rows[defined], columns[defined]), values[defined]
    reduce = _OTHERS[others]
    if reduce is not None:
        out = np.full(shape, np.nan)
        reduce.at(out, at, kept)
        return out
    total, count = np.zeros(shape), np.zeros(shape)
    np.add.at(total, at, kept)
    np.add.at(count, at, 1.0)
    return np.divide(total, count, out=np.full(shape, np.nan), where=count > 0)
