"""The signal functions inside compiled code: each call becomes nine values in registers, typed and lowered here.

Rule: same arguments, same meaning, same failures as the plain functions of ``signal``. Written against numba's typing
and lowering directly, because ``overload`` would compile a Python body for every combination of arguments: 20 ms a
call site against 0.3 ms here (measured), in the pause between editing a cell and seeing its result.
"""

import inspect
from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core.errors import TypingError
from numba.core.imputils import lower_builtin
from numba.core.typing import signature
from numba.core.typing.templates import AbstractTemplate, infer_global

from pairsim.strategies import signal as plain

__all__ = ["SIGNAL_TYPE"]

SIGNAL_TYPE: Final = types.NamedTuple((types.int64,) * 3 + (types.float64,) * 5 + (types.int64,), plain.Signal)

_INT64: Final = ir.IntType(64)
_DOUBLE: Final = ir.DoubleType()
_AMOUNTS: Final = {"quantity": plain.QUANTITY, "weight": plain.WEIGHT, "notional": plain.NOTIONAL}
_INTEGERS: Final = ("expires", "market")


def _argument_type(name: str, given: types.Type) -> types.Type:
    """What a given argument is converted to; refusing here sends the strategy to plain Python, which says why."""
    kind = types.unliteral(given)
    if isinstance(kind, types.NoneType | types.Omitted):
        return types.none
    if isinstance(kind, types.Optional) and name in plain.PRICES:
        inner = kind.type
        if isinstance(inner, types.Integer | types.Float):
            return types.Optional(types.float64)
    wanted = types.int64 if name in _INTEGERS else types.float64
    allowed = types.Integer if name in _INTEGERS else (types.Integer, types.Float)
    if not isinstance(kind, allowed):
        raise TypingError(f"{name}: {kind} where {wanted} is meant")
    return wanted


def _teach(function: Callable[..., plain.Signal], kind: int) -> None:
    """Type and lower one signal function."""
    # numba binds keyword-only parameters wrongly (fold_arguments takes the last positional ones for them), so here they
    # are ordinary ones, and `generic` refuses a second positional argument.
    names = tuple(inspect.signature(function).parameters)
    formal = inspect.Signature(
        [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None) for name in names]
    )

    @infer_global(function)
    class SignalTemplate(AbstractTemplate):
        key = function

        def generic(self, args: tuple[types.Type, ...], kws: dict[str, types.Type]) -> Any:
            if len(args) > (1 if "quantity" in names else 0) or not set(kws) <= set(names):
                return None
            bound = {**dict(zip(names, args, strict=False)), **kws}
            kinds = [_argument_type(name, bound[name]) if name in bound else types.none for name in names]
            return signature(SIGNAL_TYPE, *kinds).replace(pysig=formal)

    @lower_builtin(function, types.VarArg(types.Any))
    def lower_signal(context: Any, builder: Any, sig: Any, args: tuple[Any, ...]) -> Any:
        given = {
            name: (kind, value)
            for name, kind, value in zip(names, sig.args, args, strict=True)
            if not isinstance(kind, types.NoneType)
        }
        unit, amount = plain.QUANTITY, ir.Constant(_DOUBLE, float("nan"))
        amounts = [name for name in _AMOUNTS if name in given]
        if "quantity" in names:
            if len(amounts) == 1:
                unit, amount = _AMOUNTS[amounts[0]], given[amounts[0]][1]
            else:
                _raise_when(context, builder, ir.Constant(ir.IntType(1), 1), f"{function.__name__}: {plain.ONE_AMOUNT}")
        words = [
            ir.Constant(_INT64, kind),
            ir.Constant(_INT64, unit),
            _word(given, "market"),
            amount,
            *(_price(context, builder, given, name) for name in plain.PRICES),
            _word(given, "expires"),
        ]
        return context.make_tuple(builder, sig.return_type, words)


def _word(given: dict[str, tuple[types.Type, Any]], name: str) -> Any:
    return given[name][1] if name in given else ir.Constant(_INT64, 0)


def _price(context: Any, builder: Any, given: dict[str, tuple[types.Type, Any]], name: str) -> Any:
    """An absent price is NaN; a given one that is NaN raises, as in plain Python."""
    absent = ir.Constant(_DOUBLE, float("nan"))
    if name not in given:
        return absent
    kind, value = given[name]
    if not isinstance(kind, types.Optional):
        _raise_when(context, builder, builder.fcmp_unordered("uno", value, value), f"{name} is NaN")
        return value
    optional = context.make_helper(builder, kind, value=value)
    price, is_given = optional.data, optional.valid
    is_nan = builder.and_(is_given, builder.fcmp_unordered("uno", price, price))
    _raise_when(context, builder, is_nan, f"{name} is NaN")
    return builder.select(is_given, price, absent)


def _raise_when(context: Any, builder: Any, condition: Any, message: str) -> None:
    with builder.if_then(condition, likely=False):
        context.call_conv.return_user_exc(builder, ValueError, (message,))


for _function, _kind in (
    (plain.buy, plain.BUY),
    (plain.sell, plain.SELL),
    (plain.target, plain.TARGET),
    (plain.close, plain.CLOSE),
    (plain.cancel, plain.CANCEL),
    (plain.hold, plain.HOLD),
):
    _teach(_function, _kind)
