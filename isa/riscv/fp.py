# mypy: disable-error-code="valid-type, no-any-return, operator"
"""F, D, Zfh: scalar floating-point arithmetic, comparison and moves, for every format from the same text."""

from __future__ import annotations

from functools import cache

from mtia.isa.lang import Fn, Ptr, boolean, fma, fn, from_bits, i64, sqrt, u32, u64, unlikely
from mtia.isa.lang.types import Scalar
from mtia.isa.riscv.convert import half_fused
from mtia.isa.riscv.exact import NV, NX
from mtia.isa.riscv.floats import (
    FORMATS,
    HALF,
    Float,
    careful,
    flags_of,
    rounding,
    valid_rounding,
)
from mtia.isa.state import EXTERNAL, ILLEGAL, OK, READ, WRITE, Hart, Insn, reach
from mtia.isa.table import Extension, extension

EXTENSIONS: dict[str, Extension] = {
    "s": extension("F", "fp32 arithmetic. Results are IEEE 754; a NaN result is the canonical one, 0x7fc00000."),
    "d": extension("D", "fp64 arithmetic. Narrower values are NaN-boxed; what is not boxed reads as NaN."),
    "h": extension("Zfh", "fp16 arithmetic."),
}


# two operands


def _sum(kind: Scalar) -> Fn:
    @fn
    def op(a: kind, b: kind) -> kind:
        return a + b

    return op


def _difference(kind: Scalar) -> Fn:
    @fn
    def op(a: kind, b: kind) -> kind:
        return a - b

    return op


def _product(kind: Scalar) -> Fn:
    @fn
    def op(a: kind, b: kind) -> kind:
        return a * b

    return op


def _quotient(kind: Scalar) -> Fn:
    @fn
    def op(a: kind, b: kind) -> kind:
        return a / b

    return op


def _exact_sum(t: Float) -> Fn:
    one, run = (1 << t.form.exponent - 1) - 1 << t.form.fraction, t.exact.fma

    @fn
    def op(a: u64, b: u64, rm: u32, flags: Ptr[u32]) -> u64:
        return run(a, u64(one), b, rm, flags)

    return op


def _exact_difference(t: Float) -> Fn:
    one, run, sign = (1 << t.form.exponent - 1) - 1 << t.form.fraction, t.exact.fma, 1 << t.form.width - 1
    is_nan = t.is_nan

    @fn
    def op(a: u64, b: u64, rm: u32, flags: Ptr[u32]) -> u64:
        if is_nan(b):
            return run(a, u64(one), b, rm, flags)
        return run(a, u64(one), b ^ sign, rm, flags)

    return op


def _exact_product(t: Float) -> Fn:
    run, sign = t.exact.fma, 1 << t.form.width - 1

    @fn
    def op(a: u64, b: u64, rm: u32, flags: Ptr[u32]) -> u64:
        return run(a, b, (a ^ b) & sign, rm, flags)

    return op


def _exact_quotient(t: Float) -> Fn:
    return t.exact.div


@cache
def quiet_result(t: Float) -> Fn:
    """Whether a result rounded to nearest even leaves the flags as they are: inexact is set, and it is nothing special.

    Overflow, invalid and division by zero give an infinity or a NaN; a result above the smallest normal binade was not
    tiny.
    """
    fraction, exponents = t.form.fraction, (1 << t.form.exponent) - 1

    @fn
    def quiet(h: Ptr[Hart], i: Ptr[Insn], result: u64) -> boolean:
        exponent = result >> fraction & exponents
        return h.fflags & NX != 0 and rounding(h, i) == 0 and exponent >= 2 and exponent < exponents

    return quiet


def _arithmetic(t: Float, fast: Fn, slow: Fn) -> Fn:
    kind, raw, get, put, canonical = t.kind, t.raw, t.get, t.put, t.canonical
    quiet = quiet_result(t)

    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        a = get(h, i.rs1)
        b = get(h, i.rs2)
        result = u64(canonical(fast(from_bits(kind, raw(a)), from_bits(kind, raw(b)))))
        if unlikely(careful(h, i)) and not quiet(h, i, result):
            if not valid_rounding(h, i):
                return ILLEGAL
            result = slow(a, b, rounding(h, i), flags_of(h))
        put(h, i.rd, result)
        return OK

    return meaning


def root(t: Float) -> Fn:
    """The square root of a type's bits, to nearest even."""
    kind, raw, canonical = t.kind, t.raw, t.canonical

    @fn
    def op(a: raw) -> u64:
        return u64(canonical(sqrt(from_bits(kind, a))))

    return op


def _root(t: Float) -> Fn:
    raw, get, put, near, slow = t.raw, t.get, t.put, root(t), t.exact.sqrt
    quiet = quiet_result(t)

    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        a = get(h, i.rs1)
        result = near(raw(a))
        if unlikely(careful(h, i)) and not quiet(h, i, result):
            if not valid_rounding(h, i):
                return ILLEGAL
            result = slow(a, rounding(h, i), flags_of(h))
        put(h, i.rd, result)
        return OK

    return meaning


