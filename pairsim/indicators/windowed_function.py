"""``indicator(function, lookback=n)``: a vectorised function of whole columns as an indicator.

The rule: with every candle the function is computed anew over the last `lookback` candles, and its last value counts.
Live that is a call of plain Python for each candle. Over a history the function is called once, over all of it, and
compared with what it gives over single windows: where the two differ, it looks further back than it says, or ahead.
They may differ in the last digits, as a sum over another range does: streaming and batch are equal to 1e-6 here, and to
the bit with ``exact=True``, which calls the function for every candle of a history too.
"""

import ctypes
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, overload

import numpy as np

from pairsim.errors import InputError, StrategyError
from pairsim.indicators.abi import COLUMNS, LONGEST, RAISED, FloatArray, places
from pairsim.indicators.indicator import Indicator, PythonStep
from pairsim.indicators.own_step import C_STEP, floats_at

__all__ = ["WindowedFunction", "indicator"]

_CLOSE_ENOUGH: Final = 1e-6  # relative, between whole history and window
_SAMPLES: Final = 8


class WindowedFunction(Indicator):
    """A vectorised function with a declared lookback; made by `indicator`."""

    if TYPE_CHECKING:  # no parameters in the sense of the other indicators
        function: Callable[..., Any]
        _lookback: int
        _columns: tuple[str, ...]
        _exact: bool
        _callbacks: list[Any]

    def __init__(
        self, function: Callable[..., Any], lookback: int, fields: Sequence[str], source: str, exact: bool
    ) -> None:
        if not callable(function):
            raise InputError(f"indicator({function!r}): the first argument must be a function of columns")
        if isinstance(lookback, bool) or not isinstance(lookback, int | np.integer) or not 1 <= lookback <= LONGEST:
            raise InputError(f"indicator: lookback = {lookback!r} must be a whole number from 1 to {LONGEST:,}")
        if not fields or not all(isinstance(name, str) and name.isidentifier() for name in fields):
            raise InputError(f"indicator: fields = {fields!r} must be names of the outputs, such as ('upper', 'lower')")
        values = {
            "function": function,
            "_lookback": int(lookback),
            "fields": tuple(fields),
            "_columns": _columns_of(function, source),
            "_exact": bool(exact),
            "_callbacks": [],
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _identity(self) -> tuple[Any, ...]:
        return self.function, self._lookback, self.fields, self._columns, self._exact

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WindowedFunction) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def __repr__(self) -> str:
        name = getattr(self.function, "__name__", repr(self.function))
        return f"indicator({name}, lookback={self._lookback})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_callbacks": []}  # an address means nothing in another process

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    @property
    def lookback(self) -> int:
        return self._lookback

    @property
    def columns(self) -> tuple[str, ...]:
        return self._columns

    @property
    def constants(self) -> FloatArray:
        return np.zeros(1)

    def initial_state(self) -> FloatArray:
        return np.zeros(1)

    @property
    def window_words(self) -> int:
        return 2 * len(self.columns) * places(self.lookback - 1)

    def step_address(self) -> int:
        if not self._callbacks:
            self._callbacks.append(C_STEP(WindowedStep(self)))
        return int(ctypes.cast(self._callbacks[0], ctypes.c_void_p).value or 0)

    def plain_step(self) -> PythonStep:
        return WindowedStep(self)

    def batch_into(self, columns: Sequence[FloatArray], out: FloatArray) -> None:
        if self._exact:
            super().batch_into(columns, out)
            return
        inputs = [np.ascontiguousarray(columns[COLUMNS.index(name)], dtype=np.float64) for name in self.columns]
        size = inputs[0].size
        if out.shape != (size, len(self.fields)) or out.dtype != np.float64:
            raise InputError(
                f"{self!r}: out is {out.dtype}{list(out.shape)}, must be float64[{size}, {len(self.fields)}]"
            )
        out[: self.lookback - 1] = np.nan
        if size < self.lookback:
            return
        whole = self.call([each.copy() for each in inputs])
        out[self.lookback - 1 :] = whole[self.lookback - 1 :]
        scale = np.abs(whole[np.isfinite(whole)]).max(initial=0.0) * 1e-9
        for i in sorted({int(i) for i in np.linspace(self.lookback - 1, size - 1, _SAMPLES)}):
            window = self.call([each[i + 1 - self.lookback : i + 1].copy() for each in inputs])[-1]
            if not np.allclose(whole[i], window, rtol=_CLOSE_ENOUGH, atol=scale, equal_nan=True):
                raise InputError(
                    f"{self!r}: at candle {i:,} it is {whole[i].tolist()} over the whole history, but "
                    f"{window.tolist()} over the last {self.lookback} candles, which is what it would be live: it "
                    "looks further back than lookback, or ahead; raise lookback, or use only what came before"
                )

    def call(self, inputs: list[FloatArray]) -> FloatArray:
        """The function over some candles: float64[n, len(fields)]."""
        size = inputs[0].size
        try:
            result = self.function(*inputs)
        except Exception as error:
            raise StrategyError(f"{self!r} raised {type(error).__name__}: {error}") from error
        parts = [result] if len(self.fields) == 1 else list(result)
        arrays = [np.asarray(part, dtype=np.float64) for part in parts]
        if len(arrays) != len(self.fields) or any(array.shape != (size,) for array in arrays):
            raise StrategyError(
                f"{self!r} returned shapes {[array.shape for array in arrays]} for {size:,} candles; it must return "
                f"{'an array' if len(self.fields) == 1 else f'{len(self.fields)} arrays'} of that length"
            )
        return np.stack(arrays, axis=1)


