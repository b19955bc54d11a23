"""Elementary functions for the hart as arithmetic in f64, on scalars and vectors alike.

Every function here takes and gives f64 values; a result rounded to f32 is within one unit in the last place, one in
f64 within a few (of pow: more, with the exponent). Series are Taylor series with as many terms as f64 needs on the
reduced range; the one interpolation says what it interpolates.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

from mtia.dialects.mlir import arith, ir, scf, vector
from mtia.dialects.mlir import math as ops

__all__ = ["FUNCTIONS", "Builder"]

LOG2_E = 1 / math.log(2)
LN2_HIGH = math.ldexp(math.floor(math.ldexp(math.log(2), 42)), -42)  # short: exact times an exponent
LN2_LOW = 5.497923018708371e-14  # ln 2 - LN2_HIGH
HALF_PI = math.pi / 2
HALF_PI_LOW = 6.123233995736766e-17  # pi/2 - HALF_PI
SQRT_HALF = math.sqrt(0.5)
EXP_LOW, EXP_HIGH = -746.0, 710.0  # below exp underflows to 0, above it overflows
MANTISSA_BITS, BIAS = 52, 1023
QUOTIENT_BITS = 51  # of one step of a remainder
ERFC_SCALE = 3.75
# Chebyshev coefficients, from interpolation in 40 digits, of erfc(x) exp(x²) (x + 3.75) over t = (x - 3.75)/(x + 3.75)
ERFC = (
    1.5802719754089016, -1.4155291636062, 0.5310168126584589, -0.16770511573096467,
    0.044234890018353, -0.009506139167741073, 0.0015696224296742666, -0.0001678661262168746,
    1.971677029425334e-06, 3.086971620657423e-06, -4.936920694378021e-07, -9.53473146659699e-09,
    1.3558265983492734e-08, -1.0830423386818915e-09, -2.9040184105181653e-10, 5.307787477899927e-11,
    5.7807453026182654e-12, -1.9937853083155314e-12, -1.172483067092842e-13, 7.242755922683354e-14,
    2.881124227934933e-15, -2.700560686481006e-15, -1.157943335074028e-16,
)  # fmt: skip

Function = Callable[..., Any]


class Builder:
    """Emits arithmetic on values of one shape at the current insertion point."""

    def __init__(self, like: Any) -> None:
        self.shape = list(like.shape) if isinstance(like, ir.VectorType) else None

    def type(self, element: Any) -> Any:
        """The type of this shape with another element."""
        return element if self.shape is None else ir.VectorType.get(self.shape, element)

    @property
    def f64(self) -> Any:
        """f64 in this shape."""
        return self.type(ir.F64Type.get())

    @property
    def i64(self) -> Any:
        """i64 in this shape."""
        return self.type(ir.IntegerType.get_signless(64))

    def constant(self, value: float) -> Any:
        """An f64 constant."""
        scalar = arith.constant(ir.F64Type.get(), float(value))
        return scalar if self.shape is None else vector.broadcast(self.f64, scalar)

    def integer(self, value: int) -> Any:
        """An i64 constant."""
        scalar = arith.constant(ir.IntegerType.get_signless(64), value)
        return scalar if self.shape is None else vector.broadcast(self.i64, scalar)

    def less(self, a: Any, b: Any) -> Any:
        """a < b, false for NaN."""
        return arith.cmpf(arith.CmpFPredicate.OLT, a, b)

    def equal(self, a: Any, b: Any) -> Any:
        """a == b."""
        return arith.cmpf(arith.CmpFPredicate.OEQ, a, b)

    def is_nan(self, x: Any) -> Any:
        """x is NaN."""
        return arith.cmpf(arith.CmpFPredicate.UNO, x, x)

    def polynomial(self, x: Any, coefficients: Sequence[float]) -> Any:
        """Horner's rule; the first coefficient is the constant one."""
        total = self.constant(coefficients[-1])
        for coefficient in reversed(coefficients[:-1]):
            total = ops.fma(total, x, self.constant(coefficient))
        return total

    def chebyshev(self, x: Any, coefficients: Sequence[float]) -> Any:
        """Clenshaw's rule for a Chebyshev series on [-1, 1]."""
        twice = arith.addf(x, x)
        last, before = self.constant(coefficients[-1]), self.constant(0.0)
        for coefficient in reversed(coefficients[1:-1]):
            last, before = ops.fma(twice, last, arith.subf(self.constant(coefficient), before)), last
        return ops.fma(x, last, arith.subf(self.constant(coefficients[0]), before))

    def power_of_two(self, exponent: Any) -> Any:
        """2**exponent for an i64 exponent of a normal number."""
        biased = arith.addi(exponent, self.integer(BIAS))
        return arith.bitcast(self.f64, arith.shli(biased, self.integer(MANTISSA_BITS)))

    def scale(self, x: Any, exponent: Any) -> Any:
        """x · 2**exponent in two steps, so that results may be subnormal."""
        half = arith.shrsi(exponent, self.integer(1))
        rest = arith.subi(exponent, half)
        return arith.mulf(arith.mulf(x, self.power_of_two(half)), self.power_of_two(rest))

    def select(self, condition: Any, a: Any, b: Any) -> Any:
        """condition ? a : b."""
        return arith.select(condition, a, b)

    def repeat(self, count: Any, start: Any, step: Callable[[Any], Any]) -> Any:
        """What `step` makes of a value, repeated as often as the largest of the i64 counts says."""
        i64, index = ir.IntegerType.get_signless(64), ir.IndexType.get()
        most = count if self.shape is None else vector.reduction(i64, vector.CombiningKind.MAXSI, count)
        bounds = [arith.constant(index, 0), arith.index_cast(index, most), arith.constant(index, 1)]
        loop = scf.ForOp(*bounds, [start])
        with ir.InsertionPoint(loop.body):
            scf.YieldOp([step(loop.inner_iter_args[0])])
        return loop.results[0]

    def unless_nan(self, x: Any, result: Any) -> Any:
        """The result, or x where x is NaN."""
        return self.select(self.is_nan(x), x, result)

    def unless_zero(self, x: Any, result: Any) -> Any:
        """The result, or x where x is a zero, whose sign it keeps."""
        return self.select(self.equal(x, self.constant(0.0)), x, result)


