"""From kernels to one piece of machine code with one C function, made in two seconds and kept on disk.

Rule: the kernels' own source is compiled, unchanged: the functions that workers, gate and venue run through numba as
usual. What differs is the shape: all of them go into one module, typed on `kernel_types.Words`, so nothing is compiled
twice, wrapped for the interpreter, or optimised before everything that calls it is known. LLVM then inlines what is
called once and drops what nobody looks at.

numba's compiler is driven below its public surface here, in this module only: `compile_extra` into a library of our
own, and the C function around the result. The bytes are kept under a hash of every source of the package; bitcode that
comes with the package (`shipped_code`) takes the place of compiling.
"""

import builtins
import contextlib
import copy
import ctypes
import functools
import gc
import hashlib
import sys
import types as python_types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import codegen, compiler, registry
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import PassManager
from numba.core.datamodel import models, register_default
from numba.core.dispatcher import Dispatcher
from numba.core.typed_passes import (
    AnnotateTypes,
    NativeLowering,
    NoPythonBackend,
    NopythonTypeInference,
    PreLowerStripPhis,
)
from numba.core.typing import Context as TypingContext
from numba.core.untyped_passes import FixupArgs, IRProcessing, ReconstructSSA, TranslateByteCode
from numpy.typing import NDArray

from pairsim.channels import native
from pairsim.research import shipped_code
from pairsim.research.kernel_types import Words, address_in
from pairsim.strategies import object_store
from pairsim.strategies.machine_code import cpu_identity

__all__ = [
    "address",
    "bitcode_of",
    "block",
    "c_function",
    "name_of",
    "portable_key",
    "python_callable",
    "python_kernel",
]

_INT64: Final = ir.IntType(64)
_ENTRY: Final = "pairsim_kernel"
_DEPTH: Final = 5_000
_OPTIMISE: Final = {"opt": 2, "loop_vectorize": True, "slp_vectorize": False}
_EXCHANGED: Final[dict[int, Any]] = {id(native.address_of): address_in}


def c_function(kernel: Callable[[int], int]) -> int:
    """Address of a C function ``int64 f(int64)`` that runs a kernel, on a block of words by its address.

    Parameters
    ----------
    kernel : one of this package's, compiled with every kernel it calls.
    """
    return _loaded(kernel)[0]


@functools.cache
def _loaded(kernel: Callable[[int], int]) -> tuple[int, Any]:
    key = hashlib.sha256(f"{_sources()} {name_of(kernel)}".encode()).hexdigest()
    machine = cpu_identity()
    kept = object_store.read(key, machine)
    if kept is None:
        bitcode = shipped_code.read(name_of(kernel), portable_key()) or bitcode_of(kernel)
        kept = object_store.wrap(_object_code(bitcode), machine)
        object_store.write(key, kept)
    return _load(object_store.unwrap(kept, machine))


def name_of(kernel: Any) -> str:
    """The name of a kernel in this package."""
    return f"{kernel.__module__}.{kernel.__qualname__}"


def portable_key() -> str:
    """What bitcode depends on: the sources, their compilers, and the kind of machine, but not the CPU."""
    return f"{_sources()} {llvm.get_default_triple()}"


