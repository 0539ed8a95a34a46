"""The loops of a mini-batch step, and the call that takes many steps over a shard of the hidden units."""

from __future__ import annotations

import numpy as np
from numba import njit

from thetanet.engine.cpu.kernels.barrier import OPTIONS, wait_for_all
from thetanet.engine.cpu.kernels.instructions import BYTES, call, exp_minus, gemm, pointer_to
from thetanet.engine.cpu.kernels.outputs import outputs
from thetanet.engine.cpu.kernels.products import add_product
from thetanet.engine.cpu.kernels.zeros import add_columns, sort_columns, weighted_sums

FEW = 64  # outputs up to which products with W2 are sums of rows, quicker than BLAS then


@njit(**OPTIONS)
def _load(low, high, rows, X, inputs, factor, tile):
    """Scale rows low..high of a mini-batch into its tile, leaving out inputs that are never lit."""
    whole = len(inputs) == X.shape[1]
    for b in range(low, high):
        x, out = X[rows[b]], tile[b]
        if whole:
            for i in range(len(inputs)):
                out[i] = x[i] * factor[i]
        else:
            for i in range(len(inputs)):
                out[i] = x[inputs[i]] * factor[i]


@njit(**OPTIONS)
def _out_to_few(flat_z, n, W, block, two_at, lanes, turned, padded, mine, D_O, add):
    """Z W2 to `mine`, or added to it, for few outputs; `turned` and `padded` are room for W2 and the sums."""
    width = (D_O + lanes - 1) // lanes * lanes
    for k in range(D_O):
        for h in range(W):
            turned[h * width + k] = block[two_at + k * W + h]
    padded[: n * width] = 0
    add_product(pointer_to(padded, 0), pointer_to(turned, 0), width, lanes, pointer_to(flat_z, 0), W, 1, n, W)
    for b in range(n):
        for k in range(D_O):
            before = mine[b * D_O + k] if add else mine.dtype.type(0)
            mine[b * D_O + k] = before + padded[b * width + k]


@njit(**OPTIONS)
def _back_from_few(d3, block, two_at, flat_z, flat_d, W, lanes, buffer):
    """delta3 W2^T to `flat_d` and delta3^T Z to `buffer`, for few outputs."""
    n, D_O = d3.shape
    outer = pointer_to(d3.reshape(-1), 0)
    flat_d[:] = 0
    add_product(pointer_to(flat_d, 0), pointer_to(block, two_at), W, lanes, outer, D_O, 1, n, D_O)
    buffer[: D_O * W] = 0
    add_product(pointer_to(buffer, 0), pointer_to(flat_z, 0), W, lanes, outer, 1, D_O, D_O, n)


@njit(**OPTIONS)
def _descend(update, block, at, n, buffer, scale, decay, share, state, stride, state_at, c, step):
    """Scale a gradient in `buffer`, add the penalty, and let the rule update n parameters of a block.

    `share` is the coefficient that is taken off the parameters first; -1 for none.
    """
    if decay != 0:
        for i in range(n):
            buffer[i] = scale * buffer[i] + decay * block[at + i]
    else:
        for i in range(n):
            buffer[i] *= scale
    if share >= 0:
        lost = c[step, share]
        for i in range(n):
            block[at + i] -= lost * block[at + i]
    call(update, block, at, buffer, n, state, state_at + at, stride, c, step * c.shape[1])


