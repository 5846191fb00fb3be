"""The kernel cache: a second process compiles nothing, and nothing that is wrong with the files does any harm."""

import inspect
import os
import random
import subprocess
import sys
import textwrap
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from gradcompile import jit
from gradcompile.jit import directory as directory_module

ROOT = Path(__file__).parent.parent

KERNEL = textwrap.dedent(
    '''
    """A kernel, written by hand."""
    import math

    import numpy as np
    from numba import njit


    @njit(error_model="numpy")
    def _exp(x):
        return math.exp(x)


    @njit(error_model="numpy")
    def value_and_grad(w, x):
        total = 0.0
        dw = np.zeros(w.shape[0])
        for s in range(x.shape[0]):
            for j in range(w.shape[0]):
                total += _exp(w[j] * x[s, j])
                dw[j] += x[s, j] * _exp(w[j] * x[s, j])
        return total, (dw,)
    '''
).lstrip()
TYPES = [jit.Given("float64", 1), jit.Given("float64", 2)]
W, X = np.array([0.5, -1.0]), np.array([[1.0, 2.0], [3.0, -1.0], [0.25, 0.0]])
VALUE, DW = float(np.exp(W * X).sum()), (X * np.exp(W * X)).sum(axis=0)

# What another process does: load the kernel, check its answer, say how many functions it compiled and what it warned.
PROCESS = """
import sys, warnings
import numpy as np
from numba.core import event
from gradcompile import jit
from gradcompile.jit import Given
source, types, w, x, value, dw = eval(sys.stdin.read(), {"array": np.array, "Given": Given})  # what this test wrote
with event.install_recorder("numba:compile") as compiled, warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    for copy in range(2):
        module = jit.load(source + "#" * copy, compiled=True)
        jit.specialise(module.value_and_grad, types)
        got, (gradient,) = module.value_and_grad(w, x)
        assert abs(got - value) < 1e-12 * value, (got, value)
        assert np.allclose(gradient, dw, rtol=1e-12, atol=0), (gradient, dw)
starts = sum(e.is_start for _, e in compiled.buffer)
print(starts, sum(w.category is jit.CacheWarning for w in warned))
"""


def run(cache: str, **changed: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "GRADCOMPILE_CACHE": cache, "PYTHONPATH": str(ROOT), **changed}
    environment = {name: value for name, value in environment.items() if value is not None}
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(repr((KERNEL, TYPES, W, X, VALUE, DW.tolist())))
    process.stdin.close()
    process.stdin = None
    return process


def answer(process: subprocess.Popen[str]) -> tuple[int, int]:
    """Return how many functions a process compiled, and its warnings; fail if it did."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    compiled, warned = out.split()
    return int(compiled), int(warned)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache directory of the test's own, for a process that has loaded nothing yet."""
    path = tmp_path / "cache"
    monkeypatch.setenv("GRADCOMPILE_CACHE", str(path))
    monkeypatch.setattr("gradcompile.jit.loading._modules", {})
    monkeypatch.setattr(directory_module, "_warned", False)
    return path


def kernel(source=KERNEL):
    module = jit.load(source, compiled=True)
    jit.specialise(module.value_and_grad, TYPES)
    return module.value_and_grad


def check(function):
    value, (dw,) = function(W, X)
    assert value == pytest.approx(VALUE, rel=1e-12)
    np.testing.assert_allclose(dw, DW, rtol=1e-12)


def hits(function):
    return sum(function._cache_hits.values())


def fresh(source=KERNEL):
    """Load as a new process would."""
    from gradcompile.jit import loading

    loading._modules.clear()
    return kernel(source)


