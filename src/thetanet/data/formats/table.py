"""Tables: which column holds the labels, which ones are inputs, and how their values become samples.

CSV and Parquet differ in how they are read, and in nothing else: a file is opened as a `TableFile`, its
columns are chosen by `TableOptions`, and Arrow's tables become samples in `convert_table`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from thetanet.data.feature_names import check_inputs, check_unique, quote_names, subtract_names
from thetanet.data.files import Paths, absolute_names
from thetanet.data.source import Rows
from thetanet.errors import DataFileError, InputError, MissingExtraError, NoWeightColumnError

TARGETS = ("label", "target", "class", "y")  # names of the column of labels, unless it is named
DTYPES = ("uint8", "float32", "float64")
_EXACT_IN_FLOAT32 = {"uint8", "int8", "int16", "uint16", "bool", "halffloat", "float"}


def import_pyarrow(purpose: str = "reading tables") -> Any:
    """Return pyarrow.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.csv
        import pyarrow.parquet
    except ImportError as problem:
        raise MissingExtraError(purpose, "table") from problem
    return pyarrow


@dataclass(frozen=True)
class Columns:
    """What is read of a table.

    Attributes
    ----------
    target : str
        The column of labels.
    inputs : tuple of str
        The columns of inputs, in order.
    label_type : str
        Arrow's name for the type of the labels.
    dtype : str
        Type of X.
    width : int, optional
        If there is one column of inputs that holds lists or bytes: how many values each has.
    booleans : tuple of str
        Those of the inputs that CSV writes as true and false.
    weight : str, optional
        The column of sample weights.
    """

    target: str
    inputs: tuple[str, ...]
    label_type: str
    dtype: str
    width: int | None = None
    booleans: tuple[str, ...] = ()
    weight: str | None = None

    @property
    def names(self) -> list[str]:
        """All columns that are read."""
        return [*self.inputs, self.target, *([] if self.weight is None else [self.weight])]


@dataclass(frozen=True)
class TableOptions:
    """What the user says of a table; `open_source` describes it.

    Attributes
    ----------
    target : str, optional
        The column of labels.
    inputs : sequence of str, optional
        The columns of inputs, in the order that is wanted.
    weight : str, optional
        The column of sample weights.
    dtype : str, optional
        Type of X.
    skip_bad : bool
        Whether malformed rows are left out.
    """

    target: str | None = None
    inputs: Sequence[str] | None = None
    weight: str | None = None
    dtype: str | None = None
    skip_bad: bool = False

    def __post_init__(self) -> None:
        check_inputs(self.inputs)
        if self.dtype is not None and self.dtype not in DTYPES:
            raise InputError(f"dtype={self.dtype!r}: must be one of {', '.join(DTYPES)}, or None")

    def split_columns(self, file: str, names: Sequence[str]) -> tuple[str, tuple[str, ...]]:
        """Return the column of labels and those of inputs, in the order of the file.

        Raises
        ------
        DataFileError
            If a column is missing, or names are not unique.
        """
        target = find_target(file, names, self.target)
        if self.weight is not None and self.weight not in names:
            raise NoWeightColumnError(
                f"{file}: has no column {self.weight!r} to be the weight; it has {quote_names(names)}"
            )
        inputs = tuple(name for name in names if name not in (target, self.weight))
        if not inputs:
            raise DataFileError(f"{file}: has no column but the target {target!r}; inputs are missing")
        return target, inputs


class TableFile(Protocol):
    """A file of a table that was opened."""

    @property
    def path(self) -> str:
        """Its absolute name."""

    @property
    def column_names(self) -> Sequence[str]:
        """Names of its columns."""


File = TypeVar("File", bound=TableFile)


def open_table(paths: Paths, open_file: Callable[[str], File]) -> tuple[list[File], str]:
    """Return the files of a table, all with the columns of the first one, and one name for them.

    Raises
    ------
    InputError
        If there are none.
    DataFileError
        If one cannot be opened, or has other columns.
    MissingExtraError
        If pyarrow is not installed.
    """
    import_pyarrow()
    paths, name = absolute_names(paths)
    if not paths:
        raise InputError("path: is an empty list; give at least one file")
    files = [open_file(path) for path in paths]
    for file in files[1:]:
        check_same_names(file.path, file.column_names, files[0].path, files[0].column_names)
    return files, name


