"""Arrays as the plain loop's machine code sees them: an address and a length, nothing else.

Rule: only what kernels do with their arrays is typed here: read and write an element, ask for the length, take a part,
take an address. numba's own arrays are seven words, and an index may count from the end; both are carried through every
call and every access, which costs compile time (three quarters of it) as well as run time.
"""

import operator
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models, register_default
from numba.core.imputils import lower_builtin
from numba.core.typing import signature
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import intrinsic
from numba.np.numpy_support import from_dtype

__all__ = ["Words", "address_in", "integers", "part", "prefetch", "reals", "records"]

_INT64: Final = ir.IntType(64)
_WORD: Final = 8


class Words(types.Type):
    """A contiguous array of int64, float64 or records: its address and length are all there is of it."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        self.itemsize = dtype.size if isinstance(dtype, types.Record) else _WORD
        super().__init__(name=f"Words({dtype})")


@register_default(Words)
class _WordsModel(models.StructModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [("data", types.voidptr), ("length", types.intp)])


def _made(context: Any, builder: Any, kind: Words, data: Any, length: Any) -> Any:
    made = cgutils.create_struct_proxy(kind)(context, builder)
    made.data, made.length = data, length
    return made._getvalue()


def _place(context: Any, builder: Any, kind: Words, words: Any, index: Any) -> Any:
    """Pointer to an element, of the element's own type (a record is its address)."""
    data = cgutils.create_struct_proxy(kind)(context, builder, value=words).data
    at = builder.gep(data, [builder.mul(index, ir.Constant(_INT64, kind.itemsize))])
    element = context.get_value_type(kind.dtype)
    return builder.bitcast(at, element if isinstance(kind.dtype, types.Record) else element.as_pointer())


@infer_global(operator.getitem)
class _GetItem(AbstractTemplate):
    key = operator.getitem

    def generic(self, args: Any, kws: Any) -> Any:
        words, index = args
        if isinstance(words, Words) and isinstance(index, types.Integer):
            return signature(words.dtype, words, types.int64)
        return None


@infer_global(operator.setitem)
class _SetItem(AbstractTemplate):
    key = operator.setitem

    def generic(self, args: Any, kws: Any) -> Any:
        words, index, _ = args
        if isinstance(words, Words) and isinstance(index, types.Integer):
            return signature(types.none, words, types.int64, words.dtype)
        return None


@infer_global(len)
class _Len(AbstractTemplate):
    key = len

    def generic(self, args: Any, kws: Any) -> Any:
        return signature(types.intp, *args) if len(args) == 1 and isinstance(args[0], Words) else None


@lower_builtin(operator.getitem, Words, types.int64)
def _get_item(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    place = _place(context, builder, sig.args[0], *args)
    return place if isinstance(sig.args[0].dtype, types.Record) else builder.load(place)


@lower_builtin(operator.setitem, Words, types.int64, types.Any)
def _set_item(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    builder.store(args[2], _place(context, builder, sig.args[0], *args[:2]))
    return context.get_dummy_value()


@lower_builtin(len, Words)
def _length(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return cgutils.create_struct_proxy(sig.args[0])(context, builder, value=args[0]).length


def _at_address(kind: Words) -> Any:
    @intrinsic
    def at_address(typing_context, address, length):
        def generate(context, builder, signature, arguments):
            data = builder.inttoptr(arguments[0], cgutils.voidptr_t)
            return _made(context, builder, kind, data, arguments[1])

        return kind(types.int64, types.int64), generate

    return at_address


integers: Callable[[int, int], Any] = _at_address(Words(types.int64))
"""``integers(address, length)``: int64 words that stand there."""

reals: Callable[[int, int], Any] = _at_address(Words(types.float64))
"""``reals(address, length)``: float64 words that stand there."""


def records(dtype: np.dtype[Any]) -> Callable[[int, int], Any]:
    """A function like `integers` for records of a structured dtype."""
    made: Callable[[int, int], Any] = _at_address(Words(from_dtype(dtype)))
    return made


def _part() -> Any:
    @intrinsic
    def part(typing_context, words, offset):
        if not isinstance(words, Words):
            return None

        def generate(context, builder, signature, arguments):
            kind = signature.args[0]
            whole = cgutils.create_struct_proxy(kind)(context, builder, value=arguments[0])
            moved = builder.mul(arguments[1], ir.Constant(_INT64, kind.itemsize))
            data = builder.gep(whole.data, [moved])
            return _made(context, builder, kind, data, builder.sub(whole.length, arguments[1]))

        return words(words, types.int64), generate

    return part


def _address_in() -> Any:
    @intrinsic
    def address_in(typing_context, words, index):
        if not isinstance(words, Words):
            return None

        def generate(context, builder, signature, arguments):
            kind = signature.args[0]
            data = cgutils.create_struct_proxy(kind)(context, builder, value=arguments[0]).data
            moved = builder.mul(arguments[1], ir.Constant(_INT64, kind.itemsize))
            return builder.ptrtoint(builder.gep(data, [moved]), _INT64)

        return types.intp(words, types.int64), generate

    return address_in


part: Callable[[Any, int], Any] = _part()
"""``part(words, offset)``: what begins ``offset`` elements further on."""

address_in: Callable[[Any, int], int] = _address_in()
"""``address_in(words, index)``: the address of one element, as ``channels.native.address_of`` is of an array's."""


def _prefetch() -> Any:
    @intrinsic
    def prefetch(typing_context, words, index):
        if not isinstance(words, Words):
            return None

        def generate(context, builder, signature, arguments):
            kind = signature.args[0]
            data = cgutils.create_struct_proxy(kind)(context, builder, value=arguments[0]).data
            at = builder.gep(data, [builder.mul(arguments[1], ir.Constant(_INT64, kind.itemsize))])
            flag = ir.IntType(32)
            hint = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, flag, flag, flag])
            function = cgutils.get_or_insert_function(builder.module, hint, "llvm.prefetch.p0")
            builder.call(function, [at, flag(0), flag(3), flag(1)])  # to read, into every cache, data
            return context.get_dummy_value()

        return types.none(words, types.int64), generate

    return prefetch


prefetch: Callable[[Any, int], None] = _prefetch()
"""``prefetch(words, index)``: fetch an element into the cache meanwhile; it need not exist."""
