"""From a path to a source: the ending, or what lies in a folder, says which format it is."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thetanet.checks import check_number
from thetanet.data.formats.idx import find_idx
from thetanet.data.formats.npy import npy_source, npz_source
from thetanet.data.source import Source
from thetanet.data.spool import CSR, WEIGHT, csr_source, origin_of, unpacked_source
from thetanet.data.temporary import TemporaryFolder, room_for
from thetanet.errors import DataFileError, InputError, NoWeightColumnError

Path_ = str | os.PathLike[str]


def open_source(
    path: Path_ | Sequence[Path_],
    target: str | None = None,
    *,
    skip_bad: bool = False,
    size: tuple[int, int] | None = None,
    dtype: str | None = None,
    inputs: Sequence[str] | None = None,
    weight: str | None = None,
    n_features: int | None = None,
    zero_based: bool | None = None,
) -> Source:
    """Return a source of samples that need not fit into memory, to be trained on by `net.fit(source)`.

    Parameters
    ----------
    path : path or list of paths
        One of: a Parquet (.parquet, .pq), CSV (.csv, .tsv) or svmlight file (.svm, .libsvm, .svmlight),
        several of one kind, or a folder of them; an .npz file, or a folder of .npy files, with X and y (or
        X_train and y_train) and perhaps sample_weight; a folder of IDX files named as MNIST's; a folder of
        images with one subfolder a class.
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
    weight : str, optional
        For tables: the column of sample weights, which is no input.
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
    paths = check_paths(path)
    if target is not None and not isinstance(target, str):
        raise InputError(f"target={target!r}: must be the name of a column")
    if n_features is not None:
        check_number("n_features", n_features, least=1, whole=True)
    options = {
        "target": target, "skip_bad": skip_bad, "size": size, "dtype": dtype, "inputs": inputs,
        "weight": weight, "n_features": n_features, "zero_based": zero_based,
    }  # fmt: skip
    name, files = detect_format(paths)
    row = FORMATS[name]
    for option, value in options.items():
        is_set = value if option == "skip_bad" else value is not None
        if is_set and option not in row.options:
            raise InputError(f"{option}={value!r}: has no meaning for {paths[0]} ({name}); leave it out")
    return row.open(files, **{option: options[option] for option in row.options})


def open_further_source(
    path: Path_ | Sequence[Path_], options: Mapping[str, Any], D_I: int, zero_based: bool | None = None
) -> Source:
    """Open further data for a network with D_I inputs: options that have no meaning for it are left out.

    The network needs no column of weights, and a few samples of svmlight need not show the last input, nor
    where indices begin: both are as in the training data.
    """
    paths = check_paths(path)
    row = FORMATS[detect_format(paths)[0]]
    used = {name: value for name, value in options.items() if name in row.options}
    if "n_features" in row.options:
        used["n_features"] = D_I
        if used.get("zero_based") is None:
            used["zero_based"] = zero_based
    try:
        return open_source(paths, **used)
    except NoWeightColumnError:  # data to be measured need not be weighted
        return open_source(paths, **used | {"weight": None})


def open_test_source(path: Path_, options: Mapping[str, Any] | None = None) -> Source | None:
    """Return the test samples that lie beside the training samples; None if there are none."""
    name, files = detect_format(check_paths(path))
    row = FORMATS[name]
    used = {key: value for key, value in (options or {}).items() if key in row.options}
    return None if row.open_test is None else row.open_test(files, **used)


def check_paths(path: Any) -> list[Path]:
    """Return one or several paths as a list of those that are there.

    Raises
    ------
    InputError
        If they are no paths.
    DataFileError
        If one of them does not exist.
    """
    one = isinstance(path, str | os.PathLike) or not isinstance(path, Iterable)
    given = [path] if one else list(path)
    if not all(isinstance(each, str | os.PathLike) for each in given):
        hint = "; for samples in memory use array_source(X, y)" if hasattr(path, "shape") else ""
        raise InputError(f"path: is {type(path).__name__}; give a path, or a list of paths{hint}")
    if not given:
        raise InputError("path: is an empty list; give at least one file")
    paths = [Path(each) for each in given]
    for each in paths:
        if not each.exists():
            raise DataFileError(f"{each}: there is no such file or folder")
    return paths