# fused multiply-add


def fused(t: Float) -> Fn:
    """a · b + c of a type, rounded once."""
    if t is HALF:

        @fn
        def half(a: u64, b: u64, c: u64) -> u64:
            x = from_bits(HALF.kind, HALF.raw(a))
            return half_fused(x, from_bits(HALF.kind, HALF.raw(b)), from_bits(HALF.kind, HALF.raw(c)))

        return half
    kind, raw, canonical = t.kind, t.raw, t.canonical

    @fn
    def op(a: u64, b: u64, c: u64) -> u64:
        return canonical(fma(from_bits(kind, raw(a)), from_bits(kind, raw(b)), from_bits(kind, raw(c))))

    return op


def _fused(t: Float, negate_product: bool, negate_addend: bool) -> Fn:
    get, put, fast, slow, quiet = t.get, t.put, fused(t), t.exact.fma, quiet_result(t)
    sign = 1 << t.form.width - 1
    first, third = sign * negate_product, sign * negate_addend

    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        a = get(h, i.rs1) ^ first
        b = get(h, i.rs2)
        c = get(h, i.rs3) ^ third
        result = u64(fast(a, b, c))
        if unlikely(careful(h, i)) and not quiet(h, i, result):
            if not valid_rounding(h, i):
                return ILLEGAL
            result = slow(a, b, c, rounding(h, i), flags_of(h))
        put(h, i.rd, result)
        return OK

    return meaning


# signs, comparisons, classes


def _signs(t: Float, how: str) -> Fn:
    get, put, sign = t.get, t.put, 1 << t.form.width - 1
    invert, combine = how == "n", how == "x"

    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        a = get(h, i.rs1)
        b = get(h, i.rs2)
        if invert:
            b = ~b
        if combine:
            b ^= a
        put(h, i.rd, a & ~u64(sign) | b & sign)
        return OK

    return meaning


def _extreme(t: Float, op: Fn) -> Fn:
    get, put = t.get, t.put

    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        put(h, i.rd, op(get(h, i.rs1), get(h, i.rs2), flags_of(h)))
        return OK

    return meaning


def _compare(t: Float, how: str) -> Fn:
    get, is_nan, is_signaling, less, equal = t.get, t.is_nan, t.is_signaling, t.less, t.equal
    quiet, strict = how == "eq", how == "lt"

    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        a = get(h, i.rs1)
        b = get(h, i.rs2)
        h.x[i.rd] = 0
        if is_nan(a) or is_nan(b):
            if not quiet or is_signaling(a) or is_signaling(b):
                h.fflags |= NV
            return OK
        same = equal(a, b)
        if quiet:
            h.x[i.rd] = u64(same)
        elif strict:
            h.x[i.rd] = u64(less(a, b) and not same)
        else:
            h.x[i.rd] = u64(less(a, b) or same)
        return OK

    return meaning


def classify(t: Float) -> Fn:
    """The class of a value as RISC-V's one-hot number."""
    top, infinity = t.form.width - 1, t.form.infinity
    magnitude, least, quiet = (1 << top) - 1, 1 << t.form.fraction, 1 << t.form.fraction - 1

    @fn
    def op(a: u64) -> u64:
        size = a & magnitude
        if size > infinity:
            return u64(256) << u64(a & quiet != 0)
        rank = u64(3)
        if size == infinity:
            rank = u64(0)
        elif size >= least:
            rank = u64(1)
        elif size != 0:
            rank = u64(2)
        if a >> top == 0:
            rank = 7 - rank
        return u64(1) << rank

    return op


def _class(t: Float) -> Fn:
    get, op = t.get, classify(t)

    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        h.x[i.rd] = op(get(h, i.rs1))
        return OK

    return meaning


# moves, loads, stores


def _to_integer_register(t: Float) -> Fn:
    up = 64 - t.form.width

    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        h.x[i.rd] = u64(i64(h.f[i.rs1] << up) >> up)
        return OK

    return meaning


def _from_integer_register(t: Float) -> Fn:
    raw, put = t.raw, t.put

    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        put(h, i.rd, u64(raw(h.x[i.rs1])))
        return OK

    return meaning


def _load(t: Float) -> Fn:
    raw, put, size = t.raw, t.put, t.raw.size

    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        p = reach(h, h.x[i.rs1] + u64(i.imm), size, READ)
        if unlikely(p == 0):
            return EXTERNAL
        put(h, i.rd, u64(Ptr[raw](p)[0]))
        return OK

    return meaning


def _store(t: Float) -> Fn:
    raw, size = t.raw, t.raw.size

    @fn
    def meaning(h: Ptr[Hart], i: Ptr[Insn]) -> u32:
        p = reach(h, h.x[i.rs1] + u64(i.imm), size, WRITE)
        if unlikely(p == 0):
            return EXTERNAL
        Ptr[raw](p)[0] = raw(h.f[i.rs2])
        return OK

    return meaning


# rows

