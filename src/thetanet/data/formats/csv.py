"""Parts of CSV files: pieces that end at line ends, parsed by pyarrow.

The first line names the columns. Values are separated by what is most frequent there: a comma, a semicolon, a
tab or a bar. Numbers are read as float64; which columns hold numbers and what the labels are is seen in the
first piece, and holds for all. A quoted value must end on its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from thetanet.data.feature_names import check_inputs, order_names
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
from thetanet.data.formats.lines import PIECE, BadRowError, Lines, bad_rows, cut_at_lines, split
from thetanet.data.formats.text import TextPart
from thetanet.data.skipping import Skipped
from thetanet.data.source import Paths, Rows, Source, absolute_names
from thetanet.errors import DataFileError

_ARROW = {"boolean": "bool", "integer": "int64", "number": "double", "text": "string"}
_EMPTY = {"boolean": "?", "integer": "<i8", "number": "<f8", "text": "<U1"}  # types of no labels
_TRUTHS = {"true", "True", "TRUE", "false", "False", "FALSE"}
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
        """What identifies the content."""
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
            return Rows(empty, np.empty(0, _EMPTY[self.columns.label_type]), weight)
        table = parsed(text, self.header, self.delimiter, self.columns)
        rows, bad = rows_of_table(table, self.columns)
        y = rows.y
        if y.dtype.kind == "U" and (y == "").any():  # which Arrow takes for a text like others
            raise BadRowError(f"column {self.columns.target!r} holds no value; remove the row or impute it")
        if bad:
            raise BadRowError(bad[min(bad)])
        return rows

    def _surely_bad(self, rows: list[bytes]) -> Iterator[int]:
        """Yield the rows with another number of values, or inputs that are no numbers for Python either."""
        mark, width = self.delimiter.encode(), len(self.header)
        others = {self.columns.target, *self.columns.booleans}
        numbers = [place for place, name in enumerate(self.header) if name not in others]
        for place, row in enumerate(rows):
            if b'"' in row or not row.strip(b"\r\n"):
                continue
            values = row.split(mark)
            try:
                if len(values) != width:
                    raise ValueError
                for number in numbers:
                    float(values[number])
            except ValueError:
                yield place


def _check_quotes(lines: Lines, text: bytes) -> None:
    """Refuse values that go over several lines: a piece might begin within one."""
    for n, row in enumerate(text.split(b"\n") if b'"' in text else ()):
        if row.count(b'"') % 2:
            raise DataFileError(
                f"{lines.path}: line {lines.first + n:,} has a quote without an end; "
                "values that go over several lines cannot be read"
            )


def parsed(text: bytes, header: Sequence[str], delimiter: str, columns: Columns | None = None) -> Any:
    """Parse rows as a table; without `columns`, all of them, and their types are guessed.

    Raises
    ------
    BadRowError
        If a row is malformed; the message does not say which.
    """
    pa = arrow()
    kinds = {}
    if text.count(b"\r") != text.count(b"\r\n"):  # it would end a row for Arrow, but no line here
        raise BadRowError("a carriage return within the line")
    if columns is not None:
        kinds = {name: pa.float64() for name in columns.inputs}
        kinds |= {name: pa.bool_() for name in columns.booleans}
        if columns.weight is not None:
            kinds[columns.weight] = pa.float64()
        kinds[columns.target] = pa.type_for_alias(_ARROW[columns.label_type])
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
        raise BadRowError(_plain(str(problem), header)) from None
    if table.num_rows != sum(bool(line.strip(b"\r")) for line in text.split(b"\n")):
        raise BadRowError(f"{table.num_rows:,} rows in {len(split(text)):,} lines")
    return table


def _plain(message: str, header: Sequence[str]) -> str:
    """Name the column that Arrow numbers."""
    text = re.sub(r"\bRow #\d+: ", "", " ".join(message.removeprefix("CSV parse error: ").split()))
    number, _, rest = text.removeprefix("In CSV column #").partition(": ")
    if number.isdigit() and int(number) < len(header):
        kind, _, value = rest.removeprefix("CSV conversion error to ").partition(": ")
        text = f"column {header[int(number)]!r} is of type {kind}: {value}"
    return text if len(text) <= 200 else f"{text[:200]}..."


def csv_source(
    paths: Paths,
    target: str | None = None,
    *,
    skip_bad: bool = False,
    dtype: str | None = None,
    inputs: Sequence[str] | None = None,
    weight: str | None = None,
    piece: int = PIECE,
) -> Source:
    """Return a source of CSV files with the same columns; `open_source` describes the arguments.

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
    parts: list[CsvPart] = []
    columns: Columns | None = None
    expected: tuple[str, ...] = ()
    for name in names:
        lines = cut_at_lines(name, piece, head=True)
        header, delimiter = _header(name, lines)
        if columns is None:
            expected, columns = (
                header,
                _columns(name, header, delimiter, lines[1], target, dtype, inputs, weight),
            )
        else:
            check_same_names(name, header, names[0], expected)
        parts += [CsvPart(each, header, delimiter, columns, skip_bad) for each in lines[1:]]
    if columns is None:
        raise DataFileError("there are no CSV files; give at least one")
    return Source(label, parts, list(columns.inputs))


