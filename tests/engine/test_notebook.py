"""In a notebook: a class of a cell trades live, a cell run again leaves one host, its end leaves none."""

import os
import uuid
from collections.abc import Iterator

import nbformat
import psutil
import pytest
from engine.running import ROOT, left_after, marked, titles
from nbclient import NotebookClient

IMPORTS = """
import time
import pairsim as ps

def until(reached):
    deadline = time.monotonic() + 60.0
    while not reached():
        assert time.monotonic() < deadline, (engine, engine.traders)
        time.sleep(0.005)
"""
STRATEGY = """
def deep(price, average):
    return price < average

class Dips(ps.Strategy):
    weight: float = ps.param(0.1, 0.0, 1.0)
    turn: int = ps.state(0)

    def indicators(self):
        return {"mean": ps.SMA(3)}

    def generate_signal(self, ctx):
        self.turn += 1
        if ctx.position.quantity == 0 and deep(ctx.close, ctx.mean):
            return ps.buy(weight=self.weight)
        if self.turn % 5 == 0 and ctx.position.quantity > 0:
            return ps.close()
"""
START = """
engine = ps.Engine(ps.Trader("BTC/USDT", Dips()), ps.RandomFeed(speed=50.0, seed=1, start="2025-01-01"))
engine.start()
"""
TRADES = """
engine.wait(0)
until(lambda: engine.status.fills >= 4)
print(engine.status.state, engine["BTC/USDT"].compiled, engine.fills["trader"].unique().to_list())
"""


class Notebook:
    """A kernel that runs cells."""

    def __init__(self) -> None:
        self.marker = uuid.uuid4().hex
        self.book = nbformat.v4.new_notebook()
        self.client = NotebookClient(self.book, timeout=280, kernel_name="python3")

    def run(self, text: str) -> str:
        """Execute a cell; what it printed and showed."""
        cell = nbformat.v4.new_code_cell(text)
        self.book.cells.append(cell)
        self.client.execute_cell(cell, len(self.book.cells) - 1)
        shown = [out.get("text") or out.get("data", {}).get("text/plain", "") for out in cell.outputs]
        return "".join(shown).strip()

    def hosts(self) -> list[psutil.Process]:
        return [process for process in marked(self.marker) if titles([process]) == ["pairsim-host"]]


@pytest.fixture(scope="module")
def notebook() -> Iterator[Notebook]:
    book = Notebook()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PAIRSIM_TEST_MARKER": book.marker,
        "IPYTHONDIR": "/nonexistent",
    }
    with book.client.setup_kernel(env=environment):
        book.run(IMPORTS)
        book.run(STRATEGY)
        yield book
    assert titles(left_after(marked(book.marker), 2.0)) == []


def test_a_class_typed_into_a_cell_trades_live(notebook):
    assert "starting" in notebook.run(START)
    assert notebook.run(TRADES) == "running True ['BTC/USDT']"
    assert len(notebook.hosts()) == 1


def test_it_is_swapped_from_the_cell_edited_next(notebook):
    notebook.run(
        STRATEGY.replace("self.turn % 5", "self.turn % 2").replace("ps.close()", "ps.sell(ctx.position.quantity)")
    )
    notebook.run('engine["BTC/USDT"].swap(Dips(weight=0.2))')
    notebook.run("before = engine.status.fills\nuntil(lambda: engine.status.fills >= before + 4)")
    assert notebook.run('engine["BTC/USDT"].strategy') == "Dips(weight=0.2)"


def test_a_failure_shows_the_line_of_the_cell(notebook):
    notebook.run(
        "class Broken(Dips):\n    def generate_signal(self, ctx):\n        return ps.buy(1.0 / (self.turn * 0))"
    )
    notebook.run('engine["BTC/USDT"].swap(Broken())')
    notebook.run('until(lambda: engine["BTC/USDT"].health.state == "failed")')
    told = notebook.run('print(engine["BTC/USDT"].health.traceback)')
    assert "ZeroDivisionError" in told
    assert "line 3, in generate_signal" in told
    assert "return ps.buy(1.0 / (self.turn * 0))" in told


def test_the_cell_run_again_leaves_one_host(notebook):
    before = notebook.hosts()
    notebook.run(START)
    assert notebook.run(TRADES) == "running True ['BTC/USDT']"
    assert left_after(before, 2.0) == []
    (after,) = notebook.hosts()
    assert after not in before


def test_the_cell_edited_and_run_again_leaves_one_host(notebook, monkeypatch):
    """The handle of the run before is still held, by ``_`` and ``Out``. JupyterLab tells which cell it is that runs."""
    session = notebook.client.kc.session
    bare = session.msg

    def as_jupyterlab(kind, content=None, parent=None, header=None, metadata=None):
        named = {"cellId": "b1946ac9"} if kind == "execute_request" else metadata
        return bare(kind, content, parent=parent, header=header, metadata=named)

    with monkeypatch.context() as front_end:
        front_end.setattr(session, "msg", as_jupyterlab)
        notebook.run("engine.stop();" + START)
        before = notebook.hosts()
        notebook.run("\n" + START.replace("seed=1", "seed=2"))
    assert notebook.run(TRADES) == "running True ['BTC/USDT']"
    assert left_after(before, 2.0) == []
    (after,) = notebook.hosts()
    assert after not in before


def test_engines_made_by_one_run_of_a_cell_live_side_by_side(notebook):
    text = START.split("\n")[1].replace("engine = ", "").replace("seed=1", "seed=seed")
    text = f"several = [{text}.start() for seed in range(2)]\nfor one in several:\n    one.wait(0)"
    notebook.run(text)
    assert len(notebook.hosts()) == 3
    notebook.run(text)
    assert len(notebook.hosts()) == 3
    notebook.run("for one in several:\n    one.stop()")
    assert len(notebook.hosts()) == 1


def test_two_engines_of_one_notebook_live_side_by_side(notebook):
    other = START.replace("engine", "other").replace('ps.Trader("BTC/USDT"', 'ps.Trader("ETH/USDT"')
    notebook.run(other)
    assert notebook.run("other.wait(0)\nprint(other.status.state, engine.status.state)") == "running running"
    assert len(notebook.hosts()) == 2
    notebook.run("other.stop()")
    assert len(notebook.hosts()) == 1


def test_views_of_the_notebook(notebook):
    for shown in ("engine", "engine.portfolio", 'engine["BTC/USDT"]', "engine.orders", "engine.equity"):
        notebook.run(shown)
        data = notebook.book.cells[-1].outputs[-1]["data"]
        assert "<" in data["text/html"], shown
