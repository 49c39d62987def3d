"""The bar appears after a second, and only then; it goes away and never fails the work."""

import pytest

from pairsim.research import progress
from pairsim.research.progress import progress_bar


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


class Shown(progress._Bar):
    def __init__(self) -> None:
        self.seen: list[int] = []
        self.closed = False

    def show(self, done: int) -> None:
        self.seen.append(done)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "monotonic_ns", made)
    return made


def test_a_bar_appears_after_a_second_and_is_taken_away(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    bar = Shown()
    monkeypatch.setattr(progress, "_bar", lambda total, label: bar)
    with pytest.raises(KeyboardInterrupt), progress_bar(10, "RSI", True) as advance:
        advance(3)
        assert bar.seen == []
        clock.now = 1_000_000_001
        advance(3)
        advance(2)
        raise KeyboardInterrupt
    assert bar.seen == [6, 8]
    assert bar.closed


def test_short_work_and_silent_work_show_nothing(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_bar", lambda total, label: pytest.fail("a bar"))
    with progress_bar(10, "RSI", True) as advance:
        advance(5)
    with progress_bar(10, "RSI", False) as advance:
        clock.now = 5_000_000_000
        advance(5)


def test_without_a_notebook_or_a_terminal_there_is_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(progress._bar(10, "RSI")) is progress._Bar
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    drawn = progress._bar(10, "RSI")
    drawn.show(5)
    drawn.close()
