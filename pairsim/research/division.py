"""Dividing the combinations of a sweep among threads, processes or a cluster, and putting the rows together again.

Rule: parts are ranges of combinations and rows go where their numbers say, so who ran what cannot be seen in the table.
What is finished is kept, whatever happens to the rest. A part that failed or was lost is run here.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from dataclasses import replace
from typing import Any, Final

import cloudpickle  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

from pairsim.errors import InputError
from pairsim.research.combinations import NOT_RUN, Job, Runner
from pairsim.research.door import Bars
from pairsim.research.indicator_needs import Needs
from pairsim.research.own_processes import OwnProcesses
from pairsim.research.sweep_layout import ROW_WORDS, X_CODE

Floats = NDArray[np.float64]
Range = tuple[int, int]
Progress = Callable[[int], None]

_CANDLES: Final = 8_000_000  # of a part in a thread: 30 to 60 ms, as long as an interrupt waits
_PARTS: Final = 4  # for each process: few enough to send, enough to even out
_WORTH_PROCESSES: Final = 4_000_000  # evaluations of plain Python: 2.5 s of one thread


class Rows:
    """The rows of a sweep as they come in."""

    def __init__(self, count: int) -> None:
        self.rows, self.done = np.full((count, ROW_WORDS), np.nan), np.zeros(count, np.bool_)
        self.notes: list[str] = []

    def put(self, part: Range, rows: Floats) -> None:
        """Take in the rows of a part."""
        self.rows[slice(*part)], self.done[slice(*part)] = rows, True


def run_all(runner: Runner, needs: Needs, executor: Any, progress: Progress) -> Rows:
    """All rows, or those that were finished when the user interrupted.

    executor : None for all cores, by threads of this process, or by processes for much work of a plain-Python
        strategy; a ``concurrent.futures.Executor``; a ``dask.distributed.Client``.
    """
    rows = Rows(len(runner.job.space))
    with contextlib.suppress(KeyboardInterrupt):  # one that comes while the threads of the first one still end
        if executor is None:
            _on_all_cores(rows, runner, needs, progress)
        else:
            _collect(rows, _handed_over(runner, needs, executor), runner, progress)
    return rows


def _handed_over(runner: Runner, needs: Needs, executor: Any) -> dict[Any, Range]:
    """Parts given to a user's executor."""
    if not isinstance(executor, Executor) and not _is_dask(executor):
        raise InputError(
            f"executor={executor!r} must be a concurrent.futures.Executor or a dask.distributed.Client; "
            "leave it out to use all cores"
        )
    try:
        if isinstance(executor, ThreadPoolExecutor):
            return _in_threads(runner, needs, executor)
        return _sent(runner.job, executor)
    except Exception as error:
        raise InputError(f"executor={executor!r} takes no work: {type(error).__name__}: {error}") from error


def _on_all_cores(rows: Rows, runner: Runner, needs: Needs, progress: Progress) -> None:
    """Threads for compiled strategies, which run without the GIL and share candles and indicators. A plain-Python one
    holds the GIL: a single thread is no slower than two, and processes, which take 0.7 s to start, are for long work.
    """
    evaluations = runner.candles_computed * len(rows.rows)
    if not runner.holds_the_interpreter:
        with ThreadPoolExecutor(cores(), thread_name_prefix="pairsim-sweep") as threads:
            _collect(rows, _in_threads(runner, needs, threads), runner, progress)
    elif cores() == 1 or evaluations < _WORTH_PROCESSES or len(rows.rows) == 1:
        with ThreadPoolExecutor(1, thread_name_prefix="pairsim-sweep") as threads:
            _collect(rows, _in_threads(runner, needs, threads), runner, progress)
    else:
        processes = OwnProcesses(min(cores(), len(rows.rows)))
        try:
            _collect(rows, _sent(runner.job, processes), runner, progress)
        finally:
            processes.shutdown(cancel_futures=True)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _in_threads(runner: Runner, needs: Needs, threads: ThreadPoolExecutor) -> dict["Future[Floats]", Range]:
    step = part_size(runner)
    return {threads.submit(runner.rows, *part, needs): part for part in _ranges(len(runner.job.space), step)}


