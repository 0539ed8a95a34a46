"""Dense products for blocks of hidden units: some rows of the result stay in registers while sums run.

BLAS is made for matrices that are large both ways. For 50 units a thread it reaches three quarters of what it
does for 400, because it packs both factors anew for every product; here they are read where they lie.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import njit, types
from numba.extending import intrinsic

from thetanet.engine.cpu.kernels.barrier import OPTIONS
from thetanet.engine.cpu.kernels.instructions import BYTES, offset_pointer

# Rows of the result at a time, for 1 to 6 vectors of it: the most whose sums fit into 16 registers.
_ROWS = (0, 6, 5, 4, 3, 2, 2)
_WIDEST = len(_ROWS) - 1
_AT_ONCE = np.array(_ROWS)
_DEPTH = 64  # terms of the sums at a time: the rows in use stay in the first-level cache

_features = get_host_cpu_features()
# With 512-bit vectors BLAS has twice the speed of these loops; elsewhere nothing was measured.
QUICKER_THAN_BLAS = bool(_features.get("fma")) and not _features.get("avx512f")


@intrinsic
def _multiply(typingctx, out, out_stride, rows, stride, a, a_row, a_term, n, vectors, count):
    """out[i] += sum over k < n of a[i * a_row + k * a_term] * rows[k * stride:], for pointers out, rows, a.

    Rows out[i] are `vectors` vectors wide and `out_stride` apart; `count` is _ROWS[vectors] or 1.
    """
    whole = types.int64
    signature = types.void(out, whole, rows, whole, a, whole, whole, whole, whole, whole)

    def codegen(context, builder, signature, arguments):
        out, out_stride, rows, stride, a, a_row, a_term, n, vectors, count = arguments
        i64, number = ir.IntType(64), out.type.pointee
        size = context.get_abi_sizeof(number)
        lanes = BYTES // size
        vector = ir.VectorType(number, lanes)
        fast = ("contract", "reassoc", "nsz")

        def constant(k: int) -> Any:
            return ir.Constant(i64, k)

        def place(pointer: Any, v: int) -> Any:
            return builder.bitcast(builder.gep(pointer, [constant(v * lanes)]), vector.as_pointer())

        def load(pointer: Any, v: int) -> Any:
            one = builder.load(place(pointer, v))
            one.align = size
            return one

        def spread(pointer: Any) -> Any:
            one = builder.insert_element(
                ir.Constant(vector, ir.Undefined), builder.load(pointer), ir.Constant(ir.IntType(32), 0)
            )
            return builder.shuffle_vector(
                one, one, ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
            )

        def sums(width: int, height: int) -> None:
            cells = [(i, v) for i in range(height) for v in range(width)]
            targets = [builder.gep(out, [builder.mul(out_stride, constant(i))]) for i in range(height)]
            offsets = [builder.mul(a_row, constant(i)) for i in range(height)]
            first = [load(targets[i], v) for i, v in cells]
            before = builder.block
            head, body, leave = (builder.append_basic_block(b) for b in ("head", "body", "leave"))
            builder.branch(head)
            builder.position_at_end(head)
            starts = [constant(0), rows, a, *first]
            k, row, factor, *state = phis = [builder.phi(s.type) for s in starts]
            for phi, s in zip(phis, starts, strict=True):
                phi.add_incoming(s, before)
            builder.cbranch(builder.icmp_signed("<", k, n), body, leave)
            builder.position_at_end(body)
            # The fewer of the two are held in registers, the others pass through one.
            if height <= width:
                xs = [spread(builder.gep(factor, [offset])) for offset in offsets]
                pairs = (
                    (i, v, xs[i], y) for v in range(width) for y in [load(row, v)] for i in range(height)
                )
            else:
                ys = [load(row, v) for v in range(width)]
                pairs = (
                    (i, v, x, ys[v])
                    for i in range(height)
                    for x in [spread(builder.gep(factor, [offsets[i]]))]
                    for v in range(width)
                )
            new = list(state)
            for i, v, x, y in pairs:
                at = i * width + v
                new[at] = builder.fadd(new[at], builder.fmul(x, y, flags=fast), flags=fast)
            ends = [
                builder.add(k, constant(1)), builder.gep(row, [stride]), builder.gep(factor, [a_term]), *new
            ]  # fmt: skip
            for phi, s in zip(phis, ends, strict=True):
                phi.add_incoming(s, builder.block)
            builder.branch(head)
            builder.position_at_end(leave)
            for (i, v), s in zip(cells, state, strict=True):
                store = builder.store(s, place(targets[i], v))
                store.align = size

        done = builder.append_basic_block("done")
        switch = builder.switch(vectors, done)
        for width in range(1, _WIDEST + 1):
            entry = builder.append_basic_block(f"width{width}")
            switch.add_case(constant(width), entry)
            builder.position_at_end(entry)
            many, one = builder.append_basic_block("many"), builder.append_basic_block("one")
            builder.cbranch(builder.icmp_signed("==", count, constant(_ROWS[width])), many, one)
            for block, height in ((many, _ROWS[width]), (one, 1)):
                builder.position_at_end(block)
                sums(width, height)
                builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return signature, codegen


@njit(**OPTIONS)
def add_product(out, rows, W, lanes, a, a_row, a_term, m, n):
    """Add A (m, n) rows (n, W) to out (m, W), for pointers, where A[i, k] is a[i * a_row + k * a_term].

    W is a multiple of `lanes`, the numbers in a vector.
    """
    vectors = W // lanes
    stripes = (vectors + _WIDEST - 1) // _WIDEST
    column = 0
    for s in range(stripes):
        width = (vectors - column // lanes) // (stripes - s)
        height = _AT_ONCE[width]
        for k in range(0, n, _DEPTH):
            terms = min(_DEPTH, n - k)
            i = 0
            while i < m:
                count = height if i + height <= m else 1
                _multiply(
                    offset_pointer(out, i * W + column), W, offset_pointer(rows, k * W + column), W,
                    offset_pointer(a, i * a_row + k * a_term), a_row, a_term, terms, width, count,
                )  # fmt: skip
                i += count
        column += width * lanes
