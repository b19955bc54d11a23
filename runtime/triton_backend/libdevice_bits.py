"""Device-library functions on the bits of integers and of floating-point numbers.

Each is a `@triton.jit` function of tensors or scalars of one type, given by `libdevice`, which chooses it by the types.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = [
    "absolute",
    "absolute_difference",
    "average_down",
    "average_up",
    "bit_reverse",
    "byte_permute",
    "count_ones",
    "exponent",
    "find_first",
    "is_finite",
    "is_infinite",
    "is_nan",
    "leading_zeros",
    "multiply_24",
    "multiply_high",
    "next_after",
    "of_words",
    "power_of_two",
    "quotient",
    "real_exponent",
    "rough_reciprocal",
    "saturate",
    "scale",
    "sign_bit",
    "word_high",
    "word_low",
]


@triton.jit
def _unsigned(x):
    """The same bits as an unsigned integer."""
    return x.to(tl.uint64, bitcast=True) if x.dtype.primitive_bitwidth == 64 else x.to(tl.uint32, bitcast=True)


@triton.jit
def count_ones(x):
    """How many bits are one, int32."""
    u = _unsigned(x).to(tl.uint64)
    u = u - ((u >> 1) & 0x5555555555555555)
    u = (u & 0x3333333333333333) + ((u >> 2) & 0x3333333333333333)
    u = (u + (u >> 4)) & 0x0F0F0F0F0F0F0F0F
    return ((u * 0x0101010101010101) >> 56).to(tl.int32)


@triton.jit
def leading_zeros(x):
    """How many zeros stand before the first one, all of them for zero; int32."""
    u = _unsigned(x)
    width: tl.constexpr = x.dtype.primitive_bitwidth
    for step in tl.static_range(6 if width == 64 else 5):
        u = u | (u >> (1 << step))
    return width - count_ones(u)


@triton.jit
def find_first(x):
    """The place of the lowest one, counted from 1; 0 for zero; int32."""
    u = _unsigned(x)
    lowest = u & (~u + 1)
    width: tl.constexpr = x.dtype.primitive_bitwidth
    return tl.where(x == 0, 0, width - leading_zeros(lowest))


@triton.jit
def bit_reverse(x):
    """The bits in the opposite order."""
    u = _unsigned(x).to(tl.uint64)
    u = ((u >> 1) & 0x5555555555555555) | ((u & 0x5555555555555555) << 1)
    u = ((u >> 2) & 0x3333333333333333) | ((u & 0x3333333333333333) << 2)
    u = ((u >> 4) & 0x0F0F0F0F0F0F0F0F) | ((u & 0x0F0F0F0F0F0F0F0F) << 4)
    u = ((u >> 8) & 0x00FF00FF00FF00FF) | ((u & 0x00FF00FF00FF00FF) << 8)
    u = ((u >> 16) & 0x0000FFFF0000FFFF) | ((u & 0x0000FFFF0000FFFF) << 16)
    u = (u >> 32) | (u << 32)
    width: tl.constexpr = x.dtype.primitive_bitwidth
    return (u >> (64 - width)).to(x.dtype)


@triton.jit
def byte_permute(x, y, selector):
    """Four of the eight bytes of y (high) and x (low), each chosen by three bits of a nibble of the selector."""
    bytes_ = (_unsigned(y).to(tl.uint64) << 32) | _unsigned(x).to(tl.uint64)
    found = bytes_ & 0
    for place in tl.static_range(4):
        chosen = ((selector >> (4 * place)) & 7).to(tl.uint64)
        found = found | (((bytes_ >> (chosen * 8)) & 0xFF) << (8 * place))
    return found.to(tl.int32)


@triton.jit
def multiply_high(x, y):
    """The upper half of the double-width product; signed or unsigned by the type."""
    if x.dtype.primitive_bitwidth == 32:
        if x.dtype.is_int_signed():
            return ((x.to(tl.int64) * y.to(tl.int64)) >> 32).to(x.dtype)
        else:
            return ((x.to(tl.uint64) * y.to(tl.uint64)) >> 32).to(x.dtype)
    else:
        high = tl.umulhi(x.to(tl.uint64, bitcast=True), y.to(tl.uint64, bitcast=True))
        if x.dtype.is_int_signed():
            # as unsigned numbers, a negative one is 2^64 too large
            high = (high.to(tl.int64, bitcast=True) - tl.where(x < 0, y, 0) - tl.where(y < 0, x, 0)).to(tl.uint64)
        return high.to(x.dtype)


@triton.jit
def multiply_24(x, y):
    """The lower 32 bits of the product of the lower 24 bits."""
    return ((x << 8) >> 8) * ((y << 8) >> 8)


@triton.jit
def absolute_difference(x, y, z):
    """|x - y| + z."""
    return (tl.maximum(x, y) - tl.minimum(x, y)).to(x.dtype) + z.to(x.dtype, bitcast=True)


@triton.jit
def average_down(x, y):
    """(x + y) / 2 rounded down, without overflow."""
    return (x & y) + ((x ^ y) >> 1)


@triton.jit
def average_up(x, y):
    """(x + y) / 2 rounded up, without overflow."""
    return (x | y) - ((x ^ y) >> 1)


@triton.jit
def of_words(high, low):
    """The fp64 number of an upper and a lower word."""
    bits = (high.to(tl.int64) << 32) | (low.to(tl.int64) & 0xFFFFFFFF)
    return bits.to(tl.float64, bitcast=True)


@triton.jit
def word_low(x):
    """The lower word of an fp64 number."""
    return x.to(tl.int64, bitcast=True).to(tl.int32)


@triton.jit
def word_high(x):
    """The upper word of an fp64 number."""
    return (x.to(tl.int64, bitcast=True) >> 32).to(tl.int32)


@triton.jit
def sign_bit(x):
    """1 where the sign bit is set, -0 and NaN too; int32."""
    kind: tl.constexpr = tl.int64 if x.dtype == tl.float64 else tl.int32
    return (x.to(kind, bitcast=True) < 0).to(tl.int32)


@triton.jit
def next_after(x, y):
    """The neighbour of x in the direction of y; y where they are equal."""
    kind: tl.constexpr = tl.int64 if x.dtype == tl.float64 else tl.int32
    bits = x.to(kind, bitcast=True)
    away = (y > x) == (x > 0)
    moved = tl.where(away, bits + 1, bits - 1).to(x.dtype, bitcast=True)
    one = (bits * 0 + 1).to(x.dtype, bitcast=True)
    moved = tl.where(x == 0, tl.where(y > 0, one, -one), moved)
    return tl.where((x != x) | (y != y), x + y, tl.where(x == y, y, moved))


@triton.jit
def _normal(x):
    """x as fp64 with subnormal numbers moved up, and by how many powers of two."""
    wide = x.to(tl.float64)
    small = tl.abs(wide) < 2.2250738585072014e-308
    return tl.where(small, wide * 18014398509481984.0, wide), tl.where(small, 54, 0)


@triton.jit
def exponent(x):
    """The exponent as int32; the smallest int32 for zero and NaN, the largest for an infinity."""
    wide, moved = _normal(x)
    found = ((wide.to(tl.int64, bitcast=True) >> 52) & 0x7FF).to(tl.int32) - 1023 - moved
    found = tl.where((x == 0) | (x != x), -2147483648, found)
    return tl.where(tl.abs(x) == float("inf"), 2147483647, found)


@triton.jit
def real_exponent(x):
    """The exponent as a floating-point number; -inf for zero, inf for an infinity."""
    found = exponent(x).to(x.dtype)
    found = tl.where(x == 0, float("-inf"), found)
    found = tl.where(tl.abs(x) == float("inf"), float("inf"), found)
    return tl.where(x != x, x, found).to(x.dtype)


@triton.jit
def power_of_two(n):
    """2^n in fp64 for an int32 n from -1022 to 1023."""
    return ((n + 1023).to(tl.int64) << 52).to(tl.float64, bitcast=True)


@triton.jit
def scale(x, n):
    """x · 2^n, rounded once."""
    wide, moved = _normal(x)
    if x.dtype != tl.float64:  # exact in fp64 wherever fp32 has a result
        return (wide * power_of_two(tl.minimum(tl.maximum(n, -320), 320))).to(x.dtype)
    else:
        own = exponent(wide)
        total = tl.minimum(tl.maximum(n, -5000), 5000) + own - moved
        unit = ((wide.to(tl.int64, bitcast=True) & -9218868437227405313) | 4607182418800017408).to(
            tl.float64, bitcast=True
        )  # the mantissa with exponent zero
        # two factors: the first keeps the number normal, the second rounds it
        first = tl.minimum(tl.maximum(total, -900), 900)
        second = tl.minimum(tl.maximum(total - first, -1000), 1000)
        made = unit * power_of_two(first) * power_of_two(second)
        plain = (x == 0) | (x != x) | (tl.abs(x) == float("inf"))
        return tl.where(plain, x, made)


@triton.jit
def is_nan(x):
    """Whether x is NaN."""
    return x != x


@triton.jit
def is_infinite(x):
    """Whether x is an infinity."""
    return tl.abs(x) == float("inf")


@triton.jit
def is_finite(x):
    """Whether x is neither NaN nor an infinity."""
    return x - x == 0


@triton.jit
def absolute(x):
    """|x|; the smallest integer stays as it is."""
    return tl.abs(x)


@triton.jit
def saturate(x):
    """x between 0 and 1; 0 for NaN."""
    return tl.where(x > 0, tl.where(x < 1, x, 1.0), 0.0)


@triton.jit
def quotient(x, y):
    """x / y."""
    return x / y


@triton.jit
def rough_reciprocal(x):
    """1 / x with zeros in the lower word."""
    made = (1.0 / x).to(tl.int64, bitcast=True) & -4294967296
    return made.to(tl.float64, bitcast=True)
