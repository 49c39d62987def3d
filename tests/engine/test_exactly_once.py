"""A worker may be killed behind any instruction: no candle and no order is lost or done twice."""

import pytest
from engine.killing_proof import Proof, kinds
from engine.killing_scenes import SCENES
from engine.killing_steps import why_not

steps = pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")


@steps
@pytest.mark.parametrize("name", SCENES)
def test_killed_behind_any_instruction_a_worker_is_continued_exactly(name: str) -> None:
    proof = Proof.of(SCENES[name])
    memories = proof.kill_everywhere()
    assert kinds(proof, memories) == {
        "half a state",
        "half a decision",
        "published, not committed",
        "committed, not released",
    }
    wrong = {i: fault for i, memory in enumerate(memories) if (fault := proof.recover(memory))}
    assert not wrong, f"{len(wrong)} of {len(memories)}, such as {next(iter(wrong.items()))}"
