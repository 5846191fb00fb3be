"""One private kernel cache for a test run: nothing is read from or left in the user's own."""

import gc
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

from gradcompile.garbage import uncollected
from tests import kept

OWNER = kept.PLACE  # holds the process that made the cache, shared with its xdist workers


# How long an example takes says how busy the machine is.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_configure(config: pytest.Config) -> None:
    if OWNER not in os.environ:
        os.environ[OWNER] = str(os.getpid())
        os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="gradcompile-tests-")
        # Hundreds of tests start a process: they share the package's bytecode, wherever that must not be written.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = os.path.join(os.environ["XDG_CACHE_HOME"], "bytecode")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Hold the search for garbage back while tests are found, a quarter of that time, and spare them later."""
    with uncollected():
        found = yield
    gc.freeze()
    return found


def pytest_unconfigure(config: pytest.Config) -> None:
    if os.environ.get(OWNER) == str(os.getpid()):
        shutil.rmtree(os.environ["XDG_CACHE_HOME"], ignore_errors=True)
        del os.environ[OWNER]


# The files that take longest come first, so that at the end no worker waits for another.
FIRST = {
    f"test_{name}.py"
    for name in "direct emitted_modules jit schedule sizes stability train threads vecmath zoo".split()
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave all cases but one in k to `-m slow`, for tests marked ``one_in(k)``; put long files first."""
    items.sort(key=lambda item: item.path.name not in FIRST)
    seen: Counter[str] = Counter()
    for item in items:
        mark = item.get_closest_marker("one_in")
        if mark is not None:
            test = item.nodeid.split("[")[0]
            if seen[test] % mark.args[0]:
                item.add_marker("slow")
            seen[test] += 1


def readable(parameter: object) -> str | None:
    """Return a test's label for a parameter: the same in every process, so without the address of a function."""
    text = str(parameter)
    return None if " at 0x" in text else text[:80]


@pytest.fixture(autouse=True)
def compiled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every first call wait for compiled code; the tests of early answers undo it."""
    from gradcompile.pipeline import Program

    monkeypatch.setattr(Program, "patient", True)
