"""The pages of `docs/` keep their word: the page of functions is the table, and what a page names exists."""

import ast
import dataclasses
import re
import runpy
from pathlib import Path

import pytest

import gradcompile as gc
from gradcompile.language import FUNCTIONS, parse_expression
from gradcompile.language.statements import ROLES
from tests.test_corners import CORNERS
from tests.test_gradient_cases import CASES, LATER

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
CONVENTIONS = (DOCS / "conventions.md").read_text(encoding="utf-8")
ROWS = [line for line in CONVENTIONS.splitlines() if line.startswith("| ") and "held by" not in line]


def test_page_of_functions_is_what_its_script_prints(capsys):
    runpy.run_path(str(DOCS / "functions.py"), run_name="__main__")
    committed = (DOCS / "functions.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out == committed, "run: python docs/functions.py > docs/functions.md"


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


LANGUAGE = (DOCS / "language.md").read_text(encoding="utf-8")
MODELS = re.findall(r"^```model\n(.*?)^```$", LANGUAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", MODELS, ids=lambda text: text.splitlines()[0])
def test_models_on_the_page_of_the_language_compile_and_come_back(text):
    model = gc.parse(text)
    assert gc.parse(model.text) == model
    assert gc.compile(model).arguments


def test_page_of_the_language_names_its_functions_roles_and_limits():
    listed = re.search(r"- `(exp log1?.*?)`", LANGUAGE, flags=re.DOTALL)
    assert listed is not None
    assert set(listed[1].split()) == set(FUNCTIONS)
    assert re.findall(r"^\| `(\w+)` \|", LANGUAGE, flags=re.MULTILINE) == [*ROLES[:1], *ROLES[2:], ROLES[1]]
    for limit in dataclasses.asdict(gc.Limits()).values():
        assert f"{limit:,}" in LANGUAGE or (limit == 64 * 1024 and "64 KiB" in LANGUAGE)


def test_softmax_of_the_page_is_the_shipped_one_and_columns_are_those_of_the_command_line():
    shipped = ROOT / "gradcompile" / "models" / "softmax.model"
    assert gc.parse(MODELS[0]) == gc.load(shipped)
    typed = parse_expression("(w*x - t)**2", wrt=["w"], data=["x", "t"])
    values = {"x": [1.0, 2.0], "t": [0.5, -1.0], "w": 3.0}
    assert gc.compile(gc.parse(MODELS[1])).value(**values) == gc.compile(typed).value(**values)
