"""Row and column reductions: 32 lanes in a fixed order for rows, rows ascending for columns."""

from __future__ import annotations

from typing import Any

from mtia.isa.lang import (
    Ptr,
    bits,
    f32,
    fn,
    from_bits,
    i64,
    local,
    select,
    shuffle,
    splat,
    u32,
    unroll,
    vload,
)  # fmt: skip
from mtia.isa.xmtia.elements import is_integer, store_f32, store_i64
from mtia.isa.xmtia.scalars import add_f, add_i, max_f, max_i, maxn_f, min_f, min_i, minn_f
from mtia.isa.xmtia.state import Operand
from mtia.isa.xmtia.views import CHUNK, at, prepare, run_f32, run_i64

__all__ = ["COLUMNS", "ROWS", "column_reduction", "row_reduction"]

SUM, MAX, MIN, MAXN, MINN = KINDS = range(5)
LANES = 16  # of a vector; a row has two vectors of partial results
FOLDS = tuple(tuple((i + half) % LANES for i in range(LANES)) for half in (8, 4, 2, 1))
LOWEST = -(1 << 63)
HIGHEST = (1 << 63) - 1
# by kind; NaN is what the number forms give when there is no number
IDENTITIES = (0.0, float("-inf"), float("inf"), float("nan"), float("nan"))
INTEGER_IDENTITIES = (0, LOWEST, HIGHEST, LOWEST, HIGHEST)
COMBINE = (add_f, max_f, min_f, maxn_f, minn_f)
COMBINE_INTEGERS = (add_i, max_i, min_i, max_i, min_i)


def _lanes(kind: int) -> Any:
    """Combine two vectors of partial results, lane by lane."""
    from mtia.isa.lang import Vec

    V = Vec[f32, LANES]

    @fn
    def combine(a: V, b: V) -> V:
        if kind == SUM:
            return a + b
        if kind == MAX or kind == MAXN:
            equal = from_bits(f32, bits(a) & bits(b))
            best = select(a > b, a, select(b > a, b, equal))
        else:
            equal = from_bits(f32, bits(a) | bits(b))
            best = select(a < b, a, select(b < a, b, equal))
        if kind == MAX or kind == MIN:
            return select(a != a, a, select(b != b, b, best))
        return select(a != a, b, select(b != b, a, best))

    return combine


def _row_f32(kind: int) -> Any:
    """Reduce row r of a prepared source to one f32."""
    combine = _lanes(kind)
    identity = IDENTITIES[kind]

    @fn
    def reduce(o: Ptr[Operand], r: i64, buffer: Ptr[f32]) -> f32:
        even = splat(f32(identity), LANES)
        odd = splat(f32(identity), LANES)
        cols = i64(o.cols)
        for c in range(0, cols, CHUNK):
            n = min(i64(CHUNK), cols - c)
            x = run_f32(o, r, c, n, buffer)
            whole = n & ~31
            for i in range(0, whole, 32):
                even = combine(even, vload(x + i, LANES))
                odd = combine(odd, vload(x + (i + LANES), LANES))
            if whole < n:
                rest = n - whole
                tail = local(f32, 32)
                for i in range(i64(32)):
                    tail[i] = f32(identity)
                for i in range(rest):
                    tail[i] = x[whole + i]
                even = combine(even, vload(tail, LANES))
                odd = combine(odd, vload(tail + LANES, LANES))
        v = combine(even, odd)
        for order in unroll(FOLDS):
            v = combine(v, shuffle(v, v, order))
        return v[0]

    return reduce


def _row_i64(kind: int) -> Any:
    """Reduce row r of a prepared integer source to one i64."""
    combine = COMBINE_INTEGERS[kind]
    identity = INTEGER_IDENTITIES[kind]

    @fn
    def reduce(o: Ptr[Operand], r: i64, buffer: Ptr[i64]) -> i64:
        value = i64(identity)
        cols = i64(o.cols)
        for c in range(0, cols, CHUNK):
            n = min(i64(CHUNK), cols - c)
            x = run_i64(o, r, c, n, buffer)
            for i in range(n):
                value = combine(value, x[i])
        return value

    return reduce


def _row_driver(kind: int) -> Any:
    floats = _row_f32(kind)
    integers = _row_i64(kind)

    @fn
    def run(d: Ptr[Operand], a: Ptr[Operand]) -> None:
        o = local(Operand, 1)
        prepare(o, a, a.rows, a.cols)
        whole = is_integer(a.dtype)
        result = local(f32, 1)
        exact = local(i64, 1)
        buffer = local(f32, CHUNK)
        wide = local(i64, CHUNK)
        for r in range(i64(a.rows)):
            if whole:
                exact[0] = integers(o, r, wide)
                store_i64(d.dtype, exact, at(d, r, i64(0)), i64(0), i64(1))
            else:
                result[0] = floats(o, r, buffer)
                store_f32(d.dtype, result, at(d, r, i64(0)), i64(0), i64(1))

    return run


def _column_driver(kind: int) -> Any:
    def of(W: Any, combine: Any, identity: Any, read: Any, write: Any) -> Any:

        @fn
        def run(d: Ptr[Operand], o: Ptr[Operand]) -> None:
            partial = local(W, CHUNK)
            buffer = local(W, CHUNK)
            cols = i64(o.cols)
            for c in range(0, cols, CHUNK):
                n = min(i64(CHUNK), cols - c)
                for i in range(n):
                    partial[i] = W(identity)
                for r in range(i64(o.rows)):
                    x = read(o, r, c, n, buffer)
                    for i in range(n):
                        partial[i] = combine(partial[i], x[i])
                write(d.dtype, partial, at(d, i64(0), c), d.cstride, n)

        return run

    floats = of(f32, COMBINE[kind], IDENTITIES[kind], run_f32, store_f32)
    integers = of(i64, COMBINE_INTEGERS[kind], INTEGER_IDENTITIES[kind], run_i64, store_i64)

    @fn
    def run(d: Ptr[Operand], a: Ptr[Operand]) -> None:
        o = local(Operand, 1)
        prepare(o, a, a.rows, a.cols)
        if is_integer(a.dtype):
            integers(d, o)
        else:
            floats(d, o)

    return run


ROWS = tuple(_row_driver(kind) for kind in KINDS)
COLUMNS = tuple(_column_driver(kind) for kind in KINDS)


@fn
def row_reduction(kind: u32, d: Ptr[Operand], a: Ptr[Operand]) -> None:
    """Reduce a's rows into d's first column; kind 0 sum, 1 max, 2 min, 3 maxn, 4 minn."""
    for k in unroll(KINDS):
        if kind == k:
            ROWS[k](d, a)


@fn
def column_reduction(kind: u32, d: Ptr[Operand], a: Ptr[Operand]) -> None:
    """Reduce a's columns into d's first row; kind 0 sum, 1 max, 2 min, 3 maxn, 4 minn."""
    for k in unroll(KINDS):
        if kind == k:
            COLUMNS[k](d, a)
