"""Files of samples for tests: written, and read back."""

import warnings

import numpy as np
import pytest
from PIL import Image
from source_table import CASES, D_I, NAMES, M, dense, make_samples

from thetanet.data.survey import survey_source

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
csv = pytest.importorskip("pyarrow.csv")

__all__ = ["D_I", "NAMES", "M"]

X, Y = make_samples()


def write(name, folder, X=X, y=Y):
    """Write samples in the way of a row of the table of sources, and return their source."""
    return CASES[name].source(folder, X, y)


def read_samples(source):
    """Return X, dense, and y of all parts in order."""
    pieces = list(source)
    return np.concatenate([dense(X) for X, _ in pieces]), np.concatenate([y for _, y in pieces])


def make_table(X=X, y=Y, label="label"):
    """Return samples as a table of Arrow."""
    return pa.table({**dict(zip(NAMES, X.T, strict=True)), label: pa.array(y)})


def csv_text(X=X, y=Y, mark=","):
    """Return samples as CSV."""
    rows = [mark.join([*NAMES, "label"])]
    rows += [mark.join([*map(str, row.tolist()), str(label)]) for row, label in zip(X, y, strict=True)]
    return "\n".join(rows) + "\n"


def write_table(path, columns):
    """Write a table as CSV or Parquet, as its path says."""
    frame = pa.table(columns)
    (pq.write_table if path.suffix == ".parquet" else csv.write_csv)(frame, path)
    return path


def write_rows(path, header, *rows):
    """Write lines of CSV."""
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def write_class_folders(folder, *names):
    """Write two images into each of these subfolders."""
    for shade, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for n in range(2):
            Image.fromarray(np.full((3, 3), 10 * shade + n, np.uint8)).save(folder / name / f"{n}.png")


def survey_quietly(source):
    """Return the survey of a source without warnings of skipped rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return survey_source(source)
