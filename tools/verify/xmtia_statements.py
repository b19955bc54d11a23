"""What every command of the units does, in plain numpy; nothing of the machine is used.

A statement takes the chip and the operands in the order of the syntax and returns the bits of the destination's
elements, or two arrays of bits of which each element may be either, where the manual gives a bound instead of bits.
It raises `Refused` with the trap cause of operands that the manual forbids. The SIMD engine's are in `xmtia_simd.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mtia.isa.chip import Chip
from mtia.isa.xmtia.codes import Cause, DType, Flag, Form, Space
from mtia.tools.verify.xmtia_operands import Operand, Result, Statement, need
from mtia.tools.verify.xmtia_simd import SIMD, UNARY, check_source, check_target, compute, put_plain, reduced, spread
from mtia.tools.verify.xmtia_values import FLOATS, INTEGERS, Array, as_f32, as_i64, fma32, from_f32, from_i64, has_type

__all__ = ["PAIRS", "STATEMENTS", "accumulates", "dpe_rate"]


def moved(target: Operand, source: Operand, form: Form = Form.LOCAL) -> None:
    """What the memory layout unit asks of a source."""
    need(source.form == form, Cause.FORM)
    need(target.space == Space.LS, Cause.SPACE)
    need(target.dtype.bytes != 0 and target.dtype.bytes == source.dtype.bytes, Cause.TYPE)


def copy(chip: Chip, operands: Sequence[Operand]) -> Result:
    target, source = operands
    moved(target, source)
    need(target.shape == source.shape, Cause.SHAPE)
    return source.raw


def transpose(chip: Chip, operands: Sequence[Operand]) -> Result:
    target, source = operands
    moved(target, source)
    need(target.shape == source.shape[::-1], Cause.SHAPE)
    return source.raw.T


def fill(chip: Chip, operands: Sequence[Operand]) -> Result:
    target, source = operands
    moved(target, source, Form.IMMEDIATE)
    return spread(source, target.shape)


def concatenate(chip: Chip, operands: Sequence[Operand]) -> Result:
    target, a, b = operands
    moved(target, a)
    moved(target, b)
    (rows, cols), (ra, ca), (rb, cb) = target.shape, a.shape, b.shape
    if ra == rb == rows and ca + cb == cols:
        return np.concatenate([a.raw, b.raw], axis=1)
    need(ca == cb == cols and ra + rb == rows, Cause.SHAPE)
    return np.concatenate([a.raw, b.raw], axis=0)


def gather(chip: Chip, operands: Sequence[Operand]) -> Result:
    target, source, index = operands
    moved(target, source)
    need(index.form == Form.LOCAL, Cause.FORM)
    need(index.dtype in (DType.I32, DType.I64), Cause.TYPE)
    need(index.shape == (target.shape[0], 1) and source.shape[1] == target.shape[1], Cause.SHAPE)
    rows = as_i64(index.raw, index.dtype)[:, 0]
    need(bool(((rows >= 0) & (rows < source.shape[0])).all()), Cause.INDEX)
    return source.raw[rows]


# Pairs of types that the DPE multiplies, by the chip's rate.
PAIRS: dict[str, tuple[tuple[DType, DType], ...]] = {
    "fp16": ((DType.F16, DType.F16),),
    "bf16": ((DType.BF16, DType.BF16),),
    "tf32": ((DType.TF32, DType.TF32),),
    "fp8": tuple((a, b) for a in (DType.E4M3, DType.E5M2) for b in (DType.E4M3, DType.E5M2)),
    "int8": tuple((a, b) for a in (DType.I8, DType.U8) for b in (DType.I8, DType.U8)),
}


def dpe_rate(chip: Chip, a: DType, b: DType) -> int:
    """Multiply-accumulates per clock of a pair, 0 when the chip has no such pair."""
    return next((int(getattr(chip.dpe, key)) for key, pairs in PAIRS.items() if (a, b) in pairs), 0)


def product(zero: bool) -> Statement:
    def statement(chip: Chip, operands: Sequence[Operand]) -> Result:
        acc, a, b = operands
        need(all(o.form == Form.LOCAL for o in operands), Cause.FORM)
        need(acc.space == Space.RE and a.space == b.space == Space.LS, Cause.SPACE)
        need(acc.shape == (a.shape[0], b.shape[1]) and a.shape[1] == b.shape[0], Cause.SHAPE)
        need(dpe_rate(chip, a.dtype, b.dtype) > 0, Cause.TYPE)
        whole = a.dtype in INTEGERS
        need(acc.dtype is (DType.I32 if whole else DType.F32), Cause.TYPE)
        old = np.zeros_like(acc.raw) if zero else acc.raw
        if whole:
            total = as_i64(old, DType.I32) + as_i64(a.raw, a.dtype) @ as_i64(b.raw, b.dtype)
            return from_i64(total, DType.I32)
        x, y, value = as_f32(a.raw, a.dtype), as_f32(b.raw, b.dtype), as_f32(old, DType.F32)
        for k in range(x.shape[1]):
            value = fma32(x[:, k : k + 1], y[k : k + 1], value)
        return from_f32(value, DType.F32)

    return statement


def accumulator(acc: Operand) -> None:
    need(acc.form == Form.LOCAL, Cause.FORM)
    need(acc.space == Space.RE, Cause.SPACE)
    need(acc.dtype in (DType.F32, DType.I32), Cause.TYPE)


def converted(chip: Chip, target: Operand, source: Operand) -> Array:
    """d = a as se.cvt does it, wherever they lie."""
    need(not target.flags & Flag.STOCHASTIC or bool(chip.se.stochastic), Cause.TYPE)
    need(has_type(chip, target.dtype), Cause.TYPE)
    check_source(chip, source, target.shape)
    return compute(UNARY["cvt"], chip, (target, source), source.dtype in INTEGERS)


def re_load(chip: Chip, operands: Sequence[Operand]) -> Result:
    accumulator(operands[0])
    return converted(chip, *operands)


def re_drain(chip: Chip, operands: Sequence[Operand]) -> Result:
    accumulator(operands[1])
    need(operands[0].space == Space.LS, Cause.SPACE)
    return converted(chip, *operands)


def re_zero(chip: Chip, operands: Sequence[Operand]) -> Result:
    accumulator(operands[0])
    return np.zeros_like(operands[0].raw)


def re_scale(chip: Chip, operands: Sequence[Operand]) -> Result:
    acc, factor = operands
    accumulator(acc)
    need(acc.dtype is DType.F32 and factor.dtype in FLOATS and has_type(chip, factor.dtype), Cause.TYPE)
    need(factor.form == Form.LOCAL, Cause.FORM)
    need(factor.shape == (acc.shape[0], 1), Cause.SHAPE)
    with np.errstate(all="ignore"):
        return from_f32(as_f32(acc.raw, DType.F32) * as_f32(factor.raw, factor.dtype), DType.F32)


def re_extreme(kind: str) -> Statement:
    def statement(chip: Chip, operands: Sequence[Operand]) -> Result:
        target, acc = operands
        accumulator(acc)
        check_target(chip, target)
        need(target.shape == (acc.shape[0], 1), Cause.SHAPE)
        return put_plain(reduced(kind, True, acc), target)

    return statement


def accumulates(acc: Operand, other: Operand) -> Array:
    """re.recv: what a neighbour sends is added."""
    accumulator(acc)
    accumulator(other)
    need(acc.shape == other.shape, Cause.SHAPE)
    need(acc.dtype is other.dtype, Cause.TYPE)
    with np.errstate(all="ignore"):
        if acc.dtype is DType.I32:
            return from_i64(as_i64(acc.raw, DType.I32) + as_i64(other.raw, DType.I32), DType.I32)
        return from_f32(as_f32(acc.raw, DType.F32) + as_f32(other.raw, DType.F32), DType.F32)


STATEMENTS: dict[str, Statement] = SIMD | {
    "xm.mlu.copy": copy, "xm.mlu.trans": transpose, "xm.mlu.fill": fill, "xm.mlu.cat": concatenate,
    "xm.mlu.gather": gather,
    "xm.dpe.mmz": product(True), "xm.dpe.mma": product(False),
    "xm.re.load": re_load, "xm.re.drain": re_drain, "xm.re.zero": re_zero, "xm.re.scale": re_scale,
    "xm.re.rowmax": re_extreme("max"), "xm.re.rowmin": re_extreme("min"),
}  # fmt: skip
