"""Every command speaks to people, to pipes and to machines: --json, --quiet, and files that are outputs."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from gradcompile.cli import main
from gradcompile.cli.program import COMMANDS

LINE = "x: data[N]\nt: data[N]\nw: parameter\ny[s] = w*x[s]\nloss = Sum((y[s] - t[s])**2, s)\n"
TABLE = "x,t\n1,2\n2,4\n3,6\n"
TRAIN = "train line.model --data points.csv --optimizer sgd(0.01) --epochs 2 -o"


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("line.model").write_text(LINE)
    Path("points.csv").write_text(TABLE)


WORDS = {
    "emit": "emit x**2",
    "emit to a file": "emit x**2 -o f.py",
    "emit a stage": "emit x**2 --stage plan",
    "check": "check x**2",
    "show": "show x**2",
    "latex": "latex x**2",
    "models": "models",
    "models softmax": "models softmax",
    "completion": "completion bash",
    "train": f"{TRAIN} line.npz",
    "predict": "predict line.model --params given.npz --data points.csv --output y",
    "predict to a file": "predict line.model --params given.npz --data points.csv --output y -o y.npy",
}


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_every_command_has_a_result_for_machines_and_is_quiet_when_asked(words, capsys):
    np.savez("given.npz", w=2.0)
    assert main([*words.split(), "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.count("\n") == 1
    assert json.loads(out)
    for made in ("f.py", "y.npy", "line.npz", "line.history.csv"):
        Path(made).unlink(missing_ok=True)
    assert main([*words.split(), "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_no_command_is_left_out():
    assert {words.split()[0] for words in WORDS.values()} == set(COMMANDS) - {"demo"}  # which has a test of its own


def test_predictions_for_machines(capsys):
    np.savez("given.npz", w=2.0)
    assert main([*WORDS["predict"].split(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"output": "y", "shape": [3], "values": [2.0, 4.0, 6.0]}


def test_limits_of_text_can_be_set(capsys):
    deep = "-" * 250 + "x"
    assert main(["emit", deep, "--target", "listing"]) == 2
    assert "--limits nesting=... changes it" in capsys.readouterr().err
    assert main(["emit", deep, "--target", "listing", "--limits", "nesting=300"]) == 0
    assert main(["emit", "x**2", "--limits", "depth=3"]) == 2
    assert "there is no limit 'depth'" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--target", "numpy"], ["--order", "2"]])
def test_a_stage_is_no_target(option, capsys):
    assert main(["emit", "x**2", "--stage", "plan", *option]) == 2
    assert option[0] in capsys.readouterr().err


@pytest.mark.parametrize("name", ["points.csv", "line.model", "hard.csv", "soft.csv", "given.npz"])
def test_no_output_replaces_an_input(name, capsys):
    np.savez("given.npz", w=2.0)
    os.link("points.csv", "hard.csv")
    os.symlink("points.csv", "soft.csv")
    before = {path.name: path.read_bytes() for path in Path().iterdir()}
    for words in (
        f"{TRAIN} {name} --init given.npz --force",
        f"{TRAIN} new.npz --history {name} --init given.npz --force",
        f"predict line.model --params given.npz --data points.csv --output y -o {name} --force",
    ):
        if not words.startswith("predict") or name.endswith(".csv"):
            assert main(words.split()) == 2, words
            assert "input of this command" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in Path().iterdir()} == before


def test_two_outputs_need_two_names(capsys):
    assert main(f"{TRAIN} both.npz --history both.npz".split()) == 2
    assert "one name" in capsys.readouterr().err
    assert not Path("both.npz").exists()


def test_output_outside_of_the_folder_is_where_the_user_says(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    os.chdir(inner)
    assert main(["emit", "x**2", "-o", "../x.py", "-q"]) == 0
    assert (tmp_path / "x.py").read_text().startswith('"""')
