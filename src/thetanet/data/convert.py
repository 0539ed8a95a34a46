"""Conversion of any source to .npy files, which are read at the speed of the disk, in any order."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

import numpy as np

from thetanet.data.alignment import align_source
from thetanet.data.formats.csr import CSR_FILES, SHAPE_FILE, write_shape
from thetanet.data.formats.npy import WEIGHT_FILE
from thetanet.data.npy_writer import SamplesWriter
from thetanet.data.skipping import warn_of_skipped
from thetanet.data.source import Progress, Source
from thetanet.errors import InputError

_FILES = (
    "X.npy",
    "y.npy",
    "X_train.npy",
    "y_train.npy",
    "X_test.npy",
    "y_test.npy",
    *CSR_FILES,
    SHAPE_FILE,
    WEIGHT_FILE,
)


def convert(
    source: Source,
    folder: str | os.PathLike[str],
    test: Source | None = None,
    progress: Progress | None = None,
) -> tuple[int, int]:
    """Write a source as X.npy and y.npy; sparse samples as the three arrays of a CSR matrix and its shape.

    Files have temporary names until they are complete. Memory: one part.

    Parameters
    ----------
    source : Source
        What to read.
    folder : path
        Where to write; made if it is not there.
    test : Source, optional
        Written as X_test.npy and y_test.npy.
    progress : callable, optional
        Called with (parts read, parts) after each part.

    Returns
    -------
    M, D_I
        Numbers of samples (of `source`) and inputs.

    Raises
    ------
    InputError
        If the folder holds such files already, or the parts of the source differ in kind.
    DataFileError
        If a part cannot be read.
    """
    where = Path(folder)
    existing = [name for name in _FILES if (where / name).exists()]
    if existing:
        raise InputError(f"{folder}: holds {existing[0]} already; give another folder, or remove it first")
    where.mkdir(parents=True, exist_ok=True)
    temporary = where / f".thetanet-{secrets.token_hex(8)}.tmp"
    temporary.mkdir()
    total = len(source.parts) + (0 if test is None else len(test.parts))
    try:
        written = _write_rows(source, temporary, lambda n, _: progress and progress(n, total))
        if written.sparse:
            if test is not None:
                raise InputError("test: sparse test samples go into a folder of their own")
            write_shape(temporary, written.M, written.D_I)
        if test is not None:
            inner = temporary / "test"
            inner.mkdir()
            before = len(source.parts)
            test = align_source(test, source.feature_names, np.load(temporary / "y.npy", mmap_mode="r"))
            written_test = _write_rows(test, inner, lambda n, _: progress and progress(before + n, total))
            if written_test.D_I != written.D_I or written_test.sparse:
                raise InputError(
                    f"{test.name}: has {written_test.D_I} inputs, but the training samples {written.D_I}"
                )
            for name in ("X", "y"):
                (inner / f"{name}.npy").rename(temporary / f"{name}_test.npy")
            inner.rmdir()
        for name in sorted(os.listdir(temporary)):  # y last: without it the folder is not taken for data
            os.replace(temporary / name, where / name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return written.M, written.D_I


def _write_rows(source: Source, folder: Path, progress: Progress) -> SamplesWriter:
    with SamplesWriter(folder) as writer:
        for rows in source.iter_rows(progress):
            writer.append(*rows)
    warn_of_skipped(source.skipped_rows())
    if not writer.M:
        raise source.empty_error()
    return writer
