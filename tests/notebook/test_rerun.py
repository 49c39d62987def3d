"""In a kernel: the cell that makes engine and dashboard, run again and again, leaves one of each."""

import os
import uuid
from collections.abc import Iterator

import nbformat
import psutil
import pytest
from engine.running import ROOT, left_after, marked, titles
from nbclient import NotebookClient

MAKE = """
import gc, threading, pairsim as ps
engine = ps.Engine(ps.Trader("BTC/USDT", ps.strategies.Simple(fast=2, slow=3), every="200ms"),
                   ps.RandomFeed(speed=20.0, seed=1, start="2026-01-01"), workers=1)
engine.start()
dashboard = engine.dashboard()
tiles = engine.view.summary()
engine.wait(0)
"""
COUNT = """
import ipywidgets.widgets.widget as widget
from pairsim.engine.engine import Engine
import time
for _ in range(3_000):  # the last engine's thread ends when it has shown the last picture
    gc.collect()
    found = [len(widget._instances), sum(t.name == "pairsim-views" for t in threading.enumerate()),
             sum(isinstance(each, Engine) for each in gc.get_objects())]
    if found[1:] == [1, 1]:
        break
    time.sleep(0.02)
print(*found, engine.status.state)
"""


class Kernel:
    """A kernel and the cells it has run."""

    def __init__(self) -> None:
        self.marker = uuid.uuid4().hex
        self.book = nbformat.v4.new_notebook()
        self.client = NotebookClient(self.book, timeout=280, kernel_name="python3")

    def run(self, cell: nbformat.NotebookNode) -> str:
        """Run a cell, again if it has run before; what it printed."""
        if cell not in self.book.cells:
            self.book.cells.append(cell)
        self.client.execute_cell(cell, self.book.cells.index(cell))
        return "".join(out.get("text", "") for out in cell.outputs).strip()

    def hosts(self) -> list[psutil.Process]:
        return [process for process in marked(self.marker) if titles([process]) == ["pairsim-host"]]


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    kernel = Kernel()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PAIRSIM_TEST_MARKER": kernel.marker}
    with kernel.client.setup_kernel(env=environment):
        yield kernel
    assert titles(left_after(marked(kernel.marker), 2.0)) == []


def test_ten_runs_of_the_cell_leave_one_engine_one_dashboard_and_one_thread(kernel: Kernel) -> None:
    make, count = nbformat.v4.new_code_cell(MAKE), nbformat.v4.new_code_cell(COUNT)
    kernel.run(make)
    kernel.run(make)
    before = kernel.run(count).split()
    for _ in range(8):
        kernel.run(make)
    after = kernel.run(count).split()
    assert after == before
    assert after[1:] == ["1", "1", "running"]
    assert len(kernel.hosts()) == 1


def test_an_interrupt_stops_the_cell_and_not_the_views(kernel: Kernel) -> None:
    kernel.run(nbformat.v4.new_code_cell(MAKE))
    told = kernel.run(
        nbformat.v4.new_code_cell(
            "import _thread\n"
            "try:\n"
            "    threading.Timer(0.3, _thread.interrupt_main).start()\n"
            "    while True: engine.status\n"
            "except KeyboardInterrupt:\n"
            "    before = engine.view.source.passes\n"
            "deadline = __import__('time').monotonic() + 90\n"
            "while engine.view.source.passes < before + 3:\n"
            "    assert __import__('time').monotonic() < deadline\n"
            "print(engine.status.state)"
        )
    )
    assert told == "running"
