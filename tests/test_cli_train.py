"""Training, prediction and the commands that show a model, as a user of the shell meets them."""

import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gradcompile.cli import given, main
from gradcompile.cli.settings import optimizer
from gradcompile.cli.typeset import equations, symbol
from gradcompile.digits import load_digits
from gradcompile.errors import GradcompileError

LINE = """\
x: data[N, D]
t: data[N]
w: parameter[D]
b: parameter
y[s] = Sum(x[s, j]*w[j], j) + b
loss = Sum((y[s] - t[s])**2, s)
"""
QUICK = ("lecture", "softmax", "autoregression", "rosenbrock")  # the others take seconds to compile
SLOPE, OFFSET = np.array([2.0, -1.0]), 0.5


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def line():
    """Points on a plane, as a table, and the model of it."""
    x = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    rows = np.column_stack([x, x @ SLOPE + OFFSET])
    Path("points.csv").write_text("\n".join(["x0,x1,t", *(",".join(map(repr, r)) for r in rows.tolist())]) + "\n")
    Path("line.model").write_text(LINE)
    return x


TRAIN = [
    "train",
    "line.model",
    "--data",
    "points.csv",
    "--optimizer",
    "sgd(0.2)",
    "--batch-size",
    "10",
    "-o",
    "line.npz",
]


def parameters(path="line.npz"):
    with np.load(path, allow_pickle=False) as found:
        return dict(found)


def test_training_finds_the_plane_and_prediction_uses_it(line, capsys):
    assert main(TRAIN) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "200 rows read, 200 used, 0 rejected" in printed.err
    found = parameters()
    assert found["w"] == pytest.approx(SLOPE, abs=1e-6)
    assert found["b"] == pytest.approx(OFFSET, abs=1e-6)
    history = Path("line.history.csv").read_text().splitlines()
    assert history[0] == "epoch,objective,validation,seconds,rate"
    assert len(history) == 21
    Path("new.csv").write_text("x1,x0\n0,1\n1,0\n")
    assert main(["predict", "line.model", "--params", "line.npz", "--data", "new.csv", "--output", "y"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "y"
    assert [float(line) for line in lines[1:]] == pytest.approx([2.5, -0.5], abs=1e-6)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.full(9, 10**13), "C is 10000000000001"),  # NumPy has no memory for so many classes
        (np.eye(3)[np.arange(9) % 3], "numpy.argmax(gt, axis=-1)"),
    ],
)
def test_labels_of_another_kind(labels, said, capsys):
    np.savez("d.npz", x=np.ones((9, 2)), gt=labels)
    assert main(["train", "softmax", "--data", "d.npz", "-o", "s.npz"]) == 2
    assert said in capsys.readouterr().err


def test_labels_that_are_no_whole_numbers(capsys):
    Path("d.csv").write_text("x0,gt\n1,0\n2,0.5\n")
    assert main(["train", "softmax", "--data", "d.csv", "-o", "s.npz"]) == 2
    assert "found:    0.5 in row 2" in capsys.readouterr().err


def test_prediction_sets_constants_and_no_parameter(line, capsys):
    assert main(TRAIN) == 0
    words = ["predict", "line.model", "--params", "line.npz", "--data", "points.csv", "--output", "y"]
    assert main([*words, "--set", "b=5"]) == 2
    assert "no constant 'b'" in capsys.readouterr().err


def test_prediction_takes_the_map_of_the_training(line, capsys):
    """It names the targets, too, which no prediction reads; a name that the model does not have is still a mistake."""
    columns = ["--map", "x=x*,t=t"]
    assert main([*TRAIN, *columns]) == 0
    words = ["predict", "line.model", "--params", "line.npz", "--data", "points.csv", "--output", "y"]
    assert main([*words, *columns]) == 0
    capsys.readouterr()
    for name in ("u", "w"):  # what the model does not have, and what is no data
        assert main([*words, "--map", f"x=x*,{name}=t"]) == 2
        assert f"--map names '{name}'" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", ["npz", "npy"])
def test_arrays_give_what_the_table_gives(line, suffix):
    assert main(TRAIN) == 0
    table = np.genfromtxt("points.csv", delimiter=",", names=True)
    if suffix == "npz":
        np.savez("points.npz", x=line, t=table["t"])
    else:
        np.save("points.npy", table)
    words = [word.replace("points.csv", f"points.{suffix}").replace("line.npz", "other.npz") for word in TRAIN]
    assert main(words) == 0
    for name, array in parameters().items():
        assert parameters("other.npz")[name].tobytes() == array.tobytes()


