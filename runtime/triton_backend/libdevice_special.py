"""Device-library functions that are more than arithmetic: error functions, gamma functions, norms, turns of π.

Each is a `@triton.jit` function of fp64 values; `libdevice` converts other types. Results rounded to fp32 are within
one unit in the last place, fp64 results within some tens; the error is larger near the zeros of lgamma below -2, and
of tgamma for large x. The tests hold these bounds against 40 digits.
"""

from __future__ import annotations

import math

import triton
import triton.language as tl
from mtia.runtime.triton_backend import libdevice_c as c
from mtia.runtime.triton_backend.libdevice_bits import scale

__all__ = [
    "cos_pi",
    "cube_root_reciprocal",
    "error_inverse",
    "error_scaled",
    "error_tail_inverse",
    "exp_10",
    "gamma",
    "log_gamma",
    "norm",
    "norm_reciprocal",
    "normal_cdf",
    "normal_quantile",
    "positive_difference",
    "remainder",
    "sin_pi",
    "square_root_reciprocal",
]

_INF = tl.constexpr(float("inf"))
_PI = tl.constexpr(math.pi)
_LOG2_10 = tl.constexpr(math.log2(10))
# log10 2 = _LOG10_2 + _LOG10_2_LOW; the first has 32 bits, so that its product with an exponent is exact
_LOG10_2 = tl.constexpr(math.ldexp(math.floor(math.ldexp(math.log10(2), 33)), -33))
_LOG10_2_LOW = tl.constexpr(1.1451100898021838e-10)
_LN_10 = tl.constexpr(math.log(10))
_SQRT_HALF = tl.constexpr(math.sqrt(0.5))
_SQRT_HALF_LOW = tl.constexpr(-4.833646656726457e-17)  # sqrt(1/2) - _SQRT_HALF
_TWO_BY_SQRT_PI = tl.constexpr(2 / math.sqrt(math.pi))
_HALF_LOG_2_PI = tl.constexpr(0.5 * math.log(2 * math.pi))
_EULER = tl.constexpr(0.5772156649015329)
_BERNOULLI = tl.constexpr(tuple(n / d for n, d in (
    (1, 12), (-1, 360), (1, 1260), (-1, 1680), (1, 1188), (-691, 360360), (1, 156), (-3617, 122400),
)))  # fmt: skip
"""Of Stirling's series: the k-th Bernoulli number by 2k (2k - 1)."""


def _zeta_over(k: int) -> float:
    """ζ(k) / k, with Euler and Maclaurin's sum for the tail."""
    n, rising, tail = 40, 1.0, 0.0
    for step, bernoulli in enumerate((1 / 12, -1 / 720, 1 / 30240)):
        rising *= k if step == 0 else (k + 2 * step - 1) * (k + 2 * step)
        tail += bernoulli * rising * n ** (-k - 2 * step - 1)
    return math.fsum([*(j**-k for j in range(1, n)), n ** (1 - k) / (k - 1), n**-k / 2, tail]) / k


_ZETA = tl.constexpr(tuple(_zeta_over(k) for k in range(2, 30)))


@triton.jit
def positive_difference(x, y):
    """x - y where x is larger, else 0."""
    return tl.where((x != x) | (y != y), x + y, tl.where(x > y, x - y, 0.0))


@triton.jit
def remainder(x, y):
    """x less the nearest multiple of y, of two equally near ones the even; exact."""
    divisor = tl.abs(y)
    huge = divisor > 8.98846567431158e307
    rest = tl.abs(tl.where(huge, x, c.fmod(x, tl.where(huge, 1.0, divisor + divisor))))
    tiny = divisor < 4.450147717014403e-308
    half = divisor * 0.5
    above = tl.where(tiny, rest + rest > divisor, rest > half)
    rest = tl.where(above, rest - divisor, rest)
    above_again = above & tl.where(tiny, rest + rest >= divisor, rest >= half)
    rest = tl.where(above_again, rest - divisor, rest)
    signed = tl.where(tl.abs(x) == 0, x, tl.where(x < 0, -rest, rest))
    signed = tl.where((rest == 0) & (x < 0), -0.0, signed)
    wrong = (tl.abs(x) == _INF) | (y == 0) | (x != x) | (y != y)
    return tl.where(wrong, float("nan"), tl.where(divisor == _INF, x, signed))


