"""The README's notebook in a real JupyterLab: run it, watch it, press its buttons, reload it, kill its kernel."""

import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser.lab import MISFITS, ROOT, Lab, Tab, guarded
from chromium import chromium
from engine.running import left_after, marked, titles

NOTEBOOK = "01_live_simulator.ipynb"
SHOTS = ROOT / "tests" / "screenshots"


def until(reached: Callable[[], object], what: str, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def marker() -> str:
    return uuid.uuid4().hex


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, marker: str) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("lab"), marker)
    shutil.copy(ROOT / "notebooks" / NOTEBOOK, lab.notebooks)
    yield lab
    lab.close()
    assert titles(left_after(marked(marker), 5.0)) == []


@pytest.fixture(scope="module")
def context(lab: Lab) -> Iterator[Any]:
    with chromium() as browser:
        # So tall that all of a dashboard is in sight: what nobody sees is not drawn.
        context = browser.new_context(viewport={"width": 1280, "height": 3_200})
        strayed = guarded(context)
        yield context
        assert strayed == []


@pytest.fixture(scope="module")
def tab(lab: Lab, context: Any) -> Tab:
    """The notebook, run from top to bottom."""
    tab = Tab(context.new_page(), lab, NOTEBOOK).open()
    tab.page.evaluate("window.jupyterapp.shell.collapseLeft()")
    tab.run_all()
    tab.page.locator(".pairsim.ps-lines").first.wait_for(timeout=240_000)
    until(lambda: number(tab.tile("Fills")) > 0, "a fill")
    tab.idle()
    return tab


def number(text: str) -> float:
    return float(text.replace(",", "").replace("−", "-") or 0)


def orders(tab: Tab) -> int:
    """Rows of the table of orders."""
    text = tab.page.locator(".ps-table .ps-count").first.inner_text()
    return int(text.split()[0].replace(",", "")) if text else 0


def told(tab: Tab) -> str:
    """What is said of the run under the buttons."""
    return "".join(tab.page.locator(".pairsim-dashboard .pairsim-note").all_inner_texts())


def press(tab: Tab, name: str) -> None:
    """Press a button of the engine; what its icon is drawn with is part of its text."""
    tab.page.locator(".pairsim-controls button").filter(has_text=re.compile(f"{name}$")).first.click()


def candles_stop(tab: Tab) -> bool:
    before = tab.shown("candles")
    tab.page.wait_for_timeout(700)
    return tab.shown("candles") == before


def orders_stop(tab: Tab) -> bool:
    before = orders(tab)
    tab.page.wait_for_timeout(1_500)  # longer than the journal is left unread
    return orders(tab) == before


def test_equity_orders_and_candles_move(tab: Tab) -> None:
    drawn, rows, equity = tab.drawn("lines"), orders(tab), tab.tile("Equity")
    until(lambda: tab.drawn("lines") > drawn + 5, "pictures of equity")
    until(lambda: tab.tile("Equity") != equity, "another equity")
    until(lambda: orders(tab) > rows, "another order")
    until(lambda: not candles_stop(tab), "candles")
    until(lambda: tab.page.locator("[data-stale]").count() == 0, "fresh views")


def test_pause_stops_the_candles_and_resume_lets_them_go_on(tab: Tab) -> None:
    press(tab, "Pause")
    until(lambda: tab.tile("State") == "paused", "paused")
    until(lambda: candles_stop(tab), "no more candles")
    press(tab, "Resume")
    until(lambda: tab.tile("State") == "running", "running")
    until(lambda: not candles_stop(tab), "candles again")


def test_a_slider_tunes_the_running_strategy(tab: Tab) -> None:
    handle = tab.page.locator(".pairsim-controls .noUi-handle").first  # the period of the first trader
    handle.focus()
    handle.press("ArrowRight")
    until(lambda: "tuned SUI/USDT: period = 15" in tab.outcome(), "the outcome")
    tab.run('assert engine["SUI/USDT"].strategy.period == 15')


def test_one_trader_is_paused_and_resumed(tab: Tab) -> None:
    press(tab, "Pause trader")
    until(lambda: "paused SUI/USDT" in tab.outcome(), "the outcome")
    tab.page.locator(".pairsim-dashboard .lm-TabBar-tab", has_text="Traders").click()
    traders = tab.page.locator(".pairsim-dashboard .pairsim[aria-label='Traders']")
    state = traders.locator(".ps-rows .ps-tr", has_text="SUI/USDT").locator(".ps-status")
    until(lambda: state.first.inner_text() == "paused", "the table of traders says so")
    assert tab.tile("State") == "running"
    press(tab, "Resume trader")
    until(lambda: state.first.inner_text() == "active", "active again")
    tab.page.locator(".pairsim-dashboard .lm-TabBar-tab", has_text="Orders").click()


