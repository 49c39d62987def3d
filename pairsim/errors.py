"""Every error pairsim raises, in one tree: few classes, each of which somebody would catch.

A message gives the value, the limit and the next step. A refusal of an order is a value (a status with a reason), not
an exception.
"""


class PairsimError(Exception):
    """Root of all errors of this package."""


class InputError(PairsimError, ValueError):
    """An argument is outside what the called function accepts."""


class DataError(InputError):
    """Market data that cannot be traded on: the message names row and reason."""


class StrategyError(PairsimError):
    """A strategy class, its parameters or what it returned is wrong."""


class EngineError(PairsimError):
    """The engine cannot do what was asked in its present state."""


class EngineDied(EngineError):
    """The host process of a run has gone: nothing more will come from it."""


class FeedError(PairsimError):
    """A feed broke its protocol or could not deliver."""


class BrokerError(PairsimError):
    """A broker could not do what was asked; whether the order lives is said by its status."""


class StoreError(PairsimError):
    """The journal cannot be opened, is in use, or could not be written."""
