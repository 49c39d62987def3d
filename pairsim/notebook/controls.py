"""Buttons and sliders of an engine and of its traders.

Rule: a callback may run in any thread, and late while a cell runs; so it only queues a command, and what came of it is
shown. Halting needs no kernel at all where it matters: the commands go to the host over the engine's own socket.
"""

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from pairsim.engine.status import RunState, Trading
from pairsim.notebook.choosing import chooser
from pairsim.notebook.commands import Commands
from pairsim.notebook.explore_controls import control, slider_value
from pairsim.notebook.look import Look
from pairsim.notebook.panels import run_note
from pairsim.strategies.declaration import Field
from pairsim.strategies.strategy import Strategy, fields_of

if TYPE_CHECKING:
    from pairsim.notebook.source import Source
    from pairsim.notebook.views.view import Tone


class ControlsPanel:
    """Pause, resume, flatten, halt, unhalt and stop; and of one trader pause, resume and its parameters."""

    def __init__(self, source: "Source") -> None:
        self.source = source
        self._engine = source.engine
        self._outcome = ipywidgets.HTML()
        self._outcome.add_class("pairsim-outcome")
        self._note = ipywidgets.HTML()
        self._failed: list[int] = []
        self._beat = -1
        self._commands = Commands(self._said)
        self._buttons = _EngineButtons(self._commands, self._engine)
        names = [t.name for t in self._engine._traders]
        self._trader = 0
        self._chooser = chooser("Trader", names, names[0], lambda name: self._choose(names.index(name)))
        self._tuning = _Tuning(self._tune)
        self._pause = _button("Pause trader", "hold what it decides; its indicators go on", self._toggle_trader)
        first = _row([self._buttons.widget, _row([self._chooser, self._pause])], gap="4px 20px")
        parts = [first, self._buttons.confirm, self._tuning.widget, self._outcome, self._note]
        self.widget = ipywidgets.VBox(parts)
        self.widget.add_class("pairsim-controls")

    @property
    def gone(self) -> bool:
        """Whether the controls have been closed."""
        return self.widget.comm is None

    # -- a panel -----------------------------------------------------------------------------------------------------

    def refresh(self, look: Look) -> None:
        """Buttons that fit what the run is doing, sliders that stand where the parameters do."""
        self._buttons.refresh(look)
        self._tuning.show(self._engine._codes[self._trader].strategy)
        state = look.health[self._trader].state if look.health else "active"
        _set(self._pause, description="Pause trader" if state == "active" else "Resume trader")
        _set(self._pause, disabled=look.ended or look.status.state is RunState.CREATED)
        self._tuning.enable(not look.ended and look.status.state is not RunState.CREATED)
        if look.beat != self._beat:
            self._beat, self._failed = look.beat, [t for t, h in enumerate(look.health) if h.state == "failed"]
        failures = ("", "") if look.ended else self._failures()
        # Below the buttons: above, it would push another one under a pointer that has just pressed.
        _set(self._note, value="".join(_note(*line) for line in (run_note(look), failures, _end(look))))

    def final(self) -> None:
        """The last look has switched everything off."""

    def fault(self, text: str) -> None:
        """Say what went wrong with this panel."""
        if text:
            self._said(text, False)

    # -- one trader --------------------------------------------------------------------------------------------------

    def _choose(self, trader: int) -> None:
        with self.source.lock:
            self._trader = trader
            self.source.show(self)

    def _toggle_trader(self) -> None:
        handle = self._engine.traders[self._trader]
        if handle.counters.state == "active":
            self._commands.put(f"paused {handle.name}", handle.pause)
        else:
            self._commands.put(f"resumed {handle.name}", handle.resume)

    def _tune(self, name: str, value: float) -> None:
        handle = self._engine.traders[self._trader]
        shown = f"{value:g}" if isinstance(value, float) else value
        self._commands.put(f"tuned {handle.name}: {name} = {shown}", lambda: handle.tune(**{name: value}))

    def _failures(self) -> "tuple[str, Tone]":
        """Which traders have failed, and what to do."""
        if not self._failed:
            return "", ""
        names, first = [self._engine._traders[t].name for t in self._failed], self._failed[0]
        message, _ = self.source.orders.failures.get(first, ("", ""))
        others = f" and {len(names) - 1} more have" if len(names) > 1 else " has"
        why = f": {message.rstrip('.')}" if message else ""
        todo = f"Resume or swap it to go on; the tab Traders and engine[{names[0]!r}].health say where it failed."
        return f"{names[0]}{others} failed{why}. {todo}", "bad"

    def _said(self, text: str, worked: bool) -> None:
        self._tuning.refused |= not worked
        mark = "✓" if worked else "✗"
        tone = "good" if worked else "bad"
        self._outcome.value = f'<span role="status" class="pairsim-{tone}">{mark} {escape(text)}</span>'


