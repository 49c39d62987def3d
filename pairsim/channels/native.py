"""The machine under the kernels: addresses, a block copy and a call by address, as numba intrinsics.

The rule: no address is ever part of compiled code. Addresses are arguments, and libc functions are declared by name
in the IR, because a kernel that holds a ctypes pointer never hits numba's disk cache.

All of this works inside ``@njit`` functions only. An address is a promise of the caller: nothing checks it, and it
does not keep its array alive.
"""

import operator
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models, register_default
from numba.core.errors import TypingError
from numba.core.imputils import lower_builtin
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array
from numpy.typing import NDArray

__all__ = [
    "MAX_CALL_ARGUMENTS",
    "Words",
    "address_of",
    "call",
    "copy_words",
    "from_front",
    "get_word",
    "part",
    "pointer",
    "reals",
    "set_word",
]

Words: TypeAlias = NDArray[np.int64]
"""One-dimensional array of int64: all shared memory is seen as words."""

# What the x86-64 C calling convention passes in registers, and as many as any step or generate takes.
MAX_CALL_ARGUMENTS = 6

INT64 = ir.IntType(64)


class _FromFront(types.Array):
    """A vector of words whose index counts from the front, never from the end."""

    def __init__(self, dtype: Any, mutable: bool) -> None:
        name = f"FromFront({dtype}{'' if mutable else ', read-only'})"
        super().__init__(dtype, 1, "C", readonly=not mutable, name=name)


register_default(_FromFront)(models.ArrayModel)