def _factorials(first: int, count: int, step: int = 1, sign: int = 1) -> list[float]:
    return [sign**n / math.factorial(first + step * n) for n in range(count)]


def _clamp(b: Builder, x: Any, low: float, high: float) -> Any:
    x = b.select(b.less(x, b.constant(low)), b.constant(low), x)
    return b.select(b.less(b.constant(high), x), b.constant(high), x)


def _reduce_exp(b: Builder, x: Any) -> tuple[Any, Any]:
    """n (i64) and r with x = n ln 2 + r, |r| ≤ ln 2 / 2; NaN gives n = 0."""
    whole = ops.roundeven(arith.mulf(x, b.constant(LOG2_E)))
    whole = b.select(b.is_nan(whole), b.constant(0.0), whole)
    r = ops.fma(whole, b.constant(-LN2_HIGH), x)
    return arith.fptosi(b.i64, whole), ops.fma(whole, b.constant(-LN2_LOW), r)


def exp(b: Builder, x: Any) -> Any:
    n, r = _reduce_exp(b, _clamp(b, x, EXP_LOW, EXP_HIGH))
    return b.unless_nan(x, b.scale(b.polynomial(r, _factorials(0, 14)), n))


def expm1(b: Builder, x: Any) -> Any:
    n, r = _reduce_exp(b, _clamp(b, x, -40.0, EXP_HIGH))
    small = arith.mulf(r, b.polynomial(r, _factorials(1, 14)))
    shifted = b.scale(small, n)
    result = arith.addf(shifted, arith.subf(b.scale(b.constant(1.0), n), b.constant(1.0)))
    return b.unless_nan(x, b.unless_zero(x, result))


def exp2(b: Builder, x: Any) -> Any:
    clamped = _clamp(b, x, -1076.0, 1025.0)
    whole = ops.roundeven(clamped)
    whole = b.select(b.is_nan(whole), b.constant(0.0), whole)
    r = arith.mulf(arith.subf(clamped, whole), b.constant(math.log(2)))
    return b.unless_nan(x, b.scale(b.polynomial(r, _factorials(0, 14)), arith.fptosi(b.i64, whole)))


def _log_parts(b: Builder, x: Any) -> tuple[Any, Any]:
    """The exponent (as f64) and ln m with x = m · 2**exponent, m in [√½, √2), for positive finite x."""
    tiny = b.less(x, b.constant(2.0**-1022))
    normal = b.select(tiny, arith.mulf(x, b.constant(2.0**54)), x)
    bits = arith.bitcast(b.i64, normal)
    exponent = arith.subi(arith.shrui(bits, b.integer(MANTISSA_BITS)), b.integer(BIAS))
    fraction = arith.andi(bits, b.integer((1 << MANTISSA_BITS) - 1))
    m = arith.bitcast(b.f64, arith.ori(fraction, b.integer(BIAS << MANTISSA_BITS)))
    high = b.less(b.constant(2 * SQRT_HALF), m)
    m = b.select(high, arith.mulf(m, b.constant(0.5)), m)
    exponent = arith.addi(exponent, b.select(high, b.integer(1), b.integer(0)))
    exponent = arith.subi(exponent, b.select(tiny, b.integer(54), b.integer(0)))
    s = arith.divf(arith.subf(m, b.constant(1.0)), arith.addf(m, b.constant(1.0)))
    series = b.polynomial(arith.mulf(s, s), [2 / (2 * n + 1) for n in range(11)])
    return arith.sitofp(b.f64, exponent), arith.mulf(s, series)


