"""Sources: labelled samples, in memory or larger than it, in parts that can be read in any order.

A source is a list of parts. A part has a method `read` and can be pickled, so that threads and the workers of
a cluster read parts too. Everything else (shuffling, reading ahead, scaling, classes) is built on that: a new
format is one class with `read` and a function that lists its parts. Arrays in memory are a source of one
part, which is read without a copy.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from thetanet.data.label_types import as_plain_labels, as_texts
from thetanet.data.skipping import Skipped, SkippedByFile
from thetanet.errors import DataFileError, InputError

Progress = Callable[[int, int], object]  # called with (how many are done, of how many): parts, or samples

ROWS = 4096  # of a part, unless the format determines them: a chunk of training data has many parts


class Rows(NamedTuple):
    """Labelled samples in memory, one a row.

    Attributes
    ----------
    X : array or CSR matrix of shape (n, D_I)
        Inputs.
    y : array of shape (n,) or (n, D_O)
        Labels, or an indicator matrix for several labels a sample.
    weight : array of shape (n,), optional
        Sample weights.
    """

    X: Any
    y: NDArray[Any]
    weight: NDArray[np.float64] | None = None

    @property
    def M(self) -> int:
        """Number of samples."""
        return int(self.X.shape[0])

    @property
    def nbytes(self) -> int:
        """Bytes of the inputs and labels."""
        X = self.X
        inputs = X.nbytes if isinstance(X, np.ndarray) else X.data.nbytes + X.indices.nbytes + X.indptr.nbytes
        return int(inputs + self.y.nbytes)

    def take(self, index: Any) -> Rows:
        """Return the rows of a slice, or of an array of indices or booleans."""
        weight = None if self.weight is None else self.weight[index]
        return Rows(self.X[index], self.y[index], weight)


class Part(ABC):
    """A piece of a source."""

    row_offset: int = 0  # rows of the same data that lie before this part, for messages
    skipped: Skipped | None = None  # malformed rows that the last `read` has left out, in formats that do so
    in_memory: bool = False  # whether `read` costs no time and no copy
    checked: bool = False  # whether the samples are known to be finite numbers with plain labels
    zero_based: bool | None = None  # whether the file counts inputs from 0, where a format lets it choose

    @property
    @abstractmethod
    def where(self) -> str:
        """Name of the file and the rows, for messages."""

    @abstractmethod
    def read(self) -> Rows:
        """Return the samples.

        Raises
        ------
        DataFileError
            If the file is not what it was, or holds something else; the message names file and row.
        """

    @property
    def file_name(self) -> str:
        """Name of the file, to group messages by."""
        return self.where

    @property
    def fingerprint(self) -> tuple[Any, ...] | None:
        """Fingerprint of the content, such as path, size and time of the file; None if there is none."""
        return None

    def map(self, function: Callable[[Rows], Rows]) -> Part:
        """Return a part that applies a function to the samples of this part.

        The function can be pickled, and its repr identifies it.
        """
        return MappedPart(self, function)

    def with_text_labels(self) -> Part:
        """Return this part with its labels as texts."""
        return self.map(_convert_labels_to_texts)


def _convert_labels_to_texts(rows: Rows) -> Rows:
    return rows._replace(y=as_texts(rows.y))


@dataclass(frozen=True)
class MappedPart(Part):
    """A part that applies a function to the samples of another part."""

    part: Part
    function: Callable[[Rows], Rows]

    @property
    def where(self) -> str:
        """Name of the file and the rows."""
        return self.part.where

    @property
    def file_name(self) -> str:
        """Name of the file."""
        return self.part.file_name

    @property
    def row_offset(self) -> int:  # type: ignore[override]
        """Rows before this part."""
        return self.part.row_offset

    @property
    def zero_based(self) -> bool | None:  # type: ignore[override]
        """Whether the file counts inputs from 0."""
        return self.part.zero_based

    @property
    def fingerprint(self) -> tuple[Any, ...] | None:
        """Fingerprint of the content and of the function."""
        inner = self.part.fingerprint
        if inner is None:
            return None
        name = getattr(self.function, "__qualname__", repr(self.function))
        return type(self.part).__name__, inner, name

    @property
    def skipped(self) -> Skipped | None:  # type: ignore[override]
        """Malformed rows that the last `read` has left out."""
        return self.part.skipped

    def read(self) -> Rows:
        """Return the samples."""
        return self.function(read_rows(self.part))


@dataclass(frozen=True)
class SampleSchema:
    """What all parts of a source have in common.

    Attributes
    ----------
    D_I : int
        Number of inputs.
    dtype : NumPy dtype
        Of the inputs.
    sparse : bool
        Whether the inputs are CSR matrices.
    label_columns : int, optional
        Columns of y, for several labels a sample.
    """

    D_I: int
    dtype: np.dtype[Any]
    sparse: bool
    label_columns: int | None

    @classmethod
    def of(cls, rows: Rows) -> SampleSchema:
        """Return the schema of these samples."""
        X, y = rows.X, rows.y
        columns = None if y.ndim == 1 else int(y.shape[1])
        return cls(int(X.shape[1]), np.dtype(X.dtype), not isinstance(X, np.ndarray), columns)

    def __str__(self) -> str:
        labels = "" if self.label_columns is None else f" and {self.label_columns} labels"
        return f"{self.D_I} inputs of {'sparse ' * self.sparse}{self.dtype}{labels}"


@dataclass(frozen=True, eq=False)
class Source:
    """Labelled samples in parts.

    Attributes
    ----------
    name : str
        For messages: the files, or the kind of the arrays.
    parts : sequence of Part
        In the order of the samples.
    feature_names : list of str, optional
        Names of the inputs.
    unpacked : sequence of Part
        Parts of the files that were unpacked when the source was opened: they counted the skipped rows.
    folder : object, optional
        A temporary folder that exists as long as the source.
    one_shot : bool
        Whether the origin of the samples is unknown, so that a later source cannot be recognised as the same.
    """

    name: str
    parts: Sequence[Part]
    feature_names: list[str] | None = None
    unpacked: Sequence[Part] = field(default=(), repr=False)
    folder: Any = field(default=None, repr=False)
    one_shot: bool = False

    def __post_init__(self) -> None:
        if not self.parts:
            raise InputError(f"{self.name}: there are no samples in it")

    @property
    def in_memory(self) -> bool:
        """Whether all samples are in memory, as one part that is read without a copy."""
        return len(self.parts) == 1 and self.parts[0].in_memory

    def __iter__(self) -> Iterator[tuple[Any, NDArray[Any]]]:
        """Yield (X, y) of all parts in order, checked to have one schema."""
        for rows in self.iter_rows():
            yield rows.X, rows.y

    def iter_rows(self, progress: Progress | None = None) -> Iterator[Rows]:
        """Yield the samples of all parts in order, checked to have one schema.

        `progress` is called with (parts read, parts) when the samples of a part have been used.
        """
        schema = None
        for n, part in enumerate(self.parts):
            rows = read_rows(part, schema)
            if rows.M:
                schema = SampleSchema.of(rows) if schema is None else schema
                yield rows
            if progress is not None:
                progress(n + 1, len(self.parts))

    def read_all(self) -> Rows:
        """Return all samples in memory; those of a single part without a copy."""
        return join_rows(list(self.iter_rows()) or [read_rows(self.parts[0])])

    def read_head(self, rows: int = ROWS) -> Rows:
        """Return the first samples, at most `rows`."""
        pieces: list[Rows] = []
        n = 0
        for piece in self.iter_rows():
            pieces.append(piece.take(slice(0, rows - n)))
            n += pieces[-1].M
            if n >= rows:
                break
        return join_rows(pieces or [read_rows(self.parts[0])])

    def skipped_rows(self) -> SkippedByFile:
        """Return for each file the number of rows its parts have skipped, where the first was, and why."""
        by_file: SkippedByFile = {}
        for part in [*self.parts, *self.unpacked]:
            skipped = part.skipped
            if skipped is not None and skipped.count:
                if part.file_name in by_file:
                    by_file[part.file_name][0] += skipped.count
                else:
                    by_file[part.file_name] = [skipped.count, skipped.first, skipped.why]
        return by_file

    def empty_error(self) -> InputError:
        """Return the error that the source holds no samples, or none that could be read."""
        skipped = self.skipped_rows()
        for file, (_, first, why) in skipped.items():
            total = sum(count for count, _, _ in skipped.values())
            message = f"{self.name}: no samples are left, {total:,} bad rows were skipped"
            return InputError(f"{message}, the first at {first} of {file}: {why}")
        return InputError(f"{self.name}: there are no samples in it")

    def map(self, function: Callable[[Rows], Rows]) -> Source:
        """Return a source that applies a function to the samples of this one (see `Part.map`)."""
        return replace(self, parts=[part.map(function) for part in self.parts])


def read_rows(part: Part, schema: SampleSchema | None = None) -> Rows:
    """Return the samples of a part, checked to be finite numbers with one plain label each.

    Raises
    ------
    DataFileError
        If they are not, or have another schema than the parts before.
    """
    rows = part.read()
    if not part.checked:
        rows = _check_rows(part, rows)
    if schema is not None and (actual := SampleSchema.of(rows)) != schema:
        raise DataFileError(f"{part.where}: holds {actual}, but the parts before it {schema}")
    return rows


def _check_rows(part: Part, rows: Rows) -> Rows:
    X, y, weight = rows
    try:
        y = as_plain_labels(y, part.row_offset)
    except InputError as problem:
        raise DataFileError(f"{part.where}: {problem}") from None
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]  # a column of labels, as scikit-learn takes it
    if X.ndim != 2 or len(y) != X.shape[0] or y.ndim not in (1, 2):
        raise DataFileError(
            f"{part.where}: X has shape {X.shape} and y {y.shape}; X needs one row and y one label for each "
            "sample"
        )
    values = X if isinstance(X, np.ndarray) else X.data
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        row = part.row_offset + _first_not_finite(X) + 1
        raise DataFileError(f"{part.where}: row {row:,} holds NaN or infinity; remove or impute it")
    if weight is not None:
        weight = np.asarray(weight, np.float64)
        if weight.shape != (len(y),):
            raise DataFileError(f"{part.where}: weights have shape {weight.shape}; give one a sample")
        bad = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
        if len(bad):
            row = part.row_offset + int(bad[0]) + 1
            raise DataFileError(
                f"{part.where}: the weight of row {row:,} is {weight[bad[0]]}; weights are finite, >= 0"
            )
    return Rows(X, y, weight)


def _first_not_finite(X: Any) -> int:
    if isinstance(X, np.ndarray):
        return int(np.flatnonzero(~np.isfinite(X).all(axis=1))[0])
    return int(np.searchsorted(X.indptr, np.flatnonzero(~np.isfinite(X.data))[0], side="right")) - 1


def join_rows(pieces: Sequence[Rows]) -> Rows:
    """Return samples of one schema, joined in order."""
    if len(pieces) == 1:
        return pieces[0]
    y = np.concatenate([piece.y for piece in pieces])
    weight = None
    if any(piece.weight is not None for piece in pieces):
        weight = np.concatenate([np.ones(p.M) if p.weight is None else p.weight for p in pieces])
    if isinstance(pieces[0].X, np.ndarray):
        return Rows(np.concatenate([piece.X for piece in pieces]), y, weight)
    from scipy import sparse

    return Rows(sparse.vstack([piece.X for piece in pieces], format="csr"), y, weight)


def hash_rows(rows: Rows) -> bytes:
    """Return a fingerprint of samples: the same for the same samples in the same order."""
    X, y, weight = rows
    hashed = hashlib.blake2b(repr((X.shape, X.dtype.str, y.dtype.str)).encode(), digest_size=16)
    inputs = [X] if isinstance(X, np.ndarray) else [X.data, X.indices, X.indptr]
    for array in [*inputs, y, *([] if weight is None else [weight])]:
        objects = array.dtype == object
        hashed.update(repr(array.tolist()).encode() if objects else np.ascontiguousarray(array).tobytes())
    return hashed.digest()
