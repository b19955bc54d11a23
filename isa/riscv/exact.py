# mypy: disable-error-code="valid-type, no-any-return, operator"
"""Exact IEEE 754 arithmetic on bit patterns: every rounding mode, every exception flag.

Numbers are unpacked to sign, exponent and a 64-bit significand with its top bit set: value = sig · 2^(exp - 63). Sum
and product are cases of the fused multiply-add. Tininess is detected after rounding, as RISC-V asks.
"""

from __future__ import annotations

from dataclasses import dataclass

from mtia.isa.lang import Fn, Ptr, boolean, clz, fn, i64, local, mulhu, struct, u32, u64

__all__ = ["DZ", "NV", "NX", "OF", "RDN", "RMM", "RNE", "RTZ", "RUP", "UF", "Exact", "Format", "exact"]

NX, UF, OF, DZ, NV = 1, 2, 4, 8, 16
RNE, RTZ, RDN, RUP, RMM = 0, 1, 2, 3, 4
_ZERO, _FINITE, _INF, _QNAN, _SNAN = 0, 1, 2, 3, 4


@dataclass(frozen=True)
class Format:
    """A binary interchange format: bits of the exponent and of the fraction."""

    exponent: int
    fraction: int

    @property
    def width(self) -> int:
        """Bits of the format."""
        return 1 + self.exponent + self.fraction

    @property
    def infinity(self) -> int:
        """The bits of +infinity."""
        return ((1 << self.exponent) - 1) << self.fraction

    @property
    def nan(self) -> int:
        """The bits of the canonical NaN."""
        return self.infinity | 1 << self.fraction - 1


@dataclass(frozen=True)
class Exact:
    """The exact operations of a format; all take and return bits in a u64 and collect flags through a pointer."""

    unpack: Fn  # (bits, Ptr[Number])
    pack: Fn  # (sign, exp, sig, rm, flags) -> bits
    fma: Fn  # (a, b, c, rm, flags) -> bits
    div: Fn  # (a, b, rm, flags) -> bits
    sqrt: Fn  # (a, rm, flags) -> bits
    from_number: Fn  # (Ptr[Number], rm, flags) -> bits


@struct
class Number:
    """An unpacked number."""

    sign: u32
    kind: u32
    exp: i64
    sig: u64


@fn
def jam(value: u64, count: i64) -> u64:
    """Shift right; bits that fall out stay visible in the lowest bit."""
    if count <= 0:
        return value
    if count > 63:
        return u64(value != 0)
    n = u64(count)
    return value >> n | u64(value << (64 - n) != 0)


@fn
def increment(odd: boolean, rest: u64, half: u64, sign: u32, rm: u32) -> boolean:
    """Whether rounding adds one unit: `rest` are the dropped bits, `half` is half a unit."""
    if rest == 0:
        return False
    if rm == RNE:
        return rest > half or (rest == half and odd)
    if rm == RDN:
        return sign != 0
    if rm == RUP:
        return sign == 0
    if rm == RMM:
        return rest >= half
    return False


def _unpack(form: Format) -> Fn:
    fraction, top = form.fraction, (1 << form.exponent) - 1
    bias, mask, width = top >> 1, (1 << form.fraction) - 1, form.width

    @fn
    def unpack(bits: u64, n: Ptr[Number]) -> None:
        n.sign = u32(bits >> (width - 1) & 1)
        low = bits & mask
        exp = i64(bits >> fraction & top)
        if exp == top:
            n.kind = _INF
            if low != 0:
                n.kind = _QNAN
                if low >> (fraction - 1) == 0:
                    n.kind = _SNAN
            return
        if exp == 0:
            n.kind = _ZERO
            if low == 0:
                return
            zeros = clz(low)
            n.kind = _FINITE
            n.sig = low << zeros
            n.exp = 64 - fraction - bias - i64(zeros)
            return
        n.kind = _FINITE
        n.exp = exp - bias
        n.sig = (low | 1 << fraction) << (63 - fraction)

    return unpack


def _pack(form: Format) -> Fn:
    fraction, top, width = form.fraction, (1 << form.exponent) - 1, form.width
    bias, infinity = top >> 1, form.infinity
    drop = 63 - fraction
    half, rest_mask, least = 1 << drop - 1, (1 << drop) - 1, 2 - (1 << form.exponent - 1)

    @fn(inline="never")
    def pack(sign: u32, exp: i64, sig: u64, rm: u32, flags: Ptr[u32]) -> u64:
        s = u64(sign) << (width - 1)
        tiny = boolean(False)
        base = u64(exp + bias - 1) << fraction
        if exp < least:
            top_carries = sig >> drop == (2 << fraction) - 1 and increment(True, sig & rest_mask, half, sign, rm)
            tiny = not (exp == least - 1 and top_carries)
            sig = jam(sig, least - exp)
            base = u64(0)
        elif exp > bias:
            base = u64(infinity)
        rest = sig & rest_mask
        kept = sig >> drop
        if increment(kept & 1 != 0, rest, half, sign, rm):
            kept += 1
        result = base + kept
        if result >= infinity and exp >= least:
            flags[0] |= OF | NX
            if rm == RTZ or (rm == RDN and sign == 0) or (rm == RUP and sign != 0):
                return s | (infinity - 1)
            return s | infinity
        if rest != 0:
            flags[0] |= NX
            if tiny:
                flags[0] |= UF
        return s | result

    return pack


