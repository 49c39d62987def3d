"""Cards of HTML: everything a user wrote is escaped, numbers stand right, long tables say what they leave out."""

from datetime import UTC, datetime

from pairsim.markup import Html, Number, amount, card, facts, folded, money, page, table, toned


def test_what_a_user_wrote_is_escaped() -> None:
    shown = card("<q>", facts(("<i>", "<u>")), folded("<s>", "<pre>"), table(("<h>",), [("<d>",)]), about="<a>")
    for name in ("<q>", "<i>", "<u>", "<s>", "<h>", "<d>", "<a>"):
        assert name not in shown
    assert "&lt;pre&gt;" in shown


def test_html_is_not_escaped_again() -> None:
    assert "<em>x</em>" in table(("a",), [(Html("<em>x</em>"),)])


def test_columns_of_numbers_stand_right_and_of_text_left() -> None:
    shown = table(("name", "value"), [("a", 1.5), ("b", float("nan"))])
    assert "<th class='text'>name</th><th>value</th>" in shown
    assert "<td>1.5</td>" in shown
    assert "<td>–</td>" in shown


def test_numbers_that_are_text_already_stand_right_too() -> None:
    shown = table(("return", "PnL"), [(Number("2.83 %"), money(-41.3))])
    assert "class='text'" not in shown
    assert "<td>2.83 %</td>" in shown
    assert amount(1234.5) == "1,234.50"
    assert "-41.30" in money(-41.3)
    assert "class='muted'>0.00" in money(-0.001)


def test_only_long_texts_are_broken_over_lines() -> None:
    shown = table(("when", "why"), [(datetime(2025, 1, 5, 9, 30, tzinfo=UTC), "because " * 9)])
    assert "<td class='text'>2025-01-05 09:30</td>" in shown
    assert "<td class='text long'>because" in shown


def test_a_page_needs_nothing_else_and_escapes_its_headings() -> None:
    shown = page("<t>", ("<h>", "<p>as it is</p>"), ("", "more"))
    assert "<t>" not in shown
    assert "<h2>&lt;h&gt;</h2><p>as it is</p>" in shown
    assert "prefers-color-scheme:dark" in shown


def test_a_long_table_says_what_it_leaves_out() -> None:
    shown = table(("n",), [(n,) for n in range(12)], most=10, of="orders")
    assert shown.count("<tr>") == 11
    assert "and 2 more orders" in shown


def test_states_and_money_have_their_colours() -> None:
    assert "class='good'" in toned("running")
    assert "class='bad'" in toned("failed")
    assert "class='bad'" in money(-1.0)
    assert "class='muted'" in money(0.0)
