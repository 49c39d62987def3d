"""``scan``: a compiled strategy's own loop over candles on which nothing else happens, in C signature.

Rule: it shows the strategy exactly what the caller of ``generate`` would, candle by candle, and stops at the first on
which the strategy wants something. It lives in the same object code as ``generate``, whose method LLVM inlines into the
loop; what the method does not look at is then never loaded (1 ns a candle where a call by address costs 4).

The argument is a block of words. Cash, the position and what is pending cannot change while nothing is wanted, so they
are taken from the view once; equity is cash and the position at the candle's mark.
"""

from collections.abc import Sequence
from typing import Any, Final

from llvmlite import ir

from pairsim.strategies.context import CANDLE_FIELDS, VIEW_MARKET, Layout

__all__ = ["SCAN_SYMBOL", "add_scan"]

SCAN_SYMBOL: Final = "pairsim_scan"

# Words of the block; ``research.loop`` fills it. FROM and TO are candles; COUNT is what ``generate`` returned at last.
(SELF, VIEW, OUT, FROM, TO, TIMES, BASE_NS, MARKS, QUANTITY, CASH, COUNT, OPEN) = range(12)
OUTPUTS: Final = OPEN + len(CANDLE_FIELDS)

_TIME, _INDEX, _EQUITY = 0, 1, 3  # words of the view

_INT64: Final = ir.IntType(64)
_DOUBLE: Final = ir.DoubleType()


def add_scan(module: Any, generate: Any, layout: Layout) -> None:
    """Add the loop around ``generate``, a C function of the same module, for a strategy of one market."""
    scan = ir.Function(module, ir.FunctionType(_INT64, [_INT64]), SCAN_SYMBOL)
    builder = ir.IRBuilder(scan.append_basic_block("entry"))
    block = builder.inttoptr(scan.args[0], _INT64.as_pointer())

    def word(k: int, kind: Any = _INT64) -> Any:
        value = builder.load(builder.gep(block, [ir.Constant(_INT64, k)]))
        return value if kind is _INT64 else builder.bitcast(value, kind)

    def column(k: int, kind: Any = _DOUBLE) -> Any:
        return builder.inttoptr(word(k), kind.as_pointer())

    this, out, first, last, base_ns = word(SELF), word(OUT), word(FROM), word(TO), word(BASE_NS)
    times, marks = column(TIMES, _INT64), column(MARKS)
    candle = [column(OPEN + k) for k in range(len(CANDLE_FIELDS))]
    outputs = [column(OUTPUTS + k) for k in range(layout.outputs)]
    quantity, cash = word(QUANTITY, _DOUBLE), word(CASH, _DOUBLE)
    flat = builder.fcmp_ordered("==", quantity, ir.Constant(_DOUBLE, 0.0))
    view = _copied(builder, word(VIEW), layout.view_words)
    values, previous = (builder.alloca(_DOUBLE, max(1, layout.outputs)) for _ in range(2))

    head, body, following, found = (scan.append_basic_block(name) for name in ("head", "body", "following", "found"))
    entry = builder.block
    builder.branch(head)
    builder.position_at_end(head)
    i = builder.phi(_INT64, "i")
    i.add_incoming(first, entry)
    with builder.if_then(builder.icmp_signed(">=", i, last), likely=False):
        builder.ret(i)
    builder.branch(body)

    builder.position_at_end(body)
    earlier = builder.sub(i, ir.Constant(_INT64, 1))
    _store(builder, view, _TIME, builder.add(builder.load(builder.gep(times, [i])), base_ns))
    _store(builder, view, _INDEX, i)
    held = builder.fadd(cash, builder.fmul(quantity, builder.load(builder.gep(marks, [i]))))
    _store(builder, view, _EQUITY, builder.select(flat, cash, held))
    for k, prices in enumerate(candle):
        _store(builder, view, VIEW_MARKET + k, builder.load(builder.gep(prices, [i])))
    _fill(builder, values, outputs, i)
    _fill(builder, previous, outputs, earlier)
    shown = [builder.ptrtoint(place, _INT64) for place in (view, values, previous)]
    count = builder.call(generate, [this, *shown, out])
    builder.cbranch(builder.icmp_signed("==", count, ir.Constant(_INT64, 0)), following, found)

    builder.position_at_end(following)
    i.add_incoming(builder.add(i, ir.Constant(_INT64, 1)), following)
    builder.branch(head)
    builder.position_at_end(found)
    builder.store(count, builder.gep(block, [ir.Constant(_INT64, COUNT)]))
    builder.ret(i)


def _copied(builder: Any, address: Any, words: int) -> Any:
    """A copy of the view on the stack, which the optimiser takes apart into registers."""
    copy = builder.alloca(_INT64, words)
    source = builder.inttoptr(address, _INT64.as_pointer())
    for k in range(words):
        place = [ir.Constant(_INT64, k)]
        builder.store(builder.load(builder.gep(source, place)), builder.gep(copy, place))
    return copy


def _store(builder: Any, view: Any, word: int, value: Any) -> None:
    bits = value if value.type == _INT64 else builder.bitcast(value, _INT64)
    builder.store(bits, builder.gep(view, [ir.Constant(_INT64, word)]))


def _fill(builder: Any, values: Any, columns: Sequence[Any], i: Any) -> None:
    for k, column in enumerate(columns):
        builder.store(builder.load(builder.gep(column, [i])), builder.gep(values, [ir.Constant(_INT64, k)]))