# Openers import their format when it is used: pyarrow, Pillow and scikit-learn are slow to load.


def _open_parquet(files: list[Path], **options: Any) -> Source:
    from thetanet.data.formats.parquet import parquet_source

    return parquet_source(files, **options)


def _open_csv(files: list[Path], **options: Any) -> Source:
    from thetanet.data.formats.csv import csv_source

    return csv_source(files, **options)


def _open_svmlight(files: list[Path], **options: Any) -> Source:
    from thetanet.data.formats.svmlight import svmlight_source

    return svmlight_source(files, **options)


def _open_images(files: list[Path], **options: Any) -> Source:
    from thetanet.data.formats.images import images_source, training_and_test

    return images_source(training_and_test(files[0])[0], **options)


def _open_test_images(files: list[Path], **options: Any) -> Source | None:
    from thetanet.data.formats.images import images_source, training_and_test

    test = training_and_test(files[0])[1]
    return None if test is None else images_source(test, **options)


def _open_idx(files: list[Path]) -> Source:
    from thetanet.data.formats.idx_source import idx_folder_source

    return idx_folder_source(files[0])


def _open_test_idx(files: list[Path]) -> Source | None:
    from thetanet.data.formats.idx_source import idx_folder_source

    has_test = find_idx(files[0], "t10k-images", 3) or find_idx(files[0], "t10k-labels", 1)
    return idx_folder_source(files[0], "t10k") if has_test else None


def _open_npy(files: list[Path]) -> Source:
    names = _npy_names(files[0])
    for suffix in ("_train", ""):
        if f"x{suffix}" in names and f"y{suffix}" in names:
            weight = names.get(WEIGHT.removesuffix(".npy"))
            return npy_source(names[f"x{suffix}"], names[f"y{suffix}"], weight)
    raise DataFileError(
        f"{files[0]}: holds {sorted(path.stem for path in names.values())}; it needs X and y, or X_train and "
        "y_train"
    )


def _open_test_npy(files: list[Path]) -> Source | None:
    names = _npy_names(files[0])
    if ("x_test" in names) != ("y_test" in names):
        raise DataFileError(f"{files[0]}: holds only one of X_test and y_test; give both or neither")
    return npy_source(names["x_test"], names["y_test"]) if "x_test" in names else None


def _npy_names(folder: Path) -> dict[str, Path]:
    return {
        entry.name.lower().removesuffix(".npy"): folder / entry.name
        for entry in os.scandir(folder)
        if entry.name.lower().endswith(".npy")
    }


def _open_npz(files: list[Path]) -> Source:
    return npz_source(files[0]) or _unpack_npz(files[0], "_train")


def _open_test_npz(files: list[Path]) -> Source | None:
    names = {name.lower() for name in _members(files[0])}
    if ("x_test" in names) != ("y_test" in names):
        raise DataFileError(f"{files[0]}: holds only one of X_test and y_test; give both or neither")
    return _unpack_npz(files[0], "_test") if "x_test" in names else None


