"""The house stands as it is drawn: fixed rooms, charters, and citations that exist."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests import requirements

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ["src/sextant", "agents", "data", "execution", "risk"]
MODULES = sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_typed_and_has_a_charter(package):
    assert (ROOT / package / "py.typed").is_file()
    for init in (ROOT / package).rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(init.read_text())), f"{init}: no charter"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_module_opens_with_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text())), "no docstring"


def test_no_module_is_a_catch_all():
    names = {path.stem for path in MODULES}
    assert not names & {"utils", "util", "common", "helpers", "misc", "models"}


@pytest.mark.req("S0-21")
def test_the_import_contracts_hold():
    """No path leads from a language model to an exchange except through the gate."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_cited_requirements_exist(shared_data):
    rows = requirements.tests_by_row(ROOT / "tests")
    text = (shared_data.parent / "REQUIREMENTS.md").read_text()
    missing = [row for row in rows if f"| {row} |" not in text]
    assert not missing


@pytest.mark.req("S1-169", "S1-170")
@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.toml")), ids=lambda p: p.name)
def test_no_secret_stands_in_the_configuration(path):
    for line in path.read_text().splitlines():
        name, _, value = line.partition("=")
        if name.strip() in {"api_key", "secret", "password", "token"}:
            pytest.fail(f"{path.name}: {name.strip()} = {value.strip()}")
