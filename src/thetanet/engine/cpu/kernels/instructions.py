"""Instructions that numba does not have: written for LLVM, inlined into the loops.

Vectors are 256 bits wide. All arrays are passed whole, with an offset, so that no view is made in a loop.
"""

from __future__ import annotations

import math
import platform
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_MACHINE = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
VECTORS = (
    12  # registers of sums in `sparse_dense_product`: a block of hidden units is at most 12 vectors wide
)
BYTES = 32


def _pointer(context: Any, builder: Any, kind: Any, array: Any, offset: Any) -> Any:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [offset])


@intrinsic
def pointer_to(typingctx, array, place):
    """Return a pointer to an element of a contiguous array: cheap to pass on, unlike the array itself."""

    def codegen(context, builder, signature, arguments):
        return _pointer(context, builder, signature.args[0], *arguments)

    return types.CPointer(array.dtype)(array, types.int64), codegen


@intrinsic
def sparse_dense_product(typingctx, out, rows, W, index, value, n):
    """out[:W] += sum over k < n of value[k] * rows[index[k] * W:][:W], for pointers out, rows, index, value.

    The one loop that everything with zeros in it is made of. The sums stay in registers.
    """
    signature = types.void(out, rows, types.int64, index, value, types.int64)

    def codegen(context, builder, signature, arguments):
        kinds = signature.args
        i64 = ir.IntType(64)
        target, base, W, indices, values, n = arguments
        number = context.get_value_type(kinds[0].dtype)
        size = context.get_abi_sizeof(context.get_data_type(kinds[0].dtype))
        lanes = BYTES // size
        vector = ir.VectorType(number, lanes)
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
                i = builder.zext(i, i64) if not kinds[3].dtype.signed else builder.sext(i, i64)
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
def call_rule(typingctx, update, theta, theta_at, gradient, n, state, state_at, stride, c, c_at):
    """Call the compiled rule at address `update` for n parameters; slots of state are `stride` apart."""
    signature = types.void(update, theta, theta_at, gradient, n, state, state_at, stride, c, c_at)

    def codegen(context, builder, signature, arguments):
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
def gemm(typingctx, blas, transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, c, ldc):
    """C = A B + beta C, row by row in memory, by the BLAS function at address `blas`.

    C is (m, n); A (m, k), or stored as (k, m) if `transpose_a`; B (k, n), or stored as (n, k) if
    `transpose_b`; ld* are the lengths of their rows in memory.
    """
    signature = types.void(
        blas, types.boolean, types.boolean, types.int64, types.int64, types.int64,
        a, types.int64, b, types.int64, a.dtype, c, types.int64,
    )  # fmt: skip

    def codegen(context, builder, signature, arguments):
        blas, transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, c, ldc = arguments
        i8, i32, kind = ir.IntType(8), ir.IntType(32), beta.type

        def stored(value: Any) -> Any:
            place = cgutils.alloca_once(builder, value.type)
            builder.store(value, place)
            return place

        def letter(transpose: Any) -> Any:
            flag = builder.trunc(transpose, ir.IntType(1)) if transpose.type.width > 1 else transpose
            return stored(builder.select(flag, ir.Constant(i8, ord("T")), ir.Constant(i8, ord("N"))))

        def whole(value: Any) -> Any:
            return stored(builder.trunc(value, i32))

        # BLAS stores matrices by columns: what it sees is C^T = B^T A^T.
        passed = [
            letter(transpose_b), letter(transpose_a), whole(n), whole(m), whole(k),
            stored(ir.Constant(kind, 1.0)), b, whole(ldb), a, whole(lda), stored(beta), c, whole(ldc),
        ]  # fmt: skip
        function = ir.FunctionType(ir.VoidType(), [p.type for p in passed])
        builder.call(builder.inttoptr(blas, function.as_pointer()), passed)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def prefetch(typingctx, pointer, n):
    """Ask for the cache line of pointer[n], which is read soon."""

    def codegen(context, builder, signature, arguments):
        i32, byte = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, i32, i32, i32])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        address = builder.bitcast(builder.gep(arguments[0], [arguments[1]]), byte)
        builder.call(function, [address, ir.Constant(i32, 0), ir.Constant(i32, 3), ir.Constant(i32, 1)])
        return context.get_dummy_value()

    return types.void(pointer, types.int64), codegen


