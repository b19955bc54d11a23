"""The dot product engine's arithmetic: acc = fma(a, b, acc), k ascending, in register tiles of 8 rows and 32 columns.

Blocks of a and b are converted to the working type (f32 or i32) in buffers; the order of additions of each element is
the same whatever the blocks are.
"""

from __future__ import annotations

from typing import Any

from mtia.isa.lang import Ptr, Vec, f32, fma, fn, i32, i64, local, splat, u32, u64, vload, vstore
from mtia.isa.xmtia.codes import DType
from mtia.isa.xmtia.elements import load_f32, load_i32, size_of
from mtia.isa.xmtia.state import ChipParams, Operand
from mtia.isa.xmtia.views import DONE, LS, RE, WRONG_SHAPE, WRONG_TYPE, at, misplaced

__all__ = ["cycles", "mma", "mmz"]

F32, F16, BF16, TF32, E4M3, E5M2, I8, U8, I32 = (
    int(t)
    for t in (DType.F32, DType.F16, DType.BF16, DType.TF32, DType.E4M3, DType.E5M2, DType.I8, DType.U8, DType.I32)
)
ROWS, COLUMNS = 8, 32  # of a register tile: two vectors a row
LANES = 16
K_BLOCK, M_BLOCK, N_BLOCK = 128, 64, 64


def _tile(W: Any) -> Any:
    """One register tile: acc[8, 32] += a[8, n] · b[n, 32] with rows of K_BLOCK, N_BLOCK and COLUMNS elements."""
    V = Vec[W, LANES]

    @fn
    def add(x: W, b: V, c: V) -> V:
        if W is f32:
            return fma(splat(x, LANES), b, c)
        return c + splat(x, LANES) * b

    @fn
    def tile(acc: Ptr[W], a: Ptr[W], b: Ptr[W], n: i64) -> None:
        l0 = vload(acc + 0, LANES)
        r0 = vload(acc + 16, LANES)
        l1 = vload(acc + 32, LANES)
        r1 = vload(acc + 48, LANES)
        l2 = vload(acc + 64, LANES)
        r2 = vload(acc + 80, LANES)
        l3 = vload(acc + 96, LANES)
        r3 = vload(acc + 112, LANES)
        l4 = vload(acc + 128, LANES)
        r4 = vload(acc + 144, LANES)
        l5 = vload(acc + 160, LANES)
        r5 = vload(acc + 176, LANES)
        l6 = vload(acc + 192, LANES)
        r6 = vload(acc + 208, LANES)
        l7 = vload(acc + 224, LANES)
        r7 = vload(acc + 240, LANES)
        for k in range(n):
            row = b + k * N_BLOCK
            left = vload(row, LANES)
            right = vload(row + LANES, LANES)
            x = a[k]
            l0 = add(x, left, l0)
            r0 = add(x, right, r0)
            x = a[k + 1 * K_BLOCK]
            l1 = add(x, left, l1)
            r1 = add(x, right, r1)
            x = a[k + 2 * K_BLOCK]
            l2 = add(x, left, l2)
            r2 = add(x, right, r2)
            x = a[k + 3 * K_BLOCK]
            l3 = add(x, left, l3)
            r3 = add(x, right, r3)
            x = a[k + 4 * K_BLOCK]
            l4 = add(x, left, l4)
            r4 = add(x, right, r4)
            x = a[k + 5 * K_BLOCK]
            l5 = add(x, left, l5)
            r5 = add(x, right, r5)
            x = a[k + 6 * K_BLOCK]
            l6 = add(x, left, l6)
            r6 = add(x, right, r6)
            x = a[k + 7 * K_BLOCK]
            l7 = add(x, left, l7)
            r7 = add(x, right, r7)
        vstore(acc + 0, l0)
        vstore(acc + 16, r0)
        vstore(acc + 32, l1)
        vstore(acc + 48, r1)
        vstore(acc + 64, l2)
        vstore(acc + 80, r2)
        vstore(acc + 96, l3)
        vstore(acc + 112, r3)
        vstore(acc + 128, l4)
        vstore(acc + 144, r4)
        vstore(acc + 160, l5)
        vstore(acc + 176, r5)
        vstore(acc + 192, l6)
        vstore(acc + 208, r6)
        vstore(acc + 224, l7)
        vstore(acc + 240, r7)

    return tile


