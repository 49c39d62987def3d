"""From a method to bytes of machine code and back: the one module that touches numba's and llvmlite's inner parts.

Rule: what leaves this module is position independent object code with one symbol, `generate`, under the C signature
``int64 generate(intp self, intp view, intp values, intp previous, intp out)``. It refers to nothing of the process
that made it, so any process on the same kind of CPU can load it.
"""

import types as python_types
from functools import cache
from typing import Any, Final

import llvmlite.binding as llvm
from llvmlite import ir
from numba import njit, types
from numba.core import compiler, registry
from numba.core import ir as numba_ir
from numba.core.codegen import get_host_cpu_features
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.runtime import rtsys
from numba.core.typed_passes import NopythonTypeInference

from pairsim.errors import StrategyError
from pairsim.strategies.compiled_arithmetic import faithful_function, faithful_operator
from pairsim.strategies.compiled_signal import SIGNAL_TYPE
from pairsim.strategies.compiled_types import ContextType, SelfType, context_value, stored_type
from pairsim.strategies.context import Layout
from pairsim.strategies.freezing import Freezer
from pairsim.strategies.refusals import NotCompilable, refuse_unfaithful
from pairsim.strategies.scan_entry import SCAN_SYMBOL, add_scan
from pairsim.strategies.signal import HOLD, MAX_SIGNALS, SIGNAL_WORDS
from pairsim.strategies.strategy import Strategy, fields_of

__all__ = ["compile_strategy", "cpu_identity", "load_object"]

SYMBOL: Final = "pairsim_generate"
_INT64: Final = ir.IntType(64)


@register_pass(mutates_CFG=False, analysis_only=False)
class _PythonsMeaning(FunctionPass):
    """After typing: stores and operators are given Python's meaning.

    ``self.field = value`` keeps the type of the value: numba would convert it to the field's type before our lowering
    sees it, a float to an int silently.
    """

    _name = "pairsim_pythons_meaning"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        for block in state.func_ir.blocks.values():
            for store in block.find_insts(numba_ir.SetAttr):
                target = state.typemap[store.target.name]
                if isinstance(target, SelfType):
                    del state.calltypes[store]
                    state.calltypes[store] = stored_type(target, state.typemap[store.value.name])
            for operation in (*block.find_exprs("binop"), *block.find_exprs("inplace_binop")):
                place = "fn" if operation.op == "binop" else "immutable_fn"
                found = faithful_operator(getattr(operation, place), state.calltypes[operation])
                if found is not None:
                    setattr(operation, place, found[0])
                    del state.calltypes[operation]
                    state.calltypes[operation] = found[1]
        return True


class _Pipeline(compiler.CompilerBase):
    def define_pipelines(self) -> list[Any]:
        passes = compiler.DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(_PythonsMeaning, NopythonTypeInference)
        passes.finalize()
        return [passes]


def _compiled_helper(function: python_types.FunctionType) -> Any:
    """A dispatcher without the entry points for the interpreter and for C, which nobody will call."""
    return njit(
        boundscheck=True,
        error_model="python",
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
        pipeline_class=_Pipeline,
    )(function)


def _flags() -> Any:
    flags = compiler.Flags()
    flags.nrt = True
    flags.boundscheck = True
    flags.error_model = "python"  # dividing by zero raises, as in plain Python
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.no_compile = True  # only once the entry function has been added
    return flags


@global_compiler_lock
def compile_strategy(strategy: Strategy, layout: Layout) -> bytes:
    """Object code of a strategy's ``generate_signal``.

    Raises
    ------
    Exception
        Whatever numba and LLVM raise for what they cannot compile; the caller falls back to plain Python.
    """
    method: Any = type(strategy).generate_signal
    if isinstance(method, python_types.FunctionType):
        refuse_unfaithful(method.__code__, method.__globals__)  # before numba wakes up, which takes 0.15 s
    target = registry.cpu_target
    typing_context, context = target.typing_context, target.target_context
    typing_context.refresh()
    context.refresh()
    freezer = Freezer(
        _compiled_helper,
        known=lambda function: typing_context._lookup_global(function) is not None,
        exchanged=faithful_function,
    )
    this = SelfType(fields_of(strategy), freezer.member(strategy))
    frozen = freezer.function(method)
    try:
        compiled = compiler.compile_extra(
            typing_context, context, frozen, (this, ContextType(layout)), None, _flags(), {}, pipeline_class=_Pipeline
        )
        compiled.library.add_ir_module(_entry_module(context, compiled, layout))
        return _object_code(compiled.library)
    finally:
        this.forget()


