"""``self`` and ``ctx`` inside compiled code: numba types over the words of the record, the view and the values.

Rule: an attribute is a load or a store at a fixed offset, nothing is built that is not used. (Passing ctx as a numba
named tuple of all fields costs a function argument per field: twice the compile time, measured.) A store of a value
that does not fit its field raises, exactly where plain Python does.
"""

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, ClassVar, Final

from llvmlite import ir
from numba import typeof, types
from numba.core import cgutils
from numba.core.datamodel import models, register_default
from numba.core.imputils import lower_getattr_generic, lower_setattr_generic
from numba.core.typing import signature
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr

from pairsim.strategies.context import (
    CANDLE_FIELDS,
    HEAD,
    MARKET_WORDS,
    POSITION_FIELDS,
    VIEW_MARKET,
    Layout,
    Position,
    indicator_type,
)
from pairsim.strategies.declaration import Field

__all__ = ["ContextType", "SelfType"]

_INT64: Final = ir.IntType(64)
_DOUBLE: Final = ir.DoubleType()
_POSITION: Final = types.NamedUniTuple(types.float64, len(POSITION_FIELDS), Position)
_SCALARS: Final = {float: types.float64, int: types.int64, bool: types.boolean}
_ARRAY: Final = types.Array(types.float64, 1, "C")


def _at(builder: Any, address: Any, word: int, kind: Any = _DOUBLE) -> Any:
    """Pointer to a word at a fixed distance: a step from a pointer, which the optimiser sees through, not a sum of
    integers, which it does not (a strategy's own loop would store the whole view at every candle)."""
    return builder.gep(builder.inttoptr(address, kind.as_pointer()), [ir.Constant(_INT64, word)])


def _load(builder: Any, address: Any, word: int, kind: Any = _DOUBLE) -> Any:
    return builder.load(_at(builder, address, word, kind))


def _load_tuple(context: Any, builder: Any, kind: Any, address: Any, word: int) -> Any:
    return context.make_tuple(builder, kind, [_load(builder, address, word + i) for i in range(len(kind))])


# --- ctx -----------------------------------------------------------------------------------------------------------


