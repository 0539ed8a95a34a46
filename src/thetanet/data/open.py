"""From a path to a source: the ending, or what lies in a folder, says which format it is."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from thetanet.checks import check_number
from thetanet.data.formats.idx import find_idx
from thetanet.data.formats.npy import npy_source, npz_source
from thetanet.data.source import Source
from thetanet.data.spool import CSR, csr_source, held, origin_of
from thetanet.data.temporary import TemporaryFolder, room_for
from thetanet.errors import DataFileError, InputError

BIG = 1 << 30  # bytes of X.npy that are not read into memory at once
_KINDS = {
    ".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".tsv": "csv",
    ".svm": "svmlight", ".libsvm": "svmlight", ".svmlight": "svmlight",
}  # fmt: skip
TAKES = {
    "parquet": ("target", "dtype", "inputs", "skip_bad"), "csv": ("target", "dtype", "inputs", "skip_bad"),
    "svmlight": ("dtype", "skip_bad", "n_features", "zero_based"), "images": ("size", "skip_bad"),
}  # fmt: skip

Path_ = str | os.PathLike[str]


def open_source(
    path: Path_ | Sequence[Path_],
    target: str | None = None,
    *,
    skip_bad: bool = False,
    size: tuple[int, int] | None = None,
    dtype: str | None = None,
    inputs: Sequence[str] | None = None,
    n_features: int | None = None,
    zero_based: bool | None = None,
) -> Source:
    """Return a source of samples that need not fit into memory, to be trained on by `net.fit(source)`.

    Parameters
    ----------
    path : path or list of paths
        One of: a Parquet (.parquet, .pq), CSV (.csv, .tsv) or svmlight file (.svm, .libsvm, .svmlight),
        several of one kind, or a folder of them; an .npz file, or a folder of .npy files, with X and y (or
        X_train and y_train); a folder of IDX files named as MNIST's; a folder of images with one subfolder a
        class.
    target : str, optional
        For tables: the column of labels. The one called label, target, class or y if left out. All other
        columns are inputs.
    skip_bad : bool
        Leave malformed rows and images out, and warn of how many there were, instead of raising. For tables,
        svmlight and images.
    size : (height, width), optional
        For images: bring all to this size. They must be of one size if left out.
    dtype : str, optional
        For tables: "uint8", "float32" or "float64", the type of X. If left out, uint8 if all columns are,
        float32 if that holds all values of the columns' types exactly, else float64; float64 for CSV. For
        svmlight: "float32" or "float64".
    inputs : list of str, optional
        For tables: the columns of inputs, in the order in which they are wanted, e.g. the `feature_names` of
        the source that a network was trained on. A table must have these, in any order, and no others beside
        the target. One column that holds all inputs has no names, and is not compared.
    n_features : int, optional
        For svmlight: D_I. The largest index that occurs if left out.
    zero_based : bool, optional
        For svmlight: whether indices begin at 0. If left out, they do where one is 0. Test data, which may
        lack some indices, needs both as the training data has them.

    Raises
    ------
    DataFileError
        If nothing is there, or it is malformed: the message names the file and, where there is one, the row.
    InputError
        If an argument does not fit the format.
    MissingExtraError
        If the library for the format is not installed.

    Examples
    --------
    >>> source = open_source("clicks/", target="clicked")  # doctest: +SKIP
    >>> net = ThetaNetClassifier().fit(source)  # doctest: +SKIP
    """
    paths = _paths(path)
    for each in paths:
        if not each.exists():
            raise DataFileError(f"{each}: there is no such file or folder")
    if target is not None and not isinstance(target, str):
        raise InputError(f"target={target!r}: must be the name of a column")
    if n_features is not None:
        check_number("n_features", n_features, least=1, whole=True)
    kind, files = kind_of(paths)
    given: dict[str, Any] = {"target": target, "skip_bad": skip_bad, "size": size, "dtype": dtype}
    given |= {"inputs": inputs, "n_features": n_features, "zero_based": zero_based}
    for name, value in given.items():
        told = value if name == "skip_bad" else value is not None
        if told and name not in TAKES.get(kind, ()):
            raise InputError(f"{name}={value!r}: has no meaning for {paths[0]} ({kind}); leave it out")
    return _opened(kind, files, {name: given[name] for name in TAKES.get(kind, ())})


def _paths(path: Any) -> list[Path]:
    one = isinstance(path, str | os.PathLike) or not isinstance(path, Iterable)
    given = [path] if one else list(path)
    if not all(isinstance(each, str | os.PathLike) for each in given):
        hint = "; for samples in memory use array_source(X, y)" if hasattr(path, "shape") else ""
        raise InputError(f"path: is {type(path).__name__}; give a path, or a list of paths{hint}")
    if not given:
        raise InputError("path: is an empty list; give at least one file")
    return [Path(each) for each in given]


def _opened(kind: str, files: list[Path], how: dict[str, Any]) -> Source:
    if kind == "parquet":
        from thetanet.data.formats.parquet import parquet_source

        return parquet_source(files, **how)
    if kind == "csv":
        from thetanet.data.formats.csv import csv_source

        return csv_source(files, **how)
    if kind == "svmlight":
        from thetanet.data.formats.svmlight import svmlight_source

        return svmlight_source(files, **how)
    if kind == "images":
        from thetanet.data.formats.images import images_source, training_and_test

        return images_source(training_and_test(files[0])[0], **how)
    if kind == "idx":
        from thetanet.data.formats.idx_source import idx_folder_source

        return idx_folder_source(files[0])
    if kind == "csr":
        return csr_source(files[0])
    if kind == "npz":
        return npz_source(files[0]) or _unpacked(files[0])
    X, y = _pair(files[0], ("x_train", "x"), ("y_train", "y"))
    return npy_source(X, y)


def kind_of(paths: Sequence[Path]) -> tuple[str, list[Path]]:
    """Return the format, and the files or the folder to be read.

    Raises
    ------
    DataFileError
        If it is none that is known, or the files are of several formats.
    """
    first = paths[0]
    if len(paths) == 1 and first.is_dir():
        return _folder_kind(first)
    kinds = {_KINDS.get(path.suffix.lower()) for path in paths}
    if len(kinds) == 1 and (kind := kinds.pop()) is not None:
        return kind, list(paths)
    if len(paths) == 1 and first.suffix.lower() == ".npz":
        return "npz", [first]
    if first.suffix.lower() in (".gz", ".bz2", ".zst", ".xz"):
        raise DataFileError(
            f"{first}: compressed files cannot be read in parts; unpack it first, e.g. by gunzip"
        )
    raise DataFileError(
        f"{', '.join(map(str, paths[:3]))}: must end in {', '.join([*_KINDS, '.npz'])} "
        "(several files all alike), "
        "or be a folder of such files, of .npy or IDX files, or of images with one subfolder a class"
    )


def _folder_kind(folder: Path) -> tuple[str, list[Path]]:
    names = {entry.name.lower() for entry in os.scandir(folder)}
    if set(map(str.lower, CSR)) <= names:
        return "csr", [folder]
    if names & {"x.npy", "x_train.npy"}:
        return "npy", [folder]
    if find_idx(folder, "train-images", 3) or find_idx(folder, "train-labels", 1):
        return "idx", [folder]
    files = sorted(
        path for path in folder.iterdir() if path.suffix.lower() in _KINDS and path.name[0] not in "._"
    )
    kinds = {_KINDS[path.suffix.lower()] for path in files}
    if len(kinds) > 1:
        raise DataFileError(
            f"{folder}: holds files of several formats ({', '.join(sorted(kinds))}); give one kind"
        )
    if kinds:
        return kinds.pop(), files
    from thetanet.data.formats.images import image_classes, training_and_test

    if image_classes(training_and_test(folder)[0]):
        return "images", [folder]
    raise DataFileError(
        f"{folder}: holds no tables, svmlight, .npy or IDX files, and no images in a subfolder a class"
    )


def _pair(folder: Path, X: Sequence[str], y: Sequence[str]) -> tuple[Path, Path]:
    found = {entry.name.lower().removesuffix(".npy"): folder / entry.name for entry in os.scandir(folder)}
    for names in zip(X, y, strict=True):
        if all(name in found for name in names):
            return found[names[0]], found[names[1]]
    raise DataFileError(
        f"{folder}: holds {sorted(found)}; it needs X.npy and y.npy, or X_train.npy and y_train.npy"
    )


def _unpacked(path: Path) -> Source:
    """Return a source of a compressed .npz file, which is unpacked into a temporary folder."""
    folder = TemporaryFolder()
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy").lower(): info for info in archive.infolist()}
            long = "x_train" in members and "y_train" in members
            for name in ("X", "y"):
                member = members[f"{name.lower()}_train" if long else name.lower()]
                plain = Path(folder.name) / f"{name}.npy"
                with room_for(str(path)), archive.open(member) as packed, plain.open("wb") as file:
                    shutil.copyfileobj(packed, file, 1 << 20)
    except InputError:
        raise
    except Exception as problem:  # zipfile and zlib raise nearly anything for what is damaged
        raise DataFileError(
            f"{path}: cannot be read as .npz ({problem}); write it with numpy.savez"
        ) from problem
    try:
        found = npy_source(Path(folder.name) / "X.npy", Path(folder.name) / "y.npy")
    except DataFileError as problem:
        raise DataFileError(f"{path}: {problem}") from problem
    return held(str(path), found, folder, origin_of(path))


def source_needed(path: Path_ | None) -> bool:
    """Tell whether data is for `open_source`: all but .npz files, IDX files, and X.npy of up to 1 GB.

    That is so for what is no data, too: the message names all formats.
    """
    if path is None or not Path(path).exists():
        return False
    where = Path(path)
    if where.is_file():
        return where.suffix.lower() != ".npz"
    try:
        kind = _folder_kind(where)[0]
    except DataFileError:  # the reader of arrays says better what arrays lack
        return not (
            list(where.glob("*.npy"))
            or find_idx(where, "t10k-images", 3)
            or find_idx(where, "t10k-labels", 1)
        )
    if kind == "npy":
        return _pair(where, ("x_train", "x"), ("y_train", "y"))[0].stat().st_size > BIG
    return kind not in ("idx", "npz")


def source_of_test(path: Path_, **how: Any) -> Source | None:
    """Return the test samples beside the training samples: in .npy or IDX files, or images."""
    where = Path(path)
    if not where.is_dir():
        return None
    kind = _folder_kind(where)[0]
    if kind == "npy":
        names = {entry.name.lower() for entry in os.scandir(where)}
        if {"x_test.npy", "y_test.npy"} <= names:
            return npy_source(*_pair(where, ("x_test",), ("y_test",)))
    if kind == "idx" and find_idx(where, "t10k-images", 3):
        from thetanet.data.formats.idx_source import idx_folder_source

        return idx_folder_source(where, "t10k")
    if kind == "images":
        from thetanet.data.formats.images import images_source, training_and_test

        if (test := training_and_test(where)[1]) is not None:
            return images_source(test, how.get("size"), skip_bad=bool(how.get("skip_bad")))
    return None
