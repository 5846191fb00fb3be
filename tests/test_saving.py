"""Saved models: they come back as they were, and a file that nobody vouches for does no harm."""

import copy
import io
import json
import os
import pickle
import random
import re
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from sympy import Lambda, Matrix, Pow, Symbol, exp, symbols

import gradcompile as gc
from gradcompile.compiler.specification import model_of
from gradcompile.errors import DataError, ShapeError, UnknownNameError
from gradcompile.model.parts import walk
from gradcompile.saving import archive, read
from gradcompile.saving.description import decoded, encoded
from gradcompile.saving.parameters import to_bytes as parameters_to_bytes
from tests.audit import Audit
from tests.zoo import ZOO

MODELS = sorted((Path(__file__).parent.parent / "examples" / "models").glob("*.model"))
SAMPLE = ("softmax", "gaussian_mixture", "matrix_factorisation", "huber", "kepler", "convolution", "negative_binomial")
LINE = """
x: data[N, D]
t: data[N]
w: parameter[D]
b: parameter
lam: constant = 0.5
y[s] = Sum(x[s, j]*w[j], j) + b
loss = Sum((y[s] - t[s])**2, s) + lam*Sum(w[j]**2, j)
"""
W, B, X = np.array([0.1, -3.0]), 0.7, np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]])


@pytest.fixture
def line(tmp_path):
    """Return a saved model with parameters."""
    path = tmp_path / "line.npz"
    gc.compile(gc.parse(LINE)).save(path, {"w": W, "b": B, "lam": 0.25})
    return path


def members(path):
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def write(path, content, *, digest=True, method=zipfile.ZIP_STORED):
    """Write members as they are, with the digest that they should have."""
    if digest:
        content = {name: part for name, part in content.items() if name != archive.DIGEST}
        content[archive.DIGEST] = archive.digest(content).encode()
    with zipfile.ZipFile(path, "w", method) as file:
        for name, part in content.items():
            file.writestr(name, part)
    return path


# What is saved comes back


@pytest.mark.parametrize("path", [path for path in MODELS if path.stem in SAMPLE], ids=lambda path: path.stem)
def test_shipped_model_comes_back_with_its_code(path, tmp_path):
    model = gc.compile(gc.load(path))
    model.save(tmp_path / "model.npz")
    loaded = gc.load_model(tmp_path / "model.npz")
    assert loaded.source == model.source
    assert loaded.listing == model.listing
    assert loaded.arguments == model.arguments
    loaded.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "model.npz").read_bytes()


@pytest.mark.one_in(2)
@pytest.mark.parametrize("row", [row for row in ZOO if "matrix" in row.forms], ids=lambda row: row.name)
def test_model_in_matrices_comes_back(row, tmp_path):
    form = row.forms["matrix"]
    model = gc.compile(form.objective, list(form.wrt), list(form.data), dict(form.define))
    model.save(tmp_path / "model.npz")
    assert gc.load_model(tmp_path / "model.npz").source == model.source


def test_trained_model_predicts_from_its_file(tmp_path):
    model = gc.compile(gc.parse(LINE), dtype="float32", strict=True)
    result = model.fit(x=X, t=X @ W + B, lam=0.0, epochs=3, progress=False)
    result.model.save(tmp_path / "line.npz")
    loaded = gc.load_model(tmp_path / "line.npz")
    assert loaded.model.dtype == "float32"
    assert loaded.model.strict
    np.testing.assert_array_equal(loaded.predict("y", x=X), result.model.predict("y", x=X))
    with np.load(tmp_path / "line.npz", allow_pickle=False) as arrays:  # NumPy reads it too
        np.testing.assert_array_equal(arrays["w"], result.params["w"])


def test_names_that_are_no_names_of_files(tmp_path):
    odd, evil = Symbol("../../x"), Symbol("x\nimport os")
    model = gc.compile(exp(odd) * evil, wrt=[odd, evil])
    model.save(tmp_path / "odd.npz", {"../../x": 1.5, "x\nimport os": -0.0})
    loaded = gc.load_model(tmp_path / "odd.npz")
    assert loaded.known == {"../../x": 1.5, "x\nimport os": 0.0}
    assert np.signbit(loaded.known["x\nimport os"])
    assert loaded.value() == 0.0
    assert not any("/" in name or "\n" in name for name in members(tmp_path / "odd.npz"))


