"""Emitted text as machine code without Numba: what it computes is what the interpreter computes from the same text."""

import ast
import math
import os
import re
import resource
import subprocess
import sys
import threading
from pathlib import Path

import llvmlite.binding as llvm
import mpmath
import numpy as np
import pytest

import gradcompile as gc
from gradcompile.jit import Given, kernel, load, objects
from gradcompile.jit.direct import UntranslatableError, build, build_all, hints
from gradcompile.jit.direct.ahead import ask_ahead
from gradcompile.jit.direct.aliases import sharing
from gradcompile.jit.direct.jam import jam
from gradcompile.jit.direct.kinds import F64, SCALARS, Array
from gradcompile.jit.direct.outline import RETURNED, outlined
from gradcompile.jit.direct.program import Program
from gradcompile.jit.direct.signs import counted
from gradcompile.jit.direct.syntax import names, spelled, statements
from gradcompile.jit.direct.text import parsed
from gradcompile.jit.lines import NEAR

NJIT = '@njit(error_model="numpy")\n'
STRICT = '@njit(fastmath=False, error_model="numpy")\n'
HEAD = "import math\n\nimport numpy as np\n\n\n"


def types_of(arguments):
    return [
        Given(a.dtype.name, a.ndim)
        if isinstance(a, np.ndarray)
        else Given("float64" if isinstance(a, float) else "int64", 0)
        for a in arguments
    ]


def both(text, *arguments, name="f"):
    """Return what machine code makes of arguments, and what the interpreter does."""
    found = build(HEAD + text, name, types_of(arguments))(*arguments)
    plain = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("@njit"))
    with np.errstate(all="ignore"):
        return found, getattr(load(HEAD + plain, compiled=False), name)(*arguments)


def agree(found, expected):
    if isinstance(expected, tuple):
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            agree(a, b)
    elif isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        np.testing.assert_array_equal(found, expected)
    else:
        assert type(found) is type(expected.item() if isinstance(expected, np.generic) else expected)
        near = isinstance(expected, float) and math.isclose(found, expected, rel_tol=5e-16)  # powers: other products
        assert found == expected or near or (math.isnan(found) and math.isnan(expected))


def expression(text, *names):
    return f"{STRICT}def f({', '.join(names)}):\n    return {text}\n"


INTEGERS = (-7, -2, -1, 1, 3, 12)


@pytest.mark.parametrize(
    "text",
    ["a + b*a - b", "a // b", "a % b", "a / b", "a*b // 3", "-a // 4", "a & b", "a | b", "a ^ b", "a << (b & 7)",
     "a >> (b & 7)", "a**2 + b**3", "abs(a) - b", "min(a, b) + max(a, b, 2)", "a if a < b else b", "a < b",
     "a <= b < 5 != a", "a == b or a > 2 and not b < 0", "int(a / 2.0)", "float(a) + b", "(a > 0) + (b > 0)",
     "a * 2.5 + b // 2 - 10**6 // 7"],
)  # fmt: skip
def test_integers_are_computed_as_by_python(text):
    f = build(expression(text, "a", "b"), "f", [Given("int64", 0)] * 2)
    plain = load(HEAD + expression(text, "a", "b").partition("\n")[2], compiled=False).f
    for a in INTEGERS:
        for b in INTEGERS:
            agree(f(a, b), plain(a, b))


@pytest.mark.parametrize(
    "text",
    ["x + y*x - y/3", "x / y", "-x", "x**2", "x**-3", "x**0", "x**y", "x % y", "x // y", "abs(x)*math.pi",
     "min(x, y)", "max(x, y, 1.0)", "x if x < y else y", "x if not x == y else 7.0", "x <= y", "x != x",
     "math.isnan(x) or math.isfinite(y)", "math.exp(x) + math.log1p(abs(y))", "math.copysign(x, y)",
     "math.sqrt(abs(x)) + np.floor(y) + np.ceil(x)", "math.hypot(x, y) + math.atan2(x, y)", "np.float64(x < y) * 3",
     "math.erf(x) - math.tanh(y)", "np.inf if x > 1e300 else -math.inf", "float(np.int64(x > 1)) + 1"],
)  # fmt: skip
def test_numbers_are_computed_as_by_python(text):
    f = build(HEAD + expression(text, "x", "y"), "f", [Given("float64", 0)] * 2)
    plain = load(HEAD + expression(text, "x", "y").partition("\n")[2], compiled=False).f
    with np.errstate(all="ignore"):
        for x in (-2.5, -0.0, 0.75, 3.0, 1e301, np.inf, np.nan):
            for y in (-1.5, 0.5, 4.0):
                try:
                    expected = plain(x, y)
                except (ArithmeticError, ValueError):  # where Python raises, IEEE 754 has a number
                    continue
                if isinstance(expected, complex) or (text.startswith(("x %", "x //")) and not abs(x) < 1e300):
                    continue
                agree(f(x, y), expected)


def test_division_by_zero_follows_ieee_and_of_integers_is_0():
    f = build(HEAD + expression("(x/y, x // y)", "x", "y"), "f", [Given("float64", 0)] * 2)
    assert f(1.0, 0.0) == (np.inf, np.inf)
    assert math.isnan(f(0.0, 0.0)[0])
    g = build(HEAD + expression("(a // b, a % b)", "a", "b"), "f", [Given("int64", 0)] * 2)
    assert g(5, 0) == (0, 0)


SINGLE = f"""{STRICT}def f(x, y):
    a = np.empty(8, np.float32)
    a[0] = x[0] + y[0]
    a[1] = x[0] * 0.1
    a[2] = x[0] * np.float32(0.1)
    a[3] = -x[1] / y[1]
    a[4] = x[1]**3
    a[5] = x[0] if x[0] > y[0] else 0
    a[6] = abs(x[2]) - y[2]
    a[7] = np.float32(x[2]).view(np.int32) & 0xFF
    return a
"""


def test_single_precision_is_rounded_where_numpy_rounds_it():
    random = np.random.default_rng(0)
    agree(*both(SINGLE, random.normal(size=3).astype(np.float32), random.normal(size=3).astype(np.float32)))


BITS = f"""{STRICT}def f(x):
    b = np.float64(x).view(np.int64)
    return np.int64((b & 0xFFFFFFFFFFFFF) | 0x3FF0000000000000).view(np.float64), b >> 52, b < 0
"""


@pytest.mark.parametrize("x", [1.5, -3e200, 5e-324, -0.0])
def test_bits(x):
    agree(*both(BITS, x))