def test_parquet_gives_what_the_table_gives(line):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = np.genfromtxt("points.csv", delimiter=",", names=True)
    parquet.write_table(pyarrow.table({name: table[name] for name in table.dtype.names}), "points.parquet")
    assert main(TRAIN) == 0
    assert main([word.replace("points.csv", "points.parquet").replace("line.npz", "other.npz") for word in TRAIN]) == 0
    for name, array in parameters().items():
        assert parameters("other.npz")[name].tobytes() == array.tobytes()


def test_tables_that_leave_no_room_in_memory_are_trained_on_from_a_file(line, monkeypatch):
    assert main(TRAIN) == 0
    expected = parameters()
    monkeypatch.setattr("gradcompile.cli.gathering.PART_OF_MEMORY", 2**40)
    assert main([*TRAIN, "--force"]) == 0
    assert {name: value.tobytes() for name, value in parameters().items()} == {
        name: value.tobytes() for name, value in expected.items()
    }


def test_parquet_without_its_reader_says_what_to_install(line, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main([word.replace("points.csv", "points.parquet") for word in TRAIN]) == 2
    assert "gradcompile[parquet]" in capsys.readouterr().err


def test_table_from_stdin(line, monkeypatch):
    content = Path("points.csv").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert main([word.replace("points.csv", "-") for word in TRAIN]) == 0
    assert parameters()["w"] == pytest.approx(SLOPE, abs=1e-6)


def test_digits_with_a_map_and_validation(capsys):
    pixels, labels = load_digits()
    heads = [f"pixel_{k}" for k in range(64)] + ["digit"]
    rows = np.column_stack([pixels, labels])
    np.savetxt("digits.csv", rows, delimiter=",", header=",".join(heads), comments="", fmt="%.17g")
    words = ["--data", "digits.csv", "--map", "x=pixel_*,gt=digit", "--valid", "0.2", "--json", "-o", "digits.npz"]
    assert main(["train", "softmax", "--optimizer", "sgd(0.5)", *words]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["parameters"] == {"W": [64, 10], "b": [10]}
    assert facts["validation"] < 0.5
    words = ["--params", "digits.npz", "--data", "digits.csv", "--map", "x=pixel_*", "--output", "p", "-o", "p.npy"]
    assert main(["predict", "softmax", *words]) == 0
    assert np.mean(np.load("p.npy").argmax(axis=1) == labels) > 0.95


def test_size_that_no_data_tell_is_asked_for(capsys):
    np.savez("d.npz", x=np.random.default_rng(0).normal(size=(50, 3)), gt=np.arange(50) % 4)
    words = ["train", "network", "--data", "d.npz", "--epochs", "2", "-o", "n.npz"]
    assert main(words) == 2
    assert "--size H=" in capsys.readouterr().err
    assert main([*words, "--size", "H=5"]) == 0
    assert {name: array.shape for name, array in parameters("n.npz").items()} == {
        "W1": (3, 5), "b1": (5,), "W2": (5, 4), "b2": (4,)
    }  # fmt: skip


def test_expression_takes_its_columns_from_the_table(capsys):
    Path("l.csv").write_text("x,t\n1,3\n2,5\n3,7\n")
    words = ["--data", "l.csv", "--optimizer", "sgd(0.1, momentum=0.9)", "--epochs", "400", "-o", "l.npz"]
    assert main(["train", "(w*x + b - t)**2", "--wrt", "w,b", *words]) == 0
    found = parameters("l.npz")
    assert (float(found["w"]), float(found["b"])) == pytest.approx((2, 1), abs=1e-4)


def test_bad_rows_are_refused_or_counted(line, capsys):
    with Path("points.csv").open("a") as file:
        file.write("1,2,oops\n")
    assert main(TRAIN) == 2
    assert "points.csv:202:5" in capsys.readouterr().err
    assert not Path("line.npz").exists()
    assert main([*TRAIN, "--skip-bad-rows"]) == 0
    assert "201 rows read, 200 used, 1 rejected" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--optimizer", "adma(0.1)"], "did you mean adam"),
        (["--optimizer", "adam"], "adam(0.001)"),
        (["--optimizer", "adam(0.1, beta3=1)"], "beta3"),
        (["--optimizer", "sgd(__import__('os').system('touch touched'))"], "optimizer"),
        (["--optimizer", "sgd(-1)"], "rate"),
        (["--map", "x=z*"], "z*"),
        (["--map", "q=x0"], "q"),
        (["--set", "lam=1"], "lam"),
        (["--size", "D=0"], "size"),
        (["--size", "Q=3"], "the model has no size 'Q'"),
        (["--size", "N=7"], "N=200"),
        (["--map", "x=a"], "--map x=COLUMN"),
        (["--data", "semicolons.csv"], "separate the columns by commas"),
        (["--data", "words.csv"], "classes are numbers, from 0"),
        (["--data", "utf16.csv"], "save the table as CSV in UTF-8"),
        (["--data", "points.xls"], ".csv"),
        (["--data", "missing.csv"], "missing.csv"),
        (["--data", "."], ".csv"),
        (["-o", "points.csv", "--force"], "input"),
        (["-o", "line.model", "--force"], "input"),
        (["--valid", "2"], "valid"),
        (["--init", "strange.npz"], "another model"),
        (["--data", "flat.npz"], "(N, D)"),
        (["--data", "no_rows.npz"], "no_rows.npz has no rows"),
        (["--data", "upper.npz"], "--map x=X"),
        (["--data", "other.npy"], "numpy.savez(file, x=..., ...)"),
    ],
)
def test_wrong_setting_is_a_message_and_status_2(line, words, said, capsys):
    np.savez("strange.npz", U=np.zeros(2))
    np.savez("flat.npz", x=np.zeros(9), t=np.zeros(9))
    np.savez("no_rows.npz", x=np.zeros((0, 2)), t=np.zeros(0))
    np.savez("upper.npz", X=np.zeros((9, 2)), t=np.zeros(9))
    np.save("other.npy", np.zeros((9, 2)))
    table = Path("points.csv").read_text()
    Path("semicolons.csv").write_text(table.replace(",", ";"))
    Path("words.csv").write_text(re.sub(r"[^,]*\n$", "cat\n", table))
    Path("utf16.csv").write_text(table, encoding="utf-16")
    assert main([*TRAIN, *words]) == 2
    message = capsys.readouterr().err
    assert said in message
    assert "Traceback" not in message
    assert not Path("touched").exists()
    assert not Path("line.npz").exists()


