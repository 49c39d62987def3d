"""What the indicators of this package share: their own kernel for a whole column, and one meaning of a missing value.

The rule for NaN and infinity in the input: such a candle has no value, and the indicator begins anew with the next
one, as if the series began there. It holds for every indicator here, streaming and whole: after a gap at `k` the
values are those of the series from `k + 1` on.
"""

import threading
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np
from numba import cfunc, types

from pairsim.errors import InputError
from pairsim.indicators.abi import COLUMNS, STEP, FloatArray
from pairsim.indicators.indicator import Indicator

__all__ = ["INPUT", "BuiltIn", "compiled"]

INPUT: Final = types.Array(types.float64, 1, "C", readonly=True)

_STEPS: dict[type, Any] = {}
_READY: set[tuple[Any, str]] = set()
_COMPILING = threading.Lock()


def compiled(kernel: Any, outputs: Sequence[FloatArray], *arguments: Any) -> Any:
    """`kernel` ready for these argument types and outputs, which come last.

    Compiled here and not by the decorator, where it would happen at import; and for outputs that are contiguous or not
    and inputs that are read-only, not for each combination that comes along. Without the JIT it is a plain function.
    """
    layout = "C" if all(each.flags.c_contiguous for each in outputs) else "A"
    if (kernel, layout) not in _READY:
        with _COMPILING:
            if hasattr(kernel, "compile"):
                kernel.disable_compile(False)
                kernel.compile((*arguments, *[types.Array(types.float64, 1, layout)] * len(outputs)))
                kernel.disable_compile()
            _READY.add((kernel, layout))
    return kernel


class BuiltIn(Indicator):
    """An indicator that brings a kernel for whole columns (`_batch`) and a step in C signature (`_step`)."""

    _step: ClassVar[Any]  # a staticmethod: what mypy makes of one in a ClassVar loses an argument

    @abstractmethod
    def _batch(self, inputs: Sequence[FloatArray], outputs: Sequence[FloatArray]) -> bool:
        """Fill the outputs from inputs that are all finite; false (and outputs of no use) if one was not."""

    @property
    def columns(self) -> tuple[str, ...]:
        return (getattr(self, "source", "close"),)

    @property
    def window_words(self) -> int:
        return 0

    def step_address(self) -> int:
        kind = type(self)
        if kind not in _STEPS:
            _STEPS[kind] = cfunc(STEP, cache=True, error_model="numpy")(kind._step)
        return int(_STEPS[kind].address)

    def batch_into(self, columns: Sequence[FloatArray], out: FloatArray) -> None:
        inputs = [np.ascontiguousarray(columns[COLUMNS.index(name)], dtype=np.float64) for name in self.columns]
        size = inputs[0].size
        if any(array.shape != (size,) for array in inputs):
            raise InputError(
                f"{self!r}: columns of shapes {[array.shape for array in inputs]}; all must be of one length"
            )
        if out.shape != (size, len(self.fields)) or out.dtype != np.float64:
            raise InputError(
                f"{self!r}: out is {out.dtype}{list(out.shape)}, must be float64[{size}, {len(self.fields)}]"
            )
        self.fill(inputs, [out[:, k] for k in range(len(self.fields))])

    def fill(self, inputs: Sequence[FloatArray], outputs: Sequence[FloatArray]) -> None:
        """`batch_into` with only the columns that it reads, contiguous, and an array for each output, unchecked."""
        if not self._batch(inputs, outputs):
            self._begin_anew(inputs, outputs)

    def _begin_anew(self, inputs: Sequence[FloatArray], outputs: Sequence[FloatArray]) -> None:
        """The slow way: every run of finite candles for itself, NaN between them."""
        finite = np.logical_and.reduce([np.isfinite(array) for array in inputs])
        edges = np.flatnonzero(np.diff(finite, prepend=False, append=False))
        for output in outputs:
            output[:] = np.nan
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            self._batch([array[start:stop] for array in inputs], [output[start:stop] for output in outputs])