def _entry_module(context: Any, compiled: Any, layout: Layout) -> Any:
    """The C function: calls the method with ``self`` and ``ctx`` made of its arguments and writes what it returns."""
    module = context.create_module("entry")
    descriptor = compiled.fndesc
    method_type = context.call_conv.get_function_type(descriptor.restype, descriptor.argtypes)
    method = ir.Function(module, method_type, descriptor.llvm_func_name)
    entry = ir.Function(module, ir.FunctionType(_INT64, [_INT64] * 5), SYMBOL)
    builder = ir.IRBuilder(entry.append_basic_block("entry"))
    this, view, values, previous, out = entry.args
    ctx = context_value(context, builder, layout, view, values, previous)
    status, result = context.call_conv.call_function(
        builder, method, descriptor.restype, descriptor.argtypes, [this, ctx]
    )
    with builder.if_then(status.is_error, likely=False):
        builder.ret(ir.Constant(_INT64, -1))
    with builder.if_then(status.is_none):
        builder.ret(ir.Constant(_INT64, 0))
    builder.ret(_write_signals(builder, _signals(compiled.signature.return_type), result, out))
    if layout.markets == 1:
        add_scan(module, entry, layout)
    return module


def _signals(returned: Any) -> int:
    """How many signals a return type has; -1 for a signal that is not in a tuple, 0 for None."""
    kind = returned.type if isinstance(returned, types.Optional) else returned
    if isinstance(kind, types.NoneType):
        return 0
    if kind == SIGNAL_TYPE:
        return -1
    if isinstance(kind, types.UniTuple) and kind.dtype == SIGNAL_TYPE and 1 <= kind.count <= MAX_SIGNALS:
        return int(kind.count)
    raise NotCompilable("returns something else than None, a signal or a tuple of signals")


def _write_signals(builder: Any, signals: int, result: Any, out: Any) -> Any:
    """Store the signals that are no holds one behind the other; returns their number."""
    count = ir.Constant(_INT64, 0)
    for position in range(abs(signals)):
        signal = result if signals < 0 else builder.extract_value(result, position)
        address = builder.add(out, builder.mul(count, ir.Constant(_INT64, 8 * SIGNAL_WORDS)))
        for word in range(SIGNAL_WORDS):
            value = builder.extract_value(signal, word)
            place = builder.add(address, ir.Constant(_INT64, 8 * word))
            builder.store(value, builder.inttoptr(place, value.type.as_pointer()))
        is_wish = builder.icmp_signed("!=", builder.extract_value(signal, 0), ir.Constant(_INT64, HOLD))
        count = builder.add(count, builder.zext(is_wish, _INT64))
    return count


def _object_code(library: Any) -> bytes:
    """Link, optimise and emit, with every symbol but the two entries made internal.

    numba's own ``finalize`` exports all functions under names that count upwards in each process: code from two
    processes could bind to each other's helpers. Internal functions are inlined and dropped as well.
    """
    codegen, module = library.codegen, library._final_module
    for linked in dict.fromkeys(library._linking_libraries):
        module.link_in(linked._get_module_for_linking(), preserve=True)
    for function in module.functions:
        if not function.is_declaration and function.name not in (SYMBOL, SCAN_SYMBOL):
            function.linkage = "internal"
    for variable in module.global_variables:
        if variable.name.startswith("numba.dynamic.globals"):
            raise NotCompilable("refers to an object of this process, such as an array of more than 1 MB")
    for options in ({"cost": "cheap", "slp_vectorize": False}, {}):
        passes, builder = codegen._module_pass_manager(**options)
        passes.run(module, builder)
    module.verify()
    symbols = [function.name for function in module.functions if function.is_declaration]
    outside = sorted(name for name in symbols if not name.startswith("llvm."))
    if any(name.startswith(("Py", "numba_gil")) for name in outside):
        raise NotCompilable("calls back into Python")
    return " ".join(outside).encode() + b"\0" + bytes(codegen._tm.emit_object(module))


@cache  # asking LLVM takes 0.8 ms, and every trader of a worker that begins asks
def cpu_identity() -> str:
    """What machine code depends on: architecture, CPU and its features."""
    return " ".join((llvm.get_process_triple(), llvm.get_host_cpu_name(), get_host_cpu_features()))


def _provide(symbols: list[str]) -> None:
    """Make sure that what the code calls is there: LLVM ends the process over a symbol that it cannot find."""
    for install in (
        lambda: None,
        lambda: rtsys.initialize(
            registry.cpu_target.target_context
        ),  # numba's runtime, for methods that allocate: 20 ms
        registry.cpu_target.target_context.refresh,
    ):
        install()
        missing = [name for name in symbols if llvm.address_of_symbol(name) is None]
        if not missing:
            return
    raise StrategyError(f"strategy code calls {', '.join(missing)}, unknown here; prepare the strategy again")


_loaded: dict[bytes, Any] = {}


@global_compiler_lock
def load_object(code: bytes, symbol: str = SYMBOL) -> int:
    """Address of `generate` or `scan` in this process; the code stays loaded for the life of the process. 0: not there.

    Each object has an execution engine of its own, so symbols of different strategies cannot meet.
    """
    engine = _loaded.get(code)
    if engine is None:
        symbols, _, native = code.partition(b"\0")
        machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        _provide(symbols.decode().split())
        engine.add_object_file(llvm.ObjectFileRef.from_data(native))
        engine.finalize_object()
        _loaded[code] = engine
    return int(engine.get_function_address(symbol))
