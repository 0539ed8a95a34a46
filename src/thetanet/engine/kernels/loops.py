"""The loops of a mini-batch step, and the call that takes many steps over a shard of the hidden units."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from thetanet.engine.kernels.instructions import (
    call,
    exp_minus,
    gather,
    pointer_to,
)
from thetanet.engine.kernels.meeting import OPTIONS, meet_all


@njit(**OPTIONS)
def _gather(out, rows, W, index, value, n):
    """Call `gather`: a function of its own, compiled once for all its callers."""
    gather(out, rows, W, index, value, n)


@njit(**OPTIONS)
def _sort(t, rows, at, column, value, first, last, parity, count, start, sample, number, touched, lazy):
    """Sort this thread's columns of a mini-batch: for each column its samples and their values.

    A counting sort in two passes. With `lazy`, only columns that occur are looked at; returns how many.
    """
    mine, filled, found = count[parity], 0, 0
    seen, samples, numbers = touched[parity], sample[parity, t], number[parity, t]
    if lazy:
        for place in range(first, first + seen[len(seen) - len(sample[parity]) + t]):
            mine[seen[place]] = 0
    else:
        mine[first:last] = 0
    for b in range(len(rows)):
        for q in range(at[rows[b], t], at[rows[b], t + 1]):
            c = column[q]
            if lazy and mine[c] == 0:
                seen[first + found] = c
                found += 1
            mine[c] += 1
    begin = start[parity]
    for place in range(first, first + found if lazy else last):
        c = seen[place] if lazy else place
        begin[c] = filled
        filled += mine[c]
        mine[c] = 0
    for b in range(len(rows)):
        for q in range(at[rows[b], t], at[rows[b], t + 1]):
            c = column[q]
            place = begin[c] + mine[c]
            mine[c] += 1
            samples[place] = b
            numbers[place] = value[q]
    return found


@njit(**OPTIONS)
def _load(low, high, rows, X, inputs, factor, tile):
    """Scale rows low..high of a mini-batch into its tile, leaving out inputs that are never lit."""
    whole = len(inputs) == X.shape[1]
    for b in range(low, high):
        x, out = X[rows[b]], tile[b]
        if whole:
            for i in range(len(out)):
                out[i] = x[i] * factor[i]
        else:
            for i in range(len(out)):
                out[i] = x[inputs[i]] * factor[i]


@njit(**OPTIONS)
def _outputs(low, high, rows, partial, bias, classes, targets, weights, Y, delta3, total):
    """From the sums over hidden units to delta3 = w (Y - L), for rows low..high of a mini-batch.

    Adds E and the number of right answers to `total`. ln(1 + e) is summed as the logarithm of a product.
    """
    D_O = Y.shape[1]
    one = Y.dtype.type(1)
    T = partial.shape[0]
    for b in range(low, high):
        row = rows[b]
        A2, y = delta3[b], Y[b]
        for k in range(D_O):
            A2[k] = bias[k]
        for u in range(T):
            for k in range(D_O):
                A2[k] += partial[u, b, k]
        for k in range(D_O):
            e = exp_minus(abs(A2[k]))
            y[k] = e  # for the product below
        w = weights[row] if len(weights) else 1.0
        E, product, best, right = 0.0, 1.0, 0, True
        for k in range(D_O):
            a = A2[k]
            E += max(a, 0.0)
            product *= 1.0 + y[k]
            if product > 1e250:
                E += math.log(product)
                product = 1.0
            if a > A2[best]:
                best = k
        E += math.log(product)
        if len(classes):
            E -= A2[classes[row]]
            right = best == classes[row]
        else:
            for k in range(D_O):
                E -= targets[row, k] * A2[k]
                right = right and (A2[k] > 0) == (targets[row, k] > 0.5)
        total[0] += w * E
        total[1] += w * right
        total[2] += w
        for k in range(D_O):
            y[k] = (one if A2[k] >= 0 else y[k]) / (one + y[k])
        for k in range(D_O):
            A2[k] = y[k]
        if len(classes):
            A2[classes[row]] -= one
        else:
            for k in range(D_O):
                A2[k] -= targets[row, k]
        if len(weights):
            for k in range(D_O):
                A2[k] *= Y.dtype.type(w)


@njit(**OPTIONS)
def _descend(update, block, at, n, buffer, scale, decay, state, stride, state_at, c, step):
    """Scale a gradient in `buffer`, add the penalty, and let the rule update n parameters of a block."""
    if decay != 0:
        for i in range(n):
            buffer[i] = scale * buffer[i] + decay * block[at + i]
    else:
        for i in range(n):
            buffer[i] *= scale
    call(update, block, at, buffer, n, state, state_at + at, stride, c, step * c.shape[1])


@njit(**OPTIONS)
def steps(
    t, T, meet, meetings,
    at, column, value, factor1, first, X, inputs, factor,
    classes, targets, weights, order, B,
    theta, state, bias, bias_state, widths, W, D_O,
    c, decay, mean, update, lazy, learn,
    Z, delta, partial, Y, delta3, tile, buffer, count, start, sample, number, touched, total,
):  # fmt: skip
    """Take one step for each row of `c`, over consecutive mini-batches of `order`, as thread t of T.

    Sparse inputs: `at` (M, T + 1) says where the columns of thread u begin in `column` and `value` for each
    sample, `first` (T + 1,) which columns are whose, `factor1` scales all values. Dense inputs: X, of which
    `inputs` are lit, with a `factor` for each of them. `learn` false measures only.
    """
    dense = X.shape[0] > 0
    n_in = len(inputs)
    blocks, size = theta.shape[0], theta.shape[1]
    two_at = (1 + n_in) * W
    stride, flat = blocks * size, state.reshape(-1)
    kind = theta.dtype.type
    factor1, decay, inverse = kind(factor1), kind(decay), kind(1 / factor1)
    chunk = max(1, len(buffer) // W)
    split = B * D_O > 4096 and T > 1  # else every thread computes all of delta3, and nobody waits for it
    some = 0
    if dense and len(c):
        rows = order[:B]
        _load(len(rows) * t // T, len(rows) * (t + 1) // T, rows, X, inputs, factor, tile[0])
        if T > 1:
            meetings += T
            meet_all(meet, meetings)
    for step in range(len(c)):
        parity = step % 2
        rows = order[step * B : (step + 1) * B]
        n = len(rows)
        low, high = n * t // T, n * (t + 1) // T

        # Forward: this thread's hidden units, and what they add to A2.
        mine = partial[parity, t, :n]
        mine[...] = 0
        for j in range(blocks):
            block, z = theta[j], Z[j, :n]
            flat_z = z.reshape(-1)
            if dense:
                np.dot(tile[step % 3, :n], block[W:two_at].reshape(n_in, W), z)
                for b in range(n):
                    for h in range(W):
                        z[b, h] += block[h]
            else:
                for b in range(n):
                    row = rows[b]
                    for h in range(W):
                        z[b, h] = block[h] * inverse
                    begin = at[row, 0]
                    _gather(pointer_to(flat_z, b * W), pointer_to(block, W), W, pointer_to(column, begin),
                            pointer_to(value, begin), at[row, T] - begin)  # fmt: skip
            scale = kind(1) if dense else factor1
            for i in range(n * W):
                a = scale * flat_z[i]
                e = exp_minus(abs(a))
                flat_z[i] = (kind(1) if a >= 0 else e) / (kind(1) + e)
            if widths[j] < W:  # units that only fill up the block must not reach the outputs
                z[:, widths[j] :] = 0
            two = block[two_at:].reshape(D_O, W)
            mine += np.dot(z, two.T)
        if learn and not dense:
            some = _sort(t, rows, at, column, value, first[t], first[t + 1], parity,
                         count, start, sample, number, touched, lazy)  # fmt: skip
            if lazy:
                touched[parity, len(touched[0]) - T + t] = some
        elif dense and step + 1 < len(c):
            later = order[(step + 1) * B : (step + 2) * B]
            m = len(later)
            _load(m * t // T, m * (t + 1) // T, later, X, inputs, factor, tile[(step + 1) % 3])
        if T > 1:
            meetings += T
            meet_all(meet, meetings)

        # Outputs: E, and delta3.
        weight = 0.0
        for b in range(n):
            weight += weights[rows[b]] if len(weights) else 1.0
        if split or not learn:
            d3 = delta3[0, :n]
            _outputs(low, high, rows, partial[parity, :, :n], bias[t], classes, targets, weights,
                     Y[0, :n], d3, total[0, t])  # fmt: skip
            if split and learn:
                meetings += T
                meet_all(meet, meetings)
        else:
            d3 = delta3[t, :n]
            _outputs(0, n, rows, partial[parity, :, :n], bias[t], classes, targets, weights,
                     Y[t, :n], d3, total[0 if t == 0 else 1, t])  # fmt: skip
        if not learn or weight == 0:
            continue
        scale = kind(1 / weight) if mean else kind(1)

        # Backward: delta2, the gradients, and the rule, block by block.
        for j in range(blocks):
            block, z, d2 = theta[j], Z[j, :n], delta[:n]
            flat_z, flat_d = z.reshape(-1), d2.reshape(-1)
            state_at = j * size
            two = block[two_at:].reshape(D_O, W)
            np.dot(d3, two, d2)
            two_gradient = np.dot(d3.T, z).reshape(-1)
            for i in range(n * W):
                flat_d[i] *= flat_z[i] * (kind(1) - flat_z[i])
            _descend(
                update, block, two_at, D_O * W, two_gradient, scale, decay, flat, stride, state_at, c, step
            )
            buffer[:W] = 0
            for b in range(n):
                for h in range(W):
                    buffer[h] += flat_d[b * W + h]
            _descend(update, block, 0, W, buffer, scale, kind(0), flat, stride, state_at, c, step)
            if dense:
                g = np.dot(tile[step % 3, :n].T, d2).reshape(-1)
                for begin in range(0, n_in * W, len(buffer)):
                    m = min(len(buffer), n_in * W - begin)
                    _descend(update, block, W + begin, m, g[begin : begin + m], scale, decay, flat, stride,
                             state_at, c, step)  # fmt: skip
                continue
            scale1 = scale * factor1
            for u in range(T):
                samples, numbers = sample[parity, u], number[parity, u]
                if lazy:
                    for place in range(first[u], first[u] + touched[parity, len(touched[0]) - T + u]):
                        i = touched[parity, place]
                        buffer[:W] = 0
                        place1 = start[parity, i]
                        _gather(pointer_to(buffer, 0), pointer_to(flat_d, 0), W, pointer_to(samples, place1),
                                pointer_to(numbers, place1), count[parity, i])  # fmt: skip
                        _descend(update, block, (1 + i) * W, W, buffer, scale1, decay, flat, stride, state_at,
                                 c, step)  # fmt: skip
                    continue
                for begin in range(first[u], first[u + 1], chunk):
                    end = min(begin + chunk, first[u + 1])
                    buffer[: (end - begin) * W] = 0
                    for i in range(begin, end):
                        place1 = start[parity, i]
                        _gather(pointer_to(buffer, (i - begin) * W), pointer_to(flat_d, 0), W,
                                pointer_to(samples, place1), pointer_to(numbers, place1),
                                count[parity, i])  # fmt: skip
                    _descend(update, block, (1 + begin) * W, (end - begin) * W, buffer, scale1, decay, flat,
                             stride, state_at, c, step)  # fmt: skip
        # The biases of the outputs: every thread keeps the same copy.
        for k in range(D_O):
            buffer[k] = 0
        for b in range(n):
            for k in range(D_O):
                buffer[k] += d3[b, k]
        mine_bias = bias[t]
        _descend(
            update, mine_bias, 0, D_O, buffer, scale, kind(0), bias_state[t].reshape(-1), D_O, 0, c, step
        )
    return meetings


@njit(**OPTIONS)
def compress(X, place, at, column, value):
    """Write the non-zeros of the rows of X, and where each row begins in them; `place` numbers lit inputs.

    With empty `column`, only `at` is written.
    """
    q = 0
    for row in range(X.shape[0]):
        at[row] = q
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
    at[X.shape[0]] = q


@njit(**OPTIONS)
def share_out(begins, column, first, at):
    """Write where the columns of each thread begin in each row; columns are in order within a row."""
    for row in range(len(at)):
        q = begins[row]
        for u in range(len(first) - 1):
            while q < begins[row + 1] and column[q] < first[u]:
                q += 1
            at[row, u] = q
        at[row, len(first) - 1] = begins[row + 1]
