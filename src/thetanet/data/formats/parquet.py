"""Parts of Parquet files: row groups, of which only the columns that are needed are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from thetanet.data.feature_names import check_inputs, check_unique, order_names
from thetanet.data.formats.columns import (
    Columns,
    arrow,
    check_dtype,
    check_same_names,
    check_weight_column,
    inputs_dtype,
    label_kind,
    rows_of_table,
    target_of,
)
from thetanet.data.formats.npy import stamp_of
from thetanet.data.skipping import Skipped
from thetanet.data.source import ROWS, Part, Paths, Rows, Source, absolute_names, join_rows
from thetanet.data.spool import origin_of, spooled
from thetanet.errors import DataFileError, InputError

LARGEST = 256 << 20  # bytes of a row group, decoded; larger ones are written to a temporary folder first
_BUFFER = 1 << 20
_INDEX = "__index_level_"  # how the columns are called that pandas writes its index to: no inputs


@dataclass(frozen=True)
class ParquetPart(Part):
    """A row group of a Parquet file."""

    file: str
    stamp: tuple[int, int]
    group: int
    first: int
    count: int
    columns: Columns
    skip_bad: bool = False
    skipped: Skipped = field(default_factory=Skipped, compare=False)

    @property
    def where(self) -> str:
        """Say which file and rows."""
        return f"{self.file}, rows {self.first:,} to {self.first + self.count - 1:,}"

    @property
    def fingerprint(self) -> tuple[Any, ...]:
        """What identifies the content."""
        return self.file, self.stamp, self.group, self.columns, self.skip_bad

    @property
    def file_name(self) -> str:
        """The file."""
        return self.file

    @property
    def row_offset(self) -> int:  # type: ignore[override]
        """Rows before this part."""
        return self.first - 1

    def read(self) -> Rows:
        """Read them."""
        return join_rows(list(self.batches(self.count)))

    def batches(self, size: int) -> Iterator[Rows]:
        """Yield them in pieces of at most `size` rows, each decoded when it is needed."""
        pa = arrow()
        self.skipped.count, done = 0, 0
        for table in _decoded(self.file, self.stamp, self.group, self.columns.names, max(1, size)):
            try:
                rows, bad = rows_of_table(table, self.columns)
            except (pa.ArrowException, ValueError, TypeError) as problem:
                raise DataFileError(f"{self.where}: cannot be read ({problem})") from problem
            if bad:
                row = min(bad)
                if not self.skip_bad:
                    raise DataFileError(f"{self.file}: row {self.first + done + row:,}: {bad[row]}")
                if not self.skipped.count:
                    self.skipped.first, self.skipped.why = f"row {self.first + done + row:,}", bad[row]
                self.skipped.count += len(bad)
                good = np.ones(rows.M, bool)
                good[list(bad)] = False
                rows = rows.take(good)
            done += table.num_rows
            yield rows
        if done != self.count:
            raise DataFileError(f"{self.where}: holds {done:,} rows, not {self.count:,}; the file is damaged")


def _decoded(file: str, stamp: tuple[int, int], group: int, names: list[str], rows: int) -> Iterator[Any]:
    """Yield tables of a row group."""
    pa = arrow()
    try:
        with open(file, "rb") as raw:
            if stamp_of(raw.fileno()) != stamp:
                raise DataFileError(f"{file}: has changed since it was opened; begin again")
            with pa.parquet.ParquetFile(raw, buffer_size=_BUFFER, page_checksum_verification=True) as opened:
                for batch in opened.iter_batches(rows, row_groups=[group], columns=names):
                    yield pa.Table.from_batches([batch])
    except DataFileError:
        raise
    except (pa.ArrowException, OSError, MemoryError, ValueError, TypeError, KeyError) as problem:
        raise DataFileError(f"{file}: row group {group} cannot be read ({_short(problem)})") from problem


def parquet_source(
    paths: Paths,
    target: str | None = None,
    *,
    skip_bad: bool = False,
    dtype: str | None = None,
    inputs: Sequence[str] | None = None,
    weight: str | None = None,
    largest: int = LARGEST,
) -> Source:
    """Return a source of Parquet files with the same columns; `open_source` describes the arguments.

    A row group that would take over `largest` bytes in memory is no part: then all is written to a temporary
    folder first, piece by piece.

    Raises
    ------
    DataFileError
        If a file is no such table, or is of another kind than the first one.
    MissingExtraError
        If pyarrow is not installed.
    """
    arrow()
    check_dtype(dtype)
    check_inputs(inputs)
    names, label = absolute_names(paths)
    files = [_opened(name) for name in names]
    if not files:
        raise InputError("Parquet: there are no samples in an empty list of files")
    columns = _columns(files, target, dtype, inputs, weight)
    parts: list[ParquetPart] = []
    for file in files:
        first = 1
        for group, count in enumerate(file.counts):
            if count:
                parts.append(ParquetPart(file.name, file.stamp, group, first, count, columns, skip_bad))
            first += count
    if not parts:
        raise InputError(f"{label}: there are no samples in it")
    feature_names = None if columns.width else list(columns.inputs)
    width = (columns.width or len(columns.inputs)) * np.dtype(columns.dtype).itemsize
    if max(part.count for part in parts) * width > largest:
        pieces = (piece for part in parts for piece in part.batches(max(1, min(ROWS, largest // width))))
        origin = (*origin_of(*names), columns, skip_bad)
        return replace(spooled(label, pieces, origin), unpacked=parts, feature_names=feature_names)
    return Source(label, parts, feature_names)


def _kind(kind: Any) -> str:
    types = arrow().types
    kind = kind.value_type if types.is_dictionary(kind) else kind
    return str(kind).removeprefix("large_")


@dataclass(frozen=True)
class _File:
    """A file that was looked at: its columns, their types, and the rows of its groups."""

    name: str
    stamp: tuple[int, int]
    kinds: dict[str, Any]
    counts: list[int]

    def tables(self, columns: list[str], rows: int) -> Iterator[Any]:
        """Yield some columns of all groups, so many rows at a time."""
        for group, count in enumerate(self.counts):
            if count:
                yield from _decoded(self.name, self.stamp, group, columns, rows)


def _opened(name: str) -> _File:
    pa = arrow()
    try:
        with open(name, "rb") as raw:
            stamp = stamp_of(raw.fileno())
            with pa.parquet.ParquetFile(raw) as opened:
                schema, meta = opened.schema_arrow, opened.metadata
                counts = [meta.row_group(group).num_rows for group in range(meta.num_row_groups)]
                if min(counts, default=0) < 0 or sum(counts) != meta.num_rows:
                    raise DataFileError(f"{name}: its row groups do not add up; the file is damaged")
                check_unique(name, schema.names)
                kinds = dict(zip(schema.names, schema.types, strict=True))
                kinds = {name: kind for name, kind in kinds.items() if not name.startswith(_INDEX)}
                return _File(name, stamp, kinds, counts)
    except DataFileError:
        raise
    except (pa.ArrowException, OSError, MemoryError, ValueError, TypeError, KeyError) as problem:
        raise DataFileError(f"{name}: cannot be read as Parquet ({_short(problem)})") from problem


def _columns(
    files: list[_File],
    target: str | None,
    dtype: str | None,
    wanted: Sequence[str] | None,
    weight: str | None,
) -> Columns:
    """See what the columns hold, and that they hold it in all files."""
    file, kinds = files[0].name, files[0].kinds
    target = target_of(file, list(kinds), target)
    label = label_kind(file, target, kinds[target])
    check_weight_column(file, list(kinds), weight)
    inputs = tuple(name for name in kinds if name not in (target, weight))
    if not inputs:
        raise DataFileError(f"{file}: has no column but the target {target!r}; inputs are missing")
    for other in files[1:]:
        check_same_names(other.name, list(other.kinds), file, list(kinds))
        for column in (*inputs, target):
            if _kind(other.kinds[column]) != _kind(kinds[column]):
                raise DataFileError(
                    f"{other.name}: column {column!r} holds {other.kinds[column]}, but {file} "
                    f"holds {kinds[column]} there; write all files with one type"
                )
    types, kind = arrow().types, kinds[inputs[0]]
    listed = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    packed = types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
    if len(inputs) == 1 and (listed or packed) and not types.is_decimal(kind):
        inner = {inputs[0]: kind.value_type} if listed else {}
        held = inputs_dtype(file, inner, dtype, {}) if listed else dtype or "uint8"
        return Columns(target, inputs, label, held, _width(files, inputs[0]), weight=weight)
    inputs = order_names(file, inputs, wanted)
    heads = (table.to_pylist()[0] for each in files for table in each.tables(list(inputs), 1))
    head: dict[str, Any] = next(heads, {})
    X_type = inputs_dtype(file, {name: kinds[name] for name in inputs}, dtype, head)
    return Columns(target, inputs, label, X_type, weight=weight)


def _width(files: list[_File], column: str) -> int:
    """Return how many values the lists or bytes of a column have; the first rows may hold none."""
    for file in files:
        for table in file.tables([column], ROWS):
            for value in table[column].to_pylist():
                if value:
                    return len(value)
    raise DataFileError(f"{files[0].name}: column {column!r} holds no values")


def _short(problem: BaseException) -> str:
    text = " ".join(str(problem).split())
    return text if len(text) <= 200 else f"{text[:200]}..."
