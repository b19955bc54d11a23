"""The memory layout unit's moves: bits of 1, 2, 4 or 8 bytes between views of any strides."""

from __future__ import annotations

from typing import Any

from mtia.isa.lang import Ptr, boolean, fn, i64, local, memcpy, memmove, sizeof, u8, u16, u32, u64, unroll
from mtia.isa.xmtia.codes import DType, Form
from mtia.isa.xmtia.elements import load_i64, size_of
from mtia.isa.xmtia.state import ChipParams, Operand
from mtia.isa.xmtia.views import (
    DONE,
    WRONG_FORM,
    WRONG_INDEX,
    WRONG_SHAPE,
    WRONG_SPACE,
    WRONG_TYPE,
    at,
    in_local,
    prepare,
    work,
)  # fmt: skip

__all__ = ["cat", "copy", "cycles", "fill", "gather", "trans"]

WORDS = ((1, u8), (2, u16), (4, u32), (8, u64))
LOCAL, IMMEDIATE = int(Form.LOCAL), int(Form.IMMEDIATE)
I32, I64 = int(DType.I32), int(DType.I64)


def _mover(M: Any) -> Any:
    """Move a run of elements of one size."""
    size = int(M.size)

    @fn
    def run(to: Ptr[u8], to_stride: i64, source: Ptr[u8], stride: i64, n: i64) -> None:
        if to_stride == size and stride == 0:
            p = Ptr[M](to)
            value = Ptr[M](source)[0]
            for i in range(n):
                p[i] = value
        elif to_stride == size:
            p = Ptr[M](to)
            for i in range(n):
                p[i] = Ptr[M](source + i * stride)[0]
        else:
            for i in range(n):
                Ptr[M](to + i * to_stride)[0] = Ptr[M](source + i * stride)[0]

    return run


MOVERS = tuple((size, _mover(M)) for size, M in WORDS)


@fn
def move_row(size: u32, to: Ptr[u8], to_stride: i64, source: Ptr[u8], stride: i64, n: i64) -> None:
    """Move n elements; contiguous ones as a block."""
    if to_stride == i64(size) and stride == i64(size):
        memmove(to, source, u64(n) * u64(size))
    else:
        for entry in unroll(MOVERS):
            if size == entry[0]:
                entry[1](to, to_stride, source, stride, n)


@fn(inline="never")
def move(d: Ptr[Operand], s: Ptr[Operand]) -> None:
    """d[r, c] = s[r, c] for prepared operands of one shape, along the dimension in which d is denser."""
    size = size_of(d.dtype)
    if d.rstride == i64(size) and d.cstride != i64(size):
        for c in range(i64(d.cols)):
            move_row(size, at(d, i64(0), c), d.rstride, at(s, i64(0), c), s.rstride, i64(d.rows))
    else:
        for r in range(i64(d.rows)):
            move_row(size, at(d, r, i64(0)), d.cstride, at(s, r, i64(0)), s.cstride, i64(d.cols))


@fn
def problem_of(d: Ptr[Operand], s: Ptr[Operand], form: u32) -> u32:
    """Why d cannot take elements of s, which must have this form; 0 when it can."""
    if s.form != form:
        return WRONG_FORM
    if not in_local(d):
        return WRONG_SPACE
    if size_of(d.dtype) == 0 or size_of(d.dtype) != size_of(s.dtype):
        return WRONG_TYPE
    return DONE


@fn
def copy(chip: Ptr[ChipParams], o: Ptr[Operand]) -> u32:
    problem = problem_of(o, o + 1, u32(LOCAL))
    if problem == 0 and (o[0].rows != o[1].rows or o[0].cols != o[1].cols):
        problem = u32(WRONG_SHAPE)
    if problem == 0:
        move(o, o + 1)
    return problem


@fn
def trans(chip: Ptr[ChipParams], o: Ptr[Operand]) -> u32:
    problem = problem_of(o, o + 1, u32(LOCAL))
    if problem == 0 and (o[0].rows != o[1].cols or o[0].cols != o[1].rows):
        problem = u32(WRONG_SHAPE)
    if problem == 0:
        turned = local(Operand, 1)
        prepare(turned, o + 1, o[0].rows, o[0].cols)
        turned.rstride = o[1].cstride
        turned.cstride = o[1].rstride
        move(o, turned)
    return problem


@fn
def fill(chip: Ptr[ChipParams], o: Ptr[Operand]) -> u32:
    problem = problem_of(o, o + 1, u32(IMMEDIATE))
    if problem == 0:
        value = local(Operand, 1)
        prepare(value, o + 1, o[0].rows, o[0].cols)
        move(o, value)
    return problem


@fn
def cat(chip: Ptr[ChipParams], o: Ptr[Operand]) -> u32:
    d = o
    a = o + 1
    b = o + 2
    problem = problem_of(d, a, u32(LOCAL))
    if problem == 0:
        problem = problem_of(d, b, u32(LOCAL))
    if problem != 0:
        return problem
    part = local(Operand, 2)
    second = part + 1
    memcpy(part, d, sizeof(Operand))
    memcpy(second, d, sizeof(Operand))
    if a.rows == d.rows and b.rows == d.rows and a.cols + b.cols == d.cols:
        part.cols = a.cols
        second.cols = b.cols
        second.ptr = at(d, i64(0), i64(a.cols))
    elif a.cols == d.cols and b.cols == d.cols and a.rows + b.rows == d.rows:
        part.rows = a.rows
        second.rows = b.rows
        second.ptr = at(d, i64(a.rows), i64(0))
    else:
        return WRONG_SHAPE
    move(part, a)
    move(second, b)
    return DONE


@fn
def gather(chip: Ptr[ChipParams], o: Ptr[Operand]) -> u32:
    d = o
    a = o + 1
    b = o + 2
    problem = problem_of(d, a, u32(LOCAL))
    if problem != 0:
        return problem
    if b.form != LOCAL:
        return WRONG_FORM
    if b.dtype != I32 and b.dtype != I64:
        return WRONG_TYPE
    if b.rows != d.rows or b.cols != 1 or a.cols != d.cols:
        return WRONG_SHAPE
    row = local(i64, 1)
    for r in range(i64(d.rows)):
        load_i64(b.dtype, row, at(b, r, i64(0)), i64(0), i64(1))
        if row[0] < 0 or row[0] >= i64(a.rows):
            return WRONG_INDEX
        move_row(size_of(d.dtype), at(d, r, i64(0)), d.cstride, at(a, row[0], i64(0)), a.cstride, i64(d.cols))
    return DONE


@fn
def dense(o: Ptr[Operand]) -> boolean:
    """Whether the elements of a row are neighbours, or one."""
    return o.cstride == i64(size_of(o.dtype)) or o.cstride == 0


def cycles(sources: int, turned: bool = False) -> Any:
    """Clocks by the destination's bytes; slower where columns are not contiguous or rows become columns."""

    @fn
    def timing(chip: Ptr[ChipParams], o: Ptr[Operand]) -> u64:
        contiguous = dense(o)
        for k in unroll(range(1, sources + 1)):
            contiguous = contiguous and dense(o + k)
        rate = u64(chip.mlu_bytes_per_clk)
        if turned or not contiguous:
            rate = u64(chip.mlu_strided_bytes_per_clk)
        return u64(chip.mlu_start) + (work(o) * u64(size_of(o.dtype)) + rate - 1) // rate

    return timing
