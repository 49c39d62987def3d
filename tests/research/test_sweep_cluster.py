"""A sweep on a real Dask cluster of worker processes: the table is the same, and still is when one of them dies."""

import os
import signal
import warnings
from collections.abc import Iterator

import pytest
from research.workload import Cross, bars

import pairsim as ps
from pairsim.research import division

distributed = pytest.importorskip("distributed", reason="distributed is not installed: pip install pairsim[dask]")

SPACE = {"fast": range(2, 22), "slow": range(22, 42)}


@pytest.fixture
def client() -> Iterator["distributed.Client"]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cluster's own, about ports and its event loop
        with (
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client


@pytest.mark.filterwarnings("ignore")
def test_the_table_is_the_same_from_a_cluster(client: "distributed.Client") -> None:
    table = ps.sweep(Cross, bars(1_000), SPACE, executor=client)
    assert table.frame.equals(ps.sweep(Cross, bars(1_000), SPACE).frame)
    assert len(table.notes) == 1  # about causality


class Slow(Cross):
    """Takes its time: plain Python, so that there is a moment to be killed in."""

    def generate_signal(self, ctx):
        _ = {"a", "set"}
        if ctx.fast > ctx.slow and ctx.position.quantity == 0:
            return ps.buy(1.0)
        if ctx.slow > ctx.fast and ctx.position.quantity > 0:
            return ps.close()
        return None


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore")
def test_a_worker_that_is_killed_changes_nothing(client: "distributed.Client", monkeypatch: pytest.MonkeyPatch) -> None:
    source = bars(20_000)
    expected = ps.sweep(Slow, source, SPACE, progress=False).frame
    worker = next(iter(client.run(os.getpid).values()))
    parts = []

    def kill(more: int) -> None:
        """A worker dies when the first part has come back; the other parts are being worked on, or wait."""
        if not parts:
            os.kill(worker, signal.SIGKILL)
        parts.append(more)

    collect = division._collect
    monkeypatch.setattr(division, "_collect", lambda rows, ranges, runner, _: collect(rows, ranges, runner, kill))
    table = ps.sweep(Slow, source, SPACE, executor=client)
    assert len(parts) > 2
    assert worker not in client.run(os.getpid).values()
    assert table.frame.equals(expected)
    assert len(table) == 400
