"""Operands as rows of elements: checks that all units share, and walking operands run by run."""

from __future__ import annotations

from typing import Any

from mtia.isa.lang import Ptr, addr, boolean, f32, fn, i64, memcpy, sizeof, u8, u32, u64, unroll
from mtia.isa.xmtia.codes import Cause, DType, Form, Space
from mtia.isa.xmtia.elements import load_f32, load_i64
from mtia.isa.xmtia.state import Operand

__all__ = [
    "CHUNK", "DONE", "LS", "RE", "WRONG_FORM", "WRONG_INDEX", "WRONG_SHAPE", "WRONG_SPACE", "WRONG_TYPE", "at",
    "collapse", "fits", "in_local", "misplaced", "prepare", "run_f32", "run_i64", "work",
]  # fmt: skip

DONE = 0
WRONG_SHAPE = int(Cause.SHAPE)
WRONG_TYPE = int(Cause.TYPE)
WRONG_SPACE = int(Cause.SPACE)
WRONG_INDEX = int(Cause.INDEX)
WRONG_FORM = int(Cause.FORM)
CHUNK = 256  # elements of a run; a multiple of the 32 lanes of a reduction
NARROW = 16  # views with fewer columns are walked along their columns
IMMEDIATE = int(Form.IMMEDIATE)
LS = int(Space.LS)
RE = int(Space.RE)
F32 = int(DType.F32)


@fn
def work(o: Ptr[Operand]) -> u64:
    """Elements of an operand."""
    return u64(o.rows) * u64(o.cols)


@fn
def in_local(o: Ptr[Operand]) -> boolean:
    return o.form == int(Form.LOCAL) and o.space == LS


@fn
def misplaced(o: Ptr[Operand], space: u32) -> u32:
    """Why an operand is no view of this space, or 0."""
    if o.form != int(Form.LOCAL):
        return WRONG_FORM
    if o.space != space:
        return WRONG_SPACE
    return DONE


@fn
def fits(o: Ptr[Operand], rows: u32, cols: u32) -> boolean:
    """Whether a source has this shape, or is an immediate."""
    return o.form == IMMEDIATE or (o.form == int(Form.LOCAL) and o.rows == rows and o.cols == cols)


@fn
def prepare(to: Ptr[Operand], o: Ptr[Operand], rows: u32, cols: u32) -> None:
    """Copy an operand; an immediate becomes a view of its own bits with strides 0."""
    memcpy(to, o, sizeof(Operand))
    if o.form == IMMEDIATE:
        to.ptr = Ptr[u8](u64(addr(to.bits)))
        to.rstride = 0
        to.cstride = 0
    to.rows = rows
    to.cols = cols


@fn
def at(o: Ptr[Operand], r: i64, c: i64) -> Ptr[u8]:
    """Host address of element (r, c)."""
    return Ptr[u8](u64(o.ptr) + u64(r * o.rstride + c * o.cstride))


def collapse_of(count: int) -> Any:
    """A function that makes the rows of `count` prepared operands of one shape as long as possible."""

    @fn
    def run(o: Ptr[Operand]) -> None:
        rows = o[0].rows
        cols = o[0].cols
        dense = rows > 1
        for k in unroll(range(count)):
            dense = dense and o[k].rstride == i64(cols) * o[k].cstride
        swap = not dense and cols < NARROW and cols < rows
        for k in unroll(range(count)):
            if dense:
                o[k].cols = rows * cols
                o[k].rows = 1
            elif swap:
                stride = o[k].rstride
                o[k].rstride = o[k].cstride
                o[k].cstride = stride
                o[k].rows = cols
                o[k].cols = rows

    return run


collapse = {count: collapse_of(count) for count in (2, 3, 4)}


@fn
def run_f32(o: Ptr[Operand], r: i64, c: i64, n: i64, buffer: Ptr[f32]) -> Ptr[f32]:
    """Elements (r, c), (r, c + 1) … as f32: in place where they are contiguous f32, otherwise in the buffer."""
    p = at(o, r, c)
    if o.dtype == F32 and o.cstride == 4:
        return Ptr[f32](u64(p))
    load_f32(o.dtype, buffer, p, o.cstride, n)
    return buffer


@fn
def run_i64(o: Ptr[Operand], r: i64, c: i64, n: i64, buffer: Ptr[i64]) -> Ptr[i64]:
    """Elements (r, c), (r, c + 1) … as i64, in the buffer."""
    load_i64(o.dtype, buffer, at(o, r, c), o.cstride, n)
    return buffer