@pytest.mark.slow
def test_model_that_is_too_deep_to_print_is_saved(tmp_path):
    x, y = symbols("x y")
    deep = x
    for k in range(100):
        deep = exp(-deep, evaluate=False) + y / (k + 1)
    model = gc.compile(deep, wrt=[x, y])
    with pytest.raises(RecursionError):
        str(deep)
    model.save(tmp_path / "deep.npz")
    assert gc.load_model(tmp_path / "deep.npz").value_and_grad(x=0.5, y=0.1) == model.value_and_grad(x=0.5, y=0.1)


def test_one_gradient_or_a_tuple_as_it_was(tmp_path):
    x, w = symbols("x w")
    gc.compile(exp(w * x), wrt=w).save(tmp_path / "one.npz")
    assert gc.load_model(tmp_path / "one.npz").grad(x=0.0, w=1.0) == 0.0


def test_existing_file_is_replaced_whole_and_a_link_is_not_followed(line, tmp_path):
    link = tmp_path / "link.npz"
    link.symlink_to(line)
    before = line.read_bytes()
    gc.compile(gc.parse("w: parameter\nloss = w**2")).save(link)
    assert line.read_bytes() == before
    assert not link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["line.npz", "link.npz"]


def test_full_disk_names_the_file_and_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    path.write_text("old")

    def full(*names):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: .*model\.npz"):
        gc.compile(Symbol("x") ** 2, wrt=Symbol("x")).save(path)
    assert [each.name for each in tmp_path.iterdir()] == ["model.npz"]
    assert path.read_text() == "old"


def test_array_that_the_model_does_not_have_is_not_saved(tmp_path):
    with pytest.raises(UnknownNameError, match="no argument 'v'"):
        gc.compile(gc.parse(LINE)).save(tmp_path / "no.npz", {"v": 1.0})


def test_text_of_a_loaded_model_says_why_there_is_none(line):
    with pytest.raises(DataError, match="a model from a file has no text"):
        print(gc.load_model(line).model.text)


# A file for another model


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (("D]", "2]"), r"w: parameter\[D\] in the file, parameter\[2\] here; x: data\[N, D\] in the file"),
        (("b: parameter", "b: constant"), "parameters: w, b in the file, w here; b: parameter in the file, constant"),
        (("**2, s)", "**4, s)"), "objective: loss = .*2, j. in the file, loss = .*4, s"),
        (("b\n", "c\n"), "b: parameter in the file, not there here"),
    ],
    ids=["size", "role", "objective", "name"],
)
def test_parameters_of_another_model_are_refused_with_what_differs(line, changed, said):
    text = LINE.replace(*changed).replace("b: parameter", "c: parameter" if changed[1] == "c\n" else "b: parameter")
    with pytest.raises(DataError, match=said):
        gc.load_params(line, gc.compile(gc.parse(text)))


def test_letters_comments_and_defaults_make_no_other_model(line):
    text = "# another\n" + re.sub(r"\bs\b", "r", LINE).replace("0.5", "0.75")
    found = gc.load_params(line, gc.compile(gc.parse(text)))
    assert found["lam"] == 0.25
    np.testing.assert_array_equal(found["w"], W)


def parameters(path, change=lambda comment: comment):
    """Write parameters alone, their comment changed."""
    saved = gc.compile(gc.parse(LINE)).saved({"w": W, "b": B})
    path.write_bytes(parameters_to_bytes(saved))
    with zipfile.ZipFile(path, "a") as file:
        file.comment = change(file.comment)
    return path


