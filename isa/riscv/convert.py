# mypy: disable-error-code="valid-type, no-any-return, operator"
"""F, D, Zfh, Zfbfmin: conversions between floating-point formats and integers."""

from __future__ import annotations

from typing import Any

from mtia.isa.lang import Fn, Ptr, bits, f16, f32, f64, fn, from_bits, i32, i64, local, select, u32, u64, unlikely
from mtia.isa.riscv.exact import Number, integer_number, to_integer
from mtia.isa.riscv.floats import (
    BF16,
    DOUBLE,
    FORMATS,
    HALF,
    SINGLE,
    Float,
    careful,
    flags_of,
    rounding,
    valid_rounding,
)
from mtia.isa.state import ILLEGAL, OK, Hart, Insn
from mtia.isa.table import Extension, extension

__all__ = ["convert_fast", "half_fused", "half_of_double"]


@fn
def single_to_odd(value: f64) -> f32:
    """Round an fp64 to fp32 so that a second rounding to 22 bits or fewer is right: inexact results get an odd bit."""
    near = f32(value)
    pattern = bits(near)
    back = f64(near)
    if back == value or value != value:
        return near
    away = (value > 0.0 and back > value) or (value < 0.0 and back < value)
    return from_bits(f32, (pattern - u32(away)) | 1)


@fn
def half_of_double(value: f64) -> u64:
    """The fp16 bits of an fp64, rounded once, NaN canonical."""
    return HALF.canonical(HALF.kind(single_to_odd(value)))


@fn
def bf16_of_double(value: f64) -> u64:
    """The bf16 bits of an fp64, rounded once, NaN canonical."""
    return BF16.canonical(BF16.kind(single_to_odd(value)))


@fn
def half_fused(x: f16, y: f16, z: f16) -> u64:
    """The fp16 bits of x · y + z, rounded once: in fp32 the product is exact and the sum rounded to odd."""
    product = f32(x) * f32(y)
    addend = f32(z)
    near = product + addend
    # What the sum lost: exact, for everything is a multiple of 2^-48 and less than 2^34. NaN beside an infinity.
    share = near - product
    lost = (product - (near - share)) + (addend - share)
    pattern = bits(near)
    error = bits(lost)
    inexact = (error & 0x7FFF_FFFF) - 1 < 0x7F80_0000
    odd = (pattern - ((error ^ pattern) >> 31)) | 1
    pattern = select(inexact, odd, pattern)
    return HALF.canonical(HALF.kind(from_bits(f32, pattern)))


def convert_fast(source: Float, target: Float) -> Fn:
    """Bits of one format to bits of another, to nearest even, NaN canonical."""
    if source is DOUBLE and target in (HALF, BF16):
        narrow = half_of_double if target is HALF else bf16_of_double

        @fn
        def twice(a: u64) -> u64:
            return narrow(from_bits(f64, a))

        return twice
    kind, raw, to, canonical = source.kind, source.raw, target.kind, target.canonical

    @fn
    def op(a: u64) -> u64:
        return canonical(to(from_bits(kind, raw(a))))

    return op


def _between(source: Float, target: Float) -> Fn:
    get, put, fast = source.get, target.put, convert_fast(source, target)
    unpack, slow = source.exact.unpack, target.exact.from_number

    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        a = get(h, i.rs1)
        if unlikely(careful(h, i)):
            if not valid_rounding(h, i):
                return ILLEGAL
            x = local(Number, 1)
            unpack(a, x)
            put(h, i.rd, slow(x, rounding(h, i), flags_of(h)))
            return OK
        put(h, i.rd, fast(a))
        return OK

    return meaning


def _to_integer(source: Float, signed: bool, width: int) -> Fn:
    get, unpack = source.get, source.exact.unpack

    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        if unlikely(not valid_rounding(h, i)):
            return ILLEGAL
        x = local(Number, 1)
        unpack(get(h, i.rs1), x)
        result = to_integer(x, signed, width, rounding(h, i), flags_of(h))
        h.x[i.rd] = result
        if width == 32:
            h.x[i.rd] = u64(i64(i32(result)))
        return OK

    return meaning


def _from_integer(target: Float, signed: bool, width: int) -> Fn:
    kind: Any = {(True, 32): i32, (False, 32): u32, (True, 64): i64, (False, 64): u64}[signed, width]
    put, slow = target.put, target.exact.from_number

    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        if unlikely(not valid_rounding(h, i)):
            return ILLEGAL
        value = kind(h.x[i.rs1])
        x = local(Number, 1)
        negative = value < 0
        wide = u64(value)
        integer_number(negative, select(negative, 0 - wide, wide), x)
        put(h, i.rd, slow(x, rounding(h, i), flags_of(h)))
        return OK

    return meaning


_INTEGERS = (("w", "00000", True, 32), ("wu", "00001", False, 32), ("l", "00010", True, 64), ("lu", "00011", False, 64))
_CODES = {"s": "00000", "d": "00001", "h": "00010"}


def _rm(digits: int, target: Float) -> str:
    """The rounding field: assemblers write 0 for it where nothing is rounded."""
    return "rm:rm0" if digits <= target.form.fraction else "rm"


def _declare(row: Extension, t: Float) -> None:
    s = t.suffix
    for name, code, signed, width in _INTEGERS:
        what = f"{'signed' if signed else 'unsigned'} {width}-bit integer"
        row(
            f"fcvt.{name}.{s} rd, fs1[, rm]", f"11000 {t.code} {code} fs1 rm rd 1010011",
            f"x[rd] = f[rs1] rounded to a {what}; the nearest one when out of range, the largest for NaN.",
            timing="fcvt", meaning=_to_integer(t, signed, width),
        )  # fmt: skip
        row(
            f"fcvt.{s}.{name} fd, rs1[, rm]", f"11010 {t.code} {code} rs1 {_rm(width - signed, t)} fd 1010011",
            f"f[rd] = x[rs1], a {what}, as {t.text}.", timing="fcvt", meaning=_from_integer(t, signed, width),
        )  # fmt: skip
    for other in FORMATS:
        field = _rm(other.form.fraction, t)
        if other is not t:
            row(
                f"fcvt.{s}.{other.suffix} fd, fs1[, rm]",
                f"01000 {t.code} {_CODES[other.suffix]} fs1 {field} fd 1010011",
                f"f[rd] = f[rs1] from {other.text} to {t.text}.", timing="fcvt", meaning=_between(other, t),
            )  # fmt: skip


_ROWS = {
    "s": extension("F", "fp32 conversions. Out-of-range floats give the nearest integer."),
    "d": extension("D", "fp64 conversions."),
    "h": extension("Zfh", "fp16 conversions."),
}
for _type in FORMATS:
    _declare(_ROWS[_type.suffix], _type)

zfbfmin = extension("Zfbfmin", "bf16 as a storage format of scalar code.")
zfbfmin(
    "fcvt.s.bf16 fd, fs1[, rm]", "01000 00 00110 fs1 rm:rm0 fd 1010011", "f[rd] = f[rs1] from bf16 to fp32.",
    timing="fcvt", meaning=_between(BF16, SINGLE),
)  # fmt: skip
zfbfmin(
    "fcvt.bf16.s fd, fs1[, rm]", "01000 10 01000 fs1 rm fd 1010011", "f[rd] = f[rs1] from fp32 to bf16.",
    timing="fcvt", meaning=_between(SINGLE, BF16),
)  # fmt: skip
