"""Data files: every number exact, every mistake with its place, every row accounted for, no code from any file."""

import gzip
import io
import random
import struct
import zipfile
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from gradcompile.cli import columns, comma_separated, main
from gradcompile.cli.columns import Need
from gradcompile.cli.gathering import Growing, Room
from gradcompile.cli.parquet import ParquetTable
from gradcompile.errors import ArgumentError, DataError
from gradcompile.saving import arrays


def read(text, *wanted, name="t.csv", skip=False, delimiter=","):
    content = text.encode() if isinstance(text, str) else text
    reader = comma_separated.Reader(io.BytesIO(content), name, delimiter)
    return reader.read([reader.names.index(column) for column in wanted or reader.names], skip=skip)


# --- tables as text


@pytest.mark.parametrize("quoted", [False, True])
def test_every_number_is_the_nearest_float(quoted):
    random = np.random.default_rng(0)
    numbers = random.integers(0, 2**64, 2000, dtype=np.uint64).view(np.float64)
    numbers = np.append(
        numbers[np.isfinite(numbers)], [-15.361, 0.00000000000001953, 5e-324, 1.7976931348623157e308, 0.1]
    )
    lines = [f'"{x!r}"' if quoted else repr(float(x)) for x in numbers.tolist()]
    found = read("a\n" + "\n".join(lines) + "\n").numbers[:, 0]
    assert found.tobytes() == numbers.tobytes()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", ["", "\n", "\n\n\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_marks(end, last, mark):
    found = read(mark + ("a,b\n1,2\n3,4" + last).replace("\n", end), "a", "b")
    assert found.numbers.tolist() == [[1, 2], [3, 4]]
    assert found.rejected == 0


def test_wanted_columns_alone_are_read():
    found = read("name,a,when,b\nx,1,monday,2\ny,3,,4\n", "b", "a")
    assert found.numbers.tolist() == [[2, 1], [4, 3]]


def test_very_many_columns(monkeypatch):
    """Their names are not compared each with each, nor all with what is missing."""
    names, compared = [f"c{k}" for k in range(200_000)], []
    reader = comma_separated.Reader(io.BytesIO(",".join(names).encode() + b"\n"), "t.csv", ",")
    assert reader.names == names
    monkeypatch.setattr(columns, "get_close_matches", lambda word, those, count: compared.append(len(those)) or [])
    assert "200000 columns" in str(columns.missing(Need("x", 1), names, "t.csv"))
    assert max(compared) <= columns.MANY


def test_quotes_commas_and_lines_inside_of_quotes():
    text = 'name,a,"b ""x"""\n"one, two",1,"2"\n"a ""quoted""\nline",3,4\n'
    assert read(text, "a", 'b "x"').numbers.tolist() == [[1, 2], [3, 4]]


def test_spaces_and_signs_around_numbers():
    assert read("a,b\n 1 ,+2.\n\t-.5,1E+2\n").numbers.tolist() == [[1, 2], [-0.5, 100]]


BROKEN = [
    ("a,b\n1,2\n3\n", "3:2"),
    ("a,b\n1,2\n3,4,5\n", "3:4"),
    ("a,b\n1,\n", "2:3"),
    ("a,b\n1,2\n\n3,x\n", "4:3"),
    ('a,b\n"1",2\n"3,4\n', "3:"),
    ("a,b\n1,2\n3,1\x004\n", "3:3"),
    ("a,a\n1,2\n", "1:3"),
    ("1,2\n3,4\n", "1:1"),
]
NO_NUMBERS = "nan NaN inf -inf 1e999 -1e999 0x10 1_000 １２ 1.2.3 --1 1e 1;5 true ½".split()
BROKEN += [(f"a,b\n1,2\n3,{word}\n", "3:3") for word in [*NO_NUMBERS, "1 2", "'1'"]]


