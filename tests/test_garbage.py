"""The search for cyclic garbage rests while graphs and modules are made, and is then as it was."""

from __future__ import annotations

import gc
import sys
import threading
import types
import weakref
from collections.abc import Iterator

import pytest

from gradcompile.garbage import MANY, importing, uncollected


@pytest.fixture(autouse=True)
def searched() -> Iterator[None]:
    """Let each test begin, and others go on, with the search as Python starts."""
    gc.unfreeze()
    gc.enable()
    yield
    gc.unfreeze()
    gc.enable()


@pytest.fixture
def modules() -> Iterator[None]:
    """Take away the modules that a test has made."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def make_modules() -> None:
    sys.modules.update({f"gradcompile_made_{k}": types.ModuleType(f"gradcompile_made_{k}") for k in range(MANY + 1)})


@pytest.mark.parametrize("rest", [uncollected, importing])
def test_it_rests_inside_and_goes_on_outside(rest) -> None:
    with rest():
        assert not gc.isenabled()
        with rest():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


@pytest.mark.parametrize("rest", [uncollected, importing])
def test_it_goes_on_after_an_error(rest) -> None:
    with pytest.raises(ValueError, match="inside"), rest():
        raise ValueError("inside")
    assert gc.isenabled()


@pytest.mark.parametrize("rest", [uncollected, importing])
def test_who_has_stopped_it_finds_it_stopped(rest) -> None:
    gc.disable()
    with rest():
        assert not gc.isenabled()
    assert not gc.isenabled()


@pytest.mark.parametrize("first", [True, False])
def test_it_goes_on_once_two_threads_are_done(first) -> None:
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with uncollected():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with uncollected():
        thread.start()
        assert inside.wait(10)
        if first:
            leave.set()
            thread.join()
    leave.set()
    thread.join()
    assert gc.isenabled()


class Ring:
    """An object that refers to itself."""

    def __init__(self) -> None:
        self.own = self


def test_garbage_is_found_though_much_is_made_inside() -> None:
    """Nobody calls gc.collect: what a process makes again and again must not grow old unseen."""
    found = []
    for _ in range(300):
        with importing():
            found.append(weakref.ref(Ring()))
            kept = [[] for _ in range(1000)]
        assert len(kept) == 1000
        del kept
    assert sum(ring() is not None for ring in found) < 150


@pytest.mark.usefixtures("modules")
def test_modules_are_not_searched_at_once() -> None:
    with importing():
        make_modules()
        kept = [[] for _ in range(100_000)]
    before = gc.get_stats()[0]["collections"]
    more = [[] for _ in range(10)]
    assert gc.get_stats()[0]["collections"] == before
    assert len(kept) + len(more) == 100_010


@pytest.mark.usefixtures("modules")
def test_what_somebody_has_frozen_stays_frozen() -> None:
    gc.freeze()
    before = gc.get_freeze_count()
    with importing():
        make_modules()
    assert gc.get_freeze_count() > before / 2 > 0  # some may have ended meanwhile
