"""Every example runs by itself, is short enough to read, and arrives at numbers known from elsewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

# What each prints, and between which bounds it lies: (pattern with one number, lowest, highest).
FACTS = {
    # 1 + exp(2*0.5 - 1) = 2; the derivatives are w1, x and 1 times exp(0).
    "lecture": [
        (r"\bf = (\S+),", 2, 2),
        (r"df/dx = (\S+),", 2, 2),
        (r"df/dw1 = (\S+),", 0.5, 0.5),
        (r"df/dw0 = (\S+)", 1, 1),
    ],
    "linear_regression": [(r"largest difference from the normal equations: (\S+)", 0, 1e-6)],
    # Wikipedia, "Logistic regression": w = 1.5046, b = -4.0777, even odds at 2.71 hours.
    "logistic_regression": [
        (r"w = (\S+),", 1.5046, 1.5047),
        (r"b = (\S+):", -4.0778, -4.0776),
        (r"even odds at (\S+) hours", 2.71, 2.71),
    ],
    "softmax_digits": [(r"test accuracy (\S+)%", 95, 100)],
    "network_digits": [(r"test accuracy (\S+)%", 96, 100), (r"training accuracy (\S+)%", 99, 100)],
    # Noise of 0.1 is the floor on hidden ratings.
    "matrix_factorisation": [(r"hidden ratings (\S+)", 0.1, 0.16)],
    # Bates and Watts (1988), table A1.3: 212.7, 0.0641, 1195.4.
    "curve_fit_scipy": [
        (r"Vm = (\S+),", 212.7, 212.7),
        (r"K = (\S+),", 0.0641, 0.0641),
        (r"sum of squares (\S+)", 1195.4, 1195.5),
    ],
}


def test_every_example_has_its_facts():
    assert [path.stem for path in EXAMPLES] == sorted(FACTS)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 60


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", FACTS)
def test_example_runs_and_is_right(name, tmp_path):
    search = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{name}.py")],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": search},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for pattern, lowest, highest in FACTS[name]:
        found = re.search(pattern, done.stdout)
        assert found, f"no {pattern!r} in:\n{done.stdout}"
        assert lowest <= float(found[1]) <= highest, found[0]
    assert list(tmp_path.iterdir()) == [], "an example leaves nothing behind"
