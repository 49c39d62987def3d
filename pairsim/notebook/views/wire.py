"""What goes over the wire: a JSON header and the bytes of some arrays in one buffer. Pure: values in, bytes out.

``uint32`` length of the header, header, zeros up to a multiple of eight, then each array of ``header["arrays"]`` (name,
code, count), likewise padded. Little-endian. The page's half is ``js/src/wire.js``.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Header = dict[str, Any]
Arrays = dict[str, NDArray[Any]]

# By numpy's characters: an array tells its own at once, while its type's name is put together each time (10 us).
_CODES: Final = {"d": "f8", "f": "f4", "i": "i4", "H": "u2", "B": "u1", "b": "i1"}

_json: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def encode(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """One message. Arrays of several axes are sent row by row; their shape is what the header says it is."""
    listed = [(name, _CODES[array.dtype.char], array.size) for name, array in arrays.items()]
    text = _json({**header, "arrays": listed}).encode()
    parts = [len(text).to_bytes(4, "little") + text]
    parts += [np.ascontiguousarray(array).tobytes() for array in arrays.values()]
    return b"".join(part + bytes(-len(part) % 8) for part in parts)


def milliseconds(time_ns: ArrayLike) -> NDArray[np.float64]:
    """Times as the page counts them: float64 holds milliseconds since 1970 to a quarter of a microsecond."""
    return np.asarray(time_ns, dtype=np.int64) / 1e6


def number(value: float | None) -> float | None:
    """A number for a header: JSON has no NaN and no infinity."""
    return value if value is not None and math.isfinite(value) else None


def words(texts: list[str]) -> tuple[list[str], NDArray[Any]]:
    """Texts as the different ones among them and, for each, which it is: statuses and names repeat."""
    known: dict[str, int] = {}
    codes = [known.setdefault(text, len(known)) for text in texts]
    kind = np.uint8 if len(known) <= 0xFF else np.uint16 if len(known) <= 0xFFFF else np.int32
    return list(known), np.array(codes, dtype=kind)