def find_target(file: str, names: Sequence[str], target: str | None) -> str:
    """Return the name of the column of labels.

    Raises
    ------
    DataFileError
        If there is none, or names are not unique.
    """
    check_unique(file, names)
    if target is not None:
        if target not in names:
            raise DataFileError(
                f"{file}: has no column {target!r} to be the target; it has {quote_names(names)}"
            )
        return target
    candidates = [name for name in names if name.lower() in TARGETS]
    if len(candidates) != 1:
        problem = "several columns that may be" if candidates else "no column that is known as"
        raise DataFileError(
            f"{file}: has {problem} the target ({', '.join(TARGETS)}); it has {quote_names(names)}: "
            "say which, by target=NAME (--target NAME)"
        )
    return candidates[0]


def check_same_names(file: str, names: Sequence[str], first: str, expected: Sequence[str]) -> None:
    """Check that a further file of a table has the columns of the first one, in any order.

    Raises
    ------
    DataFileError
        If it has not.
    """
    times = Counter(names)
    for name in expected:
        if times[name] != 1:
            raise DataFileError(
                f"{file}: has {times[name] or 'no'} column {name!r}, which {first} has; "
                f"it has {quote_names(names)}"
            )
    for name in subtract_names(names, expected):
        raise DataFileError(f"{file}: has a column {name!r}, which {first} lacks; give files of one kind")


def find_label_type(file: str, name: str, kind: Any) -> str:
    """Return what a column of this Arrow type holds as labels: "text", "integer", "boolean" or "number".

    Raises
    ------
    DataFileError
        If its type cannot be a label.
    """
    types = import_pyarrow().types
    kind = kind.value_type if types.is_dictionary(kind) else kind
    if types.is_boolean(kind):
        return "boolean"
    if types.is_integer(kind):
        return "integer"
    if types.is_floating(kind):
        return "number"
    if types.is_string(kind) or types.is_large_string(kind):
        return "text"
    raise DataFileError(f"{file}: column {name!r} holds {kind}; labels are texts, numbers or booleans")


def find_inputs_dtype(file: str, kinds: dict[str, Any], dtype: str | None, first_row: dict[str, Any]) -> str:
    """Return the type of X for columns of these Arrow types.

    That is `dtype`, or else uint8 if all columns are, float32 if it holds all values exactly, else float64.

    Raises
    ------
    DataFileError
        If a column does not hold numbers; the message shows its value in the first row.
    """
    types, names = import_pyarrow().types, set()
    for name, kind in kinds.items():
        inner = kind.value_type if types.is_dictionary(kind) else kind
        numeric = types.is_integer(inner) or types.is_floating(inner) or types.is_boolean(inner)
        if not (numeric or types.is_decimal(inner)):
            shown = f" ({first_row[name]!r} in the first row)" if name in first_row else ""
            raise DataFileError(
                f"{file}: column {name!r} holds {inner}, not numbers{shown}; "
                "encode it as numbers, or leave it out"
            )
        names.add(str(inner))
    if dtype is not None:
        return dtype
    return "uint8" if len(names - {"uint8"}) == 0 else "float32" if names <= _EXACT_IN_FLOAT32 else "float64"


def convert_table(table: Any, columns: Columns) -> tuple[Rows, dict[int, str]]:
    """Return the samples of an Arrow table, and for each bad row what is wrong with it.

    The values of bad rows are arbitrary.
    """
    bad: dict[int, str] = {}
    y = _convert_labels(table[columns.target], columns, bad)
    X = _convert_inputs(table, columns, bad)
    weight = None if columns.weight is None else _convert_weights(table[columns.weight], columns.weight, bad)
    return Rows(X, y, weight), bad


def _convert_weights(column: Any, name: str, bad: dict[int, str]) -> NDArray[np.float64]:
    values = _convert_numbers(column, name, bad).astype(np.float64)
    wrong = ~(np.isfinite(values) & (values >= 0))
    _note_values(wrong, values, f"column {name!r} holds weights, which are finite numbers >= 0, not", bad)
    return values


def _convert_inputs(table: Any, columns: Columns, bad: dict[int, str]) -> NDArray[Any]:
    """Return X of shape (n, D_I)."""
    n = table.num_rows
    if columns.width is not None:
        return _convert_lists(table[columns.inputs[0]], columns, bad)
    X = np.empty((len(columns.inputs), n), columns.dtype)
    for j, name in enumerate(columns.inputs):
        values = _convert_numbers(table[name], name, bad)
        with np.errstate(over="ignore", invalid="ignore"):
            X[j] = values
        if values.dtype != X.dtype:
            _note_inexact(values, X[j], name, bad)
        elif X.dtype.kind == "f":
            _note_values(~np.isfinite(values), values, f"column {name!r} holds", bad)
    return np.ascontiguousarray(X.T)