class _Shown(types.Type):
    """Addresses of a view (of one market, or of all), of its values and of its previous values."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        super().__init__(name=f"{type(self).__name__}{layout.indicators}x{layout.markets}")


class ContextType(_Shown):
    """``ctx``."""


class MarketType(_Shown):
    """``ctx.markets[k]``."""


class PreviousType(_Shown):
    """``ctx.prev`` and ``ctx.markets[k].prev``; its ``values`` are the previous ones."""


class _ShownModel(models.StructModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [(name, types.intp) for name in ("view", "values", "previous")])


for _kind in (ContextType, MarketType, PreviousType):
    register_default(_kind)(_ShownModel)


def _resolve_shown(kind: _Shown, name: str) -> Any:
    layout = kind.layout
    if name in layout.places:
        fields = layout.places[name][1]
        return (
            types.float64
            if len(fields) == 1
            else types.NamedUniTuple(types.float64, len(fields), indicator_type(fields))
        )
    if isinstance(kind, PreviousType):
        return None
    if name == "prev":
        return PreviousType(layout)
    if name == "position":
        return _POSITION
    if name in CANDLE_FIELDS:
        return types.float64
    if isinstance(kind, ContextType):
        if name in HEAD:
            return types.int64 if name in ("time", "index") else types.float64
        if name == "markets":
            return types.UniTuple(MarketType(layout), layout.markets)
    return None


def _get_shown(context: Any, builder: Any, kind: _Shown, value: Any, name: str) -> Any:
    shown = cgutils.create_struct_proxy(kind)(context, builder, value=value)
    resolved = _resolve_shown(kind, name)
    if name in kind.layout.places:
        word = kind.layout.places[name][0]
        if resolved is types.float64:
            return _load(builder, shown.values, word)
        return _load_tuple(context, builder, resolved, shown.values, word)
    first = VIEW_MARKET if isinstance(kind, ContextType) else 0
    if name in CANDLE_FIELDS:
        return _load(builder, shown.view, first + CANDLE_FIELDS.index(name))
    if name == "position":
        return _load_tuple(context, builder, _POSITION, shown.view, first + len(CANDLE_FIELDS))
    if name == "prev":
        return _shown_value(context, builder, resolved, shown.view, shown.previous, shown.previous)
    if name == "markets":
        return context.make_tuple(
            builder, resolved, [_market(context, builder, resolved.dtype, shown, k) for k in range(len(resolved))]
        )
    return _load(builder, shown.view, HEAD.index(name), _INT64 if resolved is types.int64 else _DOUBLE)


def _market(context: Any, builder: Any, kind: Any, shown: Any, k: int) -> Any:
    def moved(address: Any, words: int) -> Any:
        return builder.add(address, ir.Constant(_INT64, 8 * words))

    outputs = kind.layout.outputs * k
    view = moved(shown.view, VIEW_MARKET + MARKET_WORDS * k)
    return _shown_value(context, builder, kind, view, moved(shown.values, outputs), moved(shown.previous, outputs))


def _shown_value(context: Any, builder: Any, kind: Any, view: Any, values: Any, previous: Any) -> Any:
    made = cgutils.create_struct_proxy(kind)(context, builder)
    made.view, made.values, made.previous = view, values, previous
    return made._getvalue()


def context_value(context: Any, builder: Any, layout: Layout, view: Any, values: Any, previous: Any) -> Any:
    """IR value of ``ctx`` from three addresses."""
    return _shown_value(context, builder, ContextType(layout), view, values, previous)


def _teach_shown(key: type[_Shown]) -> None:
    attribute_key = key

    @infer_getattr
    class ShownAttribute(AttributeTemplate):
        key = attribute_key

        def generic_resolve(self, kind: _Shown, name: str) -> Any:
            return _resolve_shown(kind, name)

    lower_getattr_generic(key)(_get_shown)


for _kind in (ContextType, MarketType, PreviousType):
    _teach_shown(_kind)


# --- self ----------------------------------------------------------------------------------------------------------


class SelfType(types.Type):
    """``self``: the address of the record, with the fields and the class it belongs to.

    Parameters
    ----------
    fields : declared parameters and states.
    member : what ``self.<name>`` is when it is no field: a compiled method (a dispatcher), a ``staticmethod`` or
        ``property`` around one, or a constant of the class; raises AttributeError for what cannot be compiled.
    """

    _made: ClassVar = count()

    def __init__(self, fields: Mapping[str, Field[Any]], member: Callable[[str], Any]) -> None:
        self.fields = fields
        self.member = member
        self.offsets: dict[str, int] = {}
        words = 0
        for name, field in fields.items():
            self.offsets[name] = words
            words += field.words
        super().__init__(name=f"Self({next(self._made)})")  # numba takes types of one name for the same

    def forget(self) -> None:
        """Let go of the user's class once the code is made: numba keeps every type for the life of the process."""
        self.member = _forgotten


def _forgotten(name: str) -> Any:
    raise AttributeError(name)


@register_default(SelfType)
class _SelfModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _INT64)


class _MethodType(types.BoundFunction):
    """A method bound to ``self``: found through its dispatcher, so nothing of it stays registered with numba."""

    def __init__(self, template: Any, this: SelfType, dispatcher_type: Any) -> None:
        self._dispatcher_type = dispatcher_type
        super().__init__(template, this)

    def get_impl_key(self, sig: Any) -> Any:
        return self._dispatcher_type.get_impl_key(sig)


register_default(_MethodType)(_SelfModel)  # a bound method is the address it will be called with


def _method_type(this: SelfType, name: str, dispatcher: Any) -> _MethodType:
    dispatcher_type = types.Dispatcher(dispatcher)

    class MethodTemplate(AbstractTemplate):
        key = (this.name, name)

        def generic(self, args: Any, kws: Any) -> Any:
            sig = dispatcher_type.get_call_type(self.context, (this, *args), kws)
            return sig.as_method() if sig is not None else None

    return _MethodType(MethodTemplate, this, dispatcher_type)