def _note(text: str, tone: str) -> str:
    return f'<div role="status" class="pairsim-note pairsim-{tone}">{escape(text)}</div>' if text else ""


def _end(look: Look) -> "tuple[str, Tone]":
    """That the run has ended, and what is left of it."""
    if look.status.state not in (RunState.FINISHED, RunState.STOPPED):
        return "", ""
    kept = 'engine.orders, engine.fills and engine.report("run.html") keep what it did.'
    return f"This run has ended: the views stay as its last picture. {kept}", "muted"


class _EngineButtons:
    """The buttons of the engine, and the question before what cannot be taken back."""

    def __init__(self, commands: Commands, engine: Any) -> None:
        self._commands, self._engine = commands, engine
        self.pause = _button("Pause", "hold the feed; orders under way go on", self._toggle_pause, icon="pause")
        self.flatten = _button(
            "Flatten",
            "a market order against every position",
            lambda: self._sure(self.flatten, *self._flatten),
            icon="compress",
        )
        self.halt = _button("Halt", "cancel every order, let none pass", self._toggle_halt, icon="ban", style="danger")
        self.stop = _button("Stop", "end the run in order", lambda: self._sure(self.stop, *self._stop), icon="stop")
        self._asker = self.halt
        self._flatten = ("Close every position at the market?", "Flatten", "flattened: orders sent", engine.flatten)
        self._stop = ("End this run? Positions are kept.", "Stop", "stopped", lambda: engine.stop() and None)
        self._halt = ("Cancel all orders and let none pass?", "Halt", "halted: orders canceled", engine.halt)
        self._question = ipywidgets.Label()
        self._yes = ipywidgets.Button(button_style="danger", layout=_least(110))
        self._no = _button("No", "leave everything as it is (Escape)", self._refused)
        self._no.add_class("pairsim-no")
        self.confirm = _row([self._question, self._yes, self._no])
        self.confirm.add_class("pairsim-question")
        self.confirm.layout.display = "none"
        self._asked: tuple[str, Callable[[], object]] | None = None
        self._yes.on_click(lambda _: self._confirmed())
        self.widget = _row([self.pause, self.flatten, self.halt, self.stop])
        self._paused = self._halted = False

    def refresh(self, look: Look) -> None:
        """Names and states of the buttons."""
        state, live = look.status.state, not look.ended and look.status.state is not RunState.CREATED
        self._paused = state is RunState.PAUSED
        self._halted = look.status.trading is Trading.HALTED
        _set(self.pause, description="Resume" if self._paused else "Pause", icon="play" if self._paused else "pause")
        _set(self.halt, description="Unhalt" if self._halted else "Halt", icon="check" if self._halted else "ban")
        for button in (self.pause, self.flatten, self.halt, self.stop):
            _set(button, disabled=not live)
        if not live:
            self._unasked()

    def _toggle_pause(self) -> None:
        if self._paused:
            self._commands.put("resumed", self._engine.resume)
        else:
            self._commands.put("paused", self._engine.pause)

    def _toggle_halt(self) -> None:
        if self._halted:
            self._commands.put("unhalted", self._engine.unhalt)
        else:
            self._sure(self.halt, *self._halt)

    def _sure(self, asker: Any, question: str, verb: str, title: str, action: Callable[[], object]) -> None:
        self._asker, self._asked = asker, (title, action)
        self._question.value, self._yes.description = question, f"Yes, {verb.lower()}"
        self.confirm.layout.display = "flex"
        self._no.focus()  # a key pressed once too often changes nothing

    def _confirmed(self) -> None:
        asked = self._asked
        self._refused()
        if asked is not None:
            self._commands.put(*asked, urgent=True)

    def _refused(self) -> None:
        self._unasked()
        self._asker.focus()  # where it was: with the question its focus goes

    def _unasked(self) -> None:
        self._asked = None
        if self.confirm.layout.display != "none":
            self.confirm.layout.display = "none"