def _convert_numbers(column: Any, name: str, bad: dict[int, str]) -> NDArray[Any]:
    """Return a column as numbers; note rows without a value."""
    pa = import_pyarrow()
    array = _join_chunks(column)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if array.null_count:
        _note_missing(array, name, bad)
        array = array.fill_null(False if pa.types.is_boolean(array.type) else 0)
    if pa.types.is_boolean(array.type):
        array = array.cast("uint8")
    elif pa.types.is_decimal(array.type):
        array = array.cast("float64")
    values: NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return values


def _note_inexact(values: NDArray[Any], X: NDArray[Any], name: str, bad: dict[int, str]) -> None:
    """Note values that X cannot hold: for integers any that differ, else those that are not finite."""
    with np.errstate(invalid="ignore"):
        wrong = values != X if X.dtype.kind == "u" else ~np.isfinite(X)
    _note_values(wrong, values, f"column {name!r} (as {X.dtype}) holds", bad)


def _convert_labels(column: Any, columns: Columns, bad: dict[int, str]) -> NDArray[Any]:
    pa = import_pyarrow()
    array, name = _join_chunks(column), columns.target
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    text = columns.label_type == "text"
    if array.null_count:
        _note_missing(array, name, bad)
        array = array.fill_null("" if text else False if columns.label_type == "boolean" else 0)
    if text:
        return np.array(array.to_pylist(), dtype=str) if len(array) else np.empty(0, "<U1")
    values: NDArray[Any] = array.to_numpy(zero_copy_only=False)
    if columns.label_type == "number":
        _note_values(~np.isfinite(values), values, f"column {name!r} holds", bad)
    return values


def _convert_lists(column: Any, columns: Columns, bad: dict[int, str]) -> NDArray[Any]:
    """Return the lists or bytes of a column as X, a row each."""
    pa = import_pyarrow()
    array, name, width = _join_chunks(column), columns.inputs[0], columns.width or 0
    X = np.zeros((len(array), width), columns.dtype)
    if array.null_count:
        _note_missing(array, name, bad)
    kind = array.type
    if pa.types.is_fixed_size_binary(kind):
        array = array.cast(pa.binary())
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        for row, value in enumerate(array.to_pylist()):
            if value is not None and len(value) == width:
                X[row] = np.frombuffer(value, np.uint8)
            elif value is not None:
                bad.setdefault(row, f"column {name!r} holds {len(value)} bytes, the first value {width}")
        return X
    lengths = pa.compute.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
    missing = array.is_null().to_numpy(zero_copy_only=False)
    fits = (lengths == width) & ~missing
    for row in np.flatnonzero((lengths != width) & ~missing).tolist():
        bad.setdefault(row, f"column {name!r} holds {lengths[row]} values, the first value {width}")
    inner: dict[int, str] = {}
    flat = array.filter(pa.array(fits)).flatten()
    values = _convert_numbers(pa.chunked_array([flat]), name, inner)
    rows = np.flatnonzero(fits)
    with np.errstate(over="ignore", invalid="ignore"):
        X[rows] = values.reshape(-1, width)
        wrong = (X[rows] != values.reshape(-1, width)) if X.dtype.kind == "u" else ~np.isfinite(X[rows])
    for at, why in inner.items():
        bad.setdefault(int(rows[at // width]), why)
    for at in np.flatnonzero(wrong.any(axis=1)).tolist():
        bad.setdefault(int(rows[at]), f"column {name!r} holds what {X.dtype} cannot, or NaN or infinity")
    return X


def _join_chunks(column: Any) -> Any:
    """Return the chunks of a column as one array."""
    pa = import_pyarrow()
    if column.num_chunks == 1:
        return column.chunk(0)
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _note_missing(array: Any, name: str, bad: dict[int, str]) -> None:
    for row in np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False)):
        bad.setdefault(int(row), f"column {name!r} holds no value; remove the row or impute it")


def _note_values(wrong: NDArray[Any], values: NDArray[Any], what: str, bad: dict[int, str]) -> None:
    for row in np.flatnonzero(wrong):
        bad.setdefault(int(row), f"{what} {values[row]}")
