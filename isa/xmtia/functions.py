"""The SIMD engine's nonlinear functions: f32 in, f32 out, computed in f64 by the operations below and rounded once.

Only IEEE operations and fused multiply-adds are used, in the order written, so every host gives the same bits. The
double results are within 1e-10 relative of the true value, so the f32 results are within 0.51 ulp of it, subnormal
results included (`mtiac verify functions` measures them). The polynomials interpolate at Chebyshev nodes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mtia.isa.lang import (
    Ptr,
    bits,
    copysign,
    f32,
    f64,
    fabs,
    floor,
    fma,
    fn,
    from_bits,
    i64,
    isnan,
    mulhu,
    select,
    sqrt,
    u32,
    u64,
    unlikely,
    unroll,
)  # fmt: skip

__all__ = [
    "cos_run", "erf", "exp", "exp2", "gelu", "log", "log2", "lut_exp", "lut_gelu", "lut_log", "lut_sigmoid",
    "lut_tanh", "pow_", "rcp", "rsqrt", "sigmoid", "sin_run", "square_root", "tanh",
]  # fmt: skip

LOG2_E = 1.4426950408889634
LN_2 = 0.6931471805599453
MAGIC = 6755399441055744.0  # 1.5 * 2**52: adding it leaves the nearest integer in the low bits
ONE = 0x3FF0000000000000
ROOT_HALF = 0x3FE6A09E667F3BCD
INF32 = 0x7F800000
NAN32 = 0x7FC00000

# 2**r for r in [-1/2, 1/2]
EXP2 = (
    1.0, 0.6931471805599453, 0.24022650695910158, 0.055504108664821625, 0.009618129107587256, 0.001333355814640647,
    0.00015403530463724356, 1.5252733841556751e-05, 1.3215432535912166e-06, 1.0178057087743476e-07,
    7.074194297326105e-09, 4.455817906812377e-10,
)  # fmt: skip
# artanh(s) / s in s**2
ARTANH = tuple(1.0 / (2 * k + 1) for k in range(11))
# erf(x) / x in x**2, for |x| < 1/2
ERF = tuple(2 / math.sqrt(math.pi) * (-1) ** k / (math.factorial(k) * (2 * k + 1)) for k in range(11))
# exp(y*y) erfc(y) (1 + 2y) in t = (y - 4) / (y + 4), for y in [0, 12]
ERFCX = (
    1.232995118625542, -0.13962111684060707, 0.015379652106074854, 0.06809705426100136, -0.10103906621719833,
    0.09373283467995752, -0.06633036231607556, 0.037167522717884253, -0.01619776454145085, 0.005031890405114736,
    -0.00075766142566808, -0.00019880996443717721, 0.00015061489273409217, -2.5576403766935892e-05,
    -1.2207625726026669e-05, 6.623653374051137e-06, 2.1118345607130055e-06, 1.2824261438123451e-08,
)  # fmt: skip
SIN = tuple((-1) ** k / math.factorial(2 * k + 1) for k in range(9))
COS = tuple((-1) ** k / math.factorial(2 * k) for k in range(10))
# pi/2 in three parts: the first two have 33 bits
PIO2 = (float.fromhex("0x1.921fb544p+0"), float.fromhex("0x1.0b4611a6p-34"), float.fromhex("0x1.3198a2e037073p-69"))
LARGE = 2.0**20
FRACTION = math.pi / 2 * 2.0**-62
# 64 zero bits, then the first 256 bits of 2/pi
TWO_OVER_PI = (0, 0xA2F9836E4E441529, 0xFC2757D1F534DDC0, 0xDB6295993C439041, 0xFE5163ABDEBBC561)


def _polynomial(coefficients: Sequence[float]) -> Any:
    first, *rest = reversed(coefficients)

    @fn
    def value(x: f64) -> f64:
        y = f64(first)
        for c in unroll(rest):
            y = fma(y, x, c)
        return y

    return value


exp2_poly = _polynomial(EXP2)
artanh_poly = _polynomial(ARTANH)
erf_poly = _polynomial(ERF)
erfcx_poly = _polynomial(ERFCX)
sin_poly = _polynomial(SIN)
cos_poly = _polynomial(COS)


@fn
def exp2_core(x: f64) -> f64:
    """2**x; x is clipped to [-1000, 1000], NaN gives NaN."""
    y = select(x < -1000.0, f64(-1000.0), select(x > 1000.0, f64(1000.0), x))
    shifted = y + MAGIC
    scale = from_bits(f64, (bits(shifted) << 52) + ONE)
    return exp2_poly(y - (shifted - MAGIC)) * scale


@fn
def exponent(u: u64) -> i64:
    """The e for which u, the bits of a positive f64, is 2**e times a number from [sqrt(1/2), sqrt(2))."""
    return i64(u - ROOT_HALF) >> 52


@fn
def log_core(x: f64) -> f64:
    """The natural logarithm of a positive, normal, finite x, without the part that `exponent` gives."""
    u = bits(x)
    m = from_bits(f64, u - (u64(exponent(u)) << 52))
    s = (m - 1.0) / (m + 1.0)
    return (s + s) * artanh_poly(s * s)


@fn
def exponent_f64(x: f64) -> f64:
    return from_bits(f64, u64(exponent(bits(x))) + 0x4338000000000000) - MAGIC


@fn
def log2_core(x: f64) -> f64:
    return fma(log_core(x), f64(LOG2_E), exponent_f64(x))


@fn
def outside_log(x: f32, y: f32) -> f32:
    """y, or what a logarithm gives for x = 0, x < 0, +inf and NaN."""
    special = select(x == 0.0, from_bits(f32, u32(0xFF800000)), from_bits(f32, u32(NAN32)))
    special = select(x == from_bits(f32, u32(INF32)), x, special)
    return select(x > 0.0, select(x < from_bits(f32, u32(INF32)), y, special), special)


@fn
def exp(x: f32) -> f32:
    return f32(exp2_core(f64(x) * LOG2_E))


@fn
def exp2(x: f32) -> f32:
    return f32(exp2_core(f64(x)))


@fn
def log(x: f32) -> f32:
    y = select(x > 0.0, f64(x), f64(1.0))
    return outside_log(x, f32(fma(exponent_f64(y), f64(LN_2), log_core(y))))


@fn
def log2(x: f32) -> f32:
    y = select(x > 0.0, f64(x), f64(1.0))
    return outside_log(x, f32(log2_core(y)))


@fn
def square_root(x: f32) -> f32:
    return sqrt(x)


@fn
def rsqrt(x: f32) -> f32:
    return f32(1.0 / sqrt(f64(x)))


@fn
def rcp(x: f32) -> f32:
    return 1.0 / x


@fn
def sigmoid(x: f32) -> f32:
    return f32(1.0 / (1.0 + exp2_core(f64(x) * -LOG2_E)))


@fn
def tanh(x: f32) -> f32:
    y = fabs(f64(x))
    e = exp2_core(select(y > 20.0, f64(20.0), y) * (2.0 * LOG2_E))
    large = (e - 1.0) / (e + 1.0)
    z = y * y
    small = y * fma(z, fma(z, f64(2.0 / 15.0), f64(-1.0 / 3.0)), f64(1.0))
    return copysign(f32(select(y < 0.02, small, large)), x)


@fn
def erfc_core(y: f64) -> f64:
    """erfc(y) for y in [0, 12]."""
    t = (y - 4.0) / (y + 4.0)
    return exp2_core(y * y * -LOG2_E) * erfcx_poly(t) / (1.0 + (y + y))


@fn
def erf(x: f32) -> f32:
    y = fabs(f64(x))
    large = 1.0 - erfc_core(select(y > 12.0, f64(12.0), y))
    small = y * erf_poly(y * y)
    return copysign(f32(select(y < 0.5, small, large)), x)


@fn
def gelu(x: f32) -> f32:
    """x times the normal distribution function, by erfc so that the negative tail keeps its digits."""
    v = f64(x)
    y = fabs(v) * 0.7071067811865476
    tail = 0.5 * erfc_core(select(y > 12.0, f64(12.0), y))
    finite = select(v < -100.0, f64(-100.0), v)
    return f32(finite * select(v < 0.0, tail, 1.0 - tail))


@fn
def quadrant_poly(r: f64, quadrant: u64) -> f64:
    """sin(r + quadrant * pi/2) for |r| <= pi/4."""
    z = r * r
    value = select(quadrant & 1 == 0, r * sin_poly(z), cos_poly(z))
    return select(quadrant & 2 == 0, value, -value)


@fn
def sine_small(x: f32, shift: u64) -> f32:
    """sin(x + shift * pi/2) for |x| < 2**20: three parts of pi/2 are subtracted, the first two exactly."""
    y = f64(x)
    shifted = y * (2.0 / math.pi) + MAGIC
    k = shifted - MAGIC
    r = fma(k, f64(-PIO2[2]), fma(k, f64(-PIO2[1]), fma(k, f64(-PIO2[0]), y)))
    value = f32(quadrant_poly(r, bits(shifted) + shift))
    return select(x == 0.0, select(shift == 0, x, f32(1.0)), value)


@fn
def two_over_pi(n: u32) -> u64:
    word = u64(0)
    for k in unroll(range(5)):
        if n == k:
            word = u64(TWO_OVER_PI[k])
    return word


@fn
def sine_large(x: f32, shift: u64) -> f32:
    """sin(x + shift * pi/2) for |x| >= 2**20: x times 128 bits of 2/pi, those of weight 4 and more left out."""
    u = bits(x) & 0x7FFFFFFF
    if u >= INF32:
        return from_bits(f32, u32(NAN32))
    mantissa = u64(u & 0x7FFFFF | 0x800000)
    start = (u >> 23) - 150 + 62
    word = start >> 6
    bit = u64(start & 63)
    high = two_over_pi(word) << bit
    low = two_over_pi(word + 1) << bit
    if bit != 0:
        high = high | two_over_pi(word + 1) >> (64 - bit)
        low = low | two_over_pi(word + 2) >> (64 - bit)
    turns = mantissa * high + mulhu(mantissa, low)  # in units of 2**-62 quadrants, modulo 4
    quadrant = (turns + (1 << 61)) >> 62
    fraction = f64(i64(turns - (quadrant << 62))) * FRACTION
    negative = bits(x) >> 31 != 0
    r = select(negative, -fraction, fraction)
    q = select(negative, u64(0) - quadrant, quadrant)
    return f32(quadrant_poly(r, q + shift))


def _sine_run(shift: int) -> Any:
    """A run of sines or cosines; the vectorised loop takes it unless an element is large."""

    @fn
    def run(d: Ptr[f32], a: Ptr[f32], n: i64) -> None:
        small = u32(1)
        for i in range(n):
            small = small & select(fabs(a[i]) < LARGE, u32(1), u32(0))
        if unlikely(small == 0):
            for i in range(n):
                if fabs(a[i]) < LARGE:
                    d[i] = sine_small(a[i], u64(shift))
                else:
                    d[i] = sine_large(a[i], u64(shift))
        else:
            for i in range(n):
                d[i] = sine_small(a[i], u64(shift))

    return run


sin_run = _sine_run(0)
cos_run = _sine_run(1)


@fn
def pow_(x: f32, y: f32) -> f32:
    """x**y with the special cases of IEEE 754's pow."""
    a = fabs(f64(x))
    b = f64(y)
    infinity = from_bits(f64, u64(0x7FF0000000000000))
    normal = select(a > 0.0, select(a < infinity, a, f64(1.0)), f64(1.0))
    exponent_of_2 = b * log2_core(normal)
    magnitude = exp2_core(select(exponent_of_2 == exponent_of_2, exponent_of_2, f64(0.0)))
    grows = select(a > 1.0, b > 0.0, b < 0.0)
    extreme = select(a == 1.0, f64(1.0), select(grows, infinity, f64(0.0)))
    at_edge = select(a == 0.0, True, select(a == infinity, True, fabs(b) == infinity))
    magnitude = select(at_edge, extreme, magnitude)
    whole = floor(b) == b
    odd = select(whole, floor(b * 0.5) * 2.0 != b, False)
    negative = bits(x) >> 31 != 0
    value = select(negative, select(odd, -magnitude, magnitude), magnitude)
    nan = from_bits(f64, u64(0x7FF8000000000000))
    improper = select(negative, select(whole, False, a > 0.0), False)
    improper = select(a == infinity, False, select(fabs(b) == infinity, False, improper))
    value = select(improper, nan, value)
    value = select(isnan(x), nan, select(isnan(y), nan, value))
    value = select(b == 0.0, f64(1.0), select(x == 1.0, f64(1.0), value))
    return f32(value)


