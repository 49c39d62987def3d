"""The table in a page: what is in the DOM, filters, keyboard, opening of a row, many rows."""

from typing import Any

import pytest
from notebook.views.blank_page import BlankPage, Shown

from pairsim.errors import InputError
from pairsim.notebook.views import Column, TableView

COLUMNS = [
    Column("time", "time"),
    Column("id"),
    Column("market"),
    Column("side", "side"),
    Column("status", "status"),
    Column("price", "number", digits=2),
    Column("story", "detail"),
]
START = 1_763_900_000_000_000_000


def _row(i: int, status: str = "FILLED", **more: Any) -> dict[str, Any]:
    row = {"time": START + i * 10**9, "id": f"order-{i}", "market": f"M{i % 3}", "side": "BUY" if i % 2 else "SELL"}
    return {**row, "status": status, "price": 100 + i / 4, **more}


def _view(rows: int, **options: Any) -> TableView:
    view = TableView(COLUMNS, key="id", title="Orders", **options)
    view.reset(_row(i) for i in range(rows))
    return view


def _texts(shown: Shown, column: int) -> list[str]:
    """Cells of a column from top to bottom as they are seen."""
    texts: list[str] = shown.root().evaluate(
        """(el, column) => [...el.querySelectorAll(".ps-rows > .ps-tr:not([hidden])")]
            .sort((a, b) => a.ariaRowIndex - b.ariaRowIndex).map((row) => row.children[column].textContent)""",
        column,
    )
    return texts


def _eventually(shown: Shown, column: int, expected: list[str]) -> None:
    shown.page.wait_for_function(
        """([id, column, expected]) => {
            const rows = document.querySelectorAll(`[data-output='${id}'] .ps-rows > .ps-tr:not([hidden])`);
            const texts = [...rows].sort((a, b) => a.ariaRowIndex - b.ariaRowIndex).map((row) => row.children[column].textContent);
            return JSON.stringify(texts) === JSON.stringify(expected);
        }""",  # noqa: E501
        arg=[shown.id, column, expected],
        timeout=20_000,
    )


def test_five_thousand_rows_are_a_few_dozen_elements_with_the_newest_on_top(blank: BlankPage) -> None:
    shown = blank.show(_view(5_000))
    shown.settle()
    ids = _texts(shown, 1)
    assert ids[:3] == ["order-4999", "order-4998", "order-4997"]
    assert len(ids) < 40
    grid = shown.root().get_by_role("grid", name="Orders")
    assert grid.get_attribute("aria-rowcount") == "5001"
    assert shown.root().locator(".ps-count").inner_text() == "5,000 rows"
    assert not blank.errors


def test_changed_rows_keep_their_place_and_new_ones_come_on_top(blank: BlankPage) -> None:
    view = _view(10)
    shown = blank.show(view)
    shown.send()  # the whole, so that what follows goes as changes
    view.upsert([_row(3, "CANCELED"), _row(10, "SUBMITTED")])
    view.remove(["order-9", "no such order"])
    shown.send()
    shown.settle()
    assert _texts(shown, 1) == ["order-10", *(f"order-{i}" for i in range(8, -1, -1))]
    assert _texts(shown, 4)[6] == "CANCELED"


def test_fifty_changes_an_update_of_five_thousand_rows_stay_below_five_kilobytes(blank: BlankPage) -> None:
    view = _view(5_000)
    shown = blank.show(view)
    shown.send()
    view.upsert([_row(i, "CANCELED") for i in range(4_960, 5_010)])
    shown.send()
    assert 0 < shown.sizes[-1] < 4_000  # Jupyter adds 700


def test_rows_beyond_the_limit_go_at_both_ends(blank: BlankPage) -> None:
    view = _view(5, limit=5)
    shown = blank.show(view)
    shown.send()
    view.upsert([_row(5), _row(6)])
    shown.send()
    shown.settle()
    assert _texts(shown, 1) == [f"order-{i}" for i in range(6, 1, -1)]
    assert view.frame()["id"].to_list() == [f"order-{i}" for i in range(2, 7)]


def test_filters_and_search_narrow_the_rows(blank: BlankPage) -> None:
    view = _view(9)
    view.upsert([_row(4, "DENIED")])
    shown = blank.show(view)
    shown.settle()
    shown.page.get_by_label("filter by market").select_option("M1")
    _eventually(shown, 1, ["order-7", "order-4", "order-1"])
    shown.page.get_by_label("filter by status").select_option("DENIED")
    _eventually(shown, 1, ["order-4"])
    shown.page.get_by_label("filter by status").select_option("")
    shown.page.get_by_label("filter by market").select_option("")
    shown.page.get_by_label("search Orders").fill("order-8")
    _eventually(shown, 1, ["order-8"])
    assert "1 of 9 rows" in shown.root().inner_text()