IMPORTED = """
import sys
import numpy as np
import gradcompile as gc
model = gc.compile(gc.parse("x: data[N]\\nw: parameter\\nloss = Sum(exp(w*x[n]), n)"))
model.wait()
value, _ = model.value_and_grad(x=[0.5, 1.0], w=2.0)
assert abs(value - 10.107337927389695) < 1e-12  # e + e**2
print("numba" in sys.modules)
text = "x: data[N, D]\\nW: parameter[D, H]\\ny[n, k] = Sum(x[n, d]*W[d, k], d)\\nloss = Sum(y[n, k]**2, n, k)"
model = gc.compile(gc.parse(text))
model.wait()
point = {"x": np.full((40, 30), 0.1), "W": np.full((30, 20), 0.1)}
value, _ = model.value_and_grad(**point)
assert abs(value - 800*0.3**2) < 1e-10
assert "gemm" in model.source
print("numba" in sys.modules, "scipy.linalg" in sys.modules)
import scipy.linalg.cython_blas
assert "dgemm" in scipy.linalg.cython_blas.__pyx_capi__
assert scipy.linalg.blas.dgemm(1.0, point["x"], point["W"]).shape == (40, 20)
assert model.value_and_grad(**point)[0] == value
"""


def test_kernels_need_no_numba_compiled_or_kept_and_products_one_file_of_scipy_linalg(tmp_path):
    environment = {**os.environ, "GRADCOMPILE_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", IMPORTED]
    said = [subprocess.run(command, env=environment, capture_output=True, text=True, check=True) for _ in range(2)]
    assert [each.stdout.split() for each in said] == [["False"] * 3] * 2


@pytest.mark.parametrize("count", [3, pytest.param(8, marks=pytest.mark.slow)])
def test_processes_at_once_are_all_right_and_one_more_compiles_nothing(count, tmp_path):
    cache = tmp_path / "cache"
    first, *others = [run(str(cache)) for _ in range(count)]
    first.kill()
    first.communicate()
    compiled, warned = zip(*map(answer, others), strict=True)
    assert max(compiled) >= 4  # two texts, each with a function and the one that it calls
    assert not any(warned)
    assert answer(run(str(cache))) == (0, 0)


def test_files_and_directory_are_private(cache):
    check(kernel())
    assert cache.stat().st_mode & 0o777 == 0o700
    names = sorted(cache.iterdir())
    assert {path.stat().st_mode & 0o777 for path in names} == {0o600}
    assert [path.suffix for path in names] == [".o", ".py"]


def test_source_and_traceback_show_the_file(cache):
    function = kernel()
    assert inspect.getsource(function.py_func) in KERNEL
    assert Path(inspect.getfile(function.py_func)).read_text() == KERNEL
    broken = jit.load("def f(x):\n    return 1 / x  # here\n", compiled=False)
    with pytest.raises(ZeroDivisionError) as caught:
        broken.f(0)
    assert "# here" in "".join(traceback.format_exception(caught.value))


def test_source_is_shown_without_a_file(cache):
    cache.write_text("not a directory")
    with pytest.warns(jit.CacheWarning, match="not a directory"):
        module = jit.load("def f(x):\n    return 1 / x  # here\n", compiled=False)
    assert inspect.getsource(module.f).endswith("# here\n")
    with pytest.raises(ZeroDivisionError) as caught:
        module.f(0)
    assert "# here" in "".join(traceback.format_exception(caught.value))


def test_same_text_is_one_module(cache):
    with ThreadPoolExecutor(8) as pool:
        modules = list(pool.map(lambda _: jit.load(KERNEL, compiled=True), range(16)))
    assert len(set(modules)) == 1


def test_read_only_and_writable_arrays_share_one_compilation(cache):
    function = kernel()
    x = X.copy()
    x.flags.writeable = False
    assert function(W, x)[0] == function(W, X)[0]
    assert len(function.signatures) == 1


def test_edited_source_is_put_aside_and_never_run(cache):
    kernel()
    (path,) = cache.glob("*.py")
    path.write_text("raise SystemExit('run by mistake')\n")
    check(fresh())
    assert path.read_text() == KERNEL


def test_changed_constant_of_the_same_length_and_time_is_seen(cache):
    first = jit.load("def f():\n    return 1\n", compiled=False)
    (path,) = cache.glob("*.py")
    facts = path.stat()
    path.write_text("def f():\n    return 3\n")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert jit.load("def f():\n    return 2\n", compiled=False).f() == 2
    assert first.f() == 1


