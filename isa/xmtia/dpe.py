"""Dot product engine: custom-0, funct3 010."""

from __future__ import annotations

from mtia.isa.table import extension
from mtia.isa.xmtia.matmul import cycles, mma, mmz

__all__ = ["TIMINGS"]

TIMINGS = {"xm.dpe.mmz": cycles(), "xm.dpe.mma": cycles()}

row = extension(
    "Xmtia dot product engine",
    "Matrix products into RE accumulators. a is an M x K view in LS, b a K x N view in LS, acc an M x N view in RE. "
    "For each element, k ascending, acc = fma(a[m, k], b[k, n], acc) in f32, rounded to nearest even once each, "
    "with subnormals; fp16, bf16, fp8 (both kinds, also mixed) and tf32 (f32 rounded to 10 bits of mantissa on "
    "reading) multiply into f32; i8 and u8 (also mixed) multiply into i32, modulo 2**32. A NaN is written as the "
    "quiet NaN 0x7FC00000. Which types a chip has is in its file; others trap (TYPE).",
    unit="dpe",
)

row(
    "xm.dpe.mmz acc, a, b",
    "0000000 b:td a:td 010 acc:td 0001011",
    "acc = a · b: as mma from acc = 0.",
    timing="dpe",
    meaning=mmz,
)
row(
    "xm.dpe.mma acc, a, b",
    "0000001 b:td a:td 010 acc:td 0001011",
    "acc += a · b.",
    timing="dpe",
    reads=("acc",),
    meaning=mma,
)