@triton.jit
def norm(a, b, c_, d):
    """sqrt(a² + b² + c² + d²) without overflow on the way; infinite where one is, NaN or not."""
    a, b, c_, d = tl.abs(a), tl.abs(b), tl.abs(c_), tl.abs(d)
    most = tl.maximum(tl.maximum(a, b), tl.maximum(c_, d))
    size = c.exponent(most)
    down = tl.where((most == 0) | (most == _INF) | (most != most), 0, -size)
    a, b, c_, d = scale(a, down), scale(b, down), scale(c_, down), scale(d, down)
    total = scale(c.sqrt(c.fma(a, a, c.fma(b, b, c.fma(c_, c_, d * d)))), -down)
    infinite = (a == _INF) | (b == _INF) | (c_ == _INF) | (d == _INF)
    return tl.where(infinite, _INF, total)


@triton.jit
def norm_reciprocal(a, b, c_, d):
    """1 / sqrt(a² + b² + c² + d²)."""
    return 1.0 / norm(a, b, c_, d)


@triton.jit
def cube_root_reciprocal(x):
    """1 / cbrt(x)."""
    return 1.0 / c.cbrt(x)


@triton.jit
def square_root_reciprocal(x):
    """1 / sqrt(x)."""
    return 1.0 / c.sqrt(x)


@triton.jit
def _half_turns(x):
    """The nearest multiple of one half, modulo 4 of them, and x less that multiple, times π."""
    x = c.fmod(x, 2.0)
    n = c.rint(x + x)
    return n.to(tl.int32) & 3, (x - n * 0.5) * _PI


@triton.jit
def sin_pi(x):
    """sin(πx); zeros are exact."""
    quarter, angle = _half_turns(x)
    made = tl.where((quarter & 1) != 0, tl.cos(angle), tl.sin(angle))
    made = tl.where(quarter >= 2, -made, made)
    whole = c.rint(x) == x
    return tl.where(whole, c.copysign(0.0, x), tl.where(tl.abs(x) == _INF, float("nan"), made))


@triton.jit
def cos_pi(x):
    """cos(πx); zeros are exact."""
    quarter, angle = _half_turns(x)
    made = tl.where((quarter & 1) != 0, tl.sin(angle), tl.cos(angle))
    made = tl.where((quarter == 1) | (quarter == 2), -made, made)
    half = c.rint(x + x) == x + x
    return tl.where(half & ((quarter & 1) != 0), 0.0, tl.where(tl.abs(x) == _INF, float("nan"), made))


@triton.jit
def exp_10(x):
    """10^x."""
    inside = tl.minimum(tl.maximum(x, -400.0), 400.0)
    n = c.rint(inside * _LOG2_10)
    rest = c.fma(n, -_LOG10_2_LOW, c.fma(n, -_LOG10_2, inside))
    made = scale(tl.exp(rest * _LN_10), n.to(tl.int32))
    return tl.where(x != x, x, made)


@triton.jit
def error_inverse(y):
    """The x of which erf(x) is y."""
    size = tl.abs(y)
    inside = size < 1
    size = tl.where(inside, size, 0.0)
    near = size < 0.5
    lost = c.log1p(-size * size)
    a: tl.constexpr = 0.147  # Winitzki's formula: within 0.4 %
    part = 2.0 / (3.141592653589793 * a) + 0.5 * lost
    x = c.sqrt(tl.maximum(c.sqrt(tl.maximum(part * part - lost / a, 0.0)) - part, 0.0))
    for _ in tl.static_range(3):  # Halley's step: x'' = -2 x x' for the inverse
        off = tl.where(near, c.erf(x) - size, (1.0 - size) - c.erfc(x))
        step = off / (_TWO_BY_SQRT_PI * tl.exp(-x * x))
        x = x - step / (1.0 + x * step)
    x = tl.where(size < 1e-9, size * (1.0 / _TWO_BY_SQRT_PI), x)
    x = tl.where(inside, x, tl.where(tl.abs(y) == 1, _INF, float("nan")))
    return c.copysign(x, y)


@triton.jit
def error_tail_inverse(y):
    """The x of which erfc(x) is y."""
    small = y < 0.5
    tail = tl.where(small & (y > 0), y, 0.25)
    size = -tl.log(tail)
    x = c.sqrt(tl.maximum(size - 0.5 * tl.log(tl.maximum(3.1 * (size - 0.2), 0.1)), 0.01))
    for _ in tl.static_range(4):
        step = (tail - c.erfc(x)) / (_TWO_BY_SQRT_PI * tl.exp(-x * x))
        x = x - step / (1.0 + x * step)
    whole = tl.where(y == 0, _INF, tl.where(y == 2, -_INF, float("nan")))
    return tl.where((y > 0) & (y < 2), tl.where(small, x, error_inverse(1.0 - tl.where(small, 0.5, y))), whole)


