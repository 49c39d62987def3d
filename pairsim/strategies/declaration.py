"""Declarations: parameters and states as fields of a record, with their types, limits and defaults.

Rule: a value is judged once, here: a parameter when it is given, a state when it is stored (`stored`, which compiled
stores agree with).
"""

import math
from collections.abc import Sequence
from typing import Any, Final, Generic, TypeVar, cast, overload

import numpy as np
from numpy.typing import NDArray

from pairsim.errors import StrategyError

__all__ = ["ARRAY_STORE", "PARAM_STORE", "Field", "param", "state", "stored"]

T = TypeVar("T", bool, int, float)

_INT64_LOW, _INT64_HIGH = -(2**63), 2**63 - 1


class Field(Generic[T]):
    """One declared parameter or state: a name, a type, a default and, for a parameter, its limits.

    Attributes
    ----------
    kind : ``float``, ``int`` or ``bool``; the type of the elements for an array.
    length : elements of an array state, 0 for a scalar.
    is_param : parameters are set from outside, states by the strategy.
    above_low : the value must be above `low`, not at least `low`.
    """

    __slots__ = ("above_low", "default", "high", "is_param", "kind", "length", "low", "name", "owner")

    def __init__(
        self, default: Any, low: Any = None, high: Any = None, *, above_low: bool = False, is_param: bool
    ) -> None:
        self.name = ""
        self.owner = ""
        self.is_param = is_param
        self.low, self.high, self.above_low = low, high, above_low
        self.length = 0
        self.kind: type[float] | type[int] | type[bool] = float
        self.default: Any = default

    def __set_name__(self, owner: type, name: str) -> None:
        self.name, self.owner = name, owner.__name__

    def __get__(self, instance: object | None, owner: type | None = None) -> Any:
        if instance is None:
            return self
        values = instance.__dict__
        if self.name not in values:  # a user's __init__ that did not call ours
            values[self.name] = self.fresh()
        return values[self.name]

    def __set__(self, instance: object, value: Any) -> None:
        instance.__dict__[self.name] = self.checked(value)

    @property
    def words(self) -> int:
        """Words this field takes in the record."""
        return self.length or 1

    @property
    def title(self) -> str:
        """How messages call it."""
        return f"{self.owner}.{self.name}"

    def settle(self, annotation: object) -> None:
        """Fix the type from default and annotation and check both; called once, when the class is made."""
        if isinstance(self.default, list | tuple | np.ndarray):
            self._settle_array()
            return
        default_type = _scalar_type(self.default)
        if default_type is None:
            hint = "; for \"no value\" use float('nan')" if self.default is None else ""
            kinds = "a float, an int or a bool" if self.is_param else "a float, an int, a bool or a list of floats"
            raise StrategyError(f"{self.title}: the default is {self.default!r}, it must be {kinds}{hint}")
        self.kind = self._annotated(annotation, default_type)
        self.low, self.high = self._limit("low"), self._limit("high")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise StrategyError(f"{self.title}: low={self.low} is above high={self.high}; exchange them")
        self.default = self.checked(self.default)

    def checked(self, value: Any) -> Any:
        """The value as this field holds it.

        Raises
        ------
        StrategyError
            Wrong type or outside the limits; the message names class, field, value and limits.
        """
        if self.length:
            return self._checked_array(value)
        number = fitted(self.kind, value)
        if number is None:
            raise StrategyError(f"{self.title} is {_an(self.kind)}, got {value!r} ({type(value).__name__})")
        if self.is_param and not self._inside(number):
            raise StrategyError(f"{self.title}={number!r} is outside its limits; it must be {self.limits()}")
        return number

    def limits(self) -> str:
        """The limits in words: ``from 2 to 60``."""
        if self.low is None and self.high is None:
            return "finite"
        lower = "" if self.low is None else f"above {self.low}" if self.above_low else f"at least {self.low}"
        upper = "" if self.high is None else f"at most {self.high}"
        if self.low is not None and self.high is not None and not self.above_low:
            return f"from {self.low} to {self.high}"
        return " and ".join(part for part in (lower, upper) if part)

    def fresh(self) -> Any:
        """The default, an array of its own for each instance."""
        return self.default.copy() if self.length else self.default

    def __repr__(self) -> str:
        """For tables and messages: ``param(14, 2, 60)``."""
        if not self.is_param:
            return f"state({self.default!r})"
        limits = "".join(f", {limit!r}" for limit in (self.low, self.high) if limit is not None)
        return f"param({self.default!r}{limits})"

    def _annotated(self, annotation: object, default_type: type) -> type:
        wanted = {"float": float, "int": int, "bool": bool}.get(
            annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "?")
        )
        if annotation is None:
            return default_type
        if wanted is None:
            raise StrategyError(f"{self.title}: annotated {annotation}, it must be float, int or bool")
        if wanted is default_type or (wanted is float and default_type is int):  # `low: float = param(30, 10, 50)`
            return wanted
        raise StrategyError(
            f"{self.title}: annotated {wanted.__name__}, but the default {self.default!r} is "
            f"{_an(default_type)}; let them agree"
        )

    def _limit(self, name: str) -> Any:
        limit = getattr(self, name)
        if limit is None:
            return None
        if self.kind is bool:
            raise StrategyError(f"{self.title}: a bool has no limits; leave out {name}={limit!r}")
        number = fitted(self.kind, limit)
        if number is None or math.isnan(number):
            raise StrategyError(f"{self.title}: {name}={limit!r} must be {_an(self.kind)} like the default")
        return number

    def _inside(self, number: float) -> bool:
        if self.kind is float and not math.isfinite(number):
            return False
        if self.low is not None and (number < self.low or (self.above_low and number == self.low)):
            return False
        return self.high is None or number <= self.high

    def _settle_array(self) -> None:
        if self.is_param:
            raise StrategyError(f"{self.title}: a param is one number; arrays are for state()")
        try:
            array = np.array(self.default, dtype=np.float64)
        except (TypeError, ValueError):
            raise StrategyError(f"{self.title}: the default {self.default!r} is no list of floats") from None
        if array.ndim != 1 or array.size == 0:
            raise StrategyError(f"{self.title}: shape {array.shape}; an array state has one dimension and a length")
        self.default, self.length = array, int(array.size)

    def _checked_array(self, value: Any) -> NDArray[np.float64]:
        try:
            array = np.array(value, dtype=np.float64)
        except (TypeError, ValueError):
            array = np.empty(0)
        if array.shape != (self.length,):
            raise StrategyError(f"{self.title} holds {self.length} floats, got {value!r}")
        return array


