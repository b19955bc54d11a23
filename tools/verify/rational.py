"""IEEE 754 and RISC-V arithmetic on integers: a value is sign · m · 2^e exactly, and rounded once.

Written from the standard and the RISC-V manual, with nothing of `mtia.isa`, for comparison with it. Operations take and
return bits; the second result is the exception flags (NX 1, UF 2, OF 4, DZ 8, NV 16).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import isqrt

__all__ = [
    "BF16", "FP16", "FP32", "FP64", "Format", "Result", "add", "classify", "compare", "convert", "div", "estimate",
    "extreme", "from_integer", "fused", "mul", "odd", "sign", "sqrt", "to_integer",
]  # fmt: skip

NX, UF, OF, DZ, NV = 1, 2, 4, 8, 16
RNE, RTZ, RDN, RUP, RMM = range(5)
Result = tuple[int, int]


@dataclass(frozen=True)
class Format:
    """A binary format: bits of exponent and fraction."""

    name: str
    exponent: int
    fraction: int

    @cached_property
    def width(self) -> int:
        """Bits in all."""
        return 1 + self.exponent + self.fraction

    @cached_property
    def bias(self) -> int:
        """What is added to an exponent."""
        return (1 << self.exponent - 1) - 1

    @cached_property
    def infinity(self) -> int:
        """The bits of +infinity."""
        return ((1 << self.exponent) - 1) << self.fraction

    @cached_property
    def nan(self) -> int:
        """The canonical NaN."""
        return self.infinity | 1 << self.fraction - 1


FP16, BF16, FP32, FP64 = Format("fp16", 5, 10), Format("bf16", 8, 7), Format("fp32", 8, 23), Format("fp64", 11, 52)


@dataclass(frozen=True)
class Value:
    """A decoded number; `m` = 0 for a zero, `kind` is one of `number`, `infinity`, `quiet`, `signaling`."""

    kind: str
    negative: bool
    m: int = 0
    e: int = 0

    @property
    def is_nan(self) -> bool:
        """Whether it is a NaN of either kind."""
        return self.kind in ("quiet", "signaling")

    @property
    def is_zero(self) -> bool:
        """Whether it is a zero."""
        return self.kind == "number" and self.m == 0


def decode(f: Format, bits: int) -> Value:
    """The value of bits."""
    negative = bits >> f.width - 1 & 1 == 1
    exponent, fraction = bits >> f.fraction & (1 << f.exponent) - 1, bits & (1 << f.fraction) - 1
    if exponent == (1 << f.exponent) - 1:
        if fraction == 0:
            return Value("infinity", negative)
        return Value("quiet" if fraction >> f.fraction - 1 else "signaling", negative)
    if exponent == 0:
        return Value("number", negative, fraction, 1 - f.bias - f.fraction)
    return Value("number", negative, fraction | 1 << f.fraction, exponent - f.bias - f.fraction)


def _up(rm: int, negative: bool, odd_: bool, below: int, half: int) -> bool:
    """Whether the magnitude is rounded up when `below` (in units where `half` is half a step) is dropped."""
    if below == 0 or rm == RTZ:
        return False
    if rm in (RDN, RUP):
        return negative == (rm == RDN)
    return below > half or (below == half and (rm == RMM or odd_))


def _step(m: int, e: int, sticky: bool, least: int, rm: int, negative: bool) -> tuple[int, bool]:
    """m · 2^e (and a little more if sticky) as a multiple of 2^least, rounded; and whether that was inexact."""
    if e >= least:
        # a sticky value always comes with bits to spare, so nothing is lost here
        return m << e - least, sticky
    shift = least - e
    kept, below = m >> shift, (m & (1 << shift) - 1) * 2 + sticky
    return kept + _up(rm, negative, kept & 1 == 1, below, 1 << shift), below != 0


def round_to(f: Format, negative: bool, m: int, e: int, rm: int, sticky: bool = False) -> Result:
    """Round sign · m · 2^e, m > 0, tininess after rounding."""
    top = m.bit_length() - 1 + e
    least_normal = 1 - f.bias
    kept, inexact = _step(m, e, sticky, max(top, least_normal) - f.fraction, rm, negative)
    s = negative << f.width - 1
    place = max(top, least_normal) - f.fraction
    if kept >> f.fraction + 1:
        kept, place = kept >> 1, place + 1
    exponent = place + f.fraction
    if kept >> f.fraction and exponent > f.bias:
        away = rm in (RNE, RMM) or (rm == RUP and not negative) or (rm == RDN and negative)
        return s | (f.infinity if away else f.infinity - 1), OF | NX
    flags = NX if inexact else 0
    if top < least_normal and inexact:
        unbounded, _ = _step(m, e, sticky, top - f.fraction, rm, negative)
        if unbounded < 1 << least_normal - top + f.fraction:
            flags |= UF
    if kept >> f.fraction:
        return s | exponent + f.bias << f.fraction | kept - (1 << f.fraction), flags
    return s | kept, flags


def _nan(f: Format, *values: Value) -> Result | None:
    if any(v.is_nan for v in values):
        return f.nan, NV if any(v.kind == "signaling" for v in values) else 0
    return None


def _sum(f: Format, x: Value, y: Value, rm: int) -> Result:
    """x + y for numbers and infinities."""
    if x.kind == "infinity" or y.kind == "infinity":
        if x.kind == y.kind and x.negative != y.negative:
            return f.nan, NV
        return (x if x.kind == "infinity" else y).negative << f.width - 1 | f.infinity, 0
    e = min(x.e, y.e)
    whole = (-1 if x.negative else 1) * (x.m << x.e - e) + (-1 if y.negative else 1) * (y.m << y.e - e)
    if whole == 0:
        same = x.negative == y.negative and x.m == 0
        return (x.negative if same else rm == RDN) << f.width - 1, 0
    return round_to(f, whole < 0, abs(whole), e, rm)


def _negated(v: Value, negate: bool = True) -> Value:
    return Value(v.kind, v.negative != negate, v.m, v.e)


def _product(x: Value, y: Value) -> Value:
    """x · y exactly; infinity times zero is a signaling NaN, for it is as invalid."""
    negative = x.negative != y.negative
    if x.kind == "infinity" or y.kind == "infinity":
        return Value("signaling" if x.is_zero or y.is_zero else "infinity", negative)
    return Value("number", negative, x.m * y.m, x.e + y.e)


def add(f: Format, g: Format, h: Format, a: int, b: int, rm: int, minus: bool = False) -> Result:
    """a + b, or a - b, of formats g and h, as f."""
    x, y = decode(g, a), decode(h, b)
    return _nan(f, x, y) or _sum(f, x, _negated(y, minus), rm)


def mul(f: Format, g: Format, a: int, b: int, rm: int) -> Result:
    """a · b of format g, as f."""
    x, y = decode(g, a), decode(g, b)
    if bad := _nan(f, x, y):
        return bad
    p = _product(x, y)
    if p.kind != "number":
        return (f.nan, NV) if p.is_nan else (p.negative << f.width - 1 | f.infinity, 0)
    if p.m == 0:
        return p.negative << f.width - 1, 0
    return round_to(f, p.negative, p.m, p.e, rm)


def fused(
    f: Format, g: Format, a: int, b: int, c: int, rm: int, minus_product: bool = False, minus_c: bool = False
) -> Result:
    """±a · b ± c, a and b of format g, c and the result of f."""
    x, y, z = decode(g, a), decode(g, b), decode(f, c)
    p = _product(x, y) if not (x.is_nan or y.is_nan) else Value("quiet", False)
    if p.kind == "signaling":
        return f.nan, NV
    return _nan(f, x, y, z) or _sum(f, _negated(p, minus_product), _negated(z, minus_c), rm)


def div(f: Format, a: int, b: int, rm: int) -> Result:
    """a / b."""
    x, y = decode(f, a), decode(f, b)
    if bad := _nan(f, x, y):
        return bad
    s = (x.negative != y.negative) << f.width - 1
    if x.kind == "infinity" or y.is_zero:
        if x.kind == y.kind and (x.kind == "infinity" or x.is_zero):
            return f.nan, NV
        return s | f.infinity, DZ if y.is_zero and x.kind == "number" else 0
    if y.kind == "infinity" or x.m == 0:
        return s, 0
    quotient, rest = divmod(x.m << 130, y.m)
    return round_to(f, s != 0, quotient, x.e - y.e - 130, rm, rest != 0)


def sqrt(f: Format, a: int, rm: int) -> Result:
    """The square root of a."""
    x = decode(f, a)
    if bad := _nan(f, x):
        return bad
    if x.is_zero:
        return a, 0
    if x.negative:
        return f.nan, NV
    if x.kind == "infinity":
        return a, 0
    scale = 130 + (x.e & 1)
    root = isqrt(x.m << scale)
    return round_to(f, False, root, x.e - scale >> 1, rm, root * root != x.m << scale)


def extreme(f: Format, a: int, b: int, largest: bool) -> Result:
    """minimumNumber or maximumNumber."""
    x, y = decode(f, a), decode(f, b)
    flags = NV if "signaling" in (x.kind, y.kind) else 0
    if x.is_nan or y.is_nan:
        return f.nan if x.is_nan and y.is_nan else b if x.is_nan else a, flags
    return (a if (_order(f, a) >= _order(f, b)) == largest else b), flags


def _order(f: Format, bits: int) -> int:
    """A number that orders values as their bits do, -0 below +0."""
    size = bits & (1 << f.width - 1) - 1
    return -size - 1 if bits >> f.width - 1 else size


def compare(f: Format, a: int, b: int, how: str) -> Result:
    """`eq`, `ne` (quiet), `lt` or `le` as 0 or 1."""
    x, y = decode(f, a), decode(f, b)
    if x.is_nan or y.is_nan:
        loud = how in ("lt", "le") or "signaling" in (x.kind, y.kind)
        return int(how == "ne"), NV if loud else 0
    left, right = (0 if v.is_zero else _order(f, bits) for v, bits in ((x, a), (y, b)))
    return int({"eq": left == right, "ne": left != right, "lt": left < right, "le": left <= right}[how]), 0


def sign(f: Format, a: int, b: int, how: str) -> Result:
    """a with the sign of b: as it is (``), opposite (`n`) or multiplied with a's (`x`)."""
    top = 1 << f.width - 1
    other = {"": b, "n": ~b, "x": a ^ b}[how]
    return a & top - 1 | other & top, 0


