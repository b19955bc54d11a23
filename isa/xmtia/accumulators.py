"""The reduction engine's work on accumulators: load, drain, zero, scale, row extremes, and adding a neighbour's."""

from __future__ import annotations

from typing import Any

from mtia.isa.lang import Ptr, f32, fn, i32, i64, local, memset, u8, u32, u64
from mtia.isa.xmtia.codes import DType, Form
from mtia.isa.xmtia.elements import is_integer, load_f32
from mtia.isa.xmtia.simd import convert, reduce, takes
from mtia.isa.xmtia.state import ChipParams, Operand
from mtia.isa.xmtia.views import (
    DONE,
    RE,
    WRONG_FORM,
    WRONG_SHAPE,
    WRONG_SPACE,
    WRONG_TYPE,
    at,
    in_local,
    misplaced,
    work,
)

__all__ = ["accumulate", "cycles", "drain", "link_cycles", "load", "rowmax", "rowmin", "scale", "zero"]

F32, I32 = int(DType.F32), int(DType.I32)
LOCAL = int(Form.LOCAL)


@fn
def problem_of(acc: Ptr[Operand]) -> u32:
    """Why an operand is no accumulator, or 0."""
    problem = misplaced(acc, u32(RE))
    if problem != 0:
        return problem
    if acc.dtype != F32 and acc.dtype != I32:
        return WRONG_TYPE
    return DONE


@fn
def load(chip: Ptr[ChipParams], o: Ptr[Operand]) -> u32:
    problem = problem_of(o)
    if problem == 0:
        problem = convert(chip, o)
    return problem


@fn
def drain(chip: Ptr[ChipParams], o: Ptr[Operand]) -> u32:
    problem = problem_of(o + 1)
    if problem == 0 and not in_local(o):
        problem = u32(WRONG_SPACE)
    if problem == 0:
        problem = convert(chip, o)
    return problem


@fn
def zero(chip: Ptr[ChipParams], o: Ptr[Operand]) -> u32:
    problem = problem_of(o)
    if problem == 0:
        for r in range(i64(o.rows)):
            if o.cstride == 4:
                memset(at(o, r, i64(0)), u8(0), u64(o.cols) * 4)
            else:
                for c in range(i64(o.cols)):
                    Ptr[u32](u64(at(o, r, c)))[0] = 0
    return problem


@fn
def scale(chip: Ptr[ChipParams], o: Ptr[Operand]) -> u32:
    acc = o
    a = o + 1
    problem = problem_of(acc)
    if problem != 0:
        return problem
    if acc.dtype != F32 or is_integer(a.dtype) or not takes(chip, a.dtype):
        return WRONG_TYPE
    if a.form != LOCAL:
        return WRONG_FORM
    if a.rows != acc.rows or a.cols != 1:
        return WRONG_SHAPE
    factor = local(f32, 1)
    for r in range(i64(acc.rows)):
        load_f32(a.dtype, factor, at(a, r, i64(0)), i64(0), i64(1))
        by = factor[0]
        if acc.cstride == 4:
            row = Ptr[f32](u64(at(acc, r, i64(0))))
            for c in range(i64(acc.cols)):
                row[c] = row[c] * by
        else:
            for c in range(i64(acc.cols)):
                p = Ptr[f32](u64(at(acc, r, c)))
                p[0] = p[0] * by
    return DONE


def _row_extreme(kind: int) -> Any:
    @fn
    def meaning(chip: Ptr[ChipParams], o: Ptr[Operand]) -> u32:
        problem = problem_of(o + 1)
        if problem == 0 and not in_local(o):
            problem = u32(WRONG_SPACE)
        if problem == 0 and not takes(chip, o.dtype):
            problem = u32(WRONG_TYPE)
        if problem == 0:
            problem = reduce(u32(kind), True, chip, o)
        return problem

    return meaning


rowmax = _row_extreme(1)
rowmin = _row_extreme(2)


@fn
def accumulate(to: Ptr[Operand], other: Ptr[Operand]) -> u32:
    """re.recv's addition: `to` += `other`, two accumulator operands of neighbouring PEs; a trap cause or 0."""
    problem = problem_of(to)
    if problem == 0:
        problem = problem_of(other)
    if problem != 0:
        return problem
    if to.rows != other.rows or to.cols != other.cols:
        return WRONG_SHAPE
    if to.dtype != other.dtype:
        return WRONG_TYPE
    for r in range(i64(to.rows)):
        for c in range(i64(to.cols)):
            p = u64(at(to, r, c))
            q = u64(at(other, r, c))
            if to.dtype == F32:
                Ptr[f32](p)[0] = Ptr[f32](p)[0] + Ptr[f32](q)[0]
            else:
                Ptr[i32](p)[0] = Ptr[i32](p)[0] + Ptr[i32](q)[0]
    return DONE


def cycles(operand: int) -> Any:
    """Clocks by the elements of the accumulator operand."""

    @fn
    def timing(chip: Ptr[ChipParams], o: Ptr[Operand]) -> u64:
        rate = u64(chip.re_elements_per_clk)
        return u64(chip.re_start) + (work(o + operand) + rate - 1) // rate

    return timing


def link_cycles() -> Any:
    """Clocks of send and recv: the slower of engine and link, and one hop."""

    @fn
    def timing(chip: Ptr[ChipParams], o: Ptr[Operand]) -> u64:
        rate = u64(chip.re_elements_per_clk)
        link = u64(chip.noc_reduce_bytes_per_clk)
        clocks = max((work(o) + rate - 1) // rate, (work(o) * 4 + link - 1) // link)
        return u64(chip.re_start) + u64(chip.noc_reduce_hop_latency) + clocks

    return timing
