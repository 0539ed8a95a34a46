"""Damaged files of every format: each is told, or read as another reader of the same bytes reads it."""

import csv
import gzip
import io
import math
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thetanet import open_source
from thetanet.data.formats.csv import csv_source
from thetanet.data.formats.idx import parse_idx, write_idx
from thetanet.data.formats.svmlight import svmlight_source
from thetanet.errors import DataFileError, InputError

ROWS, D_I = 60, 6
rng = np.random.default_rng(7)
X = rng.integers(1, 256, size=(ROWS, D_I), dtype=np.uint8)
Y = rng.integers(3, size=ROWS)


def everything(source):
    """Return X and y of all parts, as numbers in rows, or the error of ours that reading ends with."""
    pieces = list(source.iter_rows())
    if not pieces:
        return np.empty((0, 0)), np.empty(0)
    dense = [rows.X if isinstance(rows.X, np.ndarray) else rows.X.toarray() for rows in pieces]
    return np.concatenate(dense), np.concatenate([rows.y for rows in pieces])


# One to three edits of a file: what, where (as a share of its length, or within the header, where a change
# does most), how many bytes, and which.
PLACES = st.one_of(st.floats(0, 1, exclude_max=True), st.integers(0, 119))
PUT = st.one_of(
    st.binary(min_size=1, max_size=40), st.sampled_from([bytes([c]) for c in b'\r\n",:;#.e-0 \0\xff'])
)
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "put", "cut", "remove", "insert", "repeat"]), PLACES, st.integers(1, 39), PUT
    ),
    min_size=1,
    max_size=3,
)


def mutant(content, edits):
    """Change a file in one to three places."""
    data = bytearray(content)
    for what, place, n, put in edits:
        if not data:
            break
        at = min(place, len(data) - 1) if isinstance(place, int) else int(place * len(data))
        match what:
            case "flip":
                data[at] ^= 1 << n % 8
            case "put":
                data[at : at + 1] = put[:1]
            case "cut":
                del data[at:]
            case "remove":
                del data[at : at + n]
            case "insert":
                data[at:at] = put
            case "repeat":
                data[at:at] = data[at : at + n]
    return bytes(data)


class Npy:
    """X.npy is damaged, y.npy is not."""

    skip_bad = False

    def write(self, folder):
        np.save(folder / "X.npy", X)
        np.save(folder / "y.npy", Y)
        return folder / "X.npy"

    def open(self, path):
        return open_source(path.parent)

    def truth(self, content):
        array = np.load(io.BytesIO(content), allow_pickle=False)
        return array.reshape(len(array), -1), Y


class Npz(Npy):
    """Payload that was changed is told by nobody but a reader of the whole file."""

    def write(self, folder):
        np.savez(folder / "d.npz", X=X, y=Y)
        return folder / "d.npz"

    def open(self, path):
        return open_source(path)

    truth = None


class PackedNpz(Npz):
    """Compressed: the checksum tells."""

    def write(self, folder):
        np.savez_compressed(folder / "d.npz", X=X, y=Y)
        return folder / "d.npz"

    def truth(self, content):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return tuple(np.load(io.BytesIO(archive.read(f"{name}.npy"))) for name in "Xy")


class Idx(Npy):
    """The images are damaged, the labels are not."""

    name = "train-images-idx3-ubyte"

    def write(self, folder):
        write_idx(folder / self.name, X.reshape(ROWS, 2, 3), self.name.endswith("gz"))
        write_idx(folder / "train-labels-idx1-ubyte", Y.astype(np.uint8))
        return folder / self.name

    def open(self, path):
        return open_source(path.parent)

    def truth(self, content):
        array = parse_idx(io.BytesIO(content), "mutant")
        return array.reshape(len(array), -1), Y


class PackedIdx(Idx):
    """Compressed."""

    name = "train-images-idx3-ubyte.gz"


