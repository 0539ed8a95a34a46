"""Any source as .npy files, which are read at the speed of the disk, in any order."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from thetanet.data.alignment import align_source
from thetanet.data.skipping import warn_of_skipped
from thetanet.data.source import Source
from thetanet.data.spool import CSR, WEIGHT, Spool, write_shape
from thetanet.errors import InputError

_NAMES = (
    "X.npy",
    "y.npy",
    "X_train.npy",
    "y_train.npy",
    "X_test.npy",
    "y_test.npy",
    *CSR,
    "X_shape.npy",
    WEIGHT,
)


def convert(
    source: Source,
    folder: str | os.PathLike[str],
    test: Source | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[int, int]:
    """Write a source as X.npy and y.npy; sparse samples as the three arrays of a CSR matrix and its shape.

    What is written goes by other names until it is whole. Memory: one part.

    Parameters
    ----------
    source : Source
        What to read.
    folder : path
        Where to write; made if it is not there.
    test : Source, optional
        Written as X_test.npy and y_test.npy.
    progress : callable, optional
        Told (parts read, parts).

    Returns
    -------
    M, D_I
        Numbers of samples (of `source`) and inputs.

    Raises
    ------
    InputError
        If the folder holds such files already, or the samples are no source of one kind.
    DataFileError
        If a part cannot be read.
    """
    where = Path(folder)
    there = [name for name in _NAMES if (where / name).exists()]
    if there:
        raise InputError(f"{folder}: holds {there[0]} already; give another folder, or remove it first")
    where.mkdir(parents=True, exist_ok=True)
    passing = where / f".thetanet-{secrets.token_hex(8)}.tmp"
    passing.mkdir()
    total = len(source.parts) + (0 if test is None else len(test.parts))
    try:
        spool = _write_rows(source, passing, lambda n, _: progress and progress(n, total))
        if spool.sparse:
            if test is not None:
                raise InputError("test: sparse test samples go into a folder of their own")
            write_shape(passing, spool.M, spool.D_I)
        if test is not None:
            inner = passing / "test"
            inner.mkdir()
            before = len(source.parts)
            test = align_source(test, source.feature_names, np.load(passing / "y.npy", mmap_mode="r"))
            tested = _write_rows(test, inner, lambda n, _: progress and progress(before + n, total))
            if tested.D_I != spool.D_I or tested.sparse:
                raise InputError(
                    f"{test.name}: has {tested.D_I} inputs, but the training samples {spool.D_I}"
                )
            for name in ("X", "y"):
                (inner / f"{name}.npy").rename(passing / f"{name}_test.npy")
            inner.rmdir()
        for name in sorted(os.listdir(passing)):  # y last: without it the folder is not taken for data
            os.replace(passing / name, where / name)
    finally:
        shutil.rmtree(passing, ignore_errors=True)
    return spool.M, spool.D_I


def _write_rows(source: Source, folder: Path, progress: Callable[[int, int], object]) -> Spool:
    with Spool(folder) as spool:
        for rows in source.iter_rows(progress):
            spool.append(*rows)
    warn_of_skipped(source.skipped_rows())
    if not spool.M:
        raise source.empty_error()
    return spool
