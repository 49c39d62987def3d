"""The C function in front of a plain-Python strategy: builds ``ctx`` with the interpreter's C API and calls a function.

Rule: it decides nothing and handles no error; the Python function behind it does both. A ctypes callback that unpacks
the words in Python took 1.05 us a candle for the shipped RSI, this takes half of it: reading 20 words and making three
tuples is what costs, and here that is 20 calls of C functions.
"""

from collections.abc import Callable
from typing import Any, Final

import llvmlite.binding as llvm
from llvmlite import ir

from pairsim.strategies.context import POSITION_FIELDS, POSITION_WORD, Layout, Position, context_class

__all__ = ["PlainEntry"]

SYMBOL: Final = "pairsim_plain"
_INT: Final = ir.IntType(32)
_INT64: Final = ir.IntType(64)
_DOUBLE: Final = ir.DoubleType()
_OBJECT: Final = ir.IntType(8).as_pointer()

_API: Final = {
    "PyGILState_Ensure": ir.FunctionType(_INT, []),
    "PyGILState_Release": ir.FunctionType(ir.VoidType(), [_INT]),
    "PyType_GenericAlloc": ir.FunctionType(_OBJECT, [_OBJECT, _INT64]),
    "PyTuple_SetItem": ir.FunctionType(_INT, [_OBJECT, _INT64, _OBJECT]),
    "PyFloat_FromDouble": ir.FunctionType(_OBJECT, [_DOUBLE]),
    "PyLong_FromLongLong": ir.FunctionType(_OBJECT, [_INT64]),
    "PyLong_AsLongLong": ir.FunctionType(_INT64, [_OBJECT]),
    "PyObject_Vectorcall": ir.FunctionType(_OBJECT, [_OBJECT, _OBJECT.as_pointer(), _INT64, _OBJECT]),
    "PyErr_WriteUnraisable": ir.FunctionType(ir.VoidType(), [_OBJECT]),
    "Py_DecRef": ir.FunctionType(ir.VoidType(), [_OBJECT]),
}


class PlainEntry:
    """A C function ``generate(self, view, values, previous, out)`` that calls ``decide(self, ctx, out)``.

    Parameters
    ----------
    layout : of ``ctx``.
    decide : takes the address of the record, ``ctx`` and the address for the signals, returns their number or -1 and
        never raises.
    """

    def __init__(self, layout: Layout, decide: Callable[[int, Any, int], int]) -> None:
        self._alive = (context_class(layout), Position, decide)  # the code holds their addresses
        module = _module(layout, *(id(thing) for thing in self._alive))
        machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(str(module)), machine)
        self._engine.finalize_object()
        self.address = int(self._engine.get_function_address(SYMBOL))


class _Emitter:
    """Calls of the C API."""

    def __init__(self, module: Any, builder: Any) -> None:
        self.builder = builder
        self._functions = {name: ir.Function(module, kind, name) for name, kind in _API.items()}

    def call(self, name: str, *args: Any) -> Any:
        return self.builder.call(self._functions[name], args)

    def known(self, address: int) -> Any:
        """An object that exists while the code does."""
        return ir.Constant(_INT64, address).inttoptr(_OBJECT)

    def word(self, address: Any, index: int, kind: Any = _DOUBLE) -> Any:
        """A word in memory as a Python number."""
        place = self.builder.add(address, ir.Constant(_INT64, 8 * index))
        value = self.builder.load(self.builder.inttoptr(place, kind.as_pointer()))
        return self.call("PyFloat_FromDouble" if kind is _DOUBLE else "PyLong_FromLongLong", value)

    def filled(self, kind: int, items: list[Any]) -> Any:
        """A new tuple of a subclass; takes over the items."""
        made = self.call("PyType_GenericAlloc", self.known(kind), ir.Constant(_INT64, len(items)))
        for index, item in enumerate(items):
            self.call("PyTuple_SetItem", made, ir.Constant(_INT64, index), item)
        return made


def _module(layout: Layout, context: int, position: int, decide: int) -> Any:
    """Running out of memory for a float is not handled: Python itself does not survive that either."""
    module = ir.Module(name=SYMBOL)
    function = ir.Function(module, ir.FunctionType(_INT64, [_INT64] * 5), SYMBOL)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    emit = _Emitter(module, builder)
    record, view, values, previous, out = function.args
    lock = emit.call("PyGILState_Ensure")
    outputs = layout.outputs * layout.markets
    items = [emit.word(view, i, _INT64 if i < 2 else _DOUBLE) for i in range(layout.view_words)]
    items += [emit.word(block, i) for block in (values, previous) for i in range(outputs)]
    place = [emit.word(view, POSITION_WORD + i) for i in range(len(POSITION_FIELDS))]
    ctx = emit.filled(context, [*items, emit.filled(position, place)])
    args = [emit.call("PyLong_FromLongLong", record), ctx, emit.call("PyLong_FromLongLong", out)]
    block = builder.alloca(_OBJECT, len(args))
    for index, arg in enumerate(args):
        builder.store(arg, builder.gep(block, [ir.Constant(_INT, index)]))
    none = ir.Constant(_OBJECT, None)
    answer = emit.call("PyObject_Vectorcall", emit.known(decide), block, ir.Constant(_INT64, len(args)), none)
    for arg in args:
        emit.call("Py_DecRef", arg)
    with builder.if_then(builder.icmp_unsigned("==", answer, none), likely=False):  # an interrupt in our own lines
        emit.call("PyErr_WriteUnraisable", emit.known(decide))
        emit.call("PyGILState_Release", lock)
        builder.ret(ir.Constant(_INT64, -1))
    count = emit.call("PyLong_AsLongLong", answer)
    emit.call("Py_DecRef", answer)
    emit.call("PyGILState_Release", lock)
    builder.ret(count)
    return module
