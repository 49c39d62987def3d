"""The class a user writes: declared parameters and states, indicators, `generate_signal`.

Rule: a declaration is checked when the class is made, a value when it is given; after that everything is known to fit
the fixed record (8 bytes a field) in which parameters and states live while a strategy runs.
"""

import copy
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from keyword import iskeyword
from typing import Any, ClassVar, Final
from weakref import WeakKeyDictionary

import numpy as np

from pairsim.errors import StrategyError
from pairsim.markup import card, line, table
from pairsim.strategies.declaration import Field
from pairsim.strategies.signal import Signal

__all__ = [
    "MAX_MARKETS",
    "MAX_RECORD_WORDS",
    "Field",
    "Returned",
    "Strategy",
    "fields_of",
    "retuned",
]

MAX_MARKETS: Final = 4
"""Markets one trader may subscribe to (as in ``orders.order``: a decision carries so many snapshots)."""

MAX_RECORD_WORDS: Final = 256
"""Words of parameters and states: they are copied at every candle (210 words cost 116 ns)."""

Returned = Signal | tuple[Signal, ...] | None


class _Signature:
    """What a class of strategies is called with, for completion and help: its parameters by name."""

    def __get__(self, instance: object, owner: type) -> inspect.Signature:
        fields = vars(owner).get("_fields", {})
        kind = inspect.Parameter.KEYWORD_ONLY
        return inspect.Signature(
            [
                inspect.Parameter(name, kind, default=field.default, annotation=field.kind)
                for name, field in fields.items()
                if field.is_param
            ]
        )


class Strategy:
    """Base of every strategy: declare parameters and states, name indicators, decide candle by candle.

    Examples
    --------
    >>> from pairsim.strategies import Strategy, param, buy, close
    >>> class Breakout(Strategy):
    ...     share: float = param(0.5, 0.0, 1.0)
    ...     top: float = state(0.0)
    ...     def generate_signal(self, ctx):
    ...         if ctx.close > self.top:
    ...             self.top = ctx.close
    ...             if ctx.position.quantity == 0:
    ...                 return buy(weight=self.share)
    >>> Breakout(share=0.25)
    Breakout(share=0.25)
    """

    markets: ClassVar[int] = 1
    """Markets a trader of this class subscribes to, in order; ``ctx.markets[k]`` shows each."""

    _fields: ClassVar[Mapping[str, Field[Any]]] = {}

    __signature__: ClassVar[Any] = _Signature()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if _laying_over.get():
            return
        if type(cls) is not type or any(vars(parent).get("__slots__") for parent in cls.__mro__):
            raise StrategyError(f"{cls.__name__} has a metaclass or __slots__; a strategy is an ordinary class")
        own = {name: field for name, field in vars(cls).items() if isinstance(field, Field)}
        notes = vars(cls).get("__annotations__", {})
        for name, field in own.items():
            _check_name(cls, name)
            field.settle(notes.get(name))
        inherited = {
            name: f for parent in reversed(cls.__mro__[1:]) for name, f in vars(parent).get("_fields", {}).items()
        }
        cls._fields = {**inherited, **own}
        for name, field in cls._fields.items():
            if getattr(cls, name) is not field:
                raise StrategyError(
                    f"{cls.__name__}.{name} stands for a {'parameter' if field.is_param else 'state'} of "
                    f"{field.owner} and for something else; rename one of them"
                )
        _check_markets(cls)
        words = sum(field.words for field in cls._fields.values())
        if words > MAX_RECORD_WORDS:
            raise StrategyError(
                f"{cls.__name__} declares {words} words of parameters and states, the limit is {MAX_RECORD_WORDS}; "
                "a longer window is what an indicator is for"
            )

    def __init__(self, **values: float) -> None:
        fields = type(self)._fields
        for name, value in values.items():
            field = fields.get(name)
            if field is None or not field.is_param:
                raise StrategyError(_unknown(type(self), name, value, field))
        for name, field in fields.items():
            self.__dict__[name] = field.checked(values[name]) if name in values else field.fresh()

    def indicators(self) -> dict[str, Any]:
        """Indicators by their name in ``ctx``; parameters may be used: ``{"rsi": RSI(self.period)}``."""
        return {}

    def generate_signal(self, ctx: Any) -> Returned:
        """Decide on one closed candle: None, a signal, or a tuple of one fixed length up to 4 of them."""
        raise NotImplementedError(f"{type(self).__name__} needs a method generate_signal(self, ctx)")

    def __repr__(self) -> str:
        """The call that makes an equal one; a class known to run as plain Python says so."""
        values = ", ".join(f"{name}={value!r}" for name, value in _parameters(self).items())
        reason = _known_reason(type(self))
        return f"{type(self).__name__}({values})" + (f" [{reason}]" if reason else "")

    def _repr_html_(self) -> str:
        from pairsim.strategies.compiler import prepare

        try:
            code = prepare(self)
            status = "compiled" if code.compiled else code.reason
        except StrategyError as error:
            status = str(error)
        fields = type(self)._fields
        rows = [(name, value, fields[name].default, fields[name].limits()) for name, value in _parameters(self).items()]
        states = ", ".join(name for name, field in fields.items() if not field.is_param)
        return card(
            type(self).__name__,
            table(("parameter", "value", "default", "limits"), rows) if rows else line("no parameters", "muted"),
            line(f"states: {states}", "muted") if states else "",
            about=status,
        )