def test_a_row_is_opened_by_keyboard_and_its_story_asked_for(blank: BlankPage) -> None:
    asked: list[Any] = []
    view = _view(200, on_open=asked.append)
    shown = blank.show(view)
    shown.settle()
    shown.answers()
    grid = shown.root().get_by_role("grid")
    grid.focus()
    for key in ("Home", "ArrowDown", "ArrowDown", "Enter"):
        shown.page.keyboard.press(key)
    (said,) = [each for each in shown.answers() if "opened" in each]
    view._handle_custom_msg(said, [])
    assert asked == ["order-197"]
    view.upsert([_row(197, story="bought at 149.25\nbecause the RSI was low")])
    shown.send()
    shown.page.get_by_text("because the RSI was low").wait_for(timeout=20_000)
    shown.page.keyboard.press("Escape")
    shown.page.get_by_text("because the RSI was low").wait_for(state="detached", timeout=20_000)
    shown.page.keyboard.press("End")
    shown.page.wait_for_function(
        "document.querySelector('.ps-active')?.textContent.includes('order-0')", timeout=20_000
    )


def test_a_table_is_as_high_as_its_rows_and_filters_do_not_shrink_it(blank: BlankPage) -> None:
    def height() -> int:
        return int(shown.root().locator(".ps-scroll").evaluate("(el) => el.clientHeight"))

    view = _view(5)
    shown = blank.show(view)
    shown.settle()
    assert height() == 6 * 24  # the heading takes a row
    shown.page.get_by_label("search Orders").fill("order-3")
    _eventually(shown, 1, ["order-3"])
    assert height() == 6 * 24
    shown.page.get_by_label("search Orders").fill("")
    view.upsert([_row(i) for i in range(5, 100)])
    shown.send()
    shown.settle()
    assert height() == 13 * 24


def test_a_story_takes_the_room_it_needs_and_the_rows_below_move_down(blank: BlankPage) -> None:
    view = _view(4)
    view.upsert([_row(2, story="a short one")])
    shown = blank.show(view)
    shown.settle()
    row = shown.root().locator(".ps-rows > .ps-tr", has_text="order-1")
    before = row.bounding_box()["y"]
    shown.root().get_by_text("order-2").click()
    detail = shown.page.get_by_text("a short one")
    detail.wait_for()
    height = detail.evaluate("(el) => el.offsetHeight")
    assert 20 < height < 60
    assert row.bounding_box()["y"] == before + height


def test_whoever_reads_further_down_keeps_their_rows_when_new_ones_come(blank: BlankPage) -> None:
    view = _view(500)
    shown = blank.show(view)
    shown.settle()
    seen = """() => { const box = document.querySelector(".ps-scroll");
        const top = box.getBoundingClientRect().top + 40;
        return [...box.querySelectorAll(".ps-rows > .ps-tr:not([hidden])")]
            .find((row) => row.getBoundingClientRect().bottom > top)?.children[1].textContent; }"""
    shown.page.evaluate("document.querySelector('.ps-scroll').scrollTop = 2400")
    shown.page.wait_for_function(f"({seen})() === 'order-399'", timeout=20_000)
    view.upsert([_row(i) for i in range(500, 520)])
    shown.send()
    shown.settle()
    assert shown.page.evaluate(seen) == "order-399"


def test_a_lost_change_is_asked_for_and_a_late_one_changes_nothing(blank: BlankPage) -> None:
    view = _view(3)
    shown = blank.show(view)
    shown.send()
    shown.answers()
    view.upsert([_row(0, "SUBMITTED")])
    view._delivery._sent_at -= 10**9
    view.flush()
    late, shown.outbox = shown.outbox, []
    view.upsert([_row(0, "CANCELED")])
    shown.send()
    shown.outbox = late
    shown.deliver()
    shown.settle()
    assert _texts(shown, 4) == ["FILLED", "FILLED", "CANCELED"]
    assert [said for said in shown.answers() if "need" in said]


def test_a_frame_gives_rows_with_nanoseconds_kept() -> None:
    import polars as pl

    view = TableView([Column("time", "time"), Column("id"), Column("price", "number")], key="id", title="Fills")
    times = pl.Series("time", [START + 1]).cast(pl.Datetime("ns", "UTC"))
    view.upsert(pl.DataFrame([times, pl.Series("id", ["a"])]))
    assert view.frame()["time"].dt.epoch("ns").to_list() == [START + 1]
    assert view.frame()["price"].to_list() == [None]


def test_a_row_without_a_number_is_told_once() -> None:
    import polars as pl

    view = _view(0)
    row = _row(1, price=float("nan"))
    for rows in ([row], pl.DataFrame([row])):
        view.upsert(rows)
        view._changes()  # as if they were sent
        view.upsert(rows)
        assert not view._has_changed()


def test_rows_that_go_while_nobody_looks_are_not_counted_for_ever() -> None:
    view = _view(0, limit=5)
    for i in range(1_000):
        view.upsert([_row(i)])
    assert len(view._removed) <= 5
    assert view.frame()["id"].to_list() == [f"order-{i}" for i in range(995, 1_000)]


def test_a_row_that_does_not_fit_and_a_key_that_is_no_column_are_told() -> None:
    with pytest.raises(InputError, match="2 values"):
        _view(0).upsert([("a", "b")])
    with pytest.raises(InputError, match="key 'order'"):
        TableView(COLUMNS, key="order", title="Orders")
