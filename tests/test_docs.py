"""The pages of `docs/` keep their word: the page of functions is the table, and what a page names exists."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_corners import CORNERS
from tests.test_gradient_cases import CASES, LATER

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
CONVENTIONS = (DOCS / "conventions.md").read_text(encoding="utf-8")
ROWS = [line for line in CONVENTIONS.splitlines() if line.startswith("| ") and "held by" not in line]


def test_page_of_functions_is_what_its_script_prints():
    search = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, str(DOCS / "functions.py")],
        env=os.environ | {"PYTHONPATH": search, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        timeout=60,
        check=True,
    )
    committed = (DOCS / "functions.md").read_bytes()
    assert done.stdout == committed, "run: python docs/functions.py > docs/functions.md"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_every_convention_names_the_tests_that_hold_it(row):
    held = re.findall(r"`([^`]+)`", row.rsplit("|", 2)[1])
    assert held
    assert set(held) <= CASES.keys() | CORNERS.keys()


def test_cases_in_running_text_exist():
    named = re.findall(r"`(G\d+ [^`]+)`", CONVENTIONS)
    assert named
    assert set(named) <= CASES.keys()


def test_nothing_is_promised_that_is_known_to_be_wrong():
    promised = set(re.findall(r"`([^`]+)`", " ".join(row.rsplit("|", 2)[1] for row in ROWS)))
    assert not promised & {name for _, name in LATER}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    assert not [target for target in targets if not (page.parent / target).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_readme_leads_to_every_page(page):
    assert f"docs/{page.name}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_script_speaks_of_every_function_once():
    from gradcompile.primitives import TABLE

    page = (DOCS / "functions.md").read_text(encoding="utf-8")
    first = [line.split("|")[1].strip(" `") for line in page.splitlines() if line.startswith("| `")]
    assert first == [row.name for row in TABLE] * 2
    assert ast.get_docstring(ast.parse((DOCS / "functions.py").read_text(encoding="utf-8")))
