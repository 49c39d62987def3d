"""A figure in a real JupyterLab: its text is the theme's, and changes with it."""

from collections.abc import Iterator
from typing import Any

import pytest
from browser.lab import Lab, Tab, guarded
from chromium import chromium

CELLS = [
    "import pairsim as ps\nresult = ps.backtest(ps.strategies.RSI(), ps.synthetic('BTC/USDT', '1h', days=30, seed=7))",
    "result.plot()",
]
# Text and background of what is shown, as JupyterLab's theme has them, and of every text of the figure.
COLORS = """() => {
    const paint = (color) => Object.assign(document.body.appendChild(document.createElement('i')), {style: color});
    const probe = paint('color: var(--jp-ui-font-color1); background: var(--jp-layout-color0)');
    const theme = getComputedStyle(probe).color;
    probe.remove();
    const plot = document.querySelector('.js-plotly-plot');
    const drawn = [...plot.querySelectorAll('text')].filter((text) => text.textContent.trim());
    return {
        theme, texts: [...new Set(drawn.map((text) => getComputedStyle(text).fill))], count: drawn.length,
        behind: [...new Set([...plot.querySelectorAll('.main-svg')].map((svg) => getComputedStyle(svg).background))],
    };
}"""


@pytest.fixture
def tab(tmp_path: Any) -> Iterator[Tab]:
    lab = Lab(tmp_path, "figures")
    try:
        with chromium() as browser:
            context = browser.new_context(viewport={"width": 1280, "height": 1_200})
            strayed = guarded(context)
            tab = Tab(context.new_page(), lab, lab.put("figures.ipynb", CELLS)).open()
            tab.run_all()
            yield tab
            assert strayed == []
    finally:
        lab.close()


def test_a_figure_has_the_text_of_the_theme_and_nothing_behind_it(tab: Tab) -> None:
    tab.page.locator(".js-plotly-plot .legend text").first.wait_for(timeout=120_000)
    seen = set()
    for theme in ("Light", "Dark", "Light"):
        tab.theme(theme)
        light = str(theme == "Light").lower()
        tab.page.wait_for_selector(f"body[data-jp-theme-light={light}]", state="attached")
        tab.page.wait_for_timeout(500)
        colors = tab.page.evaluate(COLORS)
        assert colors["count"] > 20
        assert colors["texts"] == [colors["theme"]]
        assert all("rgba(0, 0, 0, 0)" in behind for behind in colors["behind"])
        seen.add(colors["theme"])
    assert len(seen) == 2