def classify(f: Format, a: int) -> Result:
    """The class mask of fclass."""
    v = decode(f, a)
    if v.is_nan:
        return 1 << (9 if v.kind == "quiet" else 8), 0
    size = 0 if v.kind == "infinity" else 3 if v.m == 0 else 1 if v.m >> f.fraction else 2
    return 1 << (size if v.negative else 7 - size), 0


def convert(f: Format, g: Format, a: int, rm: int) -> Result:
    """a of format g as f."""
    x = decode(g, a)
    if bad := _nan(f, x):
        return bad
    if x.kind == "infinity" or x.m == 0:
        return x.negative << f.width - 1 | (f.infinity if x.kind == "infinity" else 0), 0
    return round_to(f, x.negative, x.m, x.e, rm)


def odd(f: Format, g: Format, a: int) -> Result:
    """a of format g as f, rounded to odd: towards zero, the last bit set when that is inexact."""
    result, flags = convert(f, g, a, RTZ)
    return result | flags & NX, flags


def to_integer(g: Format, a: int, width: int, signed: bool, rm: int) -> Result:
    """a as an integer's bits; out of range the nearest one, NaN the largest."""
    x = decode(g, a)
    low, high = (-(1 << width - 1), (1 << width - 1) - 1) if signed else (0, (1 << width) - 1)
    mask = (1 << width) - 1
    if x.kind != "number":
        return (low if x.kind == "infinity" and x.negative else high) & mask, NV
    if x.m == 0:
        return 0, 0
    kept, inexact = _step(x.m, x.e, False, 0, rm, x.negative) if x.e < 0 else (x.m << x.e, False)
    value = -kept if x.negative else kept
    if not low <= value <= high:
        return (low if value < low else high) & mask, NV
    return value & mask, NX if inexact else 0


