"""Lines in a page: a snapshot, deltas, a gap and its mending, names, the legend."""

import numpy as np
import pytest
from notebook.views.blank_page import BlankPage

from pairsim.notebook.views import LineView

START = 1_763_900_000_000_000_000


def _times(first: int, count: int) -> np.ndarray:
    return START + np.arange(first, first + count) * 100_000_000


def _held(shown: object) -> list[float]:
    """The page's own copy of the first line, read through what it would save as CSV."""
    text = shown.root().evaluate(  # type: ignore[attr-defined]
        """(el) => new Promise((resolve) => {
            const make = URL.createObjectURL;
            URL.createObjectURL = (blob) => { blob.text().then(resolve); return make(blob); };
            el.addEventListener("click", (event) => event.preventDefault(), { once: true });
            [...el.querySelectorAll(".ps-button")].find((b) => b.textContent === "CSV").click();
            URL.createObjectURL = make;
        })"""
    )
    return [float(line.split(",")[1] or "nan") for line in text.splitlines()[1:]]


def test_a_page_shows_what_was_there_before_it(blank: BlankPage) -> None:
    view = LineView(["total", "BTC"], title="Equity", unit="USDT")
    view.reset(_times(0, 3), [[1.0, 2.0], [2.0, 3.0], [1_000.25, 4.5]])
    shown = blank.show(view)
    shown.settle()
    assert _held(shown) == [1.0, 2.0, 1_000.25]
    assert "1,000.25" in shown.root().locator(".ps-legend").inner_text()
    assert not blank.errors


def test_two_hundred_deltas_arrive_and_are_drawn(blank: BlankPage) -> None:
    view = LineView(["total"], title="Equity", window=500)
    shown = blank.show(view)
    for i in range(200):
        view.append(_times(i, 1), [100_000 + i / 100])
        shown.send()
    shown.settle()
    assert np.allclose(_held(shown), 100_000 + np.arange(200) / 100, atol=1e-5)
    assert int(shown.root().get_attribute("data-drawn")) <= 200
    assert not blank.errors


def test_both_ends_thin_a_full_window_alike(blank: BlankPage) -> None:
    random = np.random.default_rng(1)
    view = LineView(["total"], title="Equity", window=64)
    shown = blank.show(view)
    first = 0
    for count in random.integers(1, 9, 60):
        view.append(_times(first, int(count)), random.normal(size=int(count)))
        first += int(count)
        shown.send()
    shown.settle()
    assert np.allclose(_held(shown), view.frame()["total"].to_numpy(), atol=1e-6)
    assert view.frame()["timestamp"][0].timestamp() == START / 1e9


def test_more_points_than_can_be_told_one_by_one_come_as_the_whole(blank: BlankPage) -> None:
    view = LineView(["total"], title="Equity", window=64)
    view.reset(_times(0, 60), np.arange(60.0))
    shown = blank.show(view)
    shown.send()
    view.append(_times(60, 100), np.arange(60.0, 160.0))
    shown.send()
    shown.settle()
    assert _held(shown) == view.frame()["total"].to_list()


def test_after_a_lost_message_the_view_goes_on_and_asks_for_the_whole(blank: BlankPage) -> None:
    view = LineView(["total"], title="Equity")
    view.reset(_times(0, 2), [1.0, 2.0])
    shown = blank.show(view)
    shown.answers()
    shown.lost = True
    view.append(_times(2, 1), [3.0])
    shown.send()
    shown.lost = False
    view.append(_times(3, 1), [4.0])
    shown.send()
    shown.settle()
    held = _held(shown)
    assert held[:2] == [1.0, 2.0] and np.isnan(held[2]) and held[3] == 4.0
    (asked,) = [said for said in shown.answers() if "need" in said]
    view._handle_custom_msg(asked, [])
    shown.deliver()
    shown.settle()
    assert _held(shown) == [1.0, 2.0, 3.0, 4.0]


def test_two_charts_side_by_side_stand_level_though_one_legend_is_longer(blank: BlankPage) -> None:
    names = [["equity"], [f"trader {k}" for k in range(8)]]
    views = [LineView(each, title=title) for each, title in zip(names, ("Equity", "PnL"), strict=True)]
    blank.page.evaluate("document.body.style.cssText += 'display: grid; grid-template-columns: 1fr 1fr'")
    for view, each in zip(views, names, strict=True):
        view.reset(_times(0, 3), np.ones((3, len(each))))
        blank.show(view).settle()
    blank.page.wait_for_function(
        """() => {
            const boxes = (part) => [...document.querySelectorAll(part)].map((el) => el.getBoundingClientRect());
            const [titles, charts] = [boxes(".ps-title"), boxes(".ps-plot canvas")];
            return titles[0].y === titles[1].y && Math.abs(charts[0].bottom - charts[1].bottom) < 1
                && charts[0].y < charts[1].y; // no hole: the chart below one line of names is the higher one
        }""",
        timeout=20_000,
    )
    assert not blank.errors


def test_the_legend_ends_with_the_last_values_however_soon_they_follow_others(blank: BlankPage) -> None:
    view = LineView(["total"], title="Equity")
    shown = blank.show(view)
    for i in range(3):
        view.append(_times(i, 1), [i + 0.25])
        shown.send()
        shown.settle()
    shown.root().locator(".ps-legend", has_text="2.25").wait_for()


def _rows_of_ink(shown: object, share: float) -> list[int]:
    """Pixels of the plot that bear a line's colour in the column at this share of its width; 0 is the top."""
    return shown.root().evaluate(  # type: ignore[attr-defined, no-any-return]
        """(el, share) => {
            const canvas = el.querySelector("canvas");
            const { left, width } = el.querySelector(".u-over").style;
            const x = Math.round(parseFloat(left) + share * parseFloat(width));
            const { data } = canvas.getContext("2d").getImageData(x, 0, 1, canvas.height);
            const pixel = (y) => data.slice(4 * y, 4 * y + 4);
            const saturated = ([r, g, b, a]) => a > 100 && Math.max(r, g, b) - Math.min(r, g, b) > 60;
            return [...Array(canvas.height).keys()].filter((y) => saturated(pixel(y)));
        }""",
        share,
    )


@pytest.mark.parametrize("number", [0, 8, 17], ids=["plain", "dashed", "dotted"])
def test_of_ten_thousand_points_those_that_stand_out_are_seen_and_a_hole_stays_empty(
    blank: BlankPage, number: int
) -> None:
    values = np.full((10_001, number + 1), np.nan)
    values[:, number] = 0.0
    spikes = range(3_000, 7_000, 370)  # some of them where a dash has its gaps
    values[spikes, number] = 100.0
    values[7_000:8_000, number] = np.nan
    view = LineView([str(k) for k in range(number + 1)], title="Lines", window=10_001)
    view.reset(_times(0, 10_001), values)
    shown = blank.show(view)
    shown.settle()
    for row in spikes:
        ink = _rows_of_ink(shown, row / 10_000)
        assert len(ink) > 150 and np.ptp(ink) == len(ink) - 1
    assert not _rows_of_ink(shown, 0.75)
    flat = [len(_rows_of_ink(shown, 0.2 + i / 1_000)) for i in range(30)]
    assert max(flat) <= 3
    assert (0 in flat) == (number > 0)
    assert not blank.errors
