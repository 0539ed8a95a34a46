import gzip
import os
import struct
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from thetanet.data.formats.idx import read_idx, read_idx_directory, write_idx
from thetanet.errors import DataFileError, InputError

DTYPES = ["uint8", "int8", "int16", "int32", "float32", "float64"]
arrays = hnp.arrays(st.sampled_from(DTYPES), hnp.array_shapes(min_dims=1, max_dims=5, min_side=1, max_side=4))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("idx") / "file"


def header(code, *shape):
    return bytes([0, 0, code, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


@pytest.mark.parametrize(
    ("code", "layout", "dtype"),
    [(8, "B", "u1"), (9, "b", "i1"), (11, "h", "i2"), (12, "i", "i4"), (13, "f", "f4"), (14, "d", "f8")],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_reads_every_type_most_significant_byte_first(file, code, layout, dtype, pack):
    values = [0, 1, 2, 3, 100, 101] if layout == "B" else [0, -1, 2, -3, 100, -101]
    file.write_bytes(pack(header(code, 2, 3) + struct.pack(f">6{layout}", *values)))
    array = read_idx(file)
    assert array.dtype == np.dtype(dtype)
    assert array.dtype.isnative
    assert array.tolist() == [values[:3], values[3:]]
    array += 1  # the memory is the reader's own
    assert array[0, 0] == 1


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(arrays, st.booleans(), st.sampled_from("<>"))
def test_round_trip_to_the_bit(file, array, compress, order):
    write_idx(file, array.astype(array.dtype.newbyteorder(order)), compress)
    assert (file.read_bytes()[:2] == b"\x1f\x8b") is compress
    back = read_idx(file)
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()  # NaN payloads and -0.0 too


def test_writes_arrays_that_are_not_contiguous(file):
    array = np.arange(24, dtype=np.int16).reshape(4, 6)[::2, ::-1].T
    write_idx(file, array)
    assert np.array_equal(read_idx(file), array)


def test_same_array_gives_same_bytes(tmp_path):
    array = np.arange(1000, dtype=np.int32)
    for name in ("a.gz", "b.gz"):
        write_idx(tmp_path / name, array, compress=True)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    assert (tmp_path / "a.gz").read_bytes()[4:8] == bytes(4)  # no time stamp


def test_reads_a_gzip_file_of_several_members(file):
    content = header(8, 10) + bytes(range(10))
    file.write_bytes(gzip.compress(content[:5]) + gzip.compress(b"") + gzip.compress(content[5:]))
    assert read_idx(file).tolist() == list(range(10))


def test_a_body_larger_than_the_first_guess_grows(file):
    # 6 MB of zeros shrink to 6 kB: the array has to grow several times while it is read.
    array = np.zeros(6_000_000, np.uint8)
    array[-1] = 7
    write_idx(file, array, compress=True)
    assert file.stat().st_size < 10_000
    assert np.array_equal(read_idx(file), array)


good = header(8, 4) + b"abcd"
packed = gzip.compress(good, mtime=0)
BAD = {
    "empty": (b"", "empty"),
    "three bytes": (b"\0\0\x08", "IDX starts with"),
    "text": (b"hello, world", "68 65 6c 6c"),
    "unknown type 0a": (header(0x0A, 4) + b"abcd", "00 00 0a 01"),
    "no dimension": (header(8) + b"a", "0 dimensions"),
    "255 dimensions": (header(8, *[1] * 255) + b"a", "255 dimensions"),
    "header cut": (header(8, 4, 4)[:-2], "within the header"),
    "no samples": (header(8, 0, 28, 28), "no samples"),
    "no pixels": (header(8, 5, 0), "no samples"),
    "body cut": (good[:-1], "truncated"),
    "no body": (header(8, 4), "truncated"),
    "bytes left over": (good + b"e", "left over"),
    "2**31 images": (header(8, 2**31, 28, 28) + bytes(100), "cannot hold more than 100"),
    "product over 2**64": (header(14, *[2**32 - 1] * 60) + bytes(100), "truncated"),
    "gzip, nothing inside": (gzip.compress(b""), "empty"),
    "gzip, header only": (gzip.compress(b"")[:5], "truncated"),
    "gzip, magic only": (b"\x1f\x8b", "truncated"),
    "gzip cut": (packed[:-9], "truncated"),
    "gzip without its last byte": (packed[:-1], "truncated"),
    "gzip, wrong checksum": (packed[:-8] + b"\0\0\0\0" + packed[-4:], "corrupt"),
    "gzip, wrong length": (packed[:-4] + b"\0\0\0\1", "corrupt"),
    "gzip, garbage behind": (packed + b"garbage", "corrupt"),
    "gzip, zero bytes behind": (packed + bytes(512), "corrupt"),
    "gzip, one byte behind": (packed + b"\x1f", "truncated"),
    "gzip, body cut": (gzip.compress(good[:-1]), "truncated"),
    "gzip, bytes left over": (gzip.compress(good + b"e"), "left over"),
    "gzip, left over in a second member": (packed + gzip.compress(b"e"), "left over"),
    "gzip, 2**31 images": (gzip.compress(header(8, 2**31, 28, 28) + bytes(100)), "truncated"),
    "gzip in gzip": (gzip.compress(packed), "1f 8b"),
}


@pytest.mark.parametrize("name", BAD)
def test_malformed_files_are_named_and_explained(file, name):
    content, expected = BAD[name]
    file.write_bytes(content)
    with pytest.raises(DataFileError) as caught:
        read_idx(file)
    assert str(file) in str(caught.value)
    assert expected in str(caught.value)


def test_paths_that_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, expected in [
        (tmp_path, "not a regular file"),
        (tmp_path / "pipe", "not a regular file"),
        (tmp_path / "absent", "no such file"),
        (tmp_path / ("x" * 300), "cannot be read"),
        ("nul\0byte", "not a usable path"),
    ]:
        with pytest.raises(DataFileError, match=expected):
            read_idx(path)


def test_a_gzip_bomb_is_not_inflated(file):
    # 200 MB of zeros behind a header that announces 100 bytes, and headers that announce more than ever
    # comes: more than could come, and as much as could.
    bomb = gzip.compress(header(8, 100) + bytes(200_000_000), 6)
    assert len(bomb) < 250_000
    announced = header(8, 200_000_000)
    noise = np.random.default_rng(0).bytes(250_000)
    for content in (bomb, gzip.compress(announced + bytes(1_000_000)), gzip.compress(announced + noise)):
        file.write_bytes(content)
        tracemalloc.start()
        try:
            with pytest.raises(DataFileError):
                read_idx(file)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 8_000_000


def test_hostile_files_cost_a_process_little_memory(tmp_path):
    # What tracemalloc cannot see (inside zlib, say), the operating system does.
    resource = pytest.importorskip("resource")
    del resource
    (tmp_path / "0").write_bytes(gzip.compress(header(8, 100) + bytes(200_000_000), 1))
    for i, (content, _) in enumerate(BAD.values(), 1):
        (tmp_path / str(i)).write_bytes(content)
    script = """
import resource, sys
from thetanet.data.formats.idx import read_idx
from thetanet.errors import DataFileError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
failures = 0
for path in sys.argv[1:]:
    try:
        read_idx(path)
    except DataFileError:
        failures += 1
print(failures, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    paths = [str(tmp_path / str(i)) for i in range(len(BAD) + 1)]
    run = subprocess.run([sys.executable, "-c", script, *paths], capture_output=True, text=True, check=True)
    failures, growth = map(int, run.stdout.split())
    assert failures == len(paths)
    assert growth < 64 * 1024  # kilobytes


@pytest.mark.parametrize(
    "array",
    [np.zeros(3, np.int64), np.zeros(3, bool), np.array(["a"]), np.uint8(1), np.zeros((2, 0), np.uint8)],
)
def test_arrays_that_idx_cannot_hold(file, array):
    with pytest.raises(InputError, match="IDX"):
        write_idx(file, array)


def test_a_file_that_cannot_be_written(tmp_path):
    with pytest.raises(DataFileError, match="cannot be written"):
        write_idx(tmp_path / "absent" / "file", np.zeros(3, np.uint8))


def fill(folder, names, train=(6, 2, 3), labels=6, test=(4, 2, 3), dtype=np.uint8):
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, train).astype(dtype), rng.integers(0, 10, labels, np.uint8)
    T, t = rng.integers(0, 256, test).astype(dtype), rng.integers(0, 10, test[0], np.uint8)
    for name, array in zip(names, (X, y, T, t), strict=False):
        write_idx(folder / name, array, compress=name.endswith(".gz"))
    return X, y, T, t


NAMES = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
]


@pytest.mark.parametrize(
    "names", [NAMES, [n + ".gz" for n in NAMES], [n.replace("-idx", ".idx") for n in NAMES]]
)
def test_reads_a_folder_laid_out_as_mnist(tmp_path, names):
    X, y, T, t = fill(tmp_path, names)
    for got, expected in zip(
        read_idx_directory(tmp_path), (X.reshape(6, 6), y, T.reshape(4, 6), t), strict=True
    ):
        assert got.dtype == np.uint8
        assert np.array_equal(got, expected)


def test_a_folder_may_lack_the_test_files(tmp_path):
    X, y, _, _ = fill(tmp_path, NAMES[:2])
    X_train, y_train, X_test, y_test = read_idx_directory(str(tmp_path))
    assert np.array_equal(X_train, X.reshape(6, 6))
    assert np.array_equal(y_train, y)
    assert X_test is None
    assert y_test is None


def test_the_uncompressed_file_goes_first(tmp_path):
    fill(tmp_path, NAMES)
    (tmp_path / (NAMES[0] + ".gz")).write_bytes(b"not read")
    assert read_idx_directory(tmp_path)[0].shape == (6, 6)


@pytest.mark.parametrize(
    ("names", "shapes", "expected"),
    [
        ([], {}, "no train-images"),
        (NAMES[:1], {}, "labels is missing"),
        (["x", NAMES[1]], {}, "images is missing"),
        (NAMES[:3], {}, "labels is missing"),
        (NAMES, {"labels": 5}, "6 images.* 5 labels"),
        (NAMES, {"labels": (6, 1)}, "one dimension"),
        (NAMES, {"train": (6,)}, "at least 2 dimensions"),
        (NAMES, {"dtype": np.int32}, "uint8"),
        (NAMES, {"test": (4, 2, 4)}, "6 pixels, test images 8"),
    ],
)
def test_folders_that_do_not_fit(tmp_path, names, shapes, expected):
    fill(tmp_path, names, **shapes)
    with pytest.raises(DataFileError, match=expected):
        read_idx_directory(tmp_path)


def test_labels_must_be_whole_numbers(tmp_path):
    fill(tmp_path, NAMES)
    write_idx(tmp_path / NAMES[1], np.zeros(6, np.float32))
    with pytest.raises(DataFileError, match="whole numbers"):
        read_idx_directory(tmp_path)