@pytest.mark.parametrize(("text", "place"), BROKEN)
def test_mistake_is_an_error_with_its_place(text, place):
    with pytest.raises(DataError) as caught:
        read(text)
    assert str(caught.value).startswith(f"t.csv:{place}")


@pytest.mark.parametrize("text", ["", "\n", "a,b\n", "a,b\n\n\n"])
def test_table_without_rows_is_an_error(text):
    with pytest.raises(DataError, match=r"t\.csv"):
        read(text)


def test_tiny_numbers_are_zero_and_no_error():
    assert read("a\n1e-999\n").numbers.tolist() == [[0.0]]


def test_rows_in_are_rows_used_and_rows_rejected():
    rows = ["1,2", "x,3", "4", "5,6", "7,nan", "8,9"]
    found = read("a,b\n" + "\n".join(rows) + "\n", skip=True)
    assert found.numbers.tolist() == [[1, 2], [5, 6], [8, 9]]
    assert len(found.numbers) + found.rejected == len(rows)
    assert [reason.split(": ")[0] for reason in found.reasons] == ["t.csv:3:1", "t.csv:4:2", "t.csv:6:3"]


def test_blocks_join_without_a_seam(monkeypatch):
    text = "a,b\n" + "".join(f"{k},{k}.5\n" for k in range(500))
    expected = [[k, k + 0.5] for k in range(500)]
    for size in (1, 7, 64, 1000):
        monkeypatch.setattr(comma_separated, "BLOCK", size)
        assert read(text).numbers.tolist() == expected
        with pytest.raises(DataError) as caught:
            read(text.replace("\n432,", "\n4x2,"))
        assert str(caught.value).startswith("t.csv:434:1")
        crlf = read(text.replace("\n", "\r\n"))
        assert crlf.numbers.tolist() == expected


def test_quoted_line_breaks_end_no_block(monkeypatch):
    text = "name,a\n" + "".join(f'"k\n{k}, ""x""\n",{k}\n5" pipe,{k}.5\n' for k in range(50))
    expected = [[half / 2] for k in range(50) for half in (2 * k, 2 * k + 1)]
    for size in (1, 7, 64, 1000):
        monkeypatch.setattr(comma_separated, "BLOCK", size)
        assert read(text, "a").numbers.tolist() == expected


def test_table_that_leaves_no_room_goes_on_in_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    room = Room(limit=1000)
    tables = [Growing(3, "float64", room), Growing(1, "int64", room)]
    parts = [np.arange(30.0).reshape(10, 3) + k for k in range(20)]
    for part in parts:
        tables[0].add(part)
        tables[1].add(part[:, :1])
    found = [table.array() for table in tables]
    np.testing.assert_array_equal(found[0], np.concatenate(parts))
    np.testing.assert_array_equal(found[1], np.concatenate(parts)[:, :1])
    assert not found[0].flags.writeable
    assert room.used <= room.limit
    assert not list(tmp_path.iterdir())  # the file has no name


def test_endless_line_is_refused(monkeypatch):
    monkeypatch.setattr(comma_separated, "BLOCK", 100)
    monkeypatch.setattr(comma_separated, "LONGEST", 1000)
    with pytest.raises(DataError, match="longer than"):
        read("a," * 10_000)


# --- which columns


def test_map_gives_columns_and_patterns():
    names = ["digit", "pixel_10", "pixel_2", "weight"]
    needs = [Need("x", 2), Need("gt", 1, True)]
    given = columns.mapping("x=pixel_*,weight, gt=digit")
    assert columns.choose(needs, names, given, "t.csv") == {"x": [1, 2, 3], "gt": [0]}


def test_numbered_columns_are_taken_in_the_order_of_their_numbers():
    names = ["x10", "x9", "t", "x8", "xx"]
    assert columns.choose([Need("x", 2), Need("t", 1)], names, {}, "t.csv") == {"x": [3, 1, 0], "t": [2]}


def test_gap_in_numbered_columns_is_an_error():
    with pytest.raises(ArgumentError, match="after 1"):
        columns.choose([Need("x", 2)], ["x0", "x1", "x3"], {}, "t.csv")


