"""Parts of svmlight (LIBSVM) files, parsed by scikit-learn: sparse samples, one a line.

    label index:value index:value ...  # comment

The number of inputs, and whether indices begin at 0 or 1, is read off in one pass over the files: at 0 if any
index in any of the files is 0. Labels become integers if all of them are.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from thetanet.data.files import Paths, absolute_names
from thetanet.data.formats.text import PIECE, BadRowError, Lines, TextPart, split_at_line_ends
from thetanet.data.skipping import Skipped
from thetanet.data.source import Rows, Source
from thetanet.errors import DataFileError, InputError

MAX_INPUTS = 10_000_000  # a larger index is an error, unless n_features allows it


@dataclass(frozen=True)
class SvmlightPart(TextPart):
    """Some lines of an svmlight file."""

    lines: Lines
    D_I: int
    from_zero: bool
    integer_labels: bool
    dtype: str = "float64"
    skip_bad: bool = False
    skipped: Skipped = field(default_factory=Skipped, compare=False)

    @property
    def fingerprint(self) -> tuple[Any, ...]:
        """Fingerprint of the content."""
        return self.lines, self.D_I, self.from_zero, self.integer_labels, self.dtype, self.skip_bad

    @property
    def zero_based(self) -> bool:  # type: ignore[override]
        """Whether the file counts inputs from 0."""
        return self.from_zero

    def _parse(self, text: bytes) -> Rows:
        from scipy import sparse
        from sklearn.datasets import load_svmlight_file

        if not any(_content(line) for line in text.split(b"\n")):
            empty = np.empty(0, np.int64 if self.integer_labels else np.float64)
            return Rows(sparse.csr_matrix((0, self.D_I), dtype=self.dtype), empty)
        try:
            X, y = load_svmlight_file(
                io.BytesIO(text), n_features=self.D_I, dtype=np.float64, zero_based=self.from_zero
            )
        except (ValueError, OverflowError, IndexError, TypeError) as problem:
            raise BadRowError(" ".join(str(problem).split())) from None
        X = X.astype(self.dtype)
        if not np.isfinite(X.data).all() or not np.isfinite(y).all():
            raise BadRowError("NaN or infinity")
        if len(X.indices) and (X.indices.min() < 0 or X.indices.max() >= self.D_I):
            raise BadRowError(f"an index outside of the {self.D_I} inputs")
        if self.integer_labels:
            if (y != np.floor(y)).any() or (np.abs(y) > 2**53).any():
                raise BadRowError("a label that is no whole number")
            y = y.astype(np.int64)
        return Rows(X, y)

    def _obviously_bad(self, rows: list[bytes]) -> Iterator[int]:
        """Yield the lines that hold something else than a number and pairs of numbers."""
        for n, row in enumerate(rows):
            label, *pairs = _content(row).split() or [b"0"]
            try:
                float(label)
                for pair in pairs[pairs[:1] != [] and pairs[0].startswith(b"qid:") :]:
                    index, _, value = pair.partition(b":")
                    int(index)
                    float(value)
            except ValueError:
                yield n


def _content(line: bytes) -> bytes:
    """Return a line without its comment."""
    return line.partition(b"#")[0].strip()


def svmlight_source(
    paths: Paths,
    n_features: int | None = None,
    zero_based: bool | None = None,
    *,
    skip_bad: bool = False,
    dtype: str | None = None,
    piece: int = PIECE,
) -> Source:
    """Return a source of svmlight files.

    Parameters
    ----------
    paths : path or list of paths
        The files.
    n_features : int, optional
        D_I; the largest index in the files if left out.
    zero_based : bool, optional
        Whether indices begin at 0. If left out, they do where one is 0. Test data may lack that one.
    skip_bad : bool
        Leave malformed lines out, and warn of them, instead of raising.
    dtype : str, optional
        Of X, "float64" or "float32".
    piece : int
        Bytes of text in a part.

    Raises
    ------
    DataFileError
        If a file is malformed; the message names file and line.
    """
    if dtype not in (None, "float32", "float64"):
        raise InputError(f"dtype={dtype!r}: sparse inputs are float64 or float32")
    paths, name = absolute_names(paths)
    pieces = [lines for path in paths for lines in split_at_line_ends(path, piece)]
    low, high, integer = 1, 0, True
    limit = MAX_INPUTS if n_features is None else n_features
    for lines in pieces:
        for n, line in enumerate(lines.read().split(b"\n")):
            try:
                outline = _outline(line, limit)
            except BadRowError as problem:
                if not skip_bad:
                    raise DataFileError(f"{lines.path}: line {lines.first + n:,}: {problem}") from None
                continue
            if outline is None or (outline[0] >= low and outline[1] <= high and integer <= outline[2]):
                continue
            if skip_bad and not _can_be_parsed(line, outline[1]):
                continue  # a line that is left out must not widen X
            low, high, integer = min(low, outline[0]), max(high, outline[1]), integer and outline[2]
    from_zero = low == 0 if zero_based is None else zero_based
    D_I = high + from_zero if n_features is None else n_features
    if D_I < 1:
        raise DataFileError(
            f"{', '.join(paths)}: no inputs in it; lines are: label index:value index:value ..."
        )
    parts = [SvmlightPart(lines, D_I, from_zero, integer, dtype or "float64", skip_bad) for lines in pieces]
    return Source(name, parts)


def _can_be_parsed(line: bytes, high: int) -> bool:
    """Return whether a line, whose largest index is `high`, can be parsed."""
    try:
        SvmlightPart(Lines("", (0, 0), 0, 0, 1), high + 1, from_zero=True, integer_labels=False)._parse(line)
    except BadRowError:
        return False
    return True


def _outline(line: bytes, limit: int) -> tuple[int, int, bool] | None:
    """Return lowest and highest index of a line (1, 0 if it has none), and whether its label is an integer.

    Indices rise along a line, so that those at its ends are enough; the parser checks that they rise.
    """
    content = _content(line)
    if not content:
        return None
    label, *ends = content.split(None, 2)
    try:
        integer = float(label).is_integer()
    except (ValueError, OverflowError):
        raise BadRowError(f"label {label[:20]!r} is no number") from None
    rest = content[len(label) :].split(None, 1)
    if rest and rest[0].startswith(b"qid:"):
        ends = rest = rest[1].split(None, 1) if len(rest) > 1 else []
    if not ends:
        return 1, 0, integer
    indices = []
    for pair in (rest[0], content.rsplit(None, 1)[-1]):
        text = pair.partition(b":")[0]
        if not text.isdigit():
            raise BadRowError(f"{pair[:20]!r} is not index:value")
        indices.append(int(text) if len(text) < 20 else limit + 1)
    if indices[1] > limit:
        raise BadRowError(f"index {indices[1]:,} is above {limit:,}; give n_features if there are that many")
    return indices[0], indices[1], integer