def lut(function: Any, low: float, high: float, segments: int) -> Any:
    """The table form of a function: `segments` equal parts of [low, high], linear between table entries.

    Entry k is the precise function at low + k * (high - low) / segments, rounded to f32. Outside the range the end
    entries hold for a bounded function; NaN gives NaN.
    """
    step = (high - low) / segments
    scale = segments / (high - low)

    @fn
    def value(x: f32) -> f32:
        inside = select(x > low, select(x < high, x, f32(high)), f32(low))
        position = (inside - low) * scale
        k = floor(position)
        k = select(k > segments - 1.0, f32(segments - 1.0), k)
        left = function(k * step + low)
        right = function((k + 1.0) * step + low)
        y = fma(position - k, right - left, left)
        return select(x == x, y, x)

    return value


exp2_table = lut(exp2, 0.0, 1.0, 64)
log_table = lut(log, 1.0, 2.0, 64)
gelu_table = lut(gelu, -8.0, 8.0, 256)
lut_tanh = lut(tanh, -8.0, 8.0, 256)
lut_sigmoid = lut(sigmoid, -16.0, 16.0, 256)


@fn
def lut_exp(x: f32) -> f32:
    t = x * LOG2_E
    t = select(t > 300.0, f32(300.0), select(t < -300.0, f32(-300.0), t))
    n = floor(t)
    return f32(f64(exp2_table(t - n)) * exp2_core(f64(n)))


@fn
def lut_log(x: f32) -> f32:
    u = bits(select(x > 0.0, f64(x), f64(1.0)))
    e = from_bits(f64, (u >> 52) + 0x4338000000000000) - (MAGIC + 1023.0)
    m = f32(from_bits(f64, u & 0xFFFFFFFFFFFFF | ONE))
    return outside_log(x, fma(f32(e), f32(LN_2), log_table(m)))


@fn
def lut_gelu(x: f32) -> f32:
    return select(x > 8.0, x, select(x < -8.0, f32(0.0), gelu_table(x)))