class WindowedStep:
    """The C function of a windowed function, in Python; `error` is what the function raised last."""

    def __init__(self, owner: WindowedFunction) -> None:
        self._owner, self._lookback, self._places = owner, owner.lookback, places(owner.lookback - 1)
        self._columns = [COLUMNS.index(name) for name in owner.columns]
        self.error: Exception | None = None

    def __call__(self, index: int, constants: int, state: int, window: int, candle: int, out: int) -> int:
        outputs = floats_at(out, len(self._owner.fields))
        outputs[:] = np.nan
        # Each column is held twice, one behind the other: the values up to the newest are one array.
        last = floats_at(window, 2 * len(self._columns) * self._places).reshape(len(self._columns), -1)
        place = index & (self._places - 1)
        last[:, [place, place + self._places]] = floats_at(candle, len(COLUMNS))[self._columns, None]
        if index >= self._lookback - 1:
            end = place + self._places + 1
            try:
                outputs[:] = self._owner.call(list(last[:, end - self._lookback : end].copy()))[-1]
            except Exception as error:
                self.error = error
                return RAISED
        return 0


def _columns_of(function: Callable[..., Any], source: str) -> tuple[str, ...]:
    """Columns by the names of the function's arguments; an only argument of another name is given `source`."""
    if source not in COLUMNS:
        raise InputError(f"indicator: source = {source!r} must be a column of a candle: {', '.join(COLUMNS)}")
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a function written in C
        return (source,)
    names = [each.name for each in parameters if each.default is each.empty and each.kind <= each.POSITIONAL_OR_KEYWORD]
    if all(name in COLUMNS for name in names) and names:
        return tuple(names)
    if len(names) == 1:
        return (source,)
    raise InputError(
        f"indicator: the arguments ({', '.join(names)}) of {getattr(function, '__name__', function)!r} must be columns "
        f"of a candle ({', '.join(COLUMNS)}), or a single one; give others a default or use functools.partial"
    )


@overload
def indicator(
    function: Callable[..., Any],
    *,
    lookback: int,
    fields: Sequence[str] = ("value",),
    source: str = "close",
    exact: bool = False,
) -> WindowedFunction: ...
@overload
def indicator(
    function: None = None,
    *,
    lookback: int,
    fields: Sequence[str] = ("value",),
    source: str = "close",
    exact: bool = False,
) -> Callable[[Callable[..., Any]], WindowedFunction]: ...
def indicator(
    function: Callable[..., Any] | None = None,
    *,
    lookback: int,
    fields: Sequence[str] = ("value",),
    source: str = "close",
    exact: bool = False,
) -> WindowedFunction | Callable[[Callable[..., Any]], WindowedFunction]:
    """Make an indicator of a vectorised function; also as a decorator, ``@indicator(lookback=20)``.

    Parameters
    ----------
    function : callable
        Takes float64[n] columns by the names of its arguments (``open, high, low, close, volume``), or `source` if it
        has one argument of another name. Returns an array of that length, or one for each of `fields`.
    lookback : int
        Candles that the newest value depends on, the newest included. There is no value before.
    fields : names of the outputs.
    source : the column for an only argument of another name.
    exact : compute every candle of a history from its window, as live: the same bits, some microseconds a candle.

    Raises
    ------
    InputError
        Arguments do not fit; and when computed over a history in which more than `lookback` candles, or later ones,
        change the value.

    Examples
    --------
    >>> import numpy as np
    >>> momentum = indicator(lambda close: close / np.roll(close, 5) - 1.0, lookback=6)
    >>> momentum.warmup
    6
    """
    if function is None:
        return lambda given: WindowedFunction(given, lookback, fields, source, exact)
    return WindowedFunction(function, lookback, fields, source, exact)