@pytest.mark.parametrize("text", ["pixel", "x=", "=a"])
def test_map_that_does_not_say_what_it_means_is_an_error(text):
    with pytest.raises(ArgumentError):
        columns.mapping(text)


@pytest.mark.parametrize(("text", "said"), [("t=tt", "did you mean t"), ("y=t", "y"), ("t=t,x0", "one column")])
def test_map_to_what_is_not_there_is_an_error(text, said):
    with pytest.raises(ArgumentError, match=said):
        columns.choose([Need("t", 1), Need("x", 2)], ["x0", "t"], columns.mapping(text), "t.csv")


# --- arrays


def saved(array, path):
    np.save(path, array)
    return path


def test_arrays_come_back_bit_for_bit(tmp_path):
    given = {
        "a": np.arange(6.0).reshape(2, 3),
        "b": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "c": np.float32(0.1),
    }
    path = tmp_path / "a.npz"
    path.write_bytes(arrays.packed(given))
    found = arrays.load_members(path)
    for name, array in given.items():
        assert found[name].tobytes() == np.asarray(array).tobytes()
        assert found[name].dtype == np.asarray(array).dtype
        np.testing.assert_array_equal(found[name], array)
    np.testing.assert_array_equal(arrays.load_array(saved(given["b"], tmp_path / "b.npy")), given["b"])


class Touch:
    def __reduce__(self):
        return (Path.touch, (Path("touched"),))


def test_pickles_are_never_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("evil.npy", np.array([Touch()], object), allow_pickle=True)
    np.savez("evil.npz", a=np.array([Touch()], object))
    with pytest.raises(DataError, match="numbers"):
        arrays.load_array(Path("evil.npy"))
    with pytest.raises(DataError, match="numbers"):
        arrays.load_members(Path("evil.npz"))
    assert not Path("touched").exists()


def header(text, version=(1, 0), length=None):
    packed = text.encode()
    told = struct.pack("<H" if version == (1, 0) else "<I", len(packed) if length is None else length)
    return b"\x93NUMPY" + bytes(version) + told + packed


LIES = {
    "huge header": header("{}", (2, 0), 0xFFFFFFF0),
    "header that overflows": header("{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 4)}\n"),
    "negative length": header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}\n") + b"\0" * 8,
    "length that is no number": header("{'descr': '<f8', 'fortran_order': False, 'shape': (True,)}\n") + b"\0" * 8,
    "too few bytes": header("{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}\n") + b"\0" * 8,
    "too many bytes": header("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}\n") + b"\0" * 9,
    "text": header("{'descr': '<U4', 'fortran_order': False, 'shape': (1,)}\n") + b"\0" * 16,
    "deep": header("(" * 5000 + ")" * 5000),
    "no dictionary": header("__import__('os').system('id')\n"),
    "another format": b"PK\x03\x04 and so on",
    "empty": b"",
    "cut": b"\x93NUM",
}


@pytest.mark.parametrize("name", LIES)
def test_header_that_lies_is_an_error(name, tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(LIES[name])
    with pytest.raises(DataError):
        arrays.load_array(path)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", LIES[name])
    with pytest.raises(DataError):
        arrays.load_members(tmp_path / "a.npz")


def test_bomb_is_refused_before_it_is_inflated(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "_memory", lambda: 1 << 20)
    np.savez_compressed(tmp_path / "bomb.npz", a=np.zeros(1 << 20))
    with pytest.raises(DataError, match="memory"):
        arrays.load_members(tmp_path / "bomb.npz")


def test_broken_archives_are_errors(tmp_path):
    whole = arrays.packed({"a": np.arange(1000.0)})
    path = tmp_path / "a.npz"
    random = np.random.default_rng(0)
    for _ in range(200):
        broken = bytearray(whole)
        broken[random.integers(len(broken))] ^= 1 << random.integers(8)
        path.write_bytes(broken)
        try:
            found = arrays.load_members(path)
        except DataError:
            continue
        assert all(array.tobytes() == np.arange(1000.0).tobytes() for array in found.values()), (
            "noticed by its checksum"
        )
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError):
            arrays.load_members(path)


