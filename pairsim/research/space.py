"""A parameter space: which values each axis takes, and which of their combinations are tried.

Rule: everything that can be wrong with a space is found here, before anything runs. Combinations are a table of
positions on the axes, the last axis fastest, so the same space and seed give the same table in any process.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pairsim.errors import InputError, StrategyError
from pairsim.strategies.strategy import Strategy, fields_of

Value = float | int | bool | str
Positions = NDArray[np.int32]

SYMBOL: Final = "symbol"
"""The axis that is no parameter: each market alone, on an account of its own."""

_MOST: Final = 1 << 31


@dataclass(frozen=True)
class Space:
    """Axes with their values, and the combinations to try.

    Attributes
    ----------
    axes : name -> values, as the strategy holds them.
    positions : int32[combinations, axes], which value of each axis.
    whole : how many combinations the axes have, tried or not.
    """

    axes: dict[str, tuple[Value, ...]]
    positions: Positions
    whole: int

    def __len__(self) -> int:
        return len(self.positions)

    def values(self, k: int) -> dict[str, Value]:
        """The values of a combination by name."""
        return {name: values[at] for (name, values), at in zip(self.axes.items(), self.positions[k], strict=True)}


def make_space(
    strategy: Strategy,
    space: Mapping[str, Any],
    symbols: Sequence[str],
    search: str,
    n: int | None,
    seed: int,
    constraint: Callable[[Any], bool] | None,
    most: int,
) -> Space:
    """The combinations of a space.

    Parameters
    ----------
    space : name of a parameter (or ``symbol``) -> its values, anything one can iterate over, or one value.
    search : "grid" for all, "random" for ``n`` different ones drawn by ``seed``.
    constraint : called with each combination (``p.fast < p.slow``); only those it is true of are tried.
    most : how many combinations may be listed.

    Raises
    ------
    InputError
        Empty, an unknown name, a value twice, too many combinations; the message names them.
    StrategyError
        A value that the parameter does not take.
    """
    if constraint is not None and not callable(constraint):
        raise InputError(f"constraint={constraint!r} must be a function of a combination: lambda p: p.fast < p.slow")
    axes = _axes(strategy, space, symbols)
    whole = math.prod(len(values) for values in axes.values())
    if search == "grid":
        if n is not None:
            raise InputError(f'n={n!r} goes with search="random"; a grid has all of its {whole:,} combinations')
        _check_size(axes, whole, most, 'take fewer values, or search="random" with n=')
        positions = _unravel(np.arange(whole), axes)
        positions = positions if constraint is None else positions[_fits(axes, positions, constraint)]
    elif search == "random":
        positions = _drawn(axes, whole, n, seed, constraint, most)
    else:
        raise InputError(f'search={search!r} must be "grid" or "random"')
    if not len(positions):
        raise InputError(f"constraint={constraint!r} is true of none of the {whole:,} combinations; loosen it")
    return Space(axes, positions, whole)


def _axes(strategy: Strategy, space: Mapping[str, Any], symbols: Sequence[str]) -> dict[str, tuple[Value, ...]]:
    owner = type(strategy).__name__
    known = [name for name, field in fields_of(strategy).items() if field.is_param]
    if not isinstance(space, Mapping):
        raise InputError(f"space={space!r} must map names of parameters to values: {{'{(known or ['period'])[0]}': …}}")
    if not space:
        raise InputError(
            f"space has no axis; give values for parameters of {owner}: {', '.join(known) or 'it has none'}"
        )
    axes: dict[str, tuple[Value, ...]] = {}
    for name, given in space.items():
        if name in known:
            values = tuple(_checked(strategy, name, value) for value in _listed(given))
        elif name == SYMBOL:
            values = _symbols(given, symbols, strategy)
        else:
            field = fields_of(strategy).get(name)
            what = "is a state, not a parameter" if field is not None else "is no parameter"
            raise InputError(
                f"space[{name!r}] {what} of {owner}, which has: {', '.join(known) or 'none'} (and {SYMBOL})"
            )
        if not values:
            raise InputError(f"space[{name!r}] has no values; give at least one, or leave the axis out")
        seen: set[Value] = set()
        for value in values:
            if value in seen:
                raise InputError(f"space[{name!r}] has {value!r} twice: each combination is one trial, give it once")
            seen.add(value)
        axes[name] = values
    return axes


def _listed(given: Any) -> list[Any]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        return [given]
    return list(given)


def _checked(strategy: Strategy, name: str, value: Any) -> Value:
    try:
        checked: Value = fields_of(strategy)[name].checked(value)
    except StrategyError as error:
        raise StrategyError(f"space[{name!r}]: {error}") from None
    return checked


def _symbols(given: Any, symbols: Sequence[str], strategy: Strategy) -> tuple[Value, ...]:
    if strategy.markets != 1:
        raise InputError(f"space[{SYMBOL!r}]: {type(strategy).__name__} trades {strategy.markets} markets at once")
    values = tuple(_listed(given))
    known = set(symbols)
    for value in values:
        if value not in known:
            raise InputError(f"space[{SYMBOL!r}]: bars has no {value!r}, it has {', '.join(map(repr, symbols[:8]))}")
    return values


def _check_size(axes: dict[str, tuple[Value, ...]], count: int, most: int, advice: str) -> None:
    if count > min(most, _MOST):
        shape = " × ".join(f"{len(values):,} of {name}" for name, values in axes.items())
        raise InputError(f"space has {count:,} combinations ({shape}), {min(most, _MOST):,} fit into memory=; {advice}")


def _drawn(
    axes: dict[str, tuple[Value, ...]],
    whole: int,
    n: int | None,
    seed: int,
    constraint: Callable[[Any], bool] | None,
    most: int,
) -> Positions:
    """``n`` different combinations, in the order of the grid."""
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise InputError(f'search="random" needs n=, how many combinations to try, at least 1; got n={n!r}')
    _check_size(axes, min(n, whole), most, "take a smaller n")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise InputError(f"seed={seed!r} must be a whole number from 0 on")
    random = np.random.default_rng(seed)
    tried: set[int] = set()
    kept: list[int] = []
    while len(kept) < n and len(tried) < whole:
        if 2 * (len(tried) + n) > whole:  # more than half of them: shuffle all instead of drawing again and again
            fresh = [k for k in random.permutation(whole).tolist() if k not in tried]
        else:
            fresh = [k for k in dict.fromkeys(random.integers(0, whole, n).tolist()) if k not in tried]
        tried.update(fresh)
        if constraint is not None and fresh:
            fits = _fits(axes, _unravel(np.array(fresh), axes), constraint)
            fresh = [k for k, fit in zip(fresh, fits.tolist(), strict=True) if fit]
        kept += fresh
        if constraint is not None and not kept and len(tried) > 1_000_000:
            raise InputError(
                f"constraint={constraint!r} is true of none of {len(tried):,} combinations drawn; loosen it"
            )
    return _unravel(np.sort(np.array(kept[:n], np.int64)), axes)


def _unravel(numbers: NDArray[np.int64], axes: dict[str, tuple[Value, ...]]) -> Positions:
    shape = tuple(len(values) for values in axes.values())
    return np.stack(np.unravel_index(numbers, shape), axis=1).astype(np.int32)


def _fits(
    axes: dict[str, tuple[Value, ...]], positions: Positions, constraint: Callable[[Any], bool]
) -> NDArray[np.bool_]:
    columns = list(axes.values())
    fits = np.zeros(len(positions), np.bool_)
    shown = SimpleNamespace()
    for k, row in enumerate(positions.tolist()):
        shown.__dict__.update(zip(axes, (values[at] for values, at in zip(columns, row, strict=True)), strict=True))
        try:
            fits[k] = bool(constraint(shown))
        except Exception as error:
            values = ", ".join(f"{name}={value!r}" for name, value in shown.__dict__.items())
            raise InputError(f"constraint raised {type(error).__name__} at {values}: {error}") from error
    return fits
