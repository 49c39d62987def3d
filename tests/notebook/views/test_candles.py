"""Candles: one that is still forming is replaced, what is out of order is refused, marks arrive once."""

import numpy as np
import pytest
from notebook.views.blank_page import BlankPage

from pairsim.errors import InputError
from pairsim.notebook.views import CandleView

START = 1_763_900_000_000_000_000
SECOND = 10**9


def _view() -> CandleView:
    view = CandleView(title="BTC", window=4)
    view.reset(START + np.arange(3) * SECOND, [[1.0, 2.0, 0.5, 1.5, 10.0]] * 3, {"sma": ("price", [1.0, 1.1, 1.2])})
    return view


def test_a_candle_with_the_last_time_replaces_it_and_the_window_holds() -> None:
    view = _view()
    view.append([START + 2 * SECOND], [[1.0, 9.0, 0.5, 8.0, 11.0]], {"sma": [1.3]})
    assert view.frame()["close"].to_list() == [1.5, 1.5, 8.0]
    assert view.frame()["sma"].to_list() == [1.0, 1.1, 1.3]
    view.append(START + np.arange(3, 5) * SECOND, [[1.0, 9.0, 0.5, 7.0, 11.0]] * 2)
    assert view.frame()["close"].to_list() == [1.5, 8.0, 7.0, 7.0]
    assert np.isnan(view.frame()["sma"][-1])


def test_the_page_replaces_the_forming_candle_too(blank: BlankPage) -> None:
    view = _view()
    shown = blank.show(view)
    shown.send()
    for close in (3.25, 4.75):
        view.append([START + 3 * SECOND], [[1.0, 9.0, 0.5, close, 11.0]], {"sma": [2.5]})
        shown.send()
    shown.settle()
    shown.root().locator(".ps-readout", has_text="4.75").wait_for()  # written four times a second
    readout = shown.root().locator(".ps-readout").inner_text()
    assert "3.25" not in readout
    assert "2.5" in readout
    assert not blank.errors


def test_the_readout_of_a_forming_candle_has_the_indicators_of_the_last_closed_one(blank: BlankPage) -> None:
    view = _view()
    shown = blank.show(view)
    view.append([START + 3 * SECOND], [[1.0, 9.0, 0.5, 4.75, 11.0]])
    shown.send()
    shown.settle()
    shown.root().locator(".ps-readout", has_text="4.75").wait_for()
    readout = shown.root().locator(".ps-readout").inner_text()
    assert "1.2" in readout
    assert not blank.errors


def test_a_long_price_stands_whole_on_its_tag(blank: BlankPage) -> None:
    """Nothing of the tag reaches the last pixels of the canvas."""
    view = CandleView(title="BTC")
    prices = 1_060_012.35 + np.arange(30) / 7
    view.reset(START + np.arange(30) * SECOND, np.column_stack([prices, prices + 1, prices - 1, prices + 0.5, prices]))
    shown = blank.show(view)
    shown.settle()
    assert "1,060,016" in shown.root().locator(".ps-readout").inner_text()
    marked = (
        shown.root()
        .locator("canvas")
        .first.evaluate(
            """(el) => { const { data } = el.getContext("2d").getImageData(el.width - 2, 0, 2, el.height);
            return data.some((value, i) => i % 4 === 3 && value > 0); }"""
        )
    )
    assert not marked
    assert not blank.errors


def test_what_does_not_fit_is_told() -> None:
    view = _view()
    with pytest.raises(InputError, match="use reset"):
        view.append([START], [[1.0, 2.0, 0.5, 1.5, 10.0]])
    with pytest.raises(InputError, match="no pane"):
        view.append([START + 3 * SECOND], [[1.0, 2.0, 0.5, 1.5, 10.0]], {"rsi": [50.0]})
    with pytest.raises(InputError, match="open, high, low, close, volume"):
        view.append([START + 3 * SECOND], [[1.0, 2.0]])