def test_another_market_is_shown(tab: Tab) -> None:
    chooser = tab.page.locator(".pairsim-dashboard select").filter(
        has=tab.page.locator("option", has_text="BTC/USDT  15s")
    )
    chooser.select_option("BTC/USDT  15s")
    title = tab.page.locator(".pairsim-dashboard .ps-candles .ps-title")
    until(lambda: title.inner_text() == "BTC/USDT, 15s", "its candles")


def test_a_swap_from_a_cell_is_seen_in_the_chart(tab: Tab) -> None:
    readout = tab.page.locator(".pairsim-dashboard .ps-candles .ps-readout")
    until(lambda: "rsi" in readout.inner_text(), "what the strategy sees")
    tab.run('engine["BTC/USDT"].swap(ps.strategies.Simple(fast=2, slow=4))')
    until(lambda: "slow" in readout.inner_text() and "rsi" not in readout.inner_text(), "what the next one sees")


def test_an_order_tells_its_story(tab: Tab) -> None:
    tab.run("engine.pause()")  # new orders push the rows down, away from under the mouse
    until(lambda: orders_stop(tab), "no more orders")
    row = tab.page.locator(".ps-table .ps-rows .ps-tr:not([hidden])", has_text="FILLED").first
    row.click()
    until(lambda: "initialized" in "".join(tab.page.locator(".ps-detail").all_inner_texts()), "the story")
    row.click()
    tab.run("engine.resume()")


def test_it_keeps_moving_while_a_cell_blocks_the_kernel(tab: Tab, tmp_path: Path) -> None:
    """How often it does is measured in benchmarks/notebook.py."""
    begun, go_on = tmp_path / "begun", tmp_path / "go_on"
    tab.start_cell(
        f"import pathlib\npathlib.Path({str(begun)!r}).touch()\n"
        f"while not pathlib.Path({str(go_on)!r}).exists(): sum(range(1000))"
    )
    until(begun.exists, "the cell runs")
    before = tab.drawn("lines")
    until(lambda: tab.drawn("lines") > before + 10, "pictures")
    assert not tab.page.evaluate("Promise.race([window.running.done.then(() => true), false])")
    go_on.touch()
    tab.page.evaluate("window.running.done")


def test_a_second_tab_shows_it_whole(tab: Tab, lab: Lab, context: Any) -> None:
    tab.command("docmanager:save")
    other = Tab(context.new_page(), lab, NOTEBOOK).open()
    other.page.locator(".pairsim.ps-lines").first.wait_for(timeout=120_000)
    until(lambda: orders(other) >= orders(tab) - 1, "all orders")
    drawn = other.drawn("lines")
    until(lambda: other.drawn("lines") > drawn + 3, "it moves there too")
    other.page.close()


def test_after_a_reload_it_is_whole_again(tab: Tab) -> None:
    tab.command("docmanager:save")
    rows = orders(tab)
    tab.open()
    tab.page.locator(".pairsim.ps-lines").first.wait_for(timeout=120_000)
    until(lambda: orders(tab) >= rows, "all orders")
    drawn = tab.drawn("lines")
    until(lambda: tab.drawn("lines") > drawn + 3, "it moves again")


def test_pictures_and_data_are_saved_from_the_page_and_from_a_cell(tab: Tab, lab: Lab) -> None:
    equity = tab.page.locator(".pairsim-dashboard .ps-lines").first
    for name, begins in (("PNG", b"\x89PNG"), ("CSV", b"timestamp,equity")):
        equity.hover()
        with tab.page.expect_download() as saved:
            equity.get_by_role("button", name=name).click()
        assert saved.value.suggested_filename == f"Equity.{name.lower()}"
        assert Path(saved.value.path()).read_bytes().startswith(begins)
    tab.run('Out[2].to_png("pictures"); Out[2].to_parquet("data")')
    pictures = lab.notebooks / "pictures"
    in_sight = {f"{name}.png" for name in ("summary", "equity", "pnl", "candles", "orders")}
    until(lambda: {path.name for path in pictures.iterdir()} == in_sight, "pictures of what is in sight")
    until(lambda: all(path.read_bytes().startswith(b"\x89PNG") for path in pictures.iterdir()), "that are pictures")
    assert len(list((lab.notebooks / "data").glob("*.parquet"))) == 9