@pytest.mark.one_in(2)
@pytest.mark.parametrize("suffix", [".o", ".py"])
@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b[:-1], lambda b: b + b"\0"])
def test_damaged_file_is_compiled_again(cache, suffix, damage):
    kernel()
    (path,) = cache.glob(f"*{suffix}")
    content = path.read_bytes()
    path.write_bytes(damage(content))
    function = fresh()
    check(function)
    assert hits(function) == (suffix == ".py")
    assert path.exists()
    function = fresh()
    assert hits(function) == 1
    assert Path(f"{path}.damaged").read_bytes() == damage(content)


def test_no_flipped_bit_is_ever_run(cache):
    """A thousand bits of the machine code, one after another: none is believed."""
    from gradcompile.jit.machine_code import MachineCode

    function = kernel()
    (path,) = cache.glob("*.o")
    content, (signature,) = path.read_bytes(), function.signatures
    store = function._cache
    assert isinstance(store, MachineCode)
    chance = random.Random(0)
    for _ in range(1000):
        place = chance.randrange(len(content))
        flipped = bytearray(content)
        flipped[place] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        assert store.load_overload(signature, function.targetctx) is None
    check(fresh())


def test_one_file_does_not_stand_in_for_another(cache):
    other = KERNEL.replace("total += _exp", "total -= _exp")
    kernel()
    (first,) = cache.glob("*.o")
    kernel(other)
    (second,) = set(cache.glob("*.o")) - {first}
    second.write_bytes(first.read_bytes())
    value, _ = fresh(other)(W, X)
    assert value == pytest.approx(-VALUE)


