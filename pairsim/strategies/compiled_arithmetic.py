"""Python's arithmetic in compiled code: where plain Python raises, compiled code raises and does not go on with a NaN.

Rule: the same bits, or an error on both sides. numba wraps integers at 64 bits, takes the root of a negative number as
NaN and the int of a NaN as some int; a strategy that is compiled would then trade on what would have stopped it in
plain Python. An integer beyond 64 bits is an error in compiled code only, because there is no such thing there.

Operators are exchanged after typing (`faithful_operator`), functions before it (`faithful_function`).
"""

import builtins
import math
import operator
from collections.abc import Callable
from types import BuiltinFunctionType
from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_builtin
from numba.core.typing import signature
from numba.core.typing.templates import AbstractTemplate, infer_global

__all__ = ["faithful_function", "faithful_operator"]

_INT64: Final = ir.IntType(64)
_DOUBLE: Final = ir.DoubleType()
_BIT: Final = ir.IntType(1)
_NUMBERS: Final = (types.Integer, types.Float, types.Boolean)

Lowering = Callable[[Any, Any, Any, Any], Any]


def _raise_when(context: Any, builder: Any, condition: Any, error: type[Exception], message: str) -> None:
    with builder.if_then(condition, likely=False):
        context.call_conv.return_user_exc(builder, error, (message,))


def _int(value: int) -> Any:
    return ir.Constant(_INT64, value)


def _double(value: float) -> Any:
    return ir.Constant(_DOUBLE, value)


# --- operators -----------------------------------------------------------------------------------------------------


def _operator(result: Any, operand: Any) -> Callable[[Lowering], Callable[..., Any]]:
    """Make a binary operator of a lowering; the function that stands for it is only a name."""

    def make(lowering: Lowering) -> Callable[..., Any]:
        def faithful(left: Any, right: Any) -> Any:
            raise NotImplementedError("stands for an operator in compiled code")

        class OperatorTemplate(AbstractTemplate):
            key = faithful

            def generic(self, args: Any, kws: Any) -> Any:
                return signature(result, operand, operand)

        infer_global(faithful, types.Function(OperatorTemplate))

        @lower_builtin(faithful, operand, operand)
        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            kind = _INT64 if operand == types.int64 else _DOUBLE  # numba hands constants over as Python numbers
            left, right = (arg if hasattr(arg, "type") else ir.Constant(kind, arg) for arg in args)
            return lowering(context, builder, left, right)

        return faithful

    return make


def _overflowing(name: str) -> Lowering:
    def lower(context: Any, builder: Any, left: Any, right: Any) -> Any:
        pair = getattr(builder, f"s{name}_with_overflow")(left, right)
        _raise_when(context, builder, builder.extract_value(pair, 1), OverflowError, "integer beyond 64 bits")
        return builder.extract_value(pair, 0)

    return lower


def _shift_left(context: Any, builder: Any, left: Any, right: Any) -> Any:
    """Refused: negative counts, and those that lose a bit or the sign (any count above 63, but of zero)."""
    within = builder.icmp_unsigned("<=", right, _int(63))
    shifted = builder.shl(left, builder.select(within, right, _int(63)))
    kept = builder.icmp_signed("==", builder.ashr(shifted, builder.select(within, right, _int(63))), left)
    negative = builder.icmp_signed("<", right, _int(0))
    _raise_when(context, builder, negative, ValueError, "negative shift count")
    nothing = builder.icmp_signed("==", left, _int(0))
    fits = builder.or_(nothing, builder.and_(within, kept))
    _raise_when(context, builder, builder.not_(fits), OverflowError, "integer beyond 64 bits")
    return shifted


def _shift_right(context: Any, builder: Any, left: Any, right: Any) -> Any:
    _raise_when(context, builder, builder.icmp_signed("<", right, _int(0)), ValueError, "negative shift count")
    within = builder.icmp_unsigned("<=", right, _int(63))
    return builder.ashr(left, builder.select(within, right, _int(63)))


