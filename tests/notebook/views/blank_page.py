"""A blank page with the bundle and fake models: real views in Python, the real script, nothing of Jupyter between."""

import base64
import contextlib
from typing import Any

from playwright.sync_api import Page

from pairsim.notebook.views import View

_FAKE = """
window.kinds = {}; window.models = {};
window.bytes = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
window.load = async (code) => {
  window.widget = (await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })))).default;
};
class FakeModel {
  constructor(state) { this.state = state; this.sent = []; this.listeners = []; }
  get(key) { return this.state[key]; }
  on(event, f) { this.listeners.push([event, f]); }
  off(event, f) { this.listeners = this.listeners.filter((l) => l[1] !== f); }
  send(content, callbacks, buffers) { this.sent.push(content); }
  tell(names, messages) {
    for (const [event, f] of this.listeners) if (event === "msg:custom") f({ for: names }, messages.map(bytes));
  }
}
window.mount = async (id, state) => {
  const model = new FakeModel({ ...state, _snapshot: bytes(state._snapshot) });
  const module = widget();
  models[id] = { model, module, ends: [], end: await module.initialize({ model }) };
};
window.output = async (id, width) => {
  const el = document.createElement("div");
  el.style.width = width;
  el.style.margin = "8px";
  el.dataset.output = id;
  document.body.append(el);
  models[id].ends.push(await models[id].module.render({ model: models[id].model, el }));
};
"""


class BlankPage:
    """Shows views; what they send reaches the page until ``cut``."""

    def __init__(self, page: Page, *, dark: bool = False) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        page.set_content("<!doctype html><body></body>")
        self.theme(dark=dark)
        page.add_script_tag(content=_FAKE)
        page.evaluate("(code) => load(code)", View._esm.default_value)
        page.add_style_tag(content=View._css.default_value)

    def theme(self, *, dark: bool) -> None:
        """JupyterLab's way of having a theme: an attribute and a background."""
        color = "#111111" if dark else "#ffffff"
        self.page.evaluate(
            "([light, color]) => { const { style, dataset } = document.body; style.background = color; "
            "dataset.jpThemeLight = light; }",
            [str(not dark).lower(), color],
        )

    def show(self, view: View, *, width: str = "auto", outputs: int = 1) -> "Shown":
        """Open the view as a page that loads does, in one output or several."""
        return Shown(self, view, width, outputs)


class Shown:
    """A view in the page."""

    def __init__(self, blank: BlankPage, view: View, width: str, outputs: int) -> None:
        self.blank, self.view, self.page = blank, view, blank.page
        self.id = view._options["id"]
        self.lost = False
        self.sizes: list[int] = []
        self.outbox: list[tuple[list[str], list[bytes]]] = []
        view.send = self._carry
        self.load()
        for _ in range(outputs):
            self.page.evaluate("([id, width]) => output(id, width)", [self.id, width])

    def load(self) -> None:
        """A new model with the widget's state, as after a reload."""
        state = self.view.get_state()
        sent = {"_options": state["_options"], "_snapshot": base64.b64encode(state["_snapshot"]).decode()}
        self.page.evaluate("([id, state]) => mount(id, state)", [self.id, sent])

    def _carry(self, content: dict[str, list[str]], messages: list[bytes]) -> None:
        self.sizes.append(sum(map(len, messages)))
        if not self.lost:
            self.outbox.append((content["for"], messages))

    def send(self) -> None:
        """Flush whatever the time is, and let the page have it; it has answered, however long this machine took."""
        self.view._delivery.heard(self.view._delivery.acknowledged)
        self.view._delivery._due_at = 0
        self.view.flush()
        self.deliver()

    def deliver(self) -> None:
        told, self.outbox = self.outbox, []
        for names, messages in told:
            texts = [base64.b64encode(message).decode() for message in messages]
            self.page.evaluate("([id, ...told]) => models[id].model.tell(...told)", [self.id, names, texts])

    def answers(self) -> list[Any]:
        """What the page has said since the last time."""
        said: list[Any] = self.page.evaluate("(id) => models[id].model.sent.splice(0)", self.id)
        return said

    def settle(self) -> None:
        """Until everything that came is drawn."""
        with contextlib.suppress(KeyError):
            sequence = str(self.view._delivery.sequence)
            self.page.wait_for_function(
                "([id, sequence]) => [...document.querySelectorAll(`[data-output='${id}'] > .pairsim`)]"
                ".every((el) => el.dataset.sequence === sequence && el.dataset.drawn)",
                arg=[self.id, sequence],
            )

    def root(self, output: int = 0) -> Any:
        """The view's element in one of its outputs."""
        return self.page.locator(f"[data-output='{self.id}'] > .pairsim").nth(output)