def _header(file: str, lines: list[Lines]) -> tuple[tuple[str, ...], str]:
    """Return the names of the columns, and what separates them."""
    if len(lines) < 2:
        raise DataFileError(f"{file}: has no rows under a first line that names the columns")
    text = lines[0].read().removeprefix(_BOM).rstrip(b"\r\n")
    delimiter = max(",;\t|", key=lambda mark: text.count(mark.encode()))
    pa = arrow()
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(text + b"\n"), parse_options=pa.csv.ParseOptions(delimiter=delimiter)
        )
        names = tuple(table.column_names)
    except (pa.ArrowException, UnicodeDecodeError) as problem:
        raise DataFileError(f"{file}: line 1 does not name the columns ({problem})") from None
    if len(names) < 2 or b"\r" in text or b"\0" in text:
        raise DataFileError(f"{file}: line 1 names {len(names)} column(s); a table has a target and inputs")
    if all(_is_number(name) for name in names):
        raise DataFileError(
            f"{file}: line 1 holds numbers ({', '.join(names[:3])}, ...); "
            "it must name the columns: put names on top"
        )
    return names, delimiter


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _columns(
    file: str,
    header: tuple[str, ...],
    delimiter: str,
    lines: Lines,
    target: str | None,
    dtype: str | None,
    wanted: Sequence[str] | None,
    weight: str | None,
) -> Columns:
    """See in the first rows what the columns hold."""
    target = target_of(file, header, target)
    check_weight_column(file, header, weight)
    inputs = order_names(file, [name for name in header if name not in (target, weight)], wanted)
    text = lines.read()
    _check_quotes(lines, text)
    rows = [row + b"\n" for row in text.split(b"\n") if row.strip(b"\r")]
    if not rows:
        raise DataFileError(f"{file}: has no rows")

    def parse(text: bytes) -> Any:
        return parsed(text, header, delimiter)

    try:
        table = parse(b"".join(rows))
    except BadRowError:  # a row of another width: what there is without such rows
        try:
            wrong = {place for place, _ in bad_rows(rows, parse)}
            table = parse(b"".join(row for place, row in enumerate(rows) if place not in wrong))
        except BadRowError as problem:
            raise DataFileError(f"{file}: {problem}") from None
    dtype, booleans = _inputs(file, table, inputs, dtype)
    label = _label(file, target, table[target])
    return Columns(target, inputs, label, dtype, booleans=booleans, weight=weight)


def _label(file: str, target: str, column: Any) -> str:
    """Return the kind of the labels, but for a few rows that are bad and will be named."""
    pa = arrow()
    if pa.types.is_binary(column.type):  # texts that are not UTF-8
        return "text"
    kind = column.type
    if pa.types.is_string(kind):  # or it would be something else without the values that are missing
        there = column.filter(pa.compute.not_equal(column, ""))
        for narrower in (pa.int64(), pa.bool_(), pa.float64()) if 0 < len(there) < len(column) else ():
            try:
                kind = there.cast(narrower).type
                break
            except pa.ArrowInvalid:
                continue
    return label_kind(file, target, kind)


def _inputs(file: str, table: Any, inputs: tuple[str, ...], dtype: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the type of X, and which inputs are booleans; a few rows may be bad, and will be named."""
    pa = arrow()
    numeric, booleans = {}, []
    for name in inputs:
        column = table[name]
        kind = column.type
        if (pa.types.is_string(kind) or pa.types.is_binary(kind)) and len(column):
            values = [_decoded(value) for value in column.to_pylist()]
            texts = [value for value in values if not _is_number(value)]
            truths = sum(text in _TRUTHS for text in texts)
            if 2 * (len(texts) - truths) > len(values):
                raise DataFileError(
                    f"{file}: column {name!r} holds texts, not numbers ({texts[0]!r} in line "
                    f"{values.index(texts[0]) + 2}); encode it as numbers, or leave it out"
                )
            kind = pa.bool_() if 2 * truths > len(values) else pa.float64()
        if pa.types.is_boolean(kind):
            booleans.append(name)
        numeric[name] = pa.float64() if pa.types.is_boolean(kind) or pa.types.is_null(kind) else kind
    return inputs_dtype(file, numeric, dtype, {}), tuple(booleans)


def _decoded(value: str | bytes) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else value
