"""Zba, Zbb, Zbs: addresses, bit counting, single bits."""

from __future__ import annotations

from mtia.isa.lang import Fn, bswap, clz, ctz, fn, i8, i16, i32, i64, popcount, u16, u32, u64
from mtia.isa.riscv.base import sll
from mtia.isa.riscv.forms import binary, immediate, unary
from mtia.isa.table import extension

zba = extension("Zba", "Address generation: shifted additions.")
zbb = extension("Zbb", "Counting, minimum and maximum, rotation, byte order.")
zbs = extension("Zbs", "Single bits.")


def _shadd(shift: int) -> Fn:
    @fn
    def op(a: u64, b: u64) -> u64:
        return b + (a << shift)

    return op


def _shadd_uw(shift: int) -> Fn:
    @fn
    def op(a: u64, b: u64) -> u64:
        return b + (u64(u32(a)) << shift)

    return op


@fn
def _slli_uw(a: u64, b: u64) -> u64:
    return u64(u32(a)) << b


for _n, _low in ((1, "010"), (2, "100"), (3, "110")):
    zba(
        f"sh{_n}add rd, rs1, rs2", f"0010000 rs2 rs1 {_low} rd 0110011", f"x[rd] = x[rs2] + (x[rs1] << {_n}).",
        timing="alu", meaning=binary(_shadd(_n)),
    )  # fmt: skip
    zba(
        f"sh{_n}add.uw rd, rs1, rs2", f"0010000 rs2 rs1 {_low} rd 0111011",
        f"x[rd] = x[rs2] + (x[rs1] mod 2^32 << {_n}).", timing="alu", meaning=binary(_shadd_uw(_n)),
    )  # fmt: skip
zba(
    "add.uw rd, rs1, rs2", "0000100 rs2 rs1 000 rd 0111011", "x[rd] = x[rs2] + x[rs1] mod 2^32.",
    timing="alu", meaning=binary(_shadd_uw(0)),
)  # fmt: skip
zba(
    "slli.uw rd, rs1, shamt", "000010 shamt[5:0] rs1 001 rd 0011011", "x[rd] = x[rs1] mod 2^32 << shamt.",
    timing="alu", meaning=immediate(_slli_uw),
)  # fmt: skip


@fn
def _andn(a: u64, b: u64) -> u64:
    return a & ~b


@fn
def _orn(a: u64, b: u64) -> u64:
    return a | ~b


@fn
def _xnor(a: u64, b: u64) -> u64:
    return ~(a ^ b)


@fn
def _max(a: u64, b: u64) -> u64:
    return u64(max(i64(a), i64(b)))


@fn
def _maxu(a: u64, b: u64) -> u64:
    return max(a, b)


@fn
def _min(a: u64, b: u64) -> u64:
    return u64(min(i64(a), i64(b)))


@fn
def _minu(a: u64, b: u64) -> u64:
    return min(a, b)


@fn
def _rol(a: u64, b: u64) -> u64:
    return a << (b & 63) | a >> ((0 - b) & 63)


@fn
def _ror(a: u64, b: u64) -> u64:
    return a >> (b & 63) | a << ((0 - b) & 63)


@fn
def _rolw(a: u64, b: u64) -> u64:
    low = u32(a)
    n = u32(b)
    return u64(i64(i32(low << (n & 31) | low >> ((0 - n) & 31))))


@fn
def _rorw(a: u64, b: u64) -> u64:
    low = u32(a)
    n = u32(b)
    return u64(i64(i32(low >> (n & 31) | low << ((0 - n) & 31))))


_BINARY = (
    ("andn", _andn, "0100000", "111", "0110011", "x[rd] = x[rs1] & ~x[rs2]."),
    ("orn", _orn, "0100000", "110", "0110011", "x[rd] = x[rs1] | ~x[rs2]."),
    ("xnor", _xnor, "0100000", "100", "0110011", "x[rd] = ~(x[rs1] ^ x[rs2])."),
    ("max", _max, "0000101", "110", "0110011", "x[rd] = larger of x[rs1] and x[rs2], signed."),
    ("maxu", _maxu, "0000101", "111", "0110011", "x[rd] = larger of x[rs1] and x[rs2], unsigned."),
    ("min", _min, "0000101", "100", "0110011", "x[rd] = smaller of x[rs1] and x[rs2], signed."),
    ("minu", _minu, "0000101", "101", "0110011", "x[rd] = smaller of x[rs1] and x[rs2], unsigned."),
    ("rol", _rol, "0110000", "001", "0110011", "x[rd] = x[rs1] rotated left by x[rs2] mod 64."),
    ("ror", _ror, "0110000", "101", "0110011", "x[rd] = x[rs1] rotated right by x[rs2] mod 64."),
    ("rolw", _rolw, "0110000", "001", "0111011", "x[rd] = sign-extended low word of x[rs1] rotated left by x[rs2]."),
    ("rorw", _rorw, "0110000", "101", "0111011", "x[rd] = sign-extended low word of x[rs1] rotated right by x[rs2]."),
)
for _name, _op, _high, _low, _major, _text in _BINARY:
    zbb(f"{_name} rd, rs1, rs2", f"{_high} rs2 rs1 {_low} rd {_major}", _text, timing="alu", meaning=binary(_op))
