"""What all views have in common in a page: age, messages, visibility, themes, several outputs, the end."""

import numpy as np
import pytest
from notebook.views.blank_page import BlankPage

from pairsim.notebook.views import CandleView, Column, LineView, TableView, TilesView, View, kernel, together

START = 1_763_900_000_000_000_000


def _tiles(**options: float) -> TilesView:
    view = TilesView(title="Run", **options)
    view.update({"equity": (100_123.45, "USDT", "good"), "state": ("running", "status", "good")})
    return view


def _candles(count: int) -> CandleView:
    view = CandleView(title="BTC")
    rows = [[1.0, 3.0, 0.5, 2.0, 10.0]] * count
    times = START + np.arange(count) * 10**9
    view.reset(
        times, rows, {"sma": ("price", np.ones(count)), "rsi": ("rsi", np.ones(count))}, [(START, 1.0, "BUY", "0.5")]
    )
    return view


def _every_kind() -> list[View]:
    line = LineView(["a", "b"], title="Equity")
    line.reset(START + np.arange(3) * 10**9, np.ones((3, 2)))
    table = TableView([Column("id"), Column("price", "number")], key="id", title="Orders")
    table.reset([("a", 1.0)])
    return [line, table, _tiles(), _candles(30)]


def test_every_kind_draws_without_an_error_and_has_a_still_picture(blank: BlankPage) -> None:
    for view in _every_kind():
        shown = blank.show(view)
        shown.settle()
        assert shown.root().get_attribute("data-empty") is None
        bundle, _ = view._repr_mimebundle_()
        assert bundle["image/svg+xml"].startswith("<svg")
        assert bundle["text/plain"].startswith(type(view).__name__)
        assert "application/vnd.jupyter.widget-view+json" in bundle
        assert len(view.frame()) > 0
    assert not blank.errors


@pytest.mark.parametrize(
    "empty",
    [LineView(["a"], title="x"), CandleView(title="x"), TilesView(), TableView([Column("a")], key="a", title="x")],
)
def test_a_view_without_data_says_so(blank: BlankPage, empty: View) -> None:
    shown = blank.show(empty)
    shown.settle()
    assert empty.to_svg().startswith("<svg")
    assert repr(empty)
    assert not blank.errors


def test_a_silent_kernel_is_shown_and_the_first_word_takes_it_back(blank: BlankPage) -> None:
    view = _tiles(stale_after=0.05)
    shown = blank.show(view)
    badge = shown.root().locator(".ps-stale")
    badge.wait_for(state="visible", timeout=20_000)
    assert "no data for" in badge.inner_text()
    view._options = {**view._options, "staleAfter": 60.0}
    shown.page.evaluate("(id) => { models[id].model.state._options.staleAfter = 60; }", shown.id)
    shown.send()  # nothing has changed: a sign of life
    badge.wait_for(state="hidden", timeout=20_000)


def test_a_final_view_never_counts_as_stale(blank: BlankPage) -> None:
    view = _tiles(stale_after=0.0)
    shown = blank.show(view)
    view.final()
    shown.deliver()
    shown.root().locator(".ps-stale").wait_for(state="hidden", timeout=20_000)
    shown.page.wait_for_function("document.querySelector('.pairsim').hasAttribute('data-final')", timeout=20_000)
    assert not view.flush()


def test_a_message_stands_over_the_view_until_it_is_taken_back(blank: BlankPage) -> None:
    view = _tiles()
    shown = blank.show(view)
    view.message("The host has died: start() again.", "bad")
    shown.send()
    shown.page.get_by_text("The host has died").wait_for(timeout=20_000)
    view.message("")
    shown.send()
    shown.page.get_by_text("The host has died").wait_for(state="hidden", timeout=20_000)


def test_a_message_that_cannot_be_read_is_shown_as_a_fault_of_the_view(blank: BlankPage) -> None:
    shown = blank.show(_tiles())
    shown.outbox.append(([shown.id], [b"\xff\xff\xff\xff nonsense"]))
    shown.deliver()
    shown.page.get_by_text("This view failed").wait_for(timeout=20_000)


def test_two_outputs_of_one_view_both_draw_and_one_may_go(blank: BlankPage) -> None:
    view = _tiles()
    shown = blank.show(view, outputs=2)
    shown.settle()
    view.update({"equity": (7.0, "USDT", "")})
    shown.send()
    shown.settle()
    assert [shown.root(i).locator(".ps-value").first.inner_text() for i in (0, 1)] == ["7.00", "7.00"]
    shown.page.evaluate("(id) => models[id].ends[0]()", shown.id)
    view.update({"equity": (8.0, "USDT", "")})
    shown.send()
    shown.settle()
    assert shown.root(0).locator(".ps-value").first.inner_text() == "8.00"
    shown.page.evaluate("(id) => { models[id].ends[1](); models[id].end(); }", shown.id)
    assert shown.page.locator(".pairsim").count() == 0
    shown.send()
    assert not blank.errors


