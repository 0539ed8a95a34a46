"""Parts of CSV files: pieces that end at line ends, parsed by pyarrow.

The first line names the columns. Values are separated by what is most frequent there: a comma, a semicolon, a
tab or a bar. Numbers are read as float64; the types of columns and labels are those of the first piece. A
quoted value must end on its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from thetanet.data.feature_names import order_names
from thetanet.data.files import Paths
from thetanet.data.formats.table import (
    Columns,
    TableOptions,
    convert_table,
    find_inputs_dtype,
    find_label_type,
    import_pyarrow,
    open_table,
)
from thetanet.data.formats.text import (
    PIECE,
    BadRowError,
    Lines,
    TextPart,
    find_bad_rows,
    split_at_line_ends,
    split_lines,
)
from thetanet.data.skipping import Skipped
from thetanet.data.source import Rows, Source
from thetanet.errors import DataFileError

_ARROW_TYPES = {"boolean": "bool", "integer": "int64", "number": "double", "text": "string"}
_NUMPY_TYPES = {"boolean": "?", "integer": "<i8", "number": "<f8", "text": "<U1"}
_BOOLEANS = {"true", "True", "TRUE", "false", "False", "FALSE"}
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class CsvPart(TextPart):
    """Some rows of a CSV file."""

    lines: Lines
    header: tuple[str, ...]
    delimiter: str
    columns: Columns
    skip_bad: bool = False
    skipped: Skipped = field(default_factory=Skipped, compare=False)

    @property
    def fingerprint(self) -> tuple[Any, ...]:
        """Fingerprint of the content."""
        return self.lines, self.header, self.delimiter, self.columns, self.skip_bad

    def _check(self, text: bytes) -> None:
        _check_quotes(self.lines, text)

    def with_text_labels(self) -> CsvPart:
        """Return this part with its labels as they are written: 007 and true, not 7 and True."""
        return replace(self, columns=replace(self.columns, label_type="text"))

    def _parse(self, text: bytes) -> Rows:
        if not text.strip(b"\r\n"):
            empty = np.empty((0, len(self.columns.inputs)), self.columns.dtype)
            weight = None if self.columns.weight is None else np.empty(0)
            return Rows(empty, np.empty(0, _NUMPY_TYPES[self.columns.label_type]), weight)
        table = _parse_table(text, self.header, self.delimiter, self.columns)
        rows, bad = convert_table(table, self.columns)
        y = rows.y
        if y.dtype.kind == "U" and (y == "").any():  # which is a text like others for Arrow
            raise BadRowError(f"column {self.columns.target!r} holds no value; remove the row or impute it")
        if bad:
            raise BadRowError(bad[min(bad)])
        return rows

    def _obviously_bad(self, rows: list[bytes]) -> Iterator[int]:
        """Yield the rows with another number of values, or inputs that are no numbers for Python either."""
        mark, width = self.delimiter.encode(), len(self.header)
        others = {self.columns.target, *self.columns.booleans}
        numbers = [n for n, name in enumerate(self.header) if name not in others]
        for n, row in enumerate(rows):
            if b'"' in row or not row.strip(b"\r\n"):
                continue
            values = row.split(mark)
            try:
                if len(values) != width:
                    raise ValueError
                for number in numbers:
                    float(values[number])
            except ValueError:
                yield n


def _check_quotes(lines: Lines, text: bytes) -> None:
    """Raise an error for values that go over several lines: a piece might begin within one."""
    for n, row in enumerate(text.split(b"\n") if b'"' in text else ()):
        if row.count(b'"') % 2:
            raise DataFileError(
                f"{lines.path}: line {lines.first + n:,} has a quote without an end; "
                "values that go over several lines cannot be read"
            )


def _parse_table(text: bytes, header: Sequence[str], delimiter: str, columns: Columns | None = None) -> Any:
    """Return rows as an Arrow table; without `columns` all of its columns, of types that Arrow infers.

    Raises
    ------
    BadRowError
        If a row is malformed; the message does not say which.
    """
    pa = import_pyarrow()
    kinds = {}
    if text.count(b"\r") != text.count(b"\r\n"):  # it would end a row for Arrow, but no line here
        raise BadRowError("a carriage return within the line")
    if columns is not None:
        kinds = {name: pa.float64() for name in columns.inputs}
        kinds |= {name: pa.bool_() for name in columns.booleans}
        if columns.weight is not None:
            kinds[columns.weight] = pa.float64()
        kinds[columns.target] = pa.type_for_alias(_ARROW_TYPES[columns.label_type])
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(text),
            read_options=pa.csv.ReadOptions(column_names=list(header), block_size=len(text) + 1),
            parse_options=pa.csv.ParseOptions(delimiter=delimiter),
            convert_options=pa.csv.ConvertOptions(
                column_types=kinds,
                include_columns=None if columns is None else columns.names,
                null_values=[],
                strings_can_be_null=False,
            ),
        )
    except (pa.ArrowException, UnicodeDecodeError, KeyError) as problem:
        raise BadRowError(_simplify(str(problem), header)) from None
    if table.num_rows != sum(bool(line.strip(b"\r")) for line in text.split(b"\n")):
        raise BadRowError(f"{table.num_rows:,} rows in {len(split_lines(text)):,} lines")
    return table


def _simplify(message: str, header: Sequence[str]) -> str:
    """Return a message of Arrow with the name of the column instead of its number."""
    text = re.sub(r"\bRow #\d+: ", "", " ".join(message.removeprefix("CSV parse error: ").split()))
    number, _, rest = text.removeprefix("In CSV column #").partition(": ")
    if number.isdigit() and int(number) < len(header):
        kind, _, value = rest.removeprefix("CSV conversion error to ").partition(": ")
        text = f"column {header[int(number)]!r} is of type {kind}: {value}"
    return text if len(text) <= 200 else f"{text[:200]}..."


@dataclass(frozen=True)
class _CsvFile:
    """A CSV file that was opened: the names in its first line, what separates values, and its other lines."""

    path: str
    column_names: tuple[str, ...]
    delimiter: str
    pieces: list[Lines]


def csv_source(paths: Paths, *, piece: int = PIECE, **options: Any) -> Source:
    """Return a source of CSV files with the same columns.

    Parameters
    ----------
    paths : path or list of paths
        The files.
    piece : int
        Bytes of text in a part.
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
    files, name = open_table(paths, lambda path: _open_file(path, piece))
    columns = _find_columns(files[0], settings)
    parts = [
        CsvPart(lines, file.column_names, file.delimiter, columns, settings.skip_bad)
        for file in files
        for lines in file.pieces
    ]
    return Source(name, parts, list(columns.inputs))