def part_size(runner: Runner) -> int:
    """Combinations of a part for a thread: short enough to be waited for, four for each core at least."""
    return max(1, min(_CANDLES // max(runner.candles, 1), -(-len(runner.job.space) // (_PARTS * cores()))))


def _sent(job: Job, executor: Any) -> dict[Any, Range]:
    """Parts sent to other processes; the job goes with each, and is unpacked once in each process."""
    payload = cloudpickle.dumps(replace(job, bars=Bars(job.bars.columns, job.bars.interval_ns)))
    count = len(job.space)
    if _is_dask(executor):
        workers = max(1, sum(executor.nthreads().values()))
        (kept,) = executor.scatter([payload], broadcast=True)
        parts = _ranges(count, -(-count // (_PARTS * workers)))
        return {executor.submit(run_part, kept, *part, pure=False, retries=2): part for part in parts}
    workers = getattr(executor, "_max_workers", None) or cores()
    return {executor.submit(run_part, payload, *part): part for part in _ranges(count, -(-count // (_PARTS * workers)))}


def run_part(payload: bytes, first: int, last: int) -> Floats:
    """The rows of a part of a job, in whatever process this is."""
    return _unpacked(hashlib.sha256(payload).hexdigest(), payload).rows(first, last)


_packed: dict[str, Runner] = {}


def _unpacked(key: str, payload: bytes) -> Runner:
    if key not in _packed:
        _packed.clear()  # one at a time: a runner holds a history and its indicators
        _packed[key] = Runner(cloudpickle.loads(payload))
    return _packed[key]


def _is_dask(executor: Any) -> bool:
    return type(executor).__module__.split(".")[0] == "distributed" and hasattr(executor, "scatter")


def _ranges(count: int, step: int) -> Iterator[Range]:
    for first in range(0, count, max(1, step)):
        yield first, min(first + max(1, step), count)


def _collect(rows: Rows, parts: dict[Any, Range], runner: Runner, progress: Progress) -> None:
    """Take parts in as they finish, and run here what was lost; at an interrupt keep what is there."""
    told = ""
    try:
        try:
            for future in _finished(parts):
                part = parts[future]
                try:
                    rows.put(part, future.result())
                except Exception as error:
                    told = f"{type(error).__name__}: {error}"
                else:
                    progress(part[1] - part[0])
        except Exception as error:  # whoever tells what is finished has gone
            told = f"{type(error).__name__}: {error}"
        lost = [part for part in parts.values() if not rows.done[part[0]]]
        if lost:
            rows.notes.append(f"{len(lost)} part(s) were lost by the executor ({told}) and run here")
        for part in lost:
            _run_here(rows, runner, part)
            progress(part[1] - part[0])
    except KeyboardInterrupt:
        for future, part in parts.items():
            if not rows.done[part[0]] and future.done() and not future.cancelled() and future.exception() is None:
                rows.put(part, future.result())
    finally:
        for future in parts:
            future.cancel()


def _run_here(rows: Rows, runner: Runner, part: Range) -> None:
    """Run a part; if it fails as a whole, one by one, and what fails alone is a row that says so."""
    try:
        rows.put(part, runner.rows(*part))
    except Exception:
        first, last = part
        if last - first > 1:
            for k in range(first, last):
                _run_here(rows, runner, (k, k + 1))
        else:
            rows.rows[first, X_CODE], rows.done[first] = NOT_RUN, True


def _finished(parts: dict[Any, Range]) -> Iterator[Any]:
    """Futures as they finish."""
    if isinstance(next(iter(parts)), Future):
        yield from as_completed(parts)
    else:
        from distributed import as_completed as on_the_cluster

        yield from on_the_cluster(list(parts))