def test_everything_is_done_with_the_keyboard_alone(tab: Tab) -> None:
    """And no key gets to the notebook, which has uses of its own for arrows, Enter and letters."""
    page, title = tab.page, tab.page.locator(".pairsim-dashboard .ps-candles .ps-title").first
    cell = "window.jupyterapp.shell.currentWidget.content.activeCellIndex"
    question = page.locator(".pairsim-dashboard .pairsim-question")
    page.locator(".pairsim-dashboard .pairsim-controls button").first.focus()
    page.keyboard.press("Enter")
    until(lambda: tab.tile("State") == "paused", "paused")
    page.keyboard.press("Space")
    until(lambda: tab.tile("State") == "running", "running")
    before = page.evaluate(cell)

    tab.walk_to("^Halt")
    page.keyboard.press("Enter")
    until(lambda: tab.at().startswith("No"), "the question has the focus")
    page.keyboard.press("Escape")
    until(lambda: not question.is_visible() and "Halt" in tab.at(), "Escape is no, and one is where one was")
    assert tab.tile("State") == "running"
    page.keyboard.press("Enter")
    until(lambda: tab.at().startswith("No"), "the question has the focus")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    until(lambda: "halted" in tab.tile("State") and "Unhalt" in tab.at(), "halted")
    page.keyboard.press("Enter")
    until(lambda: tab.tile("State") == "running", "running")

    tab.walk_to("equity.*ps-item")
    page.keyboard.press("Space")
    line = page.locator(".pairsim-dashboard .ps-item").first
    until(lambda: line.get_attribute("aria-pressed") == "false", "a line is hidden")
    page.keyboard.press("Enter")
    until(lambda: line.get_attribute("aria-pressed") == "true", "and shown again")

    shown = title.inner_text()
    tab.walk_to("SELECT")
    page.keyboard.press("ArrowUp" if shown.startswith("BTC") else "ArrowDown")
    until(lambda: title.inner_text() != shown, "another market")

    tab.walk_to("Orders.*TabBar")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    current = page.locator(".pairsim-dashboard .lm-TabBar-tab.lm-mod-current")
    until(lambda: current.inner_text() == "Positions", "another tab")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    tab.walk_to("PNG")
    tab.walk_to("ps-scroll")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    story = page.locator(".pairsim-dashboard .ps-detail")
    until(lambda: "initialized" in "".join(story.all_inner_texts()), "the story of an order")
    page.keyboard.press("Escape")
    until(lambda: story.count() == 0, "closed")
    assert page.evaluate(cell) == before


def test_in_a_narrow_window_nothing_is_cut_and_nothing_stands_over_another(tab: Tab) -> None:
    shell = "window.jupyterapp.shell"
    try:
        for width, left in ((1280, "collapse"), (700, "collapse"), (820, "expand")):
            tab.page.evaluate(f"{shell}.{left}Left()")
            tab.page.set_viewport_size({"width": width, "height": 3_600})
            for name in ("Positions", "Traders", "Channels", "Orders"):
                tab.page.locator(".pairsim-dashboard .lm-TabBar-tab", has_text=name).click()
                until(lambda: tab.page.evaluate(MISFITS) == [], f"fits into {width}", 10.0)
            tab.shot(SHOTS / f"three_markets_{width}.png")
    finally:
        assert tab.page.evaluate(MISFITS) == []
        tab.page.evaluate(f"{shell}.collapseLeft()")
        tab.page.set_viewport_size({"width": 1280, "height": 3_200})


def test_a_notebook_that_is_closed_and_opened_again_shows_the_run_whole(tab: Tab, tmp_path: Path) -> None:
    """Its kernel lives on, and so does the run; but for signs of life nothing is sent to a page that is not there."""
    errors: list[str] = []
    tab.page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    tab.page.on("pageerror", lambda error: errors.append(str(error)))
    rows, seen = orders(tab), tmp_path / "seen"
    seen.touch()
    tab.run(
        "import pathlib, threading, time\n"
        "def watch(views=Out[2].views.values(), go_on=threading.Event()):\n"
        "    while not go_on.wait(0.5):\n"
        "        sent = sum(view._delivery.sequence for view in views)\n"
        f"        with pathlib.Path({str(seen)!r}).open('a') as file:\n"
        "            print(sent, engine.status.fills, file=file)\n"
        "threading.Thread(target=watch, daemon=True).start()"
    )
    tab.command("docmanager:save")
    tab.close_panel()
    until(lambda: tab.page.locator(".pairsim").count() == 0, "closed")

    def quiet() -> bool:
        last = [tuple(map(int, line.split())) for line in seen.read_text().splitlines()[-8:]]
        return len({sent for sent, _ in last}) == 1 and last[-1][1] > last[0][1]

    until(quiet, "fills, and nothing sent of them")
    tab.reopen_panel()
    tab.page.locator(".pairsim.ps-lines").first.wait_for(timeout=120_000)
    until(lambda: orders(tab) > rows, "all orders")
    drawn = tab.drawn("lines")
    until(lambda: tab.drawn("lines") > drawn + 3, "it moves again")
    until(lambda: tab.page.locator(".pairsim-dashboard [data-stale]").count() == 0, "fresh views")
    tab.run("watch.__defaults__[1].set()")
    assert errors == []


