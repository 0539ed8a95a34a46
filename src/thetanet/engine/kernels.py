"""Compiled loops: mini-batch steps over a shard of the hidden units, one call for many steps.

Each thread calls `steps` with its own blocks of hidden units. A block of W units lies together in memory,
row by row: the bias row b1, the rows of W1 (only inputs that are ever lit), then W2 transposed, (D_O, W).
Threads meet once a step, to add up A2. What they share is written alternately into two buffers, so that a
thread that is one step ahead never overwrites what another still reads.

numba is named in this file only. Calls release the GIL. `fastmath` allows fused multiply-add and other orders
of sums, never a change for NaN or infinity.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, cfunc, njit, types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable

VECTORS = 12  # registers of sums in `_gather`: a block is at most 12 vectors of 256 bits wide
BYTES = 32
_FAST = {"contract", "reassoc", "nsz", "arcp"}
_OPTIONS: dict[str, Any] = {
    "nogil": True, "error_model": "numpy", "fastmath": _FAST, "boundscheck": False
}  # fmt: skip


def _pointer(context: Any, builder: Any, kind: Any, array: Any, offset: Any) -> Any:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [offset])


@intrinsic
def _gather(typingctx, out, out_at, rows, rows_at, W, index, value, at, n):  # type: ignore[no-untyped-def]
    """out[out_at:][:W] += sum over k < n of value[at + k] * rows[rows_at + index[at + k] * W:][:W].

    The one loop that everything with zeros in it is made of. The sums stay in registers.
    """
    signature = types.void(out, out_at, rows, rows_at, W, index, value, at, n)

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        kinds = signature.args
        i64 = ir.IntType(64)
        out, out_at, rows, rows_at, W, index, value, at, n = (
            builder.sext(x, i64) if isinstance(x.type, ir.IntType) and x.type.width < 64 else x for x in arguments
        )
        size = context.get_abi_sizeof(context.get_data_type(kinds[0].dtype))
        number, lanes = context.get_value_type(kinds[0].dtype), BYTES // size
        vector = ir.VectorType(number, lanes)
        target = _pointer(context, builder, kinds[0], out, out_at)
        base = _pointer(context, builder, kinds[2], rows, rows_at)
        indices = _pointer(context, builder, kinds[5], index, at)
        values = _pointer(context, builder, kinds[6], value, at)
        fast = ("contract", "reassoc", "nsz")

        def vectors_at(pointer: Any) -> Any:
            return builder.bitcast(pointer, vector.as_pointer())

        def load(pointer: Any, v: int) -> Any:
            one = builder.load(builder.gep(pointer, [ir.Constant(i64, v)]))
            one.align = size
            return one

        def element(k: Any) -> tuple[Any, Any]:
            i = builder.load(builder.gep(indices, [k]))
            if i.type.width < 64:
                i = builder.zext(i, i64) if not kinds[5].dtype.signed else builder.sext(i, i64)
            x = builder.load(builder.gep(values, [k]))
            if isinstance(x.type, ir.IntType):
                x = builder.uitofp(x, number)
            one = builder.insert_element(ir.Constant(vector, ir.Undefined), x, ir.Constant(ir.IntType(32), 0))
            many = builder.shuffle_vector(
                one, one, ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
            )
            return vectors_at(builder.gep(base, [builder.mul(i, W)])), many

        done = builder.append_basic_block("done")
        count = builder.sdiv(W, ir.Constant(i64, lanes))
        switch = builder.switch(count, done)
        for nv in range(1, VECTORS + 1):
            entry = builder.append_basic_block(f"width{nv}")
            switch.add_case(ir.Constant(i64, nv), entry)
            builder.position_at_end(entry)
            sums = [load(vectors_at(target), v) for v in range(nv)]
            # Narrow blocks need several independent chains of sums to hide the latency of an addition.
            chains = 4 if nv <= 2 else 2 if nv <= 5 else 1
            zero = ir.Constant(vector, [0.0] * lanes)
            start, many = ir.Constant(i64, 0), builder.sub(n, builder.srem(n, ir.Constant(i64, chains)))
            state = sums + [zero] * (nv * (chains - 1))
            for stride, end in ((chains, many), (1, n)) if chains > 1 else ((1, n),):
                before = builder.block
                head, body, leave = (builder.append_basic_block(b) for b in ("head", "body", "leave"))
                builder.branch(head)
                builder.position_at_end(head)
                k = builder.phi(i64)
                k.add_incoming(start, before)
                phis = []
                for s in state:
                    phi = builder.phi(vector)
                    phi.add_incoming(s, before)
                    phis.append(phi)
                builder.cbranch(builder.icmp_signed("<", k, end), body, leave)
                builder.position_at_end(body)
                new = list(phis)
                for c in range(stride):
                    pointer, x = element(builder.add(k, ir.Constant(i64, c)))
                    for v in range(nv):
                        product = builder.fmul(x, load(pointer, v), flags=fast)
                        new[c * nv + v] = builder.fadd(new[c * nv + v], product, flags=fast)
                k.add_incoming(builder.add(k, ir.Constant(i64, stride)), builder.block)
                for phi, s in zip(phis, new, strict=True):
                    phi.add_incoming(s, builder.block)
                builder.branch(head)
                builder.position_at_end(leave)
                state, start = list(phis), k
            for v in range(nv):
                total = state[v]
                for c in range(1, chains):
                    total = builder.fadd(total, state[c * nv + v], flags=fast)
                store = builder.store(total, builder.gep(vectors_at(target), [ir.Constant(i64, v)]))
                store.align = size
            builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def _call(typingctx, update, theta, theta_at, gradient, n, state, state_at, stride, c, c_at):  # type: ignore[no-untyped-def]
    """Call the compiled rule at address `update` for n parameters; slots of state are `stride` apart."""
    signature = types.void(update, theta, theta_at, gradient, n, state, state_at, stride, c, c_at)

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        kinds = signature.args
        update, theta, theta_at, gradient, n, state, state_at, stride, c, c_at = arguments
        pointers = [
            _pointer(context, builder, kinds[1], theta, theta_at),
            _pointer(context, builder, kinds[3], gradient, ir.Constant(ir.IntType(64), 0)),
            _pointer(context, builder, kinds[5], state, state_at),
            _pointer(context, builder, kinds[8], c, c_at),
        ]
        i64 = ir.IntType(64)
        kind = ir.FunctionType(ir.VoidType(), [p.type for p in pointers] + [i64, i64])
        function = builder.inttoptr(update, kind.as_pointer())
        builder.call(function, [*pointers, n, stride])
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def _arrive(typingctx, meet):  # type: ignore[no-untyped-def]
    """Add one to meet[0], atomically."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        zero = ir.Constant(ir.IntType(64), 0)
        pointer = _pointer(context, builder, signature.args[0], arguments[0], zero)
        builder.atomic_rmw("add", pointer, ir.Constant(ir.IntType(64), 1), "seq_cst")
        return context.get_dummy_value()

    return types.void(meet), codegen