def param(default: T, low: T | None = None, high: T | None = None, *, above_low: bool = False) -> T:
    """Declare a parameter: a type check, a sweep axis, a slider and a live control in one.

    Parameters
    ----------
    default : float, int or bool; its type (or the annotation's) is the parameter's.
    low, high : limits, both allowed values.
    above_low : `low` itself is not allowed: ``param(0.25, 0.0, 1.0, above_low=True)``.

    Examples
    --------
    >>> class Dip(Strategy):
    ...     period: int = param(14, 2, 60)
    >>> Dip(period=21)
    Dip(period=21)
    """
    return cast(T, Field[T](default, low, high, above_low=above_low, is_param=True))


@overload
def state(default: T) -> T: ...
@overload
def state(default: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]: ...
def state(default: Any) -> Any:
    """Declare a state: changed by the strategy at any candle, kept in shared memory, so it outlives its worker.

    Parameters
    ----------
    default : float, int, bool, or a list or array of floats (fixed length, changed in place). "No value" is NaN.
    """
    return Field(default, is_param=False)


def _scalar_type(value: object) -> type | None:
    if isinstance(value, bool | np.bool_):
        return bool
    if isinstance(value, int | np.integer):
        return int
    return float if isinstance(value, float | np.floating) else None


def fitted(kind: type, value: Any) -> Any:
    """The value as a plain ``kind``, or None where it does not fit: the rule for parameters and first states."""
    given = _scalar_type(value)
    if given is None or (given is not kind and not (kind is float and given is int)):
        return None
    if kind is int and not _INT64_LOW <= value <= _INT64_HIGH:
        return None
    try:
        return kind(value)
    except OverflowError:
        return None


PARAM_STORE: Final = "a strategy changes states only: declare a state() for it"
ARRAY_STORE: Final = "change it in place: self.{0}[:] = ..."


def stored(field: Field[Any], value: Any) -> int:
    """The word of an int or bool state for a value that a running strategy stores.

    Looser than `fitted` in one way, that of Python itself: a bool is an int. Never looser than the compiled store.
    """
    given = _scalar_type(value)
    if given is bool or (given is int and field.kind is int and _INT64_LOW <= value <= _INT64_HIGH):
        return int(value)
    raise StrategyError(
        f"{field.title} is {_an(field.kind)}, {value!r} ({type(value).__name__}) does not fit; "
        f"convert it, or declare another type"
    )


def _an(kind: type) -> str:
    return {float: "a float", int: "an int (64 bits)", bool: "a bool"}[kind]