@triton.jit
def error_scaled(x):
    """exp(x²) erfc(x)."""
    inside = tl.minimum(tl.maximum(x, -27.0), 25.0)
    square = inside * inside
    low = c.fma(inside, inside, -square)
    near = tl.exp(square) * (1.0 + low) * c.erfc(inside)
    far = tl.where(x > 25, x, 25.0)
    t = 0.5 / (far * far)
    series = 1.0 - t * (1.0 - 3.0 * t * (1.0 - 5.0 * t * (1.0 - 7.0 * t * (1.0 - 9.0 * t))))
    made = tl.where(x > 25, series * (0.5 * _TWO_BY_SQRT_PI) / far, near)
    return tl.where(x != x, x, tl.where(x < -26.7, _INF, made))


@triton.jit
def normal_cdf(x):
    """The normal distribution function."""
    inside = tl.minimum(tl.maximum(x, -40.0), 40.0)
    z = -inside * _SQRT_HALF
    low = c.fma(-inside, _SQRT_HALF, -z) - inside * _SQRT_HALF_LOW
    made = 0.5 * (c.erfc(z) - _TWO_BY_SQRT_PI * tl.exp(-z * z) * low)
    return tl.where(x != x, x, made)


@triton.jit
def normal_quantile(p):
    """The inverse of the normal distribution function."""
    return -1.4142135623730951 * error_tail_inverse(p + p)


@triton.jit
def _log_gamma_near_one(z):
    """ln Γ(1 + z) for |z| ≤ 0.3, by its Taylor series."""
    total = z * 0.0
    for back in tl.static_range(28):
        total = _ZETA[27 - back] - z * total
    return z * (z * total - _EULER)


@triton.jit
def _stirling(x):
    """What Stirling's series adds, for x ≥ 12."""
    t = 1.0 / (x * x)
    total = t * 0.0
    for back in tl.static_range(8):
        total = total * t + _BERNOULLI[7 - back]
    return total / x


@triton.jit
def _log_gamma_positive(x):
    near_one, near_two = tl.abs(x - 1.0) <= 0.3, tl.abs(x - 2.0) <= 0.3
    product, moved = x * 0.0 + 1.0, x
    for _ in tl.static_range(12):
        low = moved < 12
        product = tl.where(low, product * moved, product)
        moved = tl.where(low, moved + 1.0, moved)
    far = (moved - 0.5) * (tl.log(moved) - 1.0) + (_HALF_LOG_2_PI - 0.5) + _stirling(moved) - tl.log(product)
    z = tl.where(near_one, x - 1.0, tl.where(near_two, x - 2.0, 0.0))
    near = _log_gamma_near_one(z) + tl.where(near_two, c.log1p(z), 0.0)
    return tl.where(near_one | near_two, near, far)


@triton.jit
def log_gamma(x):
    """ln |Γ(x)|."""
    size = tl.abs(x)
    tiny = size < 1e-20
    made = _log_gamma_positive(tl.where(tiny | (size > 1e300), 1.0, size))
    whole = c.rint(x) == x
    turned = tl.abs(sin_pi(tl.where(whole, 0.5, x)))
    made = tl.where(x < 0, tl.log(_PI / (size * turned)) - made, made)
    made = tl.where(tiny, -tl.log(size), made)
    made = tl.where(
        size > 1e300, tl.where(size > 2.5e305, _INF, size * (tl.log(tl.where(tiny, 1.0, size)) - 1.0)), made
    )
    return tl.where(x != x, x, tl.where((whole & (x <= 0)) | (size == _INF), _INF, made))


@triton.jit
def _gamma_positive(x):
    """Γ(x) for 0.5 ≤ x ≤ 172."""
    product, moved = x * 0.0 + 1.0, x
    for _ in tl.static_range(12):
        low = moved < 12
        product = tl.where(low, product * moved, product)
        moved = tl.where(low, moved + 1.0, moved)
    half = c.pow(moved, 0.5 * moved - 0.25)  # twice: the whole power may overflow
    return half * tl.exp(-moved + _HALF_LOG_2_PI + _stirling(moved)) * half / product


@triton.jit
def gamma(x):
    """Γ(x)."""
    size = tl.abs(x)
    left = x < 0.5
    inside = tl.minimum(tl.maximum(tl.where(left, 1.0 - x, x), 0.5), 172.0)
    made = _gamma_positive(inside)
    whole = c.rint(x) == x
    turned = sin_pi(tl.where(whole, 0.5, x))
    made = tl.where(left, _PI / turned / made, made)
    made = tl.where(size < 1e-20, 1.0 / x, made)
    made = tl.where(x > 171.7, _INF, tl.where(x < -184, 0.0, made))
    wrong = (whole & (x < 0)) | (x == -_INF) | (x != x)
    return tl.where(wrong, float("nan"), made)
