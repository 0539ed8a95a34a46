"""Parts of Parquet files: row groups, of which only the columns that are needed are read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from thetanet.data.feature_names import check_unique, order_names
from thetanet.data.files import Paths, Stamp, file_stamp, files_fingerprint, open_unchanged
from thetanet.data.formats.table import (
    Columns,
    TableOptions,
    convert_table,
    find_inputs_dtype,
    find_label_type,
    import_pyarrow,
    open_table,
)
from thetanet.data.npy_writer import write_temporary_source
from thetanet.data.skipping import Skipped
from thetanet.data.source import ROWS, Part, Rows, Source, join_rows
from thetanet.errors import DataFileError, InputError

MAX_GROUP_BYTES = 256 << 20  # of a row group, decoded; larger ones are written to a temporary folder first
_BUFFER = 1 << 20
_INDEX = "__index_level_"  # beginning of the names of columns that pandas writes its index to: no inputs


@dataclass(frozen=True)
class ParquetPart(Part):
    """A row group of a Parquet file."""

    file: str
    stamp: Stamp
    group: int
    first: int
    count: int
    columns: Columns
    skip_bad: bool = False
    skipped: Skipped = field(default_factory=Skipped, compare=False)

    @property
    def where(self) -> str:
        """Name of the file and the rows, counted from 1."""
        return f"{self.file}, rows {self.first:,} to {self.first + self.count - 1:,}"

    @property
    def fingerprint(self) -> tuple[Any, ...]:
        """Fingerprint of the content."""
        return self.file, self.stamp, self.group, self.columns, self.skip_bad

    @property
    def file_name(self) -> str:
        """Name of the file."""
        return self.file

    @property
    def row_offset(self) -> int:  # type: ignore[override]
        """Number of rows of the same file before this part."""
        return self.first - 1

    def read(self) -> Rows:
        """Return the samples."""
        return join_rows(list(self.read_batches(self.count)))

    def read_batches(self, size: int) -> Iterator[Rows]:
        """Yield the samples in batches of at most `size`, each decoded when it is needed."""
        pa = import_pyarrow()
        self.skipped.count, done = 0, 0
        for table in _decode(self.file, self.stamp, self.group, self.columns.names, max(1, size)):
            try:
                rows, bad = convert_table(table, self.columns)
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


def _decode(file: str, stamp: Stamp, group: int, names: list[str], rows: int) -> Iterator[Any]:
    """Yield columns of a row group as Arrow tables of at most so many rows."""
    pa = import_pyarrow()
    with open_unchanged(file, stamp) as raw:
        try:
            with pa.parquet.ParquetFile(raw, buffer_size=_BUFFER, page_checksum_verification=True) as opened:
                for batch in opened.iter_batches(rows, row_groups=[group], columns=names):
                    yield pa.Table.from_batches([batch])
        except (pa.ArrowException, OSError, MemoryError, ValueError, TypeError, KeyError) as problem:
            raise DataFileError(
                f"{file}: row group {group} cannot be read ({_shorten(problem)})"
            ) from problem


def parquet_source(paths: Paths, *, max_group_bytes: int = MAX_GROUP_BYTES, **options: Any) -> Source:
    """Return a source of Parquet files with the same columns.

    Parameters
    ----------
    paths : path or list of paths
        The files.
    max_group_bytes : int
        If a row group would take more memory, the samples are written to a temporary folder first, batch by
        batch.
    **options
        Fields of `TableOptions`.

    Raises
    ------
    DataFileError
        If a file is no such table, or is of another kind than the first one.
    MissingExtraError
        If pyarrow is not installed.
    """
    settings = TableOptions(**options)
    files, name = open_table(paths, _open_file)
    columns = _find_columns(files, settings)
    parts: list[ParquetPart] = []
    for file in files:
        first = 1
        for group, count in enumerate(file.counts):
            if count:
                parts.append(
                    ParquetPart(file.path, file.stamp, group, first, count, columns, settings.skip_bad)
                )
            first += count
    if not parts:
        raise InputError(f"{name}: there are no samples in it")
    feature_names = None if columns.width else list(columns.inputs)
    width = (columns.width or len(columns.inputs)) * np.dtype(columns.dtype).itemsize
    if max(part.count for part in parts) * width > max_group_bytes:
        size = max(1, min(ROWS, max_group_bytes // width))
        batches = (batch for part in parts for batch in part.read_batches(size))
        origin = (*files_fingerprint(*(file.path for file in files)), columns, settings.skip_bad)
        unpacked = write_temporary_source(name, batches, origin)
        return replace(unpacked, unpacked=parts, feature_names=feature_names)
    return Source(name, parts, feature_names)


@dataclass(frozen=True)
class _ParquetFile:
    """A Parquet file that was opened: the types of its columns, and the numbers of rows of its groups."""

    path: str
    stamp: Stamp
    types: dict[str, Any]
    counts: list[int]

    @property
    def column_names(self) -> list[str]:
        """Names of the columns."""
        return list(self.types)

    def type_name(self, column: str) -> str:
        """Return the name of the type of a column: the same for types that are read alike."""
        kind = self.types[column]
        kind = kind.value_type if import_pyarrow().types.is_dictionary(kind) else kind
        return str(kind).removeprefix("large_")

    def read_tables(self, columns: list[str], rows: int) -> Iterator[Any]:
        """Yield columns of all groups as Arrow tables of at most so many rows."""
        for group, count in enumerate(self.counts):
            if count:
                yield from _decode(self.path, self.stamp, group, columns, rows)


def _open_file(path: str) -> _ParquetFile:
    pa = import_pyarrow()
    try:
        with open(path, "rb") as raw:
            stamp = file_stamp(raw.fileno())
            with pa.parquet.ParquetFile(raw) as opened:
                schema, meta = opened.schema_arrow, opened.metadata
                counts = [meta.row_group(group).num_rows for group in range(meta.num_row_groups)]
                if min(counts, default=0) < 0 or sum(counts) != meta.num_rows:
                    raise DataFileError(f"{path}: its row groups do not add up; the file is damaged")
                check_unique(path, schema.names)
                types = dict(zip(schema.names, schema.types, strict=True))
                types = {name: kind for name, kind in types.items() if not name.startswith(_INDEX)}
                return _ParquetFile(path, stamp, types, counts)
    except DataFileError:
        raise
    except (pa.ArrowException, OSError, MemoryError, ValueError, TypeError, KeyError) as problem:
        raise DataFileError(f"{path}: cannot be read as Parquet ({_shorten(problem)})") from problem


def _find_columns(files: list[_ParquetFile], options: TableOptions) -> Columns:
    """Return what the columns hold, which is the same in all files."""
    first, *others = files
    path, kinds = first.path, first.types
    target, inputs = options.split_columns(path, first.column_names)
    label_type = find_label_type(path, target, kinds[target])
    for other in others:
        for column in (*inputs, target):
            if other.type_name(column) != first.type_name(column):
                raise DataFileError(
                    f"{other.path}: column {column!r} holds {other.types[column]}, but {path} "
                    f"holds {kinds[column]} there; write all files with one type"
                )
    types, kind = import_pyarrow().types, kinds[inputs[0]]
    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    is_bytes = types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
    if len(inputs) == 1 and (is_list or is_bytes) and not types.is_decimal(kind):
        inner = {inputs[0]: kind.value_type} if is_list else {}
        dtype = find_inputs_dtype(path, inner, options.dtype, {}) if is_list else options.dtype or "uint8"
        width = _find_width(files, inputs[0])
        return Columns(target, inputs, label_type, dtype, width, weight=options.weight)
    inputs = order_names(path, inputs, options.inputs)
    rows = (table.to_pylist()[0] for file in files for table in file.read_tables(list(inputs), 1))
    first_row: dict[str, Any] = next(rows, {})
    dtype = find_inputs_dtype(path, {name: kinds[name] for name in inputs}, options.dtype, first_row)
    return Columns(target, inputs, label_type, dtype, weight=options.weight)


def _find_width(files: list[_ParquetFile], column: str) -> int:
    """Return the number of values in each list, or bytes, of a column; the first rows may be empty."""
    for file in files:
        for table in file.read_tables([column], ROWS):
            for value in table[column].to_pylist():
                if value:
                    return len(value)
    raise DataFileError(f"{files[0].path}: column {column!r} holds no values")


def _shorten(problem: BaseException) -> str:
    text = " ".join(str(problem).split())
    return text if len(text) <= 200 else f"{text[:200]}..."