def _log_ends(b: Builder, x: Any, result: Any) -> Any:
    """What every logarithm gives outside the positive finite numbers."""
    infinity, zero = b.constant(math.inf), b.constant(0.0)
    result = b.select(b.equal(x, infinity), infinity, result)
    result = b.select(b.equal(x, zero), b.constant(-math.inf), result)
    result = b.select(b.less(x, zero), b.constant(math.nan), result)
    return b.unless_nan(x, result)


def log(b: Builder, x: Any) -> Any:
    exponent, rest = _log_parts(b, x)
    low = ops.fma(exponent, b.constant(LN2_LOW), rest)
    return _log_ends(b, x, ops.fma(exponent, b.constant(LN2_HIGH), low))


def log2(b: Builder, x: Any) -> Any:
    exponent, rest = _log_parts(b, x)
    return _log_ends(b, x, ops.fma(rest, b.constant(LOG2_E), exponent))


def log10(b: Builder, x: Any) -> Any:
    return arith.mulf(log(b, x), b.constant(1 / math.log(10)))


def log1p(b: Builder, x: Any) -> Any:
    whole = arith.addf(x, b.constant(1.0))
    lost = arith.subf(x, arith.subf(whole, b.constant(1.0)))
    near = arith.addf(log(b, whole), arith.divf(lost, whole))
    ends = ops.absf(whole)
    is_end = arith.ori(b.equal(ends, b.constant(math.inf)), b.equal(ends, b.constant(0.0)))
    return b.unless_zero(x, b.select(is_end, log(b, whole), near))


def tanh(b: Builder, x: Any) -> Any:
    size = _clamp(b, ops.absf(x), 0.0, 22.0)
    e = expm1(b, arith.addf(size, size))
    return b.unless_nan(x, ops.copysign(arith.divf(e, arith.addf(e, b.constant(2.0))), x))


def sinh(b: Builder, x: Any) -> Any:
    e = expm1(b, ops.absf(x))
    half = arith.mulf(b.constant(0.5), arith.addf(e, arith.divf(e, arith.addf(e, b.constant(1.0)))))
    result = b.select(b.equal(e, b.constant(math.inf)), e, half)
    return b.unless_nan(x, ops.copysign(result, x))


def cosh(b: Builder, x: Any) -> Any:
    e = exp(b, ops.absf(x))
    return arith.mulf(b.constant(0.5), arith.addf(e, arith.divf(b.constant(1.0), e)))


def _sin_cos(b: Builder, x: Any) -> tuple[Any, Any, Any]:
    """The quadrant (i64) and sine and cosine of the rest; the reduction is exact to f64 up to |x| about 2**50."""
    whole = ops.roundeven(arith.mulf(x, b.constant(1 / HALF_PI)))
    bounded = b.less(ops.absf(whole), b.constant(2.0**62))  # also false for NaN
    quadrant = arith.fptosi(b.i64, b.select(bounded, whole, b.constant(0.0)))
    r = ops.fma(whole, b.constant(-HALF_PI), x)
    r = ops.fma(whole, b.constant(-HALF_PI_LOW), r)
    square = arith.mulf(r, r)
    sine = arith.mulf(r, b.polynomial(square, _factorials(1, 10, 2, -1)))
    return quadrant, sine, b.polynomial(square, _factorials(0, 10, 2, -1))


def _turned(b: Builder, quadrant: Any, sine: Any, cosine: Any) -> Any:
    """The sine of an angle from those of its rest."""
    odd = arith.cmpi(arith.CmpIPredicate.ne, arith.andi(quadrant, b.integer(1)), b.integer(0))
    back = arith.cmpi(arith.CmpIPredicate.ne, arith.andi(quadrant, b.integer(2)), b.integer(0))
    value = b.select(odd, cosine, sine)
    return b.select(back, arith.negf(value), value)


def sin(b: Builder, x: Any) -> Any:
    return _turned(b, *_sin_cos(b, x))


def cos(b: Builder, x: Any) -> Any:
    quadrant, sine, cosine = _sin_cos(b, x)
    return _turned(b, arith.addi(quadrant, b.integer(1)), sine, cosine)


