"""The repository as a fresh machine meets it: ranges, lock and conda agree, the wheel is whole, nothing is tied to one
machine. Reads files and builds a wheel; needs no network."""

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _committed() -> list[Path]:
    """Files git knows of and that exist; all outside the ignored folders where there is no repository (an sdist)."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        ignored = {".venv", "__pycache__", "build", "dist", "node_modules"}
        return [p for p in ROOT.rglob("*") if p.is_file() and not ignored & set(p.relative_to(ROOT).parts)]
    paths = [ROOT / os.fsdecode(name) for name in listed.split(b"\0") if name]
    return [p for p in paths if p.is_file()]


def _requirements() -> list[Requirement]:
    extras = [line for group in PROJECT["optional-dependencies"].values() for line in group]
    return [Requirement(line) for line in PROJECT["dependencies"] + extras]


def _locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


# --- dependencies --------------------------------------------------------------------------------------------------


def test_conda_environment_has_the_same_dependencies_as_the_package() -> None:
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    conda = {}
    for entry in (e for e in entries if isinstance(e, str)):
        name, _, version = entry.partition(" ")
        conda[canonicalize_name(name)] = version
    assert conda.pop("pip") == ""  # installs the package itself
    assert conda.pop("python") == PROJECT["requires-python"]
    assert [e for e in entries if isinstance(e, dict)] == [{"pip": ["-e ."]}]
    ranges = {canonicalize_name(r.name): Requirement(f"{r.name} {conda.get(canonicalize_name(r.name), '')}").specifier
              for r in _requirements()}  # fmt: skip
    assert ranges == {canonicalize_name(r.name): r.specifier for r in _requirements()}
    assert set(conda) == set(ranges), "environment.yml names a package that pyproject.toml does not"


def test_every_dependency_has_a_lower_bound() -> None:
    for requirement in _requirements():
        assert any(s.operator == ">=" for s in requirement.specifier), f"{requirement} says no lowest version"


def test_lock_file_satisfies_every_range_of_core_and_dev() -> None:
    locked = {canonicalize_name(name): version for name, version in _locked().items()}
    for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]:
        requirement = Requirement(line)
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in requirements.lock: run `make lock`"
        assert requirement.specifier.contains(version), f"locked {requirement.name} {version} is outside {requirement}"


def test_lock_file_holds_exact_versions_and_nothing_of_one_machine() -> None:
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if not line.startswith("#"):
            assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.!]*", line), f"not an exact public version: {line!r}"


def test_lock_file_does_not_hold_the_package_itself() -> None:
    assert "pairsim" not in {canonicalize_name(name) for name in _locked()}


# --- the wheel -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    quick = {**os.environ, "PAIRSIM_NO_SHIPPED_CODE": "1"}
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, env=quick)
    assert built.returncode == 0, built.stderr
    (archive,) = folder.glob("*.whl")
    with zipfile.ZipFile(archive) as whole:
        return whole.namelist()


def test_wheel_holds_every_module_the_licence_and_the_type_marker(wheel: list[str]) -> None:
    sources = [p for p in _committed() if p.is_relative_to(ROOT / "pairsim")]
    missing = {str(p.relative_to(ROOT)) for p in sources} - set(wheel)
    assert not missing
    assert "pairsim/py.typed" in wheel
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel)


def test_wheel_holds_nothing_but_the_package(wheel: list[str]) -> None:
    assert {name.split("/")[0].split("-")[0] for name in wheel} == {"pairsim"}
    assert not [name for name in wheel if "__pycache__" in name or name.endswith((".nbi", ".nbc"))]


def test_console_script_names_a_callable() -> None:
    assert PROJECT["scripts"] == {"pairsim": "pairsim.cli:main"}
    cli = pytest.importorskip("pairsim.cli", reason="pairsim.cli is not written yet", exc_type=ModuleNotFoundError)
    assert callable(cli.main)


def test_licence_is_apache_2_in_full() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert PROJECT["license"] == "Apache-2.0"
    for landmark in (
        "Version 2.0, January 2004",
        "9. Accepting Warranty or Additional Liability",
        "APPENDIX: How to apply",
    ):
        assert landmark in text


# --- the repository ------------------------------------------------------------------------------------------------

# Written so that this file does not find itself. /usr, /proc, /dev and /sys are the same on every machine.
_FOLDERS = "|".join(["home", "root", "work", "tmp", "Users", "opt", "mnt", "private", "var/folders"])
_MACHINE_PATH = re.compile(rf"(?<![\w./:$}}~-])/(?:{_FOLDERS})/\w|file:" + r"//|\b[A-Z]:\\Users")


def test_committed_files_name_no_absolute_path_of_a_machine() -> None:
    found = []
    for path in _committed():
        try:
            text = path.read_text()
        except UnicodeDecodeError:  # an image, a Parquet file
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            if len(line) < 2_000 and _MACHINE_PATH.search(line):  # longer: a bundled script
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    assert not found, "\n".join(found)


def test_notebooks_are_committed_without_outputs() -> None:
    for path in (p for p in _committed() if p.suffix == ".ipynb"):
        for cell in json.loads(path.read_text())["cells"]:
            assert not cell.get("outputs"), f"{path.name} holds outputs: clear them before the commit"
            assert cell.get("execution_count") is None, f"{path.name} holds execution counts: clear them"


def test_continuous_integration_checks_and_tests() -> None:
    script = ROOT / ".ci" / "run"
    assert "make check test" in script.read_text()
    assert os.access(script, os.X_OK)


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)\b(?= *(?:#|`|$))", (ROOT / "README.md").read_text(), flags=re.MULTILINE))
    assert named <= targets, f"README names targets that the Makefile does not have: {named - targets}"
    assert {"demo", "test", "lab", "bench", "check"} <= targets
