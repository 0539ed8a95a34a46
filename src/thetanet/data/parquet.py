"""Parts of Parquet files: row groups, of which only the columns that are needed are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.data.columns import (
    Columns,
    arrow,
    check_dtype,
    check_inputs,
    check_same_names,
    in_order,
    inputs_dtype,
    label_kind,
    samples_of,
    target_of,
)
from thetanet.data.npy import stamp_of
from thetanet.data.skipping import Skipped
from thetanet.data.source import ROWS, Paths, Source, named
from thetanet.data.spool import origin_of, spooled
from thetanet.errors import DataFileError, InputError

LARGEST = 256 << 20  # bytes of a row group, decoded; larger ones are written to a temporary folder first
_BUFFER = 1 << 20
_INDEX = "__index_level_"  # how the columns are called that pandas writes its index to: no inputs


@dataclass(frozen=True)
class ParquetPart:
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
    def state(self) -> tuple[Any, ...]:
        """What a note on this part is good for."""
        return self.file, self.stamp, self.group, self.columns, self.skip_bad

    def read(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Read them."""
        pieces = list(self.batches(self.count))
        if len(pieces) == 1:
            return pieces[0]
        return np.concatenate([X for X, _ in pieces]), np.concatenate([y for _, y in pieces])

    def batches(self, rows: int) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Yield them in pieces, from the first to the last, each decoded when it is needed."""
        pa = arrow()
        self.skipped.count, done = 0, 0
        for table in _decoded(self.file, self.stamp, self.group, self.columns.names, max(1, rows)):
            try:
                X, y, bad = samples_of(table, self.columns)
            except (pa.ArrowException, ValueError, TypeError) as problem:
                raise DataFileError(f"{self.where}: cannot be read ({problem})") from problem
            if bad:
                row = min(bad)
                if not self.skip_bad:
                    raise DataFileError(f"{self.file}: row {self.first + done + row:,}: {bad[row]}")
                if not self.skipped.count:
                    self.skipped.first, self.skipped.why = f"row {self.first + done + row:,}", bad[row]
                self.skipped.count += len(bad)
                good = np.ones(len(y), bool)
                good[list(bad)] = False
                X, y = X[good], y[good]
            done += table.num_rows
            yield X, y
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
    names, label = named(paths)
    parts: list[ParquetPart] = []
    columns: Columns | None = None
    kinds: dict[str, Any] = {}
    for name in names:
        stamp, found, counts = _opened(name)
        if columns is None:
            kinds, columns = found[1], _columns(name, stamp, found, counts, target, dtype, inputs)
        else:
            check_same_names(name, found[0], names[0], list(kinds))
            for column in columns.names:
                if _kind(found[1][column]) != _kind(kinds[column]):
                    raise DataFileError(
                        f"{name}: column {column!r} holds {found[1][column]}, but {names[0]} "
                        f"holds {kinds[column]} there; write all files with one type"
                    )
        first = 1
        for group, count in enumerate(counts):
            if count:
                parts.append(ParquetPart(name, stamp, group, first, count, columns, skip_bad))
            first += count
    if columns is None or not parts:
        raise InputError(f"{names[0] if names else 'Parquet'}: there are no samples in it")
    feature_names = None if columns.width else list(columns.inputs)
    width = (columns.width or len(columns.inputs)) * np.dtype(columns.dtype).itemsize
    if max(part.count for part in parts) * width > largest:
        pieces = (piece for part in parts for piece in part.batches(max(1, min(ROWS, largest // width))))
        origin = (*origin_of(*names), columns, skip_bad)
        source = spooled(label, pieces, origin)
        object.__setattr__(source, "unpacked", parts)
        object.__setattr__(source, "feature_names", feature_names)
        return source
    return Source(label, parts, feature_names)


def _kind(kind: Any) -> str:
    types = arrow().types
    kind = kind.value_type if types.is_dictionary(kind) else kind
    return str(kind).removeprefix("large_")


def _opened(name: str) -> tuple[tuple[int, int], tuple[list[str], dict[str, Any]], list[int]]:
    """Return the stamp of a file, its columns and their types, and the rows of its groups."""
    pa = arrow()
    try:
        with open(name, "rb") as raw:
            stamp = stamp_of(raw.fileno())
            with pa.parquet.ParquetFile(raw) as opened:
                schema, meta = opened.schema_arrow, opened.metadata
                counts = [meta.row_group(group).num_rows for group in range(meta.num_row_groups)]
                if min(counts, default=0) < 0 or sum(counts) != meta.num_rows:
                    raise DataFileError(f"{name}: its row groups do not add up; the file is damaged")
                kinds = dict(zip(schema.names, schema.types, strict=True))
                names = [name for name in schema.names if not name.startswith(_INDEX)]
                return stamp, (names, {name: kinds[name] for name in names}), counts
    except DataFileError:
        raise
    except (pa.ArrowException, OSError, MemoryError, ValueError, TypeError, KeyError) as problem:
        raise DataFileError(f"{name}: cannot be read as Parquet ({_short(problem)})") from problem


def _columns(
    file: str,
    stamp: tuple[int, int],
    found: tuple[list[str], dict[str, Any]],
    counts: list[int],
    target: str | None,
    dtype: str | None,
    wanted: Sequence[str] | None,
) -> Columns:
    """See what the columns hold."""
    types = arrow().types
    names, kinds = found
    target = target_of(file, names, target)
    label = label_kind(file, target, kinds[target])
    inputs = tuple(name for name in names if name != target)
    if not inputs:
        raise DataFileError(f"{file}: has no column but the target {target!r}; inputs are missing")
    head = {}
    group = next((group for group, count in enumerate(counts) if count), None)
    if group is not None:
        for table in _decoded(file, stamp, group, list(inputs), 1):
            head = table.to_pylist()[0]
            break
    kind = kinds[inputs[0]]
    listed = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    packed = types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
    if len(inputs) == 1 and (listed or packed) and not types.is_decimal(kind):
        if not head.get(inputs[0]):
            raise DataFileError(f"{file}: row 1: column {inputs[0]!r} holds no values")
        inner = {inputs[0]: kind.value_type} if listed else {}
        return Columns(
            target,
            inputs,
            label,
            inputs_dtype(file, inner, dtype, {}) if listed else "uint8",
            len(head[inputs[0]]),
        )
    inputs = in_order(file, inputs, wanted)
    return Columns(
        target, inputs, label, inputs_dtype(file, {name: kinds[name] for name in inputs}, dtype, head)
    )


def _short(problem: BaseException) -> str:
    text = " ".join(str(problem).split())
    return text if len(text) <= 200 else f"{text[:200]}..."
