"""The table of sources: every way to get samples, each as a class with its properties and its files.

A new format joins by one class and one row in `CASES`; `test_source_conformance.py` tests what any source
must do.
"""

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from thetanet import array_source, batches_source, open_source
from thetanet.data.alignment import align_source
from thetanet.data.convert import convert
from thetanet.data.formats.csr import csr_source
from thetanet.data.formats.csv import csv_source
from thetanet.data.formats.idx import idx_source, write_idx
from thetanet.data.formats.images import images_source
from thetanet.data.formats.npy import npy_source
from thetanet.data.formats.npz import npz_source
from thetanet.data.formats.parquet import parquet_source
from thetanet.data.formats.svmlight import svmlight_source
from thetanet.data.hold_out import hold_out
from thetanet.data.source import Rows, SampleSchema
from thetanet.data.survey import PartsSurvey

M, D_I = 400, 12
ROWS = 100  # of a part
NAMES = [f"p{j}" for j in range(D_I)]


def make_samples(seed=11):
    """Return M different rows of positive pixels, and labels that can be learnt from them."""
    X = np.random.default_rng(seed).integers(1, 256, size=(M, D_I), dtype=np.uint8)
    return X, (X[:, :4].astype(int).sum(axis=1) // 350).clip(0, 2)


class Files:
    """A format of files: `write` writes samples into a folder, `open` returns their source."""

    dtype = np.uint8  # of X as it is read
    sparse = False
    weights = True  # whether there may be sample weights
    texts = True  # whether labels may be texts
    named = False  # whether inputs have names
    ordered = True  # whether samples come in the order in which they were written
    complete = True  # whether all samples that were written come
    recognised = True  # whether a second source of the same files is known to be the same
    damage = None  # makes one sample in the files of a folder malformed, if `skip_bad` has a meaning
    derived = False  # whether `open_source` does not take its files
    needs = ()  # libraries

    def source(self, folder, X, y, weight=None):
        """Write samples, and open them."""
        for library in self.needs:
            pytest.importorskip(library)
        self.write(folder, X, y, weight)
        return self.open(folder)

    def write(self, folder, X, y, weight=None):
        raise NotImplementedError

    def open(self, folder, **options):
        """Return the source, in several parts."""
        raise NotImplementedError

    def path(self, folder):
        """Return what `open_source` takes for these files."""
        return folder


class Table(Files):
    """A table: one of its columns may hold weights."""

    named = True
    needs = ("pyarrow",)
    file = ""

    def columns(self, X, y, weight):
        return dict(zip(NAMES, X.T, strict=True)) | {"label": y} | ({} if weight is None else {"w": weight})

    def path(self, folder):
        return folder / self.file

    def open(self, folder, **options):
        if (folder / "weighted").exists():
            options["weight"] = "w"
        return self.open_table(folder / self.file, **options)

    def source(self, folder, X, y, weight=None):
        if weight is not None:
            (folder / "weighted").touch()
        return super().source(folder, X, y, weight)


class Parquet(Table):
    file = "d.parquet"

    def write(self, folder, X, y, weight=None):
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table(self.columns(X, y, weight)), folder / self.file, row_group_size=ROWS)

    def open_table(self, path, **options):
        return open_source(path, **options)

    def damage(self, folder):
        """Remove the value of one sample."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pq.read_table(folder / self.file).to_pydict()
        table["p3"][7] = None
        types = {name: pa.array(table[name], pa.uint8()) for name in NAMES}
        pq.write_table(pa.table({**types, "label": table["label"]}), folder / self.file, row_group_size=ROWS)


class ParquetBytes(Parquet):
    """All inputs of a sample are the bytes of one value."""

    named = False

    def columns(self, X, y, weight):
        columns = {"image": [row.tobytes() for row in X], "label": y}
        return columns | ({} if weight is None else {"w": weight})

    damage = None


class ParquetLists(ParquetBytes):
    """All inputs of a sample are a list."""

    def columns(self, X, y, weight):
        import pyarrow as pa

        lists = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), X.shape[1])
        return super().columns(X, y, weight) | {"image": lists}


class ParquetUnpacked(Parquet):
    """Row groups are too large for the memory, so the samples are unpacked into .npy files."""

    def open_table(self, path, **options):
        return parquet_source(path, max_group_bytes=500, **options)


class Csv(Table):
    file = "d.csv"
    dtype = np.float64

    def write(self, folder, X, y, weight=None):
        columns = self.columns(X, y, weight)
        rows = zip(*(values.tolist() for values in columns.values()), strict=True)
        lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
        (folder / self.file).write_text("\n".join(lines) + "\n")

    def open_table(self, path, **options):
        return csv_source(path, piece=3000, **options)

    def damage(self, folder):
        """Cut a line short."""
        lines = (folder / self.file).read_text().split("\n")
        lines[8] = "1,2"
        (folder / self.file).write_text("\n".join(lines))


class Svmlight(Files):
    dtype = np.float64
    sparse = True
    weights = texts = False

    def write(self, folder, X, y, weight=None):
        rows = [
            f"{label} " + " ".join(f"{j + 1}:{value}" for j, value in enumerate(x))
            for x, label in zip(X, y, strict=True)
        ]
        (folder / "d.svm").write_text("# a comment\n" + "\n".join(rows) + "\n")

    def open(self, folder, **options):
        return svmlight_source(folder / "d.svm", piece=3000, **options)

    def damage(self, folder):
        """Write a word where a number should be."""
        lines = (folder / "d.svm").read_text().split("\n")
        lines[8] = "1 1:x"
        (folder / "d.svm").write_text("\n".join(lines))


class Idx(Files):
    weights = texts = False
    suffix = ""

    def write(self, folder, X, y, weight=None):
        compress = bool(self.suffix)
        write_idx(folder / f"train-images-idx3-ubyte{self.suffix}", X.reshape(len(X), 3, 4), compress)
        write_idx(folder / f"train-labels-idx1-ubyte{self.suffix}", y.astype(np.int32), compress)

    def open(self, folder, **options):
        names = (f"train-{kind}-ubyte{self.suffix}" for kind in ("images-idx3", "labels-idx1"))
        return idx_source(*(folder / name for name in names), rows=ROWS, **options)


class IdxGzip(Idx):
    suffix = ".gz"


class Npy(Files):
    def arrays(self, X, y, weight):
        return {"X": X, "y": y} | ({} if weight is None else {"sample_weight": weight})

    def write(self, folder, X, y, weight=None):
        for name, array in self.arrays(X, y, weight).items():
            np.save(folder / f"{name}.npy", array)

    def open(self, folder, **options):
        weight = folder / "sample_weight.npy"
        weight = weight if weight.exists() else None
        return npy_source(folder / "X.npy", folder / "y.npy", weight, rows=ROWS, **options)


class Npz(Npy):
    def write(self, folder, X, y, weight=None):
        np.savez(folder / "d.npz", **self.arrays(X, y, weight))

    def open(self, folder, **options):
        return npz_source(folder / "d.npz", rows=ROWS, **options)

    def path(self, folder):
        return folder / "d.npz"


class NpzCompressed(Npz):
    def write(self, folder, X, y, weight=None):
        np.savez_compressed(folder / "d.npz", **self.arrays(X, y, weight))


class Csr(Files):
    """A CSR matrix in .npy files."""

    dtype = np.float64
    sparse = True

    def write(self, folder, X, y, weight=None):
        for path in folder.iterdir():
            path.unlink()
        convert(array_source(sparse.csr_matrix(X.astype(np.float64)), y, weight), folder)

    def open(self, folder, **options):
        return csr_source(folder, rows=ROWS, **options)


class Images(Files):
    """Images come in a random order that is always the same."""

    weights = ordered = False
    needs = ("PIL",)

    def write(self, folder, X, y, weight=None):
        from PIL import Image

        for n, (pixels, label) in enumerate(zip(X, y, strict=True)):
            (folder / str(label)).mkdir(exist_ok=True)
            Image.fromarray(pixels.reshape(3, 4)).save(folder / str(label) / f"{n:05}.png")

    def open(self, folder, **options):
        return images_source(folder, rows=ROWS, **options)

    def damage(self, folder):
        """Cut an image off."""
        path = sorted(folder.glob("*/*.png"))[8]
        path.write_bytes(path.read_bytes()[:40])


class Memory(Files):
    """Samples in memory, which have no fingerprint."""

    recognised = False
    rows = None

    def source(self, folder, X, y, weight=None):
        for library in self.needs:
            pytest.importorskip(library)
        return array_source(self.convert(X), y, weight, rows=self.rows)

    def convert(self, X):
        return X


class Frame(Memory):
    """A frame of pandas."""

    named = True
    needs = ("pandas",)

    def convert(self, X):
        import pandas as pd

        return pd.DataFrame(X, columns=NAMES)


class Sparse(Memory):
    dtype = np.float32
    sparse = True
    rows = ROWS

    def convert(self, X):
        return sparse.coo_matrix(X.astype(np.float32))


class ArrayParts(Memory):
    """Arrays in several parts."""

    rows = ROWS


class Batches(Memory):
    def source(self, folder, X, y, weight=None):
        arrays = (X, y) if weight is None else (X, y, weight)
        batches = (tuple(self.convert(a) for a in self.cut(arrays, low)) for low in range(0, len(X), 33))
        return batches_source(batches, rows=ROWS)

    def cut(self, arrays, low):
        return [array[low : low + 33] for array in arrays]


class SparseBatches(Batches):
    dtype = np.float64
    sparse = True

    def convert(self, X):
        return sparse.csr_matrix(X.astype(np.float64)) if X.ndim == 2 else X


class DaskArrays(Memory):
    weights = False
    needs = ("dask.array",)

    def source(self, folder, X, y, weight=None):
        da = pytest.importorskip("dask.array")
        from thetanet.data.formats.dask import dask_source

        return dask_source(da.from_array(X, (ROWS, D_I)), da.from_array(y, ROWS))


class DaskFrame(Memory):
    weights = False
    named = True
    needs = ("dask.dataframe", "pandas")

    def source(self, folder, X, y, weight=None):
        dd = pytest.importorskip("dask.dataframe")
        import pandas as pd

        from thetanet.data.formats.dask import dask_source

        frame = pd.DataFrame(X, columns=NAMES).assign(label=y)
        return dask_source(dd.from_pandas(frame, npartitions=4, sort=False), target="label")


class Invert:
    """A function of samples: the negative of images."""

    def __call__(self, rows):
        return rows._replace(X=255 - rows.X)

    def __repr__(self):
        return "Invert()"


class Mapped(Files):
    """A function of the samples of files."""

    derived = True
    inner = Npy()

    def source(self, folder, X, y, weight=None):
        return self.inner.source(folder, 255 - X, y, weight).map(Invert())

    def open(self, folder, **options):
        return self.inner.open(folder, **options).map(Invert())


class Reordered(Csv):
    """A table with its inputs in another order than that of the training data."""

    derived = True

    def columns(self, X, y, weight):
        columns = super().columns(X, y, weight)
        return dict(reversed(columns.items()))

    def open_table(self, path, **options):
        return align_source(super().open_table(path, **options), NAMES)

    damage = None


class HeldOut(Memory):
    """Samples that were held out of others."""

    complete = False

    def source(self, folder, X, y, weight=None):
        inner = array_source(X, y, weight, rows=ROWS)
        survey = PartsSurvey.begin(inner, SampleSchema.of(inner.read_head()))
        return hold_out(inner, survey, 0.8, seed=3)[1]


CASES = {
    "parquet": Parquet(),
    "parquet, bytes": ParquetBytes(),
    "parquet, lists": ParquetLists(),
    "parquet, unpacked": ParquetUnpacked(),
    "csv": Csv(),
    "svmlight": Svmlight(),
    "idx": Idx(),
    "idx, gzip": IdxGzip(),
    "npy": Npy(),
    "npz": Npz(),
    "npz, compressed": NpzCompressed(),
    "csr": Csr(),
    "images": Images(),
    "arrays": Memory(),
    "arrays in parts": ArrayParts(),
    "frame": Frame(),
    "sparse matrix": Sparse(),
    "batches": Batches(),
    "sparse batches": SparseBatches(),
    "dask arrays": DaskArrays(),
    "dask frame": DaskFrame(),
    "mapped": Mapped(),
    "reordered": Reordered(),
    "held out": HeldOut(),
}


def dense(X):
    """Return inputs as an array."""
    return X if isinstance(X, np.ndarray) else X.toarray()


def read_part(part) -> Rows:
    """Return the samples of a part, in whatever process this runs."""
    rows = part.read()
    return Rows(dense(rows.X), np.asarray(rows.y), rows.weight)


def folder_in(tmp_path: Path, name: str = "data") -> Path:
    """Return a new folder for the files of a source."""
    (tmp_path / name).mkdir(exist_ok=True)
    return tmp_path / name