@intrinsic
def add_atomic(typingctx, array, place, n):
    """Add n to array[place], atomically, and return what stood there before."""

    def codegen(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        return builder.atomic_rmw("add", pointer, arguments[2], "seq_cst")

    return types.int64(array, types.int64, types.int64), codegen


@intrinsic
def read_atomic(typingctx, array, place):
    """Return array[place], read atomically."""

    def codegen(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        return builder.load_atomic(pointer, "seq_cst", 8)

    return types.int64(array, types.int64), codegen


@intrinsic
def offset_pointer(typingctx, pointer, n):
    """Return pointer + n."""

    def codegen(context, builder, signature, arguments):
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, n), codegen


# exp(r) after 1 + r, for |r| <= ln(2) / 2: the polynomial of Cephes for float32, of Taylor for float64.
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
def exp_minus(typingctx, a):
    """exp(-a) for a >= 0, as 2^k times a polynomial: no branch, no call, so loops over it are vectorised.

    Written as instructions because fast-math flags of the caller would be put on any other form, and adding
    and taking away `magic`, which rounds to a whole number, must not be simplified.
    """

    def codegen(context, builder, signature, arguments):
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


@intrinsic
def flush_subnormals(typingctx):
    """Let this thread treat subnormal numbers as 0; return the argument of `restore_subnormals`.

    The state of a rule for an input that is rarely active fades to such numbers, and arithmetic with them
    takes a hundred times as long.
    """

    def codegen(context, builder, signature, arguments):
        if _MACHINE == "x86_64":
            slot = cgutils.alloca_once(builder, ir.IntType(32))
            _control(builder, "stmxcsr", slot)
            before = builder.load(slot)
            builder.store(builder.or_(before, ir.Constant(ir.IntType(32), 0x8040)), slot)  # FTZ, DAZ
            _control(builder, "ldmxcsr", slot)
            return builder.zext(before, ir.IntType(64))
        if _MACHINE == "aarch64":
            read = ir.FunctionType(ir.IntType(64), [])
            before = builder.asm(read, "mrs $0, fpcr", "=r", [], True)
            _set_fpcr(builder, builder.or_(before, ir.Constant(ir.IntType(64), 1 << 24)))  # FZ
            return before
        return ir.Constant(ir.IntType(64), 0)

    return types.uint64(), codegen


@intrinsic
def restore_subnormals(typingctx, before):
    """Undo `flush_subnormals`: other code runs on this thread too."""

    def codegen(context, builder, signature, arguments):
        if _MACHINE == "x86_64":
            slot = cgutils.alloca_once(builder, ir.IntType(32))
            builder.store(builder.trunc(arguments[0], ir.IntType(32)), slot)
            _control(builder, "ldmxcsr", slot)
        elif _MACHINE == "aarch64":
            _set_fpcr(builder, arguments[0])
        return context.get_dummy_value()

    return types.void(types.uint64), codegen


def _control(builder: Any, what: str, slot: Any) -> None:
    """Store or load the register that says how vectors compute."""
    byte = ir.IntType(8).as_pointer()
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(ir.VoidType(), [byte]), f"llvm.x86.sse.{what}"
    )
    builder.call(function, [builder.bitcast(slot, byte)])


def _set_fpcr(builder: Any, value: Any) -> None:
    builder.asm(ir.FunctionType(ir.VoidType(), [ir.IntType(64)]), "msr fpcr, $0", "r", [value], True)
