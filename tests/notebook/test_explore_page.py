"""The explorer's chart in a blank page with a fake model: what it draws, what it answers, what a user can ask of it."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from chromium import chromium
from playwright.sync_api import Browser, Page

import pairsim as ps
from pairsim.notebook.explore_chart import Chart
from pairsim.notebook.explore_picture import Painter, Picture, Span

_FAKE = """
window.bytes = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
window.model = {
  state: {}, sent: [], listeners: [],
  get(key) { return this.state[key]; },
  on(event, f) { this.listeners.push([event, f]); },
  off(event, f) { this.listeners = this.listeners.filter((l) => l[1] !== f); },
  send(content) { this.sent.push(content); },
  tell(described, numbers) {
    this.state = { described, numbers: bytes(numbers) };
    for (const [event, f] of this.listeners) f();
  },
};
window.mount = async (code) => {
  const widget = (await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })))).default;
  window.end = widget.render({ model, el: document.body });
};
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def result() -> ps.Result:
    return ps.backtest(ps.strategies.RSI(weight=1.0), ps.synthetic("BTC/USDT", "1m", n=3_000, seed=3))


class Shown:
    """The chart in a page."""

    def __init__(self, page: Page) -> None:
        self.page, self.sequence = page, 0
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.set_content("<!doctype html><body style='color: black; margin: 0; width: 900px'></body>")
        page.add_script_tag(content=_FAKE)
        page.evaluate("(code) => mount(code)", Chart._esm)

    def tell(self, picture: Picture) -> None:
        """Send a picture and wait until the page says that it is drawn."""
        self.sequence += 1
        numbers = base64.b64encode(picture.numbers).decode()
        described = {**picture.described, "sequence": self.sequence}
        self.page.evaluate("([described, numbers]) => model.tell(described, numbers)", [described, numbers])
        self.page.wait_for_function("(n) => model.sent.some((m) => m.sequence === n)", arg=self.sequence)

    def asked(self) -> list[Any]:
        """Spans that were asked for since the last time, one at least."""
        self.page.wait_for_function("() => model.sent.some((message) => message.kind === 'span')")
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        said = self.page.evaluate("() => model.sent.splice(0)")
        return [message["span"] for message in said if message["kind"] == "span"]

    def colors(self) -> set[str]:
        """Opaque colours on the canvas."""
        found: list[str] = self.page.evaluate(
            """() => { const canvas = document.querySelector("canvas"), found = new Set();
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            for (let i = 0; i < data.length; i += 4) {
              if (data[i + 3] === 255) found.add([...data.slice(i, i + 3)].join());
            }
            return [...found]; }"""
        )
        return set(found)


@pytest.fixture
def shown(browser: Browser) -> Iterator[Shown]:
    page = browser.new_page(viewport={"width": 1000, "height": 700})
    made = Shown(page)
    yield made
    assert not made.errors
    page.close()


def test_a_picture_is_drawn_and_acknowledged(shown: Shown, result: ps.Result) -> None:
    assert not shown.colors()
    shown.tell(Painter().draw(result, 0, None))
    colors = shown.colors()
    for painted in ("0,158,115", "213,94,0", "0,114,178"):  # risen, fallen, equity
        assert painted in colors
    shown.tell(Painter().draw(result, 0, Span(0, 1)))
    assert shown.page.evaluate("() => model.sent.map((m) => m.sequence)") == [1, 2]


def test_a_dark_page_has_lighter_lines(shown: Shown, result: ps.Result) -> None:
    shown.tell(Painter().draw(result, 0, None))
    drawn = shown.page.get_attribute("canvas", "data-drawn")
    shown.page.evaluate("() => { document.body.style.color = 'white'; document.body.style.background = 'black'; }")
    shown.page.wait_for_function("(n) => document.querySelector('canvas').dataset.drawn !== n", arg=drawn)
    colors = shown.colors()
    assert "0,158,115" not in colors
    assert any(all(int(part) > 75 for part in color.split(",")) for color in colors)


def test_wheel_drag_keys_and_double_click_ask_for_a_span(shown: Shown, result: ps.Result) -> None:
    picture = Painter().draw(result, 0, None)
    first, last = picture.described["whole"]
    middle = Span(*(int(1e6 * (first + (last - first) * share)) for share in (0.4, 0.6)))
    shown.tell(Painter().draw(result, 0, middle))
    begin, end = (edge / 1e6 for edge in middle)
    mouse = shown.page.mouse
    mouse.move(300, 200)
    mouse.wheel(0, -100)
    ((a, b),) = shown.asked()
    assert begin < a < b < end  # closer
    mouse.wheel(0, 100)
    ((a, b),) = shown.asked()
    assert a < begin < end < b  # further
    mouse.down()
    mouse.move(200, 200)
    mouse.up()
    a, b = shown.asked()[-1]
    assert a > begin  # what was right comes into view
    assert b - a == pytest.approx(end - begin)
    shown.page.focus("canvas")
    shown.page.keyboard.press("ArrowLeft")
    ((a, b),) = shown.asked()
    assert a < begin
    mouse.dblclick(300, 200)
    assert shown.asked()[-1] is None


def test_a_closed_chart_listens_no_more(shown: Shown, result: ps.Result) -> None:
    shown.tell(Painter().draw(result, 0, None))
    shown.page.evaluate("() => end()")
    assert shown.page.evaluate("() => model.listeners.length") == 0
