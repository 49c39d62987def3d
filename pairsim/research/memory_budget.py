"""What a sweep will hold in memory, counted before it begins, against the budget that its user has set."""

import re
from typing import Final

from pairsim.errors import InputError
from pairsim.research.combinations import Runner
from pairsim.research.division import cores, part_size
from pairsim.research.indicator_needs import Needs
from pairsim.research.space import SYMBOL
from pairsim.research.sweep_layout import ROW_WORDS

_UNITS: Final = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_WRITTEN: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?b?)\s*", re.IGNORECASE)
_JOB: Final = 256  # bytes of a combination beside its row: positions, needs, its job


def bytes_of(memory: str | int) -> int:
    """ "1GB", "500 MB" or a number of bytes."""
    if isinstance(memory, int) and not isinstance(memory, bool) and memory > 0:
        return memory
    found = _WRITTEN.fullmatch(memory) if isinstance(memory, str) else None
    unit = found[2].lower() if found else "?"
    unit = unit if unit in _UNITS else f"{unit}b"
    if found is None or unit not in _UNITS or not float(found[1]) > 0:
        raise InputError(f'memory={memory!r} is not understood: write "1GB", "500MB" or a number of bytes')
    return int(float(found[1]) * _UNITS[unit])


def most_rows(budget: int) -> int:
    """How many combinations fit into a budget, without anything else."""
    return budget // (8 * ROW_WORDS + _JOB)


def check_memory(runner: Runner, needs: Needs, budget: int) -> None:
    """Refuse a sweep whose indicators and rows do not fit.

    Raises
    ------
    InputError
        The message says what it would take and what would fit.
    """
    count, candles = len(runner.job.space), runner.candles_computed
    rows = count * (8 * ROW_WORDS + _JOB)
    columns = sum(len(indicator.fields) for indicator in needs.indicators) * _at_a_time(runner)
    computed = 8 * columns * candles
    if rows + computed <= budget:
        return
    fitting = max(0, budget - rows) // (8 * max(candles, 1))
    raise InputError(
        f"memory={told(budget)}: this sweep needs {told(rows + computed)}: {columns:,} indicator columns of "
        f"{candles:,} candles ({told(computed)}) and {count:,} rows ({told(rows)}). "
        f'{fitting:,} columns would fit: take fewer values, a shorter history, or memory="{told(rows + computed)}"'
    )


def _at_a_time(runner: Runner) -> int:
    """Courses whose indicators are held at a time: where the symbol is the slowest axis, those of parts under way."""
    if next(iter(runner.job.space.axes)) != SYMBOL:
        return runner.courses
    each = -(-len(runner.job.space) // runner.courses)
    return min(runner.courses, cores() * (-(-part_size(runner) // each) + 1))


def told(size: int) -> str:
    """A size in words, rounded up so that it suffices."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{-(-10 * size // unit) / 10:g}{name}"
    return f"{size}B"