def _divide(context: Any, builder: Any, left: Any, right: Any) -> Any:
    """``left / right`` of integers, rounded once as in Python, though neither may be a float (nanoseconds are not).

    Each is split into its nearest float and the rest, the quotient of the floats corrected by what it leaves.
    """
    zero = builder.icmp_signed("==", right, _int(0))
    _raise_when(context, builder, zero, ZeroDivisionError, "division by zero")
    (top, top_rest), (bottom, bottom_rest) = _split(builder, left), _split(builder, right)
    quotient = builder.fdiv(top, bottom)
    left_over = builder.fma(builder.fneg(quotient), bottom, top)
    left_over = builder.fadd(left_over, builder.fsub(top_rest, builder.fmul(quotient, bottom_rest)))
    corrected = builder.fadd(quotient, builder.fdiv(left_over, bottom))
    exact = builder.and_(
        builder.fcmp_ordered("==", top_rest, _double(0.0)), builder.fcmp_ordered("==", bottom_rest, _double(0.0))
    )
    return builder.select(exact, quotient, corrected)


def _split(builder: Any, number: Any) -> tuple[Any, Any]:
    """An integer as the sum of two floats, the first the nearest to it."""
    low = builder.and_(number, _int(2047))
    high = builder.sitofp(builder.sub(number, low), _DOUBLE)  # 52 bits and zeros: exact
    low = builder.sitofp(low, _DOUBLE)
    nearest = builder.fadd(high, low)
    return nearest, builder.fadd(builder.fsub(high, nearest), low)


def _power(context: Any, builder: Any, left: Any, right: Any) -> Any:
    """``left ** right`` of floats by the C library, as in Python (a square too: ``x * x`` may be another last bit)."""
    kind = ir.FunctionType(_DOUBLE, [_DOUBLE, _DOUBLE])
    function = cgutils.get_or_insert_function(builder.module, kind, "pow")
    function.attributes.add("nobuiltin")
    result = builder.call(function, (left, right))
    _check_result(context, builder, result, (left, right))
    return result


def _integer_power(context: Any, builder: Any, left: Any, right: Any) -> Any:
    sig = signature(types.int64, types.int64, types.int64)
    return context.compile_internal(builder, _raised_to, sig, (left, right))


def _raised_to(number: int, exponent: int) -> int:
    if exponent < 0:
        raise ValueError("an integer to a negative power is a float: write the number as a float")
    if float(abs(number)) ** exponent >= 9.2e18:
        raise OverflowError("integer beyond 64 bits")
    result = 1
    while exponent > 0:
        if exponent & 1:
            result *= number
        number *= number
        exponent >>= 1
    return result


_on_integers = _operator(types.int64, types.int64)
_INTEGER_OPERATORS: Final = {
    operator.add: _on_integers(_overflowing("add")),
    operator.sub: _on_integers(_overflowing("sub")),
    operator.mul: _on_integers(_overflowing("mul")),
    operator.lshift: _on_integers(_shift_left),
    operator.rshift: _on_integers(_shift_right),
    operator.pow: _on_integers(_integer_power),
}
_faithful_divide: Final = _operator(types.float64, types.int64)(_divide)
_faithful_power: Final = _operator(types.float64, types.float64)(_power)


def faithful_operator(function: Any, sig: Any) -> tuple[Any, Any] | None:
    """What to put in the place of a binary operator of this signature, with its own; None leaves it."""
    kinds = [types.unliteral(kind) for kind in sig.args]
    if len(kinds) != 2 or not all(isinstance(kind, _NUMBERS) for kind in kinds):
        return None
    integers = all(isinstance(kind, types.Boolean) or getattr(kind, "signed", False) for kind in kinds)
    if integers and sig.return_type == types.int64 and function in _INTEGER_OPERATORS:
        return _INTEGER_OPERATORS[function], signature(types.int64, types.int64, types.int64)
    if integers and sig.return_type == types.float64 and function is operator.truediv:
        return _faithful_divide, signature(types.float64, types.int64, types.int64)
    if sig.return_type == types.float64 and function is operator.pow:
        return _faithful_power, signature(types.float64, types.float64, types.float64)
    return None


# --- functions -----------------------------------------------------------------------------------------------------