zbb(
    "rori rd, rs1, shamt", "011000 shamt[5:0] rs1 101 rd 0010011", "x[rd] = x[rs1] rotated right by shamt.",
    timing="alu", meaning=immediate(_ror),
)  # fmt: skip
zbb(
    "roriw rd, rs1, shamt", "0110000 shamt[4:0] rs1 101 rd 0011011",
    "x[rd] = sign-extended low word of x[rs1] rotated right by shamt.", timing="alu", meaning=immediate(_rorw),
)  # fmt: skip


@fn
def _clz(a: u64) -> u64:
    return clz(a)


@fn
def _clzw(a: u64) -> u64:
    return u64(clz(u32(a)))


@fn
def _ctz(a: u64) -> u64:
    return ctz(a)


@fn
def _ctzw(a: u64) -> u64:
    return u64(ctz(u32(a)))


@fn
def _cpop(a: u64) -> u64:
    return popcount(a)


@fn
def _cpopw(a: u64) -> u64:
    return u64(popcount(u32(a)))


@fn
def _sext_b(a: u64) -> u64:
    return u64(i64(i8(a)))


@fn
def _sext_h(a: u64) -> u64:
    return u64(i64(i16(a)))


@fn
def _zext_h(a: u64) -> u64:
    return u64(u16(a))


@fn
def _rev8(a: u64) -> u64:
    return bswap(a)


@fn
def _orc_b(a: u64) -> u64:
    low = u64(0x7F7F7F7F7F7F7F7F)
    top = (((a & low) + low) | a) & ~low  # bit 7 of each byte that is not zero
    return (top >> 7) * u64(255)


_UNARY = (
    ("clz", _clz, "011000000000", "001", "0010011", "x[rd] = zero bits above the highest one; 64 for zero."),
    ("clzw", _clzw, "011000000000", "001", "0011011", "x[rd] = zero bits above the highest one of the low word."),
    ("ctz", _ctz, "011000000001", "001", "0010011", "x[rd] = zero bits below the lowest one; 64 for zero."),
    ("ctzw", _ctzw, "011000000001", "001", "0011011", "x[rd] = zero bits below the lowest one of the low word."),
    ("cpop", _cpop, "011000000010", "001", "0010011", "x[rd] = number of ones in x[rs1]."),
    ("cpopw", _cpopw, "011000000010", "001", "0011011", "x[rd] = number of ones in the low word of x[rs1]."),
    ("sext.b", _sext_b, "011000000100", "001", "0010011", "x[rd] = sign-extended low byte."),
    ("sext.h", _sext_h, "011000000101", "001", "0010011", "x[rd] = sign-extended low half-word."),
    ("zext.h", _zext_h, "000010000000", "100", "0111011", "x[rd] = zero-extended low half-word."),
    ("rev8", _rev8, "011010111000", "101", "0010011", "x[rd] = bytes of x[rs1] in reverse order."),
    ("orc.b", _orc_b, "001010000111", "101", "0010011", "Each byte of x[rd] = 255 if that byte of x[rs1] is not 0."),
)
for _name, _one, _high, _low, _major, _text in _UNARY:
    zbb(f"{_name} rd, rs1", f"{_high} rs1 {_low} rd {_major}", _text, timing="alu", meaning=unary(_one))


@fn
def _bclr(a: u64, b: u64) -> u64:
    return a & ~sll(u64(1), b)


@fn
def _bext(a: u64, b: u64) -> u64:
    return a >> (b & 63) & 1


@fn
def _binv(a: u64, b: u64) -> u64:
    return a ^ sll(u64(1), b)


@fn
def _bset(a: u64, b: u64) -> u64:
    return a | sll(u64(1), b)


_SINGLE = (
    ("bclr", _bclr, "010010", "001", "x[rs1] with bit {0} cleared"),
    ("bext", _bext, "010010", "101", "bit {0} of x[rs1]"),
    ("binv", _binv, "011010", "001", "x[rs1] with bit {0} inverted"),
    ("bset", _bset, "001010", "001", "x[rs1] with bit {0} set"),
)
for _name, _op, _high, _low, _text in _SINGLE:
    zbs(
        f"{_name} rd, rs1, rs2", f"{_high}0 rs2 rs1 {_low} rd 0110011", f"x[rd] = {_text.format('x[rs2] mod 64')}.",
        timing="alu", meaning=binary(_op),
    )  # fmt: skip
    zbs(
        f"{_name}i rd, rs1, shamt", f"{_high} shamt[5:0] rs1 {_low} rd 0010011", f"x[rd] = {_text.format('shamt')}.",
        timing="alu", meaning=immediate(_op),
    )  # fmt: skip
