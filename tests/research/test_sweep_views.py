"""What a table of combinations shows: the best, the plateau by its definition, heatmaps, words."""

import numpy as np
import pytest
from research.workload import Cross, bars

import pairsim as ps
from pairsim.errors import InputError
from pairsim.research import plateau as plateaus
from pairsim.research.sweep_table import Sweep

SPACE = {"fast": [9, 3, 5, 7], "slow": [20, 40, 30]}  # not in order: neighbours are by value


@pytest.fixture(scope="module")
def table() -> Sweep:
    return ps.sweep(Cross, bars(3_000), SPACE, cash=1e5, metric="total_return")


def _naive_plateau(table: Sweep, reach: int) -> tuple[dict[str, int], float, int]:
    """By the definition: sorted values, neighbours at most ``reach`` steps away on each axis."""
    rows = table.frame.select("fast", "slow", table.metric).rows()
    steps = [{value: k for k, value in enumerate(sorted(SPACE[name]))} for name in ("fast", "slow")]
    best = (-np.inf, None, 0)
    for fast, slow, _ in rows:
        near = [
            value
            for f, s, value in rows
            if abs(steps[0][f] - steps[0][fast]) <= reach and abs(steps[1][s] - steps[1][slow]) <= reach
        ]
        if np.mean(near) > best[0]:
            best = (np.mean(near), {"fast": fast, "slow": slow}, len(near))
    return best[1], best[0], best[2]


def test_best_is_the_highest_or_the_lowest_by_what_the_metric_means(table: Sweep) -> None:
    assert table.best.metrics.total_return == table.frame["total_return"].max()
    assert ps.backtest(table.best.strategy, bars(3_000), cash=1e5).stats == table.best.metrics
    cheap = ps.sweep(Cross, bars(3_000), SPACE, cash=1e5, metric="fees")
    assert cheap.best.metrics.fees == cheap.frame["fees"].min()


def test_the_plateau_is_the_neighbourhood_with_the_best_mean(table: Sweep) -> None:
    middle, mean, members = _naive_plateau(table, 1)
    found = table.plateau
    assert found.parameters == middle
    assert found.mean == pytest.approx(mean)
    assert found.members == members == len(found.frame)
    assert found.worst == found.frame["total_return"].min()
    low, high = found.ranges["fast"]
    assert found.frame["fast"].is_between(low, high).all() and low <= found.parameters["fast"] <= high
    assert found.strategy.fast == found.parameters["fast"]
    assert "total_return mean" in repr(found)


def test_a_space_too_large_to_fill_has_the_same_plateau(table: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = plateaus.find_plateau(table)
    monkeypatch.setattr(plateaus, "_DENSE", 0)
    monkeypatch.setattr(plateaus, "_PAIRS", 30)
    assert repr(plateaus.find_plateau(table)) == repr(expected)


def test_a_heatmap_shows_each_place_and_the_best(table: Sweep) -> None:
    figure = table.heatmap("fast", "slow")
    heat, spot = figure.data
    assert (list(heat.x), list(heat.y)) == (SPACE["fast"], SPACE["slow"])
    for fast, slow, value in table.frame.select("fast", "slow", "total_return").rows():
        assert heat.z[SPACE["slow"].index(slow)][SPACE["fast"].index(fast)] == value
    assert (spot.x[0], spot.y[0]) == (table.best.parameters["fast"], table.best.parameters["slow"])
    look = figure.layout.template.layout
    assert look.paper_bgcolor == look.plot_bgcolor == "rgba(0,0,0,0)"  # light or dark shows through


def test_cells_are_of_one_size_though_the_steps_are_not() -> None:
    uneven = ps.sweep(Cross, bars(500), {"fast": [2, 3, 9], "slow": [12, 14]}, metric="total_return")
    figure = uneven.heatmap("fast", "slow")
    assert list(figure.data[0].x) == ["2", "3", "9"] and list(figure.data[0].y) == [12, 14]
    assert (figure.layout.xaxis.type, figure.layout.yaxis.type) == ("category", "linear")
    assert figure.data[1].x[0] == str(uneven.best.parameters["fast"])


@pytest.mark.parametrize(("others", "reduce"), [("best", np.max), ("mean", np.mean), ("worst", np.min)])
def test_other_axes_are_reduced_as_asked(others: str, reduce) -> None:
    rsi = ps.sweep(
        ps.strategies.RSI, bars(2_000), {"period": [5, 9], "low": [30.0, 40.0], "weight": [0.2, 0.5, 1.0]},
        metric="total_return",
    )  # fmt: skip
    heat = rsi.heatmap("period", "low", others=others).data[0]
    values = rsi.frame.filter(period=9, low=30.0)["total_return"].to_numpy()
    assert heat.z[0][1] == pytest.approx(reduce(values))
    fees = rsi.heatmap("low", "period", "fees", others=others).data[0]
    values = -rsi.frame.filter(period=9, low=30.0)["fees"].to_numpy()  # of fees the lowest is the best
    assert fees.z[1][0] == pytest.approx(-reduce(values))


def test_axes_and_metrics_that_do_not_exist_are_named(table: Sweep) -> None:
    with pytest.raises(InputError, match="fast, slow"):
        table.heatmap("fast", "weight")
    with pytest.raises(InputError, match="two axes"):
        table.heatmap("fast", "fast")
    with pytest.raises(InputError, match="sharpe"):
        table.heatmap("fast", "slow", "beauty")
    with pytest.raises(InputError, match="best"):
        table.heatmap("fast", "slow", others="median")
    with pytest.raises(InputError, match="does not exist"):
        table.parameters(99)


def test_words_say_what_was_tried_and_how_far_it_can_be_believed(table: Sweep) -> None:
    told = repr(table)
    assert "Cross: 12 combinations (4 fast, 3 slow) by total_return" in told
    assert "not significant: deflated Sharpe" in told
    assert "12 trials" in told and "causality" in told
    html = table._repr_html_()
    assert "not significant" in html and "<table" in html
    value = f"{100 * table.best.metrics.total_return:,.2f} %"
    assert f"total_return {value}" in told and f"<td>{value}</td>" in html
    assert f"mean {100 * table.plateau.mean:,.2f} %" in repr(table.plateau)
    assert table.best._repr_html_().count("<tr>") > 10 and "deflated" in repr(table.best)
    assert table.best.verdict == "not significant"
    assert 0.0 <= table.best.overfitting <= 1.0