def test_nothing_is_trained_when_the_output_exists(line, capsys):
    Path("line.history.csv").write_text("mine")
    assert main(TRAIN) == 2
    assert "exists already" in capsys.readouterr().err
    assert Path("line.history.csv").read_text() == "mine"
    assert not Path("line.npz").exists()


def test_a_folder_that_is_missing_or_closed_is_found_before_training(line, capsys, monkeypatch):
    assert main([*TRAIN[:-1], "models/line.npz"]) == 2
    printed = capsys.readouterr().err
    assert "no folder models" in printed
    assert "rows read" not in printed
    monkeypatch.setattr("os.access", lambda path, mode: False)  # the superuser may write everywhere
    assert main(TRAIN) == 2
    assert capsys.readouterr().err == "gradcompile: line.npz: Permission denied\n"


def test_parameters_of_another_model_are_refused_with_the_difference(line, capsys):
    np.savez("other.npz", w=np.zeros(2), U=np.zeros(3))
    assert main(["predict", "line.model", "--params", "other.npz", "--data", "points.csv"]) == 2
    message = capsys.readouterr().err
    assert "has U" in message
    assert "lacks b" in message


def test_parameters_know_their_model_and_numpy_sees_arrays_alone(line, capsys):
    assert main(TRAIN) == 0
    with np.load("line.npz", allow_pickle=False) as found:
        assert sorted(found.files) == ["b", "w"]
    Path("cubic.model").write_text(Path("line.model").read_text().replace("**2", "**3"))
    words = ["predict", "cubic.model", "--params", "line.npz", "--data", "points.csv", "--output", "y"]
    capsys.readouterr()
    assert main(words) == 2
    assert "objective: " in capsys.readouterr().err
    content = bytearray(Path("line.npz").read_bytes())
    content[140] ^= 1  # in the numbers of an array; zipfile has a check of its own, which needs no key to be right
    Path("line.npz").write_bytes(content)
    assert main(["predict", "line.model", *words[2:]]) == 2


def test_training_that_diverges_is_status_1(line, capsys):
    words = [word.replace("sgd(0.2)", "sgd(1e6)") for word in TRAIN]
    assert main(words) == 1
    assert "not finite" in capsys.readouterr().err


