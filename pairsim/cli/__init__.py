"""The command ``pairsim``: what a terminal shows of an engine. It draws what an observer sees and decides nothing."""

from pairsim.cli.app import main

__all__ = ["main"]