class _Tuning:
    """A slider for each parameter that has limits, a field for each that has none. ``tune(name, value)`` is told."""

    def __init__(self, tune: Callable[[str, float], None]) -> None:
        self._told = tune
        self._strategy: Strategy | None = None
        self._inputs: dict[str, Any] = {}
        self._setting = False
        self.refused = False  # a command has failed: a slider may stand where no parameter does
        columns = "repeat(auto-fill, minmax(min(250px, 100%), 1fr))"
        self.widget = ipywidgets.GridBox(layout=ipywidgets.Layout(grid_template_columns=columns))

    def show(self, strategy: Strategy) -> None:
        """Stand where the parameters stand; anew for another class."""
        if strategy is self._strategy and not self.refused:
            return
        self.refused = False
        if type(strategy) is not type(self._strategy):
            fields = {name: field for name, field in fields_of(strategy).items() if field.is_param}
            self._inputs = {name: self._input(name, field, getattr(strategy, name)) for name, field in fields.items()}
            self.widget.children = tuple(self._inputs.values()) or (ipywidgets.Label("It has no parameters to tune."),)
        self._strategy = strategy
        self._setting = True
        try:
            for name, widget in self._inputs.items():
                widget.value = getattr(strategy, name)
        finally:
            self._setting = False

    def enable(self, on: bool) -> None:
        """Whether anything may be moved."""
        for widget in self._inputs.values():
            _set(widget, disabled=not on)

    def _input(self, name: str, field: Field[Any], value: Any) -> Any:
        widget = control(field, value)
        if hasattr(widget, "continuous_update"):
            widget.continuous_update = False  # a tune for each drag, not for each pixel
        widget.observe(lambda change: self._moved(name, change["new"]), "value")
        return widget

    def _moved(self, name: str, sent: float) -> None:
        value = slider_value(sent)
        if not self._setting and self._strategy is not None and value != getattr(self._strategy, name):
            self._told(name, value)


def _button(text: str, tooltip: str, action: Callable[[], None], *, icon: str = "", style: str = "") -> Any:
    button = ipywidgets.Button(
        description=text, tooltip=tooltip, icon=icon, button_style=style, layout=_least(120 if len(text) > 8 else 86)
    )
    button.on_click(lambda _: action())
    return button


def _row(children: list[Any], gap: str = "0") -> Any:
    layout = ipywidgets.Layout(flex_flow="row wrap", align_items="center", grid_gap=gap)
    return ipywidgets.HBox(children, layout=layout)


def _least(pixels: int) -> Any:
    """A width that holds while the words change, and gives way where they need more."""
    return ipywidgets.Layout(width="auto", min_width=f"{pixels}px")


def _set(widget: Any, **values: Any) -> None:
    """Set what differs: each setting is a message to every page."""
    for name, value in values.items():
        if getattr(widget, name) != value:
            setattr(widget, name, value)