def _fma(form: Format, unpack: Fn, pack: Fn) -> Fn:
    infinity, nan, width = form.infinity, form.nan, form.width

    @fn(inline="never")
    def fma(a: u64, b: u64, c: u64, rm: u32, flags: Ptr[u32]) -> u64:
        x = local(Number, 1)
        y = local(Number, 1)
        z = local(Number, 1)
        unpack(a, x)
        unpack(b, y)
        unpack(c, z)
        sign = x.sign ^ y.sign
        undefined = (x.kind == _INF and y.kind == _ZERO) or (x.kind == _ZERO and y.kind == _INF)
        if x.kind == _SNAN or y.kind == _SNAN or z.kind == _SNAN or undefined:
            flags[0] |= NV
            return nan
        if x.kind == _QNAN or y.kind == _QNAN or z.kind == _QNAN:
            return nan
        if x.kind == _INF or y.kind == _INF:
            if z.kind == _INF and z.sign != sign:
                flags[0] |= NV
                return nan
            return u64(sign) << (width - 1) | infinity
        if z.kind == _INF:
            return c
        if x.kind == _ZERO or y.kind == _ZERO:
            if z.kind != _ZERO:
                return c
            zero = sign & z.sign
            if rm == RDN:
                zero = sign | z.sign
            return u64(zero) << (width - 1)
        # the product as 128 bits with its top bit at 126
        high = mulhu(x.sig, y.sig)
        low = x.sig * y.sig
        exp = x.exp + y.exp + 1
        if high >> 63 == 0:
            exp -= 1
        else:
            low = low >> 1 | high << 63
            high >>= 1
        if z.kind == _ZERO:
            return pack(sign, exp, high << 1 | low >> 63 | u64(low << 1 != 0), rm, flags)
        other = z.sig >> 1
        other_low = z.sig << 63
        distance = exp - z.exp
        if distance > 0:
            other_low = jam128(other, other_low, distance)
            other = shift_high(other, distance)
        elif distance < 0:
            low = jam128(high, low, -distance)
            high = shift_high(high, -distance)
            exp = z.exp
        if sign == z.sign:
            total = low + other_low
            high = high + other + u64(total < low)
            low = total
        else:
            if high < other or (high == other and low < other_low):
                sign = z.sign
                borrow = u64(other_low < low)
                high = other - high - borrow
                low = other_low - low
            else:
                borrow = u64(low < other_low)
                high = high - other - borrow
                low = low - other_low
            if high == 0 and low == 0:
                return u64(rm == RDN) << (width - 1)
        exp += 1
        if high == 0:
            high = low
            low = u64(0)
            exp -= 64
        zeros = clz(high)
        if zeros != 0:
            high = high << zeros | low >> (64 - zeros)
            low = low << zeros
            exp -= i64(zeros)
        return pack(sign, exp, high | u64(low != 0), rm, flags)

    return fma


@fn
def shift_high(high: u64, count: i64) -> u64:
    """The high half of a 128-bit right shift."""
    if count > 63:
        return u64(0)
    return high >> u64(count)


@fn
def jam128(high: u64, low: u64, count: i64) -> u64:
    """The low half of a 128-bit right shift by at least 1, lost bits kept in its lowest bit."""
    if count > 127:
        return u64(high != 0 or low != 0)
    n = u64(count)
    if n == 64:
        return high | u64(low != 0)
    if n > 64:
        return high >> (n - 64) | u64(low != 0 or high << (128 - n) != 0)
    return low >> n | high << (64 - n) | u64(low << (64 - n) != 0)


