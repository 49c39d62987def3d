"""Buttons and sliders move a real engine; a callback only queues; what comes of it is said where it was asked for."""

import threading
from collections.abc import Iterator

import pytest
from notebook.live import Often, two_traders, until

from pairsim.errors import EngineError
from pairsim.notebook.choosing import chooser
from pairsim.notebook.commands import Commands
from pairsim.notebook.controls import ControlsPanel


@pytest.fixture
def panel() -> Iterator[ControlsPanel]:
    with two_traders() as engine:
        engine.wait(0)
        shown = engine.dashboard()
        yield shown.panels["controls"]


def test_buttons_and_sliders_move_the_engine(panel) -> None:
    engine, buttons = panel.source.engine, panel._buttons
    buttons.pause.click()
    until(lambda: engine.status.state == "paused", "paused")
    until(lambda: buttons.pause.description == "Resume", "the button offers to resume")
    buttons.pause.click()
    until(lambda: engine.status.state == "running", "running")

    panel._pause.click()
    until(lambda: engine["BTC/USDT"].counters.state == "paused", "the trader is paused")
    until(lambda: panel._pause.description == "Resume trader", "the button offers to resume it")
    panel._pause.click()
    until(lambda: engine["BTC/USDT"].counters.state == "active", "the trader is active")

    sliders = panel._tuning._inputs
    sliders["pace"].value = 9
    until(lambda: engine["BTC/USDT"].strategy.pace == 9, "tuned")
    until(lambda: "tuned BTC/USDT: pace = 9" in panel._outcome.value, "the outcome")
    engine["BTC/USDT"].tune(pace=4)
    until(lambda: sliders["pace"].value == 4, "the slider follows a tune from a cell")

    panel._chooser.value = "ETH/USDT"
    assert panel._tuning._inputs["pace"].value == 3


def test_what_cannot_be_taken_back_asks_first(panel) -> None:
    engine, buttons = panel.source.engine, panel._buttons
    assert buttons.confirm.layout.display == "none"
    buttons.halt.click()
    assert buttons.confirm.layout.display == "flex"
    assert "let none pass" in buttons._question.value
    buttons._no.click()
    assert buttons.confirm.layout.display == "none"
    assert engine.status.trading == "active"
    buttons.halt.click()
    buttons._yes.click()
    until(lambda: engine.status.trading == "halted", "halted")
    until(lambda: buttons.halt.description == "Unhalt", "the button offers to unhalt")
    buttons.halt.click()
    until(lambda: engine.status.trading == "active", "unhalted")
    buttons.stop.click()
    buttons._yes.click()
    until(lambda: engine.status.state == "stopped", "stopped")
    until(lambda: buttons.stop.disabled, "nothing left to press")


def test_a_command_that_fails_says_why(panel) -> None:
    panel._tune("pace", 99)
    until(lambda: "pace=99 is outside its limits" in panel._outcome.value, "the reason")
    assert "pairsim-bad" in panel._outcome.value


def test_a_slider_whose_tune_was_refused_goes_back(panel, monkeypatch) -> None:
    def refuse(name: str, *arguments: object) -> None:
        raise EngineError("the feed is not between two candles")

    monkeypatch.setattr(panel._engine, "_ask", refuse)
    slider = panel._tuning._inputs["pace"]
    slider.value = 9
    until(lambda: "not between two candles" in panel._outcome.value, "the reason")
    until(lambda: slider.value == 2, "the slider stands where the parameter does")


def test_what_is_urgent_does_not_wait_for_what_is_slow() -> None:
    blocked, said = threading.Event(), []
    commands = Commands(lambda text, worked: said.append((text, worked)))
    commands.put("slow", lambda: blocked.wait(60))
    commands.put("after it", lambda: None)
    commands.put("halt", lambda: 3, urgent=True)
    until(lambda: said == [("halt: 3", True)], "the urgent one")
    blocked.set()
    until(lambda: [text for text, _ in said] == ["halt: 3", "slow", "after it"], "the others in their order")


def test_a_command_is_carried_out_though_the_last_outcome_could_not_be_shown() -> None:
    done = []

    def gone(text: str, worked: bool) -> None:
        raise RuntimeError("no page")

    commands = Commands(gone)
    commands.put("halt", lambda: done.append(1), urgent=True)
    commands.put("halt", lambda: done.append(2), urgent=True)
    until(lambda: done == [1, 2], "both")


def test_many_names_are_searched_and_few_are_listed() -> None:
    chosen = []
    few = chooser("Market", ["A", "B"], "A", chosen.append)
    few.value = "B"
    names = [f"M{k:03}/USDT" for k in range(100)]
    many = chooser("Market", names, names[0], chosen.append)
    many.value = "m042"
    assert (many.value, many.placeholder) == ("", "M042/USDT  (type to search 100)")
    many.value = "no such"
    many.value = "M099/USDT"
    assert chosen == ["B", "M042/USDT", "M099/USDT"]


def test_parameters_complete_in_a_notebook() -> None:
    from IPython.core.completer import IPCompleter, provisionalcompleter
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    with two_traders() as engine:
        shell.user_ns.update(engine=engine, trader=engine["BTC/USDT"], views=engine.view, Often=Often)
        completer: IPCompleter = shell.Completer
        for text, expected in (
            ("Often(pa", "pace="),
            ("trader.tune(we", "weight="),
            ('engine["E', "ETH/USDT"),
            ("views.eq", "equity"),
        ):
            with provisionalcompleter():
                found = {each.text for each in completer.completions(text, len(text))}
            assert any(expected in each for each in found), (text, found)