def _block(W: Any, load: Any) -> Any:
    """The whole product for a working type and its reader of runs."""
    tile = _tile(W)

    @fn
    def pack_b(to: Ptr[W], column: Ptr[W], b: Ptr[Operand], k: i64, n: i64, ks: i64, ns: i64) -> None:
        """b[k : k + ks, n : n + ns], in runs along whichever dimension is contiguous."""
        if b.rstride == i64(size_of(b.dtype)) and b.cstride != b.rstride:
            for j in range(ns):
                load(b.dtype, column, at(b, k, n + j), b.rstride, ks)
                for i in range(ks):
                    to[i * N_BLOCK + j] = column[i]
        else:
            for i in range(ks):
                load(b.dtype, to + i * N_BLOCK, at(b, k + i, n), b.cstride, ns)

    @fn
    def read_acc(to: Ptr[W], acc: Ptr[Operand], m: i64, n: i64, ms: i64, ns: i64) -> None:
        for i in range(ms):
            p = at(acc, m + i, n)
            if acc.cstride == 4:
                q = Ptr[W](u64(p))
                for j in range(ns):
                    to[i * COLUMNS + j] = q[j]
            else:
                for j in range(ns):
                    to[i * COLUMNS + j] = Ptr[W](u64(p + j * acc.cstride))[0]

    @fn
    def write_acc(tile: Ptr[W], acc: Ptr[Operand], m: i64, n: i64, ms: i64, ns: i64) -> None:
        for i in range(ms):
            p = at(acc, m + i, n)
            if acc.cstride == 4:
                q = Ptr[W](u64(p))
                for j in range(ns):
                    q[j] = tile[i * COLUMNS + j]
            else:
                for j in range(ns):
                    Ptr[W](u64(p + j * acc.cstride))[0] = tile[i * COLUMNS + j]

    @fn
    def eight_rows(
        zero: u32, acc: Ptr[Operand], rows: Ptr[W], packed: Ptr[W], m: i64, n: i64, ks: i64, ns: i64
    ) -> None:
        """Up to 8 rows of acc from row m, against a packed block of b."""
        part = local(W, ROWS * COLUMNS)
        ms = min(i64(ROWS), i64(acc.rows) - m)
        for j in range(0, ns, COLUMNS):
            js = min(i64(COLUMNS), ns - j)
            if zero != 0:
                for i in range(i64(ROWS * COLUMNS)):
                    part[i] = W(0)
            else:
                read_acc(part, acc, m, n + j, ms, js)
            tile(part, rows, packed + j, ks)
            write_acc(part, acc, m, n + j, ms, js)

    @fn(inline="never")
    def strip(zero: u32, acc: Ptr[Operand], a: Ptr[Operand], packed: Ptr[W], k: i64, n: i64, ks: i64, ns: i64) -> None:
        """All rows of acc, against a packed block of b."""
        rows = local(W, ROWS * K_BLOCK)
        for m in range(0, i64(acc.rows), ROWS):
            for i in range(min(i64(ROWS), i64(acc.rows) - m)):
                load(a.dtype, rows + i * K_BLOCK, at(a, m + i, k), a.cstride, ks)
            eight_rows(zero, acc, rows, packed, m, n, ks, ns)

    @fn(inline="never")
    def strip_turned(
        zero: u32, acc: Ptr[Operand], a: Ptr[Operand], packed: Ptr[W], k: i64, n: i64, ks: i64, ns: i64
    ) -> None:
        """The same where the columns of a are contiguous: read along them, M_BLOCK rows at a time."""
        rows = local(W, M_BLOCK * K_BLOCK)
        column = local(W, M_BLOCK)
        for m in range(0, i64(acc.rows), M_BLOCK):
            ms = min(i64(M_BLOCK), i64(acc.rows) - m)
            for i in range(ks):
                load(a.dtype, column, at(a, m, k + i), a.rstride, ms)
                for j in range(ms):
                    rows[j * K_BLOCK + i] = column[j]
            for j in range(0, ms, ROWS):
                eight_rows(zero, acc, rows + j * K_BLOCK, packed, m + j, n, ks, ns)

    @fn(inline="never")
    def multiply(zero: u32, acc: Ptr[Operand], a: Ptr[Operand], b: Ptr[Operand]) -> None:
        packed = local(W, K_BLOCK * N_BLOCK)
        column = local(W, K_BLOCK)
        depth = i64(a.cols)
        width = i64(acc.cols)
        turned = a.rstride == i64(size_of(a.dtype)) and a.cstride != a.rstride
        if depth == 0 and zero != 0:
            strip(u32(1), acc, a, packed, i64(0), i64(0), i64(0), width)
        for k in range(0, depth, K_BLOCK):
            ks = min(i64(K_BLOCK), depth - k)
            first = zero
            if k != 0:
                first = u32(0)
            for n in range(0, width, N_BLOCK):
                ns = min(i64(N_BLOCK), width - n)
                pack_b(packed, column, b, k, n, ks, ns)
                if turned:
                    strip_turned(first, acc, a, packed, k, n, ks, ns)
                else:
                    strip(first, acc, a, packed, k, n, ks, ns)

    return multiply


