"""Sparse inputs: products with W1, and the order of their non-zeros by columns."""

from __future__ import annotations

import numpy as np
from numba import njit

from thetanet.engine.cpu.kernels.barrier import OPTIONS
from thetanet.engine.cpu.kernels.instructions import pointer_to, prefetch, sparse_dense_product

_AHEAD = 4  # samples between the prefetch of a sample and its use
_LINE = 64  # bytes


@njit(**OPTIONS)
def add_rows(out, rows, W, index, value, n):
    """Call `sparse_dense_product`: a function of its own, compiled once for all its callers."""
    sparse_dense_product(out, rows, W, index, value, n)


@njit(**OPTIONS)
def _prefetch_sample(b, rows, begins, segment_starts, segments, column, value):
    """Prefetch the sample that is `_AHEAD` after the b-th: a random row of data beyond the caches."""
    if b + _AHEAD < len(rows):
        row = rows[b + _AHEAD]
        for q in range(begins[row], begins[row + 1], _LINE // column.itemsize):
            prefetch(pointer_to(column, q), 0)
        for q in range(begins[row], begins[row + 1], _LINE // value.itemsize):
            prefetch(pointer_to(value, q), 0)
    if b + 2 * _AHEAD < len(rows):
        row = rows[b + 2 * _AHEAD]
        prefetch(pointer_to(begins, row), 0)
        for s in range(0, segments, _LINE // segment_starts.itemsize):
            prefetch(pointer_to(segment_starts, row * segments + s), 0)


@njit(**OPTIONS)
def weighted_sums(z, block, W, inverse, rows, begins, segment_starts, column, value, prefetching):
    """Set z to b1 * inverse + X W1, for the samples `rows` and a block of W hidden units.

    Segment after segment of the columns, so that the rows of W1 in use stay in the first-level cache.
    """
    flat, flat_starts = z.reshape(-1), segment_starts.reshape(-1)
    for s in range(segment_starts.shape[1] - 1):
        for b in range(len(rows)):
            if s == 0:
                if prefetching:
                    _prefetch_sample(b, rows, begins, flat_starts, segment_starts.shape[1], column, value)
                for h in range(W):
                    z[b, h] = block[h] * inverse
            row = rows[b]
            n = np.int64(segment_starts[row, s + 1]) - np.int64(segment_starts[row, s])
            if n > 0:
                q = begins[row] + segment_starts[row, s]
                add_rows(pointer_to(flat, b * W), pointer_to(block, W), W, pointer_to(column, q),
                         pointer_to(value, q), n)  # fmt: skip


@njit(**OPTIONS)
def sort_columns(
    rows, begins, segment_starts, s0, s1, column, value, first, last, group, start, stop, samples, values,
    seen, count, lazy,
):  # fmt: skip
    """Sort the columns first..last (segments s0..s1) of a mini-batch, a group of samples at a time.

    A counting sort in two passes: start..stop[g, c] is where `samples` (within group g) and `values` of
    column c lie. With `lazy`, only columns that occur are visited: they are written to `seen`, which still
    has the `count` columns of the last time; return their number.
    """
    filled = 0
    for g in range((len(rows) + group - 1) // group):
        begin, end = start[g], stop[g]
        low, high = g * group, min(len(rows), (g + 1) * group)
        if lazy:
            for place in range(first, first + count):
                end[seen[place]] = 0
            count = 0
        else:
            end[first:last] = 0
        for b in range(low, high):
            origin = begins[rows[b]]
            for q in range(origin + segment_starts[rows[b], s0], origin + segment_starts[rows[b], s1]):
                c = column[q]
                if lazy and end[c] == 0:
                    seen[first + count] = c
                    count += 1
                end[c] += 1
        for place in range(first, first + count if lazy else last):
            c = seen[place] if lazy else place
            begin[c] = filled
            filled += end[c]
            end[c] = begin[c]
        for b in range(low, high):
            origin = begins[rows[b]]
            for q in range(origin + segment_starts[rows[b], s0], origin + segment_starts[rows[b], s1]):
                c = column[q]
                place = end[c]
                end[c] = place + 1
                samples[place] = b - low
                values[place] = value[q]
    return count


@njit(**OPTIONS)
def add_columns(buffer, low, high, delta, W, groups, group, start, stop, samples, values):
    """Add the gradient of the columns low..high of W1 to `buffer`: sums over samples of x delta2.

    Group after group of the samples, so that their delta2 stays in the first-level cache.
    """
    for g in range(groups):
        begin, end = start[g], stop[g]
        for c in range(low, high):
            n = np.int64(end[c]) - np.int64(begin[c])
            if n > 0:
                add_rows(pointer_to(buffer, (c - low) * W), pointer_to(delta, g * group * W), W,
                         pointer_to(samples, begin[c]), pointer_to(values, begin[c]), n)  # fmt: skip


@njit(**OPTIONS)
def compress(X, place, begins, column, value):
    """Write the non-zeros of the rows of X, and where each row begins in them; `place` numbers active inputs.

    With empty `column`, only `begins` is written.
    """
    q = 0
    for row in range(X.shape[0]):
        begins[row] = q
        x = X[row]
        if len(column) == 0:
            for i in range(len(x)):
                q += x[i] != 0
        else:
            for i in range(len(x)):
                if x[i] != 0:
                    column[q] = place[i]
                    value[q] = x[i]
                    q += 1
    begins[X.shape[0]] = q


@njit(**OPTIONS)
def compress_bytes(words, place, begins, column, value):
    """Do the same for bytes, eight in a word: words of zeros are passed over, and nothing branches on a byte.

    `column` and `value` have room for 8 numbers more than there are non-zeros.
    """
    q = 0
    for row in range(words.shape[0]):
        begins[row] = q
        for w in range(words.shape[1]):
            rest, i = words[row, w], 8 * w
            while rest != 0:
                v = rest & np.uint64(255)
                column[q] = place[i]
                value[q] = np.uint8(v)
                q += v != 0
                i += 1
                rest >>= np.uint64(8)
    begins[words.shape[0]] = q


@njit(**OPTIONS)
def count_bytes(X, counts):
    """Add to `counts` how many rows have a non-zero in each column; in bytes, which vectors hold many of."""
    part = np.zeros(X.shape[1], np.uint8)
    for low in range(0, X.shape[0], 255):
        part[:] = 0
        for row in range(low, min(X.shape[0], low + 255)):
            for i in range(X.shape[1]):
                part[i] += X[row, i] != 0
        for i in range(X.shape[1]):
            counts[i] += part[i]


@njit(**OPTIONS)
def write_segment_starts(begins, column, cuts, segment_starts):
    """Write where the columns of each segment begin in each row; columns are in order within a row."""
    for row in range(len(segment_starts)):
        q = begins[row]
        for s in range(len(cuts) - 1):
            while q < begins[row + 1] and column[q] < cuts[s]:
                q += 1
            segment_starts[row, s] = q - begins[row]
        segment_starts[row, len(cuts) - 1] = begins[row + 1] - begins[row]