def _check_result(context: Any, builder: Any, result: Any, args: tuple[Any, ...]) -> None:
    """Python's rule for all of ``math``: a NaN from numbers, or an infinity from finite ones, is an error."""
    some_nan, all_finite = ir.Constant(_BIT, 0), ir.Constant(_BIT, 1)
    for arg in args:
        some_nan = builder.or_(some_nan, builder.fcmp_unordered("uno", arg, arg))
        all_finite = builder.and_(all_finite, _is_finite(builder, arg))
    is_nan = builder.fcmp_unordered("uno", result, result)
    domain = builder.and_(is_nan, builder.not_(some_nan))
    is_number = builder.or_(is_nan, _is_finite(builder, result))
    overflow = builder.and_(builder.not_(is_number), all_finite)
    _raise_when(context, builder, builder.or_(domain, overflow), ValueError, "math domain or range error")


def _is_finite(builder: Any, value: Any) -> Any:
    magnitude = builder.select(builder.fcmp_ordered("<", value, _double(0.0)), builder.fneg(value), value)
    return builder.fcmp_ordered("<", magnitude, _double(math.inf))


def _check_whole(context: Any, builder: Any, value: Any) -> None:
    """A float that becomes an int must be one of 64 bits."""
    above = builder.fcmp_ordered(">=", value, _double(-(2.0**63)))
    fits = builder.and_(above, builder.fcmp_ordered("<", value, _double(2.0**63)))
    _raise_when(context, builder, builder.not_(fits), OverflowError, "a float beyond the integers of 64 bits")


def _guarded(original: Any) -> Callable[..., Any]:
    """A function like the original, whose arguments or result are judged as Python does."""

    def faithful(*args: Any) -> Any:
        raise NotImplementedError("stands for a function in compiled code")

    class FunctionTemplate(AbstractTemplate):
        key = faithful

        def generic(self, args: Any, kws: Any) -> Any:
            if original is float and len(args) == 1 and isinstance(args[0], types.Boolean):
                return signature(types.float64, types.boolean)  # numba has no float() of a bool
            if original is round and args == (types.int64,):
                return signature(types.int64, types.int64)  # numba rounds it as a float
            typed = self.context.resolve_value_type(original).get_call_type(self.context, args, kws)
            return None if typed is None else signature(typed.return_type, *typed.args)

    infer_global(faithful, types.Function(FunctionTemplate))

    @lower_builtin(faithful, types.VarArg(types.Any))
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if sig.args == (types.boolean,) and sig.return_type == types.float64:
            return context.cast(builder, args[0], types.boolean, types.float64)
        if original is round and sig.args == (types.int64,):
            return args[0]
        floats = tuple(arg for arg, kind in zip(args, sig.args, strict=True) if kind == types.float64)
        if sig.return_type == types.int64 and floats:
            _check_whole(context, builder, floats[0])
        function = context.typing_context.resolve_value_type(original)
        implementation = context.get_function(function, sig)
        context.add_linking_libs(getattr(implementation, "libs", ()))
        result = implementation(builder, args)
        if sig.return_type == types.float64 and original is not float:
            _check_result(context, builder, result, floats)
        return result

    return faithful


# Not those that cannot fail, nor those that return tuples. gamma and lgamma: Python has its own, see ``refusals``.
_GUARDED: Final = (
    *(math.acos, math.acosh, math.asin, math.asinh, math.atan2, math.atanh, math.ceil, math.cos, math.cosh, math.exp),
    *(math.expm1, math.floor, math.hypot, math.ldexp, math.log, math.log10, math.log1p, math.log2, math.pow),
    *(math.sin, math.sinh, math.sqrt, math.tan, math.tanh, math.trunc, builtins.int, builtins.round, builtins.float),
)
_FUNCTIONS: Final[dict[Any, Any]] = {original: _guarded(original) for original in _GUARDED}


def faithful_function(function: Any) -> Any:
    """What compiled code calls in the place of a function; the function itself where numba's is Python's."""
    return _FUNCTIONS.get(function, function) if isinstance(function, type | BuiltinFunctionType) else function