@njit(**OPTIONS)
def steps(
    t, T, meet, meetings,
    begins, at, column, value, factor1, first, group, X, inputs, factor,
    classes, targets, weights, order, B,
    theta, state, bias, bias_state, widths, W, D_O,
    c, decay, share, mean, update, blas, own, lazy, learn,
    Z, delta, partial, Y, delta3, tile, gradient, start, stop, sample, number, touched, total,
):  # fmt: skip
    """Take one step for each row of `c`, over consecutive mini-batches of `order`, as thread t of T.

    Sparse inputs: sample i has `column` and `value` from begins[i] on, and at[i] says where its segments of
    columns begin there, `first` (T + 1,) which columns are whose; `factor1` scales all values, `group` is the
    number of samples whose columns are sorted together. Dense inputs: X, of which `inputs` are lit, with a
    `factor` for each of them. `share` is the column of `c` that weights lose, -1 for none. `learn` false
    measures only. `own`: dense products by our own loops, not BLAS. `total` has a row a step, and one to
    ignore.
    """
    dense = X.shape[0] > 0
    n_in = len(inputs)
    blocks, size = theta.shape[0], theta.shape[1]
    two_at = (1 + n_in) * W
    stride, flat = blocks * size, state.reshape(-1)
    kind = theta.dtype.type
    factor1, decay, inverse = kind(factor1), kind(decay), kind(1 / factor1)
    rows_at_once = max(1, len(gradient) // W)
    split = B * D_O > 4096 and T > 1  # else every thread computes all of delta3, and nobody waits for it
    tiles, tile_row, tile_size = tile.reshape(-1), tile.shape[2], tile.shape[1] * tile.shape[2]
    lanes = BYTES // theta.itemsize
    segments = (at.shape[1] - 1) // T
    width = (D_O + lanes - 1) // lanes * lanes
    turned, padded = np.zeros(W * width, theta.dtype), np.zeros(B * width, theta.dtype)
    few = D_O <= FEW and len(gradient) >= D_O * W
    if dense and len(c):
        rows = order[:B]
        _load(len(rows) * t // T, len(rows) * (t + 1) // T, rows, X, inputs, factor, tile[0])
        if T > 1:
            meetings += T
            wait_for_all(meet, meetings)
    for step in range(len(c)):
        parity = step % 2
        rows = order[step * B : (step + 1) * B]
        n = len(rows)
        low, high = n * t // T, n * (t + 1) // T

        # Forward: this thread's hidden units, and what they add to A2.
        mine = partial[parity, t].reshape(-1)
        for j in range(blocks):
            block, z = theta[j], Z[j, :n]
            flat_z = z.reshape(-1)
            if dense:
                for b in range(n):
                    for h in range(W):
                        z[b, h] = block[h]
                at_tile = pointer_to(tiles, step % 3 * tile_size)
                if own:
                    add_product(pointer_to(flat_z, 0), pointer_to(block, W), W, lanes,
                                at_tile, tile_row, 1, n, n_in)  # fmt: skip
                else:
                    gemm(blas, False, False, n, W, n_in, at_tile, tile_row,
                         pointer_to(block, W), W, kind(1), pointer_to(flat_z, 0), W)  # fmt: skip
            else:
                weighted_sums(z, block, W, inverse, rows, begins, at, column, value, j == 0)
            scale = kind(1) if dense else factor1
            for i in range(n * W):
                a = scale * flat_z[i]
                e = exp_minus(abs(a))
                flat_z[i] = (kind(1) if a >= 0 else e) / (kind(1) + e)
            if widths[j] < W:  # units that only fill up the block must not reach the outputs
                z[:, widths[j] :] = 0
            if few:
                _out_to_few(flat_z, n, W, block, two_at, lanes, turned, padded, mine, D_O, j > 0)
            else:
                gemm(blas, False, True, n, D_O, W, pointer_to(flat_z, 0), W, pointer_to(block, two_at), W,
                     kind(0 if j == 0 else 1), pointer_to(mine, 0), D_O)  # fmt: skip
        if learn and not dense:
            own = len(touched[0]) - T + t  # where the number of columns seen stands
            touched[parity, own] = sort_columns(
                rows, begins, at, t * segments, (t + 1) * segments, column, value, first[t], first[t + 1],
                group, start[parity], stop[parity], sample[parity, t], number[parity, t], touched[parity],
                touched[parity, own], lazy,
            )  # fmt: skip
        elif dense and step + 1 < len(c):
            later = order[(step + 1) * B : (step + 2) * B]
            m = len(later)
            _load(m * t // T, m * (t + 1) // T, later, X, inputs, factor, tile[(step + 1) % 3])
        if T > 1:
            meetings += T
            wait_for_all(meet, meetings)

        # Outputs: E, and delta3.
        weight = 0.0
        for b in range(n):
            weight += weights[rows[b]] if len(weights) else 1.0
        if split or not learn:
            d3 = delta3[0, :n]
            outputs(low, high, rows, partial[parity], bias[t], classes, targets, weights,
                    Y[0], delta3[0], total[step, t])  # fmt: skip
            if split and learn:
                meetings += T
                wait_for_all(meet, meetings)
        else:
            d3 = delta3[t, :n]
            outputs(0, n, rows, partial[parity], bias[t], classes, targets, weights,
                    Y[t], delta3[t], total[step if t == 0 else len(c), t])  # fmt: skip
        if not learn or weight == 0:
            continue
        scale = kind(1 / weight) if mean else kind(1)

        # Backward: delta2, the gradients, and the rule, block by block.
        groups = (n + group - 1) // group
        for j in range(blocks):
            block, z, d2 = theta[j], Z[j, :n], delta[:n]
            flat_z, flat_d = z.reshape(-1), d2.reshape(-1)
            state_at = j * size
            if few:
                _back_from_few(d3, block, two_at, flat_z, flat_d, W, lanes, gradient)
            else:
                flat_3 = d3.reshape(-1)
                gemm(blas, False, False, n, W, D_O, pointer_to(flat_3, 0), D_O, pointer_to(block, two_at), W,
                     kind(0), pointer_to(flat_d, 0), W)  # fmt: skip
                gemm(blas, True, False, D_O, W, n, pointer_to(flat_3, 0), D_O, pointer_to(flat_z, 0), W,
                     kind(0), pointer_to(gradient, 0), W)  # fmt: skip
            for i in range(n * W):
                flat_d[i] *= flat_z[i] * (kind(1) - flat_z[i])
            _descend(update, block, two_at, D_O * W, gradient, scale, decay, share, flat, stride, state_at,
                     c, step)  # fmt: skip
            gradient[:W] = 0
            for b in range(n):
                for h in range(W):
                    gradient[h] += flat_d[b * W + h]
            _descend(update, block, 0, W, gradient, scale, kind(0), -1, flat, stride, state_at, c, step)
            if dense:
                for begin in range(0, n_in, rows_at_once):
                    m = min(rows_at_once, n_in - begin)
                    at_tile = pointer_to(tiles, step % 3 * tile_size + begin)
                    if own:
                        gradient[: m * W] = 0
                        add_product(pointer_to(gradient, 0), pointer_to(flat_d, 0), W, lanes,
                                    at_tile, 1, tile_row, m, n)  # fmt: skip
                    else:
                        gemm(blas, True, False, m, W, n, at_tile, tile_row,
                             pointer_to(flat_d, 0), W, kind(0), pointer_to(gradient, 0), W)  # fmt: skip
                    _descend(update, block, (1 + begin) * W, m * W, gradient, scale, decay, share, flat,
                             stride, state_at, c, step)  # fmt: skip
                continue
            scale1 = scale * factor1
            for u in range(T):
                samples, numbers = sample[parity, u], number[parity, u]
                if lazy:
                    for place in range(first[u], first[u] + touched[parity, len(touched[0]) - T + u]):
                        i = touched[parity, place]
                        gradient[:W] = 0
                        add_columns(gradient, i, i + 1, flat_d, W, groups, group, start[parity],
                                    stop[parity], samples, numbers)  # fmt: skip
                        _descend(update, block, (1 + i) * W, W, gradient, scale1, decay, share, flat,
                                 stride, state_at, c, step)  # fmt: skip
                    continue
                for begin in range(first[u], first[u + 1], rows_at_once):
                    end = min(begin + rows_at_once, first[u + 1])
                    gradient[: (end - begin) * W] = 0
                    add_columns(gradient, begin, end, flat_d, W, groups, group, start[parity], stop[parity],
                                samples, numbers)  # fmt: skip
                    _descend(update, block, (1 + begin) * W, (end - begin) * W, gradient, scale1, decay,
                             share, flat, stride, state_at, c, step)  # fmt: skip
        # The biases of the outputs: every thread keeps the same copy.
        for k in range(D_O):
            gradient[k] = 0
        for b in range(n):
            for k in range(D_O):
                gradient[k] += d3[b, k]
        mine_bias = bias[t]
        _descend(update, mine_bias, 0, D_O, gradient, scale, kind(0), -1, bias_state[t].reshape(-1), D_O, 0,
                 c, step)  # fmt: skip
    return meetings