def from_integer(f: Format, value: int, rm: int) -> Result:
    """A signed value as f."""
    return round_to(f, value < 0, abs(value), 0, rm) if value else (0, 0)


def estimate(f: Format, a: int, root: bool, rm: int) -> Result:
    """vfrec7 or vfrsqrt7: the exact function in the middle of the interval that the leading bits name, to 7 bits."""
    x = decode(f, a)
    s = x.negative << f.width - 1
    if bad := _nan(f, x):
        return bad
    if root and x.negative and not x.is_zero:
        return f.nan, NV
    if x.is_zero:
        return s | f.infinity, DZ
    if x.kind == "infinity":
        return s, 0
    top = x.m.bit_length() - 1
    exponent = x.e + top  # the value is 1.… · 2^exponent
    if root:
        odd_, leading = exponent & 1, ((x.m << 6) >> top) - 64  # six bits after the first
        # (2 · middle) / 128 is the middle of the interval, doubled for an odd exponent; 256 / sqrt of it, rounded
        middle = (2 * leading + 129) << odd_
        found = (isqrt((256 * 256 * 128 * 4) // middle) + 1) // 2
        return (-(exponent - odd_) // 2 - 1 + f.bias) << f.fraction | (found - 128) << f.fraction - 7, 0
    if exponent < -f.bias - 1:
        away = rm in (RNE, RMM) or (rm == RUP and not x.negative) or (rm == RDN and x.negative)
        return s | (f.infinity if away else f.infinity - 1), OF | NX
    leading = ((x.m << 7) >> top) - 128
    found = (2 * 65536 + 257 + 2 * leading) // (2 * (257 + 2 * leading))  # 128 · 2 / middle, with the leading 1
    biased = -exponent - 1 + f.bias
    if biased > 0:
        return s | biased << f.fraction | (found - 128) << f.fraction - 7, 0
    return s | (found << f.fraction - 7) >> 1 - biased, 0
