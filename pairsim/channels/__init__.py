"""Shared memory between the processes of a run: rings, seqlocks, atomics, sleeping and waking. It knows no markets.

All state is one int64 array over anonymous memory (`Memory`); every kernel takes it and an offset in words. Import
the kernels from their modules, `channels.ring`, `channels.seqlock`, `channels.atomics`, `channels.native`,
`channels.waiting`.
"""

from pairsim.channels.memory import PORTABLE, Memory
from pairsim.channels.ring import init_ring, ring_stats, ring_words
from pairsim.channels.waiting import Doorbell

__all__ = ["PORTABLE", "Doorbell", "Memory", "init_ring", "ring_stats", "ring_words"]
