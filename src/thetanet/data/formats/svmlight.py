"""Parts of svmlight (LIBSVM) files, parsed by scikit-learn: sparse samples, one a line.

    label index:value index:value ...  # comment

One pass over the files finds the number of inputs and whether indices begin at 0 or 1: at 0 if any index in
any of the files is 0. Labels become whole numbers if all of them are.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from thetanet.data.formats.lines import PIECE, BadRowError, Lines, cut_at_lines
from thetanet.data.formats.text import TextPart
from thetanet.data.skipping import Skipped
from thetanet.data.source import Paths, Rows, Source, absolute_names
from thetanet.errors import DataFileError, InputError

MOST_INPUTS = 10_000_000  # a larger index is taken for damage, unless n_features is given


@dataclass(frozen=True)
class SvmlightPart(TextPart):
    """Some lines of an svmlight file."""

    lines: Lines
    D_I: int
    from_zero: bool
    whole: bool
    dtype: str = "float64"
    skip_bad: bool = False
    skipped: Skipped = field(default_factory=Skipped, compare=False)

    @property
    def fingerprint(self) -> tuple[Any, ...]:
        """What identifies the content."""
        return self.lines, self.D_I, self.from_zero, self.whole, self.dtype, self.skip_bad

    @property
    def zero_based(self) -> bool:  # type: ignore[override]
        """Whether the file counts inputs from 0."""
        return self.from_zero

    def _parse(self, text: bytes) -> Rows:
        from scipy import sparse
        from sklearn.datasets import load_svmlight_file

        if not any(_content(line) for line in text.split(b"\n")):
            empty = np.empty(0, np.int64 if self.whole else np.float64)
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
        if self.whole:
            if (y != np.floor(y)).any() or (np.abs(y) > 2**53).any():
                raise BadRowError("a label that is no whole number")
            y = y.astype(np.int64)
        return Rows(X, y)

    def _surely_bad(self, rows: list[bytes]) -> Iterator[int]:
        """Yield the lines that hold something else than a number and pairs of numbers."""
        for place, row in enumerate(rows):
            label, *pairs = _content(row).split() or [b"0"]
            try:
                float(label)
                for pair in pairs[pairs[:1] != [] and pairs[0].startswith(b"qid:") :]:
                    index, _, value = pair.partition(b":")
                    int(index)
                    float(value)
            except ValueError:
                yield place


def _content(line: bytes) -> bytes:
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
        D_I; found in the files if left out.
    zero_based : bool, optional
        Whether indices begin at 0; where one is 0 if left out. Say it for test data, which may lack some.
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
    names, label = absolute_names(paths)
    pieces = [each for name in names for each in cut_at_lines(name, piece)]
    low, high, whole = 1, 0, True
    limit = MOST_INPUTS if n_features is None else n_features
    for lines in pieces:
        for place, line in enumerate(lines.read().split(b"\n")):
            try:
                found = _looked_at(line, limit)
            except BadRowError as problem:
                if not skip_bad:
                    raise DataFileError(f"{lines.path}: line {lines.first + place:,}: {problem}") from None
                continue
            if found is None or (found[0] >= low and found[1] <= high and whole <= found[2]):
                continue
            if skip_bad and not _is_good(
                line, found[1]
            ):  # a line that is left out says nothing of the others
                continue
            low, high = min(low, found[0]), max(high, found[1])
            whole = whole and found[2]
    zero = low == 0 if zero_based is None else zero_based
    D_I = high + zero if n_features is None else n_features
    if D_I < 1:
        raise DataFileError(
            f"{', '.join(names)}: no inputs in it; lines are: label index:value index:value ..."
        )
    return Source(
        label,
        [SvmlightPart(each, D_I, zero, whole, dtype or "float64", skip_bad) for each in pieces],
    )


def _is_good(line: bytes, high: int) -> bool:
    """Tell whether a line, whose largest index is `high`, can be read, whatever the others are."""
    try:
        SvmlightPart(Lines("", (0, 0), 0, 0, 1), high + 1, from_zero=True, whole=False)._parse(line)
    except BadRowError:
        return False
    return True


def _looked_at(line: bytes, limit: int) -> tuple[int, int, bool] | None:
    """Return the lowest and highest index of a line (1, 0 if it has none), and whether its label is whole.

    Indices rise along a line, so that a look at its ends is enough; the parser checks that they do.
    """
    content = _content(line)
    if not content:
        return None
    label, *ends = content.split(None, 2)
    try:
        whole = float(label).is_integer()
    except (ValueError, OverflowError):
        raise BadRowError(f"label {label[:20]!r} is no number") from None
    rest = content[len(label) :].split(None, 1)
    if rest and rest[0].startswith(b"qid:"):
        ends = rest = rest[1].split(None, 1) if len(rest) > 1 else []
    if not ends:
        return 1, 0, whole
    indices = []
    for pair in (rest[0], content.rsplit(None, 1)[-1]):
        text = pair.partition(b":")[0]
        if not text.isdigit():
            raise BadRowError(f"{pair[:20]!r} is not index:value")
        indices.append(int(text) if len(text) < 20 else limit + 1)
    if indices[1] > limit:
        raise BadRowError(f"index {indices[1]:,} is above {limit:,}; give n_features if there are that many")
    return indices[0], indices[1], whole