def test_pictures_in_light_and_dark(tab: Tab) -> None:
    SHOTS.mkdir(exist_ok=True)
    for theme in ("Dark", "Light"):
        tab.theme(theme)
        dark = tab.page.locator(".pairsim.ps-dark")
        until(lambda dark=dark, theme=theme: (dark.count() > 0) == (theme == "Dark"), f"views as {theme} as the page")
        tab.page.wait_for_timeout(900)
        tab.shot(SHOTS / f"three_markets_{theme.lower()}.png")


def test_halt_asks_first_and_then_stops_all_orders(tab: Tab) -> None:
    press(tab, "Halt")
    press(tab, "No")
    assert tab.tile("State") == "running"
    press(tab, "Halt")
    press(tab, "Yes, halt")
    until(lambda: "halted" in tab.tile("State"), "halted")
    until(lambda: "no order passes" in told(tab), "said under the buttons")
    rows = orders(tab)
    # halt() answers when nothing is under way any more
    tab.run("engine.halt()\nbefore = engine.status.fills\nengine.wait(1)\nassert engine.status.fills == before")
    assert orders(tab) >= rows
    press(tab, "Unhalt")
    until(lambda: tab.tile("State") == "running", "running")


def test_restarting_the_kernel_leaves_nothing_running(tab: Tab, marker: str) -> None:
    assert "pairsim-host" in titles(marked(marker))
    tab.page.evaluate(
        """async path => {
        const panel = await window.jupyterapp.commands.execute('docmanager:open', {path});
        await panel.sessionContext.session.kernel.restart();
    }""",
        tab.path,
    )
    until(lambda: not [t for t in titles(marked(marker)) if t.startswith("pairsim-")], "no process of the run")
    until(lambda: tab.page.locator("[data-stale]").count() > 0, "the views say that nothing comes")


def test_a_hundred_markets_stay_readable(lab: Lab, context: Any) -> None:
    name = lab.put(
        "hundred.ipynb",
        [
            "import pairsim as ps\n"
            "engine = ps.Engine([ps.Trader(f'M{k:03}/USDT', ps.strategies.Simple(fast=3, slow=9), every='1s')\n"
            "    for k in range(100)], ps.RandomFeed(tick='100ms', speed=10, seed=3), ps.SimBroker(latency='20ms'))\n"
            "engine.start()",
            "engine.dashboard()",
            "engine.wait(6)",
        ],
    )
    tab = Tab(context.new_page(), lab, name).open()
    tab.page.evaluate("window.jupyterapp.shell.collapseLeft()")
    tab.run_all()
    tab.page.locator(".pairsim.ps-lines").first.wait_for(timeout=120_000)
    until(lambda: number(tab.tile("Fills")) > 100, "fills")
    tab.idle()
    field = tab.page.locator("input[placeholder*='type to search 100']").last
    field.fill("M042")
    field.press("Enter")
    title = tab.page.locator(".ps-candles .ps-title")
    until(lambda: title.inner_text() == "M042/USDT, 1s", "its candles")
    for theme in ("Dark", "Light"):
        tab.theme(theme)
        tab.page.wait_for_timeout(900)
        tab.shot(SHOTS / f"hundred_markets_{theme.lower()}.png")
    tab.run("engine.stop()")
    until(lambda: tab.tile("State") == "stopped", "the final picture")
    tab.page.wait_for_timeout(3_500)
    assert tab.page.locator("[data-stale]").count() == 0
    tab.page.close()


def test_screenshots_are_not_committed() -> None:
    assert "tests/screenshots/" in (ROOT / ".gitignore").read_text()
    assert Path(SHOTS).is_relative_to(ROOT)
