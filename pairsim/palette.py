"""Colours of what is drawn, each readable on white and on black, and told apart by the colour-blind.

Lines and marks have a contrast of 3:1 and more with white and with JupyterLab's dark page. No grey has the 4.5:1 that
text wants on both: text is drawn in INK, which has it on white, and INK_STYLE makes that the page's own text colour.
"""

from typing import Final

BUY: Final = "#009E73"  # these from Okabe and Ito's palette
SELL: Final = "#D55E00"
EQUITY: Final = "#0072B2"
LOSS: Final = "#CC79A7"
LINES: Final = ("#BF7A00", "#2F8FCB", "#8C6BB1", "#888888", "#C2539A", "#7A8B00", "#A0693F")

INK: Final = "#757576"  # used for nothing but text: its value is how the style below recognises it
GRID: Final = "rgba(128,128,128,0.25)"
CLEAR: Final = "rgba(0,0,0,0)"

# Text in INK in a plotly figure: JupyterLab's text colour, else VS Code's, else what the page's colour scheme says. A
# theme that changes changes the text, since nothing is drawn anew for it.
INK_STYLE: Final = (
    "<style>.js-plotly-plot text[style*='rgb(117, 117, 118)']"
    "{fill:var(--jp-ui-font-color1,var(--vscode-foreground,CanvasText))!important}</style>"
)
