"""The 8-bit float formats of `expand-floats`: their bits to f32 and back, on scalars and vectors alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mtia.dialects.mlir import arith, ir, vector

__all__ = ["FORMATS", "Format", "Values", "is_narrow"]

F32_MANTISSA, F32_BIAS = 23, 127
F32_INFINITY, F32_NAN = 0x7F800000, 0x7FC00000


class Values:
    """Emits operations on values of one shape at the current insertion point."""

    def __init__(self, like: Any) -> None:
        self.shape = list(like.shape) if isinstance(like, ir.VectorType) else None

    def type(self, element: Any) -> Any:
        """The type of this shape with another element."""
        return element if self.shape is None else ir.VectorType.get(self.shape, element)

    def integers(self, width: int) -> Any:
        """Integers of a width in this shape."""
        return self.type(ir.IntegerType.get_signless(width))

    def integer(self, value: int, width: int = 32) -> Any:
        """An integer constant."""
        return self._spread(arith.constant(ir.IntegerType.get_signless(width), value))

    def real(self, value: float) -> Any:
        """An f32 constant."""
        return self._spread(arith.constant(ir.F32Type.get(), value))

    def _spread(self, scalar: Any) -> Any:
        return scalar if self.shape is None else vector.broadcast(self.type(scalar.type), scalar)

    def bits_of(self, x: Any, width: int = 32) -> Any:
        """The bits of floats."""
        return arith.bitcast(self.integers(width), x)

    def float_of(self, bits: Any, element: Any) -> Any:
        """The floats of bits."""
        return arith.bitcast(self.type(element), bits)

    def magnitude(self, x: Any) -> Any:
        """|x|, by clearing the sign."""
        element = x.type.element_type if isinstance(x.type, ir.VectorType) else x.type
        width = element.width
        return self.float_of(arith.andi(self.bits_of(x, width), self.integer((1 << width - 1) - 1, width)), element)

    def compare(self, predicate: Any, a: Any, b: Any) -> Any:
        """A comparison of floats."""
        return arith.cmpf(predicate, a, b)


@dataclass(frozen=True)
class Format:
    """One format: `mantissa` stored bits, exponent bias, largest finite value, code of the NaN that is written.

    `infinity` is the code of infinity, above which all are NaN; a format without has one NaN (and its negative, unless
    `unsigned_zero` says that the NaN stands in the place of -0).
    """

    mantissa: int
    bias: int
    largest: float
    nan: int
    infinity: int | None = None
    unsigned_zero: bool = False

    def decode(self, v: Values, x: Any) -> Any:
        """The f32 of a code: the magnitude's bits, moved to f32's fields, are too small by a power of two."""
        code = arith.extui(v.integers(32), arith.bitcast(v.integers(8), x))
        magnitude = arith.andi(code, v.integer(0x7F))
        field = arith.shli(magnitude, v.integer(F32_MANTISSA - self.mantissa))
        small = v.float_of(field, ir.F32Type.get())
        value = v.bits_of(arith.mulf(small, v.real(2.0 ** (F32_BIAS - self.bias))))
        if self.infinity is not None:
            infinite = arith.cmpi(arith.CmpIPredicate.eq, magnitude, v.integer(self.infinity))
            value = arith.select(infinite, v.integer(F32_INFINITY), value)
        sign = arith.shli(arith.andi(code, v.integer(0x80)), v.integer(24))
        value = arith.select(self._is_nan(v, code, magnitude), v.integer(F32_NAN), arith.ori(value, sign))
        return v.float_of(value, ir.F32Type.get())

    def _is_nan(self, v: Values, code: Any, magnitude: Any) -> Any:
        if self.infinity is not None:
            return arith.cmpi(arith.CmpIPredicate.ugt, magnitude, v.integer(self.infinity))
        return arith.cmpi(arith.CmpIPredicate.eq, code if self.unsigned_zero else magnitude, v.integer(self.nan))

    def encode(self, v: Values, x: Any, to_zero: bool, kind: Any) -> Any:
        """The code of an f32: normal numbers round in their bits, subnormal ones as multiples of the smallest one."""
        shift = F32_MANTISSA - self.mantissa
        bits = v.bits_of(x)
        size = v.magnitude(x)
        largest = v.real(self.largest)
        size = arith.select(v.compare(arith.CmpFPredicate.OGT, size, largest), largest, size)
        field = v.bits_of(size)
        if not to_zero:
            odd = arith.andi(arith.shrui(field, v.integer(shift)), v.integer(1))
            field = arith.addi(field, arith.addi(odd, v.integer((1 << shift - 1) - 1)))
        rebias = v.integer(F32_BIAS - self.bias << self.mantissa)
        normal = arith.subi(arith.shrui(field, v.integer(shift)), rebias)
        subnormal = arith.cmpf(arith.CmpFPredicate.OLT, size, v.real(2.0 ** (1 - self.bias)))
        code = arith.select(subnormal, self._subnormal(v, size, to_zero), normal)
        sign = arith.shli(arith.shrui(bits, v.integer(31)), v.integer(7))
        if self.unsigned_zero:
            sign = arith.select(arith.cmpi(arith.CmpIPredicate.eq, code, v.integer(0)), v.integer(0), sign)
        code = arith.select(v.compare(arith.CmpFPredicate.UNO, x, x), v.integer(self.nan), arith.ori(code, sign))
        return arith.bitcast(kind, arith.trunci(v.integers(8), code))

    def _subnormal(self, v: Values, size: Any, to_zero: bool) -> Any:
        """Multiples of the smallest subnormal: adding the f32 whose last bit is worth that rounds to nearest even."""
        smallest = 1 - self.bias - self.mantissa
        if to_zero:
            return arith.fptosi(v.integers(32), arith.mulf(size, v.real(2.0**-smallest)))
        exponent = smallest + F32_MANTISSA
        sum_ = arith.addf(size, v.real(2.0**exponent))
        return arith.subi(v.bits_of(sum_), v.integer(F32_BIAS + exponent << F32_MANTISSA))


FORMATS = {
    "f8E4M3FN": Format(3, 7, 448.0, 0x7F),
    "f8E5M2": Format(2, 15, 57344.0, 0x7F, infinity=0x7C),
    "f8E4M3FNUZ": Format(3, 8, 240.0, 0x80, unsigned_zero=True),
    "f8E5M2FNUZ": Format(2, 16, 57344.0, 0x80, unsigned_zero=True),
}
"""By MLIR's name of the type."""


def is_narrow(element: Any) -> bool:
    """Whether an element type is one of the formats."""
    return str(element) in FORMATS