@lower_builtin(operator.getitem, _FromFront, types.Integer)
def _load_from_front(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return builder.load(_element(context, builder, signature, arguments))


@lower_builtin(operator.setitem, _FromFront, types.Integer, types.Any)
def _store_from_front(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array, _, given = signature.args
    builder.store(
        context.cast(builder, arguments[2], given, array.dtype), _element(context, builder, signature, arguments)
    )
    return context.get_dummy_value()


def _element(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.gep(array.data, [as_int64(context, builder, signature, arguments, 1)])


def _from_front() -> Any:
    @intrinsic
    def from_front(typing_context, array):
        words = isinstance(array, types.Array) and array.dtype in (types.int64, types.float64)
        if not (words and array.layout == "C"):
            raise TypingError(f"from_front: needs a contiguous array of int64 or float64, got {array}")

        def generate(context, builder, signature, arguments):
            given = context.make_array(signature.args[0])(context, builder, arguments[0])
            return _made(context, builder, signature.return_type, given.data, given.nitems)

        return _FromFront(array.dtype, array.mutable)(array), generate

    return from_front


def _reals() -> Any:
    @intrinsic
    def reals(typing_context, words):
        if not isinstance(words, _FromFront):
            raise TypingError(f"reals: needs what from_front returns, got {words}")

        def generate(context, builder, signature, arguments):
            given = context.make_array(signature.args[0])(context, builder, arguments[0])
            data = builder.bitcast(given.data, ir.DoubleType().as_pointer())
            return _made(context, builder, signature.return_type, data, given.nitems)

        return _FromFront(types.float64, words.mutable)(words), generate

    return reals


def _part() -> Any:
    @intrinsic
    def part(typing_context, words, offset):
        if not isinstance(words, _FromFront):
            raise TypingError(f"part: needs what from_front returns, got {words}")
        require_integers("part", offset)

        def generate(context, builder, signature, arguments):
            moved = as_int64(context, builder, signature, arguments, 1)
            whole = context.make_array(signature.args[0])(context, builder, arguments[0])
            data = builder.gep(whole.data, [moved])
            return _made(context, builder, signature.return_type, data, builder.sub(whole.nitems, moved))

        return words(words, offset), generate

    return part


def _made(context: Any, builder: Any, kind: _FromFront, data: Any, length: Any) -> Any:
    made = context.make_array(kind)(context, builder)
    word = INT64(8)
    populate_array(made, data=data, shape=[length], strides=[word], itemsize=word, meminfo=None)
    return made._getvalue()


def _pointer() -> Any:
    @intrinsic
    def pointer(typing_context, address):
        def generate(context, builder, signature, arguments):
            return builder.inttoptr(arguments[0], cgutils.voidptr_t)

        return types.voidptr(types.intp), generate

    return pointer


def _address_of() -> Any:
    @intrinsic
    def address_of(typing_context, array, index):
        require_vector("address_of", array)
        require_integers("address_of", index)

        def generate(context, builder, signature, arguments):
            return builder.ptrtoint(word_pointer(context, builder, signature, arguments, 1), INT64)

        return types.intp(array, index), generate

    return address_of


def _copy_words() -> Any:
    @intrinsic
    def copy_words(typing_context, array, destination, source, count):
        require_vector("copy_words", array, writable=True)
        require_integers("copy_words", destination, source, count)

        def generate(context, builder, signature, arguments):
            to = word_pointer(context, builder, signature, arguments, 1)
            come_from = word_pointer(context, builder, signature, arguments, 2)
            words = as_int64(context, builder, signature, arguments, 3)
            cgutils.raw_memmove(builder, to, come_from, words, 8)
            return context.get_dummy_value()

        return types.void(array, destination, source, count), generate

    return copy_words


def _get_word() -> Any:
    @intrinsic
    def get_word(typing_context, array, index):
        require_vector("get_word", array, matrix=True)
        require_integers("get_word", index)

        def generate(context, builder, signature, arguments):
            return builder.load(word_pointer(context, builder, signature, arguments, 1), align=8)

        return types.int64(array, index), generate

    return get_word


def _set_word() -> Any:
    @intrinsic
    def set_word(typing_context, array, index, value):
        require_vector("set_word", array, matrix=True, writable=True)
        require_integers("set_word", index, value)

        def generate(context, builder, signature, arguments):
            word = as_int64(context, builder, signature, arguments, 2)
            builder.store(word, word_pointer(context, builder, signature, arguments, 1), align=8)
            return context.get_dummy_value()

        return types.void(array, index, value), generate

    return set_word


def _call() -> Any:
    @intrinsic
    def call(typing_context, address, *arguments):
        require_integers("call", address, *arguments)
        if len(arguments) > MAX_CALL_ARGUMENTS:
            raise TypingError(
                f"call: {len(arguments)} arguments, at most {MAX_CALL_ARGUMENTS}: pass the address of a block"
            )
        passed = types.StarArgTuple(arguments)

        def generate(context, builder, signature, values):
            function = ir.FunctionType(INT64, [INT64] * len(arguments)).as_pointer()
            given = [
                context.cast(builder, value, kind, types.int64)
                for value, kind in zip(cgutils.unpack_tuple(builder, values[1], len(arguments)), arguments, strict=True)
            ]
            return builder.call(builder.inttoptr(values[0], function), given)

        return types.int64(types.intp, passed), generate

    return call


# ---------------------------------------------------------------- shared with the other modules of this package


def require_vector(name: str, array: types.Type, *, writable: bool = False, matrix: bool = False) -> None:
    """Refuse, while compiling, what is not a contiguous vector (or matrix) of 8-byte words."""
    kind = array if isinstance(array, types.Array) else None
    if kind is None or kind.layout != "C" or kind.dtype not in (types.int64, types.float64):
        raise TypingError(f"{name}: needs a contiguous array of int64 words (or its float64 view), got {array}")
    if kind.ndim != 1 and not (matrix and kind.ndim == 2):
        raise TypingError(f"{name}: needs a vector, got {array}")
    if writable and not kind.mutable:
        raise TypingError(f"{name}: this memory is attached read-only; attach with writable=True to write")


def require_integers(name: str, *kinds: types.Type) -> None:
    """Refuse a float where a word is meant: it would be converted, not stored bit for bit."""
    for kind in kinds:
        if not isinstance(kind, types.Integer | types.Boolean | types.IntegerLiteral):
            raise TypingError(
                f"{name}: needs integers, got {kind}; store a float through the float64 view of the words"
            )


def as_int64(context: Any, builder: Any, signature: Any, arguments: Any, position: int) -> Any:
    """Argument `position` as an IR int64, whatever integer it is."""
    return context.cast(builder, arguments[position], signature.args[position], types.int64)


def word_pointer(context: Any, builder: Any, signature: Any, arguments: Any, position: int) -> Any:
    """IR pointer to the word whose index is argument `position` of the array that is argument 0."""
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    words = builder.bitcast(array.data, INT64.as_pointer())
    return builder.gep(words, [as_int64(context, builder, signature, arguments, position)])


from_front: Callable[[NDArray[Any]], NDArray[Any]] = _from_front()
"""``from_front(array)``: all elements in C order as a vector whose index is never negative. numba counts a negative one
from the end, so each access asks for its sign: a third of the instructions of a loop that does little else."""

reals: Callable[[NDArray[np.int64]], NDArray[np.float64]] = _reals()
"""``reals(words)``: the same words as float64, of what `from_front` returned; one pointer serves both."""

part: Callable[[NDArray[Any], int], NDArray[Any]] = _part()
"""``part(words, offset)``: what begins `offset` elements further on, of what `from_front` returned."""

pointer: Callable[[int], Any] = _pointer()
"""``pointer(address)``: an address as the ``voidptr`` that ``numba.carray`` takes."""

address_of: Callable[[NDArray[Any], int], int] = _address_of()
"""``address_of(array, index)``: the address of one word. It does not keep the array alive."""

copy_words: Callable[[NDArray[Any], int, int, int], None] = _copy_words()
"""``copy_words(array, destination, source, count)``: memmove within one array; a constant count becomes vector
moves."""

get_word: Callable[[NDArray[Any], int], int] = _get_word()
"""``get_word(array, index)``: the bits of one element as int64, also of floats. `index` counts elements in C order. (A
``.view`` inside a kernel would do the same, but counts references: 20 ns.)"""

set_word: Callable[[NDArray[Any], int, int], None] = _set_word()
"""``set_word(array, index, value)``: put bits into one element; see `get_word`."""

call: Callable[..., int] = _call()
"""``call(address, *arguments)``: call the C function at an address with 0 to 6 intp arguments; it returns int64."""
