"""Meanings of the SIMD engine's commands: checks, the choice between f32 and i64, and the drivers.

Every command has the signature `fn(chip, o) -> u32`: operands in the order of the syntax, a trap cause or 0.
"""

from __future__ import annotations

from typing import Any

from mtia.isa.lang import Ptr, boolean, f32, fn, i64, local, select, u32, u64, unroll
from mtia.isa.xmtia import scalars as plain
from mtia.isa.xmtia.codes import DType, Flag, Form
from mtia.isa.xmtia.elements import is_integer, size_of, store_i64
from mtia.isa.xmtia.elementwise import Function, affine, driver
from mtia.isa.xmtia.reduce import column_reduction, row_reduction
from mtia.isa.xmtia.se_functions import BINARY, PREDICATES, TABLES, TERNARY, UNARY
from mtia.isa.xmtia.state import ChipParams, Operand
from mtia.isa.xmtia.views import (
    CHUNK,
    DONE,
    WRONG_FORM,
    WRONG_SHAPE,
    WRONG_SPACE,
    WRONG_TYPE,
    at,
    fits,
    in_local,
    prepare,
    work,
)  # fmt: skip

__all__ = [
    "affine_command",
    "apply_binary",
    "apply_table",
    "apply_ternary",
    "apply_unary",
    "convert",
    "cycles",
    "dequant_command",
    "elementwise_command",
    "mask_command",
    "quant_command",
    "reduce",
    "reduction",
    "takes",
]

FLOATS, INTEGERS = 1, 2  # which sources a function takes
GLOBAL = int(Form.GLOBAL)
STOCHASTIC = int(Flag.STOCHASTIC)
E4M3, E5M2, I8, U8, F64 = (int(t) for t in (DType.E4M3, DType.E5M2, DType.I8, DType.U8, DType.F64))
CVT = [f.name for f in UNARY].index("cvt")
SEL, QUANT, DEQUANT, SCALE = map([f.name for f in TERNARY].index, ("sel", "quant", "dequant", "scale"))


@fn
def takes(chip: Ptr[ChipParams], dtype: u32) -> boolean:
    """Whether the engine reads and writes a type; bytes (masks among them) are always there."""
    if dtype == E4M3 or dtype == E5M2:
        return chip.se_fp8 != 0
    return size_of(dtype) != 0 and dtype != F64


@fn
def source_problem(chip: Ptr[ChipParams], o: Ptr[Operand], rows: u32, cols: u32) -> u32:
    """Why a source does not serve, or 0."""
    if o.form == GLOBAL:
        return WRONG_FORM
    if not fits(o, rows, cols):
        return WRONG_SHAPE
    if not takes(chip, o.dtype):
        return WRONG_TYPE
    return DONE


@fn
def target_problem(chip: Ptr[ChipParams], o: Ptr[Operand]) -> u32:
    """Why a destination does not serve, or 0."""
    if not in_local(o):
        return WRONG_SPACE
    if not takes(chip, o.dtype):
        return WRONG_TYPE
    return DONE


def _apply(functions: tuple[Function, ...], sources: int) -> Any:
    """`fn(op, kinds, chip, o)`: check the sources and run function `op` of a table."""
    floats = driver(f32, tuple((code, f.floats) for code, f in enumerate(functions) if f.floats), sources)
    with_integers = tuple((code, f.integers) for code, f in enumerate(functions) if f.integers)
    integers = driver(i64, with_integers, sources) if with_integers else None

    @fn(inline="never")
    def run(op: u32, kinds: u32, chip: Ptr[ChipParams], o: Ptr[Operand]) -> u32:
        if o[0].flags & STOCHASTIC != 0 and chip.se_stochastic == 0:
            return WRONG_TYPE
        p = local(Operand, sources + 1)
        rows = o[0].rows
        cols = o[0].cols
        prepare(p, o, rows, cols)
        whole = is_integer(o[sources].dtype)
        for k in unroll(range(1, sources + 1)):
            problem = source_problem(chip, o + k, rows, cols)
            if problem != 0:
                return problem
            prepare(p + k, o + k, rows, cols)
            if k != 1 or sources != 3:
                whole = whole and is_integer(o[k].dtype)
        if sources == 3:
            if op != SEL:
                whole = whole and is_integer(o[1].dtype)
            elif whole and not is_integer(o[1].dtype):
                return WRONG_TYPE
        if kinds & select(whole, u32(INTEGERS), u32(FLOATS)) == 0:
            return WRONG_TYPE
        if integers is not None:
            if whole:
                integers(op, p)
                return DONE
        floats(op, p)
        return DONE

    return run


apply_unary = _apply(UNARY, 1)
apply_table = _apply(TABLES, 1)
apply_binary = _apply(BINARY, 2)
apply_ternary = _apply(TERNARY, 3)


def elementwise_command(apply: Any, code: int, function: Function) -> Any:
    """The meaning of function `code` of the table that `apply` runs."""
    kinds = (FLOATS if function.floats else 0) | (INTEGERS if function.integers else 0)

    @fn
    def meaning(chip: Ptr[ChipParams], o: Ptr[Operand]) -> u32:
        problem = target_problem(chip, o)
        if problem != 0:
            return problem
        return apply(u32(code), u32(kinds), chip, o)

    return meaning