@functools.cache
def _sources() -> str:
    """A hash of all that the code could depend on."""
    digest = hashlib.sha256(f"{numba.__version__} {llvm.llvm_version_info} {np.__version__}".encode())
    root = Path(__file__).resolve().parents[1]
    for path in sorted(root.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _load(code: bytes) -> tuple[int, Any]:
    """The address and what keeps it valid. The code calls nothing outside but libm, which is there."""
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return int(engine.get_function_address(_ENTRY)), engine


# --- compiling -----------------------------------------------------------------------------------------------------


class _Library(codegen.CPUCodeLibrary):
    """Where the IR of all kernels is gathered; optimised once, at the end."""

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout


class _Pipeline(compiler.CompilerBase):
    """The passes that kernels need: no rewriting of closures, literals, comprehensions or array expressions."""

    def define_pipelines(self) -> list[Any]:
        manager = PassManager("kernels")
        for step in _PASSES:
            manager.add_pass(step, step.__name__)
        manager.finalize()
        return [manager]


_PASSES: Final = (
    TranslateByteCode, FixupArgs, IRProcessing, ReconstructSSA, NopythonTypeInference, PreLowerStripPhis,
    AnnotateTypes, NativeLowering, NoPythonBackend,
)  # fmt: skip


class _Remembering(TypingContext):
    """numba's typing, that asks once what an operator makes of the same types: kernels ask thousands of times."""

    _answers: dict[Any, Any]

    def resolve_function_type(self, func: Any, args: Any, kws: Any) -> Any:
        if kws or isinstance(func, _KernelType) or not all(isinstance(kind, _PLAIN) for kind in args):
            return super().resolve_function_type(func, args, kws)
        key = func, args
        if key not in self._answers:
            self._answers[key] = super().resolve_function_type(func, args, kws)
        return self._answers[key]


_PLAIN: Final = (types.Integer, types.Float, types.Boolean, Words)


class _Kernel:
    """A kernel inside other kernels: compiled into their library when its argument types are known."""

    def __init__(self, linker: "_Linker", function: python_types.FunctionType, inline: bool) -> None:
        self.function, self.inline, self._linker = function, inline, linker
        self._numba_type_ = _KernelType(self)
        self._signatures: dict[tuple[Any, ...], Any] = {}
        self._keys: dict[tuple[Any, ...], object] = {}

    def signature(self, arguments: tuple[Any, ...]) -> Any:
        """The signature for these argument types, literal or not: one compilation serves both."""
        plain = tuple(types.unliteral(kind) for kind in arguments)
        if plain not in self._signatures:
            compiled = self._linker.compile(self.function, plain, self.inline)
            self._keys[plain] = key = object()
            self._linker.context.insert_user_function(key, compiled.fndesc)
            self._signatures[plain] = compiled.signature
        return self._signatures[plain]

    def key(self, arguments: tuple[Any, ...]) -> object:
        """Under which numba finds the compiled function."""
        return self._keys[arguments]


class _KernelType(types.Callable, types.Dummy):
    """The type of a kernel as a global of another."""

    def __init__(self, kernel: _Kernel) -> None:
        self.kernel = kernel
        super().__init__(f"Kernel({kernel.function.__qualname__}, {id(kernel)})")

    def get_call_type(self, context: Any, args: Any, kws: Any) -> Any:
        assert not kws, f"{self.kernel.function.__qualname__} is called with keywords"
        return self.kernel.signature(tuple(args))

    def get_call_signatures(self) -> Any:
        return list(self.kernel._signatures.values()), False

    def get_impl_key(self, sig: Any) -> Any:
        return self.kernel.key(sig.args)


register_default(_KernelType)(models.OpaqueModel)


class _Linker:
    """Compiles a kernel and what it calls into one library."""

    def __init__(self) -> None:
        target = registry.cpu_target
        target.typing_context.refresh()
        target.target_context.refresh()
        self.context = target.target_context
        self.typing = copy.copy(target.typing_context)
        self.typing.__class__ = _Remembering
        self.typing._answers = {}
        self.library = _Library(self.context.codegen(), "pairsim.kernels")
        self._kernels: dict[int, _Kernel] = {}

    def compile(self, function: python_types.FunctionType, arguments: tuple[Any, ...], inline: bool) -> Any:
        """One function for some argument types; its IR goes into the library."""
        flags = compiler.Flags()
        flags.error_model = "numpy"
        flags.nrt = False
        flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
        flags.forceinline = inline
        return compiler.compile_extra(
            self.typing, self.context, function, arguments, None, flags, {}, self.library, _Pipeline
        )

    def linked(self, function: python_types.FunctionType) -> python_types.FunctionType:
        """A copy of a function whose kernels are those of this linker."""
        scope: dict[str, Any] = {"__name__": function.__module__, "__builtins__": builtins}
        for name in _names(function.__code__):
            if name in function.__globals__:
                scope[name] = self._value(function.__globals__[name])
        copy = python_types.FunctionType(function.__code__, scope, function.__name__, function.__defaults__)
        copy.__qualname__ = function.__qualname__
        return copy

    def _value(self, value: Any) -> Any:
        if id(value) in _EXCHANGED:
            return _EXCHANGED[id(value)]
        if isinstance(value, Dispatcher):
            return self._kernel(value.py_func, bool(value.targetoptions.get("forceinline")))
        if isinstance(value, python_types.FunctionType) and value.__module__.startswith("pairsim."):
            return self._kernel(value, True)
        return value

    def _kernel(self, function: python_types.FunctionType, inline: bool) -> _Kernel:
        if id(function) not in self._kernels:
            self._kernels[id(function)] = _Kernel(self, self.linked(function), inline)
        return self._kernels[id(function)]


def _names(code: python_types.CodeType) -> set[str]:
    """All names of a function's code, attributes too: one that is no global is not found there."""
    return set(code.co_names)


@contextlib.contextmanager
def _room_to_compile() -> Iterator[None]:
    """Without the garbage collector, which finds nothing here and takes a tenth of the time; and with a deeper stack:
    a kernel is compiled while the one that calls it is, 60 frames further up."""
    was_on, depth = gc.isenabled(), sys.getrecursionlimit()
    gc.disable()
    sys.setrecursionlimit(max(depth, _DEPTH))
    try:
        yield
    finally:
        sys.setrecursionlimit(depth)
        if was_on:
            gc.enable()


@global_compiler_lock
@_room_to_compile()
def bitcode_of(kernel: Callable[[int], int]) -> bytes:
    """Optimised bitcode of a kernel of one int64: compiles it."""
    linker = _Linker()
    function: Any = getattr(kernel, "py_func", kernel)
    compiled = linker.compile(linker.linked(function), (types.int64,), False)
    library = linker.library
    library.add_ir_module(_entry(linker.context, compiled))
    module = library._final_module
    for other in dict.fromkeys(library._linking_libraries):
        module.link_in(other._get_module_for_linking(), preserve=True)
    for defined in module.functions:
        if not defined.is_declaration and defined.name != _ENTRY:
            defined.linkage = "internal"
    passes, builder = library.codegen._module_pass_manager(**_OPTIMISE)
    passes.run(module, builder)
    return bytes(module.as_bitcode())


@global_compiler_lock
def _object_code(bitcode: bytes) -> bytes:
    """Machine code of bitcode for this CPU."""
    module = llvm.parse_bitcode(bitcode)
    module.verify()
    return bytes(registry.cpu_target.target_context.codegen()._tm.emit_object(module))


def _entry(context: Any, compiled: Any) -> Any:
    """The C function: calls the kernel and returns what it returns (no kernel raises)."""
    module = context.create_module("entry")
    descriptor = compiled.fndesc
    kernel_type = context.call_conv.get_function_type(descriptor.restype, descriptor.argtypes)
    kernel = ir.Function(module, kernel_type, descriptor.llvm_func_name)
    entry = ir.Function(module, ir.FunctionType(_INT64, [_INT64]), _ENTRY)
    builder = ir.IRBuilder(entry.append_basic_block("entry"))
    _, result = context.call_conv.call_function(
        builder, kernel, descriptor.restype, descriptor.argtypes, list(entry.args)
    )
    builder.ret(result)
    return module


def python_callable(address: int) -> Callable[[int], int]:
    """The C function at an address for Python; it runs without the GIL."""
    made: Callable[[int], int] = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(address)
    return made


@functools.cache
def python_kernel(kernel: Callable[[int], int]) -> Callable[[NDArray[np.int64]], int]:
    """A kernel as a function of the block of words it takes."""
    function = python_callable(c_function(kernel))
    return lambda words: function(address(words))


def block(*words: int) -> NDArray[np.int64]:
    """Numbers and addresses as a kernel takes them; whoever makes it keeps the arrays."""
    return np.array(words, np.int64)


def address(array: np.ndarray) -> int:
    """Where an array's elements stand."""
    return int(array.ctypes.data)