def test_what_nobody_sees_is_not_drawn_and_is_up_to_date_when_it_comes_into_sight(blank: BlankPage) -> None:
    view = _tiles()
    shown = blank.show(view)
    shown.settle()
    shown.page.evaluate("document.querySelector('.pairsim').parentElement.style.marginTop = '9000px'")
    shown.page.evaluate("new Promise((next) => requestAnimationFrame(() => setTimeout(next, 60)))")
    drawn = shown.root().get_attribute("data-drawn")
    for i in range(20):
        view.update({"equity": (float(i), "", "")})
        shown.send()
    shown.page.evaluate("new Promise((next) => requestAnimationFrame(() => setTimeout(next, 60)))")
    assert shown.root().get_attribute("data-drawn") == drawn
    shown.page.evaluate("scrollTo(0, 9000)")
    shown.settle()
    assert shown.root().locator(".ps-value").first.inner_text() == "19"


def test_a_burst_is_one_picture(blank: BlankPage) -> None:
    view = LineView(["a"], title="x")
    shown = blank.show(view)
    shown.settle()
    before = int(shown.root().get_attribute("data-drawn"))
    for i in range(100):
        view.append([START + i], [float(i)])
        view._delivery._sent_at -= 10**9
        view.flush()
    shown.outbox = [
        ([name for names, _ in shown.outbox for name in names], [m for _, each in shown.outbox for m in each])
    ]
    shown.deliver()
    shown.settle()
    assert int(shown.root().get_attribute("data-drawn")) - before <= 3


def test_the_theme_is_followed(blank: BlankPage) -> None:
    shown = blank.show(_candles(30))
    shown.settle()
    light = shown.root().evaluate("(el) => getComputedStyle(el).color")
    blank.theme(dark=True)
    shown.page.wait_for_function("document.querySelector('.pairsim').classList.contains('ps-dark')", timeout=20_000)
    assert shown.root().evaluate("(el) => getComputedStyle(el).color") != light


def test_views_flushed_together_come_in_one_message(blank: BlankPage) -> None:
    first, second = _tiles(), _candles(30)
    shown = [blank.show(first), blank.show(second)]
    for each in shown:
        each.settle()
        each.view._delivery._sent_at -= 10**9
    first.update({"equity": (5.0, "", "")})
    second.append([START + 30 * 10**9], [[2.0, 3.0, 1.0, 2.5, 1.0]], {"sma": [1.5]})
    with together():
        assert first.flush()
        assert second.flush()
        assert not shown[0].outbox
    assert [len(each.outbox) for each in shown] == [1, 0]
    shown[0].deliver()
    for each in shown:
        each.settle()
    assert shown[0].root().locator(".ps-value").first.inner_text() == "5"
    shown[1].root().locator(".ps-readout", has_text="2.5").wait_for()


def test_views_of_one_message_are_drawn_without_waiting_for_a_frame(blank: BlankPage) -> None:
    views = [_tiles(), _candles(30), _tiles()]
    shown = [blank.show(view) for view in views]
    for each in shown:
        each.settle()
    blank.page.evaluate(
        """() => {
            window.requestAnimationFrame = () => 1;
            const shared = Object.getOwnPropertySymbols(window).find((s) => s.description.startsWith("pairsim.views."));
            const never = { get: () => 0, set: () => {} }; // rests after a drawing
            for (const view of window[shared].views) Object.defineProperty(view, "notBefore", never);
        }"""
    )
    views[0].update({"equity": (6.0, "", "")})
    views[1].append([START + 30 * 10**9], [[2.0, 3.0, 1.0, 2.5, 1.0]], {"sma": [1.5]})
    views[2].update({"equity": (7.0, "", "")})
    for each in shown:
        each.send()
    for view in views:
        blank.page.wait_for_function(
            "([id, sequence]) => document.querySelector(`[data-output='${id}'] > *`).dataset.sequence === sequence",
            arg=[view._options["id"], str(view._delivery.sequence)],
            polling=20,
        )


def test_a_page_loaded_again_has_what_came_meanwhile(blank: BlankPage) -> None:
    view = _candles(30)
    shown = blank.show(view)
    shown.settle()
    shown.lost = True
    view.append([START + 30 * 10**9], [[2.0, 9.0, 1.0, 8.5, 1.0]])
    shown.send()
    blank.page.evaluate("document.body.replaceChildren()")
    again = blank.show(view)
    again.settle()
    assert "8.5" in again.root(0).locator(".ps-readout").inner_text()


def test_the_page_says_what_it_has_for_all_views_at_once(blank: BlankPage) -> None:
    views = [_tiles(), _tiles()]
    shown = [blank.show(view) for view in views]
    for each in shown:
        each.settle()
        each.page.wait_for_function(  # which is said at once
            "(id) => Object.values(models).some(({ model }) => model.sent.some((said) => id in (said.have ?? {})))",
            arg=each.id,
        )
    for each in shown:
        each.answers()
        each.view.update({"equity": (1.0, "", "")})
        each.view._delivery._sent_at -= 10**9
    with together():
        for view in views:
            assert view.flush()
    shown[0].deliver()
    shown[0].page.wait_for_function(
        "() => Object.values(models).some(({ model }) => model.sent.length)", timeout=20_000
    )
    (said,) = [said for each in shown for said in each.answers()]
    views[0]._handle_custom_msg(said, [])
    assert [view._delivery.acknowledged for view in views] == [1, 1]


def test_a_png_is_made_by_the_page(blank: BlankPage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "present", lambda: True)
    for view in _every_kind():
        shown = blank.show(view)
        shown.settle()
        shown.answers()
        view.to_png("unused.png")
        shown.deliver()
        shown.page.wait_for_function(
            "(id) => models[id].model.sent.some((said) => said.picture)", arg=shown.id, timeout=20_000
        )
    assert not blank.errors