@fn
def convert(chip: Ptr[ChipParams], o: Ptr[Operand]) -> u32:
    """o[0] = o[1] converted, wherever they lie (also for the reduction engine)."""
    if not takes(chip, o[0].dtype):
        return WRONG_TYPE
    return apply_unary(u32(CVT), u32(FLOATS | INTEGERS), chip, o)


@fn
def quant_command(chip: Ptr[ChipParams], o: Ptr[Operand]) -> u32:
    """se.quant: rounds to an integral value only for an integer destination."""
    problem = target_problem(chip, o)
    if problem != 0:
        return problem
    if quantised(o[0].dtype) and chip.se_int8 == 0:
        return WRONG_TYPE
    code = select(is_integer(o[0].dtype), u32(QUANT), u32(SCALE))
    return apply_ternary(code, u32(FLOATS), chip, o)


@fn
def dequant_command(chip: Ptr[ChipParams], o: Ptr[Operand]) -> u32:
    """se.dequant."""
    problem = target_problem(chip, o)
    if problem != 0:
        return problem
    if quantised(o[1].dtype) and chip.se_int8 == 0:
        return WRONG_TYPE
    return apply_ternary(u32(DEQUANT), u32(FLOATS), chip, o)


@fn
def quantised(dtype: u32) -> boolean:
    return dtype == I8 or dtype == U8


@fn
def value_itself(a: i64) -> i64:
    return a


_AFFINE = affine(((0, value_itself), *((1 + n, plain.predicate(name)[2]) for n, (name, _) in enumerate(PREDICATES))))


@fn(inline="never")
def apply_affine(op: u32, chip: Ptr[ChipParams], o: Ptr[Operand]) -> u32:
    """Iota (op 0) and the affine predicates."""
    problem = target_problem(chip, o)
    p = local(Operand, 4)
    prepare(p, o, o[0].rows, o[0].cols)
    for k in unroll(range(1, 4)):
        if problem == 0:
            problem = source_problem(chip, o + k, o[0].rows, o[0].cols)
        if problem == 0 and not is_integer(o[k].dtype):
            problem = WRONG_TYPE
        prepare(p + k, o + k, o[0].rows, o[0].cols)
    if problem == 0:
        _AFFINE(op, p)
    return problem


def affine_command(code: int) -> Any:
    """The meaning of iota (0) or of predicate `code - 1`."""

    @fn
    def meaning(chip: Ptr[ChipParams], o: Ptr[Operand]) -> u32:
        return apply_affine(u32(code), chip, o)

    return meaning


@fn
def mask_command(chip: Ptr[ChipParams], o: Ptr[Operand]) -> u32:
    """se.mask: 1 inside the valid range of a global register's last two dimensions."""
    d = o
    g = o + 1
    problem = target_problem(chip, d)
    if problem != 0:
        return problem
    if g.form != GLOBAL:
        return WRONG_FORM
    result = local(i64, CHUNK)
    cols = i64(d.cols)
    for r in range(i64(d.rows)):
        inside = r >= g.lo[0] and r < g.hi[0]
        for c in range(0, cols, CHUNK):
            n = min(i64(CHUNK), cols - c)
            for i in range(n):
                result[i] = select(c + i < g.lo[1], i64(0), select(c + i < g.hi[1], i64(inside), i64(0)))
            store_i64(d.dtype, result, at(d, r, c), d.cstride, n)
    return DONE


def reduction(kind: int, by_row: bool) -> Any:
    """The meaning of a reduction; kind 0 sum, 1 max, 2 min, 3 maxn, 4 minn."""

    @fn
    def meaning(chip: Ptr[ChipParams], o: Ptr[Operand]) -> u32:
        problem = target_problem(chip, o)
        if problem != 0:
            return problem
        return reduce(u32(kind), by_row, chip, o)

    return meaning


@fn
def reduce(kind: u32, by_row: boolean, chip: Ptr[ChipParams], o: Ptr[Operand]) -> u32:
    """Reduce o[1] into o[0] (also for the reduction engine)."""
    d = o
    a = o + 1
    problem = source_problem(chip, a, a.rows, a.cols)
    if problem != 0:
        return problem
    if a.form != int(Form.LOCAL):
        return WRONG_FORM
    if by_row:
        if d.rows != a.rows or d.cols != 1:
            return WRONG_SHAPE
        row_reduction(kind, d, a)
        return DONE
    if d.cols != a.cols or d.rows != 1 or a.rows > chip.se_reduce_rows:
        return WRONG_SHAPE
    column_reduction(kind, d, a)
    return DONE


def cycles(operand: int, precise: bool) -> Any:
    """Clocks of a command whose work is the elements of this operand."""

    @fn
    def timing(chip: Ptr[ChipParams], o: Ptr[Operand]) -> u64:
        rate = u64(chip.se_elements_per_clk)
        passes = u64(chip.se_precise_factor) if precise else u64(1)
        return u64(chip.se_start) + (work(o + operand) * passes + (rate - 1)) // rate

    return timing
