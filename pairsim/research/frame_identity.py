"""Which memory a polars frame shows: so that a table that was checked once is known again in microseconds.

Rule: two equal answers mean the same bytes, as long as whoever compares keeps the columns of the first: polars never
writes into memory that somebody else holds. The addresses come through the Arrow C stream interface, which is public
and copies nothing (https://arrow.apache.org/docs/format/CStreamInterface.html).
"""

import ctypes
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import polars as pl

Identity: TypeAlias = tuple[tuple[str, tuple[tuple[int, ...], ...]], ...]


class _Array(ctypes.Structure):
    """ArrowArray."""

    _fields_ = (
        ("length", ctypes.c_int64),
        ("null_count", ctypes.c_int64),
        ("offset", ctypes.c_int64),
        ("n_buffers", ctypes.c_int64),
        ("n_children", ctypes.c_int64),
        ("buffers", ctypes.POINTER(ctypes.c_void_p)),
        ("children", ctypes.c_void_p),
        ("dictionary", ctypes.c_void_p),
        ("release", ctypes.c_void_p),
        ("private_data", ctypes.c_void_p),
    )


class _Stream(ctypes.Structure):
    """ArrowArrayStream."""

    _fields_ = (
        ("get_schema", ctypes.c_void_p),
        ("get_next", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(_Array))),
        ("get_last_error", ctypes.c_void_p),
        ("release", ctypes.c_void_p),  # called by the capsule
        ("private_data", ctypes.c_void_p),
    )


_release = ctypes.CFUNCTYPE(None, ctypes.POINTER(_Array))
_address_in = ctypes.pythonapi.PyCapsule_GetPointer
_address_in.restype = ctypes.c_void_p
_address_in.argtypes = (ctypes.py_object, ctypes.c_char_p)


def identity_of(frame: "pl.DataFrame") -> Identity:
    """For each column its name and, chunk by chunk, length, offset and the addresses of its buffers."""
    return tuple((series.name, _chunks(series)) for series in frame.get_columns())


def _chunks(series: Any) -> tuple[tuple[int, ...], ...]:
    capsule = series.__arrow_c_stream__()
    address = _address_in(capsule, b"arrow_array_stream")
    stream = _Stream.from_address(address)
    found: list[tuple[int, ...]] = []
    while True:
        array = _Array()
        if stream.get_next(address, ctypes.byref(array)) or not array.release:
            return tuple(found)
        buffers = (array.buffers[k] or 0 for k in range(array.n_buffers))
        found.append((array.length, array.offset, *buffers))
        _release(array.release)(ctypes.byref(array))