class Csv(Npy):
    """Compared with the parser of Python."""

    def write(self, folder):
        lines = [",".join([*(f"p{j}" for j in range(D_I)), "label"])]
        lines += [",".join(map(str, [*(row / 4).tolist(), label])) for row, label in zip(X, Y, strict=True)]
        (folder / "d.csv").write_text("\n".join(lines) + "\n")
        return folder / "d.csv"

    def open(self, path):
        return csv_source(path, target="label", piece=400, skip_bad=self.skip_bad)

    def truth(self, content):
        text = content.decode(errors="replace").removeprefix("\ufeff")
        first = text.split("\n", 1)[0]
        mark = max(",;\t|", key=first.count)
        lines = text.split("\n")
        whole = [line for line in lines if "\r" not in line.removesuffix("\r")]
        assert self.skip_bad or whole == lines
        header, *rows = csv.reader(whole, delimiter=mark)
        place = header.index("label")
        found, labels = [], []
        for row in rows:
            if row:
                values = self.values(row, len(header), place)
                if values is not None:
                    found.append(values)
                    labels.append(row[place])
        return np.array(found), np.array(labels)

    def values(self, row, width, place):
        """Return the inputs of a row; None for one that is to be left out."""
        try:
            assert len(row) == width
            assert row[place]  # no value is no label
            assert all(value.strip() == value.strip(" \t") for value in row)  # Python strips more
            assert not any("\ufffd" in value for value in row)  # what was no UTF-8
            values = [float(value) for value in row[:place] + row[place + 1 :]]
            assert all(map(math.isfinite, values))
        except (AssertionError, ValueError):
            assert self.skip_bad, row
            return None
        return values


class SkippingCsv(Csv):
    """Bad rows are left out, and all that is left is right."""

    skip_bad = True

    def values(self, row, width, place):
        values = super().values(row, width, place)
        if values is None:
            return None
        try:  # what the first rows have for labels, all others must have
            np.array([row[place]]).astype(self.labels)
        except ValueError:
            return None
        return values


class Parquet(Npy):
    """Compared with the reader of whole files."""

    checksums = False

    def write(self, folder):
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.table({**{f"p{j}": X[:, j] for j in range(D_I)}, "label": Y})
        pq.write_table(table, folder / "d.parquet", row_group_size=25, write_page_checksum=self.checksums)
        return folder / "d.parquet"

    def open(self, path):
        return open_source(path, "label")

    def truth(self, content):
        import pyarrow.parquet as pq

        frame = pq.ParquetFile(io.BytesIO(content)).read().to_pandas()
        return frame.drop(columns="label").to_numpy(), frame["label"].to_numpy()


class CheckedParquet(Parquet):
    """With checksums nothing that is read was changed."""

    checksums = True


class Svmlight(Npy):
    """Compared with scikit-learn on the whole file."""

    def write(self, folder):
        lines = [
            f"{label} " + " ".join(f"{j + 1}:{value}" for j, value in enumerate(row) if value > 60)
            for row, label in zip(X, Y, strict=True)
        ]
        (folder / "d.svm").write_text("\n".join(lines) + "\n")
        return folder / "d.svm"

    def open(self, path):
        return svmlight_source(path, piece=400, skip_bad=self.skip_bad)

    def truth(self, content):
        from sklearn.datasets import load_svmlight_file

        found, y = load_svmlight_file(io.BytesIO(content))
        return found, y


class SkippingSvmlight(Svmlight):
    """Bad lines are left out; what is left is read line by line to compare."""

    skip_bad = True
    truth = None


class Csr(Npy):
    """The indices of a sparse matrix in .npy files."""

    damaged = "X_indices.npy"

    def write(self, folder):
        from scipy import sparse

        from thetanet.data.convert import convert
        from thetanet.data.formats.arrays import array_source

        matrix = sparse.csr_matrix(np.where(X > 60, X, 0).astype(np.float64))
        convert(array_source(matrix, Y), folder / "csr")
        return folder / "csr" / self.damaged

    def open(self, path):
        return open_source(path.parent)

    truth = None


