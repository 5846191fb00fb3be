"""Rules of the house that no linter knows: which way imports run, how modules are called, what is never called."""

import ast
import functools
import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest

import gradcompile

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "gradcompile"
SOURCES = sorted(PACKAGE.rglob("*.py"))

# The pipeline from left to right. A module may import what stands above it, never what stands below.
ORDER = (
    "garbage",
    "errors",
    "files",
    "digits",
    "processors",
    "primitives",
    "ir",
    "substitution",
    "affine",
    "model",
    "language",
    "verify",
    "saving",
    "interpret",
    "lower",
    "adjoint",
    "tangent",
    "passes",
    "higher",
    "sparsity",
    "colouring",
    "minibatch",
    "gathered",
    "step",
    "arguments",
    "schedule",
    "vecmath",
    "emit",
    "jit",
    "shuffle",
    "threads",
    "early",
    "pipeline",
    "optimizers",
    "train",
    "compiler",
    "check",
    "testing",
    "cli",
)
RANK = {name: rank for rank, name in enumerate(ORDER)}

NAMELESS = {"utils", "util", "helpers", "helper", "common", "misc", "tools", "core", "base", "stuff"}
LIBRARIES = {"sympy", "numpy", "numba", "scipy", "rich", "torch", "jax"}

# Each of these runs text or bytes as code, or lets somebody else's data do so.
NEVER_CALLED = {"eval", "exec", "sympify", "parse_expr", "lambdify", "S", "system", "popen"}
NEVER_IMPORTED = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "imp", "code", "codeop"}


def dotted(path: Path) -> str:
    """Return a module's name inside the package: ``emit.numpy_module``; a package's own file is the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.lru_cache(maxsize=1)  # the tests of one file follow one another
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@pytest.fixture(scope="module", params=SOURCES, ids=lambda path: dotted(path) or "gradcompile")
def path(request):
    return request.param


MODULES = {dotted(path) for path in SOURCES}
STAGES = sorted(MODULES - {"", "__main__"})  # the package's front door and `python -m` stand above all


@functools.cache
def imported_by(path: Path) -> set[str]:
    """Return the modules of this package that a file imports, anywhere in it, in-function imports included."""
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            here = ["gradcompile", *path.relative_to(PACKAGE).parts[:-1]]
            start = here[: len(here) - node.level + 1] if node.level else []
            stem = ".".join([*start, *([node.module] if node.module else [])])
            members = [f"{stem}.{alias.name}" for alias in node.names]  # modules, or names in the one of the stem
            names = [name if name.removeprefix("gradcompile.") in MODULES else stem for name in members]
        else:
            continue
        found |= {name.removeprefix("gradcompile.") for name in names if name.startswith("gradcompile.")}
    return found & MODULES


def stage(module: str) -> str:
    return module.split(".")[0]


def test_every_module_has_its_place_in_the_pipeline():
    homeless = {stage(module) for module in STAGES} - set(ORDER)
    assert not homeless, f"give {sorted(homeless)} a line in ORDER, where the pipeline needs it"


def test_imports_run_one_way(path):
    module = dotted(path)
    if module not in STAGES:
        return
    own = RANK.get(stage(module), -1)
    against = {
        other
        for other in imported_by(path) - {module}
        if stage(other) != stage(module) and RANK.get(stage(other), len(ORDER)) >= own
    }
    assert not against, f"{module} imports {sorted(against)}, which come after it in the pipeline"


def test_no_module_imports_itself_through_others():
    edges = {dotted(path): imported_by(path) - {dotted(path), ""} for path in SOURCES}
    while free := {module for module, others in edges.items() if not others & edges.keys()}:
        edges = {module: others for module, others in edges.items() if module not in free}
    assert not edges, f"imports run in a circle among {sorted(edges)}"


def test_modules_are_named_by_their_idea():
    parts = {part for module in STAGES for part in module.split(".")}
    assert not parts & NAMELESS
    assert not parts & LIBRARIES


def called(node: ast.Call) -> str:
    target = node.func
    return target.attr if isinstance(target, ast.Attribute) else target.id if isinstance(target, ast.Name) else ""


def is_strict(node: ast.Call) -> bool:
    """``sympify(x, strict=True)`` converts numbers and refuses text."""
    return any(w.arg == "strict" and isinstance(w.value, ast.Constant) and w.value.value is True for w in node.keywords)


def test_text_never_becomes_code(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call) and not (called(node) == "sympify" and is_strict(node)):
            assert called(node) not in NEVER_CALLED, f"line {node.lineno}: {called(node)} is called"
            assert not any(
                word.arg == "allow_pickle" and not (isinstance(word.value, ast.Constant) and word.value.value is False)
                for word in node.keywords
            ), f"line {node.lineno}: a pickle may be read"
        if isinstance(node, ast.Import):
            assert not {alias.name.split(".")[0] for alias in node.names} & NEVER_IMPORTED
        if isinstance(node, ast.ImportFrom) and not node.level:
            assert (node.module or "").split(".")[0] not in NEVER_IMPORTED
            assert not {alias.name for alias in node.names} & NEVER_CALLED


def test_every_module_says_what_it_is_for(path):
    assert ast.get_docstring(tree_of(path)), f"{path.name} has no docstring"


def test_every_silenced_check_gives_its_reason(path):
    """``# type: ignore[code]  # reason``, ``# noqa: CODE  (reason)``: a code and then words."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        for mark in ("# type: ignore", "# noqa", "# ruff: noqa"):
            before, found, after = line.partition(mark)
            if found and before.count('"') % 2 == 0:
                reason = (
                    after.partition("]")[2]
                    if "ignore" in mark
                    else after.lstrip(": ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789,")
                )
                assert any(c.isalpha() for c in reason), f"line {number}: {line.strip()}"


def test_the_layout_is_as_it_is_written_for_contributors():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w./]+/|[\w./]+\.(?:py|md|json))`", text))
    folders = (ROOT, PACKAGE, PACKAGE / "passes", PACKAGE / "schedule", PACKAGE / "jit" / "direct")
    assert not [path for path in named if not any((folder / path).exists() for folder in folders)]
    table = text[text.index("| what is in `gradcompile/` |") : text.index("| what happens to emitted text |")]
    assert not [name for name in ORDER if f"`{name}/`" not in table and f"`{name}.py`" not in table]


def test_version_is_the_same_everywhere():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert gradcompile.__version__ == declared
    assert f"## [{declared}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_installed_distribution_has_the_command_and_its_types():
    try:
        files = importlib.metadata.files("gradcompile")
        scripts = importlib.metadata.entry_points(group="console_scripts", name="gradcompile")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("run from a tree that is not installed")
    assert files is not None
    assert [script.value for script in scripts] == ["gradcompile.cli:main"]
    assert (PACKAGE / "py.typed").exists()
