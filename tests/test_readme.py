"""The README keeps its word: its Python runs and prints what it says, its commands and pipes succeed."""

import ast
import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gradcompile.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines()]
SHOWN = [
    (text.strip(), after[1])
    for (language, text), after in zip(BLOCKS, [*BLOCKS[1:], ("", "")], strict=True)
    if (language, after[0]) == ("sh", "text")
]
FILES = {"model": "line.model", "csv": "points.csv"}  # a block in this language is the text of this file
SHORT = [line for line in COMMANDS if line.startswith("gradcompile ") and line not in dict(SHOWN)]
SEPARATOR = "--- next block ---"


def run(words, cwd):
    search = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        words,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": search},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


LONG = re.compile(r"\d+\.\d{11,}")


def same(expected, found):
    """Compare as doctest does: three dots stand for anything.

    Long numbers agree to 13 digits: in which order a sum is taken, and so its last digits, depends on how many
    numbers the processor adds at a time.
    """
    short = (LONG.sub(lambda number: f"{float(number[0]):.13g}", text.rstrip()) for text in (expected, found))
    return doctest.OutputChecker().check_output(*short, doctest.ELLIPSIS)


def test_python_blocks_run_in_order_and_print_what_the_page_says(tmp_path):
    blocks = [text for language, text in BLOCKS if language == "python"]
    script = tmp_path / "readme.py"
    script.write_text(f"print({SEPARATOR!r})\n".join(blocks), encoding="utf-8")
    done = run([sys.executable, str(script)], tmp_path)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.split(SEPARATOR + "\n")
    following = [
        after[1] if after[0] == "text" else ""
        for (language, _), after in zip(BLOCKS, [*BLOCKS[1:], ("", "")], strict=True)
        if language == "python"
    ]
    for source, expected, found in zip(blocks, following, printed, strict=True):
        assert same(expected, found), f"{source}\nprints\n{found}\nand not\n{expected}"


@pytest.mark.parametrize("command", SHORT)
def test_command_succeeds(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(command)[1:]) == 0


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("echo ")])
def test_pipe_succeeds(line, tmp_path):
    here = f'gradcompile() {{ "{sys.executable}" -m gradcompile "$@"; }}'
    done = run(["bash", "-o", "pipefail", "-c", f"{here}\n{line}"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_commands_print_what_the_page_says(tmp_path):
    for language, text in BLOCKS:
        if language in FILES:
            (tmp_path / FILES[language]).write_text(text, encoding="utf-8")
    for command, expected in SHOWN:
        done = run([sys.executable, "-m", *shlex.split(command)], tmp_path)
        assert done.returncode == 0, done.stderr
        assert same(expected, done.stdout + done.stderr), f"{command}\nprints\n{done.stdout}{done.stderr}"


def test_there_are_two_commands_to_start_with():
    start = [line for line in COMMANDS if line.startswith("python3 -m venv")]
    assert sum(line.endswith("gradcompile demo") for line in start) == 1
    assert sum("pytest" in line for line in start) == 1, ".ci/run runs exactly this one"


def test_files_that_the_page_names_exist():
    named = set(re.findall(r"`([\w./]+\.(?:py|md|gz))`", README))
    places = [ROOT, ROOT / "examples"]
    assert not {name for name in named if not any((place / name).exists() for place in places)}
    assert {path.name for path in (ROOT / "examples").glob("*.py")} <= named


def test_every_public_call_of_the_page_is_public():
    import gradcompile

    trees = [ast.parse(text) for language, text in BLOCKS if language == "python"]
    used = {
        node.attr
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "gc"
    }
    used |= set(re.findall(r"`gc\.(\w+)", README))
    assert used <= set(gradcompile.__all__)