def tan(b: Builder, x: Any) -> Any:
    return arith.divf(sin(b, x), cos(b, x))


def atan(b: Builder, x: Any) -> Any:
    size = ops.absf(x)
    large = b.less(b.constant(1.0), size)
    t = b.select(large, arith.divf(b.constant(1.0), size), size)
    turned = b.less(b.constant(math.tan(math.pi / 8)), t)
    rotated = arith.divf(arith.subf(t, b.constant(1.0)), arith.addf(t, b.constant(1.0)))
    t = b.select(turned, rotated, t)
    series = arith.mulf(t, b.polynomial(arith.mulf(t, t), [(-1) ** n / (2 * n + 1) for n in range(22)]))
    angle = arith.addf(series, b.select(turned, b.constant(math.pi / 4), b.constant(0.0)))
    angle = b.select(large, arith.subf(b.constant(HALF_PI), angle), angle)
    return b.unless_nan(x, ops.copysign(angle, x))


def atan2(b: Builder, y: Any, x: Any) -> Any:
    both_infinite = arith.andi(b.equal(ops.absf(y), b.constant(math.inf)), b.equal(ops.absf(x), b.constant(math.inf)))
    both_zero = arith.andi(b.equal(y, b.constant(0.0)), b.equal(x, b.constant(0.0)))
    ratio = b.select(both_infinite, b.constant(1.0), arith.divf(ops.absf(y), ops.absf(x)))
    angle = atan(b, b.select(both_zero, b.constant(0.0), ratio))
    sign_of_x = ops.copysign(b.constant(1.0), x)
    angle = b.select(b.less(sign_of_x, b.constant(0.0)), arith.subf(b.constant(math.pi), angle), angle)
    return b.unless_nan(x, b.unless_nan(y, ops.copysign(angle, y)))


def asin(b: Builder, x: Any) -> Any:
    one = b.constant(1.0)
    return atan2(b, x, ops.sqrt(arith.mulf(arith.subf(one, x), arith.addf(one, x))))


def acos(b: Builder, x: Any) -> Any:
    one = b.constant(1.0)
    return atan2(b, ops.sqrt(arith.mulf(arith.subf(one, x), arith.addf(one, x))), x)


def asinh(b: Builder, x: Any) -> Any:
    size = ops.absf(x)
    square = arith.mulf(size, size)
    root = arith.addf(ops.sqrt(arith.addf(square, b.constant(1.0))), b.constant(1.0))
    near = log1p(b, arith.addf(size, arith.divf(square, root)))
    # Where the square overflows or the sum is the number itself, the logarithm of 2x.
    far = arith.addf(log(b, size), b.constant(math.log(2)))
    return b.unless_nan(x, ops.copysign(b.select(b.less(size, b.constant(1e8)), near, far), x))


def acosh(b: Builder, x: Any) -> Any:
    above = arith.subf(x, b.constant(1.0))
    near = log1p(b, arith.addf(above, ops.sqrt(arith.mulf(above, arith.addf(x, b.constant(1.0))))))
    far = arith.addf(log(b, x), b.constant(math.log(2)))
    result = b.select(b.less(b.constant(1e8), x), far, near)
    return b.select(b.less(x, b.constant(1.0)), b.constant(math.nan), result)


def atanh(b: Builder, x: Any) -> Any:
    size = ops.absf(x)
    ratio = arith.divf(arith.addf(size, size), arith.subf(b.constant(1.0), size))
    return b.unless_nan(x, ops.copysign(arith.mulf(b.constant(0.5), log1p(b, ratio)), x))


def erfc(b: Builder, x: Any) -> Any:
    size = ops.absf(x)
    bounded = _clamp(b, size, 0.0, 28.0)
    above = arith.addf(bounded, b.constant(ERFC_SCALE))
    t = arith.divf(arith.subf(bounded, b.constant(ERFC_SCALE)), above)
    square = arith.mulf(bounded, bounded)
    lost = ops.fma(bounded, bounded, arith.negf(square))  # of the square by its rounding
    decay = exp(b, arith.negf(square))
    decay = ops.fma(arith.negf(lost), decay, decay)
    tail = arith.mulf(decay, arith.divf(b.chebyshev(t, ERFC), above))
    return b.unless_nan(x, b.select(b.less(x, b.constant(0.0)), arith.subf(b.constant(2.0), tail), tail))