def _div(form: Format, unpack: Fn, pack: Fn) -> Fn:
    infinity, nan, width = form.infinity, form.nan, form.width

    @fn(inline="never")
    def div(a: u64, b: u64, rm: u32, flags: Ptr[u32]) -> u64:
        x = local(Number, 1)
        y = local(Number, 1)
        unpack(a, x)
        unpack(b, y)
        sign = x.sign ^ y.sign
        s = u64(sign) << (width - 1)
        undefined = (x.kind == _INF and y.kind == _INF) or (x.kind == _ZERO and y.kind == _ZERO)
        if x.kind == _SNAN or y.kind == _SNAN or undefined:
            flags[0] |= NV
            return nan
        if x.kind == _QNAN or y.kind == _QNAN:
            return nan
        if x.kind == _INF:
            return s | infinity
        if y.kind == _ZERO:
            flags[0] |= DZ
            return s | infinity
        if x.kind == _ZERO or y.kind == _INF:
            return s
        # 62 quotient bits by restoring division, the first one being the integer part
        rest = x.sig >> 1
        divisor = y.sig >> 1
        quotient = u64(0)
        for _step in range(62):
            quotient <<= 1
            if rest >= divisor:
                rest -= divisor
                quotient |= 1
            rest <<= 1
        exp = x.exp - y.exp
        zeros = clz(quotient)
        sig = quotient << zeros | u64(rest != 0)
        return pack(sign, exp - i64(zeros) + 2, sig, rm, flags)

    return div


def _sqrt(form: Format, unpack: Fn, pack: Fn) -> Fn:
    nan = form.nan

    @fn(inline="never")
    def sqrt(a: u64, rm: u32, flags: Ptr[u32]) -> u64:
        x = local(Number, 1)
        unpack(a, x)
        if x.kind == _SNAN or (x.sign != 0 and (x.kind == _FINITE or x.kind == _INF)):
            flags[0] |= NV
            return nan
        if x.kind == _QNAN:
            return nan
        if x.kind == _ZERO or x.kind == _INF:
            return a
        # 60 root bits, two bits of the radicand at a time; an even exponent leaves the point after the first pair
        radicand = x.sig >> 1
        if x.exp & 1 != 0:
            radicand = x.sig
        root = u64(0)
        rest = u64(0)
        for _step in range(60):
            rest = rest << 2 | radicand >> 62
            radicand <<= 2
            trial = root << 2 | 1
            root <<= 1
            if rest >= trial:
                rest -= trial
                root |= 1
        return pack(0, x.exp >> 1, root << 4 | u64(rest != 0), rm, flags)

    return sqrt


def _from_number(form: Format, pack: Fn) -> Fn:
    infinity, nan, width = form.infinity, form.nan, form.width

    @fn
    def from_number(x: Ptr[Number], rm: u32, flags: Ptr[u32]) -> u64:
        if x.kind == _SNAN:
            flags[0] |= NV
            return nan
        if x.kind == _QNAN:
            return nan
        s = u64(x.sign) << (width - 1)
        if x.kind == _INF:
            return s | infinity
        if x.kind == _ZERO:
            return s
        return pack(x.sign, x.exp, x.sig, rm, flags)

    return from_number


def exact(form: Format) -> Exact:
    """Build the operations of a format."""
    unpack, pack = _unpack(form), _pack(form)
    return Exact(
        unpack,
        pack,
        _fma(form, unpack, pack),
        _div(form, unpack, pack),
        _sqrt(form, unpack, pack),
        _from_number(form, pack),
    )


@fn
def integer_number(negative: boolean, magnitude: u64, x: Ptr[Number]) -> None:
    """Unpack an integer given by sign and magnitude."""
    x.sign = u32(negative)
    x.kind = _ZERO
    if magnitude != 0:
        zeros = clz(magnitude)
        x.kind = _FINITE
        x.exp = 63 - i64(zeros)
        x.sig = magnitude << zeros


@fn(inline="never")
def to_integer(x: Ptr[Number], signed: boolean, width: u64, rm: u32, flags: Ptr[u32]) -> u64:
    """Round to an integer of `width` bits; out of range gives the nearest one (NaN: the largest) and NV.

    Signed results are sign-extended to 64 bits, unsigned ones zero-extended.
    """
    most = ~u64(0) >> (64 - width)
    if signed:
        most >>= 1
    if x.kind == _ZERO:
        return u64(0)
    if x.kind >= _INF or x.exp > 63:
        flags[0] |= NV
        if x.sign != 0 and x.kind <= _INF:
            return lowest(signed, most)
        return most
    whole = u64(0)
    rest = u64(1)
    if x.exp == 63:
        whole = x.sig
        rest = u64(0)
    elif x.exp >= 0:
        whole = x.sig >> u64(63 - x.exp)
        rest = x.sig << u64(x.exp + 1)
    elif x.exp == -1:
        rest = x.sig
    if increment(whole & 1 != 0, rest, u64(1) << 63, x.sign, rm):
        whole += 1
    limit = most
    if x.sign != 0:
        limit = u64(0)
        if signed:
            limit = most + 1
    if whole > limit:
        flags[0] |= NV
        if x.sign != 0:
            return lowest(signed, most)
        return most
    if rest != 0:
        flags[0] |= NX
    if x.sign != 0:
        return 0 - whole
    return whole


@fn
def lowest(signed: boolean, most: u64) -> u64:
    """The smallest integer of a type, from its largest."""
    if signed:
        return ~most
    return u64(0)
