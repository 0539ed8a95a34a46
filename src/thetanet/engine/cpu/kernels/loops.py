"""The mini-batch step of one thread, forward and backward, and the call that takes many steps.

The arguments come in groups, as named tuples. Arrays of `Buffers` marked "common" are written by all threads
and read by all after a barrier; everything else belongs to one thread.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import njit

from thetanet.engine.cpu.kernels.barrier import OPTIONS, wait_for_all
from thetanet.engine.cpu.kernels.instructions import BYTES, call_rule, exp_minus, gemm, pointer_to
from thetanet.engine.cpu.kernels.outputs import outputs
from thetanet.engine.cpu.kernels.products import add_product
from thetanet.engine.cpu.kernels.zeros import add_columns, sort_columns, weighted_sums

# The parts of a step are inlined as source: compiled apart, they would be optimised twice.
_INLINE = {"inline": "always"} | OPTIONS

FEW = 64  # outputs up to which products with W2 are sums of rows, quicker than BLAS then


class SparseInputs(NamedTuple):
    """Samples as non-zeros; without samples where inputs are dense."""

    begins: Any  # (M + 1,): where each sample begins in `column` and `value`
    column: Any  # numbers of the active inputs
    value: Any
    scale: float  # factor of all values
    segment_starts: Any  # (M, T * segments + 1): where the segments of columns begin in each sample
    first_columns: Any  # (T + 1,): the first column that each thread sorts
    group_size: int  # samples whose columns are sorted together


class DenseInputs(NamedTuple):
    """Samples as an array; without rows where inputs are sparse."""

    X: Any  # (M, D_I)
    active: Any  # (n,): indices of the active inputs
    factor: Any  # (n,): of each active input


class Targets(NamedTuple):
    """Class indices (M,) or target values (M, D_O), one of them empty, and sample weights (M,) or none."""

    classes: Any
    values: Any
    weights: Any


class Shard(NamedTuple):
    """The hidden units of a thread: blocks of W units, each bias, W1 of active inputs, W2 transposed."""

    blocks: Any  # (blocks, (1 + n + D_O) * W)
    state: Any  # (slots, blocks, (1 + n + D_O) * W)
    widths: Any  # (blocks,): units in use
    W: int
    bias: Any  # (D_O,): b2, of which each thread updates a copy
    bias_state: Any  # (slots, D_O)


class Descent(NamedTuple):
    """The compiled rule and its coefficients; `decay_index` is -1 for none."""

    update: int  # address of a C function
    coefficients: Any  # (steps, COEFFICIENTS)
    decay: float  # times W, joins the gradient
    decay_index: int
    mean: bool  # the gradient is the mean over the mini-batch, not the sum
    lazy: bool  # columns that do not occur in a mini-batch need no update
    learn: bool  # False: measure only


class Products(NamedTuple):
    """The choice of dense products: our own loops, or BLAS at an address."""

    use_own_gemm: bool
    blas: int


class Buffers(NamedTuple):
    """Memory of a step. Buffers of two alternate from step to step, tiles of three."""

    Z: Any  # (blocks, B, W)
    delta: Any  # (B, W): delta2 of a block
    gradient: Any  # rows of a gradient on their way to the rule
    W2_rows: Any  # (W, width): W2 of a block, rows filled up with zeros to whole vectors
    A2_rows: Any  # (B, width): the product with them
    partial: Any  # common, (2, T, B, D_O): what each thread adds to A2
    Y: Any  # common, (T, B, D_O)
    delta3: Any  # common, (T, B, D_O)
    tile: Any  # common, (3, B, row): dense mini-batches, scaled
    column_starts: Any  # common, (2, groups, n): where the samples of each column begin in `samples`
    column_stops: Any  # common, (2, groups, n)
    samples: Any  # common, (2, T, size): samples in the order of columns
    values: Any  # common, (2, T, size): their values
    columns_seen: Any  # common, (2, n + T): for lazy rules, columns in the mini-batch, and T counts


@njit(**OPTIONS)
def _load(low, high, rows, inputs, tile):
    """Scale rows low..high of a mini-batch into its tile, leaving out inactive inputs."""
    X, active, factor = inputs.X, inputs.active, inputs.factor
    all_active = len(active) == X.shape[1]
    for b in range(low, high):
        x, out = X[rows[b]], tile[b]
        if all_active:
            for i in range(len(active)):
                out[i] = x[i] * factor[i]
        else:
            for i in range(len(active)):
                out[i] = x[active[i]] * factor[i]


@njit(**OPTIONS)
def _add_to_few_outputs(flat_z, n, W, block, W2_offset, lanes, W2_rows, A2_rows, partial, D_O, add):
    """Set `partial` to Z W2, or add it, for few outputs."""
    width = (D_O + lanes - 1) // lanes * lanes
    for k in range(D_O):
        for h in range(W):
            W2_rows[h * width + k] = block[W2_offset + k * W + h]
    A2_rows[: n * width] = 0
    add_product(
        pointer_to(A2_rows, 0), pointer_to(W2_rows, 0), width, lanes, pointer_to(flat_z, 0), W, 1, n, W
    )
    for b in range(n):
        for k in range(D_O):
            before = partial[b * D_O + k] if add else partial.dtype.type(0)
            partial[b * D_O + k] = before + A2_rows[b * width + k]


@njit(**OPTIONS)
def _back_from_few_outputs(d3, block, W2_offset, flat_z, flat_d, W, lanes, gradient):
    """Set `flat_d` to delta3 W2^T and `gradient` to delta3^T Z, for few outputs."""
    n, D_O = d3.shape
    outer = pointer_to(d3.reshape(-1), 0)
    flat_d[:] = 0
    add_product(pointer_to(flat_d, 0), pointer_to(block, W2_offset), W, lanes, outer, D_O, 1, n, D_O)
    gradient[: D_O * W] = 0
    add_product(pointer_to(gradient, 0), pointer_to(flat_z, 0), W, lanes, outer, 1, D_O, D_O, n)


@njit(**OPTIONS)
def _descend(descent, step, block, offset, n, gradient, scale, weights, state, stride, state_offset):
    """Scale a gradient, add the penalty, and let the rule update n parameters of a block.

    `weights` false: biases, which take no penalty and do not decay.
    """
    coefficients, decay = descent.coefficients, gradient.dtype.type(descent.decay)
    if weights and decay != 0:
        for i in range(n):
            gradient[i] = scale * gradient[i] + decay * block[offset + i]
    else:
        for i in range(n):
            gradient[i] *= scale
    if weights and descent.decay_index >= 0:
        factor = coefficients[step, descent.decay_index]
        for i in range(n):
            block[offset + i] -= factor * block[offset + i]
    call_rule(
        descent.update, block, offset, gradient, n, state, state_offset + offset, stride,
        coefficients, step * coefficients.shape[1],
    )  # fmt: skip


@njit(**_INLINE)
def _forward(t, step, rows, sparse, dense, shard, products, buffers):
    """Compute Z of this thread's hidden units, and what they add to A2."""
    theta, W, tile = shard.blocks, shard.W, buffers.tile
    kind = theta.dtype.type
    parity, n, n_in, D_O = step % 2, len(rows), len(dense.active), len(shard.bias)
    W2_offset, lanes = (1 + n_in) * W, BYTES // theta.itemsize
    is_dense = dense.X.shape[0] > 0
    scale, inverse = kind(1) if is_dense else kind(sparse.scale), kind(1 / sparse.scale)
    few = D_O <= FEW and len(buffers.gradient) >= D_O * W
    partial = buffers.partial[parity, t].reshape(-1)
    at_tile = pointer_to(tile.reshape(-1), step % 3 * tile.shape[1] * tile.shape[2])
    for j in range(theta.shape[0]):
        block, z = theta[j], buffers.Z[j, :n]
        flat_z = z.reshape(-1)
        if is_dense:
            for b in range(n):
                for h in range(W):
                    z[b, h] = block[h]
            if products.use_own_gemm:
                add_product(pointer_to(flat_z, 0), pointer_to(block, W), W, lanes,
                            at_tile, tile.shape[2], 1, n, n_in)  # fmt: skip
            else:
                gemm(products.blas, False, False, n, W, n_in, at_tile, tile.shape[2],
                     pointer_to(block, W), W, kind(1), pointer_to(flat_z, 0), W)  # fmt: skip
        else:
            weighted_sums(z, block, W, inverse, rows, sparse.begins, sparse.segment_starts, sparse.column,
                          sparse.value, j == 0)  # fmt: skip
        for i in range(n * W):
            a = scale * flat_z[i]
            e = exp_minus(abs(a))
            flat_z[i] = (kind(1) if a >= 0 else e) / (kind(1) + e)
        if shard.widths[j] < W:  # units that only fill up the block must not reach the outputs
            z[:, shard.widths[j] :] = 0
        if few:
            _add_to_few_outputs(flat_z, n, W, block, W2_offset, lanes, buffers.W2_rows, buffers.A2_rows,
                                partial, D_O, j > 0)  # fmt: skip
        else:
            gemm(products.blas, False, True, n, D_O, W, pointer_to(flat_z, 0), W,
                 pointer_to(block, W2_offset), W, kind(0 if j == 0 else 1), pointer_to(partial, 0),
                 D_O)  # fmt: skip