def test_start_from_a_file(line):
    np.savez("start.npz", w=SLOPE, b=OFFSET)
    assert main([*TRAIN, "--init", "start.npz", "--epochs", "1"]) == 0
    assert parameters()["w"] == pytest.approx(SLOPE, abs=1e-12)


def test_optimizers_take_formulas_in_t():
    assert (
        repr(optimizer("SGD(0.5/(1 + t/100), momentum=0.9, nesterov=true)"))
        == "SGD(rate=0.5/(t/100 + 1), momentum=0.9, nesterov=True)"
    )
    with pytest.raises(GradcompileError):
        optimizer("sgd(0.5/q)")


# --- what is shown


@pytest.mark.parametrize("name", given.shipped())
def test_every_shipped_model_can_be_shown_and_typeset(name, capsys):
    assert main(["show", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["inputs"]
    assert main(["latex", name]) == 0
    assert r"\begin{align}" in capsys.readouterr().out


@pytest.mark.one_in(2)
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n not in QUICK)) for n in given.shipped()]
)
def test_check_finds_every_shipped_model_right(name, capsys):
    assert main(["check", name, "--json"]) == 0, capsys.readouterr().err
    assert json.loads(capsys.readouterr().out)["right"] is True


def test_show_finds_samples_and_regulariser(capsys):
    assert main(["show", "linear", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["samples"] == "N"
    assert facts["regulariser"] == "lam*Sum(w[j]**2, (j, 0, D - 1))"
    assert main(["show", "root_mean_square"]) == 0
    assert "not a sum over samples" in capsys.readouterr().out


def test_models_are_listed_and_printed(capsys):
    assert main(["models", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in rows} == set(given.shipped())
    assert all(row["summary"] and row["parameters"] for row in rows)
    assert main(["models", "softmax"]) == 0
    assert capsys.readouterr().out == given.shipped()["softmax"]


def test_latex_has_an_equation_for_every_line_of_the_listing(capsys):
    assert main(["emit", "softmax", "--target", "listing"]) == 0
    listing = capsys.readouterr().out
    assert main(["latex", "softmax"]) == 0
    text = capsys.readouterr().out.split("Forward:")[1]
    steps = list(equations(listing))
    assert text.count("&=") + text.count(r"&\leftarrow") == len(steps)


def test_a_power_of_a_choice_is_typeset(capsys):
    assert main(["latex", "where(x > 0, x, 1)**2 + w", "--wrt", "w,x"]) == 0
    assert r"\end{cases}\right)^{2}" in capsys.readouterr().out


def test_names_look_alike_in_the_objective_and_in_the_equations(capsys):
    assert main(["latex", "softmax"]) == 0
    objective, forward = capsys.readouterr().out.split("Forward:")
    for name in (r"\lambda", r"\mathrm{gt}"):
        assert name in objective
        assert name in forward
    assert "lam " not in objective


def test_latex_of_the_lecture():
    listing = "# forward\na = x*w1\nb = np.exp(a)/2\n\n# backward\ndb = 1\ndx = -w1*(db + 1)\n"
    assert [equation for _, equation in equations(listing)] == [
        r"a &= x\,w_{1}",
        r"b &= \frac{\exp\left(a\right)}{2}",
        r"\overline{b} &= 1",
        r"\overline{x} &= -w_{1}\,\left(\overline{b} + 1\right)",
    ]
    assert symbol("lambda") == r"\lambda"
    assert symbol("a_b_c") == r"\mathrm{a\_b\_c}"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="LaTeX is not installed")
def test_latex_is_a_document_that_latex_takes():
    assert main(["latex", "softmax", "--document", "-o", "softmax.tex"]) == 0
    done = subprocess.run(["pdflatex", "-halt-on-error", "softmax.tex"], capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_script_is_in_the_language_of_its_shell(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=script, text=True, check=False).returncode == 0


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("line", "found"),
    [("em", "emit"), ("emit --target nu", "numpy numba"), ("emit softm", "softmax"), ("train --opt", "--optimizer")],
)
def test_completion_in_bash(line, found, capsys):
    main(["completion", "bash"])
    words = line.split(" ")
    call = f'COMP_WORDS=(gradcompile {line}); COMP_CWORD={len(words)}; _gradcompile; echo "${{COMPREPLY[@]}}"'
    done = subprocess.run(
        ["bash", "-c", capsys.readouterr().out + call], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout.strip() == found