class Planted:
    """A pickle that leaves a mark when it is read."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


def plant(cache, mark):
    """Put a file with a right digest, as an attacker could who may write to the directory."""
    import pickle

    from gradcompile.jit.directory import PrivateDirectory

    (path,) = cache.glob("*.o")
    content = pickle.dumps(Planted(mark))
    PrivateDirectory(path.parent).write_signed(path.name, content)
    return path


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_planted_pickle_is_not_read_where_others_may_write(cache, tmp_path, mode):
    kernel()
    plant(cache, tmp_path / "mark")
    cache.chmod(mode)
    with pytest.warns(jit.CacheWarning, match="others may write"):
        check(fresh())
    assert not (tmp_path / "mark").exists()


def test_planted_file_is_not_read_where_others_may_write_to_it(cache, tmp_path):
    kernel()
    plant(cache, tmp_path / "mark").chmod(0o666)
    check(fresh())
    assert not (tmp_path / "mark").exists()


def test_planted_link_is_not_followed(cache, tmp_path):
    kernel()
    path = plant(cache, tmp_path / "mark")
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    check(fresh())
    assert not (tmp_path / "mark").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to give a directory away")
def test_directory_of_another_user_is_not_used(cache, tmp_path):
    kernel()
    plant(cache, tmp_path / "mark")
    os.chown(cache, 12345, 12345)
    with pytest.warns(jit.CacheWarning, match="belongs to somebody else"):
        check(fresh())
    assert not (tmp_path / "mark").exists()


def test_linked_directory_is_not_used(cache, tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    cache.symlink_to(tmp_path / "elsewhere")
    with pytest.warns(jit.CacheWarning, match="symbolic link"):
        check(kernel())
    assert not list((tmp_path / "elsewhere").iterdir())


def test_nothing_is_kept_without_a_home(cache, tmp_path, monkeypatch):
    for name in ("GRADCOMPILE_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.warns(jit.CacheWarning, match="no home directory"):
        check(kernel())
    monkeypatch.setenv("HOME", str(tmp_path / "missing"))
    assert jit.cache_directory() is None
    assert not (tmp_path / "missing").exists()


def test_location_follows_the_specification(tmp_path, monkeypatch):
    monkeypatch.delenv("GRADCOMPILE_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert jit.cache_directory().path == tmp_path / "xdg" / "gradcompile"
    for ignored in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert jit.cache_directory().path == tmp_path / ".cache" / "gradcompile"


def test_full_disk_leaves_nothing_behind_and_warns_once(cache, monkeypatch):
    jit.cache_directory()

    def full(*names):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(jit.CacheWarning, match="No space left") as told:
        functions = kernel(), fresh(KERNEL + "# another\n")
    for function in functions:
        check(function)
    assert len(told) == 1
    assert not list(cache.iterdir())


def test_folder_where_a_file_should_be_is_one_warning(cache):
    kernel()
    for path in list(cache.iterdir()):
        path.unlink()
        path.mkdir()
    with pytest.warns(jit.CacheWarning, match="cannot be written to"):
        check(fresh())


def test_disk_that_fills_up_during_compilation(cache, monkeypatch):
    module = jit.load(KERNEL, compiled=True)
    monkeypatch.setattr(os, "replace", lambda *names: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.warns(jit.CacheWarning, match="No space left"):
        jit.specialise(module.value_and_grad, TYPES)
    check(module.value_and_grad)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_read_only_directory(cache):
    cache.mkdir(mode=0o500)
    with pytest.warns(jit.CacheWarning, match="cannot be written to"):
        check(kernel())


def test_readable_cache_gives_no_warning(cache):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(kernel())
        check(fresh())


def test_oldest_entries_go_first(cache):
    directory = jit.cache_directory()
    for age, name in enumerate("abcdef"):
        for suffix in (".py", ".x.o"):
            directory.write(name + suffix, b"0" * 100)
            os.utime(cache / (name + suffix), (1e9 - age, 1e9 - age))
    directory.trim(keep="f", modules=3)
    assert {path.name[0] for path in cache.iterdir()} == {"a", "b", "f"}
    directory.trim(keep="f", size=450)
    assert {path.name[0] for path in cache.iterdir()} == {"a", "f"}


def test_files_of_dead_writers_are_removed(cache):
    directory = jit.cache_directory()
    for name, age in (("a.py.1.tmp", 7200), ("b.py.2.tmp", 10)):
        directory.write(name, b"half a fi")
        now = (cache / name).stat().st_mtime
        os.utime(cache / name, (now - age, now - age))
    directory.trim(keep="b")
    assert [path.name for path in cache.iterdir()] == ["b.py.2.tmp"]


def test_code_that_does_not_compile_is_our_own_error(cache):
    from gradcompile.errors import EmissionError

    module = jit.load("from numba import njit\n\n\n@njit\ndef f(x):\n    return x.missing\n", compiled=True)
    with pytest.raises(EmissionError, match="defect of gradcompile") as caught:
        jit.specialise(module.f, [jit.Given("float64", 0)])
    shown = "".join(traceback.format_exception(caught.value))
    assert "numba" not in shown.lower()


def test_what_only_compiled_code_calls_is_compiled_for_that_alone(cache):
    """Numba would optimise it twice, wrap it twice for Python and C, and keep it twice."""
    text = """
import numpy as np
from numba import njit


@njit
def short(x):
    return 2*x


@njit
def long(x):
    return short(x) + 1


@njit
def value(x):
    return long(x)
"""
    optimised = []
    from numba.core.codegen import CPUCodeLibrary

    with pytest.MonkeyPatch.context() as patch:
        whole = CPUCodeLibrary._optimize_final_module
        patch.setattr(CPUCodeLibrary, "_optimize_final_module", lambda it: (optimised.append(it.name), whole(it)))
        module = jit.load(text, compiled=True, inner=("long",), short=("short",))
        assert module.value(3.0) == 7.0
    assert [name for name in optimised if name in ("short", "long", "value")] == ["long", "value"]
    assert len(list(cache.glob("*.o"))) == 1
    for each in (module.short, module.long):
        assert each.targetoptions["no_cpython_wrapper"]
