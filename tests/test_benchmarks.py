"""The measuring core, with contestants that are made up; nothing here depends on how long anything takes."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import __main__ as start
from benchmarks import contestants, measure, report, worker
from benchmarks.command import main
from benchmarks.picture import LIBRARIES, draw
from benchmarks.record import FILE, Line, Record, load, record, save
from benchmarks.report import BEGIN, END, replaced, summary, table
from benchmarks.row import LIMIT, OURS, Call, Row
from benchmarks.rows import ROWS
from tests import fake_rows

PEERS = {"jax", "torch", "scikit-learn", "pytensor", "casadi", "symengine"}


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where made-up contestants write when they run."""
    path = tmp_path / "log"
    path.touch()
    monkeypatch.setenv(fake_rows.LOG, str(path))
    monkeypatch.setitem(contestants.MODULES, OURS, ("math",))
    monkeypatch.setattr(worker, "STRETCH", 0.0)
    return path


def fake(name: str) -> Row:
    return next(row for row in fake_rows.ROWS if row.name == name)


def measured(*times: float) -> measure.Result:
    return measure.Result("a", "math", 1, times={"run": list(times)})


def a_record(name: str = "fused", **ratios: float) -> Record:
    ours = Line(OURS, OURS, median=0.002, fastest=0.001, ratio=1.0, first=0.5, growth=1.5, memory=3.0, difference=0.0)
    others = [Line(f"{name}, 1 thread", name, median=0.002 * ratio, ratio=ratio) for name, ratio in ratios.items()]
    return Record(name, "some work", "sum of x", (ours, *others), {"casadi": "has no loop"})


def test_contestants_take_turns_and_their_answers_are_compared(log: Path) -> None:
    results = measure.measure(fake("turns"), quick=True)
    assert [result.label for result in results] == [OURS, "math"]
    assert [result.difference for result in results] == [0.0, 0.0]
    assert all(len(result.times["run"]) == len(result.times["value"]) == 3 for result in results)
    names = [line.split()[0] for line in log.read_text().splitlines()]
    changes = [name for name, before in zip(names, ["", *names], strict=False) if name != before]
    assert changes == ["ours", "theirs"] * 4  # one round of answers, three of turns


@pytest.mark.parametrize("name", ["wrong", "nan"])
def test_a_contestant_with_another_answer_ends_the_row(name: str, log: Path) -> None:
    with pytest.raises(
        measure.DisagreementError, match=r"math differs from gradcompile by (2\.2e-11|nan), allowed 1\.0e-12"
    ):
        measure.measure(fake(name), scale=1.0, quick=True)


def test_a_peer_that_fails_is_left_out_loudly(log: Path) -> None:
    said: list[str] = []
    ours, theirs = measure.measure(fake("broken"), quick=True, say=said.append)
    assert ours.times["run"]
    assert "stopped" in theirs.missing
    assert said == [f"broken: math SKIPPED: {theirs.missing}"]
    assert theirs.missing in table(record(fake("broken"), [ours, theirs]))


def test_gradcompile_may_not_fail(log: Path) -> None:
    with pytest.raises(measure.ContestantError, match="ours-broken: gradcompile stopped"):
        measure.measure(fake("ours-broken"), quick=True)


