"""The store: a run's journal in one SQLite file. The journal writes it, readers look at it while it is written."""

from pairsim.store.journal import Journal, JournalStats
from pairsim.store.reader import Reader

__all__ = ["Journal", "JournalStats", "Reader"]
