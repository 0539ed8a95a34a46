"""How fast each format is read: 100,000 samples of 784 uint8 inputs (MNIST's test images, ten times).

    python benchmarks/formats.py [ROWS]

Files are in the page cache: what is measured is reading and decoding, not the disk. Rates are samples in a second of
processor time (so that others on the machine do not count), the median of three passes. "open" is what is done once:
finding the parts, or unpacking what can only be read from its beginning.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from PIL import Image

from thetanet import batches_source, load_mnist, open_source
from thetanet.data.convert import convert
from thetanet.data.formats.idx import write_idx

IMAGES = 20_000  # fewer of these: each is a file


def write(folder: Path, X, y) -> dict[str, object]:
    """Write the samples in every format; return how each is opened."""
    ways = {}

    def at(name: str) -> Path:
        (folder / name).mkdir()
        return folder / name

    where = at("npy")
    np.save(where / "X.npy", X)
    np.save(where / "y.npy", y)
    ways[".npy"] = where, lambda: open_source(folder / "npy")
    where = at("npz")
    np.savez(where / "d.npz", X=X, y=y)
    ways[".npz"] = where, lambda: open_source(folder / "npz" / "d.npz")
    where = at("packed")
    np.savez_compressed(where / "d.npz", X=X, y=y)
    ways[".npz, compressed"] = where, lambda: open_source(folder / "packed" / "d.npz")
    for name, gz in (("idx", ""), ("idxgz", ".gz")):
        where = at(name)
        write_idx(where / f"train-images-idx3-ubyte{gz}", X.reshape(-1, 28, 28), bool(gz))
        write_idx(where / f"train-labels-idx1-ubyte{gz}", y.astype(np.uint8), bool(gz))
        ways["IDX" + gz] = where, lambda name=name: open_source(folder / name)
    table = pa.table({**{f"p{j}": X[:, j] for j in range(784)}, "label": y})
    where = at("parquet")
    pq.write_table(table, where / "d.parquet", row_group_size=8192)
    ways["Parquet, 784 columns"] = where, lambda: open_source(folder / "parquet")
    where = at("csv")
    pyarrow.csv.write_csv(table, where / "d.csv")
    ways["CSV"] = where, lambda: open_source(folder / "csv")
    ways['CSV, dtype="uint8"'] = where, lambda: open_source(folder / "csv", dtype="uint8")
    where = at("binary")
    packed = pa.table({"image": [row.tobytes() for row in X], "label": y})
    pq.write_table(packed, where / "d.parquet", row_group_size=8192)
    ways["Parquet, 1 binary column"] = where, lambda: open_source(folder / "binary")
    where = at("svmlight")
    with open(where / "d.svm", "w") as file:
        for row, label in zip(X, y, strict=True):
            lit = np.flatnonzero(row)
            file.write(f"{label} " + " ".join(f"{j + 1}:{row[j]}" for j in lit) + "\n")
    ways["svmlight"] = where, lambda: open_source(folder / "svmlight")
    convert(open_source(where), folder / "csr")
    ways["svmlight, converted"] = folder / "csr", lambda: open_source(folder / "csr")
    where = at("images")
    for n in range(min(IMAGES, len(X))):
        (where / str(y[n])).mkdir(exist_ok=True)
        Image.fromarray(X[n].reshape(28, 28)).save(where / str(y[n]) / f"{n:06}.png")
    ways["PNG images"] = where, lambda: open_source(folder / "images")
    ways["batches of 1,000"] = (
        None,
        lambda: batches_source((X[n : n + 1000], y[n : n + 1000]) for n in range(0, len(X), 1000)),
    )
    return ways


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    X, y = load_mnist()[2:]
    X, y = (np.concatenate([array] * -(-rows // len(array)))[:rows] for array in (X, y))
    with tempfile.TemporaryDirectory() as name:
        ways = write(Path(name), X, np.asarray(y, np.int64))
        print("| format | size on disk, MB | open, s | samples/s | MB/s of pixels | MB/s of the file |")
        print("|---|---|---|---|---|---|")
        for title, (where, opener) in ways.items():
            files = [] if where is None else [path for path in where.rglob("*") if path.is_file()]
            size = sum(path.stat().st_size for path in files) / 1e6
            began = time.process_time()
            source = opener()
            opened = time.process_time() - began
            passes = []
            for _ in range(3):
                began = time.process_time()
                M = sum(part.read().M for part in source.parts)
                passes.append(time.process_time() - began)
            seconds = statistics.median(passes)
            rate = M / seconds
            figures = (
                f"{size:,.0f} | {opened:.2f} | {rate:,.0f} | {rate * 784 / 1e6:,.0f} | {size / seconds:,.0f}"
            )
            print(f"| {title} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