ARRAYS = {
    "reads from the end": "    return x[-1, 0] + x[0, -2] + x[n - 5, n - 6]\n",
    "parts": (
        "    total = 0.0\n    for first in range(0, x.shape[0], 2):\n        y = x[first:first + 2]\n"
        "        total += y[y.shape[0] - 1, 1]*y.shape[0]\n    return total\n"
    ),
    "beyond the end": "    y = x[2:99, :1]\n    return y.shape, x[7:9].shape[0], x[:-1].shape[0], y[0, 0]\n",
    "transpose": "    y = x.T\n    return y[2, 1], y.shape[0], y[1:].T[3, 0], x[:, 1:].T[0, 2]\n",
    "reshape": "    y = x.reshape(x.shape[1]*2, x.shape[0] // 2)\n    return y[4, 1], y.shape\n",
    "reshape of a part": "    y = x[1:3].reshape(x.shape[1]*2)\n    return y[4], x[:2].reshape((3, 2))[2, 1]\n",
    "new arrays": (
        "    y = np.zeros((n, 2))\n    z = np.empty(n)\n    for i in range(n):\n        z[i] = i\n"
        "        y[i, 1] += i*0.5\n        y[i, 0] -= z[i]\n    return y, z\n"
    ),
    "contiguous": "    return np.ascontiguousarray(x.T), np.ascontiguousarray(x[1:, :2])\n",
    "a view is given back as a copy": "    return x[1:3], x.T, x\n",
    "the same twice": "    y = np.zeros(n)\n    return y, y\n",
    "masks": (
        "    m = np.empty(n, np.bool_)\n    for i in range(n):\n        m[i] = x[i % 4, 0] > 0\n"
        "    c = 0\n    for i in range(n):\n        c += 1 if m[i] else 0\n    return m, c\n"
    ),
    "whole numbers": "    k = np.zeros(3, np.int64)\n    k[1] = 7\n    k[k[0]] += k[1]*2\n    return k\n",
    "a guard": "    t = 0.0\n    for i in range(9):\n        t += x[i, 0] if i < x.shape[0] else -1.0\n    return t\n",
    "a guarded condition": (
        "    t = 0\n    for i in range(9):\n        if i < x.shape[0] and x[i, 0] > 0:\n            t += 1\n"
        "        elif i >= 6 or x[i - 4, 1] > 0:\n            t += 100\n    return t\n"
    ),
    "downwards": "    t = 0\n    for i in range(n - 1, -1, -2):\n        t = 10*t + i\n    return t\n",
    "a step that is computed": "    t = 0\n    for i in range(n, 0, -(n // 3)):\n        t = 10*t + i\n    return t\n",
    "an empty loop": "    t = 1.5\n    for i in range(5, 2):\n        t += i\n    return t\n",
    "types that widen": (
        "    t = 0\n    for i in range(n):\n        t = t + 0.5\n        u = i if i < 3 else t\n    return t, u\n"
    ),
    "a new type": "    t = n\n    t = t*0.5\n    t = x[0, 0] < t\n    return t\n",
    "while": "    t, k = 1.0, 0\n    while t < 100:\n        t *= 3\n        k += 1\n    return t, k\n",
    "an early return": "    for i in range(n):\n        if i == 3:\n            return i*1.5\n    return 0.0\n",
    "size": "    return x.size, x.itemsize, len(x), x.T.strides[0], x.shape\n",
    "a power that is computed": "    return x[0, 0]**n, x[0, 0]**-n, x[1, 0]**(n - 6)\n",
    "a row": "    y = x[1]\n    z = x[:, 2]\n    return y[2], z[3], y.shape, z.shape\n",
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_what_numpy_has(name):
    x = np.random.default_rng(1).normal(size=(4, 3))
    agree(*both(f"{STRICT}def f(x, n):\n{ARRAYS[name]}", x, 6))


SIGNS = """
def f(x, m, n, t):
    N, D = x.shape
    size = x.shape[0]
    k = 3
    for i in range(size):
        j = 2*i + k
        for l in range(i, N, t):
            p = l - 1
        for q in range(n):
            n += 1
    for r in range(N - 1, -1, -1):
        D -= 1
    for s in range(-2, N):
        u = s // 2
"""


def test_what_cannot_be_negative_is_known():
    assert counted(ast.parse(SIGNS).body[0]) == {"N", "size", "k", "i", "j", "l", "q"}


CALLS = f"""
real = np.float32


{NJIT}def pair(a, b=2.0):
    return a*b, a - b


{NJIT}def table(n):
    t = np.empty((n, 2))
    for i in range(n):
        t[i, 0], t[i, 1] = pair(i * 1.0)
    return t


{NJIT}def f(n):
    s = 0.0
    for k in range(n):
        t = table(k + 1)
        s += t[k, 0]
    return s, table(n), (real(0.1), pair(3.0, 1.0)[1])
"""


UNSIGNED = f"""
A, B = np.uint64(0xBF58476D1CE4E5B9), 3


{STRICT}def f(seed):
    z = np.uint64(seed) * A
    z ^= z >> np.uint64(30)
    k = np.empty(2, np.uint32)
    k[1] = B - 4
    return np.int64(z >> np.uint64(32)), k[1], z > np.uint64(2**63)
"""


@pytest.mark.parametrize("seed", [0, 1, 7, 123456789, 2**63 - 1])
def test_numbers_without_a_sign(seed):
    z = seed * 0xBF58476D1CE4E5B9 % 2**64
    z ^= z >> 30
    assert build(HEAD + UNSIGNED, "f", [Given("int64", 0)])(seed) == (z >> 32, 2**32 - 1, z > 2**63)


def test_functions_are_called_with_their_defaults_and_return_arrays():
    agree(*both(CALLS, 5))


def test_memory_is_given_back():
    """2 GB go through it; what it keeps is next to nothing."""
    f = build(HEAD + CALLS.replace("(n, 2)", "(n + 50000, 2)"), "f", [Given("int64", 0)])
    f(3)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(600):
        f(3)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_results_outlive_the_function():
    import gc

    f = build(f"{NJIT}def f(n):\n    return np.zeros(n)\n", "f", [Given("int64", 0)])
    found = f(1000)
    assert found.flags.owndata
    assert found.flags.writeable
    assert found.flags.c_contiguous
    del f
    gc.collect()
    found += 1
    assert found.sum() == 1000


def test_arguments_of_another_type_are_a_type_error():
    f = build(f"{NJIT}def f(x, n):\n    return x[n]\n", "f", [Given("float64", 1), Given("int64", 0)])
    x = np.arange(4.0)
    assert f(x, np.int64(2)) == 2.0
    wrong = [x.astype(np.float32), x[::2], x.reshape(2, 2), x.astype(">f8"), [1.0], 3.0, None, np.float64(1)]
    for each in wrong:
        with pytest.raises(TypeError):
            f(each, 1)
    for arguments in ((x,), (x, 1, 2), (x, "1"), (x, 2**70)):
        with pytest.raises((TypeError, OverflowError)):
            f(*arguments)


def test_subclasses_and_arrays_that_may_only_be_read_are_taken():
    class Named(np.ndarray):
        pass

    f = build(f"{NJIT}def f(x):\n    return x[1]\n", "f", [Given("float64", 1)])
    fixed = np.arange(3.0)
    fixed.flags.writeable = False
    assert f(fixed) == f(np.arange(3.0).view(Named)) == 1.0


@pytest.mark.parametrize("n", [2**40, 2**62, -5])
def test_a_lack_of_memory_is_a_memory_error(n):
    f = build(
        f"{NJIT}def f(n):\n    a = np.zeros(3)\n    b = np.empty((n, 4))\n    return a, b\n", "f", [Given("int64", 0)]
    )
    for _ in range(3):
        with pytest.raises(MemoryError):
            f(n)


def test_loops_over_numbers_that_are_written_down():
    body = "    total, s = 0.0, x\n    for r in (0.5, 1 / 3, -2.0):\n        total += s*r\n        s = s*x\n"
    agree(*both(f"{NJIT}def f(x):\n{body}    return total, s\n", 1.7))


def test_second_derivatives_of_log_gammas_and_their_differences_are_not_left_to_numba():
    """Of Student's t and its like, which took Numba ten times as long."""
    text = "x: data[N]\nw: parameter\nloss = Sum(x[n]*(lgamma(w + 0.5) - lgamma(w))*lgamma(w*x[n]), n)"
    source = gc.emit(gc.parse(text), target="numba", order=2)
    assert "polygammagap(" in source
    number, array = Given("float64", 0), Given("float64", 1)
    x, w, v = np.array([0.3, 2.0, 20.0]), 1.5, 2.0
    found = build(source, "hvp", [number, array, number])(w, x, v)

    def loss(u):
        return sum(a * (mpmath.loggamma(u + 0.5) - mpmath.loggamma(u)) * mpmath.loggamma(u * a) for a in x)

    with mpmath.workdps(40):
        exact = mpmath.diff(loss, w, 2)
    assert math.isclose(found[0] if isinstance(found, tuple) else found, float(v * exact), rel_tol=1e-13)


UNKNOWN = {
    "np.linalg": "    return np.linalg.cholesky(x)\n",
    "whole arrays": "    return x + x\n",
    "a list": "    return [x]\n",
    "a name without a value": "    return y\n",
    "one name for two things": "    for i in range(3):\n        t = x if i < 2 else 1.0\n    return t\n",
    "a slice with a step": "    return x[::2]\n",
    "a string": "    return 'x'\n",
    "a sum": "    return x.sum()\n",
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_known_is_left_to_numba(name):
    with pytest.raises(UntranslatableError):
        Program(f"{NJIT}def f(x):\n{UNKNOWN[name]}").modules("f", [build_type("float64", 2)])


def build_type(dtype, rank):
    from gradcompile.jit.direct.kinds import SCALARS, Array

    return Array(SCALARS[dtype], rank)


def test_numba_compiles_what_is_left_to_it():
    text = f"import numpy as np\nfrom numba import njit\n\n\n{NJIT}def f(x):\n    return np.trace(x)\n"
    found = kernel(text, "f", [Given("float64", 2)])
    assert found(np.eye(3) * 2) == pytest.approx(6)
    assert hasattr(found, "py_func")


PROGRAM = """
import sys
import numpy as np
from gradcompile.jit import Given, kernel

text = "from numba import njit\\n\\n\\n@njit(error_model='numpy')\\ndef f(x):\\n    return 3*x\\n"
f = kernel(text, "f", [Given("float64", 0)])
print(f(2.0), "numba" in sys.modules)
"""


@pytest.mark.parametrize(("compiler", "numba"), [("", "False"), ("numba", "True")])
def test_numba_is_imported_only_if_it_is_asked_for(compiler, numba, tmp_path):
    environment = {**os.environ, "GRADCOMPILE_COMPILER": compiler, "GRADCOMPILE_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["6.0", numba]


def test_a_kept_object_is_used_and_a_damaged_one_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADCOMPILE_CACHE", str(tmp_path))
    text = f"{NJIT}def f(x):\n    return x*0.125\n"
    assert build(text, "f", [Given("float64", 0)])(8.0) == 1.0
    [file] = tmp_path.glob("*.direct")
    monkeypatch.setattr(Program, "modules", None)  # whoever translates now fails
    assert build(text, "f", [Given("float64", 0)])(16.0) == 2.0
    monkeypatch.undo()
    monkeypatch.setenv("GRADCOMPILE_CACHE", str(tmp_path))
    content = bytearray(file.read_bytes())
    content[200] ^= 1
    file.write_bytes(content)
    assert build(text, "f", [Given("float64", 0)])(8.0) == 1.0
    assert list(tmp_path.glob("*.damaged"))


PRODUCT = """
xxgemm = types.ExternalFunction("numba_xxgemm", types.intc(*[types.char] * 3, *[types.intp] * 11))


@njit(error_model="numpy")
def f(a, b):
    m, k, n = a.shape[0], a.shape[1], b.shape[1]
    c = np.empty((m, n))
    s = np.empty(2)
    s[0], s[1] = 1.0, 0.0
    p = s.ctypes.data
    xxgemm(100, 110, 110, n, m, k, p, b.ctypes.data, n, a.ctypes.data, k, p + 8, c.ctypes.data, n)
    return c
"""


def test_products_of_matrices_are_blas():
    random = np.random.default_rng(2)
    a, b = random.normal(size=(5, 7)), random.normal(size=(7, 3))
    np.testing.assert_allclose(build(PRODUCT, "f", [Given("float64", 2)] * 2)(a, b), a @ b, rtol=1e-14)


def test_a_negated_number_is_rounded_to_the_type_that_it_is_written_for():
    text = f"real = np.float32\n\n\n{STRICT}def f(x):\n    return x*-real(1.1283791670955126)\n"
    found = build(text, "f", [Given("float64", 0)])(1.0)
    assert found == -float(np.float32(1.1283791670955126))


SEVERAL = f"""{STRICT}def add(to, x):
    for i in range(x.shape[0]):
        to[i] += twice(x[i])
    return total(to)


{STRICT}def twice(x):
    return 2*x


{STRICT}def total(x):
    f = 0.0
    for i in range(x.shape[0]):
        f += twice(x[i])
    return f


{STRICT}def f(x):
    y = np.zeros(x.shape[0])
    return add(y, x) + add(y, x) + total(x), y
"""


def test_long_functions_of_arrays_have_modules_of_their_own(monkeypatch):
    """Each is defined once where others see it; what it calls of numbers is in every module that calls it."""
    monkeypatch.setattr("gradcompile.jit.direct.sharing.LONG", 1)
    modules = [module.text for module in Program(SEVERAL).modules("f", [build_type("float64", 1)])]
    defined = [name for text in modules for name in re.findall(r"^define (?!internal)[^@]*@([\w.]+)\(", text, re.M)]
    assert sorted(name.split(".")[0] for name in defined) == ["add", "f", "gradcompile", "total"]
    assert len(set(defined)) == len(defined)
    callers = [text for text in modules if re.search(r"call[^@]*@twice", text)]
    assert callers
    assert all(text.count("define internal double @twice") == 1 for text in callers)
    agree(*both(SEVERAL, np.arange(5.0)))


def test_a_failure_in_one_module_is_raised_and_others_are_given_up(monkeypatch):
    begun = []

    def fail(text, level, passes):
        begun.append(text)
        raise KeyboardInterrupt

    monkeypatch.setattr(objects, "_machine_code", fail)
    with pytest.raises(KeyboardInterrupt):
        objects.machine_codes([str(k) for k in range(100)], 3, None)
    assert len(begun) <= os.cpu_count()


@pytest.mark.parametrize("text", ["a", "np.float64", "a.b.c", "(a + b).T", "f(x)[0].shape", "x[1:].ctypes.data"])
def test_expressions_are_spelled_as_python_does(text):
    node = ast.parse(text, mode="eval").body
    assert spelled(node) == ast.unparse(node)


def test_statements_and_names_are_those_that_python_finds():
    text = """
def f(x, n):
    for i in range(n):
        if x[i] > 0:
            y = x[i]
        else:
            while n:
                n -= x.size
            z = a = n
    return y + z, a
"""
    [function] = ast.parse(text).body
    walked = list(ast.walk(function))
    assert list(statements(function)) == [each for each in walked[1:] if isinstance(each, ast.stmt)]
    assert set(names(function)) == {each for each in walked if isinstance(each, ast.Name)}


def test_functions_of_one_module_are_compiled_together_and_those_left_to_numba_are_told(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADCOMPILE_CACHE", str(tmp_path))
    bodies = {"f": "x*0.375", "g": "x - 3.5", "h": "[x]"}
    text = "".join(f"{NJIT}def {name}(x):\n    return {body}\n" for name, body in bodies.items())
    shared, batches = objects.machine_codes, []

    def counting(texts, *others):
        batches.append(len(texts))
        return shared(texts, *others)

    monkeypatch.setattr(sys.modules["gradcompile.jit.direct.build"], "machine_codes", counting)
    wanted = {name: [Given("float64", 0)] for name in bodies}
    found = build_all(text, wanted)
    assert (found["f"](8.0), found["g"](8.0)) == (3.0, 4.5)
    assert isinstance(found["h"], UntranslatableError)
    assert batches == [2]
    assert build_all(text, {"g": wanted["g"]})["g"](3.0) == -0.5
    assert batches == [2, 0]  # it was kept


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_programs_have_one_module_for_products_in_common(dtype):
    common = []
    for name in ("softmax", "autoencoder"):
        model = gc.compile(gc.load(Path(gc.__file__).parent / "models" / f"{name}.model"), dtype=dtype)
        given = model._program._types("value_and_grad")
        types = [Array(SCALARS[each.dtype], each.rank) if each.rank else SCALARS[each.dtype] for each in given]
        common.append({each.text for each in Program(model.source).modules("value_and_grad", types) if each.common})
    assert common[0] == common[1] != set()


def test_modules_in_common_are_compiled_once(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADCOMPILE_CACHE", str(tmp_path))
    made = []
    monkeypatch.setattr(objects, "_machine_code", lambda text, level, passes: made.append(text) or text.encode())
    assert objects.machine_codes(["a", "b"], 3, objects.optimised, {"b"}) == [b"a", b"b"]
    assert objects.machine_codes(["a", "b"], 3, objects.optimised, {"b"}) == [b"a", b"b"]
    assert sorted(made) == ["a", "a", "b"]


def test_without_further_threads_one_compiles_all(monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    monkeypatch.setattr(objects, "_machine_code", lambda text, level, passes: text.encode())
    assert objects.machine_codes(["a", "b", "c"], 3, None) == [b"a", b"b", b"c"]


def test_object_files_come_in_the_order_of_their_modules(monkeypatch):
    monkeypatch.setattr(objects, "_machine_code", lambda text, level, passes: text.encode())
    assert objects.machine_codes([str(k) for k in range(100)], 3, None) == [b"%d" % k for k in range(100)]


# Loops of which several steps are taken in one pass: for each, whether they are, and the text.
NESTS = {
    "sums at the same elements": (True, """
    for j in range(m):
        for s in range(n):
            c[s] += a[j, s]*w[j]
"""),
    "differences": (True, """
    for j in range(m):
        for s in range(n):
            c[s] -= a[j, s]*w[j]
"""),
    "a triangle": (True, """
    for i in range(m):
        for j in range(i + 1, m):
            for s in range(n):
                c[s] += a[j, s]*a[i, s]
"""),
    "from a number that may be the larger one": (True, """
    for j in range(3, m):
        for s in range(n):
            c[s] += a[j, s]*w[j]
"""),
    "sums of a step": (True, """
    for j in range(m):
        t = w2[j]
        for s in range(n):
            t += a[j, s]*v[s]
        w2[j] = t
"""),
    "a triangle of sums": (True, """
    for i in range(m):
        for j in range(i):
            t = q[i, j]
            for s in range(n):
                t -= a[j, s]*a[i, s]
            q[i, j] = t
"""),
    "one sum over all steps": (False, """
    for j in range(m):
        for s in range(n):
            total += a[j, s]*v[s]
"""),
    "a sum that a step reads": (False, """
    for j in range(m):
        for s in range(n):
            c[s] += a[j, s]*c[n - 1]
"""),
    "a sum that the next step begins with": (False, """
    for j in range(m):
        t = w2[j - 1]
        for s in range(n):
            t += a[j, s]*v[s]
        w2[j] = t
"""),
    "another name for the same elements": (False, """
    d = c[0:n]
    for j in range(m):
        for s in range(n):
            c[s] += a[j, s]*d[n - 1]
"""),
    "elements that a number in an array names": (False, """
    for j in range(m):
        k = labels[j]
        for s in range(n):
            a[k, s] += a[j, s]*v[s]
"""),
    "nothing in common": (False, """
    for j in range(m):
        t = 0.0
        for s in range(n):
            t += a[j, s]
        w2[j] = t
"""),
    "a length that changes": (False, """
    for j in range(m):
        k = j % 5
        for s in range(k):
            c[s] += a[j, s]*w[j]
"""),
    "a name that is read afterwards": (False, """
    for j in range(m):
        t = w2[j]
        for s in range(n):
            t += a[j, s]*v[s]
        w2[j] = t
    total += t
"""),
    "a name that an earlier line reads in the next step of a loop around": (False, """
    for k in range(m):
        total += t
        for j in range(m):
            t = w2[j]
            for s in range(n):
                t += a[j, s]*v[s]
            w2[j] = t
"""),
    "others before them at the same depth": (True, """
    for k in range(m):
        for i in range(2):
            for j in range(m):
                t = w2[j]
                for s in range(n):
                    t += a[j, s]*v[s]
                w2[j] = t
        for j in range(m):
            t = w2[j]
            for s in range(n):
                t += a[j, s]*v[s]
            w2[j] = t
"""),
    "a name that nobody reads before its next value": (True, """
    for k in range(m):
        t = w[k]
        total += t
        for j in range(m):
            t = w2[j]
            for s in range(n):
                t += a[j, s]*v[s]
            w2[j] = t
"""),
}  # fmt: skip
FRAME = """def f(x, w, v, labels):
    m, n = x.shape
    total, t = 0.0, 0.0
    a, c, q, w2 = np.empty((m, n)), np.zeros(n), np.zeros((m, m)), np.zeros(m)
    for j in range(m):
        for s in range(n):
            a[j, s] = x[j, s]
{nest}    return total, a, c, q, w2
"""


@pytest.mark.parametrize("name", NESTS)
def test_sums_keep_their_order_where_several_steps_are_in_one_pass(name):
    text = FRAME.format(nest=NESTS[name][1][1:])
    compiled = build(
        HEAD + STRICT + text, "f", [Given("float64", 2), Given("float64", 1), Given("float64", 1), Given("int64", 1)]
    )
    plain = load(HEAD + text, compiled=False).f
    for rows in (0, 1, 3, 4, 5, 8, 11):
        random = np.random.default_rng(rows)
        given = random.normal(size=(rows, 9)), random.normal(size=rows), random.normal(size=9), np.arange(rows) // 2
        agree(compiled(*given), plain(*given))


@pytest.mark.parametrize("name", NESTS)
def test_several_steps_are_in_one_pass_where_nothing_depends_on_another_step(name):
    function = ast.parse(FRAME.format(nest=NESTS[name][1][1:])).body[0]
    before = sum(isinstance(node, ast.For) for node in ast.walk(function))
    jam(function)
    after = sum(isinstance(node, ast.For) for node in ast.walk(function))
    assert (after > before) is NESTS[name][0]


PARTED = """
y: data[N, 4]
A: parameter[K, K]
m: parameter[K]
e[n, t, k] = -(y[n, t] - m[k])**2/2
P[j, k]  = softmax(A[j, k], k)
a0[n, k] = exp(e[n, 0, k])
a1[n, k] = Sum(a0[n, j]*P[j, k], j)*exp(e[n, 1, k])
a2[n, k] = Sum(a1[n, j]*P[j, k], j)*exp(e[n, 2, k])
a3[n, k] = Sum(a2[n, j]*P[j, k], j)*exp(e[n, 3, k])
loss = -Sum(log(Sum(a3[n, k], k)), n)
"""


def test_a_long_function_in_parts_has_the_same_results(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADCOMPILE_CACHE", str(tmp_path))
    source = gc.compile(gc.parse(PARTED)).source
    random = np.random.default_rng(3)
    given = random.normal(size=(3, 3)), random.normal(size=3), random.normal(size=(70, 4))
    monkeypatch.setattr("gradcompile.jit.direct.outline.MIDDLING", 10**6)
    whole = kernel(source, "value_and_grad", types_of(given))(*given)
    for name, number in (("LONG", 1), ("PART", 12), ("WORTH", 2)):
        monkeypatch.setattr(f"gradcompile.jit.direct.outline.{name}", number)
    parsed.cache_clear()  # it is whole
    program = Program(source)
    program.modules("value_and_grad", [build_type(each.dtype, each.rank) for each in types_of(given)])
    assert len(program.text.parts) > 10
    (tmp_path / "parts").mkdir()
    monkeypatch.setenv("GRADCOMPILE_CACHE", str(tmp_path / "parts"))
    parted = build(source, "value_and_grad", types_of(given))(*given)
    assert parted[0] == pytest.approx(whole[0], rel=1e-14)
    for a, b in zip(parted[1], whole[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


BLOCKS = """def f(x, t, N, T):
    D, K = 64, 5
    H = x.shape[1]
    a = np.empty((K, T))
    c = np.empty(H)
    s = 0.0
    for first in range(0, N, T):
        size = min(T, N - first)
        x_b = x[first:first + T]
        t_b = t[first:first + T]
        for n in range(size):
{first}
            for k in range(K):
                a[k, n] = x_b[n, D - k]
        for n in range(size):
{second}
            for h in range(H):
                c[h] += s*t_b[n]
    return s, c
"""


def blocks(first, second):
    """Return the parts of a function with so many further statements in its two loops over the samples of a block."""
    bodies = ("\n".join(f"            s += x_b[n, {k}]" for k in range(count)) for count in (first, second))
    first, second = bodies
    return outlined(ast.parse(BLOCKS.format(first=first, second=second)).body[0])[:-1]


def test_what_is_done_with_a_block_of_samples_is_cut_in_halves():
    late, early = blocks(20, 20)
    assert [ast.unparse(each.node.body[0])[:6] for each in (early, late)] == ["D = 64", "for n "]
    assert [arg.arg for arg in early.node.args.args] == ["a", "s", "size", "x_b"]
    assert [arg.arg for arg in late.node.args.args] == ["H", "c", "s", "size", "t_b", "x_b"]
    assert blocks(5, 5) == []  # short
    assert blocks(40, 3) == []  # one loop is nearly all there is


def test_a_part_knows_what_the_whole_function_knows_of_its_arguments():
    late, early = blocks(20, 20)
    assert early.known({"x": (None, 20)})["x_b"] == (None, 20)
    assert list(early.known({})["a"]) == [5, None]
    assert late.measured == {"H"}
    assert late.counted == {"H"}


def test_short_loops_over_blocks_stay_beside_a_long_one():
    short = "    for first in range(0, N, T):\n        for n in range(first, N):\n            c[0] += {}*t[n]\n"
    text = BLOCKS.format(first="            s += 1\n" * 20, second="            s += 1\n" * 20)
    text = text.replace("    return", "".join(map(short.format, range(3, 6))) + "    return")
    *parts, whole = outlined(ast.parse(text).body[0])
    together = "".join(ast.unparse(each.node) for each in (*parts, whole))
    assert [together.count(f"c[0] += {k} * t[n]") for k in range(3, 6)] == [1, 1, 1]


def test_a_number_with_another_name_shares_no_memory():
    names = "    a = np.empty(n)\n    s = 0.0\n    t = s\n    b = a\n    c = x\n    d = x[0:n]\n"
    shared = sharing(ast.parse(f"def f(x, n):\n{names}    return t").body[0])
    assert shared.keys() == set("abcdx")
    assert shared["b"] == {"a", "b"}
    assert shared["d"] == {"c", "d", "x"}


def test_steps_of_a_recurrence_that_add_to_a_number_become_one_part():
    step = "    for i in range(n):\n        a{0}[i] = 2*a{1}[i] + 1\n        s += a{0}[i]\n        u += a{1}[i]*s\n"
    steps = "".join(step.format(k + 1, k) for k in range(80))
    head = f"def f({', '.join(f'a{k}' for k in range(81))}, n):\n    r = 0.0\n    s = r\n    u = 0.0\n"
    *parts, whole = outlined(ast.parse(f"{head}{steps}    return s").body[0])
    assert len(parts) == 1
    assert not any(isinstance(each, ast.For) for each in ast.walk(whole.node))


def test_the_whole_function_makes_the_arrays_that_parts_fill():
    made = [f"    a{k} = np.empty(n)\n    b{k} = 2.0*x[{k}]\n" for k in range(12)]
    used = [f"    for i in range(n):\n        a{k % 12}[i] = b{k % 12}*x[i] + {k}\n" for k in range(200)]
    text = "def f(x, n):\n" + "".join([*made, *used]) + "    return a0[0]\n"
    *parts, whole = outlined(ast.parse(text).body[0])
    assert parts
    assert not any("np.empty" in ast.unparse(each.node) for each in parts)
    assert ast.unparse(whole.node).count("np.empty") == 12


def test_a_part_is_given_a_number_that_changes():
    text = BLOCKS.format(first="            D += 1\n" * 20, second="            s += t_b[n]*D\n" * 20)
    parts = outlined(ast.parse(text).body[0])[:-1]
    assert [["D" in [arg.arg for arg in part.node.args.args] for part in parts]] == [[True, True]]


OUTLINED = """def f(x, y, n, s, t):
    a = np.empty(n)
    b = a[0:n]
    for i in range(n):
        {body}
    return s, a, b
"""
# What a loop does, what its part is given, and what it returns; None where it has to stay.
LOOPS = {
    "reads and adds": ("s += x[i]*y", ["n", "s", "x", "y"], ["s"]),
    "nothing is left of a name of its own": ("t = x[i]; a[i] = t", ["a", "n", "x"], []),
    "a name that is read in the next step": ("s += t; t = x[i]", ["n", "s", "t", "x"], ["s"]),
    "two names for what it writes": ("a[i] = b[n - i - 1]", None, None),
    "perhaps never assigned": ("s = x[i]", ["n", "s", "x"], ["s"]),
}


@pytest.mark.parametrize("name", LOOPS)
def test_a_part_is_given_what_it_needs_and_returns_what_is_needed(name, monkeypatch):
    body, given, returned = LOOPS[name]
    for constant, number in (("LONG", 1), ("PART", 4), ("WORTH", 2)):
        monkeypatch.setattr(f"gradcompile.jit.direct.outline.{constant}", number)
    text = OUTLINED.format(body=body.replace("; ", "\n        "))
    parts = [p.node for p in outlined(ast.parse(text).body[0])[:-1] if any(isinstance(s, ast.For) for s in p.node.body)]
    found = [([a.arg for a in p.args.args], sorted(stored_in(p.body[-1]))) for p in parts]
    assert found == ([] if given is None else [(given, returned)])


def stored_in(node):
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


COLUMNS = """
x: data[N, {length}]
w: parameter
loss = Sum(exp(w*x[n, 0]) + w*x[n, {last}]**2, n)
"""


@pytest.mark.parametrize("length", [1, 3, 12])
def test_rows_of_known_length_have_that_in_machine_code(length):
    """Of rows of any length, LLVM makes vectors only for those of one number, and tests whether they are such."""
    model = gc.compile(gc.parse(COLUMNS.format(length=length, last=length - 1)))
    given = model._program._types("value_and_grad")
    assert [each.lengths for each in given] == [(), (None, length)]
    types = [F64, build_type("float64", 2)]
    modules = Program(model.source).modules("value_and_grad", types, [each.lengths for each in given])
    assert re.search(rf"store i64 {length}, ptr", "\n".join(each.text for each in modules))
    x = np.random.default_rng(length).normal(size=(50, length))
    value, slope = build(model.source, "value_and_grad", given)(0.4, x)
    assert value == pytest.approx(np.sum(np.exp(0.4 * x[:, 0]) + 0.4 * x[:, -1] ** 2), rel=1e-13)
    assert slope[0] == pytest.approx(np.sum(x[:, 0] * np.exp(0.4 * x[:, 0]) + x[:, -1] ** 2), rel=1e-13)


def test_a_length_that_is_not_known_is_none_that_llvm_takes_for_1():
    source = gc.compile(gc.parse("x: data[N, D]\nw: parameter[D]\nloss = Sum(exp(Sum(w[j]*x[n, j], j)), n)")).source
    program = Program(source)
    text = "\n".join(
        each.text for each in program.modules("value_and_grad", [build_type("float64", 1), build_type("float64", 2)])
    )
    assert "@llvm.smax.i64(i64 %x.2, i64 0)" in text


def test_the_length_of_an_argument_is_not_that_of_another_functions_argument_of_its_name():
    text = f"{HEAD}{STRICT}def double(a):\n    return a[1, 0]*2\n\n\n{STRICT}def value(a, b):\n    return double(b)\n"
    x = np.arange(6.0).reshape(2, 3)
    types = [Given("float64", 2, (2, 7)), Given("float64", 2)]
    assert build(text, "value", types)(np.zeros((2, 7)), x) == 6.0


def test_machine_code_depends_on_the_lengths_that_are_known_and_not_on_what_the_docstring_says():
    text = f"{STRICT}def value(a):\n    return a[1, 0]\n"
    told = '"""A head.\n\narray  axes  dtype  role\na  (7, 2)  float64  data\n"""\n\n' + text
    x = np.arange(12.0).reshape(4, 3)
    assert build(told, "value", [Given("float64", 2)])(x) == 3.0
    assert [build(text, "value", [Given("float64", 2, (None, n))])(x) for n in (3, None)] == [3.0, 3.0]
    assert build(text, "value", [Given("float64", 2, (None, 4))])(x) == 4.0  # believed, and a file of its own


def test_calls_with_known_sizes_have_these_lengths():
    text = "x: data[N, D]\nw: parameter[D + 2]\nloss = Sum(exp(Sum(w[j]*x[n, j], j, 0, D - 1)), n)"
    model = gc.compile(gc.parse(text))
    model.grad(x=np.ones((30, 3)), w=np.ones(5))
    assert [each.lengths for each in model._program.answering._types("value")] == [(5,), (None, 3)]


@pytest.mark.parametrize(
    ("bound", "element", "kept"),
    [
        ("20", "x[1, k]", True),
        ("K", "x[1, k]", True),
        ("8", "x[1, k]", True),  # one vector
        ("5", "x[1, k]", False),
        ("x.shape[1]", "x[1, k]", False),
        ("20", "x[1, k + K]", False),
        ("20", "x[k, 1]", False),
        ("20", "x[1, k]*x[k, 1]", False),
    ],
)
def test_innermost_loops_of_many_steps_are_not_written_out(bound, element, kept):
    """LLVM would do so before it makes vectors, and then makes none."""
    text = (
        f"def f(x):\n    K = 9\n    s = 0.0\n    for k in range({bound}):\n        s += {element}\n    return s + K\n"
    )
    program = Program(HEAD + STRICT + text)
    found = "\n".join(each.text for each in program.modules("f", [build_type("float64", 2)]))
    assert ("llvm.loop.unroll.disable" in found) is kept
    assert ("followup_epilogue" in found) is kept


def optimised(text):
    """Return a module as LLVM improves it."""
    module = llvm.parse_assembly(text)
    tuning = llvm.create_pipeline_tuning_options(speed_level=3)
    builder = llvm.create_pass_builder(objects.machine(3), tuning)
    objects.optimised(builder).run(module, builder)
    return str(module)


def test_sums_along_rows_with_a_rest_stay_in_registers():
    """Sums over samples of 10 numbers: a vector, and a loop of what is left over, which keeps them in memory."""
    text = f"""{HEAD}{FAST}def f(x, h, out):
    K = 10
    dw = np.zeros(K)
    for n in range(x.shape[0]):
        for k in range(K):
            dw[k] += x[n, k]*h[n]
    for k in range(K):
        out[k] = dw[k]
    return 0.0
"""
    modules = Program(text).modules("f", [build_type("float64", 2), *[build_type("float64", 1)] * 2])
    blocks = [block for each in modules for block in optimised(each.text).split("\n\n") if "fmul" in block]
    assert blocks
    assert not any(" store " in block for block in blocks)


ROWS = """{flags}def f(x, y, w, z):
    K = {length}
    s = 0.0
    for n in range(x.shape[0]):
        z_n = {first}
        for k in range(K):
            z_n += x[n, k]*w[k]
        z[n] = z_n
    return s
"""


@pytest.mark.parametrize(
    ("length", "first", "masks", "told"),
    [
        (3, "0.0", True, True),
        (7, "z[n]", True, True),
        (2, "0.0", True, False),
        (7, "0.0", False, False),  # rows are taken apart
        (5, "y[n]**2", True, False),  # that, too, is for vectors
        (9, "y[n]**2", True, True),
    ],
)
def test_rows_of_a_few_numbers_are_vectors_where_the_loop_around_them_needs_none(
    length, first, masks, told, capfd, monkeypatch
):
    monkeypatch.setattr(hints, "has_masks", lambda: masks)
    text = ROWS.format(flags=FAST, length=length, first=first)
    kinds = [Given("float64", 2), *[Given("float64", 1)] * 3]
    assert ('!"llvm.loop.vectorize.enable"' in llvm_of(text, *(build_type(k.dtype, k.rank) for k in kinds))) is told
    random = np.random.default_rng(3)
    x, y, w = random.random((40, length)), random.random(40), random.random(length)
    z = random.random(40)
    expected = x @ w + {"0.0": 0.0, "z[n]": z, "y[n]**2": y**2}[first]
    build(HEAD + text, "f", kinds)(x, y, w, z)
    np.testing.assert_allclose(z, expected, rtol=1e-14)
    assert not capfd.readouterr().err


SHORT = """{flags}def f(x, y, w, i, j):
    K = {length}
    H = y.shape[0]
    s = 0.0
    for n in range(x.shape[0]):
        i_n = np.uint64(i[n])
        j_n = np.uint64(j[n])
        z = 0.0
        for k in range({bound}):
            {step}
        s += z
    return s
"""


@pytest.mark.parametrize(
    ("fast", "length", "bound", "step", "told"),
    [
        (True, 9, "K", "z += x[n, k]*w[k]", True),
        (True, 15, "K", "z += x[n, k]*w[k]", True),
        (True, 16, "K", "z += x[n, k]*w[k]", False),  # LLVM does it unasked
        (True, 8, "K - 1", "z += x[n, k]*w[k]", False),  # is written out
        (True, 19, "K - 8", "w[k] += x[n, k]*z", True),
        (True, 12, "K", "a = x[i_n, k] - y[j_n, k]; x[i_n, k] -= 0.1*a; x[j_n, k] += 0.1*a; z += a**2", True),
        (False, 12, "K", "z += x[n, k]*w[k]", False),  # a sum in this very order
        (True, 12, "K", "z += x[n, k]*z", False),
        (True, 12, "K", "z += math.log(x[n, k])", False),
        (True, 12, "K", "z += x[n, k] if x[n, k] > 0 else 0.0", False),
        (True, 12, "K", "w[0] += x[n, k]", False),
        (True, 12, "K", "z += a*x[n, k]; a = x[n, k]", False),
        (True, 12, "K", "x[(2*n + 1) % H, k] += y[n, k]", False),
    ],
)
def test_llvm_is_told_to_make_vectors_of_short_rows_where_it_surely_can(fast, length, bound, step, told, capfd):
    """Else it writes to stderr."""
    step = step.replace("; ", "\n" + " " * 12)
    text = SHORT.format(flags=FAST if fast else STRICT, length=length, bound=bound, step=step)
    text = text.replace("z = 0.0\n", "z = 0.0\n        a = 0.0\n")
    kinds = [Given("float64", 2)] * 2 + [Given("float64", 1)] + [Given("int64", 1)] * 2
    assert ('!"llvm.loop.vectorize.enable"' in llvm_of(text, *(build_type(k.dtype, k.rank) for k in kinds))) is told
    random = np.random.default_rng(3)
    x, y, w = (1 + random.random(shape) for shape in ((40, length), (40, length), length))
    i, j = random.integers(0, 40, (2, 40))
    found, expected = [(x.copy(), y.copy(), w.copy()) for _ in range(2)]
    scope: dict = {}
    exec("import math\nimport numpy as np\n" + text.split("\n", 1)[1], scope)
    assert build(HEAD + text, "f", kinds)(*found, i, j) == pytest.approx(scope["f"](*expected, i, j), rel=1e-12)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    assert not capfd.readouterr().err


@pytest.mark.parametrize(
    ("statements", "alone"),
    [
        ("y[k] = 2*x[k]", True),
        ("t = 2*x[k]; y[k] = t*t", True),
        ("y[k] += x[k]", True),
        ("s += x[k]", False),
        ("y[0] += x[k]", False),
        ("s = x[k] - s", False),
    ],
)
def test_loops_without_sums_are_vectors_one_at_a_time(statements, alone):
    """Several at once would need a second loop for what is left over."""
    text = f"def f(x, y):\n    s = 0.0\n    for k in range(x.shape[0]):\n        {statements}\n    return s\n"
    program = Program(HEAD + STRICT + text)
    array = build_type("float64", 1)
    found = "\n".join(each.text for each in program.modules("f", [array, array]))
    assert ("llvm.loop.interleave.count" in found) is alone


@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize(
    ("bound", "statement", "masked"),
    [
        ("K", "s += costly(x[n, k])", True),
        ("K - 2", "x[n, k] = costly(x[n, k])", True),
        ("M", "x[n, k] = costly(x[n, k])", True),  # a known length
        ("size", "s += costly(x[n, k])", False),  # a block, which is long
        ("K", "s += x[n, k]", False),
    ],
)
def test_rows_of_costly_functions_end_in_a_vector_not_all_of_it_used(bound, statement, masked, masks, monkeypatch):
    """If the processor has such vectors; else it would take what is left over number by number."""
    monkeypatch.setattr(hints, "has_masks", lambda: masks)
    costly = STRICT.replace(")", ", forceinline=True)") + "def costly(x):\n    return x*x\n\n\n"
    text = (
        f"def f(x):\n    M = 30\n    N, K = x.shape\n    size = min(9, K)\n    s = 0.0\n    for n in range(N):\n"
        f"        for k in range({bound}):\n            {statement}\n    return s\n"
    )
    program = Program(HEAD + costly + STRICT + text)
    found = "\n".join(each.text for each in program.modules("f", [build_type("float64", 2)]))
    assert found.count("llvm.loop.vectorize.predicate.enable") == (masked and masks)


@pytest.mark.parametrize(("terms", "found"), [(1, []), (3, ["2"])])
def test_sums_of_much_that_is_computed_are_taken_two_vectors_at_once(terms, found):
    """More would have no room in the registers."""
    inline = STRICT.replace(")", ", forceinline=True)")
    costly = f"{inline}def inner(x):\n" + "    x = x*x\n" * 20 + "    return x\n\n\n"
    outer = f"{inline}def outer(x):\n    return inner(inner(x))\n\n\n"
    loop = "    for k in range(x.shape[0]):\n        s += " + "*".join(["outer(x[k])"] * terms)
    text = f"def f(x):\n    s = 0.0\n{loop}\n    return s\n"
    program = Program(HEAD + costly + outer + STRICT + text)
    written = "\n".join(each.text for each in program.modules("f", [build_type("float64", 1)]))
    assert re.findall(r"interleave.count\", i32 (\d)", written) == found


def test_an_innermost_loop_stays_whole_where_it_may_become_vectors():
    body = "".join(f"        s += x[i]*{k}\n" for k in range(200))
    more = "    s += 1.0\n" * 150
    text = f"def f(x, n, s):\n    for i in range(n):\n{body}{more}    return s\n"
    parts = outlined(ast.parse(text).body[0])
    loops = [node for part in parts for node in ast.walk(part.node) if isinstance(node, ast.For)]
    assert len(parts) > 1
    assert [len(loop.body) for loop in loops] == [200]


def test_a_step_of_a_filter_over_a_long_series_may_become_vectors():
    """Sixteen observations of a local linear trend, with the slopes of all variances, are 500 statements."""
    body = "".join(f"        a{k} = x[i, {k}] - a{k - 1}*b\n" for k in range(1, 600))
    text = f"def f(x, n, b, a0, y):\n    for i in range(n):\n{body}        y[i] = a599\n    return y\n"
    nodes = [node for part in outlined(ast.parse(text).body[0]) for node in ast.walk(part.node)]
    assert [len(node.body) for node in nodes if isinstance(node, ast.For)] == [600]


FAST = '@njit(fastmath={"contract", "reassoc", "nsz", "arcp", "afn"}, error_model="numpy")\n'
INLINE = '@njit(fastmath={"contract"}, error_model="numpy", forceinline=True)\n'
EXTREMES = "".join(
    f"{STRICT}def {name}(a, b):\n    return a if a {sign} b or math.isnan(a) else b\n\n\n"
    for name, sign in (("maximum", ">="), ("minimum", "<="))
)


def llvm_of(text, *types):
    return "\n".join(each.text for each in Program(HEAD + text).modules("f", types))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("name", "start"), [("maximum", "-math.inf"), ("minimum", "math.inf")])
def test_the_extremum_of_a_row_is_found_by_vectors_and_is_nan_where_one_is(name, start, dtype):
    text = (
        f"{EXTREMES}real = np.{dtype}\n\n\n{FAST}def f(x):\n    s = real({start})\n"
        f"    for k in range(x.shape[0]):\n        s = {name}(s, x[k])\n    return s\n"
    )
    assert f"llvm.{name}." in llvm_of(text, build_type(dtype, 1))
    found = build(HEAD + text, "f", [Given(dtype, 1)])
    random = np.random.default_rng(5)
    for n in (0, 1, 7, 64, 100):
        x = random.normal(size=n).astype(dtype)
        right = getattr(np, name).reduce(x, initial=float(start.replace("math.inf", "inf")))
        assert found(x) == right
        for k in (*range(0, n, 9), *([n - 1] if n else [])):
            assert math.isnan(found(np.where(np.arange(n) == k, np.nan, x).astype(dtype)))


def test_the_sign_of_an_extremum_of_zeros_is_as_written_where_signs_count():
    text = f"{EXTREMES}{STRICT}def f(a, b):\n    return maximum(a, b)\n"
    assert "llvm.maximum" not in llvm_of(text, F64, F64)
    found, expected = both(text, -0.0, 0.0)
    assert math.copysign(1, found) == math.copysign(1, expected)


MIXED = """
def twice(x):
    return x + x


{fast}def f(x, y):
    {sums}
    for k in range(x.shape[0]):
        {step}
        s += y[k]
    return s
"""


@pytest.mark.parametrize(
    ("head", "sums", "step", "wide"),
    [
        ("real = np.float32", "s = 0.0", "y[k] = twice(x[k])", True),
        ("real = np.float32", "s = real(0.0)", "y[k] = twice(x[k])", False),  # all single
        ("real = np.float32", "s = 0.0", "y[k] = x[k] + x[k]", False),  # no function
        ("single = np.float32", "s = 0.0", "y[k] = twice(x[k])", False),  # no program of single precision
        ("real = np.float32", "s, z = 0.0, x.reshape(1, x.size)", "y[k] = twice(z[0, k])", False),  # a row may be short
        ("real = np.float32", "s, z = 0.0, x.reshape(x.size, 1)", "y[k] = twice(z[k, 0])", True),
        ("real = np.float32", "s = 0.0", "y[k] = twice(x[k + 0])", True),
        ("real = np.float32", "s = 0.0", "y[k] = x[k] + x[k]" + "\n        y[k] += 0" * 20, True),  # much arithmetic
        ("real = np.float32", "s = 0.0", f"y[k] = x[k] + x[k]{' + 0*x[k]' * 30}", True),
    ],
)
def test_functions_of_single_numbers_fill_registers_beside_sums_in_double_precision(head, sums, step, wide):
    text = f"{head}\n\n\n{INLINE}" + MIXED.format(fast=FAST, sums=sums, step=step).lstrip()
    single = build_type("float32", 1)
    assert (f'"llvm.loop.vectorize.width", i32 {objects.singles()}' in llvm_of(text, single, single)) is wide
    x = np.random.default_rng(2).normal(size=1003).astype(np.float32)
    found, y = build(HEAD + text, "f", [Given("float32", 1)] * 2), np.empty_like(x)
    assert found(x, y) == pytest.approx(float(np.sum(2 * x, dtype=np.float64)), rel=1e-5)
    np.testing.assert_array_equal(y, 2 * x)


@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize(("place", "wide"), [("n, k", True), ("n, k - 1", False), ("k, n", False)])
def test_functions_along_rows_fill_registers_where_what_is_left_over_is_masked(place, wide, masks, monkeypatch):
    """Rows may be short."""
    monkeypatch.setattr(hints, "has_masks", lambda: masks)
    text = (
        f"real = np.float32\n\n\n{INLINE}def twice(x):\n    return x + x\n\n\n{FAST}def f(x, y):\n    N, K = x.shape\n"
        "    s = 0.0\n    for n in range(N):\n        for k in range(K):\n"
        f"            y[n, k] = twice(x[n, k]) + y[{place}]\n            s += y[n, k]\n    return s\n"
    )
    single = build_type("float32", 2)
    found = llvm_of(text, single, single)
    assert (f'"llvm.loop.vectorize.width", i32 {objects.singles()}' in found) is (wide and masks)
    x = np.random.default_rng(2).normal(size=(3, 37)).astype(np.float32)
    if wide:
        y = np.ones_like(x)
        total = build(HEAD + text, "f", [Given("float32", 2)] * 2)(x, y)
        assert total == pytest.approx(float(np.sum(2 * x + 1, dtype=np.float64)), rel=1e-5)
        np.testing.assert_array_equal(y, 2 * x + np.float32(1))


@pytest.mark.parametrize(
    ("step", "sums"),
    [
        ("y[k] = twice(x[int(y[k])])", "s = 0.0"),
        ("y[k] = twice(y[k + 1])", "s = 0.0"),
        ("y[k] = twice(x[k]) + s", "s = 0.0"),
        ("y[k] = twice(math.log(x[k]))", "s = 0.0"),
        ("y[k] = twice(x[k]); m = y[k] if y[k] > m else m", "s, m = 0.0, 0.0"),  # the largest so far
    ],
)
def test_nothing_is_asked_for_that_llvm_may_be_unable_to_do(step, sums):
    """It would write so to stderr."""
    text = f"real = np.float32\n\n\n{INLINE}" + MIXED.format(fast=FAST, sums=sums, step=step).lstrip()
    single = build_type("float32", 1)
    assert "llvm.loop.vectorize.width" not in llvm_of(text, single, single)


@pytest.mark.parametrize(
    ("choice", "branches"),
    [
        ("twice(x[0] if s > 9 else s)", True),  # an element is read where it is asked for
        ("twice(s) if k > 3 else -twice(s) + 1", False),
        ("(s if s < 2 else twice(s)) if k > 3 else s", False),
        ("twice(s) if k > 3 else math.exp(s)", True),  # a call that is none
        ("twice(s) if k > 3 else x[k]", True),
    ],
)
def test_choices_between_functions_are_no_branches_in_innermost_loops(choice, branches):
    text = (
        f"{INLINE}def twice(x):\n    return x + x\n\n\n{STRICT}def f(x):\n    s, t = 0.5, 0.0\n"
        f"    for k in range(x.shape[0]):\n        t += {choice}\n    return t\n"
    )
    llvm = llvm_of(text, build_type("float64", 1))
    assert ("phi double" in llvm) is branches
    agree(*both(text, np.arange(1.0, 8.0)))


def test_parts_and_views_share_memory_and_numbers_do_not():
    text = """def f(x, w, N):
    H = w.shape[1]
    T = samples_to_multiply(8*H, N)
    a = np.empty((H, T))
    b = np.zeros(T)
    y = x[2:T]
    z = y.T
    s = real(2)*a[0, 0] + b[1]
    w = np.asarray(w, np.float32)
    return z, s, w
"""
    found = sharing(ast.parse(text).body[0])
    assert found["z"] == found["y"] == found["x"] >= {"x", "y", "z"}
    assert {"a", "b", "s", "H", "T"}.isdisjoint(found)
    assert "x" not in found["w"]


def test_many_arrays_are_made_where_they_are_used_and_not_in_a_part_that_returns_them():
    count = RETURNED + 150
    made = "".join(f"    a{k} = np.empty(n)\n" for k in range(count))
    used = "".join(f"    for i in range(n):\n        a{k}[i] = {k}\n" for k in range(count))
    text = f"def f(n):\n{made}{used}    return a3[0] + a{count - 1}[1]\n"
    parts = outlined(ast.parse(text).body[0])
    assert len(parts) > 1
    returned = [part.node.body[-1].value for part in parts[:-1]]
    assert all(len(each.elts) <= RETURNED for each in returned if isinstance(each, ast.Tuple))
    assert build(HEAD + NJIT + text, "f", [Given("int64", 0)])(4) == 3.0 + count - 1


def test_whether_there_is_memory_is_asked_once_for_arrays_that_follow_one_another():
    """From each a way to what gives all back would be as many ways as arrays, for every one of these."""
    made = "".join(f"    a{k} = np.{'zeros' if k % 2 else 'empty'}(n + {k})\n" for k in range(20))
    text = f"{NJIT}def f(n):\n{made}    return a1[n] + a19[0] + n\n"
    function = llvm_of(text, SCALARS["int64"]).partition("@f.1(i64 %n.0)")[2]  # after that which Python calls
    assert function.count("label %exhausted") == 1
    f = build(HEAD + text, "f", [Given("int64", 0)])
    assert f(5) == 5.0
    for n in (2**45, 2**61 - 3, 2**62, -30):  # each of them, the last one, or none at all
        with pytest.raises(MemoryError):
            f(n)
    assert f(7) == 7.0


PICKED = """def f(table, label, other, more, x):
    y = np.zeros((label.shape[0], table.shape[1]))
    for n in range(label.shape[0]):
        {body}
    return y
"""
ROW = "; for j in range(table.shape[1]):; {indent}y[n, j] += table[{row}, j]"
# What a loop does, and what it asks for.
PICKS = {
    "a row that a label picks": ("k = label[n]" + ROW, ["fetch(table, label[min(n + 4, label.shape[0] - 1)])"]),
    "an unsigned one": ("k = np.uint64(label[n])" + ROW, ["fetch(table, label[min(n + 4, label.shape[0] - 1)])"]),
    "rows that the labels of a row pick": (
        "for i in range(more.shape[1]):;     k = more[n, i]" + ROW.replace("; ", ";     "),
        ["fetch(table, more[min(n + 4, label.shape[0] - 1), i])"],
    ),
    "a label that another picks": (
        "h = other[n]; k = label[h]" + ROW,
        ["fetch(table, label[other[min(n + 4, label.shape[0] - 1)]])"],
    ),
    "nothing that all steps read": ("k = label[0]" + ROW, []),
    "nothing in the order of the rows": ("k = n" + ROW, []),
    "nothing by a number that is computed on the way": ("other[n] = n//2; k = other[n]" + ROW, []),
    "nothing where vectors are to be made": ("k = label[n]; y[n, 0] += table[k, 0]", []),
    "nothing beyond the end": ("k = label[label.shape[0] - 1 - n]" + ROW, []),
    "nothing that is asked for": ("k = label[n]; fetch(table, label[n])" + ROW, ["fetch(table, label[n])"]),
}


def picking(name):
    lines = PICKS[name][0].replace("; ", "\n        ").format(indent="    ", row="k")
    return PICKED.format(body=lines)


@pytest.mark.parametrize("name", PICKS)
def test_rows_that_data_pick_are_asked_for_before_their_turn(name):
    function = ast.parse(picking(name)).body[0]
    ask_ahead(function)
    calls = [each for each in ast.walk(function) if isinstance(each, ast.Call) and spelled(each.func) == "fetch"]
    assert [ast.unparse(each) for each in calls] == PICKS[name][1]


@pytest.mark.parametrize("name", [name for name in PICKS if "is asked for" not in name])
@pytest.mark.parametrize("samples", [0, 1, 3, 9])
def test_asking_ahead_changes_no_result(name, samples):
    random = np.random.default_rng(samples)
    labels = [random.integers(0, samples, size=size) for size in (samples, samples, (samples, 2))] if samples else [
        np.zeros(size, np.int64) for size in (0, 0, (0, 2))
    ]  # fmt: skip
    agree(*both(NJIT + picking(name), random.normal(size=(samples, 5)), *labels, random.normal(size=samples)))


def test_the_loops_over_one_block_ask_once():
    text = """def f(table, label, y, size):
    for first in range(0, size, 8):
        part = label[first:first + 8]
        for n in range(8):
            k = part[n]
            for j in range(4):
                y[n, j] += table[k, j]
        for n in range(8):
            k = part[n]
            for j in range(4):
                y[n, j] += table[k, j]*y[k, j]
"""
    function = ast.parse(text).body[0]
    ask_ahead(function)
    calls = [ast.unparse(each) for each in ast.walk(function) if isinstance(each, ast.Call)]
    assert [c for c in calls if c.startswith("fetch")] == [
        "fetch(table, part[min(n + 4, 8 - 1)])",
        "fetch(y, part[min(n + 4, 8 - 1)])",
    ]


def test_nothing_is_asked_of_an_array_that_the_loop_makes():
    text = """def f(table, label, y):
    for first in range(0, 16, 8):
        part = table[first:first + 8]
        for n in range(8):
            k = label[n]
            for j in range(4):
                y[n] += part[k, j]
"""
    function = ast.parse(text).body[0]
    before = ast.unparse(function)
    ask_ahead(function)
    assert ast.unparse(function) == before


def test_what_a_compiled_model_looks_up_is_asked_for():
    text = "k: labels[N]\nU: parameter[A, 40]\nx: data[N]\nloss = Sum((Sum(U[k[n], d], d) - x[n])**2, n)"
    source = gc.compile(gc.parse(text)).source
    program = Program(source)
    types = [Array(SCALARS[name], rank) for name, rank in (("float64", 2), ("int64", 1), ("float64", 1))]
    made = "".join(each.text for each in program.modules("value_and_grad", types))
    assert f", {NEAR}\n" in made  # only of large tables
    assert "fetch" not in source
    assert made.count("call void @fetch") == 2  # of the table, and of its gradient


@pytest.mark.parametrize("size", [0, 2**10, 2**20])
def test_large_arrays_ask_for_large_pages_and_are_as_others(size, monkeypatch):
    text = HEAD + NJIT + "def f(n):\n    x = np.zeros(n)\n    return x\n"
    for platform in ("linux", "darwin"):  # Linux alone is asked
        monkeypatch.setattr(sys, "platform", platform)
        program = Program(text)
        [module] = [each.text for each in program.modules("f", [SCALARS["int64"]])]
        assert ("@madvise" in module) is (platform == "linux")
    monkeypatch.undo()
    found = build(text, "f", [Given("int64", 0)])(size)
    assert found.shape == (size,)
    assert not found.any()
    found += 1
    assert found.sum() == size