class CsrStarts(Csr):
    """Where the rows begin."""

    damaged = "X_indptr.npy"


class Images(Npy):
    """One of the images is damaged."""

    def write(self, folder):
        from PIL import Image

        for n in range(6):
            (folder / f"c{n % 2}").mkdir(exist_ok=True)
            Image.fromarray(X[n * 8 : n * 8 + 8].reshape(6, 8)).save(folder / f"c{n % 2}" / f"{n}.png")
        return folder / "c0" / "2.png"

    def open(self, path):
        return open_source(path.parent.parent)

    truth = None


FORMATS = [
    Npy, Npz, PackedNpz, Idx, PackedIdx, Csv, SkippingCsv, Parquet, CheckedParquet, Svmlight,
    SkippingSvmlight, Csr, CsrStarts, Images,
]  # fmt: skip


def check(form, path, damaged):
    """Read a damaged file: either an error of ours says so, or what is read is what another reader finds."""
    path.write_bytes(damaged)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*skipped, the first at")
            found, labels = everything(form.open(path))
    except (DataFileError, InputError):
        return False
    assert found.ndim == 2
    assert len(found) == len(labels)
    form.labels = labels.dtype
    if form.truth is not None:
        expected, y = form.truth(damaged)
        expected = expected if isinstance(expected, np.ndarray) else expected.toarray()
        if len(labels):
            np.testing.assert_array_equal(found, expected)
            assert labels.tolist() == y.astype(labels.dtype).tolist()
        else:
            assert not len(y)
    return True


def mutants(kind, folder, count):
    """Let hypothesis damage files; return how many were read in spite of it."""
    form, read = kind(), []
    path = form.write(folder)
    content = path.read_bytes()

    @settings(max_examples=count, deadline=None, derandomize=True, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(EDITS)
    def one(edits):
        read.append(check(form, path, mutant(content, edits)))

    one()
    assert len(read) >= count * 0.9  # fewer only where hypothesis ran out of different ones
    return sum(read) / len(read)


@pytest.mark.parametrize("kind", FORMATS)
def test_100_damaged_files(tmp_path, kind):
    assert mutants(kind, tmp_path, 100) < 0.95 or kind.skip_bad


@pytest.mark.soak
@pytest.mark.parametrize("kind", FORMATS)
def test_2000_damaged_files(tmp_path, kind):
    mutants(kind, tmp_path, 2000)


@pytest.mark.parametrize("kind", [Npy, Npz, PackedNpz, Idx, PackedIdx, Parquet, CheckedParquet, CsrStarts])
def test_a_file_that_was_cut_anywhere_is_told(tmp_path, kind):
    form = kind()
    path = form.write(tmp_path)
    content = path.read_bytes()
    for length in np.random.default_rng(0).integers(len(content), size=40).tolist():
        path.write_bytes(content[:length])
        with pytest.raises((DataFileError, InputError)):
            everything(form.open(path))


def test_with_checksums_no_change_of_the_numbers_goes_unseen(tmp_path):
    path = CheckedParquet().write(tmp_path)
    content = path.read_bytes()
    rng = np.random.default_rng(3)
    for _ in range(100):
        damaged = bytearray(content)
        damaged[int(rng.integers(4, len(content) // 2))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            found, labels = everything(open_source(path, "label"))
        except DataFileError:
            continue
        np.testing.assert_array_equal(found, X)
        np.testing.assert_array_equal(labels, Y)


def test_a_gzip_stream_that_expands_without_end_is_not_unpacked_for_ever(tmp_path):
    header = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2])
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + bytes(50_000_000)))
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.arange(2, dtype=np.uint8))
    with pytest.raises(DataFileError, match="more numbers"):
        open_source(tmp_path)