def erf(b: Builder, x: Any) -> Any:
    square = arith.mulf(x, x)
    terms = [2 / math.sqrt(math.pi) * (-1) ** n / (math.factorial(n) * (2 * n + 1)) for n in range(14)]
    near = arith.mulf(x, b.polynomial(square, terms))
    far = ops.copysign(arith.subf(b.constant(1.0), erfc(b, ops.absf(x))), x)
    return b.unless_nan(x, b.select(b.less(ops.absf(x), b.constant(0.5)), near, far))


def rsqrt(b: Builder, x: Any) -> Any:
    return arith.divf(b.constant(1.0), ops.sqrt(x))


def cbrt(b: Builder, x: Any) -> Any:
    size = ops.absf(x)
    root = exp2(b, arith.mulf(log2(b, size), b.constant(1 / 3)))
    return ops.copysign(root, x)


def powf(b: Builder, x: Any, y: Any) -> Any:
    zero, one = b.constant(0.0), b.constant(1.0)
    size = exp2(b, arith.mulf(y, log2(b, ops.absf(x))))
    half = arith.mulf(y, b.constant(0.5))
    is_whole = b.equal(ops.floor(y), y)
    is_odd = arith.andi(is_whole, arith.cmpf(arith.CmpFPredicate.ONE, ops.floor(half), half))
    negative = b.less(ops.copysign(one, x), zero)
    signed = b.select(arith.andi(negative, is_odd), arith.negf(size), size)
    finite_base = b.less(b.constant(-math.inf), x)
    is_fraction = arith.cmpf(arith.CmpFPredicate.ONE, ops.floor(y), y)
    undefined = arith.andi(arith.andi(b.less(x, zero), finite_base), is_fraction)
    result = b.select(undefined, b.constant(math.nan), signed)
    result = b.unless_nan(y, b.unless_nan(x, result))
    # |x| = 1 to an infinite power is 1, where infinity times log 0 says nothing.
    result = b.select(arith.andi(b.equal(ops.absf(x), one), b.equal(ops.absf(y), b.constant(math.inf))), one, result)
    return b.select(b.equal(x, one), one, b.select(b.equal(y, zero), one, result))


def remainder(b: Builder, x: Any, y: Any) -> Any:
    """C's fmod, exact: as often as the largest quotient needs, less a multiple of y · 2**n below 2**53 times that."""
    size, by = ops.absf(x), ops.absf(y)
    least = _exponent(b, by)
    count = arith.addi(arith.divui(_shift(b, size, least), b.integer(QUOTIENT_BITS)), b.integer(2))
    rest = b.repeat(count, size, lambda rest: _reduced(b, rest, b.scale(by, _shift(b, rest, least))))
    rest = b.select(b.equal(by, b.constant(math.inf)), arith.addf(size, arith.subf(size, size)), rest)
    undefined = arith.ori(b.equal(size, b.constant(math.inf)), b.equal(by, b.constant(0.0)))
    rest = b.select(undefined, b.constant(math.nan), rest)
    return b.unless_nan(y, b.unless_nan(x, ops.copysign(rest, x)))


def _reduced(b: Builder, size: Any, by: Any) -> Any:
    """A positive number less the largest multiple of another that it holds, for a quotient below 2**53."""
    rest = ops.fma(arith.negf(ops.trunc(arith.divf(size, by))), by, size)
    rest = b.select(b.less(rest, b.constant(0.0)), arith.addf(rest, by), rest)
    return b.select(b.less(rest, by), rest, arith.subf(rest, by))


def _shift(b: Builder, size: Any, least: Any) -> Any:
    """How many powers of two the quotient of a number and one with exponent `least` is above QUOTIENT_BITS bits."""
    above = arith.subi(arith.subi(_exponent(b, size), least), b.integer(QUOTIENT_BITS))
    return arith.maxsi(above, b.integer(0))


def _exponent(b: Builder, size: Any) -> Any:
    """The exponent of a positive number, a subnormal one too."""
    tiny = b.less(size, b.constant(sys.float_info.min))
    raised = b.select(tiny, arith.mulf(size, b.constant(math.ldexp(1.0, MANTISSA_BITS))), size)
    biased = arith.shrui(arith.bitcast(b.i64, raised), b.integer(MANTISSA_BITS))
    return arith.subi(biased, b.select(tiny, b.integer(BIAS + MANTISSA_BITS), b.integer(BIAS)))


FUNCTIONS: dict[str, Function] = {
    f"math.{function.__name__}": function
    for function in (
        exp, expm1, exp2, log, log2, log10, log1p, tanh, sinh, cosh, sin, cos, tan, atan, atan2, asin, acos, asinh,
        acosh, atanh, erf, erfc, rsqrt, cbrt, powf,
    )
} | {"arith.remf": remainder}  # fmt: skip