# --- files that are none


@pytest.fixture
def strange(tmp_path, monkeypatch):
    """Return things that somebody may call data.csv, by what they are."""
    monkeypatch.chdir(tmp_path)
    made = {name: tmp_path / f"{name}.csv" for name in ("folder", "loop", "packed", "bytes", "empty", "dangling")}
    made["folder"].mkdir()
    made["loop"].symlink_to(made["loop"])
    made["dangling"].symlink_to("nowhere.csv")
    made["packed"].write_bytes(gzip.compress(b"x,t\n" + b"1,2\n" * 10**5))
    made["bytes"].write_bytes(random.Random(0).randbytes(10_000))
    made["empty"].touch()
    return made


@pytest.mark.parametrize("name", ["folder", "loop", "packed", "bytes", "empty", "dangling", "missing"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".npy", ".npz", ".parquet"])
def test_what_is_no_table_is_a_message(name, suffix, strange, capsys):
    path = strange.get(name, Path("missing.csv"))
    if suffix != ".csv" and path.is_symlink() | path.exists():
        path = path.rename(path.with_suffix(suffix)) if name != "loop" else path.with_suffix(suffix)
    words = ["train", "(w*x - t)**2", "--wrt", "w", "--data", str(path.with_suffix(suffix)), "-o", "w.npz"]
    assert main(words) == 2
    message = capsys.readouterr().err
    assert message.startswith("gradcompile: ")
    assert "Traceback" not in message
    assert not Path("w.npz").exists()


def test_damaged_parquet_is_a_message_or_a_table(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table({"x": np.arange(200.0), "t": np.arange(200)}), path)
    content, chance = path.read_bytes(), random.Random(0)
    for trial in range(200):
        broken = bytearray(content)
        for _ in range(chance.randrange(1, 4)):
            broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
        path.write_bytes(broken if trial % 4 else content[: chance.randrange(len(content))])
        try:
            table = ParquetTable(path)
            parts = list(table.parts(range(len(table.names))))
        except DataError:
            continue
        assert sum(map(len, parts)) > 0


@pytest.mark.parametrize("kind", ["texts", "lists", "dates", "missing"])
def test_parquet_columns_hold_numbers(kind, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    column = {"texts": ["a", "b"], "lists": [[1.0], [2.0]], "dates": np.array([1, 2], "M8[D]"), "missing": [1.0, None]}
    path = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table({"x": column[kind]}), path)
    with pytest.raises(DataError, match=r"x is missing in row 2|column x does not hold numbers"):
        list(ParquetTable(path).parts([0]))


def test_numbers_half_way_between_two_floats_are_rounded_as_the_standard_says():
    """Long decimals at, just below and just above the middle of two floats: where careless readers are wrong."""
    chance, numbers, expected = random.Random(1), [], []
    for _ in range(300):
        low = abs(struct.unpack("<d", chance.randbytes(8))[0])
        high = np.nextafter(low, np.inf)
        if not (1e-300 < low < 1e300 and np.isfinite(high)):
            continue
        middle = (Fraction(low) + Fraction(float(high))) / 2
        for shift in (-1, 0, 1):
            exact = middle * (1 + Fraction(shift, 10**40))
            with localcontext() as context:
                context.prec = 800
                numbers.append(f"{Decimal(exact.numerator) / Decimal(exact.denominator):e}")
            even = low if np.float64(low).view(np.uint64) % 2 == 0 else float(high)
            expected.append((low, even, float(high))[shift + 1])
    found = read("a\n" + "\n".join(numbers) + "\n").numbers[:, 0]
    assert found.tobytes() == np.array(expected).tobytes()
