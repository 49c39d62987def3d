"""The script and style sheet in the wheel are those of the sources, small, whole, and ask nobody for anything."""

import hashlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
STATIC = ROOT / "pairsim" / "notebook" / "static"
JS = ROOT / "js"
UPLOT_BYTES = 51_081  # uPlot.iife.min.js of the version locked


def _source_hash() -> str:
    """As js/build.mjs makes it."""
    names = ["build.mjs", "package-lock.json", "package.json", *(f"src/{p.name}" for p in (JS / "src").iterdir())]
    digest = hashlib.sha256()
    for name in sorted(names):
        digest.update(f"{name}\n".encode())
        digest.update((JS / name).read_bytes())
    return digest.hexdigest()[:16]


@pytest.mark.parametrize("name", ["views.js", "views.css"])
def test_bundle_was_built_from_these_sources(name: str) -> None:
    first = (STATIC / name).read_text(encoding="utf-8").splitlines()[0]
    assert f"sources {_source_hash()};" in first, "js/ has changed: run `make js` and commit what it builds"


def test_bundle_is_text_of_several_lines_so_that_anywidget_takes_it_for_no_path() -> None:
    for name in ("views.js", "views.css"):
        assert (STATIC / name).read_text(encoding="utf-8").count("\n") >= 1


def test_own_script_stays_below_eighty_kilobytes() -> None:
    assert (STATIC / "views.js").stat().st_size - UPLOT_BYTES <= 80_000


def test_bundle_names_no_other_host() -> None:
    for name in ("views.js", "views.css"):
        text = (STATIC / name).read_text(encoding="utf-8")
        assert not re.findall(r"https?://|@import|url\(", text.replace("http://www.w3.org/2000/svg", ""))


def test_uplot_ships_with_its_licence() -> None:
    assert "uPlot" in (STATIC / "views.js").read_text(encoding="utf-8").splitlines()[0]
    licence = (STATIC / "LICENSE-uPlot.txt").read_text()
    assert "The MIT License" in licence
    assert "Leon Sorokin" in licence