@njit(**_INLINE)
def _backward(t, T, step, n, d3, scale, sparse, dense, shard, descent, products, buffers):
    """Compute delta2 and the gradients from delta3, and update this thread's parameters, block by block."""
    theta, W, tile, gradient = shard.blocks, shard.W, buffers.tile, buffers.gradient
    kind = theta.dtype.type
    parity, n_in, D_O = step % 2, len(dense.active), len(shard.bias)
    W2_offset, lanes = (1 + n_in) * W, BYTES // theta.itemsize
    size = theta.shape[1]
    stride, state = theta.shape[0] * size, shard.state.reshape(-1)
    is_dense = dense.X.shape[0] > 0
    few = D_O <= FEW and len(gradient) >= D_O * W
    rows_at_once = max(1, len(gradient) // W)
    flat_tile, tile_row = tile.reshape(-1), tile.shape[2]
    tile_offset = step % 3 * tile.shape[1] * tile_row
    starts, stops = buffers.column_starts[parity], buffers.column_stops[parity]
    seen, group, first = buffers.columns_seen[parity], sparse.group_size, sparse.first_columns
    groups = (n + group - 1) // group
    scale1 = scale * kind(sparse.scale)
    for j in range(theta.shape[0]):
        block, z, d2 = theta[j], buffers.Z[j, :n], buffers.delta[:n]
        flat_z, flat_d = z.reshape(-1), d2.reshape(-1)
        state_offset = j * size
        if few:
            _back_from_few_outputs(d3, block, W2_offset, flat_z, flat_d, W, lanes, gradient)
        else:
            flat_3 = d3.reshape(-1)
            gemm(products.blas, False, False, n, W, D_O, pointer_to(flat_3, 0), D_O,
                 pointer_to(block, W2_offset), W, kind(0), pointer_to(flat_d, 0), W)  # fmt: skip
            gemm(products.blas, True, False, D_O, W, n, pointer_to(flat_3, 0), D_O, pointer_to(flat_z, 0), W,
                 kind(0), pointer_to(gradient, 0), W)  # fmt: skip
        for i in range(n * W):
            flat_d[i] *= flat_z[i] * (kind(1) - flat_z[i])
        _descend(descent, step, block, W2_offset, D_O * W, gradient, scale, True, state, stride,
                 state_offset)  # fmt: skip
        gradient[:W] = 0
        for b in range(n):
            for h in range(W):
                gradient[h] += flat_d[b * W + h]
        _descend(descent, step, block, 0, W, gradient, scale, False, state, stride, state_offset)
        if is_dense:
            for begin in range(0, n_in, rows_at_once):
                m = min(rows_at_once, n_in - begin)
                at_tile = pointer_to(flat_tile, tile_offset + begin)
                if products.use_own_gemm:
                    gradient[: m * W] = 0
                    add_product(pointer_to(gradient, 0), pointer_to(flat_d, 0), W, lanes,
                                at_tile, 1, tile_row, m, n)  # fmt: skip
                else:
                    gemm(products.blas, True, False, m, W, n, at_tile, tile_row,
                         pointer_to(flat_d, 0), W, kind(0), pointer_to(gradient, 0), W)  # fmt: skip
                _descend(descent, step, block, (1 + begin) * W, m * W, gradient, scale, True, state, stride,
                         state_offset)  # fmt: skip
            continue
        for u in range(T):  # the columns that each thread has sorted
            samples, values = buffers.samples[parity, u], buffers.values[parity, u]
            if descent.lazy:
                for place in range(first[u], first[u] + seen[len(seen) - T + u]):
                    i = seen[place]
                    gradient[:W] = 0
                    add_columns(gradient, i, i + 1, flat_d, W, groups, group, starts, stops, samples,
                                values)  # fmt: skip
                    _descend(descent, step, block, (1 + i) * W, W, gradient, scale1, True, state, stride,
                             state_offset)  # fmt: skip
                continue
            for begin in range(first[u], first[u + 1], rows_at_once):
                end = min(begin + rows_at_once, first[u + 1])
                gradient[: (end - begin) * W] = 0
                add_columns(gradient, begin, end, flat_d, W, groups, group, starts, stops, samples,
                            values)  # fmt: skip
                _descend(descent, step, block, (1 + begin) * W, (end - begin) * W, gradient, scale1, True,
                         state, stride, state_offset)  # fmt: skip


@njit(**_INLINE)
def _update_output_biases(step, d3, scale, shard, descent, gradient):
    """Update b2: every thread updates the same copy by the same sums."""
    n, D_O = d3.shape
    for k in range(D_O):
        gradient[k] = 0
    for b in range(n):
        for k in range(D_O):
            gradient[k] += d3[b, k]
    _descend(descent, step, shard.bias, 0, D_O, gradient, scale, False, shard.bias_state.reshape(-1), D_O, 0)


@njit(**OPTIONS)
def steps(t, T, barrier, sparse, dense, targets, order, B, shard, descent, products, buffers, measures):
    """Take one step for each row of the coefficients, over consecutive mini-batches of `order`.

    As thread t of T, on batches of B samples. `measures` (steps + 1, T, 3) has one row more than there are
    steps, which is ignored.
    """
    count, weights = len(descent.coefficients), targets.weights
    kind, D_O = shard.blocks.dtype.type, len(shard.bias)
    is_dense = dense.X.shape[0] > 0
    split = B * D_O > 4096 and T > 1  # else every thread computes all of delta3, and nobody waits for it
    segments = (sparse.segment_starts.shape[1] - 1) // T
    first, tile = sparse.first_columns, buffers.tile
    seen_index = buffers.columns_seen.shape[1] - T + t  # where the number of columns seen stands
    arrivals = 0
    if is_dense and count:
        rows = order[:B]
        _load(len(rows) * t // T, len(rows) * (t + 1) // T, rows, dense, tile[0])
        if T > 1:
            arrivals += T
            wait_for_all(barrier, arrivals)
    for step in range(count):
        parity = step % 2
        rows = order[step * B : (step + 1) * B]
        n = len(rows)
        _forward(t, step, rows, sparse, dense, shard, products, buffers)

        # Before the barrier each thread prepares its part of what the backward pass or the next step reads.
        if descent.learn and not is_dense:
            seen = buffers.columns_seen[parity]
            seen[seen_index] = sort_columns(
                rows, sparse.begins, sparse.segment_starts, t * segments, (t + 1) * segments, sparse.column,
                sparse.value, first[t], first[t + 1], sparse.group_size, buffers.column_starts[parity],
                buffers.column_stops[parity], buffers.samples[parity, t], buffers.values[parity, t], seen,
                seen[seen_index], descent.lazy,
            )  # fmt: skip
        elif is_dense and step + 1 < count:
            later = order[(step + 1) * B : (step + 2) * B]
            m = len(later)
            _load(m * t // T, m * (t + 1) // T, later, dense, tile[(step + 1) % 3])
        if T > 1:
            arrivals += T
            wait_for_all(barrier, arrivals)

        # Outputs: E, and delta3.
        weight = 0.0
        for b in range(n):
            weight += weights[rows[b]] if len(weights) else 1.0
        partial = buffers.partial[parity]
        if split or not descent.learn:
            d3 = buffers.delta3[0, :n]
            outputs(n * t // T, n * (t + 1) // T, rows, partial, shard.bias, targets.classes, targets.values,
                    weights, buffers.Y[0], buffers.delta3[0], measures[step, t])  # fmt: skip
            if split and descent.learn:
                arrivals += T
                wait_for_all(barrier, arrivals)
        else:
            d3 = buffers.delta3[t, :n]
            outputs(0, n, rows, partial, shard.bias, targets.classes, targets.values, weights, buffers.Y[t],
                    buffers.delta3[t], measures[step if t == 0 else count, t])  # fmt: skip
        if not descent.learn or weight == 0:
            continue
        scale = kind(1 / weight) if descent.mean else kind(1)
        _backward(t, T, step, n, d3, scale, sparse, dense, shard, descent, products, buffers)
        _update_output_biases(step, d3, scale, shard, descent, buffers.gradient)
