"""From a path to a source: the endings of files, or what lies in a folder, decide on the format.

A format is one file in `data/formats/` and one row in `FORMATS`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from thetanet.checks import check_number
from thetanet.data.source import Source
from thetanet.errors import DataFileError, InputError, NoWeightColumnError

Path_ = str | os.PathLike[str]


@dataclass(frozen=True)
class Format:
    """A format of data.

    Functions are named by module and function, relative to `data/formats/`, and imported when they are used:
    pyarrow, Pillow and scikit-learn are slow to load.

    Attributes
    ----------
    opener : str
        Returns the source of a list of files, or of a list of one folder; takes the options as keywords.
    options : tuple of str
        Those of `open_source` that have a meaning for it.
    suffixes : tuple of str
        Endings of its files.
    several : bool
        Whether several such files, or a folder of them, are one source.
    test_opener : str, optional
        Returns the test samples that lie beside the training samples, or None.
    folder_test : str, optional
        Returns whether a folder holds data of this format.
    """

    opener: str
    options: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    several: bool = True
    test_opener: str = ""
    folder_test: str = ""

    def open(self, files: list[Path], options: Mapping[str, Any]) -> Source:
        """Return the samples; options that have no meaning for this format are left out."""
        source: Source = _import_function(self.opener)(files, **self.select(options))
        return source

    def open_test(self, files: list[Path], options: Mapping[str, Any]) -> Source | None:
        """Return the test samples beside the training samples; None if there are none."""
        if not self.test_opener:
            return None
        source: Source | None = _import_function(self.test_opener)(files, **self.select(options))
        return source

    def is_folder(self, folder: Path) -> bool:
        """Return whether a folder, by other signs than the endings of its files, is of this format."""
        return bool(self.folder_test) and bool(_import_function(self.folder_test)(folder))

    def select(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options that have a meaning for this format."""
        return {name: value for name, value in options.items() if name in self.options}


def _import_function(name: str) -> Any:
    module, _, function = name.partition(".")
    return getattr(import_module(f"thetanet.data.formats.{module}"), function)


_TABLE = ("target", "dtype", "inputs", "weight", "skip_bad")

FORMATS = {  # a folder is of the first one that fits
    "csr": Format("csr.open_csr_folder", folder_test="csr.is_csr_folder"),
    "npy": Format("npy.open_npy_folder", test_opener="npy.open_npy_test", folder_test="npy.is_npy_folder"),
    "idx": Format("idx.open_idx_folder", test_opener="idx.open_idx_test", folder_test="idx.is_idx_folder"),
    "parquet": Format("parquet.parquet_source", _TABLE, (".parquet", ".pq")),
    "csv": Format("csv.csv_source", _TABLE, (".csv", ".tsv")),
    "svmlight": Format(
        "svmlight.svmlight_source",
        ("dtype", "skip_bad", "n_features", "zero_based"),
        (".svm", ".libsvm", ".svmlight"),
    ),
    "images": Format(
        "images.open_images",
        ("size", "skip_bad"),
        test_opener="images.open_test_images",
        folder_test="images.is_images_folder",
    ),
    "npz": Format("npz.open_npz", suffixes=(".npz",), several=False, test_opener="npz.open_npz_test"),
}

_BY_SUFFIX = {suffix: name for name, row in FORMATS.items() for suffix in row.suffixes}


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
    return row.open(files, options)


def open_further_source(
    path: Path_ | Sequence[Path_], options: Mapping[str, Any], D_I: int, zero_based: bool | None = None
) -> Source:
    """Open further data for a network with D_I inputs: options that have no meaning for it are left out.

    The network needs no column of weights, and a few samples of svmlight need not show the last input, nor
    where indices begin: both are as in the training data.
    """
    paths = check_paths(path)
    row = FORMATS[detect_format(paths)[0]]
    used = row.select(options)
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
    return FORMATS[name].open_test(files, options or {})


def check_paths(path: Any) -> list[Path]:
    """Return one or several paths as a list of existing ones.

    Raises
    ------
    InputError
        If they are no paths.
    DataFileError
        If one of them does not exist.
    """
    is_one = isinstance(path, str | os.PathLike) or not isinstance(path, Iterable)
    paths = [path] if is_one else list(path)
    if not all(isinstance(each, str | os.PathLike) for each in paths):
        hint = "; for samples in memory use array_source(X, y)" if hasattr(path, "shape") else ""
        raise InputError(f"path: is {type(path).__name__}; give a path, or a list of paths{hint}")
    if not paths:
        raise InputError("path: is an empty list; give at least one file")
    for each in map(Path, paths):
        if not each.exists():
            raise DataFileError(f"{each}: there is no such file or folder")
    return [Path(each) for each in paths]


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
    if len(names) == 1 and (name := names.pop()) is not None and (len(paths) == 1 or FORMATS[name].several):
        return name, list(paths)
    if len(paths) == 1 and first.suffix.lower() in (".gz", ".bz2", ".zst", ".xz"):
        raise DataFileError(
            f"{first}: compressed files cannot be read in parts; unpack it first, e.g. by gunzip"
        )
    raise DataFileError(
        f"{', '.join(map(str, paths[:3]))}: must end in {', '.join(_BY_SUFFIX)} (several files all alike), "
        "or be a folder of such files, of .npy or IDX files, or of images with one subfolder a class"
    )


def _detect_folder_format(folder: Path) -> tuple[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        name = _BY_SUFFIX.get(path.suffix.lower())
        if name is not None and FORMATS[name].several and path.name[0] not in "._":
            files.setdefault(name, []).append(path)
    for name, row in FORMATS.items():
        if row.is_folder(folder):
            return name, [folder]
        if name in files:
            if len(files) > 1:
                raise DataFileError(
                    f"{folder}: holds files of several formats ({', '.join(sorted(files))}); give one kind"
                )
            return name, files[name]
    if any(path.suffix.lower() == ".npy" for path in folder.iterdir()):
        return "npy", [folder]  # whose opener says what is missing
    raise DataFileError(
        f"{folder}: holds no tables, svmlight, .npy or IDX files, and no images in a subfolder a class"
    )