def test_parameters_alone_come_back(tmp_path):
    found = gc.load_params(parameters(tmp_path / "w.npz"), gc.compile(gc.parse(LINE)))
    assert found["b"] == B
    np.testing.assert_array_equal(found["w"], W)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.replace(b'"w":"w"', b'"w":"b"'),
        lambda c: c.replace(b'"sha256":"', b'"sha256":"0'),
        lambda c: c.replace(b"sha256", b"sha-256"),
        lambda c: c.replace(b'"inputs":{', b'"inputs":{"w":1,'),
        lambda c: c.replace(b'"arrays":{', b'"arrays":[{').replace(b'"},"sha256"', b'"}],"sha256"'),
        lambda c: c[:-1],
        lambda c: c[: len(b'{"gradcompile parameters":1,')] + b"[" * 60_000,
    ],
)
def test_comment_that_lies_is_an_error(change, tmp_path):
    with pytest.raises(DataError):
        gc.load_params(parameters(tmp_path / "w.npz", change), gc.compile(gc.parse(LINE)))


# A file that nobody vouches for


def test_nothing_is_run_when_a_file_is_read(line):
    read(line)
    with Audit() as audit:
        read(line)
    assert audit.events <= {"open"}


def test_no_flipped_bit_is_believed(line):
    content = line.read_bytes()
    chance = random.Random(0)
    same = read(line)
    for _ in range(300):
        flipped = bytearray(content)
        flipped[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        line.write_bytes(flipped)
        try:
            found = read(line)
        except DataError:
            continue
        # a time, an attribute or another field of the archive that says nothing of the content
        assert encoded(found.graph) == encoded(same.graph)
        assert all(np.array_equal(found.known[name], value) for name, value in same.known.items())


def with_array(path, array):
    """Put another array in the place of w, and the digest right."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return write(path, members(path) | {"w.npy": file.getvalue()})


def replaced(path, old, new):
    content = members(path)
    assert old in content["model.json"]
    return write(path, content | {"model.json": content["model.json"].replace(old, new, 1)})


class Planted:
    def __reduce__(self):
        return (Path.touch, (Path("planted"),))


HEADER = b"\x93NUMPY\x01\x00"
ATTACKS = {
    "pickle in an array": lambda p: with_array(p, np.array([Planted()], dtype=object)),
    "pickle for the model": lambda p: write(p, members(p) | {"model.json": pickle.dumps(Planted())}),
    "pickle for the file": lambda p: p.write_bytes(pickle.dumps(Planted())),
    "texts in an array": lambda p: with_array(p, np.array(["a", "b"])),
    "complex numbers": lambda p: with_array(p, np.array([1j, 2j])),
    "another rank": lambda p: with_array(p, np.zeros((2, 2))),
    "a header that lies": lambda p: write(p, members(p) | {"w.npy": HEADER + struct.pack("<H", 60000) + b"x" * 100}),
    "a header beyond the file": lambda p: write(p, members(p) | {"w.npy": b"\x93NUMPY\x02\x00\xf0\xff\xff\xff"}),
    "trailing bytes": lambda p: write(p, members(p) | {"w.npy": members(p)["w.npy"] + b"\0" * 8}),
    "a missing array": lambda p: write(p, {k: v for k, v in members(p).items() if k != "w.npy"}),
    "a missing model": lambda p: write(p, {k: v for k, v in members(p).items() if k != "model.json"}),
    "a missing digest": lambda p: write(p, {k: v for k, v in members(p).items() if k != "sha256"}, digest=False),
    "another digest": lambda p: write(p, members(p) | {"sha256": b"0" * 64}, digest=False),
    "one array changed": lambda p: write(p, members(p) | {"b.npy": members(p)["w.npy"]}, digest=False),
    "a key twice": lambda p: replaced(p, b'"strict"', b'"single":false,"strict"'),
    "a number that is none": lambda p: replaced(p, b"0.5", b"NaN"),
    "a long number": lambda p: replaced(p, b"0.5", b"9" * 5000),
    "deep nesting": lambda p: write(p, members(p) | {"model.json": b"[" * 10**6}),
    "no mapping": lambda p: write(p, members(p) | {"model.json": b"[1,2,3]"}),
    "another format": lambda p: replaced(p, b'"format":1', b'"format":2'),
    "an unknown field": lambda p: replaced(p, b'"format":1', b'"format":1,"code":"import os"'),
    "an unknown operation": lambda p: replaced(p, b'["mul"', b'["os.system"'),
    "an operand of the future": lambda p: replaced(p, b'["mul",[', b'["mul",[9999,'),
    "a negative operand": lambda p: replaced(p, b'["mul",[', b'["mul",[-1,'),
    "an axis too many": lambda p: replaced(p, b'["input",[],[', b'["input",[],[[[0,["N",1]],0],'),
    "text": lambda p: p.write_text("w: parameter\nloss = w**2\n"),
    "nothing": lambda p: p.write_bytes(b""),
    "half of it": lambda p: p.write_bytes(p.read_bytes()[: len(p.read_bytes()) // 2]),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_broken_file_is_an_error_and_nothing_is_run(attack, line, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    attack(line)
    with Audit() as audit, pytest.raises(DataError) as caught:
        read(line)
    assert audit.events <= {"open"}
    assert not Path("planted").exists()
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("member", ["w.npy", "model.json"])
def test_bomb_is_refused_before_it_is_inflated(member, line):
    write(line, members(line) | {member: bytes(2**27)}, digest=False, method=zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="packed"):
            read(line)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_two_members_of_one_name_are_refused(line):
    with zipfile.ZipFile(line, "a") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.writestr("w.npy", b"")
    with pytest.raises(DataError, match="two members of one name"):
        read(line)


WINDOW = "x: data[N]\nw: parameter[K]\ny[i] = Sum(w[k]*x[i + k], k)\nloss = Sum(y[i]**2, i, 0, 4)"


def test_what_a_file_says_of_sizes_is_not_believed():
    """Kernels look at no index: a file that forgets what its indices require must not make them leave their arrays."""
    described = encoded(gc.compile(gc.parse(WINDOW)).saved().graph)
    assert len(decoded(described).requirements) == len(described["requirements"]) == 2  # and found again are none
    described["requirements"] = []
    model = gc.CompiledModel(archive.Saved(decoded(described)))
    assert model.value(x=np.ones(6), w=np.ones(2)) == 20.0
    with pytest.raises(ShapeError, match="exceeds its axis"):
        model.value(x=np.ones(5), w=np.ones(2))
    assert model.predict("y", x=np.ones(5), w=np.ones(2)).tolist() == [2.0] * 4
    with pytest.raises(ShapeError, match="must not be negative"):
        model.predict("y", x=np.ones(2), w=np.ones(4))


@pytest.mark.parametrize(
    ("field", "content", "words"),
    [
        ("outputs", {"value": 0, "y": 0}, "'value' has other axes"),
        ("axes", {"value": [], "y": []}, "'y' has other axes"),
        ("wrt", [], "it does not name the parameters"),
        ("wrt", ["w", "w"], "it does not name the parameters"),
        ("requirements", [[[0, ["M", 1]], "there are too few"]], "no array tells the size 'M'"),
    ],
)
def test_fields_that_do_not_fit_the_operations_are_an_error(field, content, words):
    described = encoded(gc.compile(gc.parse(WINDOW)).saved().graph)
    described[field] = content
    with pytest.raises(DataError, match=words):
        decoded(described)


@pytest.mark.parametrize("sample", [[[0, ["M", 1]], 0], [[0, ["D", 1]], 0], [[0, ["N", 1]], 1], None])
def test_samples_are_found_again(sample):
    described = encoded(gc.compile(gc.parse(LINE)).saved().graph) | {"sample": sample}
    model = gc.CompiledModel(archive.Saved(decoded(described)))
    given = {"x": X, "t": np.ones(3), "w": W, "b": B, "lam": 0.5}
    found, expected = (
        model.minibatch_grad(rows=[2, 0], **given),
        gc.compile(gc.parse(LINE)).minibatch_grad(rows=[2, 0], **given),
    )
    assert [each.tolist() for each in map(np.asarray, found)] == [each.tolist() for each in map(np.asarray, expected)]
    assert model.fit(x=X, t=np.ones(3), batch_size=2, epochs=1, progress=False).stopped == "finished"


ATOMS = (
    None,
    True,
    -1,
    0,
    1,
    2**70,
    0.5,
    "",
    "N",
    "value",
    "exp",
    "input",
    "\x00",
    [],
    [[]],
    {},
    {"N": 1},
    [1, 2],
    "pi",
)


def mutate(content, chance):
    """Put something else in the place of one part of a description."""
    part = content
    while True:
        keys = list(part) if isinstance(part, dict) else range(len(part))
        key = chance.choice(list(keys))
        inner = part[key]
        if isinstance(inner, (list, dict)) and inner and chance.random() < 0.85:
            part = inner
            continue
        if isinstance(inner, int) and chance.random() < 0.5:
            part[key] = inner + chance.choice([-2, -1, 1, 2])
        elif isinstance(part, list) and chance.random() < 0.2:
            del part[key]
        else:
            part[key] = copy.deepcopy(chance.choice(ATOMS))
        return content


def mutations(count, seed):
    """Read descriptions that were mutated; return how many are graphs all the same."""
    chance = random.Random(seed)
    models = (gc.compile(gc.load(path)) for path in MODELS if path.stem in SAMPLE[:3])
    texts = [json.dumps(encoded(model.saved().graph)) for model in models]
    graphs = 0
    for _ in range(count):
        content = mutate(json.loads(chance.choice(texts)), chance)
        try:
            graph = decoded(content)
        except DataError:
            continue
        graphs += 1
        assert decoded(encoded(graph)).wrt == graph.wrt
    return graphs


def test_mutated_description_is_a_graph_or_an_error():
    assert 5 < mutations(500, seed=1) < 400


@pytest.mark.slow
def test_much_mutated_description_is_a_graph_or_an_error():
    mutations(20_000, seed=2)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_models_can_be_sent_to_other_processes(copied, tmp_path):
    text = "x: data[N]\nw: parameter\nc: constant = 2\ny[s] = w*x[s]\nloss = Sum((y[s] - 1)**2, s)*c"
    model = gc.compile(gc.parse(text), dtype="float32")
    model.save(tmp_path / "model.npz")
    trained = model.fit(x=[1.0, 2.0], init={"w": 0.5}, epochs=2, progress=False)
    for each in (model, gc.load_model(tmp_path / "model.npz")):
        again = copied(each)
        assert again.dtype == "float32"
        assert again.arguments == model.arguments
        assert again.value_and_grad(w=0.5, x=[1.0, 2.0]) == model.value_and_grad(w=0.5, x=[1.0, 2.0])
    result = copied(trained)
    assert result.params == trained.params
    assert [epoch.rate for epoch in result.history] == [epoch.rate for epoch in trained.history]
    assert result.model.predict("y", x=[3.0]) == trained.model.predict("y", x=[3.0])


def arrived(model):
    return pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_typed_model_arrives_in_another_process_as_it_is(path):
    """SymPy would write x + y - 11 as -11 + x + y, and move pieces out of sums."""
    model = gc.load(path)
    assert arrived(model) == model
    assert arrived(model).text == model.text
    assert arrived(model).source == model.source
    assert copy.deepcopy(model) is model


@pytest.mark.one_in(3)
@pytest.mark.parametrize("row", ZOO, ids=lambda row: row.name)
def test_model_in_sympy_arrives_in_another_process_as_it_is(row):
    for form in row.forms.values():
        model = model_of(form.objective, list(form.wrt), list(form.data), form.define, None)
        assert arrived(model) == model


@pytest.mark.parametrize("objective", [[Symbol("x") ** 2, Symbol("x")], Matrix([[Symbol("x"), Symbol("x") ** 2]])])
def test_objectives_that_are_arrays_arrive(objective):
    model = model_of(objective, Symbol("x"), (), None, {"y": Lambda((Symbol("i"),), Symbol("x"))})
    assert arrived(model) == model


def test_deeply_nested_model_arrives():
    formula = Symbol("x")
    for _ in range(5000):
        formula = Pow(formula, 2, evaluate=False)
    model = arrived(model_of(formula, Symbol("x"), (), None, None))
    assert model.objective.func is Pow
    assert sum(1 for _ in walk([model.objective])) == 5002  # with x and 2