@infer_getattr
class _SelfAttribute(AttributeTemplate):
    key = SelfType

    def generic_resolve(self, this: SelfType, name: str) -> Any:
        field = this.fields.get(name)
        if field is not None:
            return _ARRAY if field.length else _SCALARS[field.kind]
        try:
            member = this.member(name)
        except AttributeError:
            return None
        if isinstance(member, staticmethod):
            return types.Dispatcher(member.__func__)
        if isinstance(member, property):
            return types.Dispatcher(member.fget).get_call_type(self.context, (this,), {}).return_type
        if hasattr(member, "py_func"):
            return _method_type(this, name, member)
        return typeof(member)


@lower_getattr_generic(SelfType)
def _get_self(context: Any, builder: Any, this: SelfType, address: Any, name: str) -> Any:
    field = this.fields.get(name)
    if field is not None:
        return _get_field(context, builder, field, address, this.offsets[name])
    member = this.member(name)
    if isinstance(member, property):
        dispatcher_type = types.Dispatcher(member.fget)
        sig = dispatcher_type.get_call_type(context.typing_context, (this,), {})
        call = context.get_function(dispatcher_type, sig)
        context.add_linking_libs(getattr(call, "libs", ()))
        return call(builder, (address,))
    if isinstance(member, staticmethod):
        return context.get_dummy_value()
    if hasattr(member, "py_func"):
        return address  # the receiver of the call
    return context.get_constant_generic(builder, typeof(member), member)


def _get_field(context: Any, builder: Any, field: Field[Any], address: Any, word: int) -> Any:
    if field.length:
        array = context.make_array(_ARRAY)(context, builder)
        context.populate_array(
            array,
            data=_at(builder, address, word),
            shape=(ir.Constant(_INT64, field.length),),
            strides=(ir.Constant(_INT64, 8),),
            itemsize=ir.Constant(_INT64, 8),
            meminfo=None,
        )
        return array._getvalue()
    if field.kind is float:
        return _load(builder, address, word)
    number = _load(builder, address, word, _INT64)
    return number if field.kind is int else builder.icmp_signed("!=", number, ir.Constant(_INT64, 0))


@lower_setattr_generic(SelfType)
def _set_self(context: Any, builder: Any, sig: Any, args: Any, name: str) -> Any:
    this, given = sig.args
    field = this.fields[name]
    value, kind = args[1], types.unliteral(given)
    if isinstance(kind, types.Optional):
        optional = context.make_helper(builder, kind, value=value)
        _refuse_when(context, builder, builder.not_(optional.valid), field)
        value, kind = optional.data, kind.type
    fitting = _fitting(context, builder, field, value, kind)
    if fitting is None:
        _refuse_when(context, builder, ir.Constant(ir.IntType(1), 1), field)
        return
    builder.store(fitting, _at(builder, args[0], this.offsets[name], fitting.type))


def _fitting(context: Any, builder: Any, field: Field[Any], value: Any, kind: Any) -> Any:
    """The IR word to store, or None where plain Python refuses the value whatever it is."""
    number = isinstance(kind, types.Integer | types.Float | types.Boolean)
    if field.is_param or field.length or not number:
        return None
    if field.kind is float:
        return context.cast(builder, value, kind, types.float64)
    if isinstance(kind, types.Boolean):
        return context.cast(builder, value, kind, types.int64)
    if field.kind is bool or isinstance(kind, types.Float):
        return None
    if not kind.signed and kind.bitwidth == 64:
        _refuse_when(context, builder, builder.icmp_signed("<", value, ir.Constant(_INT64, 0)), field)
    return context.cast(builder, value, kind, types.int64)


def _refuse_when(context: Any, builder: Any, condition: Any, field: Field[Any]) -> None:
    with builder.if_then(condition, likely=False):
        context.call_conv.return_user_exc(builder, TypeError, (f"{field.title} cannot hold this value",))


def stored_type(target: Any, value: Any) -> Any:
    """Signature of ``self.<field> = value`` that keeps the value's own type, so that `_set_self` can judge it."""
    return signature(types.none, target, value)
