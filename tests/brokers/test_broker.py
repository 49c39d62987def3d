"""The port for brokers of one's own: the one of ten lines in its docstring is one."""

import asyncio
import inspect
import textwrap

from brokers.test_sim import order

from pairsim.brokers import Broker, broker


def instant():
    """The class of the module's docstring."""
    code = textwrap.dedent(inspect.getdoc(broker).split("::\n\n")[1])
    names = {}
    exec(code, names)
    return names["Instant"]()


class Heard:
    """Reports as a list."""

    def __init__(self):
        self.said = []

    def __getattr__(self, what):
        return lambda *rest: self.said.append((what, *rest))


def test_the_broker_of_the_docstring_is_a_broker_and_trades():
    one, heard, sent = instant(), Heard(), order(1)
    assert isinstance(one, Broker)

    async def trade():
        await one.connect(heard)
        await one.submit(sent)
        await one.cancel(sent)

    asyncio.run(trade())
    assert heard.said == [("accepted", sent), ("filled", sent, 1.0, 100.0), ("canceled", sent)]


def test_what_lacks_a_method_is_no_broker():
    assert not isinstance(object(), Broker)


def test_an_order_is_known_by_itself_not_by_its_values():
    assert order(1) != order(1)
    assert not hasattr(order(1), "__dict__")
