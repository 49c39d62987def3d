"""The door for plain series: numpy in, numpy out; polars in, polars out. It decides nothing about an indicator."""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from pairsim.errors import InputError
from pairsim.indicators.abi import FloatArray
from pairsim.indicators.builtin import BuiltIn

if TYPE_CHECKING:
    import polars as pl

__all__ = ["SeriesT", "several", "single"]

SeriesT = TypeVar("SeriesT", FloatArray, "pl.Series")


def single(indicator: BuiltIn, name: str, *series: Any) -> Any:
    """The one output of an indicator over series in the order of its `columns`; a polars series is called `name`."""
    (out,) = _outputs(indicator, series)
    polars = _polars_among(series)
    return out if polars is None else polars.Series(name, out)


def several(indicator: BuiltIn, record: Callable[..., Any], *series: Any) -> Any:
    """Its outputs over series in the order of its `columns`: a `record` of arrays, or a polars frame."""
    outputs = _outputs(indicator, series)
    polars = _polars_among(series)
    return record(*outputs) if polars is None else polars.DataFrame(dict(zip(indicator.fields, outputs, strict=True)))


def _polars_among(series: Sequence[Any]) -> Any:
    """The polars module if one of these is a polars series; whoever made one has imported it."""
    polars = sys.modules.get("polars")
    return polars if polars is not None and any(isinstance(each, polars.Series) for each in series) else None


def _outputs(indicator: BuiltIn, series: Sequence[Any]) -> list[FloatArray]:
    inputs = [_column(each, indicator) for each in series]
    sizes = {each.size for each in inputs}
    if len(sizes) > 1:
        raise InputError(f"{indicator!r}: series of different lengths {sorted(sizes)}; give the same candles in each")
    # One by one: malloc keeps blocks of this size, and a block of all of them would be mapped and faulted in each time.
    outputs = [np.empty(inputs[0].size) for _ in indicator.fields]
    indicator.fill(inputs, outputs)
    return outputs


def _column(values: Any, indicator: BuiltIn) -> FloatArray:
    """Any series of numbers as contiguous float64; a missing value is NaN."""
    try:
        array = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{indicator!r}: {type(values).__name__} is not a series of numbers: {error}") from None
    if np.ndim(values) != 1:
        raise InputError(f"{indicator!r}: a series has one dimension, this has shape {np.shape(values)}")
    return array
