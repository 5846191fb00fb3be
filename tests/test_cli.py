"""The command line: what each command prints and writes, what it refuses, and with which exit status."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gradcompile import __version__
from gradcompile.cli import main
from tests.hostile import CODE_EXECUTION, EXHAUSTION, LEGAL, LEXICAL

ROOT = Path(__file__).parent.parent
LECTURE = "1 + exp(w1*x + w0)"
MODEL = "x: data[N]\nt: data[N]\nw: parameter\nloss = Sum((w*x[s] - t[s])**2, s)\nother = w**2\n"


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def command(*words, stdin=None, **environment):
    """Run the command as a process of its own."""
    search = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-m", "gradcompile", *words],
        env=os.environ | {"PYTHONPATH": search} | environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def isolated(*words):
    """Run Python without gradcompile, user folders and the environment."""
    return subprocess.run([sys.executable, "-I", *words], capture_output=True, text=True, timeout=120, check=False)


# --- help, version, usage


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"gradcompile {__version__}\n"


@pytest.mark.parametrize("words", [[], ["emit"], ["check"], ["demo"]])
def test_help_shows_examples(words, capsys):
    assert main([*words, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "examples:" in shown
    assert "gradcompile " in shown.split("examples:")[1]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["emitt"],
        ["emit"],
        ["emit", "x", "--target", "cobol"],
        ["emit", "x", "--nonsense"],
        ["demo", "--seed", "-1"],
    ],
)
def test_wrong_usage_is_status_2(words, capsys):
    assert main(words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("gradcompile: ")
    assert "to do:" in printed.err
    assert "Traceback" not in printed.err


@pytest.mark.parametrize(
    ("words", "place", "said"),
    [
        (["fit", "softmax"], "fit", ["there is no command 'fit'", "gradcompile train"]),
        (["emit", "x**2", "--target", "latex"], "latex", ["--target takes no 'latex'", "to do:    gradcompile latex"]),
        (["emti", "softmax"], "emti", ["there is no command 'emti'", "expected: emit, check", "did you mean emit?"]),
        (["emit", "softmax", "--target", "nmpy"], "nmpy", ["--target takes no 'nmpy'", "did you mean numpy?"]),
        (["emit", "softmax", "--order", "3"], "3", ["--order takes no '3'", "expected: 1, 2"]),
        (["emit", "softmax", "--order", "two"], "two", ["expected: a whole number"]),
        (["emit", "softmax", "--taget=numpy"], "--taget", ["emit has no option --taget", "did you mean --target?"]),
        (["emit", "softmax", "--target"], "--target", ["--target needs a value"]),
        (["emit", "x", "+", "1"], "+", ["no use for '+'", 'in quotes: "x**2 + y**2"']),
        (["emit"], "", ["gradcompile: emit needs MODEL", "gradcompile emit --help has examples"]),
        (["train", "softmax"], "", ["gradcompile: train needs --data and --output"]),
        ([], "", ["gradcompile needs COMMAND", "gradcompile --help has examples"]),
        (["emit", "no.model"], "", ["no.model", "`gradcompile models` lists"]),
        (["emit", "./softmx.model"], "", ["there is no file ./softmx.model", "expected:", "found:"]),
        (["emit", "softmx.txt"], "", ["there is no file softmx.txt", "`gradcompile models` lists"]),
        (["emit", "."], "", [". is a folder", "name a file in it"]),
        (["emit", "./.."], "", [".. is a folder", "expected:", "name a file in it"]),
        (["emit", "softmax", "--size", "N=nan"], "", ["not a whole number from 1"]),
        (["emit", "softmax", "--size", "N=inf"], "", ["not a whole number from 1"]),
        (["emit", "softmax", "--size", "N=2,N=3"], "", ["'N' twice", "    N=2,N=3\n        ^"]),
        (["check", "softmax", "--seed", "-1"], "-1", ["--seed takes no '-1'", "expected: a whole number from 0"]),
        (["models", "softmx"], "", ["no model 'softmx' is shipped", "did you mean softmax?"]),
        (["show", "softmax", "--loss", "foo"], "", ["the scalar definitions are loss"]),
    ],
    ids=" ".join,
)
def test_mistake_on_the_command_line_is_shown_with_its_place(words, place, said, capsys):
    assert main(words) == 2
    message = capsys.readouterr().err
    for part in said:
        assert part in message
    if place:
        _, line, carets, *_ = message.splitlines()
        assert line[carets.index("^") :].startswith(place)


def test_a_wrong_suffix_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "line.model").write_text("x: data[N]\nw: parameter\nloss = Sum((w*x[n])**2, n)\n")
    assert main(["emit", "line.modle"]) == 2
    assert "there is no file line.modle" in (message := capsys.readouterr().err)
    assert "did you mean line.model?" in message
    (tmp_path / "line.txt").write_text((tmp_path / "line.model").read_text())
    assert main(["emit", "line.txt"]) == 0


@pytest.mark.parametrize("suffix", [".csv", ".npy", ".npz"])
def test_folder_as_data_is_told(suffix, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path(f"data{suffix}").mkdir()
    assert main(["train", "linear", "--data", f"data{suffix}", "-o", "fit"]) == 2
    assert f"data{suffix} is a folder\n  expected: the name of a file" in capsys.readouterr().err


# --- emit


def test_listing_of_the_lecture(capsys):
    assert main(["emit", LECTURE, "--wrt", "x,w1,w0", "--target", "listing"]) == 0
    lines = capsys.readouterr().out.split("\n")
    forward, backward = lines[: lines.index("# backward")], lines[lines.index("# backward") :]
    assert [line.split(" = ")[0] for line in forward if "=" in line] == ["a", "b", "c", "f"]
    assert [line.split(" = ")[0] for line in backward if "=" in line] == ["df", "dc", "db", "dw0", "da", "dw1", "dx"]


@pytest.mark.parametrize("target", ["python", "numpy", "numba"])
def test_emitted_module_stands_alone_and_is_right(target, capsys):
    assert main(["emit", LECTURE, "--wrt", "x,w1,w0", "--target", target]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    Path("emitted.py").write_text(printed.out, encoding="utf-8")
    call = "import runpy; print(*runpy.run_path('emitted.py')['value_and_grad'](2.0, 0.5, -1.0)[1])"
    done = isolated("-c", call)
    assert done.returncode == 0, done.stderr
    assert [float(word) for word in done.stdout.split()] == pytest.approx([0.5, 2.0, 1.0])


def test_emitted_module_checks_itself():
    assert main(["emit", "linear", "-o", "emitted.py"]) == 0
    done = isolated("emitted.py", "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_same_bytes_twice(capsys):
    texts = []
    for _ in range(2):
        main(["emit", "softmax"])
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]


@pytest.mark.parametrize("stage", ["forward", "adjoint", "optimised", "plan"])
def test_stages_print(stage, capsys):
    assert main(["emit", LECTURE, "--stage", stage]) == 0
    shown = capsys.readouterr().out
    assert "exp" in shown
    assert ("mul(%0, %6)" in shown) == (stage in ("adjoint", "optimised", "plan"))


def test_stage_and_target_exclude_each_other(capsys):
    assert main(["emit", "x**2", "--stage", "plan", "--target", "numpy"]) == 2


@pytest.mark.parametrize("text", ["-x**2", "---x", "--(x + 1)", "-2*x"])
def test_expression_may_begin_with_minus(text, capsys):
    assert main(["emit", text, "--target", "listing"]) == 0
    assert "# backward" in capsys.readouterr().out


@pytest.mark.parametrize("text", [*CODE_EXECUTION, *EXHAUSTION, *LEXICAL], ids=lambda text: ascii(text[:30]))
def test_hostile_text_is_a_message_and_never_a_defect(text, monkeypatch, capsys):
    for words in (["emit", text], ["emit", "-"]):
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        status = main([*words, "--target", "listing"])
        printed = capsys.readouterr()
        assert status == 2 or (status == 0 and text in LEGAL), printed.err
        assert "Traceback" not in printed.err
        assert len(printed.err) < 4000
    assert not list(Path().iterdir())


def test_expression_and_model_from_stdin(monkeypatch, capsys):
    for text in (LECTURE, MODEL):
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        assert main(["emit", "-", "--target", "listing"]) == 0
        assert "# backward" in capsys.readouterr().out


def test_model_file_its_losses_and_its_parameters(capsys):
    Path("line.model").write_text(MODEL)
    assert main(["emit", "line.model", "--target", "numpy"]) == 0
    assert "def value_and_grad(w, x, t)" in capsys.readouterr().out
    assert main(["emit", "line.model", "--loss", "other", "--target", "listing"]) == 0
    assert "x" not in capsys.readouterr().out.replace("np.exp", "")
    assert main(["emit", "line.model", "--wrt", "x", "--target", "numpy"]) == 0
    assert "def value_and_grad(x," in capsys.readouterr().out


def test_object_of_a_module(capsys):
    Path("losses_here.py").write_text(
        "import sympy, gradcompile as gc\nprint('noise')\nx, w = sympy.symbols('x w')\nbare = sympy.exp(w*x)\n"
        "model = gc.compile(bare, wrt=w)\nnumber = 3\n"
    )
    for word, first in (("losses_here:model", "w, x"), ("losses_here:bare", "w, x")):
        assert main(["emit", word, "--wrt", "w"]) == 0
        printed = capsys.readouterr()
        assert f"def value_and_grad({first})" in printed.out
        assert "noise" not in printed.out
    for word in ("losses_here:number", "losses_here:modle", "no_such_module_here:x"):
        assert main(["emit", word]) == 2
        assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["1 + foo(x)"], "foo"),
        (["x +* 2"], "expression:1:4"),
        (["sofmax"], "did you mean softmax"),
        (["missing.model"], "missing.model"),
        (["x**2", "--wrt", "y"], "y"),
        (["x**2", "--wrt", ","], "--wrt"),
        (["softmax", "--wrt", "V"], "V"),
        (["softmax", "--loss", "los"], "did you mean"),
        (["x**2", "--loss", "loss"], "--loss"),
        (["softmax", "--columns", "x"], "--columns"),
        (["__import__('os').system('id')"], "expression:1"),
    ],
)
def test_bad_input_is_a_message_and_status_2(words, said, capsys):
    assert main(["emit", *words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("gradcompile: ")
    assert said in printed.err
    assert "Traceback" not in printed.err


def test_unexpected_error_is_short_and_asks_for_a_report(monkeypatch, capsys):
    monkeypatch.setattr("gradcompile.cli.emit.run", lambda chosen: 1 // 0)
    assert main(["emit", "x"]) == 70
    message = capsys.readouterr().err
    assert "ZeroDivisionError" in message
    assert "report" in message
    assert "Traceback" not in message


# --- where text goes


def test_output_file_is_written_whole_with_a_note(capsys):
    assert main(["emit", "x**2", "-o", "out.py"]) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "out.py" in printed.err
    assert "def value_and_grad" in Path("out.py").read_text(encoding="utf-8")
    assert [path.name for path in Path().iterdir()] == ["out.py"], "nothing temporary stays"
    assert Path("out.py").stat().st_mode & 0o777 == 0o666 & ~current_mask()


def current_mask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_quiet_says_nothing(capsys):
    assert main(["emit", "x**2", "-o", "out.py", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_existing_file_needs_force(capsys):
    Path("out.py").write_text("mine")
    assert main(["emit", "x**2", "-o", "out.py"]) == 2
    assert "--force" in capsys.readouterr().err
    assert Path("out.py").read_text() == "mine"
    assert main(["emit", "x**2", "-o", "out.py", "--force"]) == 0
    assert Path("out.py").read_text() != "mine"


def test_link_is_replaced_and_not_followed():
    Path("target").write_text("mine")
    Path("link").symlink_to("target")
    assert main(["emit", "x**2", "-o", "link"]) == 2
    assert main(["emit", "x**2", "-o", "link", "--force"]) == 0
    assert Path("target").read_text() == "mine"
    assert not Path("link").is_symlink()
    Path("dangling").symlink_to("nowhere")
    assert main(["emit", "x**2", "-o", "dangling"]) == 2
    assert not Path("nowhere").exists()


def test_folder_that_is_a_link_is_refused(capsys):
    Path("real").mkdir()
    Path("linked").symlink_to("real")
    assert main(["emit", "x**2", "-o", "linked/out.py", "--force"]) == 2
    assert "real/out.py" in capsys.readouterr().err
    assert not list(Path("real").iterdir())


def test_output_over_an_input_is_refused_whatever_its_name(capsys):
    Path("line.model").write_text(MODEL)
    os.link("line.model", "hard")
    Path("soft").symlink_to("line.model")
    for name in ("line.model", "hard", "soft", "./line.model"):
        assert main(["emit", "line.model", "-o", name, "--force"]) == 2, name
        assert "input" in capsys.readouterr().err
    assert Path("line.model").read_text() == MODEL


@pytest.mark.parametrize("name", [".", "missing/out.py"])
def test_place_that_cannot_be_written_is_a_message(name, capsys):
    assert main(["emit", "x**2", "-o", name]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_standard_output_by_its_names(capsys):
    options = ("emit", "x**2", "--target", "listing", "-o")
    done = command(*options, "/dev/stdout")
    assert (done.returncode, done.stderr) == (0, "")
    assert "# backward" in done.stdout
    assert main([*options, "-"]) == 0
    assert capsys.readouterr() == (done.stdout, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
def test_full_device_is_a_message(capsys):
    assert main(["emit", "x**2", "-o", "/dev/full"]) == 2
    assert capsys.readouterr().err == "gradcompile: /dev/full: No space left on device\n"
    script = f'"{sys.executable}" -m gradcompile emit "x**2" > /dev/full'
    done = subprocess.run(
        ["sh", "-c", script], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


CLOSED = {
    "stdout": ('emit "x**2" --target listing >&-', 2, "gradcompile: stdout: Bad file descriptor\n"),
    "stderr": ('emit "x**2" --target listing -o /dev/stdout 2>&-', 0, ""),
    "stdin": ("emit - <&- >&-", 2, "gradcompile: stdin is empty\n"),
}


@pytest.mark.parametrize("stream", CLOSED)
@pytest.mark.skipif(sys.platform == "win32", reason="the shell closes streams")
def test_streams_that_the_shell_has_closed(stream):
    words, status, said = CLOSED[stream]
    done = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -m gradcompile {words}'],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.partition("  expected")[0]) == (status, said)
    assert ("# backward" in done.stdout) == (stream == "stderr")


def test_reader_that_goes_away_is_no_error_message():
    script = f'"{sys.executable}" -m gradcompile emit softmax | true'
    done = subprocess.run(
        ["sh", "-c", script], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


def test_any_locale_prints_the_mathematics():
    done = command("emit", "softmax", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 0, done.stderr


def test_no_colour_and_no_cut_line_outside_of_a_terminal(capsys):
    assert main(["check", LECTURE, "--wrt", "x,w1,w0"]) == 0
    assert "\x1b" not in capsys.readouterr().out


# --- check


def test_check_says_what_is_right(capsys):
    assert main(["check", LECTURE, "--wrt", "x,w1,w0", "--at", "x=2,w1=0.5,w0=-1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["right"] is True
    assert found["value"] == pytest.approx(2.0)
    assert [row["exact"] for row in found["parameters"]] == [0.5, 2.0, 1.0]


def test_check_finds_a_wrong_gradient(monkeypatch, capsys):
    from gradcompile.compiler import CompiledModel

    def tampered(model, arguments):
        return arguments[0] ** 2, (2 * arguments[0] * (1 + 1e-8),)

    monkeypatch.setattr(CompiledModel, "_flat_call", tampered)
    assert main(["check", "x**2", "--wrt", "x"]) == 1
    assert "WRONG" in capsys.readouterr().out
    assert main(["check", "x**2", "--wrt", "x", "--quiet"]) == 1
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["x**2", "--at", "y=1"], "y"),
        (["x**2", "--at", "x"], "x"),
        (["x**2", "--at", "x=abc"], "abc"),
        (["sqrt(x)", "--at", "x=-1"], "not finite"),
        (["softmax", "--at", "W=1"], "axes (D, C)"),
        (["softmax", "--set", "W=1"], "no constant 'W'"),
        (["softmax", "--init", "w.npz"], "--data FILE"),
        (["softmax", "--limits", "nest=3"], "did you mean nesting"),
    ],
)
def test_check_refuses_what_it_cannot_check(words, said, capsys):
    assert main(["check", *words]) == 2
    assert said in capsys.readouterr().err


def test_check_at_the_data(capsys):
    Path("l.csv").write_text("a,t\n" + "".join(f"{k / 10},{k}\n" for k in range(100)))
    assert (
        main(["check", "(w*x - t)**2", "--wrt", "w", "--columns", "x,t", "--data", "l.csv", "--map", "x=a", "--json"])
        == 0
    )
    printed = capsys.readouterr()
    assert json.loads(printed.out)["right"] is True
    assert main(["check", "linear", "--data", "l.csv", "--map", "x=a", "--set", "lam=2"]) == 0
    assert "100 rows read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "used", "shape"),
    [
        ("S: data[N, N]\nw: parameter[N]\nloss = Sum((Sum(S[i, j]*w[j], j) - t[i])**2, i)\n", "the first 20", "20"),
        ("r: data[N + 4]\nw: parameter[N]\nloss = Sum((w[i]*r[i + 4] - t[i])**2, i)\n", "the first 20", "20"),
        ("h: labels[N]\nw: parameter[N]\nloss = Sum((w[h[i]]*t[h[i]] - t[i])**2, i)\n", "all", "30"),
    ],
    ids=["a square", "a window", "labels pick samples"],
)  # fmt: skip
def test_check_takes_the_first_samples_of_all_arrays(text, used, shape, capsys):
    Path("m.model").write_text("t: data[N]\n" + text)
    random = np.random.default_rng(0)
    arrays = {"S": (30, 30), "r": (34,), "t": (30,)}
    np.savez("m.npz", h=(np.arange(30) + 7) % 30, **{name: random.normal(size=shape) for name, shape in arrays.items()})
    assert main(["check", "m.model", "--data", "m.npz"]) == 0
    printed = capsys.readouterr()
    assert f"{used} of them are used" in printed.err
    assert printed.out.splitlines()[2].split()[:2] == ["w", shape]


# --- demo


def test_demo_keeps_its_word(capsys):
    assert main(["demo"]) == 0
    shown = capsys.readouterr().out
    assert "dw1 = x*da" in shown
    accuracy = float(shown.split("Test accuracy: ")[1].split("%")[0])
    assert accuracy >= 95
    folder = Path("gradcompile-demo")
    assert str(folder) in shown
    with np.load(folder / "parameters.npz", allow_pickle=False) as learned:
        assert {name: learned[name].shape for name in learned} == {"W": (64, 10), "b": (10,)}
    done = isolated(str(folder / "softmax_gradient.py"), "--check")
    assert done.returncode == 0, done.stderr


def test_demo_takes_a_fresh_folder_and_never_a_full_one(capsys):
    Path("gradcompile-demo").mkdir()
    Path("full").mkdir()
    Path("full/mine").write_text("mine")
    assert main(["demo", "--out", "full"]) == 2
    assert main(["demo", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["folder"] == "gradcompile-demo-2"
    assert found["accuracy"] >= 0.95
    assert not list(Path("gradcompile-demo").iterdir())
