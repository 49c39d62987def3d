"""The robust region of a sweep: where not one combination is good but its neighbours are as well.

Definition. The neighbours of a combination are those tried whose position on every numeric axis is at most ``reach``
steps away (1 on a grid; a twentieth of the axis, at least 1, in a random search) and equal on axes of symbols and of
booleans; it is one of its own neighbours. Its robustness is the mean of the metric over them, where one without a value
counts as the worst value there is in the table. The plateau is the neighbourhood with the best mean.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from pairsim.errors import InputError
from pairsim.markup import card, line
from pairsim.research.space import Space, Value
from pairsim.research.statistics import shown, table_of

if TYPE_CHECKING:
    import polars as pl

    from pairsim.research.sweep_table import Sweep
    from pairsim.strategies.strategy import Strategy

_DENSE: Final = 20_000_000  # places of a grid that is filled as a whole: 320 MB for a moment
_PAIRS: Final = 1 << 22  # of combinations that are compared at a time
_SHARE: Final = 20


@dataclass(frozen=True)
class Plateau:
    """See the module for the definition.

    Attributes
    ----------
    parameters : the combination in the middle. strategy : ready to be traded.
    ranges : (lowest, highest) value of each axis among the neighbours.
    mean, worst : of the metric over them. members : how many there are. rows : their rows in the sweep.
    """

    parameters: dict[str, Value]
    strategy: "Strategy"
    ranges: dict[str, tuple[Value, Value]]
    metric: str
    mean: float
    worst: float
    rows: tuple[int, ...]
    frame: "pl.DataFrame"

    @property
    def members(self) -> int:
        """Combinations of the region."""
        return len(self.rows)

    def __repr__(self) -> str:
        where = ", ".join(
            f"{name} {a!r} to {b!r}" if a != b else f"{name} {a!r}" for name, (a, b) in self.ranges.items()
        )
        middle = ", ".join(f"{name}={value!r}" for name, value in self.parameters.items())
        return (
            f"plateau: {where} ({self.members} combinations around {middle}): "
            f"{self.metric} mean {shown(self.metric, self.mean)}, worst {shown(self.metric, self.worst)}"
        )

    def _repr_html_(self) -> str:
        rows = self.frame.select(*self.parameters, self.metric)
        where = "".join(f"{name}={value!r} " for name, value in self.parameters.items())
        told = line(repr(self).removeprefix("plateau: "))
        return card("Plateau", told, table_of(rows, most=12), about=f"around {where.strip()}")


def find_plateau(sweep: "Sweep") -> Plateau:
    """The plateau of a sweep.

    Raises
    ------
    InputError
        No combination has the metric.
    """
    from pairsim.research.sweep_table import scores

    values = sweep.values()
    score = scores(values, sweep.metric)
    if not np.isfinite(score).any():
        raise InputError(f"no combination has a {sweep.metric}: there is no plateau")
    filled = np.where(np.isfinite(score), score, score[np.isfinite(score)].min())
    space = sweep._job.space
    axes = {name: _sorted(values) for name, values in space.axes.items()}
    places = [[axes[name].index(value) for value in values] for name, values in space.axes.items()]
    positions = np.stack(
        [np.array(place)[at] for place, at in zip(places, space.positions[sweep._numbers].T, strict=True)], 1
    )
    reach = _reach(space, whole=len(space) == space.whole)
    means = _means(positions, tuple(map(len, axes.values())), filled, reach)
    middle = int(np.where(np.isfinite(score), means, -math.inf).argmax())
    near = np.flatnonzero((np.abs(positions - positions[middle]) <= reach).all(axis=1))
    ranges = {
        name: (axis[int(positions[near, k].min())], axis[int(positions[near, k].max())])
        for k, (name, axis) in enumerate(axes.items())
    }
    sign = -1.0 if scores(np.ones(1), sweep.metric)[0] < 0 else 1.0
    return Plateau(
        sweep.parameters(middle), sweep.strategy(middle), ranges, sweep.metric, sign * float(means[middle]),
        sign * float(filled[near].min()), tuple(near.tolist()), sweep.frame[near.tolist()],
    )  # fmt: skip


def _sorted(values: tuple[Value, ...]) -> list[Value]:
    return sorted(values) if _numeric(values) else list(values)


def _numeric(values: tuple[Value, ...]) -> bool:
    return not any(isinstance(value, str | bool) for value in values)


def _reach(space: Space, whole: bool) -> NDArray[np.int64]:
    """How many steps away a neighbour may be, on each axis."""
    steps = [1 if whole else max(1, len(values) // _SHARE) for values in space.axes.values()]
    return np.array([step if _numeric(v) else 0 for step, v in zip(steps, space.axes.values(), strict=True)])


def _means(
    positions: NDArray[np.int64], shape: tuple[int, ...], values: NDArray[np.float64], reach: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Mean of the values over the neighbours of each combination."""
    if math.prod(shape) > _DENSE:
        return _means_by_pairs(positions, values, reach)
    total, count = np.zeros(shape), np.zeros(shape)
    at = tuple(positions.T)
    total[at], count[at] = values, 1.0
    for axis, steps in enumerate(reach.tolist()):
        if steps:
            total, count = _summed(total, axis, steps), _summed(count, axis, steps)
    return np.asarray(total[at] / count[at])


def _summed(table: NDArray[np.float64], axis: int, steps: int) -> NDArray[np.float64]:
    """The sum over so many steps to either side of each place along an axis."""
    moved = np.moveaxis(table, axis, 0)
    out = moved.copy()
    for step in range(1, min(steps, len(moved) - 1) + 1):
        out[step:] += moved[:-step]
        out[:-step] += moved[step:]
    return np.moveaxis(out, 0, axis)


def _means_by_pairs(
    positions: NDArray[np.int64], values: NDArray[np.float64], reach: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The same where a space has too many places to fill them all: each with each."""
    means, step = np.empty(len(values)), max(1, _PAIRS // len(values))
    for first in range(0, len(values), step):
        mine = positions[first : first + step]
        near = np.ones((len(mine), len(values)), np.bool_)
        for k, steps in enumerate(reach.tolist()):
            near &= np.abs(mine[:, k, None] - positions[None, :, k]) <= steps
        means[first : first + step] = (near @ values) / near.sum(axis=1)
    return means
