"""The proof for one scene: from every memory a kill can leave, a new worker arrives where an undisturbed one does.

Rule: at the moment of death the portfolio changes, as it does by fills while no worker runs. The run to compare with is
one that nobody disturbed, in which the portfolio changed behind the same evaluation: one whose decision was out must
not see the change, although it is done again.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from engine.killing_stage import Outcome, Stage, after_evaluation
from engine.killing_steps import images

from pairsim.channels.ring import head, tail
from pairsim.engine.layout import T_COMMIT


@dataclass
class Proof:
    """One scene and its undisturbed runs."""

    stage: Stage
    opening: np.ndarray
    expected: list[Outcome]  # by how many evaluations were done when the portfolio changed
    first: int = 0  # evaluations done before the scene

    @classmethod
    def of(cls, scene: Callable[[], Stage]) -> "Proof":
        """Run the scene undisturbed, once for each evaluation behind which the portfolio may change."""
        stage = scene()
        proof = cls(stage, stage.mem[: stage.words].copy(), [])
        proof.first = stage.fixed()
        while True:
            proof.load(proof.opening)
            worker, done = stage.worker(), len(proof.expected)
            if done == 0:
                stage.fill()
                stage.finish(worker)
            else:
                with after_evaluation(worker, done, stage.fill):
                    stage.finish(worker)
            proof.expected.append(stage.outcome())
            if stage.fixed() - proof.first == done:  # behind the last one
                return proof

    def load(self, memory: np.ndarray) -> None:
        """Put a memory where it was taken from."""
        self.stage.mem[: len(memory)] = memory

    def kill_everywhere(self, memory: np.ndarray | None = None) -> list[np.ndarray]:
        """All memories that a kill can leave of a worker that begins on ``memory``."""
        self.load(self.opening if memory is None else memory)
        stage, worker = self.stage, self.stage.worker()
        return images(
            lambda: stage.finish(worker),
            stage.mem[: stage.words],
            lambda: bool(head(stage.mem, stage.ring) == tail(stage.mem, stage.ring)),
        )

    def recover(self, memory: np.ndarray, *, filled: bool = True) -> str:
        """What a new worker gets wrong on this memory; empty when nothing."""
        self.load(memory)
        done = self.stage.fixed() - self.first
        if filled:
            self.stage.fill()
        self.stage.finish(self.stage.worker())
        return self.stage.outcome().differs(self.expected[done if filled else -1])


def kinds(proof: Proof, memories: list[np.ndarray]) -> set[str]:
    """Which of the states that a rule exists for are among these memories."""
    stage, before, found = proof.stage, memories[0], set()
    ring = slice(stage.orders, stage.arena.gate_ring)
    sent = tail(before, stage.orders)
    commits = [int(row[T_COMMIT]) for row in stage.plan.rows]
    for memory in memories[1:]:
        proof.load(memory)
        committed = any(memory[word] != before[word] for word in commits)
        if stage.told():
            found.add("published, not committed")
        elif tail(memory, stage.orders) == sent and not np.array_equal(memory[ring], before[ring]):
            found.add("half a decision")
        elif not committed:
            found.add("half a state")
        if committed and head(memory, stage.ring) == head(before, stage.ring):
            found.add("committed, not released")
    return found