def test_a_peer_that_is_not_installed_is_left_out_loudly(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(contestants.MODULES, "math", ("no_such_module.at_all",))
    said: list[str] = []
    _, theirs = measure.measure(fake("turns"), quick=True, say=said.append)
    assert theirs.missing == "math is not installed"
    assert said == ["turns: math SKIPPED: math is not installed"]


def test_memory_is_what_a_run_adds_to_the_data(log: Path) -> None:
    ours, theirs = measure.measure(replace(fake("memory"), repeats=1))
    assert ours.memory is not None
    assert theirs.memory is not None
    assert ours.memory < 10
    assert abs(theirs.memory - fake_rows.MEGABYTES) < 5  # Linux counts pages in lots


@pytest.mark.slow
def test_each_number_of_threads_has_a_process_that_is_told_of_it(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "THREADS", (1, 2))
    monkeypatch.setattr(contestants, "THREADED", (OURS,))
    results = measure.measure(replace(fake("threads"), single=()), quick=True)
    assert [result.label for result in results] == ["gradcompile, 1 thread", "gradcompile, 2 threads", "math"]
    assert {"ours 1", "ours 2", "theirs 1"} == set(log.read_text().splitlines())


def test_one_thread_also_switches_off_the_threads_of_xla() -> None:
    assert "--xla_cpu_multi_thread_eigen=false" in contestants.environment(1)["XLA_FLAGS"]
    assert contestants.environment(2)["NPROC"] == "2"


def test_ratios_are_taken_turn_by_turn() -> None:
    # medians 2 and 3; but in two of three turns theirs takes three times as long
    assert measured(3.0, 9.0, 2.0).ratio(measured(1.0, 3.0, 2.0)) == 3.0


def test_gradient_over_value_is_taken_turn_by_turn() -> None:
    result = measure.Result("a", OURS, 1, times={"run": [9.0, 9.0], "gradient": [2.0, 12.0], "value": [1.0, 4.0]})
    assert result.gradient_over_value == 2.5


def test_differences_are_relative_to_the_largest_entry() -> None:
    assert measure.difference({"a": np.array([1.0, 100.5])}, {"a": np.array([1.0, 100.0])}) == pytest.approx(0.005)
    assert np.isnan(measure.difference({"a": np.zeros(1), "b": np.array([np.nan])}, {"a": np.ones(1), "b": np.ones(1)}))


@pytest.mark.parametrize("found", [{"b": np.zeros(2)}, {"a": np.zeros(3)}])
def test_answers_of_other_names_or_shapes_are_a_disagreement(found: dict[str, np.ndarray]) -> None:
    with pytest.raises(measure.DisagreementError):
        measure.difference(found, {"a": np.zeros(2)})


def test_short_runs_are_repeated_and_long_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    count = [0]

    def run() -> None:
        count[0] += 1

    assert worker.seconds(run) > 0
    assert count[0] > 100
    monkeypatch.setattr(worker, "STRETCH", 0.0)
    count[0] = 0
    worker.seconds(run)
    assert count[0] == 1


def test_a_call_is_evaluated_as_it_is_written() -> None:
    call = Call("f(a, b=b)", f=lambda a, b: a - b, a=5, b=3)
    assert call() == 2
    assert worker.seconds(call) > 0


def test_the_tuning_of_openblas_is_unset_together(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[dict[str, str]] = []
    monkeypatch.setattr(os, "execve", lambda path, words, environment: started.append(environment))
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    monkeypatch.setenv("OPENBLAS_L2_SIZE", "1")
    start.untuned()
    assert len(started) == 1
    assert not {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"} & started[0].keys()
    monkeypatch.delenv("OPENBLAS_L2_SIZE")
    start.untuned()
    assert len(started) == 1


def test_rows_have_names_of_their_own_and_gradcompile_first() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert all(next(iter(row.contestants)) == OURS for row in ROWS)


@pytest.mark.parametrize("row", [r for r in ROWS if not r.name.startswith(("others-", "start-"))], ids=lambda r: r.name)
def test_a_peer_is_in_a_row_or_the_row_says_why_not(row: Row) -> None:
    there = {contestants.library(name) for name in row.contestants}
    assert there | set(row.cannot) >= PEERS
    assert not there & set(row.cannot)
    assert set(row.goals) <= there
    assert bool(row.limit) == (LIMIT in there)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_data_are_the_same_in_every_process(row: Row) -> None:
    first, second = row.data(0.001), row.data(0.001)
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_an_unknown_row_is_an_error_that_names_the_rows(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["nonsense"])
    assert "softmax-epoch" in capsys.readouterr().err


def test_results_of_part_of_the_work_are_not_kept(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--readme", "--quick"])


def test_a_file_of_results_keeps_other_rows_and_drops_unknown_ones(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    save([a_record("old", jax=2.0), a_record("gone")], {"cores": "1"}, ["old", "gone"], path)
    save([a_record("new", jax=1.23456789)], {"cores": "2"}, ["new", "old"], path)
    records, machine = load(path)
    assert [made.name for made in records] == ["new", "old"]
    assert machine == {"cores": "2"}
    assert records[0].lines[1].ratio == 1.235
    assert records[1] == a_record("old", jax=2.0)


def test_the_best_setting_of_a_library_is_what_counts() -> None:
    slow, quick = (
        Line("jax, 1 thread", "jax", median=4.0, ratio=2.0),
        Line("jax, 2 threads", "jax", median=3.0, ratio=1.5),
    )
    made = replace(a_record(), lines=(*a_record().lines, slow, quick))
    assert made.best("jax") is quick
    assert "| 1.50x |" in summary([made])
    goals = [line.split("|")[-2].strip() for line in table(made, {"jax": 2.0}).splitlines() if "thread" in line]
    assert goals == ["", "2x MISSED, 75% of it"]


def test_a_table_says_who_cannot_do_a_row() -> None:
    assert table(a_record()).endswith("\nNot here: casadi has no loop.\n")


def test_the_picture_has_a_mark_for_every_ratio_and_follows_light_and_dark() -> None:
    text = draw([a_record("fused", jax=0.7, torch=30.0), a_record("point", symengine=5.0)])
    root = ElementTree.fromstring(text)
    titles = [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")]
    assert {"fused: jax, 1 thread 0.70x", "fused: torch, 1 thread 30.00x", "point: symengine, 1 thread 5.00x"} <= set(
        titles
    )
    assert "prefers-color-scheme: dark" in text
    assert set(LIBRARIES) == PEERS


def test_marks_further_right_are_slower() -> None:
    text = draw([a_record("fused", jax=0.7, torch=30.0)])
    places = {
        path[0].text: float(path.attrib["transform"].split("(")[1].split()[0])
        for path in ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}path")
    }
    assert places["fused: jax, 1 thread 0.70x"] < places["fused: torch, 1 thread 30.00x"]


def test_only_what_is_between_the_marks_is_replaced() -> None:
    assert replaced(f"before\n{BEGIN}\nold\n{END}\nafter\n", "new") == "before\nnew\nafter\n"
    with pytest.raises(ValueError, match="put both where the results belong"):
        replaced("no marks", "new")


def test_no_figure_is_shown_that_the_command_did_not_print() -> None:
    """README, page and picture are what the kept results give; before the first results there are none."""
    readme = report.README.read_text(encoding="utf-8")
    if not FILE.exists():
        assert f"{BEGIN}\n{END}" in readme
        return
    records, machine = load()
    assert report.block(records, machine) in readme
    assert report.PAGE.read_text(encoding="utf-8") == report.page(records, machine)
    shown = [made for made in records if not made.name.startswith(report.OTHER)]
    assert report.PICTURE.read_text(encoding="utf-8") == draw(shown)


@pytest.mark.slow
@pytest.mark.parametrize("row", [row for row in ROWS if not row.name.startswith("start-")], ids=lambda row: row.name)
def test_every_row_agrees_with_whoever_is_installed(row: Row) -> None:
    results = measure.measure(replace(row, repeats=1), quick=True, scale=0.01)
    assert results[0].difference == 0.0