def _open_file(path: str, piece: int) -> _CsvFile:
    """Return a file, with the names of its columns and what separates them."""
    lines = split_at_line_ends(path, piece, head=True)
    if len(lines) < 2:
        raise DataFileError(f"{path}: has no rows under a first line that names the columns")
    text = lines[0].read().removeprefix(_BOM).rstrip(b"\r\n")
    delimiter = max(",;\t|", key=lambda mark: text.count(mark.encode()))
    pa = import_pyarrow()
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(text + b"\n"), parse_options=pa.csv.ParseOptions(delimiter=delimiter)
        )
        names = tuple(table.column_names)
    except (pa.ArrowException, UnicodeDecodeError) as problem:
        raise DataFileError(f"{path}: line 1 does not name the columns ({problem})") from None
    if len(names) < 2 or b"\r" in text or b"\0" in text:
        raise DataFileError(f"{path}: line 1 names {len(names)} column(s); a table has a target and inputs")
    if all(_is_number(name) for name in names):
        raise DataFileError(
            f"{path}: line 1 holds numbers ({', '.join(names[:3])}, ...); "
            "it must name the columns: put names on top"
        )
    return _CsvFile(path, names, delimiter, lines[1:])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _find_columns(file: _CsvFile, options: TableOptions) -> Columns:
    """Return what the columns hold, which is inferred from the first rows."""
    path, header, delimiter = file.path, file.column_names, file.delimiter
    target, inputs = options.split_columns(path, header)
    inputs = order_names(path, inputs, options.inputs)
    text = file.pieces[0].read()
    _check_quotes(file.pieces[0], text)
    rows = [row + b"\n" for row in text.split(b"\n") if row.strip(b"\r")]
    if not rows:
        raise DataFileError(f"{path}: has no rows")

    def parse(text: bytes) -> Any:
        return _parse_table(text, header, delimiter)

    try:
        table = parse(b"".join(rows))
    except BadRowError:  # a row of another width: types are inferred from the others
        try:
            bad = {n for n, _ in find_bad_rows(rows, parse)}
            table = parse(b"".join(row for n, row in enumerate(rows) if n not in bad))
        except BadRowError as problem:
            raise DataFileError(f"{path}: {problem}") from None
    dtype, booleans = _infer_inputs(path, table, inputs, options.dtype)
    label_type = _infer_label_type(path, target, table[target])
    return Columns(target, inputs, label_type, dtype, booleans=booleans, weight=options.weight)


def _infer_label_type(file: str, target: str, column: Any) -> str:
    """Return the type of the labels, without the few that are missing, whose rows are bad."""
    pa = import_pyarrow()
    if pa.types.is_binary(column.type):  # texts that are not UTF-8
        return "text"
    kind = column.type
    if pa.types.is_string(kind):  # perhaps only as some values are missing
        present = column.filter(pa.compute.not_equal(column, ""))
        for narrower in (pa.int64(), pa.bool_(), pa.float64()) if 0 < len(present) < len(column) else ():
            try:
                kind = present.cast(narrower).type
                break
            except pa.ArrowInvalid:
                continue
    return find_label_type(file, target, kind)


def _infer_inputs(
    file: str, table: Any, inputs: tuple[str, ...], dtype: str | None
) -> tuple[str, tuple[str, ...]]:
    """Return the type of X, and which inputs are booleans; a few rows may be bad."""
    pa = import_pyarrow()
    numeric, booleans = {}, []
    for name in inputs:
        column = table[name]
        kind = column.type
        if (pa.types.is_string(kind) or pa.types.is_binary(kind)) and len(column):
            values = [_decode(value) for value in column.to_pylist()]
            texts = [value for value in values if not _is_number(value)]
            n_booleans = sum(text in _BOOLEANS for text in texts)
            if 2 * (len(texts) - n_booleans) > len(values):
                raise DataFileError(
                    f"{file}: column {name!r} holds texts, not numbers ({texts[0]!r} in line "
                    f"{values.index(texts[0]) + 2}); encode it as numbers, or leave it out"
                )
            kind = pa.bool_() if 2 * n_booleans > len(values) else pa.float64()
        if pa.types.is_boolean(kind):
            booleans.append(name)
        numeric[name] = pa.float64() if pa.types.is_boolean(kind) or pa.types.is_null(kind) else kind
    return find_inputs_dtype(file, numeric, dtype, {}), tuple(booleans)


def _decode(value: str | bytes) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else value