multiply_f32 = _block(f32, load_f32)
multiply_i32 = _block(i32, load_i32)


@fn
def rate(chip: Ptr[ChipParams], a: u32, b: u32) -> u32:
    """Multiply-accumulates per clock for a pair of types; 0 when the chip has no such pair."""
    if a == F16 and b == F16:
        return chip.dpe_fp16
    if a == BF16 and b == BF16:
        return chip.dpe_bf16
    if (a == I8 or a == U8) and (b == I8 or b == U8):
        return chip.dpe_int8
    if (a == E4M3 or a == E5M2) and (b == E4M3 or b == E5M2):
        return chip.dpe_fp8
    if a == TF32 and b == TF32:
        return chip.dpe_tf32
    return 0


@fn
def product(zero: u32, chip: Ptr[ChipParams], o: Ptr[Operand]) -> u32:
    acc = o
    a = o + 1
    b = o + 2
    problem = misplaced(acc, u32(RE))
    if problem == 0:
        problem = misplaced(a, u32(LS))
    if problem == 0:
        problem = misplaced(b, u32(LS))
    if problem != 0:
        return problem
    if a.rows != acc.rows or b.cols != acc.cols or a.cols != b.rows:
        return WRONG_SHAPE
    if rate(chip, a.dtype, b.dtype) == 0:
        return WRONG_TYPE
    whole = a.dtype == I8 or a.dtype == U8
    if acc.dtype != (u32(I32) if whole else u32(F32)):
        return WRONG_TYPE
    if whole:
        multiply_i32(zero, acc, a, b)
    else:
        multiply_f32(zero, acc, a, b)
    return DONE


@fn
def mmz(chip: Ptr[ChipParams], o: Ptr[Operand]) -> u32:
    return product(u32(1), chip, o)


@fn
def mma(chip: Ptr[ChipParams], o: Ptr[Operand]) -> u32:
    return product(u32(0), chip, o)


def cycles() -> Any:
    """Clocks: a step of a tile takes its rows and columns by the slice of k that the rate gives, in as many clocks."""

    @fn
    def timing(chip: Ptr[ChipParams], o: Ptr[Operand]) -> u64:
        tiles = u64(chip.dpe_tiles)
        edge = chip.dpe_tile
        slice_k = u64(max(rate(chip, o[1].dtype, o[2].dtype) // (edge * chip.dpe_tiles), u32(1)))
        blocks = u64((o[0].rows + edge - 1) // edge) * u64((o[0].cols + edge - 1) // edge)
        slices = (u64(o[1].cols) + slice_k - 1) // slice_k
        return u64(chip.dpe_start) + (blocks * slices + tiles - 1) // tiles * u64(edge)

    return timing
