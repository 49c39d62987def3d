"""Notebook cells: code without a file, whose lines are known all the same."""

import linecache
import textwrap
from itertools import count
from typing import Any

import numpy as np
from strategies.running import One, Three

from pairsim import strategies as ps

_cells = count(1)


def cell(source: str, **scope: Any) -> dict[str, Any]:
    """Run a notebook cell: code without a file, whose lines linecache knows."""
    name = f"<cell {next(_cells)}>"
    text = textwrap.dedent(source)
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    namespace = {"ps": ps, "np": np, "One": One, "Three": Three, "__name__": "__main__", **scope}
    exec(compile(text, name, "exec"), namespace)
    return namespace


def method(body: str, **scope: Any) -> type[ps.Strategy]:
    """A strategy whose method has this body; its first line is line 7 of the cell."""
    head = """\
class S(ps.Strategy):
    peak: float = ps.state(0.0)
    n: int = ps.state(0)
    def indicators(self):
        return {"rsi": One()}
    def generate_signal(self, ctx):
"""
    return cell(head + textwrap.indent(textwrap.dedent(body), " " * 8), **scope)["S"]