@intrinsic
def _arrived(typingctx, meet):  # type: ignore[no-untyped-def]
    """Return meet[0], read atomically."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        zero = ir.Constant(ir.IntType(64), 0)
        pointer = _pointer(context, builder, signature.args[0], arguments[0], zero)
        return builder.load_atomic(pointer, "seq_cst", 8)

    return types.int64(meet), codegen


_yield = types.ExternalFunction("sched_yield", types.int32())


@njit(**_OPTIONS)
def _wait(meet, everyone):  # type: ignore[no-untyped-def]
    """Wait until `everyone` arrivals were counted; give the core away if that takes long."""
    spins = 0
    while _arrived(meet) < everyone:
        spins += 1
        if spins > 4000:
            _yield()


# Polynomials for exp(r), |r| <= ln(2) / 2, after 1 + r: Cephes' for float32 (1e-7), Taylor's for float64 (1e-16).
_EXP: dict[int, Any] = {
    32: {
        "largest": 87.0,
        "magic": 1.5 * 2**23,
        "ln2": (0.693359375, -2.12194440e-4),
        "p": (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5),
        "exponent": (127, 23),
    },
    64: {
        "largest": 708.0,
        "magic": 1.5 * 2**52,
        "ln2": (0.693145751953125, 1.42860682030941723212e-6),
        "p": tuple(1 / math.factorial(n) for n in range(13, 1, -1)),
        "exponent": (1023, 52),
    },
}  # fmt: skip


@intrinsic
def exp_minus(typingctx, a):  # type: ignore[no-untyped-def]
    """exp(-a) for a >= 0, as 2^k times a polynomial: no branch, no call, so that loops over it are vectorised.

    Written as instructions because fast-math flags of the caller would be put on any other form, and adding
    and taking away `magic`, which rounds to a whole number, must not be simplified.
    """

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        bits = 32 if signature.args[0] == types.float32 else 64
        table, kind, whole = _EXP[bits], arguments[0].type, ir.IntType(bits)

        def number(x: float) -> Any:
            return ir.Constant(kind, float(np.float32(x)) if bits == 32 else x)

        def plus(x: Any, y: Any) -> Any:
            return builder.fadd(x, y, flags=("contract",))

        def times(x: Any, y: Any) -> Any:
            return builder.fmul(x, y, flags=("contract",))

        (a,) = arguments
        small = builder.fcmp_ordered("<", a, number(table["largest"]))
        x = builder.fsub(number(0.0), builder.select(small, a, number(table["largest"])), flags=("contract",))
        z = plus(times(x, number(1 / math.log(2))), number(table["magic"]))
        k = plus(z, number(-table["magic"]))
        high, low = table["ln2"]
        r = plus(plus(x, times(k, number(-high))), times(k, number(-low)))
        p = number(table["p"][0])
        for coefficient in table["p"][1:]:
            p = plus(times(p, r), number(coefficient))
        p = plus(plus(times(times(p, r), r), r), number(1.0))
        bias, mantissa = table["exponent"]
        power = builder.shl(
            builder.add(builder.bitcast(z, whole), ir.Constant(whole, bias)), ir.Constant(whole, mantissa)
        )
        return times(p, builder.bitcast(power, kind))

    return a(a), codegen


@njit(**_OPTIONS)
def _sort(t, rows, at, column, value, first, last, parity, count, start, sample, number, touched, lazy):  # type: ignore[no-untyped-def]
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


@njit(**_OPTIONS)
def _load(low, high, rows, X, inputs, shift, factor, tile):  # type: ignore[no-untyped-def]
    """Scale rows low..high of a mini-batch into its tile, leaving out inputs that are never lit."""
    whole = len(inputs) == X.shape[1]
    for b in range(low, high):
        x, out = X[rows[b]], tile[b]
        if whole:
            for i in range(len(out)):
                out[i] = (x[i] - shift[i]) * factor[i]
        else:
            for i in range(len(out)):
                out[i] = (x[inputs[i]] - shift[i]) * factor[i]


@njit(**_OPTIONS)
def _outputs(low, high, rows, partial, bias, classes, targets, weights, Y, delta3, total):  # type: ignore[no-untyped-def]
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


@njit(**_OPTIONS)
def _descend(update, block, at, n, buffer, scale, decay, state, stride, state_at, c, step):  # type: ignore[no-untyped-def]
    """Scale a gradient in `buffer`, add the penalty, and let the rule update n parameters of a block."""
    if decay != 0:
        for i in range(n):
            buffer[i] = scale * buffer[i] + decay * block[at + i]
    else:
        for i in range(n):
            buffer[i] *= scale
    _call(update, block, at, buffer, n, state, state_at + at, stride, c, step * c.shape[1])


@njit(**_OPTIONS)
def steps(
    t, T, meet, meetings,
    at, column, value, factor1, first, X, inputs, shift, factor,
    classes, targets, weights, order, B,
    theta, state, bias, bias_state, W, D_O,
    c, decay, mean, update, lazy, learn,
    Z, delta, partial, Y, delta3, tile, buffer, count, start, sample, number, touched, total,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Take one step for each row of `c`, over consecutive mini-batches of `order`, as thread t of T.

    Sparse inputs: `at` (M, T + 1) says where the columns of thread u begin in `column` and `value` for each
    sample, `first` (T + 1,) which columns are whose, `factor1` scales all values. Dense inputs: X, of which
    `inputs` are lit, with `shift` and `factor` for each of them. `learn` false measures only.
    """
    dense = len(column) == 0
    n_in = len(inputs)
    blocks, size = theta.shape[0], theta.shape[1]
    two_at = (1 + n_in) * W
    stride, flat = blocks * size, state.reshape(-1)
    kind = theta.dtype.type
    factor1, decay, inverse = kind(factor1), kind(decay), kind(1 / factor1)
    every = np.arange(B)
    ones = np.ones(B, theta.dtype)
    chunk = max(1, len(buffer) // W)
    split = B * D_O > 4096 and T > 1  # else every thread computes all of delta3, and nobody waits for it
    some = 0
    if dense and len(c):
        rows = order[:B]
        _load(len(rows) * t // T, len(rows) * (t + 1) // T, rows, X, inputs, shift, factor, tile[0])
        if T > 1:
            meetings += T
            _arrive(meet)
            _wait(meet, meetings)
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
                np.dot(tile[parity, :n], block[W:two_at].reshape(n_in, W), z)
                for b in range(n):
                    for h in range(W):
                        z[b, h] += block[h]
            else:
                for b in range(n):
                    row = rows[b]
                    for h in range(W):
                        z[b, h] = block[h] * inverse
                    begin = at[row, 0]
                    _gather(flat_z, b * W, block, W, W, column, value, begin, at[row, T] - begin)
            scale = kind(1) if dense else factor1
            for i in range(n * W):
                a = scale * flat_z[i]
                e = exp_minus(abs(a))
                flat_z[i] = (kind(1) if a >= 0 else e) / (kind(1) + e)
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
            _load(m * t // T, m * (t + 1) // T, later, X, inputs, shift, factor, tile[1 - parity])
        if T > 1:
            meetings += T
            _arrive(meet)
            _wait(meet, meetings)

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
                _arrive(meet)
                _wait(meet, meetings)
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
            _descend(update, block, two_at, D_O * W, two_gradient, scale, decay, flat, stride, state_at, c, step)
            buffer[:W] = 0
            _gather(buffer, 0, flat_d, 0, W, every, ones, 0, n)
            _descend(update, block, 0, W, buffer, scale, kind(0), flat, stride, state_at, c, step)
            if dense:
                g = np.dot(tile[parity, :n].T, d2).reshape(-1)
                for begin in range(0, n_in * W, len(buffer)):
                    m = min(len(buffer), n_in * W - begin)
                    _descend(update, block, W + begin, m, g[begin : begin + m], scale, decay, flat, stride,
                             state_at, c, step)  # fmt: skip
                continue
            scale1 = scale * factor1
            for u in range(T):
                if lazy:
                    for place in range(first[u], first[u] + touched[parity, len(touched[0]) - T + u]):
                        i = touched[parity, place]
                        buffer[:W] = 0
                        _gather(buffer, 0, flat_d, 0, W, sample[parity, u], number[parity, u],
                                start[parity, i], count[parity, i])  # fmt: skip
                        _descend(update, block, (1 + i) * W, W, buffer, scale1, decay, flat, stride, state_at,
                                 c, step)  # fmt: skip
                    continue
                for begin in range(first[u], first[u + 1], chunk):
                    end = min(begin + chunk, first[u + 1])
                    buffer[: (end - begin) * W] = 0
                    for i in range(begin, end):
                        _gather(buffer, (i - begin) * W, flat_d, 0, W, sample[parity, u], number[parity, u],
                                start[parity, i], count[parity, i])  # fmt: skip
                    _descend(update, block, (1 + begin) * W, (end - begin) * W, buffer, scale1, decay, flat,
                             stride, state_at, c, step)  # fmt: skip
        # The biases of the outputs: every thread keeps the same copy.
        for k in range(D_O):
            buffer[k] = 0
        for b in range(n):
            for k in range(D_O):
                buffer[k] += d3[b, k]
        mine_bias = bias[t]
        _descend(update, mine_bias, 0, D_O, buffer, scale, kind(0), bias_state[t].reshape(-1), D_O, 0, c, step)
    return meetings


def row_update(rule: Any, dtype: Any) -> Any:
    """Compile `rule.update` to a C function over n parameters in a row; keep a reference to the result."""
    code = rule.update.__code__
    described = repr((code.co_code, code.co_consts, code.co_names, code.co_varnames)).encode()
    return _row_update(
        register_jitable(rule.update), rule.slots, hashlib.sha256(described).hexdigest(), np.dtype(dtype).name
    )


def _row_update(update: Any, slots: int, fingerprint: str, dtype: str) -> Any:
    # `fingerprint` is part of what a cached compilation is found by, so that a changed rule is compiled anew.
    number = getattr(types, dtype)
    pointer = types.CPointer(number)
    signature = types.void(pointer, pointer, pointer, pointer, types.int64, types.int64)
    options = {"cache": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "arcp"}}

    def body(theta, gradient, state, c, n, stride):  # type: ignore[no-untyped-def]
        fingerprint  # noqa: B018
        p, g = carray(theta, n), carray(gradient, n)
        k = (c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7])
        if slots == 0:
            for i in range(n):
                p[i], _ = update(p[i], g[i], (), k)
        elif slots == 1:
            s = carray(state, n)
            for i in range(n):
                p[i], (s[i],) = update(p[i], g[i], (s[i],), k)
        elif slots == 2:
            s, r = carray(state, n), carray(_shifted(state, stride), n)
            for i in range(n):
                p[i], (s[i], r[i]) = update(p[i], g[i], (s[i], r[i]), k)
        else:
            s, r = carray(state, n), carray(_shifted(state, stride), n)
            q = carray(_shifted(state, 2 * stride), n)
            for i in range(n):
                p[i], (s[i], r[i], q[i]) = update(p[i], g[i], (s[i], r[i], q[i]), k)

    return cfunc(signature, **options)(body)


@intrinsic
def _shifted(typingctx, pointer, n):  # type: ignore[no-untyped-def]
    """Return pointer + n."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, n), codegen