def _members(path: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the arrays of an .npz file by name."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    except Exception as problem:  # zipfile raises nearly anything for what is damaged
        raise DataFileError(
            f"{path}: cannot be read as .npz ({problem}); write it with numpy.savez"
        ) from problem


def _unpack_npz(path: Path, suffix: str) -> Source:
    """Return a source of the arrays with this suffix of an .npz file, unpacked into a temporary folder."""
    folder = TemporaryFolder()
    members = {name.lower(): info for name, info in _members(path).items()}
    names = {"X": f"x{suffix}", "y": f"y{suffix}"}
    if not set(names.values()) <= set(members):
        names = {"X": "x", "y": "y"}
    if suffix == "_train" and "sample_weight" in members:
        names["sample_weight"] = "sample_weight"
    plain = {name: Path(folder.name) / f"{name}.npy" for name in names}
    try:
        with zipfile.ZipFile(path) as archive:
            for name, member in names.items():
                with (
                    room_for(str(path)),
                    archive.open(members[member]) as packed,
                    plain[name].open("wb") as to,
                ):
                    shutil.copyfileobj(packed, to, 1 << 20)
    except InputError:
        raise
    except Exception as problem:  # zipfile and zlib raise nearly anything for what is damaged
        raise DataFileError(
            f"{path}: cannot be read as .npz ({problem}); write it with numpy.savez"
        ) from problem
    try:
        source = npy_source(plain["X"], plain["y"], plain.get("sample_weight"))
    except DataFileError as problem:
        raise DataFileError(f"{path}: {problem}") from problem
    return unpacked_source(str(path), source, folder, (*origin_of(path), suffix))


@dataclass(frozen=True)
class Format:
    """A format of data.

    Attributes
    ----------
    open : callable
        Returns the source of some files, or of a folder in a list; takes the options as keywords.
    options : tuple of str
        Those of `open_source` that have a meaning for it.
    suffixes : tuple of str
        Endings of its files; a folder of such files is one source.
    open_test : callable, optional
        Returns the test samples that lie beside the training samples, or None.
    """

    open: Callable[..., Source]
    options: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    open_test: Callable[..., Source | None] | None = None


_TABLE = ("target", "dtype", "inputs", "weight", "skip_bad")

FORMATS = {
    "parquet": Format(_open_parquet, _TABLE, (".parquet", ".pq")),
    "csv": Format(_open_csv, _TABLE, (".csv", ".tsv")),
    "svmlight": Format(
        _open_svmlight,
        ("dtype", "skip_bad", "n_features", "zero_based"),
        (".svm", ".libsvm", ".svmlight"),
    ),
    "images": Format(_open_images, ("size", "skip_bad"), open_test=_open_test_images),
    "idx": Format(_open_idx, open_test=_open_test_idx),
    "csr": Format(lambda files: csr_source(files[0])),
    "npy": Format(_open_npy, open_test=_open_test_npy),
    "npz": Format(_open_npz, open_test=_open_test_npz),
}

_BY_SUFFIX = {suffix: name for name, row in FORMATS.items() for suffix in row.suffixes}


def detect_format(paths: Sequence[Path]) -> tuple[str, list[Path]]:
    """Return the name of the format, and the files or the folder to be read.

    Raises
    ------
    DataFileError
        If it is none that is known, or the files are of several formats.
    """
    first = paths[0]
    if len(paths) == 1 and first.is_dir():
        return _detect_folder_format(first)
    names = {_BY_SUFFIX.get(path.suffix.lower()) for path in paths}
    if len(names) == 1 and (name := names.pop()) is not None:
        return name, list(paths)
    if len(paths) == 1 and first.suffix.lower() == ".npz":
        return "npz", [first]
    if first.suffix.lower() in (".gz", ".bz2", ".zst", ".xz"):
        raise DataFileError(
            f"{first}: compressed files cannot be read in parts; unpack it first, e.g. by gunzip"
        )
    raise DataFileError(
        f"{', '.join(map(str, paths[:3]))}: must end in {', '.join([*_BY_SUFFIX, '.npz'])} "
        "(several files all alike), "
        "or be a folder of such files, of .npy or IDX files, or of images with one subfolder a class"
    )


def _detect_folder_format(folder: Path) -> tuple[str, list[Path]]:
    names = {entry.name.lower() for entry in os.scandir(folder)}
    if set(map(str.lower, CSR)) <= names:
        return "csr", [folder]
    if names & {"x.npy", "x_train.npy"}:
        return "npy", [folder]
    if find_idx(folder, "train-images", 3) or find_idx(folder, "train-labels", 1):
        return "idx", [folder]
    files = sorted(
        path for path in folder.iterdir() if path.suffix.lower() in _BY_SUFFIX and path.name[0] not in "._"
    )
    formats = {_BY_SUFFIX[path.suffix.lower()] for path in files}
    if len(formats) > 1:
        raise DataFileError(
            f"{folder}: holds files of several formats ({', '.join(sorted(formats))}); give one kind"
        )
    if formats:
        return formats.pop(), files
    from thetanet.data.formats.images import image_classes, training_and_test

    if image_classes(training_and_test(folder)[0]):
        return "images", [folder]
    if any(name.endswith(".npy") for name in names):
        return "npy", [folder]  # whose opener says what is missing
    raise DataFileError(
        f"{folder}: holds no tables, svmlight, .npy or IDX files, and no images in a subfolder a class"
    )
