"""The search for cyclic garbage rests while graphs and modules are made, and is then as it was."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Iterator

import pytest

from gradcompile.garbage import uncollected


@pytest.fixture(autouse=True)
def searched() -> Iterator[None]:
    """Let each test begin, and others go on, with the search as Python starts."""
    gc.unfreeze()
    gc.enable()
    yield
    gc.unfreeze()
    gc.enable()


def test_it_rests_inside_and_goes_on_outside() -> None:
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_goes_on_after_an_error() -> None:
    with pytest.raises(ValueError, match="inside"), uncollected():
        raise ValueError("inside")
    assert gc.isenabled()


def test_who_has_stopped_it_finds_it_stopped() -> None:
    gc.disable()
    with uncollected():
        assert not gc.isenabled()
    assert not gc.isenabled()


def test_it_rests_until_the_last_thread_is_done() -> None:
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with uncollected():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with uncollected():
        thread.start()
        assert inside.wait(10)
    assert not gc.isenabled()
    leave.set()
    thread.join()
    assert gc.isenabled()


class Ring:
    """An object that refers to itself."""

    def __init__(self) -> None:
        self.own = self


def test_garbage_made_inside_is_found_later() -> None:
    with uncollected():
        ring = weakref.ref(Ring())
        assert ring() is not None
    gc.collect()
    assert ring() is None


def test_what_is_made_inside_is_not_searched_at_once() -> None:
    with uncollected():
        kept = [[] for _ in range(100_000)]
    before = gc.get_stats()[0]["collections"]
    more = [[] for _ in range(10)]
    assert gc.get_stats()[0]["collections"] == before
    assert len(kept) + len(more) == 100_010


def test_what_somebody_has_frozen_stays_frozen() -> None:
    gc.freeze()
    before = gc.get_freeze_count()
    with uncollected():
        pass
    assert gc.get_freeze_count() > before / 2 > 0  # some may have ended meanwhile


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_of_a_fork_searches() -> None:
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with uncollected():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    assert inside.wait(10)
    child = os.fork()
    if child == 0:
        with uncollected():
            rested = not gc.isenabled()
        os._exit(0 if rested and gc.isenabled() else 1)
    leave.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