def fields_of(strategy: Strategy | type[Strategy]) -> Mapping[str, Field[Any]]:
    """Declared parameters and states by name, in the order of the record."""
    return strategy._fields


def retuned(strategy: Strategy, **values: float) -> Strategy:
    """A copy of a strategy with some parameters changed, checked like the constructor's."""
    changed = copy.copy(strategy)
    changed.__dict__ = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in strategy.__dict__.items()}
    for name, value in values.items():
        field = type(strategy)._fields.get(name)
        if field is None or not field.is_param:
            raise StrategyError(_unknown(type(strategy), name, value, field))
        changed.__dict__[name] = field.checked(value)
    return changed


def _parameters(strategy: Strategy) -> dict[str, Any]:
    return {name: getattr(strategy, name) for name, field in type(strategy)._fields.items() if field.is_param}


def _check_name(cls: type, name: str) -> None:
    if not name.isidentifier() or iskeyword(name) or name.startswith("__"):
        raise StrategyError(f"{cls.__name__}: {name!r} cannot be a name of a parameter or state; use an identifier")
    for parent in cls.__mro__[1:]:
        taken = vars(parent).get(name)
        if taken is not None and not isinstance(taken, Field):
            raise StrategyError(f"{cls.__name__}.{name}: {parent.__name__} uses this name itself; choose another")


def _check_markets(cls: type[Strategy]) -> None:
    count: object = cls.markets
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_MARKETS:
        raise StrategyError(f"{cls.__name__}.markets is {count!r}; it must be a whole number from 1 to {MAX_MARKETS}")


def _unknown(cls: type[Strategy], name: str, value: object, field: Field[Any] | None) -> str:
    if field is not None:
        return f"{cls.__name__}.{name} is a state, got {name}={value!r}; only parameters are set from outside"
    known = ", ".join(n for n, f in cls._fields.items() if f.is_param) or "none"
    return f"{cls.__name__} has no parameter {name!r} (got {value!r}); it has: {known}"


_laying_over: ContextVar[bool] = ContextVar("_laying_over", default=False)


@contextmanager
def laid_over_record() -> Iterator[None]:
    """Classes made inside are views of a record (see ``plain``), no declarations: nothing is collected or checked."""
    token = _laying_over.set(True)
    try:
        yield
    finally:
        _laying_over.reset(token)


_reasons: WeakKeyDictionary[type, str] = WeakKeyDictionary()


def note_reason(cls: type, reason: str) -> None:
    """Remember, for the repr, why a class runs as plain Python; an empty reason forgets."""
    _reasons[cls] = reason


def _known_reason(cls: type) -> str:
    return _reasons.get(cls, "")
