"""What an indicator is: a small immutable description with which backtest and live worker compute the same numbers.

The rule: an indicator is its class and its parameters, nothing else. Two of the same are equal, so a sweep computes
each distinct one once; all that changes from candle to candle lives in the caller's memory (state and window).
"""

import inspect
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, dataclass_transform

import numpy as np

from pairsim.errors import InputError
from pairsim.indicators.abi import COLUMNS, LONGEST, FloatArray

if TYPE_CHECKING:
    import polars as pl

    from pairsim.indicators.own_step import OwnStep

__all__ = ["Indicator", "PythonStep"]

_KINDS: dict[Any, type] = {kind: kind for kind in (int, float, bool, str)} | {
    kind.__name__: kind
    for kind in (int, float, bool, str)  # with `from __future__ import annotations`
}


class PythonStep(Protocol):
    """A step as a plain Python function under the same arguments, see `abi`."""

    error: Exception | None
    """What the user's code raised last."""

    def __call__(self, index: int, constants: int, state: int, window: int, candle: int, out: int) -> int: ...


@dataclass_transform(frozen_default=True)
class Indicator:
    """Base of all indicators, and what a user's own indicator derives from.

    Annotated attributes are its parameters, as in a dataclass: int, float or bool. A method ``step`` is called with
    every closed candle and returns a number, or a tuple of as many as there are `fields`; None or NaN where there is no
    value. It is compiled where numba can, and what it gives in a backtest it gives live, bit for bit. What it remembers
    stands in `state`, and earlier candles in a `lookback`; anything else would be lost when a worker dies.

    Attributes
    ----------
    fields : tuple of str
        Names of the outputs; a single output is called ``value``.
    state : mapping of names to int, float or bool
        What a step may change, with the values before the first candle.
    lookback : int
        How many candles, the present one included, ``step(self, state, candle, past)`` is given in ``past.close`` and
        the other columns; it is first called when there are so many. May be a property.
    warmup : int
        Candles until the first value; `lookback` unless it says otherwise.
    limits : mapping of names to (smallest, largest)
        Of the parameters that have them.

    Examples
    --------
    >>> import numpy as np
    >>> class Momentum(Indicator):
    ...     period: int = 10
    ...     lookback = property(lambda self: self.period + 1)
    ...     def step(self, state, candle, past):
    ...         return candle.close / past.close[0] - 1.0
    >>> class Smooth(Indicator):
    ...     weight: float = 0.5
    ...     state = {"average": 0.0, "begun": False}
    ...     def step(self, state, candle):
    ...         if not state.begun:
    ...             state.begun, state.average = True, candle.close
    ...         state.average += self.weight * (candle.close - state.average)
    ...         return state.average
    >>> candles = dict.fromkeys(["open", "high", "low", "close", "volume"], np.array([1.0, 3.0, 2.0]))
    >>> Smooth(0.5).compute(candles)[:, 0]
    array([1., 2., 2.])
    """

    fields: ClassVar[tuple[str, ...]] = ("value",)
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {}
    state: ClassVar[Mapping[str, int | float | bool]] = {}

    def __init_subclass__(cls) -> None:
        """Make the subclass a frozen dataclass, so that a user writes no decorator."""
        super().__init_subclass__()
        for name, kind in inspect.get_annotations(cls).items():
            if kind not in _KINDS and "ClassVar" not in str(kind):
                raise InputError(
                    f"{cls.__name__}.{name}: a parameter is int, float or bool, not {kind!r}; "
                    "what is not a parameter is written without an annotation"
                )
        dataclass(frozen=True, repr=False)(cls)

    def __post_init__(self) -> None:
        for parameter in dataclass_fields(self):  # type: ignore[arg-type]
            value = self._checked(parameter.name, _KINDS[parameter.type], getattr(self, parameter.name))
            object.__setattr__(self, parameter.name, value)

    def __repr__(self) -> str:
        shown = []
        for parameter in dataclass_fields(self):  # type: ignore[arg-type]
            value = getattr(self, parameter.name)
            if not isinstance(value, str):
                shown.append(repr(value))
            elif value != parameter.default:
                shown.append(f"{parameter.name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"

    def _checked(self, name: str, kind: type, value: object) -> int | float | bool | str:
        """The parameter as a plain Python value of its type, inside its limits."""
        where = f"{type(self).__name__}: {name} = {value!r}"
        if kind is bool:
            if not isinstance(value, bool | np.bool_):
                raise InputError(f"{where} must be True or False")
            return bool(value)
        if kind is str:
            if value not in COLUMNS:
                raise InputError(f"{where} must be a column of a candle: {', '.join(COLUMNS)}")
            return str(value)
        low, high = self.limits.get(name, (-math.inf, math.inf))
        among = "" if low == -math.inf else f" from {low:,} to {high:,}"
        if isinstance(value, bool | np.bool_):
            raise InputError(f"{where} must be a number{among}")
        number: int | float
        if kind is int and isinstance(value, Integral):
            number = int(value)
        elif kind is float and isinstance(value, Real):
            number = math.nan if isinstance(value, int) and abs(value) > sys.float_info.max else float(value)
        else:
            raise InputError(f"{where} must be {'a whole number' if kind is int else 'a number'}{among}")
        if not math.isfinite(number) or (kind is int and abs(number) >= 1 << 63):
            raise InputError(f"{where} must be a finite number{among} and fit into 64 bits")
        if not low <= number <= high:
            raise InputError(f"{where} is outside{among.replace(' from', '')}; choose a value inside")
        return number

    # ------------------------------------------------------------------------------------------ what it needs

    @property
    def lookback(self) -> int:
        """Candles that a user's step is given, the present one included."""
        return 1

    @property
    def warmup(self) -> int:
        """Candles needed for the first defined value: the value of candle ``warmup - 1`` is the first."""
        return self.lookback

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a candle that it reads."""
        return COLUMNS

    @property
    def constants(self) -> FloatArray:
        """What the step reads at `constants`: derived from the parameters, the same for every candle."""
        return self._own().constants(self)

    def initial_state(self) -> FloatArray:
        """The state before the first candle; it may change as a whole at every candle."""
        return self._own().initial_state()

    @property
    def state_words(self) -> int:
        """Words of the state."""
        return self.initial_state().size

    @property
    def window_words(self) -> int:
        """Words of the append-only window; it may hold anything before the first candle."""
        return self._own().window_words(self.lookback)

    def _own(self) -> "OwnStep":
        """How the method ``step`` of a user's class is called; indicators of this package do not come here."""
        from pairsim.indicators.own_step import own_step

        kind = type(self)
        if not hasattr(kind, "step"):
            raise InputError(f"{kind.__name__} has no step; write def step(self, state, candle) in the class")
        if not isinstance(self.lookback, int) or not 1 <= self.lookback <= LONGEST:
            raise InputError(f"{self!r}: lookback = {self.lookback!r} must be a whole number from 1 to {LONGEST:,}")
        return own_step(kind, {each.name: _KINDS[each.type] for each in dataclass_fields(kind)})  # type: ignore[arg-type]

    # ------------------------------------------------------------------------------------------ computing

    def step_address(self) -> int:
        """Address of the C function that takes one candle, see `abi`. Compiled at the first call, not before."""
        return self._own().address(self)

    def plain_step(self) -> PythonStep:
        """A user's step as plain Python under the same arguments: to find out what it raised."""
        from pairsim.indicators.own_step import PlainStep

        return PlainStep(self._own(), self)

    def batch_into(self, columns: Sequence[FloatArray], out: FloatArray) -> None:
        """Compute all candles at once, bit for bit what the step gives candle by candle.

        Parameters
        ----------
        columns : five float64[n]
            open, high, low, close, volume; those not in `columns` are not looked at.
        out : float64[n, len(fields)]
            Written as a whole; may be strided. NaN where there is no value.

        Raises
        ------
        InputError
            The shapes do not fit.
        StrategyError
            A user's step raised; the message names the candle, the cause is what it raised.
        """
        from pairsim.indicators.stream import stream_into

        stream_into(self, columns, out)

    def compute(self, candles: "Mapping[str, FloatArray] | pl.DataFrame") -> FloatArray:
        """The outputs over a table of candles.

        Parameters
        ----------
        candles : polars.DataFrame or mapping of names to arrays
            With at least the columns that this indicator reads.

        Returns
        -------
        float64[n, len(fields)], NaN where there is no value.

        Examples
        --------
        >>> import numpy as np
        >>> from pairsim.indicators import SMA
        >>> SMA(2).compute({"close": np.array([1.0, 2.0, 4.0])})[:, 0]
        array([nan, 1.5, 3. ])
        """
        missing = [name for name in self.columns if name not in getattr(candles, "columns", candles)]
        if missing:
            raise InputError(f"{self!r} reads {', '.join(missing)}, which these candles do not have; add the column")
        arrays = {name: np.ascontiguousarray(candles[name], dtype=np.float64) for name in self.columns}
        sizes = {array.size for array in arrays.values()}
        if len(sizes) != 1:
            raise InputError(f"{self!r}: columns of different lengths {sorted(sizes)}; give the same candles in each")
        filler = np.full(sizes.pop(), np.nan)  # stands for columns that nobody reads
        out = np.empty((len(self.fields), filler.size)).T  # each output contiguous
        self.batch_into([arrays.get(name, filler) for name in COLUMNS], out)
        return out
