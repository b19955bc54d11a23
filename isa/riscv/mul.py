"""M: multiplication and division."""

# mypy: disable-error-code="valid-type, no-any-return, operator"
from __future__ import annotations

from mtia.isa.lang import Fn, fn, i32, i64, mulhs, mulhsu, mulhu, sdiv, srem, u32, u64
from mtia.isa.lang.types import Scalar
from mtia.isa.riscv.forms import binary
from mtia.isa.table import extension

row = extension("M", "Multiplication and division. Division by zero gives all ones (quotient) or the dividend.")


@fn
def _mul(a: u64, b: u64) -> u64:
    return a * b


@fn
def _mulh(a: u64, b: u64) -> u64:
    return u64(mulhs(i64(a), i64(b)))


@fn
def _mulhsu(a: u64, b: u64) -> u64:
    return u64(mulhsu(i64(a), b))


@fn
def _mulhu(a: u64, b: u64) -> u64:
    return mulhu(a, b)


@fn
def _mulw(a: u64, b: u64) -> u64:
    return u64(i64(i32(a * b)))


def signed_division(kind: Scalar, remainder: bool) -> Fn:
    """Truncating division of a type, with RISC-V's results for a zero divisor and for overflow."""
    least = kind.low

    @fn
    def op(a: kind, b: kind) -> kind:
        if b == 0:
            if remainder:
                return a
            return kind(-1)
        if b == -1 and a == least:
            if remainder:
                return kind(0)
            return a
        if remainder:
            return srem(a, b)
        return sdiv(a, b)

    return op


def unsigned_division(kind: Scalar, remainder: bool) -> Fn:
    """Unsigned division of a type, with RISC-V's results for a zero divisor."""
    ones = kind.high

    @fn
    def op(a: kind, b: kind) -> kind:
        if b == 0:
            if remainder:
                return a
            return kind(ones)
        if remainder:
            return a % b
        return a // b

    return op


def _through(kind: Scalar, inner: Fn) -> Fn:
    """Take operands as a narrower or signed type; results of 32 bits are sign-extended."""
    wide = i32 if kind is u32 else kind

    @fn
    def op(a: u64, b: u64) -> u64:
        return u64(i64(wide(inner(kind(a), kind(b)))))

    return op


_ROWS = (
    ("mul", _mul, "000", "0110011", "x[rd] = low 64 bits of x[rs1] · x[rs2].", "mul"),
    ("mulh", _mulh, "001", "0110011", "x[rd] = high 64 bits of the signed product.", "mul"),
    ("mulhsu", _mulhsu, "010", "0110011", "x[rd] = high 64 bits of signed x[rs1] · unsigned x[rs2].", "mul"),
    ("mulhu", _mulhu, "011", "0110011", "x[rd] = high 64 bits of the unsigned product.", "mul"),
    ("mulw", _mulw, "000", "0111011", "x[rd] = sign-extended low 32 bits of x[rs1] · x[rs2].", "mul"),
    *(
        (name + suffix, _through(kind, make(kind, rest)), low, major, text + width + ".", "div")
        for suffix, major, width, kinds in (
            ("", "0110011", "", (i64, u64)),
            ("w", "0111011", " of the low 32 bits, sign-extended", (i32, u32)),
        )
        for name, make, kind, rest, low, text in (
            ("div", signed_division, kinds[0], False, "100", "x[rd] = x[rs1] / x[rs2] rounded towards zero, signed"),
            ("divu", unsigned_division, kinds[1], False, "101", "x[rd] = x[rs1] / x[rs2] rounded down, unsigned"),
            ("rem", signed_division, kinds[0], True, "110", "x[rd] = remainder with the sign of x[rs1], signed"),
            ("remu", unsigned_division, kinds[1], True, "111", "x[rd] = remainder, unsigned"),
        )
    ),
)
for _name, _op, _low, _major, _text, _timing in _ROWS:
    row(f"{_name} rd, rs1, rs2", f"0000001 rs2 rs1 {_low} rd {_major}", _text, timing=_timing, meaning=binary(_op))