_ARITHMETIC = (
    ("fadd", "00000", _sum, _exact_sum, "f[rs1] + f[rs2]", "fadd"),
    ("fsub", "00001", _difference, _exact_difference, "f[rs1] - f[rs2]", "fadd"),
    ("fmul", "00010", _product, _exact_product, "f[rs1] · f[rs2]", "fmul"),
    ("fdiv", "00011", _quotient, _exact_quotient, "f[rs1] / f[rs2]", "fdiv"),
)
_FUSED = (
    ("fmadd", "1000011", False, False, "f[rs1] · f[rs2] + f[rs3]"),
    ("fmsub", "1000111", False, True, "f[rs1] · f[rs2] - f[rs3]"),
    ("fnmsub", "1001011", True, False, "-(f[rs1] · f[rs2]) + f[rs3]"),
    ("fnmadd", "1001111", True, True, "-(f[rs1] · f[rs2]) - f[rs3]"),
)
_SIGNS = (("", "000", "sign of f[rs2]"), ("n", "001", "opposite sign of f[rs2]"), ("x", "010", "product of the signs"))
_COMPARE = (("feq", "010", "eq", "="), ("flt", "001", "lt", "<"), ("fle", "000", "le", "<="))


def _declare(t: Float) -> None:
    row, s, code = EXTENSIONS[t.suffix], t.suffix, t.code
    for name, high, fast, slow, text, timing in _ARITHMETIC:
        row(
            f"{name}.{s} fd, fs1, fs2[, rm]", f"{high} {code} fs2 fs1 rm fd 1010011",
            f"f[rd] = {text} in {t.text}, rounded once.", timing=timing,
            meaning=_arithmetic(t, fast(t.kind), slow(t)),
        )  # fmt: skip
    row(
        f"fsqrt.{s} fd, fs1[, rm]", f"01011 {code} 00000 fs1 rm fd 1010011",
        f"f[rd] = square root of f[rs1] in {t.text}, rounded once.", timing="fsqrt", meaning=_root(t),
    )  # fmt: skip
    for name, major, product, addend, text in _FUSED:
        row(
            f"{name}.{s} fd, fs1, fs2, fs3[, rm]", f"fs3 {code} fs2 fs1 rm fd {major}",
            f"f[rd] = {text} in {t.text}, rounded once.", timing="fma", meaning=_fused(t, product, addend),
        )  # fmt: skip
    for letter, low, text in _SIGNS:
        row(
            f"fsgnj{letter}.{s} fd, fs1, fs2", f"00100 {code} fs2 fs1 {low} fd 1010011",
            f"f[rd] = f[rs1] with the {text}.", timing="fmove", meaning=_signs(t, letter),
        )  # fmt: skip
    for name, low, op, text in (("fmin", "000", t.minimum, "smaller"), ("fmax", "001", t.maximum, "larger")):
        row(
            f"{name}.{s} fd, fs1, fs2", f"00101 {code} fs2 fs1 {low} fd 1010011",
            f"f[rd] = the {text} operand; -0 is below +0; of a NaN and a number, the number.",
            timing="fmove", meaning=_extreme(t, op),
        )  # fmt: skip
    for name, low, how, sign in _COMPARE:
        row(
            f"{name}.{s} rd, fs1, fs2", f"10100 {code} fs2 fs1 {low} rd 1010011",
            f"x[rd] = 1 if f[rs1] {sign} f[rs2], else 0; 0 with a NaN.", timing="fmove", meaning=_compare(t, how),
        )  # fmt: skip
    row(
        f"fclass.{s} rd, fs1", f"11100 {code} 00000 fs1 001 rd 1010011",
        "x[rd] = 1 << class: -inf, -normal, -subnormal, -0, +0, +subnormal, +normal, +inf, signaling, quiet NaN.",
        timing="fmove", meaning=_class(t),
    )  # fmt: skip
    letter, low = {"s": ("w", "010"), "d": ("d", "011"), "h": ("h", "001")}[s]
    row(
        f"fmv.x.{letter} rd, fs1", f"11100 {code} 00000 fs1 000 rd 1010011", "x[rd] = bits of f[rs1], sign-extended.",
        timing="fmove", meaning=_to_integer_register(t),
    )  # fmt: skip
    row(
        f"fmv.{letter}.x fd, rs1", f"11110 {code} 00000 rs1 000 fd 1010011", f"f[rd] = low bits of x[rs1] as {t.text}.",
        timing="fmove", meaning=_from_integer_register(t),
    )  # fmt: skip
    row(
        f"fl{letter} fd, imm(rs1)", f"imm[11:0] rs1 {low} fd 0000111", f"f[rd] = {t.text} at x[rs1] + imm.",
        timing="load", meaning=_load(t),
    )  # fmt: skip
    row(
        f"fs{letter} fs2, imm(rs1)", f"imm[11:5] fs2 rs1 {low} imm[4:0] 0100111",
        f"{t.text} at x[rs1] + imm = f[rs2].", timing="store", meaning=_store(t),
    )  # fmt: skip


for _type in FORMATS:
    _declare(_type)
